/* A metric as JSON: its definition in words, and what it has counted. */
#include "api/metric_text.h"

#include "api/problem.h"
#include "api/sort.h"
#include "api/stats.h"
#include "base/check.h"
#include "base/text.h"

static int by_name(const void *a, const void *b, const void *ctx)
{
    (void)ctx;
    const struct metric_entry *left = a;
    const struct metric_entry *right = b;
    return bytes_compare(left->definition.name, right->definition.name);
}

bool metric_list_make(struct call *call,
                      const struct inspection *inspection,
                      struct metric_list *list)
{
    size_t count = inspection->metric_count;
    struct memory *memory = &call->memory;
    struct metric_entry *entries = memory_take(memory, (count + 1) * sizeof(*entries));
    list->items = memory_take(memory, (count + 1) * sizeof(*list->items));
    const void **items = memory_take(memory, (count + 1) * sizeof(*items));
    const void **scratch = memory_take(memory, (count + 1) * sizeof(*scratch));
    list->count = count;
    if (entries == NULL || list->items == NULL || items == NULL || scratch == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for the list of metrics");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct metric_info *info = &inspection->metrics[i];
        entries[i].info = info;
        bool readable = definition_read(info->definition, &entries[i].definition);
        CHECK(readable); /* the engine runs it */
        items[i] = &entries[i];
    }
    sort_stable(items, scratch, count, by_name, NULL);
    for (size_t i = 0; i < count; i++) {
        list->items[i] = items[i];
    }
    return true;
}

static void put_emit(struct out *out, const struct definition *definition)
{
    switch (definition->emit) {
    case EMIT_ON_UPDATE:
        out_string_text(out, "on update");
        return;
    case EMIT_ON_WINDOW_CLOSE:
        out_string_text(out, "on window close");
        return;
    case EMIT_EVERY:
        out_text(out, "\"every ");
        if (out_room(out, 48)) {
            duration_put(&out->buf, definition->emit_every_us);
        }
        out_char(out, '"');
        return;
    }
}

static const char *aggregate_name(enum aggregate_kind kind)
{
    switch (kind) {
    case AGGREGATE_COUNT_ALL:
    case AGGREGATE_COUNT:
        return "count";
    case AGGREGATE_SUM:
        return "sum";
    case AGGREGATE_MIN:
        return "min";
    case AGGREGATE_MAX:
        return "max";
    case AGGREGATE_AVG:
        return "avg";
    case AGGREGATE_RATE:
        return "rate";
    }
    return "aggregate";
}

static void put_columns(struct out *out, const struct definition *definition)
{
    out_text(out, ",\"columns\":[");
    for (size_t i = 0; i < definition->column_count; i++) {
        const struct output_column *column = &definition->columns[i];
        out_comma(out);
        out_text(out, "{\"name\":");
        out_string(out, column->name);
        out_member(out, "kind");
        out_string_text(out,
                        column->is_group
                            ? "group"
                            : aggregate_name(definition->aggregates[column->index].kind));
        out_char(out, '}');
    }
    out_char(out, ']');
}

void source_names_put(struct out *out, const struct bytes *sources, size_t count)
{
    out_member(out, "sources");
    if (count == 0) {
        out_text(out, "null");
        return;
    }
    out_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        out_comma(out);
        out_string(out, sources[i]);
    }
    out_char(out, ']');
}

static void put_counts(struct out *out, struct bytes name, const struct query *stats)
{
    static const char *const fates[] = {"counted", "filtered", "late_corrected", "late_dropped"};
    out_text(out, ",\"counts\":{");
    for (size_t i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
        out_member(out, fates[i]);
        out_i64(out, stats_sum(stats, fates[i], name));
    }
    out_text(out, "},\"rows\":");
    out_i64(out, stats_sum(stats, "rows", name));
}

void metric_put(struct out *out, const struct metric_entry *metric, const struct query *stats)
{
    const struct definition *definition = &metric->definition;
    out_text(out, "{\"name\":");
    out_string(out, definition->name);
    out_member(out, "version");
    out_u64(out, metric->info->version);
    out_member(out, "sql");
    out_string(out, definition->text);
    out_member(out, "created");
    out_time(out, metric->info->created.us);
    out_member(out, "position");
    out_u64(out, metric->info->position);
    out_member(out, "window");
    out_duration(out, definition->window_us);
    out_member(out, "lateness");
    out_duration(out, definition->lateness_us);
    out_member(out, "retain");
    out_duration(out, definition->retain_us);
    out_member(out, "emit");
    put_emit(out, definition);
    source_names_put(out, definition->sources, definition->source_count);
    put_columns(out, definition);
    if (stats != NULL) {
        put_counts(out, definition->name, stats);
    }
    out_char(out, '}');
}
