/* Writes with an Idempotency-Key: done once, answered as often as they are sent, also for those whose
 * first connection broke; and what is not kept. The table of answers itself is the engine's own. */
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JSON   "Content-Type: application/json\n"
#define KEYED  JSON "Idempotency-Key: \"k-1\"\n"
#define CREATE "{\"key\":\"order-17\",\"within\":\"PT15M\"}"
#define SOURCE "/v1/sources/%2Fshop"

#define EVENT(id)    "{\"specversion\":\"1.0\",\"id\":\"" id "\",\"source\":\"/s\",\"type\":\"t\"}"
#define ONE          "Content-Type: application/cloudevents+json\n"
#define LINES        "Content-Type: application/x-ndjson\n"
#define BATCH        "Content-Type: application/cloudevents-batch+json\n"
#define BINARY_PLAIN "ce-specversion: 1.0\nce-id: 1\nce-source: /s\nce-type: t\n"
#define BINARY       "Content-Type: text/plain\n" BINARY_PLAIN
#define BINARY_SWAPPED                                                                             \
    "Content-Type: text/plain\nce-specversion: 1.0\nce-id: 1\nce-source: t\nce-type: /s\n"

static struct fake_client *client;

static void result_is(enum timeout_outcome outcome, enum timeout_state state)
{
    for (size_t i = 0; i < 4; i++) {
        client->gateway->results[i] = (struct timeout_result){
            .outcome = outcome,
            .object = {.state = state, .generation = 1, .version = 3, .has_within = true},
        };
    }
}

static int setup(void **state)
{
    client = malloc(sizeof(*client));
    fake_client_init(client);
    result_is(TIMEOUT_CREATED, TIMEOUT_PENDING);
    *state = client;
    return 0;
}

/* Every claim was ended or given back: nothing is held for ever. */
static int teardown(void **state)
{
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->gateway->answers.in_use, 0);
    answers_validate(&client->gateway->answers);
    fake_client_deinit(*state);
    free(*state);
    return 0;
}

static uint32_t kept(void)
{
    return client->gateway->answers.count;
}

/* The same request twice: the first is done, the second is told what the first was. */
static void
assert_repeats(const char *method, const char *target, const char *headers, const char *body)
{
    static char first_body[1 << 16];
    char first_fields[2048];
    int status = fake_call(client, method, target, headers, body);
    uint32_t done = client->gateway->proposals;
    assert_true(client->body_len < sizeof(first_body));
    memcpy(first_body, client->body, client->body_len + 1);
    memcpy(first_fields, client->fields, sizeof(first_fields));
    assert_false(fake_field(client, "Idempotent-Replayed"));
    assert_int_equal(fake_call(client, method, target, headers, body), status);
    assert_string_equal(client->body, first_body);
    assert_memory_equal(client->fields, first_fields, strlen(first_fields));
    assert_string_equal(client->fields + strlen(first_fields), "Idempotent-Replayed: true\n");
    assert_int_equal(client->gateway->proposals, done);
}

