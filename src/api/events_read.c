/* Reading events back.
 *
 *   /v1/events        ask the log ─► its items as they are
 *   /v1/events/fate   inspect (metrics) ─► ask the log, which works the fates out ─► its one item
 *   /v1/late          ask the runners ─► merge by log position */
#include "api/events_read.h"

#include "api/config.h"
#include "api/cursor.h"
#include "api/problem.h"
#include "api/sort.h"
#include "api/stats.h"
#include "base/check.h"
#include "host/result.h"

#include <stdlib.h>

#define WAIT_US        (10 * US_PER_SECOND)
#define FATE_WAIT_US   (25 * US_PER_SECOND)
#define LATE_PAGED_MAX 1000000

static bool read_range(struct call *call, int64_t *from, int64_t *to, uint32_t *limit)
{
    return config_time_param(call, "from", from) && config_time_param(call, "to", to) &&
           cursor_limit(call, limit);
}

static void list_back(struct call *call)
{
    const struct scan *scan = call->scan;
    struct out *out = &call->api->out;
    if (scan->err != OK) {
        call_fail(call, scan->err, scan->detail);
        return;
    }
    out_clear(out);
    out_text(out, "{\"items\":[");
    out_bytes(out, buf_bytes(&scan->items));
    const uint64_t next[] = {scan->at_position, scan->at_record, scan->at_row};
    cursor_end(call, scan->more ? next : NULL, 3);
    call_answer_json(call);
}

void events_list(struct call *call)
{
    struct scan *scan = call_scan(call, SCAN_EVENTS);
    uint64_t at[CURSOR_NUMBERS_MAX] = {0};
    if (scan == NULL || !read_range(call, &scan->from, &scan->to, &scan->limit) ||
        !cursor_read(call, at, 3)) {
        return;
    }
    scan->deadline.us = gateway_now(call->api->gateway).us + WAIT_US;
    scan->type = params_find(&call->params, "type");
    scan->source = params_find(&call->params, "source");
    scan->subject = params_find(&call->params, "subject");
    scan->at_position = at[0];
    scan->at_record = (uint32_t)at[1];
    scan->at_row = (uint32_t)at[2];
    call_ask_log(call, list_back);
}

static void fate_back(struct call *call)
{
    const struct scan *scan = call->scan;
    struct out *out = &call->api->out;
    if (scan->err != OK) {
        call_fail(call, scan->err, scan->detail);
        return;
    }
    /* The log's reader leaves in `limit` how often it found the event. */
    uint32_t copies = scan->limit;
    out_clear(out);
    out_text(out, "{\"ingest\":");
    out_string_text(out, copies == 0 ? "unknown" : copies == 1 ? "accepted" : "duplicate");
    out_member(out, "copies");
    out_u64(out, copies);
    out_text(out, ",\"metrics\":[");
    out_bytes(out, buf_bytes(&scan->items));
    out_text(out, "]}");
    call_answer_json(call);
}

static void fate_scan(struct call *call)
{
    const struct inspection *inspection = call->inspection;
    if (inspection->err != OK) {
        call_fail(call, inspection->err, NULL);
        return;
    }
    struct scan *scan = call_scan(call, SCAN_FATE);
    if (scan == NULL) {
        return;
    }
    scan->source = params_find(&call->params, "source");
    scan->id = params_find(&call->params, "id");
    scan->limit = 1;
    scan->deadline.us = gateway_now(call->api->gateway).us + FATE_WAIT_US;
    scan->metrics = inspection->metrics;
    scan->metric_count = inspection->metric_count;
    call_ask_log(call, fate_back);
}

void events_fate(struct call *call)
{
    static const char *const required[] = {"source", "id"};
    for (size_t i = 0; i < 2; i++) {
        if (params_find(&call->params, required[i]).len == 0) {
            call_fail_member(
                call, ERR_MISSING_MEMBER, bytes_of_string(required[i]), "both are needed");
            return;
        }
    }
    if (call_inspection(call, INSPECT_METRICS) != NULL) {
        call_inspect(call, fate_scan);
    }
}

static int by_position(const void *left, const void *right, const void *ctx)
{
    (void)ctx;
    const struct late_row *a = left;
    const struct late_row *b = right;
    if (a->position != b->position) {
        return a->position < b->position ? -1 : 1;
    }
    if (a->record != b->record) {
        return a->record < b->record ? -1 : 1;
    }
    return a->row == b->row ? 0 : a->row < b->row ? -1 : 1;
}

