/* Reading an engine: see read.h.
 *
 * Values are read between two records, so an answer is of one moment; across runners the moments
 * may differ by a pulse, never a row within itself. */
#include "host/read.h"

#include "base/check.h"
#include "base/json.h"
#include "core/shard.h"
#include "host/grow.h"
#include "host/result.h"
#include "host/select.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_BYTES_FIRST 4096
#define SELECTED_MAX       1000000

/* A query with its columns resolved against the metric. */
struct plan {
    const struct query *query;
    const struct metric *metric;
    const struct output_column *filters[QUERY_FILTERS_MAX];
    const struct output_column *order; /* NULL: by window start */
    struct selection selection;
};

/* A row decoded: offsets are from its first byte. */
struct decoded {
    struct value values[DEFINITION_COLUMNS_MAX]; /* by output column */
    uint32_t offsets[DEFINITION_COLUMNS_MAX];
};

static void fail(struct query_answer *answer, enum err err, const char *text, struct bytes name)
{
    answer->err = err;
    (void)snprintf(answer->detail,
                   sizeof(answer->detail),
                   "%s: %.*s",
                   text,
                   (int)(name.len < 64 ? name.len : 64),
                   (const char *)name.data);
}

static const struct output_column *column_named(const struct definition *definition,
                                                struct bytes name)
{
    for (uint32_t n = 0; n < definition->column_count; n++) {
        if (bytes_equal(definition->columns[n].name, name)) {
            return &definition->columns[n];
        }
    }
    return NULL;
}

static bool plan_init(struct plan *plan,
                      const struct query *query,
                      const struct metric *metric,
                      struct query_answer *answer)
{
    const struct definition *definition = &metric->definition;
    *plan = (struct plan){.query = query, .metric = metric};
    for (size_t n = 0; n < query->filter_count; n++) {
        plan->filters[n] = column_named(definition, query->filters[n].column);
        if (plan->filters[n] == NULL) {
            fail(answer,
                 ERR_UNKNOWN_MEMBER,
                 "not a column of this metric",
                 query->filters[n].column);
            return false;
        }
    }
    if (query->order_column.len > 0 && !bytes_equal(query->order_column, BYTES("window_start"))) {
        plan->order = column_named(definition, query->order_column);
        if (plan->order == NULL) {
            fail(answer,
                 ERR_UNKNOWN_MEMBER,
                 "order_by: not a column of this metric",
                 query->order_column);
            return false;
        }
    }
    uint64_t keep = query->offset + query->limit;
    if (keep > SELECTED_MAX) {
        fail(answer,
             ERR_LIMIT,
             "too many rows to skip; narrow the query by from, to or a column",
             query->metric);
        return false;
    }
    selection_init(&plan->selection, keep, query->descending, READ_BYTES_MAX);
    return true;
}

/* Appends the row's bytes; false when there is no room left. */
static bool encode_row(struct plan *plan, const struct window *window, const struct row *row)
{
    const struct metric *metric = plan->metric;
    size_t need = 64 + row->key_len + metric->definition.aggregate_count * 32u +
                  accumulate_put_max(&metric->layout, row->accumulators);
    struct buf *out = selection_room(&plan->selection, need);
    if (out == NULL) {
        return false;
    }
    size_t start = out->len;
    uint8_t flags = (uint8_t)((window_is_closed(metric, window->start) ? RESULT_CLOSED : 0) |
                              (window_is_final(metric, window->start) ? RESULT_FINAL : 0) |
                              ((row->flags & ROW_OVERFLOW) != 0 ? RESULT_OVERFLOW : 0));
    buf_put_u32(out, 0);
    buf_put_i64(out, window->start);
    buf_put_i64(out, window->start + metric->definition.window_us);
    buf_put_u8(out, flags);
    buf_put_u32(out, row->revision);
    bool overflow = (row->flags & ROW_OVERFLOW) != 0;
    if (overflow) {
        buf_put_varint(out, metric->definition.group_count);
        for (uint32_t n = 0; n < metric->definition.group_count; n++) {
            value_put(out, (struct value){.kind = VALUE_NULL});
        }
    } else {
        buf_put_string(out, row_key(&window->rows, row));
    }
    int64_t span = window_span_us(metric, window->start);
    for (uint32_t n = 0; n < metric->definition.aggregate_count; n++) {
        value_put(out, accumulate_result(&metric->layout, row->accumulators, n, span));
    }
    CHECK(!out->overflow);
    buf_set_length(out, start);
    return true;
}

