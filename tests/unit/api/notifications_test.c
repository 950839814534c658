/* /v1/notifications: pages, waiting, streams, consumers. */
#include "fake_client.h"

#include "api/feed_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JSON "Content-Type: application/json\n"

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

static struct feed_place at(uint64_t ordinal, uint32_t partition, uint32_t number)
{
    return (struct feed_place){ordinal, partition, number};
}

/* The cursor of the last answer, as the query of the next. */
static const char *go_on(const char *target)
{
    static char text[256];
    const char *member = "\"next_cursor\":\"";
    const char *cursor = strstr(client->body, member);
    assert_non_null(cursor);
    (void)snprintf(text, sizeof(text), "%safter=%.48s", target, cursor + strlen(member));
    return text;
}

static void pages_follow_each_other_over_all_runners(void **state)
{
    (void)state;
    client->gateway->feed_ordinal = 9;
    fake_note(client->gateway, 0, at(7, 0, 1), "a");
    fake_note(client->gateway, 1, at(7, 1, 1), "b");
    fake_note(client->gateway, 0, at(8, 0, 1), "c");
    assert_int_equal(fake_call(client, "GET", "/v1/notifications?limit=2", "", NULL), 200);
    const char *a = strstr(client->body, "\"subject\":\"a\"");
    const char *b = strstr(client->body, "\"subject\":\"b\"");
    assert_true(a != NULL && a < b);
    assert_false(fake_has(client, "\"subject\":\"c\""));
    assert_true(fake_has(client, "{\"specversion\":\"1.0\",\"id\":\""));
    assert_true(fake_has(client, "\"type\":\"tidemark.timeout.fired\""));
    assert_true(fake_has(client, "\"data\":{\"a\":1}}}"));
    assert_int_equal(fake_call(client, "GET", go_on("/v1/notifications?"), "", NULL), 200);
    assert_true(fake_has(client, "\"subject\":\"c\""));
    assert_false(fake_has(client, "\"subject\":\"b\""));
    assert_int_equal(fake_call(client, "GET", go_on("/v1/notifications?"), "", NULL), 200);
    assert_true(fake_has(client, "{\"items\":[],\"next_cursor\":\""));
}

