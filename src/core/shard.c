/* Shard: see shard.h for a window's life.
 *
 * Invariants:
 *  1. Windows stand by rising start, each start once, and none is empty.
 *  2. A row of a closed window changes only together with its revision: once for each delta that
 *     brings events which were late, corrected.
 *  3. Rows beyond the metric's share of groups go to the window's overflow row,
 *     where they are seen. */
#include "core/shard.h"

#include "base/check.h"

#define GROUPS_SHARE_MIN  64
#define WINDOWS_MAX       (1u << 21) /* of a metric in one shard; what needs more is lost, and counted */
#define RETAIN_SLACK_PART 8 /* windows go in steps of an eighth of `retain`, not one by one */

bool window_is_closed(const struct metric *metric, int64_t start)
{
    bool sealed = metric->seal != WATERMARK_NONE && start <= metric->seal;
    return sealed || start + metric->definition.window_us <= metric->watermark;
}

bool window_is_final(const struct metric *metric, int64_t start)
{
    bool sealed = metric->seal != WATERMARK_NONE && start <= metric->seal;
    int64_t end = start + metric->definition.window_us;
    return sealed || time_add(end, metric->definition.lateness_us) <= metric->watermark;
}

int64_t window_span_us(const struct metric *metric, int64_t start)
{
    int64_t size = metric->definition.window_us;
    if (window_is_closed(metric, start) || metric->max_time >= start + size) {
        return size;
    }
    int64_t elapsed = metric->max_time == WATERMARK_NONE ? 0 : metric->max_time - start;
    int64_t least = size < US_PER_SECOND ? size : US_PER_SECOND;
    return elapsed > least ? elapsed : least;
}

