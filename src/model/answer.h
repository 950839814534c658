/* An answer that is kept for whoever repeats a request with its Idempotency-Key: a record of the log
 * (docs/formats/records.md).
 *
 *   body:  0       8        16       24       26
 *          | kept  | request         | status | key | fields, each a name and a value | body ... |
 *
 * Decoded ones borrow from the bytes that they were read from. */
#pragma once

#include "model/record.h"

#define IDEMPOTENCY_KEY_MAX    255
#define KEPT_ANSWER_FIELDS_MAX 9
#define KEPT_ANSWER_BYTES_MAX                                                                      \
    ((size_t)12 * 1024 * 1024) /* of the whole record: of nearly any batch */
#define KEPT_ANSWER_STATUS_MIN 200
#define KEPT_ANSWER_STATUS_MAX 599

/* A request, as one tells whether it is the same again: 128 bits of a keyed hash. */
struct fingerprint {
    uint64_t half[2];
};

struct kept_field {
    struct bytes name; /* of visible ASCII */
    struct bytes value;
};

struct kept_answer {
    struct clock_time kept;     /* by the engine's clock: its age counts from here */
    struct fingerprint request; /* that it answers */
    struct bytes key;           /* 1 to IDEMPOTENCY_KEY_MAX bytes of visible ASCII */
    uint16_t status;
    uint32_t field_count;
    struct kept_field fields[KEPT_ANSWER_FIELDS_MAX];
    struct bytes body;
};

static inline bool fingerprint_equal(struct fingerprint a, struct fingerprint b)
{
    return a.half[0] == b.half[0] && a.half[1] == b.half[1];
}

bool idempotency_key_valid(struct bytes key);

/* At most what kept_answer_put writes. */
size_t kept_answer_bytes_max(const struct kept_answer *answer);

/* A whole record. The answer must be one that kept_answer_read takes. */
void kept_answer_put(struct buf *out, const struct kept_answer *answer);

/* Sets the time in the record whose body starts there: whoever orders the log does. */
void kept_answer_stamp(struct buf *out, size_t body_start, struct clock_time kept);

/* False when the body is not what it should be. */
bool kept_answer_read(struct bytes body, struct kept_answer *answer);