static void filters_choose(void **state)
{
    (void)state;
    client->gateway->feed_ordinal = 9;
    fake_note(client->gateway, 0, at(7, 0, 1), "a");
    fake_note(client->gateway, 1, at(7, 1, 1), "b");
    static const struct {
        const char *query;
        bool has_a;
        bool has_b;
    } rows[] = {
        {"subject=a", true, false},
        {"type=tidemark.timeout.*", true, true},
        {"type=tidemark.timeout.fired&subject=b", false, true},
        {"type=tidemark.timeout.fire", false, false},
        {"type=tidemark.task.*", false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char target[128];
        (void)snprintf(target, sizeof(target), "/v1/notifications?%s", rows[i].query);
        assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
        assert_int_equal(fake_has(client, "\"subject\":\"a\""), rows[i].has_a);
        assert_int_equal(fake_has(client, "\"subject\":\"b\""), rows[i].has_b);
    }
}

/* The text of the n-th "id" of the last answer, 32 digits. */
static const char *id_of(uint32_t n)
{
    static char ids[4][33];
    const char *at = client->body;
    for (uint32_t i = 0; i <= n; i++) {
        at = strstr(at, "\"id\":\"");
        assert_non_null(at);
        at += 6;
    }
    (void)snprintf(ids[n], sizeof(ids[n]), "%.32s", at);
    return ids[n];
}

static void the_engine_tells_that_it_holds_and_that_it_is_over(void **state)
{
    (void)state;
    client->gateway->feed_ordinal = 9;
    client->gateway->now_us = 1704067205 * US_PER_SECOND;
    fake_engine_note(client->gateway, at(7, 0, 1), true, PULSE_DEAF);
    fake_engine_note(client->gateway, at(8, 0, 1), false, PULSE_DEAF | PULSE_REFUSING);
    fake_note(client->gateway, 0, at(8, 0, 2), "a");
    const char *target = "/v1/notifications?type=tidemark.engine.*";
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    assert_true(fake_has(client,
                         "\"source\":\"/tidemark/engine\",\"type\":\"tidemark.engine.lagging\","
                         "\"subject\":\"engine\",\"time\":\"2024-01-01T00:00:05Z\","
                         "\"datacontenttype\":\"application/json\",\"data\":{\"holding\":true,"
                         "\"since\":\"2024-01-01T00:00:04Z\",\"why\":[\"deaf\"],"
                         "\"decided_at\":77}}"));
    assert_true(fake_has(client,
                         "\"data\":{\"holding\":false,\"since\":\"2024-01-01T00:00:04Z\","
                         "\"until\":\"2024-01-01T00:00:05Z\",\"why\":[\"refusing\",\"deaf\"],"
                         "\"decided_at\":77}}"));
    assert_false(fake_has(client, "\"subject\":\"a\""));
    char first[33];
    (void)snprintf(first, sizeof(first), "%s", id_of(0));
    assert_string_not_equal(first, id_of(1));
    assert_int_equal(fake_call(client, "GET", "/v1/notifications?subject=engine", "", NULL), 200);
    assert_string_equal(first, id_of(0));
    assert_false(fake_has(client, "\"subject\":\"a\""));
    assert_int_equal(fake_call(client, "GET", "/v1/notifications?subject=a", "", NULL), 200);
    assert_false(fake_has(client, "tidemark.engine"));
    target = "/v1/notifications?type=tidemark.timeout.*";
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    assert_false(fake_has(client, "tidemark.engine"));
    assert_true(fake_has(client, "\"subject\":\"a\""));
}

static void forgotten_and_foreign_cursors_are_gone(void **state)
{
    (void)state;
    client->gateway->feed_ordinal = 9;
    fake_note(client->gateway, 0, at(7, 0, 1), "a");
    assert_int_equal(fake_call(client, "GET", "/v1/notifications", "", NULL), 200);
    const char *old = go_on("/v1/notifications?");
    client->gateway->feed_forgotten = at(10, 0, 1);
    client->gateway->feed_ordinal = 12;
    assert_int_equal(fake_call(client, "GET", old, "", NULL), 410);
    assert_true(fake_has(client, "urn:tidemark:problem:cursor-expired"));
    assert_int_equal(fake_call(client, "GET", go_on("/v1/notifications?"), "", NULL), 200);
    assert_int_equal(fake_call(client, "GET", "/v1/notifications?after=abc", "", NULL), 410);
    assert_int_equal(fake_call(client, "GET", "/v1/notifications", "", NULL), 200);
    client->gateway->feed_ordinal = 11;
    assert_int_equal(fake_call(client, "GET", go_on("/v1/notifications?"), "", NULL), 410);
}

static void a_long_poll_waits_for_the_feed_to_grow(void **state)
{
    (void)state;
    client->gateway->feed_ordinal = 9;
    fake_head(client, "GET", "/v1/notifications?wait=PT30S", "", NULL, 0);
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 0);
    client->gateway->now_us += 20 * US_PER_SECOND;
    api_tick(client->api);
    assert_int_equal(fake_gateway_deliver(client->gateway), 0);
    fake_note(client->gateway, 1, at(10, 1, 1), "late");
    client->gateway->feed_ordinal = 10;
    client->gateway->feed_count++;
    api_tick(client->api);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 200);
    assert_true(fake_has(client, "\"subject\":\"late\""));
}

static void a_long_poll_ends_with_its_time_or_the_server(void **state)
{
    (void)state;
    for (int draining = 0; draining < 2; draining++) {
        fake_head(client, "GET", "/v1/notifications?wait=PT60S", "", NULL, 0);
        fake_end(client);
        (void)fake_gateway_deliver(client->gateway);
        client->gateway->now_us += 59 * US_PER_SECOND;
        api_tick(client->api);
        assert_int_equal(client->status, 0);
        client->gateway->now_us += (draining ? 0 : 1) * US_PER_SECOND + 20000;
        client->gateway->ready = !draining;
        api_tick(client->api);
        assert_int_equal(client->status, 200);
        assert_true(fake_has(client, "{\"items\":[],\"next_cursor\":\""));
    }
    client->gateway->ready = true;
    assert_int_equal(fake_call(client, "GET", "/v1/notifications?wait=PT61S", "", NULL), 422);
    assert_true(fake_has(client, "invalid-duration"));
}

