/* /v1/timeouts: commands one at a time, reading, lists. */
#include "fake_client.h"

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

/* What the engine says the next command led to. */
static void result_is(enum timeout_outcome outcome, enum timeout_state state)
{
    const struct timeout_result result = {
        .outcome = outcome,
        .object = {.state = state,
                   .generation = 1,
                   .version = 3,
                   .has_within = true,
                   .within_us = 15 * US_PER_MINUTE,
                   .deadline = 1700000900000000,
                   .created = {1700000000000000},
                   .last_seen = {1700000000000000},
                   .ended = {1700000900500000},
                   .decided_at = 4711},
    };
    for (size_t i = 0; i < 4; i++) {
        client->gateway->results[i] = result;
    }
}

static void a_create_is_encoded_and_answered(void **state)
{
    (void)state;
    result_is(TIMEOUT_CREATED, TIMEOUT_PENDING);
    const char *body =
        "{\"key\":\"order-17\",\"within\":\"PT15M\",\"data\":{ \"a b\" : [1, 2] },"
        "\"event_time\":\"2013-01-01T00:00:00+02:00\",\"on_exists\":\"replace\"}";
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", JSON, body), 201);
    assert_string_equal(client->body,
                        "{\"key\":\"order-17\",\"generation\":1,\"state\":\"pending\","
                        "\"deadline\":\"2023-11-14T22:28:20Z\",\"clock\":\"processing\","
                        "\"within\":\"PT15M\",\"created\":\"2023-11-14T22:13:20Z\","
                        "\"last_seen\":\"2023-11-14T22:13:20Z\",\"version\":3,\"decided_at\":4711,"
                        "\"data\":{\"a b\":[1,2]}}");
    assert_true(fake_field(client, "ETag: \"3\"\n"));
    assert_true(fake_field(client, "Tidemark-As-Of: "));
    assert_false(fake_field(client, "Idempotent-Replayed"));
    const struct timeout_command *command = &client->gateway->command;
    assert_int_equal(command->op, TIMEOUT_CREATE);
    assert_true(bytes_equal(command->key, BYTES("order-17")));
    assert_true(bytes_equal(command->data, BYTES("{\"a b\":[1,2]}")));
    assert_int_equal(command->within_us, 15 * US_PER_MINUTE);
    assert_false(command->has_deadline);
    assert_true(command->has_event_time);
    assert_int_equal(command->event_time.us, 1356991200000000);
    assert_int_equal(command->on_exists, TIMEOUT_REPLACE);
    assert_int_equal(client->gateway->command_partition,
                     timeout_partition(timeout_hash(BYTES("order-17"), 42), 16));
}

static void the_same_create_again_is_told_as_replayed(void **state)
{
    (void)state;
    result_is(TIMEOUT_UNCHANGED, TIMEOUT_PENDING);
    const char *body = "{\"key\":\"k\",\"deadline\":\"2030-01-01T00:00:00Z\",\"clock\":\"event\"}";
    assert_int_equal(
        fake_call(client, "POST", "/v1/timeouts", JSON "Idempotency-Key: \"x\"\n", body), 200);
    assert_true(fake_field(client, "Idempotent-Replayed: true\n"));
    assert_true(client->gateway->command.has_deadline);
    assert_int_equal(client->gateway->command.clock, TIMEOUT_BY_EVENTS);
}

