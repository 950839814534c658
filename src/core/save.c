/* The engine's state as bytes and back (docs/formats/snapshot.md has the layout).
 *
 * Taken at a pulse, when all panes are empty. Rows are written in their order of arrival and put
 * back in it, so a restored engine goes on exactly as the saved one would have. The digest is the
 * hash of the same bytes, with an order-free sum in place of the deduplication tables, whose layout
 * depends on when they were last rebuilt.
 *
 * Invariant: load(save(x)) has the digest of x. */
#include "base/check.h"
#include "base/hash.h"
#include "core/engine.h"
#include "core/metrics.h"
#include "core/rules.h"

#define HOLDING (1u << 31) /* beside the number of lanes: an episode of HOLD comes before them */

void engine_save_shared(struct engine *engine, struct writer *out)
{
    write_u64(out, engine->pulse_ordinal);
    write_i64(out, engine->clock.us);
    write_i64(out, engine->watermark);
    write_i64(out, engine->finite_watermark);
    write_u32(out, engine->lane_count | (engine->lagging.holding ? HOLDING : 0));
    if (engine->lagging.holding) {
        lagging_save(&engine->lagging, out);
    }
    for (uint32_t n = 0; n < engine->lane_count; n++) {
        const struct lane *lane = &engine->lanes[n];
        write_u32(out, lane->state.flags);
        write_i64(out, lane->state.watermark);
        write_i64(out, lane->state.max_time);
        write_string(out, lane->name);
    }
    write_u32(out, engine->metric_end);
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        const struct metric *metric = &engine->metrics[place];
        write_u32(out, metric->id);
        if (metric->id == 0) {
            continue;
        }
        write_u32(out, metric->version);
        write_u64(out, metric->position);
        write_i64(out, metric->created.us);
        write_i64(out, metric->watermark);
        write_i64(out, metric->max_time);
        write_i64(out, metric->seal);
        write_string(out, metric->encoded);
    }
    /* A log without rules keeps the digest that it had before there were any. */
    if (!out->digest || engine->rule_end > 0) {
        rules_save(engine, out);
    }
}

static struct bytes load_text(struct heap *heap, struct loader *in, uint32_t len_max)
{
    uint32_t len = load_u32(in);
    uint8_t *text = (in->bad || len > len_max || len == 0) ? NULL : heap_alloc(heap, len);
    if (text == NULL) {
        in->bad = in->bad || len != 0;
        return (struct bytes){0};
    }
    load_bytes(in, text, len);
    return bytes_of(text, len);
}

static bool load_metric(struct engine *engine, uint32_t place, struct loader *in)
{
    struct metric *metric = &engine->metrics[place];
    *metric = (struct metric){.id = load_u32(in)};
    if (metric->id == 0) {
        return !in->bad;
    }
    metric->version = load_u32(in);
    metric->position = load_u64(in);
    metric->created.us = load_i64(in);
    metric->watermark = load_i64(in);
    metric->max_time = load_i64(in);
    metric->seal = load_i64(in);
    metric->encoded = load_text(&engine->heap, in, DEFINITION_BYTES_MAX);
    if (in->bad || !definition_read(metric->encoded, &metric->definition)) {
        return false;
    }
    accumulate_layout_init(&metric->layout, &metric->definition);
    return true;
}

bool engine_load_shared(struct engine *engine, struct loader *in)
{
    engine->pulse_ordinal = load_u64(in);
    engine->clock.us = load_i64(in);
    engine->watermark = load_i64(in);
    engine->finite_watermark = load_i64(in);
    uint32_t count = load_u32(in);
    engine->lane_count = count & ~HOLDING;
    bool holding = (count & HOLDING) != 0;
    if (in->bad || engine->lane_count > LANES_MAX ||
        (holding && !lagging_load(&engine->lagging, in))) {
        return false;
    }
    for (uint32_t n = 0; n < engine->lane_count; n++) {
        struct lane *lane = &engine->lanes[n];
        lane->state = (struct lane_state){.lane = n};
        lane->state.flags = (uint8_t)load_u32(in);
        lane->state.watermark = load_i64(in);
        lane->state.max_time = load_i64(in);
        lane->name = load_text(&engine->heap, in, SOURCE_NAME_MAX);
    }
    engine_count_finals(engine);
    uint32_t metric_end = load_u32(in);
    if (in->bad || metric_end > METRICS_MAX) {
        return false;
    }
    for (uint32_t place = 0; place < metric_end; place++) {
        if (!load_metric(engine, place, in)) {
            return false;
        }
    }
    engine->metric_end = metric_end;
    return rules_load(engine, in) && !in->bad;
}

