/* POST /v1/events with whole bodies: single events and batches. */
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ONE   "Content-Type: application/cloudevents+json\n"
#define BATCH "Content-Type: application/cloudevents-batch+json; charset=utf-8\n"
#define EVENT(members)                                                                             \
    "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"/s\",\"type\":\"t\"" members "}"

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

/* Sends one structured event and expects its refusal. */
static void expect_refused(const char *event, int status, const char *problem, const char *member)
{
    char text[128];
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, event), status);
    assert_true(fake_field(client, "Content-Type: application/problem+json\n"));
    (void)snprintf(text, sizeof(text), "\"type\":\"urn:tidemark:problem:%s", problem);
    if (!fake_has(client, text) || (member != NULL && !fake_has(client, member))) {
        fail_msg("%s gave %s", event, client->body);
    }
    assert_int_equal(client->gateway->proposals, 0);
}

static void one_event_is_taken_with_all_its_parts(void **state)
{
    (void)state;
    struct fake_events *events = malloc(sizeof(*events));
    struct event event;
    assert_int_equal(
        fake_call(client,
                  "POST",
                  "/v1/events",
                  ONE,
                  EVENT(",\"subject\":\"x\\\"y\",\"time\":\"2013-01-01T06:00:00+01:00\","
                        "\"datacontenttype\":\"application/json\",\"ext1\":true,\"gone\":null,"
                        "\"n\":-7,\"data\":{\"a\":[1,{\"b\":null}]}")),
        200);
    assert_string_equal(client->body, "{\"accepted\":1,\"rejected\":[]}");
    assert_true(fake_field(client, "Tidemark-As-Of: 0000000000001001\n"));
    assert_true(fake_field(client, "X-Content-Type-Options: nosniff\n"));
    fake_events_begin(events, client->gateway);
    assert_true(fake_events_next(events, &event));
    assert_true(bytes_equal(event.id, BYTES("a")));
    assert_true(bytes_equal(event.source, BYTES("/s")));
    assert_true(bytes_equal(event.type, BYTES("t")));
    assert_true(bytes_equal(event.subject, BYTES("x\"y")));
    assert_true(bytes_equal(event.content_type, BYTES("application/json")));
    assert_true(bytes_equal(event.data, BYTES("{\"a\":[1,{\"b\":null}]}")));
    assert_int_equal(event.time.us, 1357016400000000);
    assert_int_equal(event.arrival.us, client->gateway->now_us);
    struct reader extensions = reader_of(event.extensions);
    assert_true(bytes_equal(read_string(&extensions), BYTES("ext1")));
    assert_true(bytes_equal(read_string(&extensions), BYTES("true")));
    assert_true(bytes_equal(read_string(&extensions), BYTES("n")));
    assert_true(bytes_equal(read_string(&extensions), BYTES("-7")));
    assert_int_equal(reader_left(&extensions), 0);
    assert_false(fake_events_next(events, &event));
    free(events);
}

static void an_event_without_time_gets_its_arrival(void **state)
{
    (void)state;
    struct fake_events *events = malloc(sizeof(*events));
    struct event event;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, EVENT("")), 200);
    fake_events_begin(events, client->gateway);
    assert_true(fake_events_next(events, &event));
    assert_int_equal(event.time.us, client->gateway->now_us);
    assert_int_equal(event.flags & EVENT_HAS_TIME, 0);
    free(events);
}

