/* POST /v1/timeouts:batch. */
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINES "Content-Type: application/x-ndjson\n"

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

static void each_line_has_its_own_result_in_order(void **state)
{
    (void)state;
    client->gateway->results[0] = (struct timeout_result){
        .outcome = TIMEOUT_CREATED, .object = {.state = TIMEOUT_PENDING, .generation = 1}};
    client->gateway->results[1] = (struct timeout_result){
        .outcome = TIMEOUT_ALREADY_FIRED, .object = {.state = TIMEOUT_FIRED, .generation = 1}};
    client->gateway->results[2] = (struct timeout_result){.outcome = TIMEOUT_UNKNOWN};
    const char *body =
        "{\"op\":\"create\",\"key\":\"a\",\"within\":\"PT1S\"}\n"
        "\n"
        "{\"op\":\"create\",\"key\":\"b\"}\r\n"
        "nonsense\n"
        "{\"key\":\"c\",\"op\":\"complete\"}\n"
        "{\"op\":\"heartbeat\",\"key\":\"d\"}";
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts:batch", LINES, body), 200);
    assert_true(fake_field(client, "Content-Type: application/x-ndjson\n"));
    static const char *const lines[] = {
        "{\"index\":0,\"op\":\"create\",\"status\":201,\"key\":\"a\",\"generation\":1,",
        "{\"index\":1,\"status\":422,\"key\":\"b\",\"type\":\"urn:tidemark:problem:unprocessable\"",
        "{\"index\":2,\"status\":400,\"type\":\"urn:tidemark:problem:invalid-json\"",
        ("{\"index\":3,\"op\":\"complete\",\"status\":409,\"key\":\"c\",\"type\":\"urn:tidemark:"
         "problem:already-fired\""),
        "{\"index\":4,\"op\":\"heartbeat\",\"status\":404,\"key\":\"d\",",
    };
    const char *at = client->body;
    for (size_t i = 0; i < 5; i++) {
        assert_memory_equal(at, lines[i], strlen(lines[i]));
        at = strchr(at, '\n') + 1;
    }
    assert_int_equal(*at, '\0');
    assert_int_equal(client->gateway->proposals, 1);
    assert_int_equal(client->gateway->commands, 3);
}

static void lines_that_are_no_commands_reach_nobody(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"key\":\"a\",\"within\":\"PT1S\"}",
        "{\"op\":\"explode\",\"key\":\"a\"}",
        "{\"op\":\"cancel\"}",
        "{\"op\":\"cancel\",\"key\":\"a\",\"within\":\"PT1S\"}",
        "[]",
        "null",
        "{",
    };
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(fake_call(client, "POST", "/v1/timeouts:batch", LINES, bad[i]), 200);
        assert_true(fake_has(client, i == 6 ? "\"status\":400" : "\"status\":422"));
    }
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts:batch", LINES, " \n"), 422);
    assert_int_equal(
        fake_call(client, "POST", "/v1/timeouts:batch", "Content-Type: application/json\n", "{}"),
        415);
    assert_int_equal(client->gateway->proposals, 0);
}

static void ten_thousand_are_done_and_one_more_none(void **state)
{
    (void)state;
    static const char line[] = "{\"op\":\"cancel\",\"key\":\"a\"}\n";
    size_t len = sizeof(line) - 1;
    char *body = malloc((TIMEOUT_COMMANDS_MAX + 1) * len + 1);
    body[0] = '\0';
    for (size_t i = 0; i <= TIMEOUT_COMMANDS_MAX; i++) {
        memcpy(body + i * len, line, len + 1);
    }
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts:batch", LINES, body), 422);
    assert_true(fake_has(client, "limit-reached"));
    assert_int_equal(client->gateway->proposals, 0);
    body[TIMEOUT_COMMANDS_MAX * len] = '\0';
    for (size_t i = 0; i < 4; i++) {
        client->gateway->results[i] = (struct timeout_result){
            .outcome = TIMEOUT_EARLY, .object = {.state = TIMEOUT_COMPLETED_EARLY}};
    }
    fake_head(client, "POST", "/v1/timeouts:batch", LINES, body, strlen(body));
    fake_body(client, body, strlen(body));
    fake_end(client);
    assert_int_equal(client->gateway->queue_len, 1);
    fake_gone(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->gateway->commands, TIMEOUT_COMMANDS_MAX);
    free(body);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_line_has_its_own_result_in_order),
        TEST(lines_that_are_no_commands_reach_nobody),
        TEST(ten_thousand_are_done_and_one_more_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
