/* What every request meets: hosts, paths, methods, parameters, answers. */
#include "base/json.h"
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

static void only_local_and_configured_hosts_are_served(void **state)
{
    (void)state;
    static const char *const good[] = {"Host: localhost\n",
                                       "Host: LOCALHOST:80\n",
                                       "Host: 127.0.0.1:7070\n",
                                       "Host: [::1]:1\n",
                                       "Host: [::1]\n",
                                       "Host: tidemark.example:7070\n",
                                       "Origin: http://localhost:3000\n",
                                       "Origin: https://127.0.0.1\n"};
    static const char *const bad[] = {"Host: evil.example\n",
                                      "Host: \n",
                                      "Host: :80\n",
                                      "Host: localhost.evil.example\n",
                                      "Host: 127.0.0.1.nip.io\n",
                                      "Host: tidemark.example\n",
                                      "Origin: null\n",
                                      "Origin: http://evil.example\n",
                                      "Origin: localhost\n",
                                      "Origin: http://\n",
                                      "Origin: http://localhost/x\n",
                                      "Origin: http://localhost@evil.example\n",
                                      "Origin: http://localhost\nOrigin: http://evil.example\n",
                                      "Origin: http://localhost http://evil.example\n",
                                      "Host: 127.0.0.2\n",
                                      "Host: 2130706433\n",
                                      "Host: [::ffff:127.0.0.1]\n",
                                      "Host: localhost.\n",
                                      "Host: x.localhost\n",
                                      "Origin:\n",
                                      "Origin: file://localhost\n"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(fake_call(client, "GET", "/healthz", good[i], NULL), 200);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(fake_call(client, "GET", "/healthz", bad[i], NULL), 403);
        assert_true(fake_has(client, "urn:tidemark:problem:forbidden-host"));
    }
}

static void unknown_paths_are_404(void **state)
{
    (void)state;
    static const char *const paths[] = {"/",
                                        "/v1",
                                        "/v1/",
                                        "/v1/events/",
                                        "/v1/metrics//values",
                                        "/v1/metrics/a/b",
                                        "/healthz/x",
                                        "/V1/events",
                                        "/v1/query",
                                        "/v1/nothing"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(fake_call(client, "GET", paths[i], "", NULL), 404);
        assert_true(fake_field(client, "Content-Type: application/problem+json\n"));
    }
}

static void unknown_methods_are_405_with_what_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "PUT", "/v1/events", "", NULL), 405);
    assert_true(fake_field(client, "Allow: POST, GET, HEAD, OPTIONS\n"));
    assert_int_equal(fake_call(client, "TRACE", "/healthz", "", NULL), 405);
    assert_int_equal(fake_call(client, "POST", "/healthz", "", ""), 405);
    assert_true(fake_field(client, "Allow: GET, HEAD, OPTIONS\n"));
    assert_int_equal(fake_call(client, "PATCH", "/v1/metrics/x", "", ""), 405);
    assert_true(fake_field(client, "Allow: GET, HEAD, PUT, DELETE, OPTIONS\n"));
}

static void options_tells_the_methods(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "OPTIONS", "/v1/sources/x", "", NULL), 204);
    assert_true(fake_field(client, "Allow: GET, HEAD, PUT, DELETE, OPTIONS\n"));
    assert_false(fake_field(client, "Access-Control"));
    assert_int_equal(fake_call(client, "OPTIONS", "*", "", NULL), 204);
    assert_int_equal(fake_call(client, "OPTIONS", "/nowhere", "", NULL), 404);
}

static void head_is_served_where_get_is(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "HEAD", "/healthz", "", NULL), 200);
    assert_int_equal(fake_call(client, "HEAD", "/v1/sql", "", NULL), 405);
}

static void unknown_parameters_are_named(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?limt=5", "", NULL), 422);
    assert_true(fake_has(client, "urn:tidemark:problem:unknown-member"));
    assert_true(fake_has(client, "\"member\":\"limt\""));
    assert_int_equal(fake_call(client, "GET", "/healthz?x", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?limit=5&limit=6", "", NULL), 400);
    assert_true(fake_has(client, "duplicate-member"));
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?limit=%zz", "", NULL), 400);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?limit=%ff", "", NULL), 400);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?limit=%00", "", NULL), 400);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?limit=%4", "", NULL), 400);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?&&limit=%31&", "", NULL), 200);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?limit=0", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?limit=1001", "", NULL), 422);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics?cursor=abc", "", NULL), 400);
}

static void content_types_are_checked(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "POST", "/v1/sql", "", "SHOW METRICS"), 415);
    assert_int_equal(
        fake_call(client, "POST", "/v1/sql", "Content-Type: text/html\n", "SHOW METRICS"), 415);
    assert_int_equal(
        fake_call(client, "POST", "/v1/sql", "Content-Type: text/plain\n", "SHOW METRICS"), 200);
    assert_int_equal(fake_call(client, "PUT", "/v1/sources/x", "Content-Type: text/plain\n", "{}"),
                     415);
}