static void what_was_there_is_returned_and_not_called_a_replay(void **state)
{
    (void)state;
    result_is(TIMEOUT_UNCHANGED, TIMEOUT_PENDING);
    static const struct {
        const char *body;
        bool replayed;
    } rows[] = {
        {"{\"key\":\"k\",\"within\":\"PT15M\",\"on_exists\":\"return\"}", true},
        {"{\"key\":\"k\",\"within\":\"PT16M\",\"on_exists\":\"return\"}", false},
        {"{\"key\":\"k\",\"within\":\"PT15M\",\"clock\":\"event\",\"on_exists\":\"return\"}",
         false},
        {"{\"key\":\"k\",\"deadline\":\"2023-11-14T22:28:20Z\",\"on_exists\":\"return\"}", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(fake_call(client, "POST", "/v1/timeouts", JSON, rows[i].body), 200);
        assert_int_equal(fake_field(client, "Idempotent-Replayed: true\n"), rows[i].replayed);
    }
}

static void refused_creates_name_the_member_and_reach_nobody(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
        const char *text;
    } rows[] = {
        {"", 400, "invalid-json"},
        {"{", 400, "invalid-json"},
        {"{\"key\":\"k\",\"within\":\"PT1S\"} x", 400, "invalid-json"},
        {"{\"key\":\"k\",\"within\":\"x\",", 400, "invalid-json"},
        {"[]", 422, "problem:unprocessable\""},
        {"null", 422, "JSON object"},
        {" 5 ", 422, "JSON object"},
        {"\"key\"", 422, "JSON object"},
        {"[}", 400, "invalid-json"},
        {"[] x", 400, "invalid-json"},
        {"{\"key\":\"k\",\"key\":\"k\",\"within\":\"PT1S\"}", 400, "duplicate-member"},
        {"{\"key\":\"\\ud800\",\"within\":\"PT1S\"}", 400, "invalid-utf8"},
        {"{\"key\":\"\",\"within\":\"PT1S\"}", 422, "\"member\":\"key\""},
        {"{\"within\":\"PT1S\"}", 422, "\"member\":\"key\""},
        {"{\"key\":\"a\\nb\",\"within\":\"PT1S\"}", 422, "control"},
        {"{\"key\":\"a\\u0085b\",\"within\":\"PT1S\"}", 422, "control"},
        {"{\"key\":7,\"within\":\"PT1S\"}", 422, "\"member\":\"key\""},
        {"{\"key\":\"k\"}", 422, "\"member\":\"within\""},
        {"{\"key\":\"k\",\"within\":\"PT1S\",\"deadline\":\"2030-01-01T00:00:00Z\"}",
         422,
         "\"member\":\"deadline\""},
        {"{\"key\":\"k\",\"within\":\"PT0S\"}", 422, "invalid-duration"},
        {"{\"key\":\"k\",\"within\":\"-PT5S\"}", 422, "invalid-duration"},
        {"{\"key\":\"k\",\"within\":\"P36526D\"}", 422, "invalid-duration"},
        {"{\"key\":\"k\",\"within\":\"P99999999999999999999D\"}", 422, "invalid-duration"},
        {"{\"key\":\"k\",\"within\":\"P1M\"}", 422, "\"member\":\"within\""},
        {"{\"key\":\"k\",\"deadline\":\"0000-12-31T23:59:59Z\"}", 422, "problem:unprocessable\""},
        {"{\"key\":\"k\",\"deadline\":\"soon\"}", 422, "\"member\":\"deadline\""},
        {"{\"key\":\"k\",\"within\":\"PT1S\",\"event_time\":\"2013-01-01\"}",
         422,
         "\"member\":\"event_time\""},
        {"{\"key\":\"k\",\"within\":\"P36525D\",\"clock\":\"event\","
         "\"event_time\":\"9999-01-01T00:00:00Z\"}",
         422,
         "behind the year 9999"},
        {"{\"key\":\"k\",\"within\":\"PT1S\",\"clock\":\"wall\"}", 422, "\"member\":\"clock\""},
        {"{\"key\":\"k\",\"within\":\"PT1S\",\"on_exists\":\"\"}", 422, "on_exists"},
        {"{\"key\":\"k\",\"within\":\"PT1S\",\"generation\":1}", 422, "unknown-member"},
        {"{\"key\":\"k\",\"within\":\"PT1S\",\"op\":\"create\"}", 422, "unknown-member"},
        {"{\"key\":\"k\",\"within\":\"PT1S\",\"colour\":1}", 422, "\"member\":\"colour\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int status = fake_call(client, "POST", "/v1/timeouts", JSON, rows[i].body);
        if (status != rows[i].status || !fake_has(client, rows[i].text)) {
            fail_msg("row %zu: %d %s", i, status, client->body);
        }
    }
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", "Content-Type: text/plain\n", "{}"),
                     415);
    assert_int_equal(client->gateway->proposals, 0);
}

