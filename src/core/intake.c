/* Intake: see intake.h for an event's way.
 *
 * Rows are taken in runs of RUN: all fingerprints of a run are computed and their slots prefetched
 * first, so that the cache misses of deduplication overlap (-34 ns per event).
 *
 * Invariants:
 *  1. An event changes a metric's panes at most once, and only after deduplication admitted it.
 *  2. fates: for each metric and unique event exactly one of them is counted. */
#include "core/intake.h"

#include "base/check.h"
#include "base/hash.h"
#include "core/signals.h"

#define RUN              16
#define KEY_WINDOW_BYTES 8

struct arrival {
    struct event event;
    struct partition *partition;
    bool final; /* its source had said that nothing would come any more */
    uint64_t fingerprint;
    int64_t watermark; /* over all lanes, just before it */
    struct log_place place;
};

int64_t intake_window_start(const struct definition *definition, int64_t time)
{
    int64_t origin = definition->origin_us;
    return time_floor(time - origin, definition->window_us) + origin;
}

enum fate intake_fate(const struct metric *metric, int64_t window_start, int64_t watermark)
{
    int64_t end = window_start + metric->definition.window_us;
    if (metric->seal != WATERMARK_NONE && window_start <= metric->seal) {
        return FATE_LATE_DROPPED;
    }
    if (end > watermark) {
        return FATE_COUNTED;
    }
    bool within = time_add(end, metric->definition.lateness_us) > watermark;
    return within ? FATE_LATE_CORRECTED : FATE_LATE_DROPPED;
}

bool intake_group_key(const struct definition *definition,
                      const struct event *event,
                      struct program_scratch *scratch,
                      struct buf *key)
{
    for (uint32_t n = 0; n < definition->group_count; n++) {
        program_put(definition->groups[n], event, scratch, key);
    }
    return !key->overflow;
}

static uint32_t shard_of(const struct engine *engine, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * engine->limits.partitions) >> 32);
}

/* The pane row of a key, made if it is new; NULL when there is no memory left. */
static struct row *pane_row(struct rows *panes, struct bytes key, uint64_t hash)
{
    struct row *row = rows_find(panes, key, hash);
    return row != NULL ? row : rows_add(panes, key, hash);
}

static void count_in_pane(struct engine *engine,
                          struct partition *partition,
                          uint32_t place,
                          const struct arrival *arrival,
                          int64_t window_start,
                          bool corrects)
{
    const struct metric *metric = &engine->metrics[place];
    struct metric_part *part = partition->parts[place];
    uint8_t memory[KEY_WINDOW_BYTES + ROW_KEY_MAX];
    struct buf key = buf_of(memory, sizeof(memory));
    buf_put_i64(&key, window_start);
    bool fits = intake_group_key(&metric->definition, &arrival->event, &engine->scratch, &key);
    if (!fits) {
        key = buf_of(memory, sizeof(memory));
        buf_put_i64(&key, window_start);
        buf_put_u8(&key, UINT8_MAX); /* no value begins so: the overflow row */
    }
    uint64_t hash = hash64(buf_bytes(&key), engine->limits.seed);
    struct row *row = pane_row(&part->panes, buf_bytes(&key), hash);
    if (row == NULL) {
        part->lost++;
        return;
    }
    row->flags |= (uint8_t)((fits ? 0 : ROW_OVERFLOW) | (corrects ? ROW_CORRECTED : 0));
    if (!accumulate_event(&metric->layout,
                          row->accumulators,
                          &partition->heap,
                          &arrival->event,
                          &engine->scratch)) {
        part->lost++;
    }
}

/* One metric takes one unique event; true when it came too late for it. */
static bool
metric_takes(struct engine *engine, uint32_t place, const struct arrival *arrival, bool countable)
{
    const struct metric *metric = &engine->metrics[place];
    struct metric_part *part = arrival->partition->parts[place];
    engine->scratch.used = 0;
    if (!program_passes(metric->definition.filter, &arrival->event, &engine->scratch)) {
        part->fates.filtered++;
        return false;
    }
    int64_t start = intake_window_start(&metric->definition, arrival->event.time.us);
    int64_t watermark =
        metric->definition.source_count == 0 ? arrival->watermark : metric->watermark;
    enum fate fate = countable ? intake_fate(metric, start, watermark) : FATE_LATE_DROPPED;
    switch (fate) {
    case FATE_COUNTED:
        part->fates.counted++;
        break;
    case FATE_LATE_CORRECTED:
        part->fates.late_corrected++;
        break;
    case FATE_LATE_DROPPED:
        part->fates.late_dropped++;
        return true;
    }
    count_in_pane(engine, arrival->partition, place, arrival, start, fate == FATE_LATE_CORRECTED);
    return false;
}

static void take(struct engine *engine, const struct arrival *arrival, struct applied *applied)
{
    struct partition *partition = arrival->partition;
    enum dedup_outcome outcome =
        dedup_admit(&partition->dedup, arrival->fingerprint, arrival->event.time.us);
    if (outcome == DEDUP_SEEN) {
        partition->duplicates++;
        applied->duplicates++;
        return;
    }
    bool verifiable = outcome == DEDUP_NEW;
    bool countable = verifiable && !arrival->final;
    partition->unique++;
    partition->unverifiable += !verifiable;
    if (engine->rule_end > 0) {
        const struct arrived arrived = {&arrival->event, &arrival->place, verifiable};
        signals_match(engine, partition, &arrived);
    }
    uint32_t late[METRICS_MAX];
    uint16_t late_count = 0;
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id != 0 && metric_takes(engine, place, arrival, countable)) {
            late[late_count++] = engine->metrics[place].id;
        }
    }
    if (late_count > 0) {
        applied->late++;
        late_add(&partition->late,
                 &arrival->place,
                 arrival->watermark,
                 late,
                 late_count,
                 &arrival->event);
    }
}

