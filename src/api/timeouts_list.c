/* Many timeouts: a list with filters, how many there are, when they are due.
 *
 * The list walks one partition after the other, each in the order of its places, in as many questions
 * as it takes to fill a page. What a cursor names is a place, so a list that is read while timeouts come
 * and go shows each one that stays throughout once.
 *
 *   cursor: partition, place
 *
 * Those of a rule are walked likewise, key by key; all instances of a key are on one page.
 *
 * With filters that hardly anything passes, a page may end before it is full: its cursor goes on. */
#include "api/config.h"
#include "api/cursor.h"
#include "api/problem.h"
#include "api/stats.h"
#include "api/timeout_text.h"
#include "api/timeouts.h"
#include "base/check.h"
#include "base/text.h"
#include "host/timeout_rows.h"

#include <stdlib.h>

#define PAGE_TIME_US    (2 * US_PER_SECOND)
#define PAGE_BYTES_MAX  ((size_t)8 * 1024 * 1024)
#define SPANS_DEFAULT   60
#define SPAN_DEFAULT_US US_PER_MINUTE
#define SPAN_MAX_US     (36525 * US_PER_DAY)

struct timeout_page {
    struct out items;
    uint32_t limit;
    uint32_t taken;
    uint32_t partition; /* to go on from; = partitions: the end */
    uint32_t place;
    uint32_t states;
    int held;
    int64_t due_before;
    struct bytes prefix;
    struct bytes rule; /* whose instances; data NULL: explicit timeouts */
};

void timeout_page_destroy(struct timeout_page *page)
{
    if (page != NULL) {
        out_free(&page->items);
        free(page);
    }
}

static void page_answer(struct call *call)
{
    const struct timeout_page *page = call->timeout_page;
    struct out *out = &call->api->out;
    out_clear(out);
    out_text(out, "{\"items\":[");
    if (page->items.buf.overflow) {
        out->buf.overflow = true;
    } else {
        out_bytes(out, buf_bytes(&page->items.buf));
    }
    const uint64_t next[] = {page->partition, page->place};
    cursor_end(
        call, page->partition < gateway_facts(call->api->gateway)->partitions ? next : NULL, 2);
    call_answer_json(call);
}

/* Takes one runner's rows, and where it goes on: all but the partition's owner say nothing. */
static void page_take(struct timeout_page *page, const struct query_answer *answer)
{
    struct reader rows = reader_of(buf_bytes(&answer->rows));
    struct timeout_row row;
    while (timeout_row_next(&rows, &row)) {
        if (page->held >= 0 && (page->held == 1) != row.object.held) {
            continue;
        }
        out_comma(&page->items);
        out_char(&page->items, '{');
        if (page->rule.data != NULL) {
            timeout_put_instance(&page->items, page->rule, row.key, &row.object);
        } else {
            timeout_put_members(&page->items, row.key, &row.object, row.data);
        }
        out_char(&page->items, '}');
        page->taken++;
    }
    CHECK(!rows.bad); /* a runner wrote them */
    page->place = answer->next_place < page->place ? answer->next_place : page->place;
}

static void page_ask(struct call *call);

static void page_back(struct call *call)
{
    struct timeout_page *page = call->timeout_page;
    const struct query *query = call->query;
    if (timeout_query_refused(call)) {
        return;
    }
    page->place = UINT32_MAX;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        page_take(page, &query->answers[n]);
    }
    if (page->place == UINT32_MAX) {
        page->partition++;
        page->place = 0;
    }
    bool full = page->taken >= page->limit || page->items.buf.len > PAGE_BYTES_MAX ||
                page->partition == gateway_facts(call->api->gateway)->partitions ||
                gateway_now(call->api->gateway).us - call->started.us > PAGE_TIME_US;
    (full ? page_answer : page_ask)(call);
}

static void page_ask(struct call *call)
{
    const struct timeout_page *page = call->timeout_page;
    bool explicit = page->rule.data == NULL;
    struct query *query = call_query(call, explicit ? QUERY_TIMEOUTS : QUERY_WATCHES);
    if (query == NULL) {
        return;
    }
    query->metric = page->rule;
    query->partition = page->partition;
    query->timeout_place = page->place;
    query->timeout_states = page->states;
    query->prefix = page->prefix;
    query->due_before = page->due_before;
    query->limit = page->limit - page->taken;
    call_ask_runners(call, page_back);
}

static bool page_filters(struct call *call, struct timeout_page *page)
{
    struct bytes state = params_find(&call->params, "state");
    page->prefix = params_find(&call->params, "prefix");
    page->rule = params_find(&call->params, "rule");
    page->due_before = INT64_MAX;
    if (state.data != NULL) {
        page->states = timeout_states_read(state, &page->held);
        if (page->states == 0) {
            call_fail_member(call,
                             ERR_UNPROCESSABLE,
                             BYTES("state"),
                             "it is pending, unknown, fired, completed, cancelled, "
                             "completed_early or retracted");
            return false;
        }
    }
    return config_time_param(call, "due_before", &page->due_before);
}