static void a_key_may_have_256_bytes_and_not_one_more(void **state)
{
    (void)state;
    char body[512];
    char key[258] = {0};
    memset(key, 'k', 256);
    result_is(TIMEOUT_CREATED, TIMEOUT_PENDING);
    (void)snprintf(body, sizeof(body), "{\"key\":\"%s\",\"within\":\"PT1S\"}", key);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", JSON, body), 201);
    key[256] = 'k';
    (void)snprintf(body, sizeof(body), "{\"key\":\"%s\",\"within\":\"PT1S\"}", key);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", JSON, body), 422);
    (void)snprintf(body, sizeof(body), "/v1/timeouts/%s/complete", key);
    assert_int_equal(fake_call(client, "POST", body, "", NULL), 422);
}

static void data_may_have_64_kib(void **state)
{
    (void)state;
    size_t size = TIMEOUT_DATA_MAX + 1000;
    char *body = malloc(size);
    result_is(TIMEOUT_CREATED, TIMEOUT_PENDING);
    for (int extra = 0; extra < 2; extra++) {
        int len = snprintf(body, size, "{\"key\":\"k\",\"within\":\"PT1S\",\"data\": \"");
        size_t text = TIMEOUT_DATA_MAX - 2 + (size_t)extra;
        memset(body + len, 'x', text);
        memcpy(body + len + text, "\" }", 4);
        assert_int_equal(fake_call(client, "POST", "/v1/timeouts", JSON, body), extra ? 422 : 201);
    }
    assert_true(fake_has(client, "limit-reached"));
    free(body);
}

static void outcomes_have_their_statuses(void **state)
{
    (void)state;
    static const struct {
        enum timeout_outcome outcome;
        enum timeout_state state;
        int status;
        const char *text;
    } rows[] = {
        {TIMEOUT_CHANGED, TIMEOUT_COMPLETED, 200, "\"ended\":\"2023-11-14T22:28:20.5Z\""},
        {TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY, 202, "\"state\":\"completed_early\""},
        {TIMEOUT_UNKNOWN, TIMEOUT_ABSENT, 404, "unknown-timeout"},
        {TIMEOUT_DIFFERS, TIMEOUT_PENDING, 409, "\"current\":{\"key\":\"a/b\",\"generation\":1"},
        {TIMEOUT_ENDED, TIMEOUT_CANCELLED, 409, "already-ended"},
        {TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED, 409, "\"fired_at\":\"2023-11-14T22:28:20.5Z\""},
        {TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED, 409, "urn:tidemark:problem:already-fired"},
        {TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED, 409, "\"decided_at\":4711"},
        {TIMEOUT_OTHER_GENERATION, TIMEOUT_PENDING, 412, "other-generation"},
        {TIMEOUT_OTHER_VERSION, TIMEOUT_PENDING, 412, "precondition-failed"},
        {TIMEOUT_NO_ROOM, TIMEOUT_ABSENT, 507, "no-room"},
        {TIMEOUT_UNANSWERED, TIMEOUT_ABSENT, 500, "internal"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        result_is(rows[i].outcome, rows[i].state);
        assert_int_equal(fake_call(client, "POST", "/v1/timeouts/a%2Fb/complete", "", NULL),
                         rows[i].status);
        assert_true(fake_has(client, rows[i].text));
    }
    assert_true(bytes_equal(client->gateway->command.key, BYTES("a/b")));
    assert_int_equal(client->gateway->command.op, TIMEOUT_COMPLETE);
}

static void ends_and_heartbeats_take_their_members(void **state)
{
    (void)state;
    const struct timeout_command *command = &client->gateway->command;
    result_is(TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/timeouts/k/heartbeat",
                               JSON "If-Match: \"18446744073709551615\"\n",
                               "{\"extend\":\"PT5M\",\"generation\":7}"),
                     200);
    assert_int_equal(command->op, TIMEOUT_HEARTBEAT);
    assert_int_equal(command->within_us, 5 * US_PER_MINUTE);
    assert_int_equal(command->generation, 7);
    assert_true(command->has_version);
    assert_true(command->version == UINT64_MAX);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts/k/heartbeat", JSON, "{}"), 200);
    assert_int_equal(command->within_us, 0);
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/timeouts/k/cancel",
                               JSON,
                               "{\"event_time\":\"2013-01-01T00:00:00Z\"}"),
                     200);
    assert_int_equal(command->op, TIMEOUT_CANCEL);
    assert_true(command->has_event_time);
    static const char *const bad[] = {"{\"extend\":\"PT5M\"}",
                                      "{\"generation\":0}",
                                      "{\"generation\":\"1\"}",
                                      "{\"generation\":1.5}"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(fake_call(client, "POST", "/v1/timeouts/k/cancel", JSON, bad[i]), 422);
    }
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts/k/cancel", "If-Match: 7\n", NULL),
                     412);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts/a%0Ab/cancel", "", NULL), 422);
}