static void
decode_row(const struct definition *definition, struct bytes raw, struct decoded *decoded)
{
    struct value groups[DEFINITION_COLUMNS_MAX];
    struct value results[DEFINITION_COLUMNS_MAX];
    uint32_t group_offsets[DEFINITION_COLUMNS_MAX];
    uint32_t result_offsets[DEFINITION_COLUMNS_MAX];
    struct reader in = reader_of(raw);
    (void)read_bytes(&in, 25); /* length, start, end, flags, revision */
    (void)read_varint(&in);    /* length of the group key */
    for (uint32_t n = 0; n < definition->group_count; n++) {
        group_offsets[n] = (uint32_t)(in.at - raw.data);
        CHECK(value_read(&in, &groups[n]));
    }
    for (uint32_t n = 0; n < definition->aggregate_count; n++) {
        result_offsets[n] = (uint32_t)(in.at - raw.data);
        CHECK(value_read(&in, &results[n]));
    }
    for (uint32_t n = 0; n < definition->column_count; n++) {
        const struct output_column *column = &definition->columns[n];
        decoded->values[n] = column->is_group ? groups[column->index] : results[column->index];
        decoded->offsets[n] =
            column->is_group ? group_offsets[column->index] : result_offsets[column->index];
    }
}

static bool matches(struct value value, struct bytes text)
{
    struct decimal number;
    int64_t time;
    switch (value.kind) {
    case VALUE_NULL:
        return text.len == 0;
    case VALUE_BOOL:
        return bytes_equal(text, value.boolean ? BYTES("true") : BYTES("false"));
    case VALUE_TEXT:
        return bytes_equal(value.text, text);
    case VALUE_TIME:
        return timestamp_parse(text, &time) == OK && time == value.time_us;
    case VALUE_NUMBER:
    case VALUE_DOUBLE: {
        struct json_scanner scanner = json_scanner_of(text);
        struct json_value number_text;
        if (json_value(&scanner, &number_text) != OK || json_end(&scanner) != OK ||
            number_text.kind != JSON_NUMBER || !decimal_parse(number_text.text, &number)) {
            return false;
        }
        struct value wanted = {.kind = VALUE_DOUBLE, .real = number.real};
        if (number.exact) {
            wanted = (struct value){.kind = VALUE_NUMBER, .nano = number.nano};
        }
        bool comparable = false;
        return value_compare(value, wanted, &comparable) == 0 && comparable;
    }
    }
    UNREACHABLE("a known kind");
}

static void consider(struct plan *plan, const struct window *window, const struct row *row)
{
    const struct definition *definition = &plan->metric->definition;
    size_t start = plan->selection.rows.len;
    if (!encode_row(plan, window, row)) {
        return;
    }
    uint32_t order_offset = 0;
    if (plan->order != NULL || plan->query->filter_count > 0) {
        struct decoded decoded;
        struct buf *rows = &plan->selection.rows;
        decode_row(definition, bytes_of(rows->data + start, rows->len - start), &decoded);
        for (size_t n = 0; n < plan->query->filter_count; n++) {
            size_t column = (size_t)(plan->filters[n] - definition->columns);
            if (!matches(decoded.values[column], plan->query->filters[n].text)) {
                rows->len = start;
                return;
            }
        }
        if (plan->order != NULL) {
            order_offset = decoded.offsets[plan->order - definition->columns];
        }
    }
    selection_add(&plan->selection, start, window->start, order_offset);
}