static void a_drain_lets_go_of_those_who_wait_and_of_those_who_come(void **state)
{
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        fake_head(client, "GET", "/v1/notifications?wait=PT60S", "", NULL, 0);
        fake_end(client);
        (void)fake_gateway_deliver(client->gateway);
        assert_int_equal(client->status, begun == 0 ? 0 : 200);
        if (begun == 0) {
            api_tick(client->api);
            assert_int_equal(client->status, 0);
            api_drain(client->api); /* what it asks the engine is still answered */
        }
        api_tick(client->api);
        assert_int_equal(client->status, 200);
        assert_true(fake_has(client, "{\"items\":[],\"next_cursor\":\""));
        assert_int_equal(api_open_requests(client->api), 0);
    }
}

static void a_peer_may_leave_while_it_waits(void **state)
{
    (void)state;
    fake_head(client, "GET", "/v1/notifications?wait=PT60S", "", NULL, 0);
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    fake_gone(client);
    assert_int_equal(api_open_requests(client->api), 0);
}

static void stream_open(const char *headers)
{
    char all[256];
    (void)snprintf(all, sizeof(all), "Accept: text/event-stream\n%s", headers);
    fake_head(client, "GET", "/v1/notifications", all, NULL, 0);
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
}

static void a_stream_sends_what_comes_and_beats(void **state)
{
    (void)state;
    client->gateway->feed_ordinal = 9;
    fake_note(client->gateway, 0, at(7, 0, 1), "a");
    stream_open("");
    assert_int_equal(client->status, 200);
    assert_true(client->streaming);
    assert_true(fake_field(client, "Content-Type: text/event-stream\n"));
    assert_true(fake_has(client, "retry: 1000\n\nid: "));
    assert_true(fake_has(client, "\ndata: {\"specversion\":\"1.0\","));
    fake_note(client->gateway, 1, at(10, 1, 1), "b");
    client->gateway->feed_ordinal = 10;
    client->gateway->feed_count++;
    client->gateway->refuse = ERR_OVERLOADED;
    api_tick(client->api);
    client->gateway->refuse = OK;
    client->gateway->now_us += 20000;
    api_tick(client->api);
    (void)fake_gateway_deliver(client->gateway);
    assert_true(fake_has(client, "\"subject\":\"b\""));
    uint32_t pushes = client->pushes;
    client->gateway->now_us += 14 * US_PER_SECOND;
    api_tick(client->api);
    assert_int_equal(client->pushes, pushes);
    client->gateway->now_us += 2 * US_PER_SECOND;
    api_tick(client->api);
    assert_true(fake_has(client, "\n: nothing new\n\n"));
    client->gateway->ready = false;
    client->gateway->now_us += US_PER_SECOND;
    api_tick(client->api);
    assert_false(client->streaming);
    assert_int_equal(api_open_requests(client->api), 0);
}

static void a_drain_ends_streams_whatever_waits_for_their_peers(void **state)
{
    (void)state;
    client->gateway->feed_ordinal = 9;
    stream_open("");
    assert_true(client->streaming);
    client->backlog = (size_t)1 << 20;
    api_drain(client->api);
    api_tick(client->api);
    assert_false(client->streaming);
    fake_note(client->gateway, 0, at(7, 0, 1), "a");
    stream_open("");
    assert_false(client->streaming);
    assert_int_equal(client->status, 200);
    assert_true(fake_has(client, "\"subject\":\"a\""));
    assert_int_equal(api_open_requests(client->api), 0);
}

static void a_stream_resumes_behind_its_last_event(void **state)
{
    (void)state;
    char header[128];
    client->gateway->feed_ordinal = 9;
    fake_note(client->gateway, 0, at(7, 0, 1), "a");
    fake_note(client->gateway, 0, at(7, 0, 2), "b");
    stream_open("");
    const char *id = strstr(client->body, "id: ");
    (void)snprintf(header, sizeof(header), "Last-Event-ID: %.48s\n", id + 4);
    fake_gone(client);
    stream_open(header);
    assert_false(fake_has(client, "\"subject\":\"a\""));
    assert_true(fake_has(client, "\"subject\":\"b\""));
    fake_gone(client);
    client->gateway->feed_forgotten = at(8, 0, 0);
    stream_open(header);
    assert_int_equal(client->status, 410);
    assert_false(client->streaming);
}