/* The n-th command to come finds this version (0: nothing), and goes through if it names it. */
static void finds(uint32_t nth, uint64_t version, bool goes_through)
{
    struct gateway *gateway = client->gateway;
    gateway->results[(gateway->commands + nth) % 4] = (struct timeout_result){
        .outcome = goes_through ? TIMEOUT_CHANGED : TIMEOUT_OTHER_VERSION,
        .object = {.state = version == 0 ? TIMEOUT_ABSENT : TIMEOUT_PENDING,
                   .generation = 1,
                   .version = version},
    };
}

static int heartbeat_if(const char *fields)
{
    return fake_call(client, "POST", "/v1/timeouts/k/heartbeat", fields, NULL);
}

static void if_match_takes_a_star_and_lists(void **state)
{
    (void)state;
    const struct gateway *gateway = client->gateway;
    finds(0, 1, true);
    assert_int_equal(heartbeat_if("If-Match: *\n"), 200);
    assert_int_equal(gateway->commands, 1);
    assert_true(gateway->command.has_version);
    assert_int_equal(gateway->command.version, 1);
    /* A first guess that was wrong says which is right; here it changes once more before that. */
    finds(0, 5, false);
    finds(1, 6, false);
    finds(2, 7, true);
    assert_int_equal(heartbeat_if("If-Match: *\n"), 200);
    assert_int_equal(gateway->commands, 4);
    assert_int_equal(gateway->command.version, 6);
    finds(0, 0, false);
    assert_int_equal(heartbeat_if("If-Match: *\n"), 412);
    assert_int_equal(gateway->commands, 5);
    finds(0, 2, false);
    finds(1, 3, true);
    assert_int_equal(heartbeat_if("If-Match: \"2\", \"4\", W/\"9\"\n"), 200);
    assert_int_equal(gateway->commands, 7);
    assert_int_equal(gateway->command.version, 2);
    finds(0, 3, false);
    assert_int_equal(heartbeat_if("If-Match: \"2\"\nIf-Match: \"4\"\n"), 412);
    assert_int_equal(gateway->commands, 8);
    assert_int_equal(gateway->command.version, 4);
    finds(0, 3, false);
    assert_int_equal(heartbeat_if("If-None-Match: *\n"), 412);
    assert_int_equal(gateway->commands, 9);
    assert_int_equal(gateway->command.version, 0);
}