static void the_same_again_is_answered_as_before(void **state)
{
    (void)state;
    assert_repeats("POST", "/v1/timeouts", KEYED, CREATE);
    result_is(TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", JSON, CREATE), 409);
}

static void every_kind_of_write_keeps_its_answer(void **state)
{
    (void)state;
    static const char metric[] =
        "{\"sql\":\"SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute')\"}";
    static const char script[] =
        "{\"sql\":\"CREATE METRIC a AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 "
        "minute')\"}";
    static const char rule[] =
        "{\"sql\":\"EXPECT type = 'a' EVERY INTERVAL '5 minutes' PER source\"}";
    assert_repeats("PUT", "/v1/metrics/a", JSON "Idempotency-Key: 1\n", metric);
    assert_repeats("DELETE", "/v1/metrics/a", "Idempotency-Key: 2\n", NULL);
    assert_repeats("DELETE", "/v1/metrics/a", "Idempotency-Key: 3\n", NULL);
    assert_int_equal(client->status, 404);
    assert_repeats("POST", "/v1/sql", JSON "Idempotency-Key: 4\n", script);
    assert_repeats("PUT", "/v1/rules/quiet", JSON "Idempotency-Key: 5\n", rule);
    assert_repeats("PUT", SOURCE, JSON "Idempotency-Key: 6\n", "{\"watermark\":\"explicit\"}");
    assert_repeats("PUT", SOURCE, JSON "If-Match: \"9\"\nIdempotency-Key: 7\n", "{}");
    assert_int_equal(client->status, 412);
    assert_repeats("POST",
                   SOURCE "/watermark",
                   JSON "Idempotency-Key: 8\n",
                   "{\"time\":\"2023-11-14T22:13:20Z\"}");
    assert_repeats("POST",
                   "/v1/timeouts:batch",
                   "Content-Type: application/x-ndjson\nIdempotency-Key: 9\n",
                   "{\"op\":\"create\",\"key\":\"a\",\"within\":\"PT1M\"}\n{\"op\":\"what\"}\n");
    assert_repeats("DELETE", SOURCE, "Idempotency-Key: 10\n", NULL);
    assert_int_equal(client->status, 204);
    result_is(TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED);
    assert_repeats("POST", "/v1/timeouts/k/complete", "Idempotency-Key: 11\n", NULL);
    assert_int_equal(client->status, 409);
    assert_int_equal(kept(), 11);
}

static void events_in_one_body_keep_their_answer(void **state)
{
    (void)state;
    static const char some[] = "[" EVENT("1") "," EVENT("2") ",{\"specversion\":\"1.0\"}]";
    assert_repeats("POST", "/v1/events", ONE "Idempotency-Key: 1\n", EVENT("1"));
    assert_repeats("POST", "/v1/events?ack=applied", BATCH "Idempotency-Key: 2\n", some);
    assert_true(fake_has(client, "\"accepted\":2"));
    assert_repeats("POST", "/v1/events", BINARY "Idempotency-Key: 3\n", "hello");
    assert_repeats("POST",
                   "/v1/events?ack=applied",
                   LINES "Idempotency-Key: 4\n",
                   EVENT("1") "\nno\n" EVENT("3"));
    assert_true(fake_has(client, "\"accepted\":2"));
    assert_int_equal(kept(), 4);
    assert_int_equal(
        fake_call(client, "POST", "/v1/events", LINES "Idempotency-Key: 4\n", EVENT("1")), 422);
    /* In binary mode the fields are a part of the event, in whatever order and case they come. */
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/events",
                               "Idempotency-Key: 3\nCE-Type: t\nce-source: /s\nce-id: 1\n"
                               "ce-specversion: 1.0\ncontent-type: text/plain\n",
                               "hello"),
                     200);
    assert_true(fake_field(client, "Idempotent-Replayed: true\n"));
    static const char *const others[] = {
        BINARY "ce-more: 1\nIdempotency-Key: 3\n",
        BINARY_SWAPPED "Idempotency-Key: 3\n",
        BINARY_PLAIN "Idempotency-Key: 3\n",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(fake_call(client, "POST", "/v1/events", others[i], "hello"), 422);
        assert_true(fake_has(client, "urn:tidemark:problem:idempotency-key-reused"));
    }
}

static void events_that_were_not_taken_leave_the_key_free(void **state)
{
    (void)state;
    static const char headers[] = ONE "Idempotency-Key: 1\n";
    struct gateway *gateway = client->gateway;
    assert_int_equal(fake_call(client, "POST", "/v1/events", headers, "{"), 400);
    assert_int_equal(fake_call(client, "POST", "/v1/events", headers, "{\"specversion\":\"1.0\"}"),
                     400);
    assert_int_equal(
        fake_call(client, "POST", "/v1/events", ONE "Idempotency-Key: a b\n", EVENT("1")), 400);
    gateway->propose_result = ERR_NO_SPACE;
    assert_int_equal(fake_call(client, "POST", "/v1/events", headers, EVENT("1")), 507);
    gateway->propose_result = OK;
    assert_int_equal(kept(), 0);
    assert_int_equal(fake_call(client, "POST", "/v1/events", headers, EVENT("1")), 200);
    assert_false(fake_field(client, "Idempotent-Replayed"));
    assert_int_equal(kept(), 1);
}