uint32_t shard_window_from(const struct metric_part *part, int64_t start)
{
    uint32_t low = 0;
    uint32_t high = part->window_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (part->windows[middle].start < start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool windows_grow(struct partition *partition, struct metric_part *part)
{
    uint32_t cap = part->window_cap == 0 ? 8 : part->window_cap * 2;
    struct window *windows = heap_alloc(&partition->heap, cap * sizeof(struct window));
    if (windows == NULL) {
        return false;
    }
    if (part->window_count > 0) {
        memcpy(windows, part->windows, part->window_count * sizeof(struct window));
    }
    heap_free(&partition->heap, part->windows, part->window_cap * sizeof(struct window));
    part->windows = windows;
    part->window_cap = cap;
    return true;
}

/* The window that starts there, made if it is new; NULL when there are too many, or no memory is
 * left. */
static struct window *window_at(struct partition *partition,
                                struct metric_part *part,
                                const struct metric *metric,
                                int64_t start)
{
    uint32_t guess = part->last_window;
    if (guess < part->window_count && part->windows[guess].start == start) {
        return &part->windows[guess];
    }
    uint32_t at = shard_window_from(part, start);
    part->last_window = at;
    if (at < part->window_count && part->windows[at].start == start) {
        return &part->windows[at];
    }
    if (part->window_count == WINDOWS_MAX ||
        (part->window_count == part->window_cap && !windows_grow(partition, part))) {
        return NULL;
    }
    memmove(part->windows + at + 1,
            part->windows + at,
            (part->window_count - at) * sizeof(struct window));
    part->window_count++;
    part->windows[at].start = start;
    rows_init(&part->windows[at].rows, &partition->heap, metric->layout.total_bytes);
    return &part->windows[at];
}

/* How many groups of a window this shard may hold: its share, with room for uneven hashing. */
static uint32_t groups_share(const struct engine *engine, const struct metric *metric)
{
    uint32_t share = metric->definition.groups_max / engine->limits.partitions;
    share += share / 8;
    return share > GROUPS_SHARE_MIN ? share : GROUPS_SHARE_MIN;
}

static const uint8_t overflow_key[1] = {UINT8_MAX};
#define OVERFLOW_HASH UINT64_MAX

static struct row *overflow_row(struct rows *rows)
{
    struct bytes key = bytes_of(overflow_key, sizeof(overflow_key));
    struct row *row = rows_find(rows, key, OVERFLOW_HASH);
    row = row != NULL ? row : rows_add(rows, key, OVERFLOW_HASH);
    if (row != NULL) {
        row->flags |= ROW_OVERFLOW;
    }
    return row;
}

/* The row of a group, or the overflow row, or NULL. */
static struct row *row_of(struct rows *rows, struct bytes group, uint64_t hash, uint32_t share)
{
    bool named = !(group.len == 1 && group.data[0] == UINT8_MAX);
    struct row *row = named ? rows_find(rows, group, hash) : NULL;
    if (row == NULL && named && rows->row_count < share) {
        row = rows_add(rows, group, hash);
    }
    return row != NULL ? row : overflow_row(rows);
}

/* Removes a window that was made for a row that then found no memory. */
static void window_take_back(struct metric_part *part, struct window *window)
{
    if (window != NULL && window->rows.row_count == 0) {
        rows_deinit(&window->rows);
        part->window_count--;
        size_t behind = part->window_count - (size_t)(window - part->windows);
        memmove(window, window + 1, behind * sizeof(struct window));
    }
}

static void apply_delta(struct engine *engine, struct partition *partition, struct reader *in)
{
    uint16_t place = read_u16(in);
    uint64_t hash = read_u64(in);
    int64_t start = read_i64(in);
    struct bytes group = read_string(in);
    uint8_t corrects = read_u8(in);
    CHECK(!in->bad && place < engine->metric_end);
    const struct metric *metric = &engine->metrics[place];
    struct metric_part *part = partition->parts[place];
    struct window *window = window_at(partition, part, metric, start);
    struct row *row = NULL;
    if (window != NULL) {
        row = row_of(&window->rows, group, hash, groups_share(engine, metric));
    }
    if (row == NULL) {
        /* No memory, not even for the overflow row: read past the delta and say so. */
        _Alignas(8) uint8_t nowhere[DEFINITION_COLUMNS_MAX * 40] = {0};
        (void)accumulate_merge(&metric->layout, nowhere, &partition->heap, in);
        accumulate_release(&metric->layout, nowhere, &partition->heap);
        window_take_back(part, window);
        part->lost++;
        return;
    }
    part->overflowed += (row->flags & ROW_OVERFLOW) != 0;
    if (!accumulate_merge(&metric->layout, row->accumulators, &partition->heap, in)) {
        part->lost++;
    }
    row->revision += corrects;
}

void shard_apply(struct engine *engine, struct partition *partition, struct bytes deltas)
{
    struct reader in = reader_of(deltas);
    while (reader_left(&in) > 0) {
        apply_delta(engine, partition, &in);
        CHECK(!in.bad);
    }
}

static void
window_free(struct partition *partition, const struct metric *metric, struct window *window)
{
    struct rows_cursor cursor = {0};
    for (struct row *row;
         metric->layout.has_text && (row = rows_next(&window->rows, &cursor)) != NULL;) {
        accumulate_release(&metric->layout, row->accumulators, &partition->heap);
    }
    rows_deinit(&window->rows);
}

void shard_move(struct engine *engine, struct partition *partition)
{
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        const struct metric *metric = &engine->metrics[place];
        struct metric_part *part = partition->parts[place];
        if (metric->id == 0 || metric->watermark == WATERMARK_NONE ||
            metric->watermark == WATERMARK_FINAL) {
            continue;
        }
        /* What can still be corrected stays, however short the retention. */
        int64_t lateness = metric->definition.lateness_us;
        int64_t retain = metric->definition.retain_us;
        int64_t reach =
            time_add(metric->definition.window_us, lateness > retain ? lateness : retain);
        int64_t keep_from = time_add(metric->watermark, -reach) + 1;
        int64_t slack = retain / RETAIN_SLACK_PART;
        if (part->window_count == 0 || part->windows[0].start >= time_add(keep_from, -slack)) {
            continue;
        }
        uint32_t gone = shard_window_from(part, keep_from);
        for (uint32_t n = 0; n < gone; n++) {
            window_free(partition, metric, &part->windows[n]);
        }
        part->window_count -= gone;
        if (gone > 0) {
            memmove(
                part->windows, part->windows + gone, part->window_count * sizeof(struct window));
            part->last_window = 0;
        }
    }
}

/* The watermark at which the part's first window beyond `reach` passes it; INT64_MAX: none. */
static int64_t part_due(const struct metric_part *part, int64_t watermark, int64_t reach)
{
    int64_t from = watermark == WATERMARK_NONE ? INT64_MIN : time_add(watermark, -reach) + 1;
    uint32_t at = shard_window_from(part, from);
    return at < part->window_count ? time_add(part->windows[at].start, reach) : INT64_MAX;
}

void shard_next_due(const struct engine *engine,
                    const struct partition *partition,
                    struct engine_due *due)
{
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        const struct metric *metric = &engine->metrics[place];
        const struct metric_part *part = partition->parts[place];
        bool chosen = metric->definition.source_count > 0;
        if (metric->id == 0 || (chosen && !metric->by_clock)) {
            continue; /* chosen lanes that speak move by their events */
        }
        int64_t size = metric->definition.window_us;
        int64_t closes = part_due(part, metric->watermark, size);
        int64_t final =
            part_due(part, metric->watermark, time_add(size, metric->definition.lateness_us));
        int64_t own = closes < final ? closes : final;
        int64_t *least = chosen ? &due->by_clock : &due->all_lanes;
        *least = own < *least ? own : *least;
    }
}
