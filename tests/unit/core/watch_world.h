/* A small world for rules over the stream: events happen, pulses come, notes are read as lines.
 *
 * Times are whole seconds. Any number of engines share the partitions; what is told must not depend on
 * how many there are. */
#pragma once

#include "../base/support.h"

#include "core/engine.h"

#define WORLD_ENGINES_MAX 3
#define WORLD_TEXT_BYTES  ((size_t)1 << 20)

struct world_options {
    uint32_t partitions;
    uint32_t engine_count;
    size_t watch_bytes;   /* per partition */
    uint32_t watch_ended; /* per partition */
};

struct world {
    struct world_options options;
    struct engine *engines[WORLD_ENGINES_MAX];
    struct engine *owners[PARTITIONS_MAX];
    void *regions[WORLD_ENGINES_MAX + PARTITIONS_MAX];
    uint32_t region_count;
    uint64_t position;
    uint64_t ordinal;
    int64_t clock;     /* seconds */
    int64_t watermark; /* seconds, or WATERMARK_NONE, WATERMARK_FINAL */
    int64_t max_time;  /* seconds, or WATERMARK_NONE */
    uint8_t flags;     /* of the next pulse */
    uint32_t next_id;
    uint32_t next_rule;
    uint32_t lane_count; /* declared ones, beside the default lane */
    struct lane_state lanes[8];
    struct feed_place read[PARTITIONS_MAX];
};

struct world_options world_options(uint32_t partitions, uint32_t engine_count);
void world_init(struct world *world, const struct world_options *options);
void world_deinit(struct world *world);

/* A frame of records, to all engines. */
void world_records(struct world *world, struct bytes frame);

/* A statement of the language; returns the rule's id. */
uint32_t world_rule(struct world *world, const char *sql);
void world_drop(struct world *world, uint32_t rule);

/* An event of this type and subject, as a batch of its own; `minutes` is its data.minutes. */
struct world_event {
    const char *type;
    const char *key; /* NULL: no subject */
    int64_t time;
    const char *source; /* NULL: "/s" */
    int minutes;
    uint32_t id; /* 0: a new one */
};

void world_send(struct world *world, const struct world_event *events, uint32_t count);
void world_event(struct world *world, const char *type, const char *key, int64_t time);

/* A command on what a rule began of a key, at the world's clock: its result, and the same from all engines.
 * `extend`: seconds of a heartbeat, 0: as the rule says. */
struct timeout_result world_command(
    struct world *world, enum timeout_op op, uint32_t rule, const char *key, int64_t extend);

/* Declares a source; its lane is told by the pulses from now on. Returns its number. */
uint32_t world_source(struct world *world, const char *name);

/* A pulse with this watermark over all lanes. */
void world_pulse(struct world *world, int64_t watermark);

/* What was told since the last call, a line each, sorted within a pulse:
 *     "fired a 0..10 seen 0" = kind, key, started..deadline, last seen
 *     "retracted a 0..10 seen 0, fired 5" = and the clock at the firing that is taken back
 *     "holds 5..7 why 64", "held 5..9 why 64" = an episode of HOLD, since..told, reasons */
const char *world_told(struct world *world);

#define assert_told(world, text) assert_string_equal(world_told(world), text)

uint64_t world_count(const struct world *world, uint32_t rule, enum timeout_state state);
uint64_t world_lost(const struct world *world, uint32_t rule);
uint32_t world_place(const struct world *world, uint32_t rule);
uint64_t world_digest(const struct world *world);

/* Another world in the same state, by way of the saved bytes. */
void world_copy(const struct world *world, uint32_t engine_count, struct world *copy);