static void another_request_with_the_key_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *target;
        const char *body;
    } others[] = {
        {"POST", "/v1/timeouts", "{\"key\":\"order-17\",\"within\":\"PT16M\"}"},
        {"POST", "/v1/timeouts", "{\"key\":\"order-17\",\"within\":\"PT15M\"} "},
        {"POST", "/v1/timeouts/order-17/complete", CREATE},
        {"PUT", "/v1/metrics/timeouts", CREATE},
        {"PUT", "/v1/metrics/timeouts?dry_run=false", CREATE},
    };
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
    uint32_t done = client->gateway->proposals;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(
            fake_call(client, others[i].method, others[i].target, KEYED, others[i].body), 422);
        assert_true(fake_has(client, "urn:tidemark:problem:idempotency-key-reused"));
    }
    assert_int_equal(client->gateway->proposals, done);
}

static void while_it_is_worked_on_the_same_is_refused(void **state)
{
    (void)state;
    struct claim claim = {.key = BYTES("k-1")};
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
    answers_expire(&client->gateway->answers, (struct clock_time){INT64_MAX});
    /* The first is on its way: the engine holds its claim and has not answered its command. */
    fake_head(client, "POST", "/v1/timeouts", KEYED, CREATE, strlen(CREATE));
    fake_body(client, CREATE, strlen(CREATE));
    fake_end(client);
    assert_int_equal(client->gateway->queue_len, 1);
    struct claim *first = (struct claim *)(void *)client->gateway->queue[0];
    claim.request = first->request;
    answers_claim(
        &client->gateway->answers, &claim, (struct clock_time){client->gateway->now_us}, 0);
    assert_int_equal(claim.err, OK);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 409);
    assert_true(fake_has(client, "urn:tidemark:problem:idempotency-key-in-use"));
    assert_true(fake_field(client, "Retry-After: 1\n"));
    claim.kind = CLAIM_GIVE_BACK;
    answers_claim(&client->gateway->answers, &claim, (struct clock_time){0}, 0);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
}

static void what_is_no_key_is_refused_before_anything_is_done(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a b",
        "\"\"",
        "\"a",
        "\"",
        "\"a\"b\"",
        "\"a\\b\"",
        "\"a\\\"",
        "\"a b\"",
        "\xc3\xa4",
        "\"a\";b=1",
        "a\nIdempotency-Key: a",
    };
    char headers[512];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(headers, sizeof(headers), JSON "Idempotency-Key: %s\n", bad[i]);
        assert_int_equal(fake_call(client, "POST", "/v1/timeouts", headers, CREATE), 400);
        assert_true(fake_has(client, "\"member\":\"Idempotency-Key\""));
    }
    (void)snprintf(headers, sizeof(headers), JSON "Idempotency-Key: %0256d\n", 7);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", headers, CREATE), 400);
    assert_int_equal(client->gateway->proposals, 0);
    (void)snprintf(headers, sizeof(headers), JSON "Idempotency-Key: %0255d\n", 7);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", headers, CREATE), 201);
}

static void a_key_is_the_same_bare_and_as_a_string(void **state)
{
    (void)state;
    static const char *const same[] = {"a\"b\\c", "\"a\\\"b\\\\c\""};
    char headers[128];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(headers, sizeof(headers), JSON "idempotency-key: %s\n", same[i]);
        assert_int_equal(fake_call(client, "POST", "/v1/timeouts", headers, CREATE), 201);
        assert_int_equal(fake_field(client, "Idempotent-Replayed: true\n"), i == 1);
    }
    assert_int_equal(kept(), 1);
}

static void reads_and_dry_runs_pass_it_by(void **state)
{
    (void)state;
    static const char script[] = "DROP METRIC IF EXISTS a";
    assert_int_equal(fake_call(client, "GET", "/v1/metrics", "Idempotency-Key: a b\n", NULL), 200);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fake_call(client,
                                   "POST",
                                   "/v1/sql?dry_run=true",
                                   "Content-Type: text/plain\nIdempotency-Key: k\n",
                                   script),
                         200);
        assert_false(fake_field(client, "Idempotent-Replayed"));
    }
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/sql?dry_run=maybe",
                               "Content-Type: text/plain\nIdempotency-Key: k\n",
                               script),
                     422);
    assert_int_equal(kept(), 0);
}