static void a_condition_that_names_no_version_reaches_nobody(void **state)
{
    (void)state;
    assert_int_equal(heartbeat_if("If-Match: W/\"1\"\n"), 412);
    assert_int_equal(heartbeat_if("If-Match: \"1\", *\n"), 412);
    assert_int_equal(heartbeat_if("If-Match: *\nIf-None-Match: *\n"), 422);
    assert_int_equal(heartbeat_if("If-None-Match: \"1\"\n"), 422);
    assert_int_equal(
        heartbeat_if(
            "If-Match: \"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\","
            "\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"\n"),
        422);
    assert_true(fake_has(client, "at most 16"));
    assert_int_equal(client->gateway->proposals, 0);
}

static void a_key_that_changes_all_the_time_is_given_up(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        finds(i, 5 + i, false);
    }
    assert_int_equal(heartbeat_if("If-Match: *\n"), 503);
    assert_int_equal(client->gateway->commands, 17);
}

static void put_row(uint32_t runner, const char *key, bool held)
{
    const struct timeout_row row = {
        .object = {.state = TIMEOUT_PENDING,
                   .clock = TIMEOUT_BY_EVENTS,
                   .generation = 2,
                   .version = 9,
                   .held = held},
        .key = bytes_of_string(key),
        .data = BYTES("[1]"),
    };
    timeout_row_put(&client->gateway->rows[runner], &row);
}

static void data_is_read_behind_a_command_that_did_not_bring_it(void **state)
{
    (void)state;
    static const struct {
        enum timeout_outcome outcome;
        uint64_t version;
        bool has_data;
        bool shown;
    } rows[] = {
        {TIMEOUT_CHANGED, 9, true, true},
        {TIMEOUT_DIFFERS, 9, true, true},
        {TIMEOUT_CHANGED, 8, true, false}, /* another command came between */
        {TIMEOUT_DIFFERS, 8, true, false},
        {TIMEOUT_CHANGED, 9, false, false}, /* nothing to ask for */
    };
    put_row(1, "k", false);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        client->gateway->last_query = (struct query){0};
        result_is(rows[i].outcome, TIMEOUT_PENDING);
        for (size_t n = 0; n < 4; n++) {
            client->gateway->results[n].object.generation = 2;
            client->gateway->results[n].object.version = rows[i].version;
            client->gateway->results[n].object.has_data = rows[i].has_data;
        }
        int status = fake_call(client, "POST", "/v1/timeouts/k/heartbeat", "", NULL);
        assert_int_equal(status, rows[i].outcome == TIMEOUT_CHANGED ? 200 : 409);
        assert_int_equal(fake_has(client, "\"data\":[1]"), rows[i].shown);
        assert_int_equal(client->gateway->last_query.kind,
                         rows[i].has_data ? QUERY_TIMEOUT : QUERY_VALUES);
    }
    client->gateway->query_err = ERR_UNAVAILABLE;
    client->gateway->query_detail = "";
    result_is(TIMEOUT_CHANGED, TIMEOUT_PENDING);
    for (size_t n = 0; n < 4; n++) {
        client->gateway->results[n].object.has_data = true;
    }
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts/k/heartbeat", "", NULL), 200);
    assert_false(fake_has(client, "\"data\""));
}

static void a_timeout_is_read_from_its_owner(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts/k", "", NULL), 404);
    assert_true(fake_has(client, "unknown-timeout"));
    put_row(1, "k", true);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts/k?consistency=eventual", "", NULL),
                     200);
    assert_true(fake_has(client, "{\"key\":\"k\",\"generation\":2,\"state\":\"unknown\","));
    assert_true(fake_has(client, "\"clock\":\"event\""));
    assert_true(fake_has(client, "\"data\":[1]}"));
    assert_true(fake_field(client, "ETag: \"9\"\n"));
    assert_int_equal(client->gateway->last_query.kind, QUERY_TIMEOUT);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts/k?consistency=x", "", NULL), 422);
}

