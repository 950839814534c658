/* The timers of a partition: where each one is, and the lists that they stand in.
 *
 *   slots (by hash) --> place --> pages[place / 1024][place % 1024]: struct timer, 32 bytes
 *                                                                        |
 *                                              struct timer_cold: times, key, data
 *
 * A place is in one list at most: of the free, of the ended (by when they ended), or of the unfiled
 * (pending ones that stand in no calendar just now).
 *
 * Invariants:
 *  1. timer_find gives the place of every timer that is not absent, and no other.
 *  2. used = sum of timer_cost over all timers; ended the same over the ended ones. */
#pragma once

#include "core/timeouts.h"

#define TIMER_NONE       UINT32_MAX
#define TIMER_PAGE       1024
#define TIMERS_MAX       (UINT32_C(1) << 30)
#define TIMER_ENDED_MASK (~(1u << TIMEOUT_ABSENT | 1u << TIMEOUT_PENDING))

enum timer_flags {
    TIMER_BY_EVENTS = 1,
    TIMER_BORN_LATE = 2,
    TIMER_HAS_WITHIN = 4,
    TIMER_HAS_EVENT_TIME = 8,
    TIMER_UNFILED = 16,
};

#define TIMER_FLAGS_ALL 31u

struct timer {
    int64_t deadline;
    struct timer_cold *cold;
    uint32_t hash; /* lower half of timeout_hash */
    uint32_t next;
    union {
        uint32_t arming;   /* pending */
        uint32_t previous; /* ended */
    };
    uint8_t state; /* enum timeout_state */
    uint8_t flags; /* enum timer_flags */
    uint16_t zeros;
};

_Static_assert(sizeof(struct timer) == 32, "two timers to a cache line");

struct timer_cold {
    uint64_t version;
    uint64_t decided_at;
    int64_t given; /* within, or the deadline as it was created */
    int64_t event_time;
    int64_t created_us;
    int64_t last_seen_us;
    int64_t
        latest_event; /* of those that were told, at its creation and by heartbeats; INT64_MIN: none */
    int64_t ended_us;
    uint32_t generation;
    uint32_t data_len;
    uint16_t key_len;
    uint8_t bytes[]; /* key, data */
};

static inline struct timer *timer_at(const struct timeouts *timeouts, uint32_t place)
{
    return &timeouts->pages[place / TIMER_PAGE][place % TIMER_PAGE];
}

static inline bool timer_is_ended(const struct timer *timer)
{
    return (TIMER_ENDED_MASK >> timer->state & 1) != 0;
}

static inline struct bytes timer_key(const struct timer *timer)
{
    return bytes_of(timer->cold->bytes, timer->cold->key_len);
}

static inline struct bytes timer_data(const struct timer *timer)
{
    return bytes_of(timer->cold->bytes + timer->cold->key_len, timer->cold->data_len);
}

/* What a timer with such a key and data takes of the budgets. */
struct timer_cost timer_cost(const struct timeouts *timeouts, size_t key_len, size_t data_len);

/* A cold part with its key, room for the data, and zeros; NULL: no memory. */
struct timer_cold *timer_cold_new(struct timeouts *timeouts, struct bytes key, size_t data_len);
void timer_cold_free(struct timeouts *timeouts, struct timer_cold *cold);

/* TIMER_NONE: there is none. */
uint32_t timer_find(const struct timeouts *timeouts, struct bytes key, uint32_t hash);

/* A new timer, in no list, absent as yet; takes the cold part. TIMER_NONE: no memory, and nothing was
 * taken. */
uint32_t timer_add(struct timeouts *timeouts, uint32_t hash, struct timer_cold *cold);

/* Makes the table of all timers that were loaded to their places, `count` in all. False: two have the
 * same key, or no memory. */
bool timers_enter_all(struct timeouts *timeouts, uint32_t count);

/* Makes so many places, all absent and in no list: for loading. False: no memory. */
bool timers_reach(struct timeouts *timeouts, uint32_t count);

/* Gives its place and memory back; it must stand in no list. */
void timer_remove(struct timeouts *timeouts, uint32_t place);

/* Another cold part in the place of the old one. */
void timer_exchange(struct timeouts *timeouts, uint32_t place, struct timer_cold *cold);

/* Moves a timer to another state, and into or out of the list of the ended. */
void timer_set_state(struct timeouts *timeouts, uint32_t place, enum timeout_state state);

/* Another arming of it: what its flags say. */
void timer_set_flags(struct timeouts *timeouts, uint32_t place, uint8_t flags);

/* Counts it, or (by -1) no more, in its state. */
void timer_count(struct timeouts *timeouts, const struct timer *timer, int by);

/* Puts an ended timer that was loaded at the end of the list of the ended. */
void timer_link_ended(struct timeouts *timeouts, uint32_t place);

/* An item in the calendar of that clock. False: no memory. */
bool timer_add_item(struct timeouts *timeouts, bool by_events, struct calendar_item item);

/* An item in the calendar of its clock, at its deadline. False: no memory. */
bool timer_file(struct timeouts *timeouts, uint32_t place);

/* Into the list of the unfiled, at its end, and out of it: O(unfiled). */
void timer_unfile(struct timeouts *timeouts, uint32_t place);
void timer_unlink(struct timeouts *timeouts, uint32_t place);

/* Forgets the one that ended first. */
void timer_forget_oldest(struct timeouts *timeouts);

/* Ends it here and now; of too many ended ones the oldest is forgotten. */
void timer_end(struct timeouts *timeouts,
               uint32_t place,
               enum timeout_state state,
               struct clock_time clock,
               uint64_t position);

/* The last deadline that is due: exactly at it an event is in time, so by events it takes a watermark
 * beyond. Not to be asked by events before there is a watermark. */
int64_t timers_due_until(const struct timeouts_time *time, bool by_events);
bool timer_is_due(const struct timer *timer, const struct timeouts_time *time);

void timer_object(const struct timer *timer,
                  const struct timeouts_time *now,
                  struct timeout_object *object);

void timers_validate(const struct timeouts *timeouts);
