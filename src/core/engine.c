/* The engine: dispatches records, keeps the shared part (lanes, metrics, time). See engine.h. */
#include "core/engine.h"

#include "base/check.h"
#include "base/hash.h"
#include "core/intake.h"
#include "core/metrics.h"
#include "core/rules.h"
#include "core/shard.h"

void engine_init(struct engine *engine,
                 const struct engine_limits *limits,
                 void *region,
                 size_t region_bytes)
{
    CHECK(limits->partitions >= 1 && limits->partitions <= PARTITIONS_MAX);
    memset(engine, 0, sizeof(*engine));
    engine->limits = *limits;
    engine->watermark = WATERMARK_NONE;
    engine->finite_watermark = WATERMARK_NONE;
    engine->clock.us = INT64_MIN;
    heap_init(&engine->heap, region, region_bytes);
    engine->lanes = heap_alloc_zero(&engine->heap, LANES_MAX * sizeof(struct lane));
    CHECK(engine->lanes != NULL);
    engine->lane_count = 1; /* the default lane */
    engine->lanes[LANE_DEFAULT].state =
        (struct lane_state){.watermark = WATERMARK_NONE, .max_time = WATERMARK_NONE};
}

static void own_timeouts(const struct engine *engine, struct partition *partition)
{
    const struct engine_limits *limits = &engine->limits;
    struct timeouts_limits timeouts = {
        .partitions = limits->partitions,
        .seed = limits->seed,
        .pending_max = limits->timeouts_max,
        .ended_max = limits->timeouts_ended > 0 ? limits->timeouts_ended : 1,
        .bytes_max = limits->timeouts_bytes,
        .cold_max = limits->timeouts_cold,
    };
    struct heap *cold = limits->timeouts_cold > 0 ? &partition->cold : &partition->heap;
    timeouts_init(&partition->timeouts, &partition->heap, cold, &timeouts);
}

void engine_own(struct engine *engine, uint32_t number, void *region, size_t region_bytes)
{
    CHECK(number < engine->limits.partitions);
    CHECK(engine->partitions[number] == NULL);
    struct heap heap;
    heap_init(&heap, region, region_bytes);
    struct partition *partition = heap_alloc_zero(&heap, sizeof(*partition));
    CHECK(partition != NULL);
    partition->number = number;
    partition->heap = heap;
    dedup_init(&partition->dedup,
               &partition->heap,
               (struct dedup_limits){engine->limits.dedup_bytes, engine->limits.dedup_horizon_us});
    late_init(&partition->late, &partition->heap, engine->limits.late_bytes);
    own_timeouts(engine, partition);
    struct feed_options feed = {
        .partition = number,
        .budget_bytes = engine->limits.feed_bytes,
        .keep_us = engine->limits.feed_keep_us,
    };
    feed_init(&partition->feed, &partition->heap, feed);
    watch_init(&partition->watch,
               &partition->heap,
               (struct watch_limits){engine->limits.partitions,
                                     engine->limits.watch_ended,
                                     engine->limits.watch_bytes});
    engine->partitions[number] = partition;
}

void engine_own_cold(struct engine *engine, uint32_t number, void *region, size_t region_bytes)
{
    CHECK(engine->limits.timeouts_cold > 0);
    struct partition *partition = engine->partitions[number];
    CHECK(partition != NULL && !timeouts_were_used(&partition->timeouts));
    heap_init(&partition->cold, region, region_bytes);
}

void engine_reset(struct engine *engine)
{
    struct engine_limits limits = engine->limits;
    void *shared = engine->heap.base;
    size_t shared_bytes = engine->heap.limit_bytes;
    struct partition *partitions[PARTITIONS_MAX];
    memcpy(partitions, engine->partitions, sizeof(partitions));
    engine_init(engine, &limits, shared, shared_bytes);
    for (uint32_t n = 0; n < limits.partitions; n++) {
        if (partitions[n] == NULL) {
            continue;
        }
        void *cold = partitions[n]->cold.base;
        size_t cold_bytes = partitions[n]->cold.limit_bytes;
        engine_own(engine, n, partitions[n]->heap.base, partitions[n]->heap.limit_bytes);
        if (cold != NULL) {
            engine_own_cold(engine, n, cold, cold_bytes);
        }
    }
}