static void put_instance(uint32_t runner, const char *key, int64_t started)
{
    const struct timeout_row row = {
        .object = {.state = TIMEOUT_FIRED,
                   .clock = TIMEOUT_BY_EVENTS,
                   .has_within = true,
                   .within_us = US_PER_MINUTE,
                   .has_event_time = true,
                   .event_time = {started},
                   .deadline = started + US_PER_MINUTE},
        .key = bytes_of_string(key),
    };
    timeout_row_put(&client->gateway->rows[runner], &row);
    client->gateway->row_counts[runner]++;
}

static void a_rule_tells_all_instances_of_a_key_the_newest_first(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts/k?rule=r", "", NULL), 404);
    assert_true(fake_has(client, "unknown-timeout"));
    for (int64_t minute = 1; minute <= 3; minute++) { /* out of order: 1, 3, 2 */
        put_instance(1, "k", (minute == 1 ? 1 : 5 - minute) * US_PER_MINUTE);
    }
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts/k?rule=r", "", NULL), 200);
    assert_int_equal(client->gateway->last_query.kind, QUERY_WATCH);
    const char *newest =
        "{\"rule\":\"r\",\"key\":\"k\",\"generation\":0,\"state\":\"fired\","
        "\"started\":\"1970-01-01T00:03:00Z\","
        "\"deadline\":\"1970-01-01T00:04:00Z\",\"clock\":\"event\","
        "\"within\":\"PT1M\",";
    assert_int_equal(strncmp(client->body, newest, strlen(newest)), 0);
    const char *at = strstr(client->body, "\"instances\":[");
    assert_non_null(at);
    for (int minute = 3; minute >= 1; minute--) {
        char started[64];
        (void)snprintf(started, sizeof(started), "\"started\":\"1970-01-01T00:0%d:00Z\"", minute);
        at = strstr(at, started);
        assert_non_null(at);
    }
    assert_null(strstr(at + 1, "\"started\""));
}

