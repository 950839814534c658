/* Calendar: which timers are due? A wheel of wheels over all of int64, of append-only buckets.
 *
 *   now = 0x..2b:07:3f      a time differs from `now` first in one of its 11 digits of 6 bits; that
 *                           digit's number is its level, the digit itself its bucket there
 *   level 0: 64 buckets of 1 us      | | |x| ...
 *   level 1: 64 buckets of 64 us     | |x| |
 *   ...
 *   level 10: 16 buckets of 2^60 us
 *
 * A bucket is a list of chunks of items; an item is added at its end and moved as a whole when `now`
 * reaches the bucket's beginning: each level down costs one sequential copy, so a timer is moved at
 * most as often as its distance has digits, whatever the number of timers. There is no horizon.
 *
 * A calendar is an index and is lazy: it does not know of cancelled or extended timers. Whoever takes
 * an item looks at the timer itself, and drops it or adds it again.
 *
 * Invariants:
 *  1. Every item's time is >= now. One that is added with an earlier time stands at now.
 *  2. Items come out by rising time; those of the same time in the order in which they were added.
 *  3. bytes = chunks in use * CALENDAR_CHUNK_BYTES; a chunk holds at least one item. */
#pragma once

#include "base/heap.h"

#define CALENDAR_LEVELS       11
#define CALENDAR_BUCKETS      64
#define CALENDAR_CHUNK_ITEMS  254
#define CALENDAR_CHUNK_BYTES  4096

struct calendar_item {
    int64_t time;
    uint32_t timer;  /* the owner's number for it */
    uint32_t arming; /* the owner's: tells this item from older ones of the same timer */
};

struct calendar_chunk {
    struct calendar_chunk *next;
    uint32_t count;
    struct calendar_item items[CALENDAR_CHUNK_ITEMS];
};

struct calendar_bucket {
    struct calendar_chunk *first;
    struct calendar_chunk *last;
};

struct calendar {
    struct heap *heap;
    int64_t now;
    uint64_t count;
    uint64_t occupied[CALENDAR_LEVELS]; /* a bit per bucket that is not empty */
    struct calendar_bucket buckets[CALENDAR_LEVELS][CALENDAR_BUCKETS];
    struct calendar_chunk *taking; /* of the bucket that is being emptied */
    uint32_t taken;                /* items of `taking` that are out */
};

void calendar_init(struct calendar *calendar, struct heap *heap, int64_t now);

/* False when there is no memory; nothing has changed then. O(1). */
bool calendar_add(struct calendar *calendar, struct calendar_item item);

/* The next item with a time <= until; false when there is none, and then now = until (never less than
 * before). Amortised O(levels). Items may be added between two takes. */
bool calendar_take(struct calendar *calendar, int64_t until, struct calendar_item *item);

/* No item is due before this; INT64_MAX when there is none. A lower bound: the beginning of the first
 * bucket that is not empty, exact within the next 64 us. O(levels). */
int64_t calendar_next_due(const struct calendar *calendar);

/* Frees everything. */
void calendar_clear(struct calendar *calendar);

/* CHECKs the invariants; O(items). For tests and the simulator. */
void calendar_validate(const struct calendar *calendar);