uint64_t group_hash(const struct engine *engine, uint32_t place, struct bytes group)
{
    return hash64(group, engine->limits.seed ^ ((uint64_t)(place + 1) << 32));
}

void engine_reach_lane(struct engine *engine, uint32_t number)
{
    CHECK(number < LANES_MAX);
    for (; engine->lane_count <= number; engine->lane_count++) {
        engine->lanes[engine->lane_count].state = (struct lane_state){
            .lane = engine->lane_count, .watermark = WATERMARK_NONE, .max_time = WATERMARK_NONE};
    }
}

/* Lanes are known to the core by number; only metrics on chosen sources care for their names. */
static void declare_lane(struct engine *engine, const struct source *source)
{
    CHECK(source->lane < LANES_MAX);
    engine_reach_lane(engine, source->lane);
    struct lane *lane = &engine->lanes[source->lane];
    if (lane->name.data == NULL) {
        uint8_t *name = heap_alloc(&engine->heap, source->name.len);
        CHECK(name != NULL);
        memcpy(name, source->name.data, source->name.len);
        lane->name = bytes_of(name, source->name.len);
    }
}

static void forget_lane(struct engine *engine, uint32_t number)
{
    CHECK(number < engine->lane_count);
    struct lane *lane = &engine->lanes[number];
    heap_free(&engine->heap, bytes_owned(lane->name), lane->name.len);
    *lane = (struct lane){
        .state = {.lane = number, .watermark = WATERMARK_NONE, .max_time = WATERMARK_NONE}};
    engine_count_finals(engine);
}

/* A producer says that it is through, or not after all: from the next record on its events are
 * late, or not. Where its watermark stands then, the next pulse tells. */
static void command_lane(struct engine *engine, const struct lane_command *command)
{
    CHECK(command->lane < engine->lane_count);
    struct lane_state *state = &engine->lanes[command->lane].state;
    if (command->kind == LANE_FINISH) {
        state->flags |= LANE_FINAL;
    } else if (command->kind == LANE_REOPEN) {
        state->flags &= (uint8_t)~LANE_FINAL;
    }
    engine_count_finals(engine);
}

/* Commands that are looked at together, so that what they need comes nearer while others are read. */
#define COMMANDS_AHEAD 16

struct commands_ahead {
    uint32_t count;
    struct {
        struct timeouts *timeouts;
        struct timeout_command command;
        uint32_t index; /* in the record */
        uint32_t hash;
    } list[COMMANDS_AHEAD];
};

static void apply_ahead(struct commands_ahead *ahead,
                        const struct timeouts_moment *moment,
                        struct timeout_result *results)
{
    struct timeout_result result;
    for (uint32_t n = 0; n < ahead->count; n++) {
        timeouts_approach_timer(ahead->list[n].timeouts, ahead->list[n].hash);
    }
    for (uint32_t n = 0; n < ahead->count; n++) {
        timeouts_command(ahead->list[n].timeouts,
                         &ahead->list[n].command,
                         ahead->list[n].hash,
                         moment,
                         results != NULL ? &results[ahead->list[n].index] : &result);
    }
    ahead->count = 0;
}

