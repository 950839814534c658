/* What timeouts do, as the contract says it: a table by key, a sorted list of the pending for each of
 * the clocks, a queue of the ended. The oracle (oracle_timeouts.c) walks the log and asks it. */
#pragma once

#include "sim/oracle_timeouts.h"

/* What is there under a key, and what it was created with. */
struct live_timer {
    struct timeout_object object;
    struct bytes data;
    bool has_deadline;
    int64_t given_deadline;
    int64_t moment;       /* from which it counts */
    int64_t latest_event; /* that was told by a create or heartbeat; INT64_MIN: none */
    uint32_t partition;
    uint64_t turn; /* of its end */
};

struct pending_entry {
    int64_t deadline;
    uint32_t key;
    uint32_t told; /* when it fires: its place in the feed's order */
};

struct pending_list {
    struct pending_entry *entries; /* by deadline, then as they came */
    size_t count;
    size_t capacity;
};

struct ended_entry {
    uint64_t turn;
    uint32_t key;
};

/* Of one partition. */
struct shelf {
    uint32_t pending;
    uint32_t ended;
    struct ended_entry *queue; /* in the order in which they ended; stale ones too */
    size_t first;
    size_t count;
    size_t capacity;
};

struct timer_model {
    const struct history *history;
    struct expected_timeouts *expected;
    struct live_timer *live;      /* by key */
    struct pending_list lists[2]; /* by enum timeout_clock */
    struct shelf *shelves;        /* by partition */
    uint64_t position;            /* of the record that is followed */
    struct clock_time clock;      /* of the last one that told it */
    int64_t watermark;            /* of the last pulse, as the next two */
    bool hold;
    int64_t stamped; /* the watermark that the record of commands tells */
    uint64_t turns;
};

/* False on no memory; timer_model_free in any case. */
bool timer_model_init(struct timer_model *model,
                      const struct history *history,
                      struct expected_timeouts *expected);
void timer_model_free(struct timer_model *model);

/* What a command comes to, at model->position and clock. Its key's partition is known. */
enum timeout_outcome
timer_model_decide(struct timer_model *model, uint32_t key, const struct timeout_command *command);

/* Due, as far as the clock tells, and it can't be told whether it is. */
bool timer_model_holds(const struct timer_model *model, const struct timeout_object *object);

/* How many are due at or before a time. */
size_t pending_place(const struct pending_list *list, int64_t deadline);

/* A pulse: one that is due fires; at its end, what ended a day ago is forgotten. */
void timer_model_fire(struct timer_model *model, uint32_t key, const struct pulse *pulse);
void timer_model_expire(struct timer_model *model);