static void what_a_client_can_mend_or_wait_for_is_not_kept(void **state)
{
    (void)state;
    struct gateway *gateway = client->gateway;
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, "{"), 400);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, "{\"key\":\"a\"}"), 422);
    gateway->refuse = ERR_OVERLOADED;
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 429);
    gateway->refuse = OK;
    gateway->propose_result = ERR_NO_SPACE;
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 507);
    gateway->propose_result = OK;
    result_is(TIMEOUT_NO_ROOM, TIMEOUT_ABSENT);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 507);
    assert_int_equal(kept(), 0);
    result_is(TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
    assert_false(fake_field(client, "Idempotent-Replayed"));
    assert_int_equal(kept(), 1);
}

static void begin_create(void)
{
    fake_head(client, "POST", "/v1/timeouts", KEYED, CREATE, strlen(CREATE));
    fake_body(client, CREATE, strlen(CREATE));
    fake_end(client);
}

/* Answers one letter; what it leads to stays in the queue. */
static void deliver_claim(void)
{
    struct letter *letter = client->gateway->queue[0];
    assert_int_equal(client->gateway->queue_len, 1);
    assert_int_equal(letter->kind, LETTER_CLAIM);
    client->gateway->queue_len = 0;
    answers_claim(&client->gateway->answers,
                  (struct claim *)(void *)letter,
                  (struct clock_time){client->gateway->now_us},
                  0);
    letter->done(letter);
}

static void who_went_away_meanwhile_gets_the_answer_on_repeating_it(void **state)
{
    (void)state;
    begin_create();
    deliver_claim();
    fake_gone(client);
    assert_int_equal(client->responses, 0);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->responses, 0);
    assert_int_equal(kept(), 1);
    result_is(TIMEOUT_UNCHANGED, TIMEOUT_PENDING);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
    assert_true(fake_field(client, "Idempotent-Replayed: true\n"));
}

static void events_whose_sender_went_away_or_waited_too_long_are_answered_on_repeating(void **state)
{
    (void)state;
    for (uint32_t waits = 0; waits <= 1; waits++) {
        const char *headers = waits == 0 ? ONE "Idempotency-Key: 1\n" : ONE "Idempotency-Key: 2\n";
        const char *body = EVENT("1");
        uint32_t responses = (uint32_t)client->responses;
        fake_head(client, "POST", "/v1/events?ack=applied", headers, body, strlen(body));
        fake_body(client, body, strlen(body));
        fake_end(client);
        deliver_claim();
        if (waits == 0) {
            fake_gone(client);
        } else {
            client->gateway->now_us += 31 * US_PER_SECOND;
            api_tick(client->api);
            assert_int_equal(client->status, 503);
        }
        (void)fake_gateway_deliver(client->gateway);
        assert_int_equal((uint32_t)client->responses, responses + waits);
        assert_int_equal(kept(), 1 + waits);
        uint32_t done = client->gateway->proposals;
        assert_int_equal(fake_call(client, "POST", "/v1/events?ack=applied", headers, body), 200);
        assert_true(fake_field(client, "Idempotent-Replayed: true\n"));
        assert_int_equal(client->gateway->proposals, done);
    }
}

static void who_went_away_before_the_claim_has_done_nothing(void **state)
{
    (void)state;
    begin_create();
    fake_gone(client);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->gateway->proposals, 0);
    assert_int_equal(client->gateway->answers.in_use, 0);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
}

static void who_waited_too_long_gets_the_answer_on_repeating_it(void **state)
{
    (void)state;
    begin_create();
    deliver_claim();
    client->gateway->now_us += 31 * US_PER_SECOND;
    api_tick(client->api);
    assert_int_equal(client->status, 503);
    assert_int_equal(client->gateway->answers.in_use, 1);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->responses, 1);
    assert_int_equal(kept(), 1);
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
    assert_true(fake_field(client, "Idempotent-Replayed: true\n"));
}