/* Each owner does its own partitions' commands. */
static void apply_timeouts(struct engine *engine,
                           const struct record *record,
                           uint64_t frame_position,
                           struct timeout_result *results)
{
    struct timeouts_reader reader;
    struct timeout_result ignored;
    struct commands_ahead ahead;
    ahead.count = 0;
    CHECK(timeouts_open(record->body, &reader));
    const struct timeouts_moment moment = {
        frame_position + record->offset, reader.clock, reader.watermark};
    while (timeouts_next(&reader)) {
        CHECK(reader.partition < engine->limits.partitions);
        struct partition *partition = engine->partitions[reader.partition];
        if (partition == NULL) {
            continue;
        }
        uint32_t n = ahead.count;
        const struct timeout_command *command = &ahead.list[n].command;
        CHECK(timeout_command_read(&reader, &ahead.list[n].command));
        if (command->rule > 0) {
            struct timeout_result *result = results != NULL ? &results[reader.index] : &ignored;
            rules_command(engine, partition, command, &moment, result);
            continue;
        }
        ahead.count++;
        ahead.list[n].timeouts = &partition->timeouts;
        ahead.list[n].index = reader.index;
        ahead.list[n].hash = timeouts_approach_slot(&partition->timeouts, command->key);
        if (ahead.count == COMMANDS_AHEAD) {
            apply_ahead(&ahead, &moment, results);
        }
    }
    CHECK(!reader.commands.bad);
    apply_ahead(&ahead, &moment, results);
}

void engine_apply(struct engine *engine,
                  const struct record *record,
                  uint64_t frame_position,
                  struct applied *applied)
{
    struct define define;
    struct source source;
    struct lane_command command;
    uint32_t number;
    switch (record->kind) {
    case RECORD_EVENTS:
        intake_apply(engine, record, frame_position, applied);
        break;
    case RECORD_DEFINE:
        CHECK(define_read(record->body, &define));
        metrics_define(engine, &define, frame_position);
        break;
    case RECORD_DROP:
        CHECK(drop_read(record->body, &number));
        metrics_drop(engine, number);
        break;
    case RECORD_SOURCE:
        CHECK(source_read(record->body, &source));
        declare_lane(engine, &source);
        break;
    case RECORD_FORGET:
        CHECK(forget_read(record->body, &number));
        forget_lane(engine, number);
        break;
    case RECORD_LANE:
        CHECK(lane_command_read(record->body, &command));
        command_lane(engine, &command);
        break;
    case RECORD_TIMEOUTS:
        apply_timeouts(engine, record, frame_position, applied->results);
        break;
    case RECORD_RULE:
        CHECK(define_read(record->body, &define));
        rules_define(engine, &define, frame_position);
        break;
    case RECORD_RULE_DROP:
        CHECK(drop_read(record->body, &number));
        rules_drop(engine, number);
        break;
    case RECORD_GENESIS:
    case RECORD_CONSUMER:
    case RECORD_ANSWER:
        break;
    case RECORD_PULSE:
        UNREACHABLE("pulses come in two halves");
    }
}

const struct lane_state *engine_lane_of(const struct engine *engine, struct bytes source)
{
    for (uint32_t n = 0; n < engine->lane_count; n++) {
        if (engine->lanes[n].name.data != NULL && bytes_equal(engine->lanes[n].name, source)) {
            return &engine->lanes[n].state;
        }
    }
    return &engine->lanes[LANE_DEFAULT].state;
}

void engine_count_finals(struct engine *engine)
{
    engine->final_lanes = 0;
    for (uint32_t n = 0; n < engine->lane_count; n++) {
        engine->final_lanes += (engine->lanes[n].state.flags & LANE_FINAL) != 0;
    }
}

void engine_flush(struct engine *engine, const struct pulse *pulse)
{
    CHECK(pulse->ordinal == engine->pulse_ordinal + 1);
    bool waits = false;
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        if (engine->partitions[n] != NULL) {
            intake_flush(engine, engine->partitions[n], engine->deltas[pulse->ordinal & 1][n]);
            waits = waits || engine->partitions[n]->timeouts.pending_by_events > 0;
        }
    }
    engine->waits_by_events[pulse->ordinal & 1] = waits;
}

/* Something waits by the event clock, in any engine: the same answer in all of them. */
static bool anything_waits(const struct engine *engine,
                           const struct pulse *pulse,
                           struct engine *const *sources)
{
    bool waits = rules_wait_by_events(engine);
    for (uint32_t n = 0; sources != NULL && n < engine->limits.partitions; n++) {
        waits = waits || sources[n]->waits_by_events[pulse->ordinal & 1];
    }
    return waits;
}

