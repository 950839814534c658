/* Rows about timeouts on their way from a runner to the API: the bytes are in host/result.h. */
#pragma once

#include "core/feed.h"
#include "model/timeout.h"

enum result_timeout_flags {
    RESULT_TIMEOUT_BORN_LATE = 1,
    RESULT_TIMEOUT_HELD = 2,
    RESULT_TIMEOUT_HAS_WITHIN = 4,
    RESULT_TIMEOUT_HAS_EVENT_TIME = 8,
};

struct timeout_row {
    struct timeout_object object;
    struct bytes key;
    struct bytes data;
};

struct feed_row {
    struct feed_place place;
    struct note note;
};

struct count_row {
    uint32_t index; /* of the state, or the span */
    uint64_t count;
};

/* At most so many bytes does a TIMEOUT row take beside its key and data. */
#define TIMEOUT_ROW_BYTES_MAX 128

/* At most so many does a FEED row take beside its note. */
#define FEED_ROW_BYTES_MAX 32

/* A COUNT row's. */
#define COUNT_ROW_BYTES 16

void timeout_row_put(struct buf *out, const struct timeout_row *row);
void feed_row_put(struct buf *out, struct feed_place place, struct bytes note);
void count_row_put(struct buf *out, struct count_row row);

/* The next row, its slices in the rows' own bytes; false at the end, or rows->bad. */
bool timeout_row_next(struct reader *rows, struct timeout_row *row);
bool feed_row_next(struct reader *rows, struct feed_row *row);
bool count_row_next(struct reader *rows, struct count_row *row);
