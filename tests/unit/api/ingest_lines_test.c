/* POST /v1/events as a stream of lines. */
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zstd.h>

#define LINES     "Content-Type: application/x-ndjson\n"
#define EVENT(id) "{\"specversion\":\"1.0\",\"id\":\"" id "\",\"source\":\"/s\",\"type\":\"t\"}"

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

static size_t events_count(void)
{
    struct fake_events *events = malloc(sizeof(*events));
    struct event event;
    size_t count = 0;
    for (fake_events_begin(events, client->gateway); fake_events_next(events, &event);) {
        count++;
    }
    free(events);
    return count;
}

static void each_line_stands_for_itself(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/events",
                               LINES,
                               EVENT("a") "\n\n  \r\n{broken\n" EVENT("b") "\r\n{}\n" EVENT("c")),
                     200);
    assert_true(fake_has(client,
                         "{\"accepted\":3,\"rejected\":[{\"index\":1,"
                         "\"type\":\"urn:tidemark:problem:invalid-json\""));
    assert_true(fake_has(client, "{\"index\":3,\"type\":\"urn:tidemark:problem:missing-member\""));
    assert_int_equal(events_count(), 3);
}

static void an_unfinished_last_line_that_is_no_event_is_refused(void **state)
{
    (void)state;
    assert_int_equal(
        fake_call(client, "POST", "/v1/events", LINES, EVENT("a") "\n{\"specversion\":"), 200);
    assert_true(fake_has(client, "{\"accepted\":1,\"rejected\":[{\"index\":1,"));
}

static void an_empty_stream_is_fine(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "POST", "/v1/events", LINES, ""), 200);
    assert_string_equal(client->body, "{\"accepted\":0,\"rejected\":[]}");
}

static void lines_cut_anywhere_are_put_together(void **state)
{
    (void)state;
    const char *text = EVENT("a") "\n" EVENT("b") "\n" EVENT("c") "\n";
    size_t len = strlen(text);
    for (size_t step = 1; step < 40; step++) {
        client->gateway->records.len = 0;
        fake_head(client, "POST", "/v1/events", LINES, text, len);
        for (size_t at = 0; at < len; at += step) {
            fake_body(client, text + at, len - at < step ? len - at : step);
        }
        fake_end(client);
        (void)fake_gateway_deliver(client->gateway);
        assert_int_equal(client->status, 200);
        assert_int_equal(events_count(), 3);
    }
}

static void a_line_beyond_the_limit_is_refused_and_passed_over(void **state)
{
    (void)state;
    size_t long_len = 5 * 1024 * 1024;
    char *text = malloc(long_len + 1000);
    size_t len = (size_t)snprintf(text, 500, "%s\n", EVENT("a"));
    memset(text + len, 'x', long_len);
    len += long_len;
    len += (size_t)snprintf(text + len, 500, "\n%s\n", EVENT("b"));
    fake_head(client, "POST", "/v1/events", LINES, text, len);
    for (size_t at = 0; at < len; at += 50000) {
        fake_body(client, text + at, len - at < 50000 ? len - at : 50000);
        (void)fake_gateway_deliver(client->gateway);
    }
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 200);
    assert_true(fake_has(client,
                         "{\"accepted\":2,\"rejected\":[{\"index\":1,"
                         "\"type\":\"urn:tidemark:problem:event-too-large\""));
    assert_int_equal(events_count(), 2);
    free(text);
}

/* 12 MiB of lines, each with its number as id. */
static char *many_lines(size_t *len, size_t *count)
{
    char *text = malloc(13 * 1024 * 1024);
    *len = 0;
    for (*count = 0; *len < 12 * 1024 * 1024; (*count)++) {
        *len += (size_t)snprintf(text + *len,
                                 200,
                                 "{\"specversion\":\"1.0\",\"id\":\"%zu\",\"source\":\"/s\","
                                 "\"type\":\"t\",\"subject\":\"es\\u0063aped\"}\n",
                                 *count);
    }
    return text;
}

static void a_long_stream_waits_for_the_engine(void **state)
{
    (void)state;
    size_t len = 0;
    size_t count = 0;
    char *text = many_lines(&len, &count);
    fake_head(client, "POST", "/v1/events", LINES, text, len);
    for (size_t at = 0; at < len;) {
        if (client->paused) {
            assert_true(client->gateway->queue_len <= 4);
            assert_true(fake_gateway_deliver(client->gateway) > 0);
            assert_false(client->paused);
        }
        size_t part = len - at < 100000 ? len - at : 100000;
        fake_body(client, text + at, part);
        at += part;
    }
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 200);
    assert_true(client->pauses > 0);
    assert_true(client->gateway->proposals >= 10);
    assert_int_equal(events_count(), count);
    free(text);
}

