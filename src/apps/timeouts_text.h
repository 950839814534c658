/* Timeouts in words: the pure part of what `tidemark timeouts` prints. */
#pragma once

#include "base/bytes.h"

/* The two largest units that a span has: "3 d 4 h", "14 min 59 s", "12.3 s", "40 ms". At most 40
 * bytes; us >= 0. */
void span_put(struct buf *out, int64_t us);

/* A moment seen from `now_us`: "in 14 min 59 s", "3 s ago", "now" for what is nearer than a
 * millisecond. */
void moment_put(struct buf *out, int64_t us, int64_t now_us);

/* A bar for `count`, where `count_max` takes `width` columns, to an eighth of a column; what is not
 * 0 has at least that eighth. At most 3 * width bytes. */
void bar_put(struct buf *out, uint64_t count, uint64_t count_max, size_t width);

/* What a refusal is about; texts NUL-terminated, "" when it is not known. */
struct timeout_refusal {
    const char *type; /* "urn:tidemark:problem:already-fired" */
    const char *key;
    const char *rule;
    const char *state; /* of what is there */
    int64_t generation;
    const char *when; /* of its end, or when it is due: "3 s ago" */
};

/* What was refused and what to do about it, in one sentence without its full stop. False, and nothing
 * written, when there is no more to say than the server does. */
bool refusal_put(struct buf *out, const struct timeout_refusal *refusal);
