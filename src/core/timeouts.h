/* Explicit timeouts of one partition: a table by key, and a calendar for each of the two clocks.
 *
 *                 create                     deadline reached at a pulse
 *     (absent) ------------> PENDING ----------------------------------------> FIRED --+
 *        |                    |   ^ heartbeat                                           |
 *        |                    +---+                                                     |
 *        |                    | complete, cancel                                        |
 *        |                    +----------------> COMPLETED, CANCELLED -----------------+
 *        | complete, cancel                                                             |
 *        +------> COMPLETED_EARLY ----- create ----> COMPLETED                          |
 *                        |                                                              |
 *                        +---------- 24 h of the engine's clock, or more than the ------+--> (absent)
 *                                    share of 10 M ended ones: oldest out first
 *
 * A race between a command and the deadline is decided by the log: whichever record comes first, the
 * command's or the pulse's. By the engine's clock a timeout fires at the first pulse with clock >=
 * deadline; by events, when the watermark over all lanes has passed it (W > deadline: exactly at the
 * deadline is in time) and the pulse does not say HOLD. At most TIMEOUTS_SLICE / partitions fire at one
 * pulse, the earliest first; next_due stays in the past until the rest are out.
 *
 * A timeout is found through 32 bytes in memory (struct timer) and a cold part (key, data and what only
 * its owner asks for). The cold parts may have a heap of their own, whose memory the host takes to the
 * disk and back (core/engine.h, engine_own_cold); nothing here depends on where they are.
 *
 * Budgets: `bytes_max` for what timers take, `cold_max` for cold parts in a heap of their own, and counts
 * of pending and of ended ones. A create that finds no room is answered NO_ROOM; the ended are only
 * remembered, so they go first.
 *
 * Invariants:
 *  1. Every key is in the table once. A pending timer has exactly one calendar item with its arming, at
 *     or before its deadline (an extended one is filed again when its item comes out), or stands in
 *     the list of the unfiled: its item came out when there was no memory to file it again.
 *  2. A timer fires once per generation, and never before its deadline.
 *  3. counts[state] = timers in that state, pending_by_events those pending by events; ended ones stand in
 *     the order in which they ended.
 *  4. What happens depends on what is saved alone, not on the calendars' insides. */
#pragma once

#include "core/calendar.h"
#include "core/feed.h"
#include "model/timeout.h"

#define TIMEOUTS_SLICE     32768     /* may fire at one pulse, over all partitions */
#define TIMEOUTS_ENDED_MAX 10000000u /* remembered */
#define TIMEOUTS_ENDED_US  US_PER_DAY
#define TIMEOUT_STATES     7

struct timer;

struct timeouts_limits {
    uint32_t partitions;
    uint64_t seed;
    uint32_t pending_max; /* of this partition */
    uint32_t ended_max;   /* at least 1 */
    size_t bytes_max;     /* timers, table, calendars; with cold_max 0 cold parts, too */
    size_t cold_max;      /* cold parts, in a heap of their own; 0: they have none */
};

/* A pulse, or how things stood at the last one. */
struct timeouts_time {
    uint64_t ordinal;
    uint64_t position; /* of the pulse */
    struct clock_time clock;
    int64_t watermark; /* over all lanes; WATERMARK_FINAL: everything by events is due */
    bool hold;         /* by events nothing fires */
};

/* What timers take of the two budgets. */
struct timer_cost {
    uint64_t bytes;
    uint64_t cold;
};

static inline struct timer_cost cost_sum(struct timer_cost a, struct timer_cost b)
{
    return (struct timer_cost){a.bytes + b.bytes, a.cold + b.cold};
}

/* a - b, where b is a part of a. */
static inline struct timer_cost cost_rest(struct timer_cost a, struct timer_cost b)
{
    return (struct timer_cost){a.bytes - b.bytes, a.cold - b.cold};
}