static void read_lanes(struct engine *engine, const struct pulse *pulse)
{
    struct reader in = reader_of(pulse->lanes);
    struct lane_state state;
    for (uint32_t n = 0; n < pulse->lane_count; n++) {
        CHECK(pulse_next_lane(&in, &state));
        CHECK(state.lane < engine->lane_count);
        engine->lanes[state.lane].state = state;
    }
    engine_count_finals(engine);
}

void engine_pulse(struct engine *engine, const struct pulse *pulse, struct engine *const *sources)
{
    CHECK(pulse->ordinal == engine->pulse_ordinal + 1);
    for (uint32_t shard = 0; shard < engine->limits.partitions; shard++) {
        for (uint32_t n = 0; engine->partitions[shard] != NULL && n < engine->limits.partitions;
             n++) {
            const struct deltas *deltas = &sources[n]->deltas[pulse->ordinal & 1][n][shard];
            shard_apply(engine, engine->partitions[shard], buf_bytes(&deltas->buf));
        }
    }
    read_lanes(engine, pulse);
    engine->pulse_ordinal = pulse->ordinal;
    engine->pulse_flags = pulse->flags;
    if (pulse->clock.us > engine->clock.us) {
        engine->clock = pulse->clock;
    }
    engine->watermark = pulse->watermark;
    if (pulse->watermark != WATERMARK_FINAL && pulse->watermark > engine->finite_watermark) {
        engine->finite_watermark = pulse->watermark;
    }
    metrics_move(engine);
    rules_move(engine);
    struct partition *teller = engine->partitions[0];
    lagging_move(&engine->lagging,
                 pulse,
                 engine->clock,
                 anything_waits(engine, pulse, sources),
                 teller == NULL ? NULL : &teller->feed);
    int64_t keep = metrics_longest_reach(engine);
    const struct timeouts_time now = {
        .ordinal = pulse->ordinal,
        .position = pulse->position,
        .clock = engine->clock,
        .watermark = engine->watermark,
        .hold = (pulse->flags & PULSE_HOLD) != 0,
    };
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        if (engine->partitions[n] != NULL) {
            shard_move(engine, engine->partitions[n]);
            dedup_expire(&engine->partitions[n]->dedup, engine->finite_watermark, keep);
            feed_expire(&engine->partitions[n]->feed, engine->clock);
            timeouts_move(&engine->partitions[n]->timeouts, &now, &engine->partitions[n]->feed);
            rules_pulse(engine, engine->partitions[n], pulse, sources);
        }
    }
}

struct engine_due engine_next_due(const struct engine *engine)
{
    struct engine_due due = {INT64_MAX, INT64_MAX, lagging_next_due(&engine->lagging)};
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        if (engine->partitions[n] != NULL) {
            shard_next_due(engine, engine->partitions[n], &due);
            struct timeouts_due own = timeouts_next_due(&engine->partitions[n]->timeouts);
            due.clock = own.clock < due.clock ? own.clock : due.clock;
            due.all_lanes = own.watermark < due.all_lanes ? own.watermark : due.all_lanes;
            rules_next_due(engine, engine->partitions[n], &due);
        }
    }
    return due;
}

void engine_validate(const struct engine *engine)
{
    lagging_validate(&engine->lagging);
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct partition *partition = engine->partitions[n];
        if (partition == NULL) {
            continue;
        }
        CHECK(partition->heap.used_bytes <= partition->heap.limit_bytes);
        dedup_validate(&partition->dedup);
        timeouts_validate(&partition->timeouts);
        feed_validate(&partition->feed);
        watch_validate(&partition->watch, engine->rules, engine->rule_end);
        for (uint32_t place = 0; place < engine->metric_end; place++) {
            const struct metric_part *part = partition->parts[place];
            CHECK((part != NULL) == (engine->metrics[place].id != 0));
            for (uint32_t at = 0; part != NULL && at < part->window_count; at++) {
                CHECK(at == 0 || part->windows[at - 1].start < part->windows[at].start);
                rows_validate(&part->windows[at].rows);
            }
        }
    }
}
