/* Calendar: which timers are due? A queue by (time, arming, timer) over all of int64: a wheel of wheels
 * for what is far, sorted runs for what is near.
 *
 *              origin
 *   ... near ---->|---- far ...
 *
 *   near: an item at or before the origin stands in `fresh` (as it came) or in a run (sorted);
 *   far:  its time differs from the origin first in one of its 11 digits of 6 bits; that digit's number
 *         is its level, the digit itself its bucket there
 *
 *   level 0: 64 buckets of 1 us     level 1: 64 of 64 us     ...     level 10: 16 of 2^60 us
 *
 * When nothing near is left and the first bucket is due, it is opened: a small and narrow one becomes
 * a run, another is spread over the levels below it, with its least time as the new origin. So a timer
 * is copied, in sequence with its neighbours, at most as often as its distance has digits, whatever the
 * number of timers. There is no horizon, and times of the past are times like others.
 *
 * A calendar is an index and is lazy: it does not know of cancelled or extended timers. Whoever takes
 * an item looks at the timer itself, and drops it or adds it again.
 *
 * Invariants:
 *  1. What is taken is the least of all items there are, by (time, arming, timer): it depends on them
 *     alone, not on the order in which they were added, what was taken before, or the memory there is.
 *  2. Taking needs no memory: two spare chunks are enough to merge runs, and what can't be spread for
 *     want of chunks becomes a run.
 *  3. Near items are <= origin, far ones > origin; a bucket's `least` is the least time in it.
 *  4. bytes = chunks * CALENDAR_CHUNK_BYTES; a chunk that is not spare holds at least one item. */
#pragma once

#include "base/heap.h"

#define CALENDAR_LEVELS      11
#define CALENDAR_BUCKETS     64
#define CALENDAR_CHUNK_ITEMS 31
#define CALENDAR_CHUNK_BYTES 512
#define CALENDAR_RUNS        32

struct calendar_item {
    int64_t time;
    uint32_t timer; /* the owner's number for it */
    uint32_t
        arming; /* the owner's: tells this item from older ones of the same timer, and breaks ties */
};

struct calendar_chunk {
    struct calendar_chunk *next;
    uint16_t begin; /* items [begin, end) are in use */
    uint16_t end;
    uint32_t unused;
    struct calendar_item items[CALENDAR_CHUNK_ITEMS];
};

struct calendar_list {
    struct calendar_chunk *first;
    struct calendar_chunk *last;
    int64_t least; /* of its items' times */
};

struct calendar_run {
    struct calendar_chunk *first;
    uint64_t count;
};

struct calendar {
    struct heap *heap;
    int64_t origin;
    uint64_t count; /* items */
    uint64_t chunks;
    struct calendar_chunk *spare;
    uint32_t spare_count;
    uint32_t run_count;
    struct calendar_list fresh;
    struct calendar_run runs[CALENDAR_RUNS];
    uint64_t occupied[CALENDAR_LEVELS]; /* a bit per bucket that is not empty */
    struct calendar_list buckets[CALENDAR_LEVELS][CALENDAR_BUCKETS];
};

/* `now` is only a hint: times around it are found fastest. */
void calendar_init(struct calendar *calendar, struct heap *heap, int64_t now);

/* For one without items: times around `now` are found fastest from here on. */
void calendar_begin(struct calendar *calendar, int64_t now);

/* False when there is no memory; nothing has changed then. O(1). */
bool calendar_add(struct calendar *calendar, struct calendar_item item);

/* The least item if its time is <= until; false when there is none. Amortised O(levels). Items may be
 * added between two takes, with any time. */
bool calendar_take(struct calendar *calendar, int64_t until, struct calendar_item *item);

/* The least item's time; INT64_MAX when there is none. O(levels). */
int64_t calendar_next_due(const struct calendar *calendar);

/* Frees everything; it may be used on. */
void calendar_clear(struct calendar *calendar);

/* CHECKs the invariants; O(items). For tests and the simulator. */
void calendar_validate(const struct calendar *calendar);
