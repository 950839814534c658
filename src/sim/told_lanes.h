/* The lanes as the log tells of them: who was declared, and what each reported in its last pulse.
 * For the oracles of time and windows. */
#pragma once

#include "model/record.h"
#include "sim/history.h"

/* What is not declared otherwise (docs/guide/watermarks.md). */
#define DISORDER_DEFAULT_US        (5 * US_PER_SECOND)
#define IDLE_AFTER_DEFAULT_US      (30 * US_PER_SECOND)
#define MAX_FUTURE_SKEW_DEFAULT_US (5 * US_PER_MINUTE)

/* A lane is live when it was heard so soon after its latest time. */
#define LIVE_WITHIN_US (10 * US_PER_MINUTE)

/* What is certain of a time: low <= it <= high. */
struct time_range {
    int64_t low;
    int64_t high;
};

struct told_lane {
    bool exists; /* the default lane; and what is declared and not forgotten */
    struct bytes name;
    bool final;              /* as its producer said last: it counts at once */
    struct lane_state state; /* as in the last pulse that named it */
    bool in_pulse;           /* that was the last pulse */
};

struct told_lanes {
    struct told_lane *lanes; /* LANES_MAX, malloc'ed */
    uint32_t end;            /* one more than the highest number that was ever used */
};

/* False on no memory. */
bool told_lanes_init(struct told_lanes *told);
void told_lanes_free(struct told_lanes *told);

/* The lane that a source's events are in. */
uint32_t told_lanes_of(const struct told_lanes *told, struct bytes source);

/* Apply a record; false (and a finding) when it can't be true. *renewed: the source had this lane
 * before. */
bool told_lanes_source(struct told_lanes *told,
                       const struct source *source,
                       bool *renewed,
                       struct finding *finding);
bool told_lanes_forget(struct told_lanes *told, uint32_t lane, struct finding *finding);
bool told_lanes_command(struct told_lanes *told,
                        const struct lane_command *command,
                        struct finding *finding);
bool told_lanes_pulse(struct told_lanes *told, const struct pulse *pulse, struct finding *finding);

/* The watermark over some lanes at a pulse, when it was within `before` until then: the least of
 * those that are neither final nor idle, and never less than before; see told_lanes.c for what is
 * open. `chosen` NULL: all lanes. */
struct time_range told_lanes_watermark(const struct told_lanes *told,
                                       const uint32_t *chosen,
                                       uint32_t chosen_count,
                                       struct time_range before);
