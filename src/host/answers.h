/* The answers that are kept for requests with an Idempotency-Key, and the keys whose request is being
 * worked on. The sequencer owns them; each kept answer is a record, and a replay builds the same table.
 * The core doesn't know of them.
 *
 *                    take                    RECORD_ANSWER                  KEEP old, or too many
 *     (unknown) ──────────────► in use ─────────────────────► kept ──────────────────────────► forgotten
 *         ▲                        │
 *         └────── give back ───────┘ also by a crash: then the request is done anew
 *
 * Without the header in any request nothing is allocated here. */
#pragma once

#include "base/stream.h"
#include "host/claim.h"
#include "host/proposal.h"

#define ANSWERS_KEEP_US   US_PER_DAY
#define ANSWERS_COUNT_MAX 1000000
#define ANSWERS_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define ANSWERS_LENT_MAX  ((size_t)64 * 1024 * 1024) /* copies on their way to who repeats */
#define ANSWERS_ONE_PART  2                          /* one takes at most this part of the room */

struct answer_entry;

struct answers_limits {
    uint32_t count_max; /* 0: ANSWERS_COUNT_MAX */
    size_t bytes_max;   /* 0: ANSWERS_BYTES_MAX */
};

/* Entries in the order of the log. */
struct answers_queue {
    struct answer_entry *first;
    struct answer_entry *last;
};

struct answers {
    struct answers_limits limits;
    uint64_t seed;
    struct answer_entry **buckets; /* NULL: nobody ever came with a key */
    struct answers_queue kept;     /* the oldest first */
    struct answer_entry *reserved; /* room for the record that is decided upon */
    struct answers_queue freed;    /* forgotten since the freeze, but still to be saved */
    bool frozen;
    uint64_t frozen_end; /* what is saved: entries numbered below it */
    uint64_t next_number;
    uint32_t count;      /* of kept ones */
    size_t bytes;        /* of them */
    uint32_t in_use;     /* keys; at most one for each letter of a network thread */
    uint64_t taken;      /* answers kept since the start */
    uint64_t gone;       /* forgotten since the start */
    uint64_t replays;    /* told again since the start */
    _Atomic size_t lent; /* bytes of copies that claims hold; network threads give them back */
};

void answers_init(struct answers *answers, const struct answers_limits *limits, uint64_t seed);
void answers_deinit(struct answers *answers);

/* Does what the claim asks and fills it in. An answer whose frame is not durable yet (numbered above
 * `durable_frame`) counts as being worked on. O(1). */
void answers_claim(struct answers *answers,
                   struct claim *claim,
                   struct clock_time now,
                   uint64_t durable_frame);

/* Decides about a PROPOSE_ANSWER and writes its record into `out`; refused only without memory. */
void answers_propose(struct answers *answers,
                     struct proposal *proposal,
                     struct clock_time now,
                     struct buf *out);

/* Takes a RECORD_ANSWER in, live and in replay; others are nothing to it. `frame`: the number of its
 * frame, 0 when it is durable already. O(1), and what has to go. */
void answers_apply(struct answers *answers, const struct record *record, uint64_t frame);

/* Forgets what is too old at this time of the log: at each pulse. */
void answers_expire(struct answers *answers, struct clock_time now);

/* From now until the thaw, what answers_save writes is what is kept now. */
void answers_freeze(struct answers *answers);
void answers_thaw(struct answers *answers);

/* The frozen state; allocates nothing. */
void answers_save(const struct answers *answers, struct writer *out);
bool answers_load(struct answers *answers, struct loader *in);

/* CHECKs the invariants. O(all). */
void answers_validate(const struct answers *answers);