static void read_window(struct plan *plan, const struct window *window)
{
    struct rows_cursor cursor = {0};
    for (struct row *row;
         plan->selection.err == OK && (row = rows_next(&window->rows, &cursor)) != NULL;) {
        consider(plan, window, row);
    }
}

static bool window_wanted(const struct plan *plan, const struct window *window)
{
    const struct query *query = plan->query;
    bool final_only = query->final_only || query->window == WINDOW_LATEST_FINAL;
    return window->start >= query->from && window->start < query->to &&
           (!final_only || window_is_final(plan->metric, window->start));
}

/* The newest wanted window of any partition of this engine; INT64_MIN when there is none. */
static int64_t latest_start(const struct plan *plan, const struct engine *engine, uint32_t place)
{
    int64_t latest = INT64_MIN;
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct partition *partition = engine->partitions[n];
        const struct metric_part *part = partition == NULL ? NULL : partition->parts[place];
        for (uint32_t at = part == NULL ? 0 : part->window_count; at-- > 0;) {
            if (window_wanted(plan, &part->windows[at])) {
                latest = part->windows[at].start > latest ? part->windows[at].start : latest;
                break;
            }
        }
    }
    return latest;
}

static void read_part(struct plan *plan, const struct metric_part *part, int64_t only_start)
{
    uint64_t before = plan->selection.added;
    for (uint32_t at = shard_window_from(part, plan->query->from);
         at < part->window_count && part->windows[at].start < plan->query->to;
         at++) {
        const struct window *window = &part->windows[at];
        bool latest = plan->query->window == WINDOW_ANY || window->start == only_start;
        if (latest && window_wanted(plan, window)) {
            read_window(plan, window);
        }
        bool in_order = plan->order == NULL && !plan->query->descending;
        if (in_order && plan->selection.added - before >= plan->selection.keep) {
            return; /* what follows in this part comes after all of these */
        }
    }
}

static bool put_definition(const struct metric *metric, struct query_answer *answer)
{
    answer->definition = malloc(metric->encoded.len);
    if (answer->definition == NULL) {
        return false;
    }
    memcpy(answer->definition, metric->encoded.data, metric->encoded.len);
    answer->definition_len = metric->encoded.len;
    answer->version = metric->version;
    answer->watermark = metric->watermark;
    return true;
}

static void
read_values(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    const struct metric *metric = engine_metric(engine, query->metric);
    if (metric == NULL) {
        fail(answer, ERR_UNKNOWN_METRIC, "there is no such metric", query->metric);
        return;
    }
    struct plan plan;
    if (!put_definition(metric, answer) || !plan_init(&plan, query, metric, answer)) {
        answer->err = answer->err == OK ? ERR_UNAVAILABLE : answer->err;
        return;
    }
    uint32_t place = (uint32_t)(metric - engine->metrics);
    int64_t only = query->window == WINDOW_ANY ? 0 : latest_start(&plan, engine, place);
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        if (engine->partitions[n] != NULL) {
            read_part(&plan, engine->partitions[n]->parts[place], only);
        }
    }
    answer->rows = selection_take(&plan.selection, &answer->row_count);
    if (plan.selection.err != OK) {
        fail(answer,
             plan.selection.err,
             plan.selection.err == ERR_LIMIT
                 ? "the answer is too large; narrow it by from, to or a column"
                 : "there was no memory for the answer",
             query->metric);
    }
    selection_deinit(&plan.selection);
}

/* --- the late stream --- */

struct buf *answer_room(struct query_answer *answer, size_t need)
{
    enum err err = buf_grow(&answer->rows, need, ANSWER_BYTES_FIRST, READ_BYTES_MAX);
    if (err != OK) {
        answer->err = err;
        return NULL;
    }
    return &answer->rows;
}

static const struct metric *metric_by_id(const struct engine *engine, uint32_t id)
{
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id == id) {
            return &engine->metrics[place];
        }
    }
    return NULL; /* dropped since */
}

