/* Merging what the runners answered.
 *
 * Each runner owns other groups, so rows never meet in one; only their order is made here: by a
 * column (NULL last, whatever the direction) or by window start; ties by window start, then by the
 * bytes of the group's key. So the order is total, and pages fit together.
 *
 * Invariants:
 *  1. All slices point into the query's answers, which outlive the rows.
 *  2. rows[0..count) holds each entry at most once. */
#include "api/values_rows.h"

#include "api/sort.h"
#include "base/check.h"

#include <stdlib.h>

void values_rows_free(struct values_rows *rows)
{
    free(rows->entries);
    free(rows->rows);
    *rows = (struct values_rows){0};
}

/* Value number `index` of an encoded sequence. */
static bool value_at(struct bytes sequence, size_t index, struct value *value)
{
    struct reader in = reader_of(sequence);
    for (size_t i = 0; i <= index; i++) {
        if (!value_read(&in, value)) {
            return false;
        }
    }
    return true;
}

static const struct output_column *column_find(const struct definition *definition,
                                               struct bytes name)
{
    for (size_t i = 0; i < definition->column_count; i++) {
        if (bytes_equal(definition->columns[i].name, name)) {
            return &definition->columns[i];
        }
    }
    return NULL;
}

static int compare_windows(const struct result_row *a, const struct result_row *b)
{
    if (a->window_start != b->window_start) {
        return a->window_start < b->window_start ? -1 : 1;
    }
    return 0;
}

static int compare_orders(struct value a, struct value b, bool descending)
{
    bool comparable = false;
    if (a.kind == VALUE_NULL || b.kind == VALUE_NULL) {
        return (a.kind == VALUE_NULL ? 1 : 0) - (b.kind == VALUE_NULL ? 1 : 0);
    }
    int order = value_compare(a, b, &comparable);
    if (!comparable) {
        order = (int)a.kind - (int)b.kind;
    }
    return descending ? -order : order;
}

static int compare_rows(const void *left, const void *right, const void *ctx)
{
    const struct query *query = ctx;
    const struct values_row *a = left;
    const struct values_row *b = right;
    int order = 0;
    if (query->order_column.len > 0) {
        order = compare_orders(a->order, b->order, query->descending);
        order = order != 0 ? order : compare_windows(&a->row, &b->row);
    } else {
        order = compare_windows(&a->row, &b->row);
        order = query->descending ? -order : order;
    }
    return order != 0 ? order : value_key_compare(a->row.group_key, b->row.group_key);
}

static size_t rows_count(const struct query *query)
{
    size_t count = 0;
    for (uint32_t i = 0; i < query->runner_count; i++) {
        struct reader in = reader_of(buf_bytes(&query->answers[i].rows));
        struct result_row row;
        while (result_next(&in, &row)) {
            count++;
        }
    }
    return count;
}

static bool order_read(const struct values_rows *rows, struct bytes name, struct values_row *entry)
{
    entry->order = value_null();
    if (name.len == 0) {
        return true;
    }
    const struct output_column *column = column_find(&rows->definition, name);
    if (column == NULL) {
        return false;
    }
    struct bytes sequence = column->is_group ? entry->row.group_key : entry->row.results;
    return value_at(sequence, column->index, &entry->order);
}

static enum err rows_gather(const struct query *query, struct values_rows *rows)
{
    for (uint32_t i = 0; i < query->runner_count; i++) {
        const struct query_answer *answer = &query->answers[i];
        struct reader in = reader_of(buf_bytes(&answer->rows));
        struct values_row *entry = &rows->entries[rows->count];
        rows->watermark = answer->watermark < rows->watermark ? answer->watermark : rows->watermark;
        rows->as_of = answer->as_of < rows->as_of ? answer->as_of : rows->as_of;
        while (result_next(&in, &entry->row)) {
            if (!order_read(rows, query->order_column, entry)) {
                return ERR_INTERNAL;
            }
            rows->rows[rows->count++] = entry++;
        }
        if (in.bad) {
            return ERR_INTERNAL;
        }
    }
    return OK;
}

/* Each runner gave its own newest window; only the newest of all is asked for. */
static void keep_newest(const struct query *query, struct values_rows *rows)
{
    int64_t newest = INT64_MIN;
    size_t kept = 0;
    if (query->window == WINDOW_ANY) {
        return;
    }
    for (size_t i = 0; i < rows->count; i++) {
        int64_t start = rows->rows[i]->row.window_start;
        newest = start > newest ? start : newest;
    }
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->rows[i]->row.window_start == newest) {
            rows->rows[kept++] = rows->rows[i];
        }
    }
    rows->count = kept;
}

static bool definition_take(const struct query *query, struct definition *definition)
{
    for (uint32_t i = 0; i < query->runner_count; i++) {
        const struct query_answer *answer = &query->answers[i];
        if (answer->definition != NULL) {
            return definition_read(bytes_of(answer->definition, answer->definition_len),
                                   definition);
        }
    }
    return false;
}

enum err values_rows_make(const struct query *query, struct values_rows *rows)
{
    *rows = (struct values_rows){.watermark = INT64_MAX, .as_of = UINT64_MAX};
    if (!definition_take(query, &rows->definition)) {
        return ERR_INTERNAL;
    }
    size_t count = rows_count(query);
    const void **items = malloc((count + 1) * sizeof(*items));
    const void **scratch = malloc((count + 1) * sizeof(*scratch));
    rows->entries = malloc((count + 1) * sizeof(*rows->entries));
    rows->rows = malloc((count + 1) * sizeof(*rows->rows));
    enum err err = ERR_UNAVAILABLE;
    if (items == NULL || scratch == NULL || rows->entries == NULL || rows->rows == NULL) {
        goto out;
    }
    err = rows_gather(query, rows);
    if (err != OK) {
        goto out;
    }
    CHECK(rows->count == count);
    keep_newest(query, rows);
    for (size_t i = 0; i < rows->count; i++) {
        items[i] = rows->rows[i];
    }
    sort_stable(items, scratch, rows->count, compare_rows, query);
    for (size_t i = 0; i < rows->count; i++) {
        rows->rows[i] = items[i];
    }
out:
    free(items);
    free(scratch);
    return err;
}

static void put_value(struct out *out, struct bytes sequence, size_t index)
{
    struct value value = value_null();
    bool readable = value_at(sequence, index, &value);
    CHECK(readable); /* values_rows_make passed over it */
    size_t text_len = value.kind == VALUE_TEXT ? value.text.len : 0;
    if (out_room(out, 64 + 6 * text_len)) {
        value_put_json(&out->buf, value);
    }
}

void values_row_put(struct out *out,
                    const struct definition *definition,
                    const struct result_row *row)
{
    out_text(out, "{\"window_start\":");
    out_time(out, row->window_start);
    out_member(out, "window_end");
    out_time(out, row->window_end);
    for (size_t i = 0; i < definition->column_count; i++) {
        const struct output_column *column = &definition->columns[i];
        out_char(out, ',');
        out_string(out, column->name);
        out_char(out, ':');
        put_value(out, column->is_group ? row->group_key : row->results, column->index);
    }
    out_member(out, "closed");
    out_bool(out, (row->flags & RESULT_CLOSED) != 0);
    out_member(out, "final");
    out_bool(out, (row->flags & RESULT_FINAL) != 0);
    out_member(out, "revision");
    out_u64(out, row->revision);
    if ((row->flags & RESULT_OVERFLOW) != 0) {
        out_text(out, ",\"overflow\":true");
    }
    out_char(out, '}');
}