struct timeouts {
    struct heap *heap; /* of timers, table and calendars */
    struct heap *cold; /* of the cold parts; the same unless limits.cold_max > 0 */
    struct timeouts_limits limits;
    struct timer **pages;
    uint32_t page_count;
    uint32_t page_cap;
    uint32_t timer_count; /* places in pages, free ones included */
    uint32_t free_first;  /* lists through the timers; UINT32_MAX: none */
    uint32_t **slots;     /* pages of them, by hash (timeout_table.c) */
    uint32_t slot_count;
    uint32_t slots_used;
    uint32_t ended_first;
    uint32_t ended_last;
    uint32_t ended_count;
    uint32_t unfiled_first;
    uint32_t unfiled_last;
    uint32_t unfiled_count;
    uint32_t arming;
    struct timer_cost used;
    struct timer_cost ended; /* by those that are only remembered */
    uint64_t counts[TIMEOUT_STATES];
    uint64_t pending_by_events;
    uint64_t fired_total;
    uint64_t no_room_total;
    struct timeouts_time now; /* as of the last pulse; its clock also as of the last command */
    struct calendar by_clock;
    struct calendar by_events;
};

void timeouts_init(struct timeouts *timeouts,
                   struct heap *heap,
                   struct heap *cold,
                   const struct timeouts_limits *limits);

/* What a command on this key is going to look at comes nearer to the processor: first its slot (returns the
 * key's hash), some commands later its timer. Nothing changes. */
uint32_t timeouts_approach_slot(const struct timeouts *timeouts, struct bytes key);
void timeouts_approach_timer(const struct timeouts *timeouts, uint32_t hash);

/* Where and when a command stands in the log: by its record. */
struct timeouts_moment {
    uint64_t position;
    struct clock_time clock;
    int64_t watermark; /* tells whether it is born late */
};

/* One command, by its key's hash. O(1) but for a table that grows. */
void timeouts_command(struct timeouts *timeouts,
                      const struct timeout_command *command,
                      uint32_t hash,
                      const struct timeouts_moment *moment,
                      struct timeout_result *result);

/* A pulse: what is due fires into the feed, what ended long ago goes. */
void timeouts_move(struct timeouts *timeouts, const struct timeouts_time *time, struct feed *feed);

/* When the next is due: by the clock, and the least watermark that is enough; INT64_MAX: none. Held or
 * not: whoever pulses knows whether it says HOLD. */
struct timeouts_due {
    int64_t clock;
    int64_t watermark;
};

struct timeouts_due timeouts_next_due(const struct timeouts *timeouts);

/* What is there under a key; state TIMEOUT_ABSENT: nothing. The slices borrow from the timeout; `now`
 * says only what counts as held. */
struct timeout_view {
    struct timeout_object object;
    struct bytes key;
    struct bytes data;
};

void timeouts_look(const struct timeouts *timeouts,
                   struct bytes key,
                   const struct timeouts_time *now,
                   struct timeout_view *view);

/* Walks all timeouts in the order of their places: *place is where to begin, and to go on. False at the
 * end. */
bool timeouts_walk(const struct timeouts *timeouts,
                   uint32_t *place,
                   const struct timeouts_time *now,
                   struct timeout_view *view);

/* Adds to counts[] how many pending ones of this clock are due in each of `count` spans of span_us from
 * `from` on: the first counts those before as well, the last all behind. O(places). */
void timeouts_histogram(const struct timeouts *timeouts,
                        enum timeout_clock clock,
                        int64_t from,
                        int64_t span_us,
                        uint64_t *counts,
                        uint32_t count);

/* Whether there ever was one. */
static inline bool timeouts_were_used(const struct timeouts *timeouts)
{
    return timeouts->timer_count > 0;
}

void timeouts_save(const struct timeouts *timeouts, struct writer *out);
bool timeouts_load(struct timeouts *timeouts, struct loader *in);
void timeouts_validate(const struct timeouts *timeouts);