/* Names of the entry's metrics that still exist, comma separated; *wanted when `only` is among. */
static void late_names(const struct engine *engine,
                       struct reader ids,
                       struct bytes only,
                       struct buf *names,
                       bool *wanted)
{
    *wanted = only.data == NULL;
    while (reader_left(&ids) > 0) {
        const struct metric *metric = metric_by_id(engine, read_u32(&ids));
        if (metric == NULL) {
            continue;
        }
        if (names->len > 0) {
            buf_put_u8(names, ',');
        }
        buf_put_bytes(names, metric->definition.name);
        *wanted = *wanted || bytes_equal(metric->definition.name, only);
    }
}

static void read_late_entry(const struct engine *engine,
                            const struct query *query,
                            const struct late_entry *entry,
                            struct query_answer *answer)
{
    struct reader in = reader_of(bytes_of(entry->bytes, entry->len));
    struct bytes place = read_bytes(&in, 24); /* frame, record, row, watermark */
    uint16_t metric_count = read_u16(&in);
    struct bytes ids = read_bytes(&in, metric_count * sizeof(uint32_t));
    struct event event;
    CHECK(event_read(&in, &event));
    if (event.time.us < query->from || event.time.us >= query->to) {
        return;
    }
    uint8_t memory[4096];
    struct buf names = buf_of(memory, sizeof(memory));
    bool wanted;
    late_names(engine, reader_of(ids), query->metric, &names, &wanted);
    struct buf *out = wanted ? answer_room(answer, 64 + entry->len + names.len + ids.len) : NULL;
    if (out == NULL) {
        return;
    }
    size_t start = out->len;
    buf_put_u32(out, 0);
    buf_put_bytes(out, place);
    buf_put_u16(out, metric_count);
    buf_put_bytes(out, ids);
    buf_put_string(out, buf_bytes(&names));
    event_put(out, &event);
    CHECK(!out->overflow);
    buf_set_length(out, start);
    answer->row_count++;
}

static void read_late(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    if (query->metric.data != NULL && engine_metric(engine, query->metric) == NULL) {
        fail(answer, ERR_UNKNOWN_METRIC, "there is no such metric", query->metric);
        return;
    }
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct late_entry *entry =
            engine->partitions[n] == NULL ? NULL : engine->partitions[n]->late.first;
        for (; entry != NULL && answer->err == OK; entry = entry->next) {
            read_late_entry(engine, query, entry, answer);
        }
    }
}

/* --- counters --- */

void answer_stat(struct query_answer *answer, const char *name, struct bytes of, uint64_t value)
{
    struct bytes text = bytes_of_string(name);
    struct buf *out = answer_room(answer, 32 + text.len + of.len);
    if (out == NULL) {
        return;
    }
    size_t start = out->len;
    buf_put_u32(out, 0);
    buf_put_string(out, text);
    buf_put_string(out, of);
    buf_put_i64(out, (int64_t)value);
    buf_set_length(out, start);
    answer->row_count++;
}

static void
read_metric_stats(const struct engine *engine, uint32_t place, struct query_answer *answer)
{
    struct metric_part sum = {0};
    uint64_t rows = 0;
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        if (engine->partitions[n] == NULL) {
            continue;
        }
        const struct metric_part *part = engine->partitions[n]->parts[place];
        sum.fates.counted += part->fates.counted;
        sum.fates.filtered += part->fates.filtered;
        sum.fates.late_corrected += part->fates.late_corrected;
        sum.fates.late_dropped += part->fates.late_dropped;
        sum.overflowed += part->overflowed;
        sum.lost += part->lost;
        for (uint32_t at = 0; at < part->window_count; at++) {
            rows += part->windows[at].rows.row_count;
        }
    }
    struct bytes name = engine->metrics[place].definition.name;
    answer_stat(answer, "counted", name, sum.fates.counted);
    answer_stat(answer, "filtered", name, sum.fates.filtered);
    answer_stat(answer, "late_corrected", name, sum.fates.late_corrected);
    answer_stat(answer, "late_dropped", name, sum.fates.late_dropped);
    answer_stat(answer, "overflowed", name, sum.overflowed);
    answer_stat(answer, "lost", name, sum.lost);
    answer_stat(answer, "rows", name, rows);
}