/* The names, comma separated, as a JSON array. */
static void put_names(struct out *out, struct bytes names)
{
    out_char(out, '[');
    while (names.len > 0) {
        const uint8_t *comma = memchr(names.data, ',', names.len);
        size_t len = comma == NULL ? names.len : (size_t)(comma - names.data);
        out_comma(out);
        out_string(out, bytes_slice(names, 0, len));
        size_t skip = comma == NULL ? len : len + 1;
        names = bytes_slice(names, skip, names.len - skip);
    }
    out_char(out, ']');
}

static void put_late(struct out *out, const struct late_row *row)
{
    const struct event *event = &row->event;
    size_t texts = event->id.len + event->source.len + event->type.len + event->subject.len +
                   event->content_type.len + event->extensions.len + event->data.len;
    out_text(out, "{\"metrics\":");
    put_names(out, row->metrics);
    out_member(out, "watermark");
    out_watermark(out, row->watermark);
    out_member(out, "event");
    if (out_room(out, 6 * texts + 512)) {
        event_put_json(&out->buf, event);
    }
    out_char(out, '}');
}

static bool late_wanted(const struct call *call, const struct event *event)
{
    struct bytes type = params_find(&call->params, "type");
    struct bytes source = params_find(&call->params, "source");
    struct bytes subject = params_find(&call->params, "subject");
    return (type.data == NULL || bytes_equal(type, event->type)) &&
           (source.data == NULL || bytes_equal(source, event->source)) &&
           (subject.data == NULL || bytes_equal(subject, event->subject));
}

/* The wanted rows of all answers; NULL when there is no memory. */
static struct late_row *late_gather(const struct call *call, size_t *count)
{
    const struct query *query = call->query;
    size_t total = 0;
    for (uint32_t i = 0; i < query->runner_count; i++) {
        total += (size_t)query->answers[i].row_count;
    }
    struct late_row *rows = calloc(total + 1, sizeof(*rows));
    *count = 0;
    for (uint32_t i = 0; rows != NULL && i < query->runner_count; i++) {
        struct reader in = reader_of(buf_bytes(&query->answers[i].rows));
        while (*count < total && late_next(&in, &rows[*count])) {
            *count += late_wanted(call, &rows[*count].event) ? 1 : 0;
        }
    }
    return rows;
}

static void put_late_page(struct call *call, const void **items, size_t count)
{
    const struct query *query = call->query;
    struct out *out = &call->api->out;
    size_t at = query->offset < count ? (size_t)query->offset : count;
    size_t limit = query->limit - 1;
    size_t end = limit < count - at ? at + limit : count;
    out_clear(out);
    out_text(out, "{\"items\":[");
    for (size_t i = at; i < end; i++) {
        out_comma(out);
        put_late(out, items[i]);
    }
    cursor_end_at(call, end, count);
}

static void late_back(struct call *call)
{
    const char *detail = NULL;
    enum err err = query_err(call->query, &detail);
    if (err != OK) {
        call_fail(call, err, detail);
        return;
    }
    size_t count = 0;
    struct late_row *rows = late_gather(call, &count);
    const void **items = malloc((count + 1) * sizeof(*items));
    const void **scratch = malloc((count + 1) * sizeof(*scratch));
    if (rows == NULL || items == NULL || scratch == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for these events");
    } else {
        for (size_t i = 0; i < count; i++) {
            items[i] = &rows[i];
        }
        sort_stable(items, scratch, count, by_position, NULL);
        put_late_page(call, items, count);
        call_answer_json(call);
    }
    free(rows);
    free(items);
    free(scratch);
}

void events_late(struct call *call)
{
    struct query *query = call_query(call, QUERY_LATE);
    uint32_t limit = 0;
    if (query == NULL || !read_range(call, &query->from, &query->to, &limit) ||
        !cursor_read(call, &query->offset, 1)) {
        return;
    }
    if (query->offset > LATE_PAGED_MAX) {
        call_fail_member(
            call, ERR_LIMIT, BYTES("cursor"), "a list can be paged for a million rows");
        return;
    }
    query->metric = params_find(&call->params, "metric");
    query->limit = limit + 1;
    query->deadline.us = gateway_now(call->api->gateway).us + WAIT_US;
    call_ask_runners(call, late_back);
}