static void what_breaks_cloudevents_is_refused_by_name(void **state)
{
    (void)state;
    expect_refused(
        "{\"id\":\"a\",\"source\":\"/s\",\"type\":\"t\"}", 400, "missing-member", "'specversion'");
    expect_refused("{\"specversion\":null,\"id\":\"a\",\"source\":\"/s\",\"type\":\"t\"}",
                   400,
                   "missing-member",
                   "'specversion'");
    expect_refused("{\"specversion\":\"1.0\",\"source\":\"/s\",\"type\":\"t\"}",
                   400,
                   "missing-member",
                   "'id'");
    expect_refused(
        "{\"specversion\":\"1.0\",\"id\":\"a\",\"type\":\"t\"}", 400, "missing-member", "'source'");
    expect_refused(
        "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\"}", 400, "missing-member", "'type'");
    expect_refused("{\"specversion\":\"0.3\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\"}",
                   400,
                   "unsupported-specversion",
                   NULL);
    expect_refused("{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"s\",\"type\":\"t\"}",
                   400,
                   "invalid-attribute",
                   "'id'");
    expect_refused("{\"specversion\":\"1.0\",\"id\":7,\"source\":\"s\",\"type\":\"t\"}",
                   400,
                   "wrong-type",
                   "'id'");
    expect_refused(EVENT(",\"id\":\"b\""), 400, "duplicate-member", "'id'");
    expect_refused(EVENT(",\"\\u0069d\":\"b\""), 400, "duplicate-member", "'id'");
    expect_refused(EVENT(",\"data\":1,\"data\":2"), 400, "duplicate-member", "'data'");
    expect_refused(EVENT(",\"ext\":null,\"ext\":\"x\""), 400, "duplicate-member", "'ext'");
    expect_refused(
        EVENT(",\"data\":1,\"data_base64\":\"AA==\""), 400, "invalid-attribute", "'data_base64'");
    expect_refused(EVENT(",\"data_base64\":\"A===\""), 400, "invalid-attribute", "base64");
    expect_refused(EVENT(",\"data_base64\":\"AAA\""), 400, "invalid-attribute", "base64");
    expect_refused(EVENT(",\"time\":\"2013-01-01\""), 400, "invalid-time", "'time'");
    expect_refused(EVENT(",\"time\":5"), 400, "wrong-type", "'time'");
    expect_refused(EVENT(",\"subject\":\"\""), 400, "invalid-attribute", "'subject'");
    expect_refused(EVENT(",\"subject\":\"a\\u0000b\""), 400, "invalid-attribute", "'subject'");
    expect_refused(EVENT(",\"Ext\":\"x\""), 400, "invalid-attribute", "'Ext'");
    expect_refused(EVENT(",\"ext\":{}"), 400, "wrong-type", "'ext'");
    expect_refused(EVENT(",\"ext\":1.5"), 400, "invalid-attribute", "'ext'");
    expect_refused(EVENT(",\"ext\":2147483648"), 400, "invalid-attribute", "'ext'");
    expect_refused(EVENT(",\"time\":\"2023-11-14T22:18:21Z\""), 422, "time-in-future", "'time'");
    expect_refused("[]", 400, "wrong-type", "object");
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    expect_refused("", 400, "invalid-json", "at byte 0");
    expect_refused("{\"id\":", 400, "invalid-json", "at byte 6");
    expect_refused(EVENT("") "x", 400, "invalid-json", NULL);
    expect_refused(EVENT(",\"data\":\"\xff\""), 400, "invalid-utf8", NULL);
    expect_refused(EVENT(",\"data\":NaN"), 400, "invalid-json", NULL);
    expect_refused(EVENT(",\"data\":01"), 400, "invalid-json", NULL);
    expect_refused(EVENT(",\"data\":\"\\ud800\""), 400, "invalid-", NULL);
}

static void deep_json_is_refused(void **state)
{
    (void)state;
    char text[512] = EVENT(",\"data\":");
    size_t len = strlen(text) - 1;
    memset(text + len, '[', 100);
    text[len + 100] = '\0';
    expect_refused(text, 400, "too-deep", NULL);
}

static void duplicate_members_inside_data_are_fine(void **state)
{
    (void)state;
    assert_int_equal(
        fake_call(
            client, "POST", "/v1/events", ONE, EVENT(",\"data\":{\"a\":1,\"a\":2,\"x\":1e999}")),
        200);
}

static void base64_with_escaped_slashes_is_kept_without_them(void **state)
{
    (void)state;
    struct fake_events *events = malloc(sizeof(*events));
    struct event event;
    assert_int_equal(
        fake_call(client, "POST", "/v1/events", ONE, EVENT(",\"data_base64\":\"ab\\/c\"")), 200);
    fake_events_begin(events, client->gateway);
    assert_true(fake_events_next(events, &event));
    assert_true(bytes_equal(event.data, BYTES("\"ab/c\"")));
    assert_int_equal(event.flags & EVENT_DATA_BASE64, EVENT_DATA_BASE64);
    free(events);
}