static void a_body_that_comes_all_at_once_is_kept_while_the_engine_works(void **state)
{
    (void)state;
    size_t len = 0;
    size_t count = 0;
    char *text = many_lines(&len, &count);
    fake_head(client, "POST", "/v1/events", LINES, text, len);
    fake_body(client, text, len);
    assert_int_equal(client->gateway->queue_len, 4);
    assert_true(client->paused);
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 200);
    assert_int_equal(events_count(), count);
    free(text);
}

static void complete_lines_before_a_break_count(void **state)
{
    (void)state;
    const char *text = EVENT("a") "\n" EVENT("b") "\n{\"specversion\":\"1.0\"";
    fake_head(client, "POST", "/v1/events", LINES, text, 1000);
    fake_body(client, text, strlen(text));
    fake_gone(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->responses, 0);
    assert_int_equal(events_count(), 2);
}

static void a_slow_stream_is_sent_on_at_ticks(void **state)
{
    (void)state;
    const char *text = EVENT("a") "\n" EVENT("b");
    fake_head(client, "POST", "/v1/events", LINES, text, 1000);
    fake_body(client, text, strlen(text));
    assert_int_equal(client->gateway->queue_len, 0);
    api_tick(client->api);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(events_count(), 1);
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(events_count(), 2);
    assert_true(fake_has(client, "\"accepted\":2"));
}

static void an_overloaded_engine_is_tried_again(void **state)
{
    (void)state;
    const char *text = EVENT("a") "\n";
    client->gateway->refuse = ERR_OVERLOADED;
    fake_head(client, "POST", "/v1/events", LINES, text, strlen(text));
    fake_body(client, text, strlen(text));
    fake_end(client);
    api_tick(client->api);
    assert_int_equal(client->status, 0);
    client->gateway->refuse = OK;
    api_tick(client->api);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 200);
    assert_int_equal(events_count(), 1);
}

static void an_engine_that_stays_overloaded_is_told(void **state)
{
    (void)state;
    const char *text = EVENT("a") "\n";
    client->gateway->refuse = ERR_OVERLOADED;
    fake_head(client, "POST", "/v1/events", LINES, text, strlen(text));
    fake_body(client, text, strlen(text));
    fake_end(client);
    client->gateway->now_us += 25 * US_PER_SECOND;
    api_tick(client->api);
    assert_int_equal(client->status, 429);
    assert_true(fake_has(client, "\"accepted\":0"));
}

static void a_chunk_that_fails_fails_the_stream_with_what_was_taken(void **state)
{
    (void)state;
    const char *first = EVENT("a") "\n";
    const char *second = EVENT("b") "\n";
    fake_head(client, "POST", "/v1/events", LINES, first, 1000);
    fake_body(client, first, strlen(first));
    api_tick(client->api);
    (void)fake_gateway_deliver(client->gateway);
    client->gateway->propose_result = ERR_NO_SPACE;
    fake_body(client, second, strlen(second));
    api_tick(client->api);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 507);
    assert_true(client->closed);
    assert_true(fake_has(client, "\"accepted\":1"));
}

static void compressed_lines_are_streamed(void **state)
{
    (void)state;
    size_t len = 0;
    size_t count = 0;
    char *text = many_lines(&len, &count);
    size_t cap = ZSTD_compressBound(len);
    char *packed = malloc(cap);
    size_t packed_len = ZSTD_compress(packed, cap, text, len, 1);
    assert_true(packed_len * 90 > len);
    fake_head(client, "POST", "/v1/events", LINES "Content-Encoding: zstd\n", packed, packed_len);
    for (size_t at = 0; at < packed_len;) {
        if (client->paused) {
            assert_true(fake_gateway_deliver(client->gateway) > 0);
            continue;
        }
        size_t part = packed_len - at < 65536 ? packed_len - at : 65536;
        fake_body(client, packed + at, part);
        at += part;
    }
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 200);
    assert_int_equal(events_count(), count);
    /* Cut short: what came complete counts, the answer tells. */
    client->gateway->records.len = 0;
    fake_head(client, "POST", "/v1/events", LINES "Content-Encoding: zstd\n", packed, packed_len);
    fake_body(client, packed, packed_len / 2);
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 400);
    assert_true(fake_has(client, "invalid-encoding"));
    assert_true(events_count() > 0);
    free(packed);
    free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_line_stands_for_itself),
        TEST(an_unfinished_last_line_that_is_no_event_is_refused),
        TEST(an_empty_stream_is_fine),
        TEST(lines_cut_anywhere_are_put_together),
        TEST(a_line_beyond_the_limit_is_refused_and_passed_over),
        TEST(a_long_stream_waits_for_the_engine),
        TEST(a_body_that_comes_all_at_once_is_kept_while_the_engine_works),
        TEST(complete_lines_before_a_break_count),
        TEST(a_slow_stream_is_sent_on_at_ticks),
        TEST(an_overloaded_engine_is_tried_again),
        TEST(an_engine_that_stays_overloaded_is_told),
        TEST(a_chunk_that_fails_fails_the_stream_with_what_was_taken),
        TEST(compressed_lines_are_streamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
