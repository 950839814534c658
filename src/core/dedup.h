/* Has this (source, id) been counted? Fingerprints in generations of event time.
 *
 *        floor              cut            cut
 *   ------|--- generation 0 --|-- gener. 1 --|--- the open one ----->   event time
 *   older: can't be verified
 *
 * A generation is a set of 64-bit fingerprints of events whose time lies in its range. All are
 * looked into for each event (a repetition may carry another time), so they are few and large: the
 * open one is cut when it spans a quarter of what is kept or holds a quarter of the memory budget.
 * A generation goes when the watermark passed its end by keep_us (the horizon, or the longest
 * lateness if that is longer), or, oldest first, when the budget is used up; the floor then rises
 * to its end, and an event older than the floor is "unverifiable": it is never counted, so nothing
 * is counted twice.
 *
 * Each set is 64 small tables, so that growing one never stops the world for long.
 *
 * Invariants:
 *  1. Generations are in rising order of time and adjacent; the last one's end is INT64_MAX.
 *  2. A fingerprint is in at most one generation.
 *  3. floor never falls. bytes = what the tables take <= budget, but for one growth step; twice the
 *     budget when all times lie in one generation, and then new events are unverifiable. */
#pragma once

#include "base/heap.h"
#include "base/stream.h"

#define DEDUP_TABLES          64
#define DEDUP_GENERATIONS_MAX 16

enum dedup_outcome {
    DEDUP_NEW,
    DEDUP_SEEN,
    DEDUP_UNVERIFIABLE,
};

struct dedup_table {
    uint64_t *slots; /* 0 = free */
    uint32_t slot_count;
    uint32_t used;
};

struct dedup_generation {
    int64_t start;
    int64_t end; /* exclusive */
    int64_t min_time;
    int64_t max_time;
    uint64_t count;
    struct dedup_table tables[DEDUP_TABLES];
};

struct dedup_limits {
    size_t budget_bytes;
    int64_t horizon_us;
};

struct dedup {
    struct heap *heap;
    struct dedup_limits limits;
    int64_t keep_us; /* as of the last dedup_expire */
    int64_t floor;
    uint64_t bytes;
    uint64_t sum;     /* order-free digest of all fingerprints held */
    uint64_t evicted; /* generations that went for lack of memory */
    uint32_t generation_count;
    struct dedup_generation *generations[DEDUP_GENERATIONS_MAX];
};

void dedup_init(struct dedup *dedup, struct heap *heap, struct dedup_limits limits);

/* Looks the fingerprint up and, when new, remembers it under its time. */
enum dedup_outcome dedup_admit(struct dedup *dedup, uint64_t fingerprint, int64_t time);

void dedup_prefetch(const struct dedup *dedup, uint64_t fingerprint);

/* Forgets generations that the watermark left behind by more than `keep_us`. */
void dedup_expire(struct dedup *dedup, int64_t watermark, int64_t keep_us);

uint64_t dedup_count(const struct dedup *dedup);

void dedup_save(const struct dedup *dedup, struct writer *out);
bool dedup_load(struct dedup *dedup, struct loader *in);

/* CHECKs the invariants; O(entries). */
void dedup_validate(const struct dedup *dedup);