static void a_slow_reader_is_not_sent_more_and_told_what_it_missed(void **state)
{
    (void)state;
    client->gateway->feed_ordinal = 9;
    stream_open("");
    client->backlog = (size_t)1 << 20;
    fake_note(client->gateway, 0, at(10, 0, 1), "a");
    client->gateway->feed_ordinal = 10;
    client->gateway->feed_count++;
    for (int i = 0; i < 10; i++) {
        client->gateway->now_us += 20 * US_PER_SECOND;
        api_tick(client->api);
    }
    assert_int_equal(client->gateway->queue_len, 0);
    assert_int_equal(client->pushes, 1);
    client->backlog = 0;
    client->gateway->feed_ordinal = 20;
    client->gateway->feed_forgotten = at(15, 3, 1);
    client->gateway->now_us += US_PER_SECOND;
    api_tick(client->api);
    (void)fake_gateway_deliver(client->gateway);
    assert_true(
        fake_has(client, "event: reset\ndata: {\"reason\":\"cursor-expired\",\"next_cursor\":\""));
    assert_true(client->streaming);
    fake_gone(client);
}

static void consumers_are_remembered(void **state)
{
    (void)state;
    char body[256];
    client->gateway->feed_ordinal = 9;
    fake_note(client->gateway, 0, at(7, 0, 1), "a");
    fake_note(client->gateway, 0, at(7, 0, 2), "b");
    assert_int_equal(fake_call(client, "GET", "/v1/notifications?consumer=mail&limit=1", "", NULL),
                     200);
    assert_true(fake_has(client, "\"subject\":\"a\""));
    (void)snprintf(body,
                   sizeof(body),
                   "{\"consumer\":\"mail\",\"cursor\":\"%s\"}",
                   strstr(go_on(""), "=") + 1);
    assert_int_equal(fake_call(client, "POST", "/v1/notifications:ack", JSON, body), 200);
    assert_true(fake_has(client, "{\"consumer\":\"mail\",\"cursor\":\""));
    assert_int_equal(client->gateway->last.feed_place.ordinal, 7);
    assert_int_equal(fake_call(client, "GET", "/v1/notifications?consumer=mail", "", NULL), 200);
    assert_false(fake_has(client, "\"subject\":\"a\""));
    assert_true(fake_has(client, "\"subject\":\"b\""));
    assert_int_equal(fake_call(client, "GET", "/v1/notifications/consumers", "", NULL), 200);
    assert_true(fake_has(client, "{\"items\":[{\"consumer\":\"mail\",\"cursor\":\""));
    assert_true(fake_has(client, "\"acked\":\"2023-11-14T22:13:20Z\"}],\"next_cursor\":null}"));
}

static void bad_acks_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
        const char *text;
    } rows[] = {
        {"{}", 422, "\"member\":\"consumer\""},
        {"{\"consumer\":\"x\"}", 422, "\"member\":\"cursor\""},
        {"{\"consumer\":\"\",\"cursor\":\"0\"}", 422, "\"member\":\"consumer\""},
        {"{\"consumer\":\"x\",\"cursor\":\"0\"}", 422, "\"member\":\"cursor\""},
        {"{\"consumer\":\"x\",\"cursor\":\"0\",\"more\":\"1\"}", 422, "unknown-member"},
        {"[]", 422, "problem:unprocessable\""},
        {"true", 422, "JSON object"},
        {"[", 400, "invalid-json"},
        {"{\"more\":\"1\"", 400, "invalid-json"},
        {"{\"consumer\":\"x\",\"consumer\":\"x\"}", 400, "duplicate-member"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(fake_call(client, "POST", "/v1/notifications:ack", JSON, rows[i].body),
                         rows[i].status);
        assert_true(fake_has(client, rows[i].text));
    }
    assert_int_equal(fake_call(client, "GET", "/v1/notifications?consumer=A+B", "", NULL), 422);
    assert_int_equal(client->gateway->proposals, 0);
}