static void a_batch_reports_the_bad_ones_by_index(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/events",
                               BATCH,
                               "[" EVENT("") ",{\"id\":\"bad\"}," EVENT(",\"n\":1") ",5]"),
                     200);
    assert_true(fake_has(client,
                         "{\"accepted\":2,\"rejected\":[{\"index\":1,\"id\":\"bad\","
                         "\"type\":\"urn:tidemark:problem:missing-member\""));
    assert_true(fake_has(client, "{\"index\":3,\"type\":\"urn:tidemark:problem:wrong-type\""));
    assert_int_equal(client->gateway->proposals, 1);
    assert_int_equal(client->gateway->last.event_count, 2);
}

static void a_batch_is_atomic_as_a_frame(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "[" EVENT("") "," EVENT(""),
        "[" EVENT("") "," EVENT("") "]]",
        "[" EVENT("") ",{\"id\":}]",
        "[" EVENT("") ",]",
        "[" EVENT("") " " EVENT("") "]",
        "{}",
        "",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_int_equal(fake_call(client, "POST", "/v1/events", BATCH, broken[i]), 400);
        assert_int_equal(client->gateway->proposals, 0);
    }
    /* The writer is fit for the next one. */
    assert_int_equal(fake_call(client, "POST", "/v1/events", BATCH, "[" EVENT("") "]"), 200);
    assert_int_equal(client->gateway->last.event_count, 1);
}

static void an_empty_batch_is_fine(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "POST", "/v1/events", BATCH, " [ ] "), 200);
    assert_string_equal(client->body, "{\"accepted\":0,\"rejected\":[]}");
    assert_int_equal(client->gateway->proposals, 0);
}

static void when_none_is_accepted_the_first_reason_is_the_answer(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/events",
                               BATCH,
                               "[" EVENT(",\"time\":\"2999-01-01T00:00:00Z\"") ",{}]"),
                     422);
    assert_true(fake_has(client, "\"type\":\"urn:tidemark:problem:time-in-future\""));
    assert_true(fake_has(client, "\"accepted\":0,\"rejected\":[{\"index\":0,\"id\":\"a\""));
    assert_true(fake_has(client, "{\"index\":1,"));
}

static void at_most_a_thousand_refusals_are_listed(void **state)
{
    (void)state;
    size_t count = 1200;
    char *text = malloc(3 * count + 200);
    size_t len = 0;
    text[len++] = '[';
    for (size_t i = 0; i < count; i++) {
        memcpy(text + len, "{},", 3);
        len += 3;
    }
    (void)snprintf(text + len, 100, "%s]", EVENT(""));
    assert_int_equal(fake_call(client, "POST", "/v1/events", BATCH, text), 200);
    assert_true(fake_has(client, "{\"index\":999,"));
    assert_false(fake_has(client, "{\"index\":1000,"));
    assert_true(fake_has(client, "\"rejected_more\":200}"));
    free(text);
}

static void ack_applied_adds_duplicates_and_late(void **state)
{
    (void)state;
    client->gateway->duplicates = 3;
    client->gateway->late = 2;
    assert_int_equal(fake_call(client, "POST", "/v1/events?ack=applied", ONE, EVENT("")), 200);
    assert_true(client->gateway->last.wants_applied);
    assert_string_equal(client->body,
                        "{\"accepted\":1,\"duplicates\":3,\"late\":2,\"rejected\":[]}");
    assert_int_equal(fake_call(client, "POST", "/v1/events?ack=maybe", ONE, EVENT("")), 422);
}

static void what_the_engine_refuses_is_told(void **state)
{
    (void)state;
    client->gateway->refuse = ERR_OVERLOADED;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, EVENT("")), 429);
    assert_true(fake_field(client, "Retry-After: 1\n"));
    assert_true(fake_field(client, "RateLimit: "));
    assert_true(fake_field(client, "RateLimit-Policy: "));
    assert_true(fake_has(client, "\"accepted\":0"));
    client->gateway->refuse = ERR_NO_SPACE;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, EVENT("")), 507);
    client->gateway->refuse = OK;
    client->gateway->propose_result = ERR_NO_SPACE;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, EVENT("")), 507);
    assert_true(fake_field(client, "Retry-After: 1\n"));
    client->gateway->ready = false;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, EVENT("")), 503);
}