static struct bytes copy_text(struct heap *heap, struct bytes text)
{
    uint8_t *copy = text.len == 0 ? NULL : heap_alloc(heap, text.len);
    CHECK(copy != NULL || text.len == 0);
    if (copy != NULL) {
        memcpy(copy, text.data, text.len);
    }
    return bytes_of(copy, text.len);
}

void engine_copy_shared(struct engine *engine, const struct engine *other)
{
    CHECK(engine->metric_end == 0);
    engine->pulse_ordinal = other->pulse_ordinal;
    engine->clock = other->clock;
    engine->watermark = other->watermark;
    engine->finite_watermark = other->finite_watermark;
    engine->lagging = other->lagging;
    engine->lane_count = other->lane_count;
    for (uint32_t n = 0; n < other->lane_count; n++) {
        engine->lanes[n].state = other->lanes[n].state;
        engine->lanes[n].name = copy_text(&engine->heap, other->lanes[n].name);
    }
    engine_count_finals(engine);
    engine->metric_end = other->metric_end;
    for (uint32_t place = 0; place < other->metric_end; place++) {
        struct metric *metric = &engine->metrics[place];
        *metric = other->metrics[place];
        if (metric->id != 0) {
            metric->encoded = copy_text(&engine->heap, metric->encoded);
            CHECK(definition_read(metric->encoded, &metric->definition));
            accumulate_layout_init(&metric->layout, &metric->definition);
        }
    }
    rules_copy(engine, other);
}

static void
save_rows(const struct accumulate_layout *layout, const struct rows *rows, struct writer *out)
{
    write_u32(out, rows->row_count);
    struct rows_cursor cursor = {0};
    for (struct row *row; (row = rows_next(rows, &cursor)) != NULL;) {
        size_t need = 32 + row->key_len + accumulate_put_max(layout, row->accumulators);
        struct buf *buf = writer_room(out, need + sizeof(uint32_t));
        size_t at = buf->len;
        buf_put_u32(buf, 0);
        buf_put_u32(buf, row->revision);
        buf_put_u8(buf, row->flags);
        buf_put_string(buf, row_key(rows, row));
        accumulate_put(layout, row->accumulators, buf);
        CHECK(!buf->overflow);
        buf_set_length(buf, at);
    }
}

#define ROW_BYTES_MAX (ROW_KEY_MAX + DEFINITION_COLUMNS_MAX * (ACCUMULATE_TEXT_MAX + 64))

/* hash: the rows' own function of their keys, as intake and shard use it. */
static bool load_row(const struct engine *engine,
                     uint32_t place,
                     struct partition *partition,
                     struct rows *rows,
                     struct reader *in)
{
    uint32_t revision = read_u32(in);
    uint8_t flags = read_u8(in);
    struct bytes key = read_string(in);
    if (in->bad || key.len > ROW_KEY_MAX) {
        return false;
    }
    uint64_t hash = (flags & ROW_OVERFLOW) != 0 ? UINT64_MAX : group_hash(engine, place, key);
    struct row *row = rows_add(rows, key, hash);
    if (row == NULL) {
        return false;
    }
    row->revision = revision;
    row->flags = flags;
    const struct accumulate_layout *layout = &engine->metrics[place].layout;
    return accumulate_merge(layout, row->accumulators, &partition->heap, in) && !in->bad &&
           reader_left(in) == 0;
}

