/* Values: parameters to a query, the runners' rows to an answer.
 *
 *   from, to, window, final, <column>=   which rows
 *   order_by, limit, cursor              in which order, which page
 *   min_as_of                            not before this much was applied
 *
 * The answer is a function of the state at `as_of`, so its hash is its entity tag. */
#include "api/values.h"

#include "api/config.h"
#include "api/cursor.h"
#include "api/problem.h"
#include "api/stats.h"
#include "api/values_rows.h"
#include "base/check.h"
#include "base/hash.h"

#define WAIT_US    (10 * US_PER_SECOND)
#define OFFSET_MAX 1000000

static bool is_own_parameter(struct bytes name)
{
    static const char *const own[] = {
        "from", "to", "window", "order_by", "limit", "cursor", "final", "min_as_of"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (bytes_equal(bytes_of_string(own[i]), name)) {
            return true;
        }
    }
    return false;
}

static bool read_filters(struct call *call, struct query *query)
{
    for (size_t i = 0; i < call->params.count; i++) {
        const struct param *param = &call->params.entries[i];
        if (is_own_parameter(param->name)) {
            continue;
        }
        if (query->filter_count == QUERY_FILTERS_MAX) {
            call_fail(call, ERR_LIMIT, "at most 32 columns can be filtered at once");
            return false;
        }
        query->filters[query->filter_count++] =
            (struct query_filter){.column = param->name, .text = param->value};
    }
    return true;
}

static bool read_times(struct call *call, struct query *query)
{
    return config_time_param(call, "from", &query->from) &&
           config_time_param(call, "to", &query->to);
}

static bool read_window(struct call *call, struct query *query)
{
    struct bytes window = params_find(&call->params, "window");
    if (bytes_equal(window, BYTES("latest"))) {
        query->window = WINDOW_LATEST;
    } else if (bytes_equal(window, BYTES("latest_final"))) {
        query->window = WINDOW_LATEST_FINAL;
    } else if (window.data != NULL) {
        call_fail_member(call, ERR_UNPROCESSABLE, BYTES("window"), "latest or latest_final");
        return false;
    }
    if (params_bool(&call->params, "final", &query->final_only) != OK) {
        call_fail_member(call, ERR_UNPROCESSABLE, BYTES("final"), "it is true or false");
        return false;
    }
    return true;
}

static void read_order(const struct call *call, struct query *query)
{
    struct bytes order = params_find(&call->params, "order_by");
    if (order.len > 0 && order.data[0] == '-') {
        query->descending = true;
        order = bytes_slice(order, 1, order.len - 1);
    }
    if (!bytes_equal(order, BYTES("window_start")) && !bytes_equal(order, BYTES("window_end"))) {
        query->order_column = order;
    }
}

static bool read_page(struct call *call, struct query *query)
{
    uint64_t offset = 0;
    uint32_t limit = 0;
    struct bytes as_of = params_find(&call->params, "min_as_of");
    if (!cursor_limit(call, &limit)) {
        return false;
    }
    if (!cursor_read(call, &offset, 1)) {
        return false;
    }
    if (offset > OFFSET_MAX) {
        call_fail_member(
            call, ERR_LIMIT, BYTES("cursor"), "a list can be paged for a million rows");
        return false;
    }
    if (as_of.data != NULL && !hex_parse(as_of, &query->min_as_of)) {
        call_fail_member(call,
                         ERR_MALFORMED,
                         BYTES("min_as_of"),
                         "it must be a token as as_of and Tidemark-As-Of give it");
        return false;
    }
    query->offset = offset;
    query->limit = limit + 1; /* one more tells whether there is a next page */
    return true;
}

static void put_rows(struct call *call, const struct values_rows *rows)
{
    const struct query *query = call->query;
    struct out *out = &call->api->out;
    uint8_t token[HEX64_BYTES];
    hex64_put(token, rows->as_of);
    out_clear(out);
    out_text(out, "{\"metric\":");
    out_string(out, call->name);
    out_member(out, "watermark");
    out_watermark(out, rows->watermark);
    out_member(out, "as_of");
    out_string(out, bytes_of(token, sizeof(token)));
    out_text(out, ",\"items\":[");
    size_t at = query->offset < rows->count ? (size_t)query->offset : rows->count;
    size_t limit = query->limit - 1;
    size_t end = limit < rows->count - at ? at + limit : rows->count;
    for (size_t i = at; i < end; i++) {
        out_comma(out);
        values_row_put(out, &rows->definition, &rows->rows[i]->row);
    }
    cursor_end_at(call, end, rows->count);
}

/* If-None-Match is a list of tags, or *. */
static bool tag_matches(struct bytes list, uint64_t hash)
{
    uint8_t tag[HEX64_BYTES];
    hex64_put(tag, hash);
    if (bytes_equal(list, BYTES("*"))) {
        return true;
    }
    return list.len >= sizeof(tag) && memmem(list.data, list.len, tag, sizeof(tag)) != NULL;
}

static void answer_rows(struct call *call)
{
    struct out *out = &call->api->out;
    uint64_t hash = hash64(buf_bytes(&out->buf), 0);
    bool same = call->if_none_match.data != NULL && tag_matches(call->if_none_match, hash);
    struct answer answer;
    answer_init(&answer, same ? 304 : 200, same ? NULL : "application/json");
    answer_hash_tag(&answer, hash);
    answer_field(&answer, "Cache-Control", BYTES("no-cache"));
    if (same && !out->buf.overflow) {
        out_clear(out);
    }
    call_answer(call, &answer);
}

static void values_back(struct call *call)
{
    const char *detail = NULL;
    struct values_rows rows;
    enum err err = query_err(call->query, &detail);
    if (err != OK) {
        call_fail(call, err, detail);
        return;
    }
    err = values_rows_make(call->query, &rows);
    if (err == OK) {
        put_rows(call, &rows);
        answer_rows(call);
    } else {
        call_fail(call, err, "the engine's rows can't be put together");
    }
    values_rows_free(&rows);
}

void values_get(struct call *call)
{
    struct query *query = call_query(call, QUERY_VALUES);
    if (query == NULL) {
        return;
    }
    query->metric = call->name;
    query->deadline.us = gateway_now(call->api->gateway).us + WAIT_US;
    read_order(call, query);
    if (read_times(call, query) && read_window(call, query) && read_page(call, query) &&
        read_filters(call, query)) {
        call_ask_runners(call, values_back);
    }
}
