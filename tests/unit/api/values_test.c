/* GET /v1/metrics/{name}/values, /v1/events, /v1/late and fate. */
#include "base/text.h"
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT "Content-Type: text/plain\n"
#define SELECT                                                                                     \
    "SELECT type, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY type"
#define T0 1356998400000000 /* 2013-01-01T00:00:00Z */

static struct fake_client *client;

static int setup(void **state)
{
    client = malloc(sizeof(*client));
    fake_client_init(client);
    *state = client;
    return 0;
}

static int teardown(void **state)
{
    fake_client_deinit(*state);
    free(*state);
    return 0;
}

static struct value number(int64_t units)
{
    return value_of_nano((int128)units * NANO_PER_UNIT);
}

/* Three windows over two runners; one NULL. */
static void fill(void)
{
    struct gateway *gateway = client->gateway;
    (void)fake_call(client, "PUT", "/v1/metrics/m", TEXT, SELECT);
    fake_row(gateway, 0, T0 + US_PER_MINUTE, RESULT_CLOSED, value_of_text(BYTES("a")), number(5));
    fake_row(gateway, 0, T0, RESULT_CLOSED | RESULT_FINAL, value_of_text(BYTES("b")), number(1));
    fake_row(gateway, 1, T0, RESULT_CLOSED | RESULT_FINAL, value_of_text(BYTES("a")), number(9));
    fake_row(gateway, 1, T0 + 2 * US_PER_MINUTE, 0, value_null(), value_null());
}

/* The groups in the order of the answer. */
static void expect_order(const char *target, const char *wanted)
{
    char got[64];
    size_t len = 0;
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    for (const char *at = client->body; (at = strstr(at, "\"type\":")) != NULL; at += 7) {
        got[len++] = at[7] == 'n' ? '0' : at[8];
        const char *n = strstr(at, "\"n\":");
        got[len++] = n[4] == 'n' ? '-' : n[4];
    }
    got[len] = '\0';
    assert_string_equal(got, wanted);
}

static void rows_of_all_runners_come_in_one_order(void **state)
{
    (void)state;
    fill();
    expect_order("/v1/metrics/m/values", "a9b1a50-");
    expect_order("/v1/metrics/m/values?order_by=-window_start", "0-a5a9b1");
    expect_order("/v1/metrics/m/values?order_by=n", "b1a5a90-");
    expect_order("/v1/metrics/m/values?order_by=-n", "a9a5b10-");
    expect_order("/v1/metrics/m/values?order_by=type", "a9a5b10-");
    expect_order("/v1/metrics/m/values?window=latest", "0-");
}

static void a_row_shows_everything(void **state)
{
    (void)state;
    fill();
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values?limit=1", "", NULL), 200);
    assert_true(fake_has(client,
                         "{\"metric\":\"m\",\"watermark\":\"2023-11-14T22:13:15Z\","
                         "\"as_of\":\"0000000000001001\",\"items\":[{"));
    assert_true(fake_has(client,
                         "{\"window_start\":\"2013-01-01T00:00:00Z\","
                         "\"window_end\":\"2013-01-01T00:01:00Z\",\"type\":\"a\",\"n\":9,"
                         "\"closed\":true,\"final\":true,\"revision\":0}"));
    assert_true(fake_field(client, "Cache-Control: no-cache\n"));
}

static void parameters_reach_the_engine(void **state)
{
    (void)state;
    fill();
    assert_int_equal(fake_call(client,
                               "GET",
                               "/v1/metrics/m/values?from=2013-01-01T01:00:00+01:00&to="
                               "2013-01-01T00:05:00%2B00:00&type=a%20b&n=5&final=true&"
                               "window=latest_final&min_as_of=000000000000001a&limit=7",
                               "",
                               NULL),
                     200);
    const struct query *query = &client->gateway->last_query;
    assert_int_equal(query->from, T0);
    assert_int_equal(query->to, T0 + 5 * US_PER_MINUTE);
    assert_int_equal(query->filter_count, 2);
    assert_true(query->final_only);
    assert_int_equal(query->window, WINDOW_LATEST_FINAL);
    assert_int_equal(query->min_as_of, 0x1a);
    assert_int_equal(query->limit, 8);
}

static void bad_parameters_are_refused(void **state)
{
    (void)state;
    fill();
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values?from=x", "", NULL), 422);
    assert_true(fake_has(client, "\"member\":\"from\""));
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values?to=2013-01-01", "", NULL), 422);
    assert_true(fake_has(client, "\"member\":\"to\""));
    assert_int_equal(fake_call(client, "GET", "/v1/events?to=2013-02-30T00:00:00Z", "", NULL), 422);
    assert_true(fake_has(client, "\"member\":\"to\""));
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values?window=x", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values?final=1", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values?min_as_of=zz", "", NULL), 400);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values?min_as_of=1a", "", NULL), 400);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/nosuch/values", "", NULL), 404);
    client->gateway->query_err = ERR_UNKNOWN_MEMBER;
    client->gateway->query_detail = "colour is not a column of this metric";
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values?colour=red", "", NULL), 422);
    assert_true(fake_has(client, "colour is not a column"));
    client->gateway->query_err = ERR_UNAVAILABLE;
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values", "", NULL), 503);
}