static void
read_rule_stats(const struct engine *engine, uint32_t place, struct query_answer *answer)
{
    struct watch_part sum = {0};
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        if (engine->partitions[n] == NULL) {
            continue;
        }
        const struct watch_part *part = engine->partitions[n]->watch.parts[place];
        sum.counts[TIMEOUT_PENDING] += part->counts[TIMEOUT_PENDING];
        sum.fired += part->fired;
        sum.retracted += part->retracted;
        sum.lost += part->lost;
        sum.unusable += part->unusable;
    }
    struct bytes name = engine->rules[place].rule.name;
    answer_stat(answer, "rule_pending", name, sum.counts[TIMEOUT_PENDING]);
    answer_stat(answer, "rule_fired", name, sum.fired);
    answer_stat(answer, "rule_retracted", name, sum.retracted);
    answer_stat(answer, "rule_lost", name, sum.lost);
    answer_stat(answer, "rule_unusable", name, sum.unusable);
}

static void read_stats(struct engine *engine, struct query_answer *answer)
{
    struct partition sum = {0};
    uint64_t fingerprints = 0;
    uint64_t memory = engine->heap.used_bytes;
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct partition *partition = engine->partitions[n];
        if (partition == NULL) {
            continue;
        }
        sum.unique += partition->unique;
        sum.duplicates += partition->duplicates;
        sum.unverifiable += partition->unverifiable;
        sum.late.count += partition->late.count;
        sum.late.forgotten += partition->late.forgotten;
        sum.dedup.bytes += partition->dedup.bytes;
        sum.dedup.evicted += partition->dedup.evicted;
        fingerprints += dedup_count(&partition->dedup);
        memory += partition->heap.used_bytes;
    }
    struct bytes none = {0};
    answer_stat(answer, "unique", none, sum.unique);
    answer_stat(answer, "duplicates", none, sum.duplicates);
    answer_stat(answer, "unverifiable", none, sum.unverifiable);
    answer_stat(answer, "late_kept", none, sum.late.count);
    answer_stat(answer, "late_forgotten", none, sum.late.forgotten);
    answer_stat(answer, "dedup_entries", none, fingerprints);
    answer_stat(answer, "dedup_bytes", none, sum.dedup.bytes);
    answer_stat(answer, "dedup_evicted", none, sum.dedup.evicted);
    answer_stat(answer, "state_bytes", none, memory);
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id != 0) {
            read_metric_stats(engine, place, answer);
        }
    }
    for (uint32_t place = 0; place < engine->rule_end; place++) {
        if (engine->rules[place].id != 0) {
            read_rule_stats(engine, place, answer);
        }
    }
    read_timeout_stats(engine, answer);
    answer->watermark = engine->watermark;
}

void read_answer(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    answer->watermark = engine->watermark;
    switch (query->kind) {
    case QUERY_VALUES:
        read_values(engine, query, answer);
        break;
    case QUERY_LATE:
        read_late(engine, query, answer);
        break;
    case QUERY_STATS:
        read_stats(engine, answer);
        break;
    case QUERY_TIMEOUT:
        read_timeout(engine, query, answer);
        break;
    case QUERY_TIMEOUTS:
        read_timeouts(engine, query, answer);
        break;
    case QUERY_TIMEOUT_COUNTS:
        read_timeout_counts(engine, query, answer);
        break;
    case QUERY_TIMEOUTS_DUE:
        read_timeouts_due(engine, query, answer);
        break;
    case QUERY_FEED:
        read_feed(engine, query, answer);
        break;
    case QUERY_WATCH:
        read_watch(engine, query, answer);
        break;
    case QUERY_WATCHES:
        read_watches(engine, query, answer);
        break;
    }
}