static void while_starting_only_the_basics_answer(void **state)
{
    (void)state;
    client->gateway->ready = false;
    assert_int_equal(fake_call(client, "GET", "/healthz", "", NULL), 200);
    assert_int_equal(fake_call(client, "GET", "/metrics", "", NULL), 200);
    assert_true(fake_has(client, "tidemark_ready 0\n"));
    assert_int_equal(fake_call(client, "GET", "/openapi.json", "", NULL), 200);
    assert_int_equal(fake_call(client, "GET", "/readyz", "", NULL), 503);
    assert_int_equal(fake_call(client, "GET", "/v1/info", "", NULL), 503);
    assert_true(fake_field(client, "Retry-After: 1\n"));
    client->gateway->ready = true;
    assert_int_equal(fake_call(client, "GET", "/readyz", "", NULL), 200);
}

static void info_tells_the_facts(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "GET", "/v1/info", "", NULL), 200);
    assert_true(fake_has(client, "{\"version\":\"1.2.3\",\"partitions\":16,"));
    assert_true(fake_has(client, "\"instance\":\"00000000-0000-0000-0000-000000000000\""));
    assert_true(fake_has(client, "\"started\":\"2023-11-14T22:13:20Z\""));
    assert_true(fake_has(client, "\"snapshot\":null"));
    assert_true(fake_has(client, "\"dedup_horizon\":\"P1D\""));
    assert_true(fake_has(client, "\"event_bytes\":1048576"));
}

static void the_openapi_document_is_json_and_names_every_route(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "GET", "/openapi.json", "", NULL), 200);
    struct json_scanner scanner = json_scanner_of(bytes_of(client->body, client->body_len));
    struct json_value value;
    assert_int_equal(json_value(&scanner, &value), OK);
    assert_int_equal(json_end(&scanner), OK);
    assert_true(fake_has(client, "\"/v1/metrics/{name}/values\":{\"get\":"));
    assert_true(fake_has(client, "\"/v1/metrics/{name}\":{\"get\":"));
}

static void prometheus_figures_sum_the_runners(void **state)
{
    (void)state;
    fake_stat(client->gateway, 0, "counted", "m", 3);
    fake_stat(client->gateway, 0, "unique", "", 5);
    fake_stat(client->gateway, 1, "counted", "m", 4);
    fake_stat(client->gateway, 1, "unique", "", 1);
    for (uint32_t runner = 0; runner < 2; runner++) {
        fake_stat(client->gateway, runner, "timeouts", "pending", 2);
        fake_stat(client->gateway, runner, "rule_fired", "quiet", 3);
        fake_stat(client->gateway, runner, "feed_kept", "", 4);
    }
    assert_int_equal(fake_call(client, "GET", "/metrics", "", NULL), 200);
    assert_true(fake_field(client, "Content-Type: text/plain; version=0.0.4"));
    assert_true(fake_has(client,
                         "# TYPE tidemark_metric_counted_total "
                         "counter\ntidemark_metric_counted_total{metric=\"m\"} 7\n"));
    assert_true(fake_has(client, "tidemark_events_unique_total 6\n"));
    assert_true(fake_has(client, "\ntidemark_timeouts{state=\"pending\"} 4\n"));
    assert_true(fake_has(client, "\ntidemark_rule_fired_total{rule=\"quiet\"} 6\n"));
    assert_true(fake_has(client, "\ntidemark_notifications_kept 8\n"));
    assert_true(fake_has(client, "# HELP tidemark_log_segments "));
}

static void the_servers_own_refusals_are_problems_too(void **state)
{
    (void)state;
    uint8_t memory[512];
    struct buf out = buf_of(memory, sizeof(memory));
    client->handler.refuse(client->handler.ctx, ERR_URI_TOO_LONG, "too long", &out);
    assert_true(out.len > 0);
    assert_non_null(memmem(out.data, out.len, "urn:tidemark:problem:uri-too-long", 33));
}

static void the_clients_going_away_at_any_point_leaks_nothing(void **state)
{
    (void)state;
    const char *body = "{\"sql\":\"SHOW METRICS; SHOW METRICS\"}";
    for (int stage = 0; stage < 3; stage++) {
        fake_head(
            client, "POST", "/v1/sql", "Content-Type: application/json\n", body, strlen(body));
        if (stage > 0) {
            fake_body(client, body, strlen(body));
        }
        if (stage > 1) {
            fake_end(client);
        }
        fake_gone(client);
        assert_int_equal(api_open_requests(client->api), 0);
        (void)fake_gateway_deliver(client->gateway);
    }
    assert_int_equal(client->responses, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_local_and_configured_hosts_are_served),
        TEST(unknown_paths_are_404),
        TEST(unknown_methods_are_405_with_what_is_allowed),
        TEST(options_tells_the_methods),
        TEST(head_is_served_where_get_is),
        TEST(unknown_parameters_are_named),
        TEST(content_types_are_checked),
        TEST(while_starting_only_the_basics_answer),
        TEST(info_tells_the_facts),
        TEST(the_openapi_document_is_json_and_names_every_route),
        TEST(prometheus_figures_sum_the_runners),
        TEST(the_servers_own_refusals_are_problems_too),
        TEST(the_clients_going_away_at_any_point_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
