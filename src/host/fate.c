/* Fate: see fate.h.
 *
 * Invariant: the engine's shared part is what the intakes' was at the same record, as far as the
 * kept log reaches back. */
#include "host/fate.h"

#include "base/check.h"
#include "core/intake.h"
#include "core/metrics.h"

#include <stdlib.h>

#define REGION_BYTES (16u << 20)

struct fate_search {
    struct engine engine;
    void *region;
};

static void define(struct fate_search *search, const struct metric_info *info)
{
    struct define define = {
        .metric = info->metric,
        .version = info->version,
        .created = info->created,
        .definition = info->definition,
    };
    metrics_define(&search->engine, &define, info->position);
}

struct fate_search *fate_begin(const struct metric_info *metrics, size_t count, uint64_t oldest)
{
    struct fate_search *search = calloc(1, sizeof(*search));
    void *region = aligned_alloc(64, REGION_BYTES);
    if (search == NULL || region == NULL) {
        free(search);
        free(region);
        return NULL;
    }
    search->region = region;
    /* No partition is owned, so the limits of state are never used. */
    struct engine_limits limits = {.partitions = 1};
    engine_init(&search->engine, &limits, region, REGION_BYTES);
    for (size_t n = 0; n < count; n++) {
        if (metrics[n].position < oldest) {
            define(search, &metrics[n]);
        }
    }
    return search;
}

void fate_end(struct fate_search *search)
{
    if (search != NULL) {
        free(search->region);
        free(search);
    }
}

static bool has_metric(const struct engine *engine, uint32_t id)
{
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id == id) {
            return true;
        }
    }
    return false;
}

static void follow_pulse(struct engine *engine, const struct record *record)
{
    struct pulse pulse;
    CHECK(pulse_read(record->body, &pulse));
    struct reader lanes = reader_of(pulse.lanes);
    struct lane_state state;
    for (uint32_t n = 0; n < pulse.lane_count && pulse_next_lane(&lanes, &state); n++) {
        if (state.lane >= engine->lane_count) { /* declared before the kept log */
            engine_reach_lane(engine, state.lane);
        }
    }
    engine->pulse_ordinal = pulse.ordinal - 1;
    engine_pulse(engine, &pulse, NULL);
}

void fate_follow(struct fate_search *search, const struct record *record, uint64_t frame_position)
{
    struct engine *engine = &search->engine;
    struct applied applied = {0};
    struct lane_command command;
    uint32_t number;
    switch (record->kind) {
    case RECORD_EVENTS:
    case RECORD_GENESIS:
    case RECORD_TIMEOUTS:
    case RECORD_RULE:
    case RECORD_RULE_DROP:
    case RECORD_CONSUMER:
    case RECORD_ANSWER:
        return;
    case RECORD_PULSE:
        follow_pulse(engine, record);
        return;
    case RECORD_DROP:
        if (!drop_read(record->body, &number) || !has_metric(engine, number)) {
            return;
        }
        break;
    case RECORD_FORGET:
        if (!forget_read(record->body, &number) || number >= engine->lane_count) {
            return;
        }
        break;
    case RECORD_LANE:
        if (!lane_command_read(record->body, &command) || command.lane >= engine->lane_count) {
            return;
        }
        break;
    case RECORD_DEFINE:
    case RECORD_SOURCE:
        break;
    }
    engine_apply(engine, record, frame_position, &applied);
}

static const char *fate_text(enum fate fate)
{
    switch (fate) {
    case FATE_COUNTED:
        return "counted";
    case FATE_LATE_CORRECTED:
        return "late_corrected";
    case FATE_LATE_DROPPED:
        return "late_dropped";
    }
    UNREACHABLE("a known fate");
}

void fate_tell(struct fate_search *search,
               const struct event *event,
               int64_t watermark,
               void (*tell)(void *ctx, struct bytes name, const char *fate, int64_t window_start),
               void *ctx)
{
    struct engine *engine = &search->engine;
    bool final = (engine_lane_of(engine, event->source)->flags & LANE_FINAL) != 0;
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        const struct metric *metric = &engine->metrics[place];
        if (metric->id == 0) {
            continue;
        }
        const struct definition *definition = &metric->definition;
        int64_t start = intake_window_start(definition, event->time.us);
        int64_t own = definition->source_count == 0 ? watermark : metric->watermark;
        engine->scratch.used = 0;
        bool passes = program_passes(definition->filter, event, &engine->scratch);
        enum fate fate = final ? FATE_LATE_DROPPED : intake_fate(metric, start, own);
        tell(ctx, definition->name, passes ? fate_text(fate) : "filtered", start);
    }
}
