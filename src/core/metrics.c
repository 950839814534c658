/* The table of metrics. A place in it is an index that partitions share; ids are never used twice,
 * places are.
 *
 * Invariants:
 *  1. Places are taken lowest first, so that the same log gives the same places.
 *  2. A metric's watermark never falls, but when a final lane of its is reopened; then `seal` keeps
 *     every window final that had been. */
#include "core/metrics.h"

#include "base/check.h"
#include "core/chosen.h"
#include "core/shard.h"

static uint32_t free_place(const struct engine *engine)
{
    for (uint32_t place = 0; place < METRICS_MAX; place++) {
        if (engine->metrics[place].id == 0) {
            return place;
        }
    }
    UNREACHABLE("a free place: the catalogue refuses the metric beyond METRICS_MAX");
}

static void parts_init(struct engine *engine, uint32_t place)
{
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        struct partition *partition = engine->partitions[n];
        if (partition != NULL) {
            struct metric_part *part = heap_alloc_zero(&partition->heap, sizeof(*part));
            CHECK(part != NULL);
            rows_init(&part->panes, &partition->heap, engine->metrics[place].layout.total_bytes);
            partition->parts[place] = part;
        }
    }
}

static void part_free(struct partition *partition, const struct metric *metric, uint32_t place)
{
    struct metric_part *part = partition->parts[place];
    for (uint32_t n = 0; n <= part->window_count; n++) {
        bool is_panes = n == part->window_count;
        struct rows *rows = is_panes ? &part->panes : &part->windows[n].rows;
        struct rows_cursor cursor = {0};
        for (struct row *row;
             metric->layout.has_text && (row = rows_next(rows, &cursor)) != NULL;) {
            accumulate_release(&metric->layout, row->accumulators, &partition->heap);
        }
        rows_deinit(rows);
    }
    heap_free(&partition->heap, part->windows, part->window_cap * sizeof(struct window));
    heap_free(&partition->heap, part, sizeof(*part));
    partition->parts[place] = NULL;
}

void metrics_drop(struct engine *engine, uint32_t id)
{
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        struct metric *metric = &engine->metrics[place];
        if (metric->id != id) {
            continue;
        }
        for (uint32_t n = 0; n < engine->limits.partitions; n++) {
            if (engine->partitions[n] != NULL) {
                part_free(engine->partitions[n], metric, place);
            }
        }
        heap_free(&engine->heap, bytes_owned(metric->encoded), metric->encoded.len);
        *metric = (struct metric){0};
        return;
    }
    UNREACHABLE("a metric that exists: the catalogue refuses others");
}

static void metric_move(const struct engine *engine, struct metric *metric, int64_t latest)
{
    const struct definition *definition = &metric->definition;
    struct chosen chosen =
        chosen_lanes(engine, definition->sources, definition->source_count, latest);
    int64_t watermark = chosen.watermark;
    int64_t max_time = chosen.max_time;
    metric->by_clock = chosen.by_clock;
    bool reopened = metric->watermark == WATERMARK_FINAL;
    metric->watermark = watermark > metric->watermark || reopened ? watermark : metric->watermark;
    metric->max_time = max_time > metric->max_time ? max_time : metric->max_time;
    if (metric->watermark == WATERMARK_FINAL && metric->max_time > metric->seal) {
        metric->seal = metric->max_time;
    }
}

void metrics_move(struct engine *engine)
{
    int64_t latest = chosen_latest_time(engine);
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id != 0) {
            metric_move(engine, &engine->metrics[place], latest);
        }
    }
}

void metrics_define(struct engine *engine, const struct define *define, uint64_t frame_position)
{
    uint32_t place = free_place(engine);
    struct metric *metric = &engine->metrics[place];
    uint8_t *encoded = heap_alloc(&engine->heap, define->definition.len);
    CHECK(encoded != NULL);
    memcpy(encoded, define->definition.data, define->definition.len);
    *metric = (struct metric){
        .id = define->metric,
        .version = define->version,
        .position = frame_position,
        .created = define->created,
        .encoded = bytes_of(encoded, define->definition.len),
        .watermark = WATERMARK_NONE,
        .max_time = WATERMARK_NONE,
        .seal = WATERMARK_NONE,
    };
    CHECK(metric->id != 0);
    CHECK(definition_read(metric->encoded, &metric->definition));
    accumulate_layout_init(&metric->layout, &metric->definition);
    engine->metric_end = place >= engine->metric_end ? place + 1 : engine->metric_end;
    parts_init(engine, place);
    /* The new one only: the others go by the last pulse, which has not yet handed over all that was
     * counted since. */
    metric_move(engine, metric, chosen_latest_time(engine));
}

int64_t metrics_longest_reach(const struct engine *engine)
{
    int64_t longest = 0;
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        const struct metric *metric = &engine->metrics[place];
        if (metric->id != 0) {
            int64_t own = metric->definition.window_us + metric->definition.lateness_us;
            longest = own > longest ? own : longest;
        }
    }
    return longest;
}

struct metric *engine_metric(struct engine *engine, struct bytes name)
{
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        struct metric *metric = &engine->metrics[place];
        if (metric->id != 0 && bytes_equal(metric->definition.name, name)) {
            return metric;
        }
    }
    return NULL;
}