/* A member's text in the note as JSON; empty: it has none. */
static const char *told(const struct note *note, const char *member)
{
    static char texts[4][64];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    char name[32];
    struct out out = {0};
    note_put_json(&out, gateway_facts(client->gateway), note);
    out_char(&out, '\0');
    assert_false(out.buf.overflow);
    (void)snprintf(name, sizeof(name), "\"%s\":\"", member);
    const char *found = strstr((const char *)out.buf.data, name);
    (void)snprintf(text,
                   64,
                   "%.*s",
                   found == NULL ? 0 : (int)strcspn(found + strlen(name), "\""),
                   found == NULL ? "" : found + strlen(name));
    out_free(&out);
    return text;
}

static void every_firing_has_an_id_of_its_own(void **state)
{
    (void)state;
    const struct note first = {.kind = NOTE_TIMEOUT_FIRED,
                               .position = 100,
                               .rule = 7,
                               .started = 5 * US_PER_SECOND,
                               .deadline = 6 * US_PER_SECOND,
                               .rule_name = BYTES("r"),
                               .key = BYTES("k")};
    struct note others[5];
    for (size_t i = 0; i < 5; i++) {
        others[i] = first;
    }
    others[0].generation = 1;
    others[1].started++;
    others[2].rule++;
    others[3].key = BYTES("l");
    others[4].kind = NOTE_TIMEOUT_RETRACTED;
    for (size_t i = 0; i < 5; i++) {
        assert_string_not_equal(told(&first, "id"), told(&others[i], "id"));
    }
    struct note explicit = first;
    explicit.rule = 0;
    explicit.generation = 1;
    struct note anew = explicit;
    anew.position++;
    assert_string_not_equal(told(&explicit, "id"), told(&anew, "id"));
    assert_string_equal(told(&explicit, "id"), told(&explicit, "id"));
    assert_string_equal(told(&explicit, "fired_id"), "");
}

static void a_retraction_names_the_firing_that_it_takes_back(void **state)
{
    (void)state;
    static const enum note_kind kinds[] = {NOTE_TIMEOUT_RETRACTED, NOTE_TIMEOUT_COMPLETED_LATE};
    static const char *const taken[] = {"retracted_at", "completed_at"};
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t generation = 0; generation < 2; generation++) {
            const struct note fired = {.kind = NOTE_TIMEOUT_FIRED,
                                       .position = 100,
                                       .rule = 7,
                                       .generation = generation,
                                       .started = 5 * US_PER_SECOND,
                                       .deadline = 6 * US_PER_SECOND,
                                       .rule_name = BYTES("r"),
                                       .key = BYTES("k")};
            struct note late = fired;
            late.kind = kinds[i];
            late.position = 200;
            late.last_seen = 6 * US_PER_SECOND;
            late.clock.us = 9 * US_PER_SECOND;
            late.fired.us = 7 * US_PER_SECOND;
            assert_string_equal(told(&late, "fired_at"), "1970-01-01T00:00:07Z");
            assert_string_equal(told(&late, taken[i]), "1970-01-01T00:00:09Z");
            assert_string_equal(told(&late, taken[1 - i]), "");
            assert_string_equal(told(&fired, taken[i]), "");
            assert_string_equal(told(&late, "fired_id"), told(&fired, "id"));
            late.generation++;
            assert_string_not_equal(told(&late, "fired_id"), told(&fired, "id"));
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(pages_follow_each_other_over_all_runners),
        TEST(filters_choose),
        TEST(the_engine_tells_that_it_holds_and_that_it_is_over),
        TEST(forgotten_and_foreign_cursors_are_gone),
        TEST(a_long_poll_waits_for_the_feed_to_grow),
        TEST(a_long_poll_ends_with_its_time_or_the_server),
        TEST(a_drain_lets_go_of_those_who_wait_and_of_those_who_come),
        TEST(a_peer_may_leave_while_it_waits),
        TEST(a_stream_sends_what_comes_and_beats),
        TEST(a_drain_ends_streams_whatever_waits_for_their_peers),
        TEST(a_stream_resumes_behind_its_last_event),
        TEST(a_slow_reader_is_not_sent_more_and_told_what_it_missed),
        TEST(consumers_are_remembered),
        TEST(bad_acks_are_refused),
        TEST(every_firing_has_an_id_of_its_own),
        TEST(a_retraction_names_the_firing_that_it_takes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