static bool page_bounds(struct call *call, struct timeout_page *page)
{
    uint64_t at[2] = {0};
    if (!cursor_limit(call, &page->limit)) {
        return false;
    }
    if (!cursor_read(call, at, 2)) {
        return false;
    }
    if (at[0] >= gateway_facts(call->api->gateway)->partitions || at[1] >= UINT32_MAX) {
        call_fail_member(call, ERR_MALFORMED, BYTES("cursor"), "it is not a cursor of this list");
        return false;
    }
    page->partition = (uint32_t)at[0];
    page->place = (uint32_t)at[1];
    return true;
}

void timeouts_list(struct call *call)
{
    struct timeout_page *page = calloc(1, sizeof(*page));
    if (page == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this list");
        return;
    }
    page->held = -1;
    call->timeout_page = page;
    if (page_filters(call, page) && page_bounds(call, page)) {
        page_ask(call);
    }
}

/* Adds up what the runners say. False: answered. */
static bool counts_sum(struct call *call, uint64_t *counts, uint32_t count)
{
    if (timeout_query_refused(call)) {
        return false;
    }
    for (uint32_t n = 0; n < call->query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&call->query->answers[n].rows));
        struct count_row row;
        while (count_row_next(&rows, &row)) {
            CHECK(row.index < count);
            counts[row.index] += row.count;
        }
        CHECK(!rows.bad); /* a runner wrote them */
    }
    return true;
}

static void count_back(struct call *call)
{
    uint64_t counts[TIMEOUT_RETRACTED + 1] = {0};
    uint64_t total = 0;
    struct out *out = &call->api->out;
    if (!counts_sum(call, counts, TIMEOUT_RETRACTED + 1)) {
        return;
    }
    out_clear(out);
    out_char(out, '{');
    for (uint32_t state = TIMEOUT_PENDING; state <= TIMEOUT_RETRACTED; state++) {
        const struct timeout_object object = {.state = (enum timeout_state)state};
        out_member(out, timeout_state_text(&object));
        out_u64(out, counts[state]);
        total += counts[state];
    }
    out_member(out, "total");
    out_u64(out, total);
    out_char(out, '}');
    call_answer_json(call);
}

void timeouts_count(struct call *call)
{
    struct query *query = call_query(call, QUERY_TIMEOUT_COUNTS);
    if (query != NULL) {
        query->metric = params_find(&call->params, "rule");
        call_ask_runners(call, count_back);
    }
}

static void due_back(struct call *call)
{
    const struct query *query = call->query;
    uint64_t counts[LIST_LIMIT_MAX] = {0};
    struct out *out = &call->api->out;
    if (!counts_sum(call, counts, query->limit)) {
        return;
    }
    out_clear(out);
    out_text(out, "{\"from\":");
    out_time(out, query->from);
    out_member(out, "span");
    out_duration(out, query->span_us);
    out_member(out, "clock");
    out_string_text(out, timeout_clock_text(query->clock));
    out_text(out, ",\"items\":[");
    for (uint32_t i = 0; i < query->limit; i++) {
        out_comma(out);
        out_text(out, "{\"from\":");
        out_time(out, time_add(query->from, (int64_t)i * query->span_us));
        out_member(out, "count");
        out_u64(out, counts[i]);
        out_char(out, '}');
    }
    out_text(out, "]}");
    call_answer_json(call);
}

static bool due_span(struct call *call, int64_t *span_us, uint64_t *count)
{
    struct bytes span = params_find(&call->params, "span");
    struct bytes text = params_find(&call->params, "count");
    *span_us = SPAN_DEFAULT_US;
    *count = SPANS_DEFAULT;
    if (text.data != NULL && (!u64_parse(text, count) || *count < 1 || *count > LIST_LIMIT_MAX)) {
        call_fail_member(call, ERR_UNPROCESSABLE, BYTES("count"), "it is a number from 1 to 1000");
        return false;
    }
    if (span.data != NULL && (duration_parse(span, span_us) != OK || *span_us < 1 ||
                              *span_us > SPAN_MAX_US / (int64_t)*count)) {
        call_fail_member(call,
                         ERR_DURATION,
                         BYTES("span"),
                         "it must be an ISO 8601 duration such as PT1M; all spans together reach "
                         "over at most 36525 days");
        return false;
    }
    return true;
}

static bool due_clock(struct call *call, enum timeout_clock *clock)
{
    struct bytes text = params_find(&call->params, "clock");
    *clock = bytes_equal(text, BYTES("event")) ? TIMEOUT_BY_EVENTS : TIMEOUT_BY_PROCESSING;
    if (text.data == NULL || bytes_equal(text, bytes_of_string(timeout_clock_text(*clock)))) {
        return true;
    }
    call_fail_member(call, ERR_UNPROCESSABLE, BYTES("clock"), "it is processing or event");
    return false;
}

void timeouts_due(struct call *call)
{
    int64_t from = gateway_now(call->api->gateway).us;
    int64_t span_us = 0;
    uint64_t count = 0;
    enum timeout_clock clock = TIMEOUT_BY_PROCESSING;
    if (!config_time_param(call, "from", &from) || !due_span(call, &span_us, &count) ||
        !due_clock(call, &clock)) {
        return;
    }
    struct query *query = call_query(call, QUERY_TIMEOUTS_DUE);
    if (query != NULL) {
        query->from = from;
        query->span_us = span_us;
        query->clock = clock;
        query->limit = (uint32_t)count;
        call_ask_runners(call, due_back);
    }
}
