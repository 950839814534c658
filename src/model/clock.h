/* The two clocks, as two types, so that the compiler refuses to mix them.
 *
 * event_time is when something happened, said by its producer; clock_time is the engine's own
 * clock, and reaches the core only inside records. Both are microseconds since the Unix epoch, UTC.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct event_time {
    int64_t us;
};

struct clock_time {
    int64_t us;
};

/* Watermarks: nothing heard yet, and nothing will ever come again. */
#define WATERMARK_NONE  INT64_MIN
#define WATERMARK_FINAL INT64_MAX

#define US_PER_SECOND 1000000LL
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_HOUR   (60 * US_PER_MINUTE)
#define US_PER_DAY    (24 * US_PER_HOUR)

/* a + b, held at the ends of int64 instead of overflowing. */
static inline int64_t time_add(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b > 0 ? INT64_MAX : INT64_MIN;
    }
    return sum;
}

/* The largest multiple of size that is <= time (towards the past for negative times). */
static inline int64_t time_floor(int64_t time, int64_t size)
{
    int64_t rest = time % size;
    return time - (rest < 0 ? rest + size : rest);
}