/* Of a full disk (507) the sequencer knows by itself; of a bad request it is no matter. */
static void the_sequencer_is_told_of_whom_we_turned_away(void **state)
{
    (void)state;
    const uint64_t *shed = &gateway_counters(client->gateway)->writes_shed;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, "{"), 400);
    client->gateway->refuse = ERR_NO_SPACE;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, EVENT("")), 507);
    assert_int_equal(*shed, 0);
    client->gateway->refuse = ERR_OVERLOADED;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, EVENT("")), 429);
    assert_int_equal(*shed, 1);
    client->gateway->refuse = ERR_UNAVAILABLE;
    assert_int_equal(fake_call(client, "POST", "/v1/events", ONE, EVENT("")), 503);
    assert_int_equal(*shed, 2);
    assert_int_equal(fake_call(client, "GET", "/v1/watermark", "", NULL), 503);
    assert_int_equal(*shed, 2); /* a question says nothing */
    uint8_t space[1024];
    struct buf body = buf_of(space, sizeof(space));
    struct http_handler handler = api_handler(client->api);
    handler.refuse(handler.ctx, ERR_UNAVAILABLE, "too many connections are open", &body);
    assert_int_equal(*shed, 3);
    handler.refuse(handler.ctx, ERR_MALFORMED, "no request", &body);
    assert_int_equal(*shed, 3);
}

static void bodies_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    size_t len = 9 * 1024 * 1024;
    char *text = malloc(len);
    memset(text, ' ', len);
    /* By its length, before a byte of it is read. */
    fake_head(client, "POST", "/v1/events", BATCH, text, len);
    assert_int_equal(client->status, 413);
    /* Without a length, at the limit. */
    fake_head(client, "POST", "/v1/events", BATCH, text, 0);
    client->current.request.length_known = false;
    for (size_t at = 0; at < len && client->status == 0; at += 65536) {
        fake_body(client, text + at, 65536);
    }
    assert_int_equal(client->status, 413);
    assert_true(client->closed);
    free(text);
}

static void an_event_beyond_a_mebibyte_is_refused_alone(void **state)
{
    (void)state;
    size_t data_len = 1024 * 1024;
    char *text = malloc(data_len + 1000);
    int at = snprintf(text,
                      1000,
                      "[%s,{\"specversion\":\"1.0\",\"id\":\"big\",\"source\":\"s\","
                      "\"type\":\"t\",\"data\":\"",
                      EVENT(""));
    memset(text + at, 'x', data_len);
    (void)snprintf(text + (size_t)at + data_len, 10, "\"}]");
    assert_int_equal(fake_call(client, "POST", "/v1/events", BATCH, text), 200);
    assert_true(fake_has(client,
                         "\"index\":1,\"id\":\"big\","
                         "\"type\":\"urn:tidemark:problem:event-too-large\""));
    free(text);
}

static void unknown_types_and_encodings_are_refused(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "POST", "/v1/events", "", EVENT("")), 415);
    assert_int_equal(
        fake_call(client, "POST", "/v1/events", "Content-Type: application/json\n", EVENT("")),
        415);
    assert_int_equal(
        fake_call(client, "POST", "/v1/events", ONE "Content-Encoding: br\n", EVENT("")), 415);
    assert_int_equal(
        fake_call(client, "POST", "/v1/events", ONE "Content-Encoding: identity\n", EVENT("")),
        200);
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/events",
                               ONE "Content-Encoding: gzip\n",
                               "this is not gzip at all"),
                     400);
    assert_true(fake_has(client, "invalid-encoding"));
}

