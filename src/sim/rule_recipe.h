/* The shape of a rule over the stream, as plans draw it and oracles know it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RULE_SOURCES_MAX 2

/* A rule over the stream, named r<number>:
 *   CREATE TIMEOUT ... AFTER type = 't0' EXPECT type = 't1' [HEARTBEAT type = '...'] [CANCEL type =
 *     '...'] WITHIN <span, or data.x * a unit> PER subject [CLOCK PROCESSING] [GRACE ...] [LATE RETRACT]
 *   CREATE SILENCE ... EXPECT type = 't0' EVERY <span> PER source [CLOCK PROCESSING] [GRACE ...]
 * Each may wait for chosen sources, and may be dropped and defined again. */
struct rule_recipe {
    bool silence;
    bool retracts;
    bool by_clock;
    bool droppable;
    bool beats;
    bool cancels;
    uint32_t beat_type;
    uint32_t cancel_type;
    int64_t span_us;
    int64_t unit_us; /* WITHIN is so much for each x of the start; 0: it is span_us */
    int64_t grace_us;
    uint32_t source_count; /* 0: all */
    uint32_t sources[RULE_SOURCES_MAX];
};