static void pages_fit_together(void **state)
{
    (void)state;
    char target[200] = "/v1/metrics/m/values?limit=3&order_by=-n";
    fill();
    expect_order(target, "a9a5b1");
    const char *cursor = strstr(client->body, "\"next_cursor\":\"");
    assert_non_null(cursor);
    char kept[33];
    (void)snprintf(kept, sizeof(kept), "%.32s", cursor + 15);
    (void)snprintf(
        target, sizeof(target), "/v1/metrics/m/values?limit=3&order_by=-n&cursor=%s", kept);
    expect_order(target, "0-");
    assert_true(fake_has(client, "\"next_cursor\":null"));
    assert_int_equal(client->gateway->last_query.offset, 3);
    /* The cursor of another query is none of this one. */
    (void)snprintf(target, sizeof(target), "/v1/metrics/m/values?order_by=n&cursor=%s", kept);
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 400);
}

static void an_unchanged_answer_is_304(void **state)
{
    (void)state;
    char headers[64];
    fill();
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values", "", NULL), 200);
    const char *tag = strstr(client->fields, "ETag: ");
    assert_non_null(tag);
    (void)snprintf(headers, sizeof(headers), "If-None-Match: %.18s\n", tag + 6);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values", headers, NULL), 304);
    assert_int_equal(client->body_len, 0);
    fake_row(client->gateway, 0, T0, 0, value_of_text(BYTES("z")), number(2));
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m/values", headers, NULL), 200);
}

static void the_log_is_read_back_in_pages(void **state)
{
    (void)state;
    client->gateway->scan_items = "{\"id\":\"a\"},{\"id\":\"b\"}";
    client->gateway->scan_more = true;
    assert_int_equal(fake_call(client, "GET", "/v1/events?type=t&subject=s&limit=2", "", NULL),
                     200);
    assert_true(fake_has(client, "{\"items\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"next_cursor\":\""));
    char target[200];
    (void)snprintf(target,
                   sizeof(target),
                   "/v1/events?type=t&subject=s&limit=2&cursor=%.64s",
                   strstr(client->body, "\"next_cursor\":\"") + 15);
    client->gateway->scan_more = false;
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    assert_int_equal(client->gateway->last_scan.at_position, 7);
    assert_int_equal(client->gateway->last_scan.at_record, 8);
    assert_int_equal(client->gateway->last_scan.at_row, 9);
    assert_true(fake_has(client, "\"next_cursor\":null"));
    assert_int_equal(fake_call(client, "GET", "/v1/events?from=x", "", NULL), 422);
}

static void a_fate_needs_source_and_id(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "GET", "/v1/events/fate?source=s", "", NULL), 400);
    assert_true(fake_has(client, "\"member\":\"id\""));
    assert_int_equal(fake_call(client, "GET", "/v1/events/fate?source=s&id=1", "", NULL), 200);
    assert_string_equal(client->body, "{\"ingest\":\"unknown\",\"copies\":0,\"metrics\":[]}");
    client->gateway->scan_items = "{\"name\":\"m\"}";
    assert_int_equal(fake_call(client, "GET", "/v1/events/fate?source=s&id=1", "", NULL), 200);
    assert_string_equal(client->body,
                        "{\"ingest\":\"accepted\",\"copies\":1,\"metrics\":[{\"name\":\"m\"}]}");
}

static void put_late(uint32_t runner, uint64_t position, const char *type)
{
    struct buf *rows = &client->gateway->rows[runner];
    size_t start = rows->len;
    const struct event event = {.id = BYTES("i"),
                                .source = BYTES("/s"),
                                .type = bytes_of_string(type),
                                .subject = BYTES("x"),
                                .data = BYTES("{\"a\":1}"),
                                .time = {T0},
                                .flags = EVENT_HAS_SUBJECT | EVENT_HAS_DATA};
    buf_put_u32(rows, 0);
    buf_put_u64(rows, position);
    buf_put_u32(rows, 0);
    buf_put_u32(rows, 0);
    buf_put_i64(rows, T0 + US_PER_HOUR);
    buf_put_u16(rows, 2);
    buf_put_u32(rows, 1);
    buf_put_u32(rows, 2);
    buf_put_string(rows, BYTES("m,n"));
    event_put(rows, &event);
    struct buf length = buf_of(rows->data + start, 4);
    buf_put_u32(&length, (uint32_t)(rows->len - start - 4));
    client->gateway->row_counts[runner]++;
}

static void late_events_are_listed_in_log_order(void **state)
{
    (void)state;
    put_late(0, 9, "second");
    put_late(1, 4, "first");
    assert_int_equal(fake_call(client, "GET", "/v1/late", "", NULL), 200);
    assert_true(fake_has(client,
                         "{\"items\":[{\"metrics\":[\"m\",\"n\"],"
                         "\"watermark\":\"2013-01-01T01:00:00Z\",\"event\":"
                         "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\","
                         "\"type\":\"first\",\"time\":\"2013-01-01T00:00:00Z\","
                         "\"subject\":\"x\",\"data\":{\"a\":1}}}"));
    assert_int_equal(fake_call(client, "GET", "/v1/late?type=second&limit=1", "", NULL), 200);
    assert_false(fake_has(client, "first"));
    assert_true(fake_has(client, "\"next_cursor\":null"));
    assert_int_equal(fake_call(client, "GET", "/v1/late?limit=1", "", NULL), 200);
    assert_true(fake_has(client, "\"next_cursor\":\""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(rows_of_all_runners_come_in_one_order),
        TEST(a_row_shows_everything),
        TEST(parameters_reach_the_engine),
        TEST(bad_parameters_are_refused),
        TEST(pages_fit_together),
        TEST(an_unchanged_answer_is_304),
        TEST(the_log_is_read_back_in_pages),
        TEST(a_fate_needs_source_and_id),
        TEST(late_events_are_listed_in_log_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