static void commands_reach_what_a_rule_began(void **state)
{
    (void)state;
    static const char unpaid[] =
        "AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '1 minute' PER subject";
    static const char quiet[] = "EXPECT type = 'a' EVERY INTERVAL '1 minute' PER subject";
    assert_int_equal(
        fake_call(client, "PUT", "/v1/rules/unpaid", "Content-Type: text/plain\n", unpaid), 201);
    assert_int_equal(
        fake_call(client, "PUT", "/v1/rules/quiet", "Content-Type: text/plain\n", quiet), 201);
    struct timeout_result *result = &client->gateway->results[0];
    *result = (struct timeout_result){.outcome = TIMEOUT_CHANGED,
                                      .object = {.state = TIMEOUT_COMPLETED, .decided_at = 77}};
    for (size_t i = 1; i < 4; i++) {
        client->gateway->results[i] = *result;
    }
    char target[1200];
    (void)snprintf(target, sizeof(target), "/v1/timeouts/%01024d/complete?rule=unpaid", 7);
    assert_int_equal(fake_call(client, "POST", target, "", NULL), 200);
    const struct timeout_command *command = &client->gateway->command;
    assert_int_equal(command->op, TIMEOUT_COMPLETE);
    assert_int_equal(command->rule, client->gateway->catalog.rules.entries[0].info.metric);
    const struct gateway_facts *facts = gateway_facts(client->gateway);
    uint64_t hash = timeout_rule_hash(command->rule, command->key, facts->seed);
    assert_int_equal(client->gateway->command_partition,
                     timeout_partition(hash, facts->partitions));
    assert_true(fake_has(client, "{\"rule\":\"unpaid\",\"key\":\"00"));
    assert_true(fake_has(client, "\"decided_at\":77"));
    assert_false(fake_field(client, "ETag"));
    assert_true(fake_field(client, "Tidemark-As-Of"));

    uint32_t sent = client->gateway->commands;
    static const struct {
        const char *target;
        const char *headers;
        const char *body;
        int status;
        const char *member;
    } refused[] = {
        {"/v1/timeouts/k/cancel?rule=nosuch", "", NULL, 404, "rule"},
        {"/v1/timeouts/k/cancel?rule=quiet", "", NULL, 422, "rule"},
        {"/v1/timeouts/k/cancel?rule=unpaid", "If-Match: \"1\"\n", NULL, 422, "If-Match"},
        {"/v1/timeouts/k/cancel?rule=unpaid", JSON, "{\"generation\":1}", 422, "generation"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        int status =
            fake_call(client, "POST", refused[i].target, refused[i].headers, refused[i].body);
        assert_int_equal(status, refused[i].status);
        char member[64];
        (void)snprintf(member, sizeof(member), "\"member\":\"%s\"", refused[i].member);
        assert_true(fake_has(client, member));
    }
    (void)snprintf(target, sizeof(target), "/v1/timeouts/%01025d/complete?rule=unpaid", 7);
    assert_int_equal(fake_call(client, "POST", target, "", NULL), 422);
    assert_int_equal(client->gateway->commands, sent);
}

static void a_firing_that_was_taken_back_keeps_its_time(void **state)
{
    (void)state;
    const struct timeout_row row = {
        .object = {.state = TIMEOUT_RETRACTED,
                   .clock = TIMEOUT_BY_EVENTS,
                   .has_event_time = true,
                   .fired = {7 * US_PER_SECOND},
                   .ended = {9 * US_PER_SECOND}},
        .key = BYTES("k"),
    };
    timeout_row_put(&client->gateway->rows[1], &row);
    client->gateway->row_counts[1]++;
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts/k?rule=r", "", NULL), 200);
    assert_true(fake_has(client,
                         "\"fired_at\":\"1970-01-01T00:00:07Z\","
                         "\"retracted_at\":\"1970-01-01T00:00:09Z\","));
    assert_false(fake_has(client, "\"ended\""));
}

static void an_unknown_rule_is_told_by_its_parameter(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/v1/timeouts/k?rule=r", "/v1/timeouts?rule=r", "/v1/timeouts:count?rule=r"};
    client->gateway->query_err = ERR_UNKNOWN_RULE;
    client->gateway->query_detail = "";
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        assert_int_equal(fake_call(client, "GET", targets[i], "", NULL), 404);
        assert_true(fake_has(client, "unknown-rule"));
        assert_true(fake_has(client, "\"member\":\"rule\""));
    }
}

static void the_instances_of_a_rule_are_a_list_of_their_own(void **state)
{
    (void)state;
    client->gateway->next_place = UINT32_MAX;
    put_instance(0, "a", US_PER_MINUTE);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?rule=r&limit=1", "", NULL), 200);
    assert_true(fake_has(client, "{\"items\":[{\"rule\":\"r\",\"key\":\"a\","));
    assert_int_equal(client->gateway->last_query.kind, QUERY_WATCHES);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?limit=1", "", NULL), 200);
    assert_int_equal(client->gateway->last_query.kind, QUERY_TIMEOUTS);
}

static void a_list_ends_where_its_last_partition_does(void **state)
{
    (void)state;
    client->gateway->next_place = UINT32_MAX;
    put_row(0, "a", false);
    put_row(1, "b", true);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?limit=2", "", NULL), 200);
    assert_true(fake_has(client, "{\"items\":[{\"key\":\"a\""));
    assert_false(fake_has(client, "\"next_cursor\":null"));
    assert_int_equal(client->gateway->last_query.partition, 0);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?limit=1000", "", NULL), 200);
    assert_true(fake_has(client, "\"next_cursor\":null"));
    assert_int_equal(client->gateway->last_query.partition, 15);
    assert_int_equal(
        fake_call(client, "GET", "/v1/timeouts?state=unknown&limit=1&prefix=x", "", NULL), 200);
    assert_false(fake_has(client, "\"key\":\"a\""));
    assert_true(fake_has(client, "\"key\":\"b\""));
    assert_int_equal(client->gateway->last_query.timeout_states, 1u << TIMEOUT_PENDING);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?state=gone", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?due_before=x", "", NULL), 422);
    assert_true(fake_has(client, "\"member\":\"due_before\""));
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?limit=0", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?cursor=x", "", NULL), 400);
}

