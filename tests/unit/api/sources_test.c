/* /v1/sources and /v1/watermark. */
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

static void a_source_is_declared_with_defaults(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "PUT", "/v1/sources/%2Fcarriers%2FUA", JSON, "{}"), 201);
    assert_true(fake_has(client,
                         "{\"name\":\"/carriers/UA\",\"watermark\":\"bounded\","
                         "\"disorder\":\"PT5S\",\"idle_after\":\"PT30S\","
                         "\"max_future_skew\":\"PT5M\",\"version\":1,\"lane\":{"));
    assert_true(fake_field(client, "ETag: \"1\"\n"));
    assert_true(fake_field(client, "Tidemark-As-Of: "));
    assert_int_equal(fake_call(client,
                               "PUT",
                               "/v1/sources/%2Fcarriers%2FUA",
                               JSON,
                               "{\"watermark\":\"explicit\",\"disorder\":\"PT0S\"}"),
                     200);
    assert_true(fake_has(client, "\"watermark\":\"explicit\",\"disorder\":\"PT0S\""));
    assert_int_equal(fake_call(client, "GET", "/v1/sources/%2Fcarriers%2FUA", "", NULL), 200);
}

static void bad_declarations_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
        const char *text;
    } rows[] = {
        {"{\"disorder\":\"5s\"}", 422, "\"member\":\"disorder\""},
        {"{\"disorder\":\"5s\"}", 422, "invalid-duration"},
        {"{\"idle_after\":\"P1M\"}", 422, "\"member\":\"idle_after\""},
        {"{\"max_future_skew\":\"P400D\"}", 422, "\"member\":\"max_future_skew\""},
        {"{\"watermark\":\"none\"}", 422, "\"member\":\"watermark\""},
        {"{\"disorder\":5}", 422, "unprocessable"},
        {"{\"colour\":\"red\"}", 422, "\"member\":\"colour\""},
        {"{\"disorder\":\"PT1S\",\"disorder\":\"PT1S\"}", 400, "duplicate-member"},
        {"{", 400, "invalid-json"},
        {"", 400, "invalid-json"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(fake_call(client, "PUT", "/v1/sources/x", JSON, rows[i].body),
                         rows[i].status);
        assert_true(fake_has(client, rows[i].text));
    }
    assert_int_equal(client->gateway->proposals, 0);
}

static void conditions_guard_sources(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "PUT", "/v1/sources/x", JSON "If-None-Match: *\n", "{}"),
                     201);
    assert_int_equal(fake_call(client, "PUT", "/v1/sources/x", JSON "If-Match: \"7\"\n", "{}"),
                     412);
    assert_int_equal(fake_call(client, "PUT", "/v1/sources/x", JSON "If-Match: \"1\"\n", "{}"),
                     200);
}

static void a_producer_speaks_about_its_watermark(void **state)
{
    (void)state;
    const char *target = "/v1/sources/x/watermark";
    assert_int_equal(fake_call(client, "POST", target, JSON, "{\"final\":true}"), 404);
    (void)fake_call(client, "PUT", "/v1/sources/x", JSON, "{\"watermark\":\"explicit\"}");
    assert_int_equal(fake_call(client, "POST", target, JSON, "{\"time\":\"2013-01-01T00:00:00Z\"}"),
                     200);
    assert_true(fake_has(client, "\"lane\":{\"watermark\":\"2013-01-01T00:00:00Z\""));
    assert_int_equal(fake_call(client, "POST", target, JSON, "{\"time\":\"2012-01-01T00:00:00Z\"}"),
                     409);
    assert_true(fake_has(client, "watermark-backwards"));
    assert_int_equal(fake_call(client, "POST", target, JSON, "{\"final\":true}"), 200);
    assert_true(fake_has(client, "\"watermark\":null"));
    assert_true(fake_has(client, "\"final\":true"));
    assert_int_equal(fake_call(client, "POST", target, JSON, "{\"final\":false}"), 200);
    assert_int_equal(client->gateway->last.command, LANE_REOPEN);
    assert_int_equal(
        fake_call(client, "POST", target, JSON "If-Match: \"9\"\n", "{\"final\":false}"), 412);
    assert_int_equal(
        fake_call(client, "POST", target, JSON "If-Match: W/\"1\"\n", "{\"final\":false}"), 412);
    assert_int_equal(
        fake_call(client, "POST", target, JSON "If-None-Match: *\n", "{\"final\":false}"), 412);
    assert_int_equal(fake_call(client, "POST", target, JSON "If-Match: *\n", "{\"final\":false}"),
                     200);
    assert_int_equal(
        fake_call(client, "POST", target, JSON "If-Match: \"9\", \"1\"\n", "{\"final\":false}"),
        200);
    assert_int_equal(fake_call(client, "POST", target, JSON, "{}"), 422);
    assert_int_equal(fake_call(client, "POST", target, JSON, "{\"time\":\"now\"}"), 422);
    assert_true(fake_has(client, "problem:unprocessable\""));
    assert_true(fake_has(client, "\"member\":\"time\""));
    assert_int_equal(fake_call(client, "POST", target, JSON, "{\"final\":\"yes\"}"), 422);
}

static void the_default_lane_has_a_name(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "PUT", "/v1/sources/*", JSON, "{}"), 201);
    assert_int_equal(fake_call(client, "GET", "/v1/sources/%2A", "", NULL), 200);
    assert_true(fake_has(client, "\"name\":\"*\""));
}

static void sources_are_listed_and_deleted(void **state)
{
    (void)state;
    (void)fake_call(client, "PUT", "/v1/sources/b", JSON, "{}");
    (void)fake_call(client, "PUT", "/v1/sources/a", JSON, "{}");
    assert_int_equal(fake_call(client, "GET", "/v1/sources?limit=1", "", NULL), 200);
    assert_true(fake_has(client, "{\"items\":[{\"name\":\"a\""));
    assert_false(fake_has(client, "\"next_cursor\":null"));
    assert_int_equal(fake_call(client, "DELETE", "/v1/sources/a", "", NULL), 204);
    assert_int_equal(fake_call(client, "DELETE", "/v1/sources/a", "", NULL), 404);
    assert_int_equal(fake_call(client, "GET", "/v1/sources/a", "", NULL), 404);
}

static void the_watermark_says_who_holds_it(void **state)
{
    (void)state;
    (void)fake_call(client, "PUT", "/v1/sources/x", JSON, "{}");
    assert_int_equal(fake_call(client, "GET", "/v1/watermark", "", NULL), 200);
    assert_true(fake_has(client,
                         "{\"watermark\":\"2023-11-14T22:13:15Z\",\"held_by\":[{"
                         "\"source\":\"x\",\"watermark\":null,\"why\":\"no event yet\"}],"
                         "\"lanes\":[{\"source\":\"x\","));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_source_is_declared_with_defaults),
        TEST(bad_declarations_are_refused),
        TEST(conditions_guard_sources),
        TEST(a_producer_speaks_about_its_watermark),
        TEST(the_default_lane_has_a_name),
        TEST(sources_are_listed_and_deleted),
        TEST(the_watermark_says_who_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
