/* POST /v1/events in binary mode. */
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CE "ce-specversion: 1.0\nce-id: a\nce-source: /s\nce-type: t\n"

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

static struct fake_events events;

/* Sends it and expects one event. */
static struct event taken(const char *headers, const char *body)
{
    struct event event;
    client->gateway->records.len = 0;
    assert_int_equal(fake_call(client, "POST", "/v1/events", headers, body), 200);
    fake_events_begin(&events, client->gateway);
    assert_true(fake_events_next(&events, &event));
    return event;
}

static void refused(const char *headers, const char *body, int status, const char *text)
{
    assert_int_equal(fake_call(client, "POST", "/v1/events", headers, body), status);
    if (!fake_has(client, text)) {
        fail_msg("no %s in %s", text, client->body);
    }
    assert_int_equal(client->gateway->proposals, 0);
}

static void json_is_taken_as_it_is(void **state)
{
    (void)state;
    struct event event = taken(CE "Content-Type: application/json\n", " {\"a\":1} ");
    assert_true(bytes_equal(event.data, BYTES("{\"a\":1}")));
    assert_true(bytes_equal(event.content_type, BYTES("application/json")));
    event = taken(CE "Content-Type: application/geo+json; charset=utf-8\n", "[]");
    assert_true(bytes_equal(event.data, BYTES("[]")));
}

static void text_becomes_a_string(void **state)
{
    (void)state;
    struct event event = taken(CE "Content-Type: text/plain\n", "a \"b\"\n");
    assert_true(bytes_equal(event.data, BYTES("\"a \\\"b\\\"\\n\"")));
    assert_int_equal(event.flags & EVENT_DATA_BASE64, 0);
}

static void other_bytes_become_base64(void **state)
{
    (void)state;
    struct event event = taken(CE "Content-Type: image/png\n", "\x89PNG");
    assert_true(bytes_equal(event.data, BYTES("\"iVBORw==\"")));
    assert_int_equal(event.flags & EVENT_DATA_BASE64, EVENT_DATA_BASE64);
    event = taken(CE "Content-Type: text/plain\n", "\xff\xfe");
    assert_true(bytes_equal(event.data, BYTES("\"//4=\"")));
}

static void no_body_means_no_data(void **state)
{
    (void)state;
    struct event event = taken(CE, "");
    assert_int_equal(event.flags & EVENT_HAS_DATA, 0);
}

static void header_values_are_decoded(void **state)
{
    (void)state;
    struct event event = taken(CE
                               "CE-Subject: Euro%20%E2%82%AC\nce-time: 2013-01-01T00:00:00Z\n"
                               "ce-myext: \"quo\\\"ted\"\n",
                               "");
    assert_true(bytes_equal(event.subject, BYTES("Euro \xe2\x82\xac")));
    assert_int_equal(event.time.us, 1356998400000000);
    struct reader extensions = reader_of(event.extensions);
    assert_true(bytes_equal(read_string(&extensions), BYTES("myext")));
    assert_true(bytes_equal(read_string(&extensions), BYTES("\"quo\\\"ted\"")));
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    refused("ce-id: a\nce-source: /s\nce-type: t\n", "", 400, "'specversion': it is missing");
    refused("ce-specversion: 1.0\nce-source: /s\nce-type: t\n", "", 400, "'id': it is missing");
    refused("ce-specversion: 0.3\nce-id: a\nce-source: /s\nce-type: t\n",
            "",
            400,
            "unsupported-specversion");
    refused(CE "ce-id: b\n", "", 400, "duplicate-member");
    refused(CE "ce-time: yesterday\n", "", 400, "invalid-time");
    refused(CE "ce-time: 2999-01-01T00:00:00Z\n", "", 422, "time-in-future");
    refused(CE "ce-subject: %zz\n", "", 400, "invalid-attribute");
    refused(CE "ce-subject: %ff\n", "", 400, "invalid-attribute");
    refused(CE "ce-bad_name: x\n", "", 400, "'bad_name'");
    refused(CE "ce-datacontenttype: x\n", "", 400, "Content-Type");
    refused(CE "Content-Type: application/json\n", "{", 400, "invalid-json");
}

static void a_body_beyond_a_mebibyte_is_refused(void **state)
{
    (void)state;
    fake_head(client, "POST", "/v1/events", CE, "", 1024 * 1024 + 1);
    assert_int_equal(client->status, 413);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(json_is_taken_as_it_is),
        TEST(text_becomes_a_string),
        TEST(other_bytes_become_base64),
        TEST(no_body_means_no_data),
        TEST(header_values_are_decoded),
        TEST(what_is_wrong_is_told),
        TEST(a_body_beyond_a_mebibyte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