static void a_batch_with_many_sources_becomes_several_records(void **state)
{
    (void)state;
    size_t count = 10000;
    char *text = malloc(count * 100);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(text + len,
                                100,
                                "%s{\"specversion\":\"1.0\",\"id\":\"%zu\",\"source\":\"/s/%zu\","
                                "\"type\":\"t\"}",
                                i == 0 ? "[" : ",",
                                i,
                                i);
    }
    (void)snprintf(text + len, 10, "]");
    assert_int_equal(fake_call(client, "POST", "/v1/events", BATCH, text), 200);
    assert_int_equal(client->gateway->proposals, 1);
    struct fake_events *events = malloc(sizeof(*events));
    struct event event;
    size_t seen = 0;
    for (fake_events_begin(events, client->gateway); fake_events_next(events, &event); seen++) {
        char id[24];
        (void)snprintf(id, sizeof(id), "%zu", seen);
        assert_true(bytes_equal(event.id, bytes_of_string(id)));
    }
    assert_int_equal(seen, count);
    free(events);
    free(text);
}

static void memory_outlives_a_client_that_goes_away(void **state)
{
    (void)state;
    const char *body = EVENT("");
    fake_head(client, "POST", "/v1/events", ONE, body, strlen(body));
    fake_body(client, body, strlen(body));
    fake_end(client);
    assert_int_equal(client->status, 0);
    assert_int_equal(api_open_requests(client->api), 1);
    fake_gone(client);
    assert_int_equal(api_open_requests(client->api), 0);
    assert_int_equal(fake_gateway_deliver(client->gateway), 1);
    assert_int_equal(client->gateway->last.event_count, 1);
    assert_int_equal(client->responses, 0);
}

static void an_engine_that_never_answers_is_given_up_on(void **state)
{
    (void)state;
    const char *body = EVENT("");
    fake_head(client, "POST", "/v1/events", ONE, body, strlen(body));
    fake_body(client, body, strlen(body));
    fake_end(client);
    api_tick(client->api);
    assert_int_equal(client->status, 0);
    client->gateway->now_us += 31 * US_PER_SECOND;
    api_tick(client->api);
    assert_int_equal(client->status, 503);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->responses, 1);
}

static void send_one_more(struct fake_client *sender)
{
    const char *body = EVENT("");
    fake_head(sender, "POST", "/v1/events", ONE, body, strlen(body));
    fake_body(sender, body, strlen(body));
    fake_end(sender);
}

static void the_next_request_may_come_while_the_former_is_answered(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "[" EVENT("") ",", "[" EVENT("") "]", "[" EVENT("") ",{}]", "[{}]", "{}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        client->on_response = send_one_more;
        fake_head(client, "POST", "/v1/events", BATCH, bodies[i], strlen(bodies[i]));
        fake_body(client, bodies[i], strlen(bodies[i]));
        fake_end(client);
        (void)fake_gateway_deliver(client->gateway);
        assert_int_equal(client->responses, 2 * (i + 1));
        assert_int_equal(client->status, 200);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_event_is_taken_with_all_its_parts),
        TEST(an_event_without_time_gets_its_arrival),
        TEST(what_breaks_cloudevents_is_refused_by_name),
        TEST(what_is_no_json_is_refused_with_its_place),
        TEST(deep_json_is_refused),
        TEST(duplicate_members_inside_data_are_fine),
        TEST(base64_with_escaped_slashes_is_kept_without_them),
        TEST(a_batch_reports_the_bad_ones_by_index),
        TEST(a_batch_is_atomic_as_a_frame),
        TEST(an_empty_batch_is_fine),
        TEST(when_none_is_accepted_the_first_reason_is_the_answer),
        TEST(at_most_a_thousand_refusals_are_listed),
        TEST(ack_applied_adds_duplicates_and_late),
        TEST(what_the_engine_refuses_is_told),
        TEST(the_sequencer_is_told_of_whom_we_turned_away),
        TEST(bodies_beyond_the_limits_are_refused),
        TEST(an_event_beyond_a_mebibyte_is_refused_alone),
        TEST(unknown_types_and_encodings_are_refused),
        TEST(a_batch_with_many_sources_becomes_several_records),
        TEST(memory_outlives_a_client_that_goes_away),
        TEST(an_engine_that_never_answers_is_given_up_on),
        TEST(the_next_request_may_come_while_the_former_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