static void an_answer_that_can_not_be_kept_is_given_all_the_same(void **state)
{
    (void)state;
    begin_create();
    deliver_claim();
    struct proposal *command = (struct proposal *)(void *)client->gateway->queue[0];
    client->gateway->queue_len = 0;
    command->results[0] = client->gateway->results[0];
    command->letter.done(&command->letter);
    assert_int_equal(client->gateway->queue_len, 1); /* the answer, to be kept */
    client->gateway->propose_result = ERR_NO_SPACE;
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->status, 201);
    assert_int_equal(kept(), 0);
    assert_int_equal(client->gateway->answers.in_use, 0);
    client->gateway->propose_result = OK;
    assert_int_equal(fake_call(client, "POST", "/v1/timeouts", KEYED, CREATE), 201);
    assert_false(fake_field(client, "Idempotent-Replayed"));
}

/* Each line is answered with its key twice, and each quote in it takes two bytes. */
static void an_answer_longer_than_those_of_batches_is_not_kept(void **state)
{
    (void)state;
    enum { LINES_SENT = 10000, QUOTES = 250 };
    static char body[LINES_SENT * (2 * QUOTES + 64)];
    char quotes[2 * QUOTES + 1] = {0};
    for (size_t n = 0; n < QUOTES; n++) {
        memcpy(quotes + 2 * n, "\\\"", 2);
    }
    size_t len = 0;
    for (uint32_t n = 0; n < LINES_SENT; n++) {
        static const char line[] = "{\"op\":\"complete\",\"key\":\"%s%05u\"}\n";
        len += (size_t)snprintf(body + len, sizeof(body) - len, line, quotes, n);
    }
    result_is(TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED);
    for (uint32_t round = 1; round <= 2; round++) {
        assert_int_equal(
            fake_call(client, "POST", "/v1/timeouts:batch", LINES "Idempotency-Key: k\n", body),
            200);
        assert_true(client->body_len > KEPT_ANSWER_BYTES_MAX);
        assert_false(fake_field(client, "Idempotent-Replayed"));
        assert_int_equal(client->gateway->commands, round * LINES_SENT);
    }
    assert_int_equal(kept(), 0);
}

static void the_answer_to_a_full_batch_is_kept(void **state)
{
    (void)state;
    static char body[10000 * 64];
    size_t len = 0;
    for (uint32_t n = 0; n < 10000; n++) {
        static const char line[] = "{\"op\":\"heartbeat\",\"key\":\"key-%05u\"}\n";
        len += (size_t)snprintf(body + len, sizeof(body) - len, line, n);
    }
    result_is(TIMEOUT_CHANGED, TIMEOUT_PENDING);
    for (uint32_t round = 0; round <= 1; round++) {
        assert_int_equal(
            fake_call(client, "POST", "/v1/timeouts:batch", LINES "Idempotency-Key: k\n", body),
            200);
        assert_int_equal(fake_field(client, "Idempotent-Replayed"), round == 1);
        assert_int_equal(client->gateway->commands, 10000);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_again_is_answered_as_before),
        TEST(every_kind_of_write_keeps_its_answer),
        TEST(events_in_one_body_keep_their_answer),
        TEST(events_that_were_not_taken_leave_the_key_free),
        TEST(another_request_with_the_key_is_refused),
        TEST(while_it_is_worked_on_the_same_is_refused),
        TEST(what_is_no_key_is_refused_before_anything_is_done),
        TEST(a_key_is_the_same_bare_and_as_a_string),
        TEST(reads_and_dry_runs_pass_it_by),
        TEST(what_a_client_can_mend_or_wait_for_is_not_kept),
        TEST(who_went_away_meanwhile_gets_the_answer_on_repeating_it),
        TEST(events_whose_sender_went_away_or_waited_too_long_are_answered_on_repeating),
        TEST(who_went_away_before_the_claim_has_done_nothing),
        TEST(who_waited_too_long_gets_the_answer_on_repeating_it),
        TEST(an_answer_that_can_not_be_kept_is_given_all_the_same),
        TEST(the_answer_to_a_full_batch_is_kept),
        TEST(an_answer_longer_than_those_of_batches_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