static void a_cursor_goes_on_where_the_page_ended(void **state)
{
    (void)state;
    char target[128];
    client->gateway->next_place = 77;
    put_row(0, "a", false);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts?limit=1", "", NULL), 200);
    const char *cursor = strstr(client->body, "\"next_cursor\":\"");
    assert_non_null(cursor);
    (void)snprintf(target,
                   sizeof(target),
                   "/v1/timeouts?limit=1&cursor=%.48s",
                   cursor + strlen("\"next_cursor\":\""));
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    assert_int_equal(client->gateway->last_query.timeout_place, 77);
    assert_int_equal(client->gateway->last_query.partition, 0);
}

static void counts_are_summed_over_the_runners(void **state)
{
    (void)state;
    for (uint32_t runner = 0; runner < 2; runner++) {
        count_row_put(&client->gateway->rows[runner],
                      (struct count_row){.index = TIMEOUT_PENDING, .count = 5});
    }
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts:count", "", NULL), 200);
    assert_string_equal(client->body,
                        "{\"pending\":10,\"fired\":0,\"completed\":0,\"cancelled\":0,"
                        "\"completed_early\":0,\"retracted\":0,\"total\":10}");
    assert_int_equal(fake_call(client,
                               "GET",
                               "/v1/timeouts:due?from=2013-01-01T00:00:00Z&span=PT1H&count=2",
                               "",
                               NULL),
                     200);
    assert_string_equal(client->body,
                        "{\"from\":\"2013-01-01T00:00:00Z\",\"span\":\"PT1H\","
                        "\"clock\":\"processing\",\"items\":["
                        "{\"from\":\"2013-01-01T00:00:00Z\",\"count\":0},"
                        "{\"from\":\"2013-01-01T01:00:00Z\",\"count\":10}]}");
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts:due?from=now", "", NULL), 422);
    assert_true(fake_has(client, "\"member\":\"from\""));
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts:due?span=PT0S", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts:due?count=0", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/timeouts:due?clock=x", "", NULL), 422);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_create_is_encoded_and_answered),
        TEST(the_same_create_again_is_told_as_replayed),
        TEST(what_was_there_is_returned_and_not_called_a_replay),
        TEST(refused_creates_name_the_member_and_reach_nobody),
        TEST(a_key_may_have_256_bytes_and_not_one_more),
        TEST(data_may_have_64_kib),
        TEST(outcomes_have_their_statuses),
        TEST(if_match_takes_a_star_and_lists),
        TEST(a_condition_that_names_no_version_reaches_nobody),
        TEST(a_key_that_changes_all_the_time_is_given_up),
        TEST(ends_and_heartbeats_take_their_members),
        TEST(data_is_read_behind_a_command_that_did_not_bring_it),
        TEST(a_timeout_is_read_from_its_owner),
        TEST(a_rule_tells_all_instances_of_a_key_the_newest_first),
        TEST(commands_reach_what_a_rule_began),
        TEST(a_firing_that_was_taken_back_keeps_its_time),
        TEST(an_unknown_rule_is_told_by_its_parameter),
        TEST(the_instances_of_a_rule_are_a_list_of_their_own),
        TEST(a_list_ends_where_its_last_partition_does),
        TEST(a_cursor_goes_on_where_the_page_ended),
        TEST(counts_are_summed_over_the_runners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