/* Asked once for each word of a batch, and only while some lane is final. */
static bool source_is_final(struct engine *engine, uint32_t word)
{
    if (engine->final_lanes == 0) {
        return false;
    }
    if (engine->word_lanes[word] == WORD_LANE_UNKNOWN) {
        const struct lane_state *lane = engine_lane_of(engine, engine->words[word].text);
        bool final = (lane->flags & LANE_FINAL) != 0;
        engine->word_lanes[word] = final ? WORD_LANE_FINAL : WORD_LANE_OPEN;
    }
    return engine->word_lanes[word] == WORD_LANE_FINAL;
}

static void
take_run(struct engine *engine, struct arrival *run, uint32_t count, struct applied *applied)
{
    for (uint32_t n = 0; n < count; n++) {
        struct arrival *arrival = &run[n];
        struct batch_word *source = &engine->words[arrival->event.source_index];
        arrival->final = source_is_final(engine, arrival->event.source_index);
        if (source->hash == 0) {
            source->hash = event_source_hash(source->text, engine->limits.seed);
        }
        arrival->fingerprint =
            event_fingerprint(source->hash, arrival->event.id, engine->limits.seed);
        dedup_prefetch(&arrival->partition->dedup, arrival->fingerprint);
    }
    for (uint32_t n = 0; n < count; n++) {
        take(engine, &run[n], applied);
    }
}

void intake_apply(struct engine *engine,
                  const struct record *record,
                  uint64_t frame_position,
                  struct applied *applied)
{
    struct batch batch;
    uint32_t word_count;
    CHECK(batch_open(record->body, &batch));
    CHECK(batch_read_words(&batch, engine->words, &word_count));
    memset(engine->word_lanes, WORD_LANE_UNKNOWN, word_count);
    struct arrival run[RUN];
    uint32_t count = 0;
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, &batch);
    struct batch_row row;
    while (batch_next_row(&cursor, &row)) {
        CHECK(row.partition < engine->limits.partitions);
        struct partition *partition = engine->partitions[row.partition];
        if (partition == NULL) {
            continue;
        }
        struct arrival *arrival = &run[count++];
        CHECK(batch_row_event(&batch, engine->words, word_count, &row, &arrival->event));
        arrival->partition = partition;
        arrival->watermark = cursor.watermark;
        arrival->place = (struct log_place){frame_position, record->offset, row.index};
        if (count == RUN) {
            take_run(engine, run, count, applied);
            count = 0;
        }
    }
    CHECK(cursor.row == batch.count);
    take_run(engine, run, count, applied);
}

/* Room for `need` more bytes; the deltas of a pulse are bounded by the events since the last one.
 */
static struct buf *deltas_room(struct deltas *deltas, size_t need)
{
    struct buf *buf = &deltas->buf;
    if (need > buf->cap - buf->len) {
        size_t cap = buf->cap == 0 ? 1024 : buf->cap * 2;
        while (cap - buf->len < need) {
            cap *= 2;
        }
        uint8_t *data = heap_alloc(deltas->heap, cap);
        CHECK(data != NULL);
        if (buf->len > 0) {
            memcpy(data, buf->data, buf->len);
        }
        heap_free(deltas->heap, buf->data, buf->cap);
        *buf = (struct buf){.data = data, .len = buf->len, .cap = cap};
    }
    return buf;
}

static void flush_metric(struct engine *engine,
                         struct partition *partition,
                         uint32_t place,
                         struct deltas *deltas)
{
    const struct accumulate_layout *layout = &engine->metrics[place].layout;
    struct metric_part *part = partition->parts[place];
    struct rows_cursor cursor = {0};
    for (struct row *row; (row = rows_next(&part->panes, &cursor)) != NULL;) {
        struct bytes key = row_key(&part->panes, row);
        struct bytes group = bytes_slice(key, KEY_WINDOW_BYTES, key.len - KEY_WINDOW_BYTES);
        uint64_t hash = group_hash(engine, place, group);
        size_t need = 32 + key.len + accumulate_put_max(layout, row->accumulators);
        struct buf *out = deltas_room(&deltas[shard_of(engine, hash)], need);
        buf_put_u16(out, (uint16_t)place);
        buf_put_u64(out, hash);
        buf_put(out, key.data, KEY_WINDOW_BYTES);
        buf_put_string(out, group);
        buf_put_u8(out, (row->flags & ROW_CORRECTED) != 0);
        accumulate_put(layout, row->accumulators, out);
        CHECK(!out->overflow);
        accumulate_release(layout, row->accumulators, &partition->heap);
    }
    rows_clear(&part->panes);
}

void intake_flush(struct engine *engine, struct partition *partition, struct deltas *deltas)
{
    for (uint32_t shard = 0; shard < engine->limits.partitions; shard++) {
        deltas[shard].heap = &engine->heap;
        deltas[shard].buf.len = 0;
    }
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id != 0) {
            flush_metric(engine, partition, place, deltas);
        }
    }
}