static bool load_rows(struct engine *engine,
                      uint32_t place,
                      struct partition *partition,
                      struct rows *rows,
                      struct loader *in)
{
    uint32_t count = load_u32(in);
    /* The row buffer is borrowed from the evaluator: nothing is evaluated while loading. */
    uint8_t *memory = engine->scratch.data;
    _Static_assert(ROW_BYTES_MAX <= PROGRAM_SCRATCH_BYTES, "any row fits");
    for (uint32_t n = 0; n < count; n++) {
        uint32_t len = load_u32(in);
        if (in->bad || len > PROGRAM_SCRATCH_BYTES) {
            return false;
        }
        load_bytes(in, memory, len);
        struct reader reader = reader_of(bytes_of(memory, len));
        if (in->bad || !load_row(engine, place, partition, rows, &reader)) {
            return false;
        }
    }
    return true;
}

static void
save_part(const struct metric *metric, const struct metric_part *part, struct writer *out)
{
    CHECK(part->panes.row_count == 0);
    write_u64(out, part->fates.counted);
    write_u64(out, part->fates.filtered);
    write_u64(out, part->fates.late_corrected);
    write_u64(out, part->fates.late_dropped);
    write_u64(out, part->overflowed);
    write_u64(out, part->lost);
    write_u32(out, part->window_count);
    for (uint32_t n = 0; n < part->window_count; n++) {
        write_i64(out, part->windows[n].start);
        save_rows(&metric->layout, &part->windows[n].rows, out);
    }
}

static bool
load_part(struct engine *engine, uint32_t place, struct partition *partition, struct loader *in)
{
    const struct metric *metric = &engine->metrics[place];
    struct metric_part *part = heap_alloc_zero(&partition->heap, sizeof(*part));
    if (part == NULL) {
        return false;
    }
    partition->parts[place] = part;
    rows_init(&part->panes, &partition->heap, metric->layout.total_bytes);
    part->fates.counted = load_u64(in);
    part->fates.filtered = load_u64(in);
    part->fates.late_corrected = load_u64(in);
    part->fates.late_dropped = load_u64(in);
    part->overflowed = load_u64(in);
    part->lost = load_u64(in);
    uint32_t count = load_u32(in);
    if (in->bad) {
        return false;
    }
    part->windows = heap_alloc(&partition->heap, (size_t)count * sizeof(struct window));
    part->window_cap = count;
    if (count > 0 && part->windows == NULL) {
        return false;
    }
    for (uint32_t n = 0; n < count; n++) {
        struct window *window = &part->windows[n];
        window->start = load_i64(in);
        rows_init(&window->rows, &partition->heap, metric->layout.total_bytes);
        part->window_count = n + 1;
        if (!load_rows(engine, place, partition, &window->rows, in)) {
            return false;
        }
    }
    return true;
}

void engine_save_partition(struct engine *engine, uint32_t number, struct writer *out)
{
    const struct partition *partition = engine->partitions[number];
    CHECK(partition != NULL);
    write_u32(out, number);
    write_u64(out, partition->unique);
    write_u64(out, partition->duplicates);
    write_u64(out, partition->unverifiable);
    dedup_save(&partition->dedup, out);
    late_save(&partition->late, out);
    /* A log without timeouts keeps the digest that it had before there were any. */
    if (!out->digest || timeouts_were_used(&partition->timeouts) ||
        partition->feed.newest.ordinal > 0) {
        timeouts_save(&partition->timeouts, out);
        feed_save(&partition->feed, out);
    }
    if (!out->digest || engine->rule_end > 0) {
        watch_save(&partition->watch, out);
    }
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id != 0) {
            save_part(&engine->metrics[place], partition->parts[place], out);
        }
    }
}

bool engine_load_partition(struct engine *engine, uint32_t number, struct loader *in)
{
    struct partition *partition = engine->partitions[number];
    CHECK(partition != NULL);
    if (load_u32(in) != number) {
        return false;
    }
    partition->unique = load_u64(in);
    partition->duplicates = load_u64(in);
    partition->unverifiable = load_u64(in);
    if (!dedup_load(&partition->dedup, in) || !late_load(&partition->late, in) ||
        !timeouts_load(&partition->timeouts, in) || !feed_load(&partition->feed, in) ||
        partition->feed.newest.ordinal > engine->pulse_ordinal) {
        return false;
    }
    if (!watch_load(&partition->watch, engine->rules, engine->rule_end, in)) {
        return false;
    }
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id != 0 && !load_part(engine, place, partition, in)) {
            return false;
        }
    }
    return !in->bad;
}
