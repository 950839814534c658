/* POST /v1/sql and /v1/metrics. */
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT "Content-Type: text/plain\n"
#define JSON "Content-Type: application/json\n"
#define SELECT                                                                                     \
    "SELECT type, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY type"

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

static void a_metric_is_created_once(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "POST", "/v1/sql", TEXT, "CREATE METRIC m AS " SELECT), 201);
    assert_string_equal(client->body,
                        "{\"results\":[{\"statement\":\"CREATE METRIC\","
                        "\"metric\":\"m\",\"version\":1,\"changed\":true}]}");
    assert_true(fake_field(client, "Tidemark-As-Of: "));
    assert_int_equal(fake_call(client, "POST", "/v1/sql", TEXT, "CREATE METRIC m AS " SELECT ";"),
                     200);
    assert_true(fake_has(client, "\"changed\":false"));
}

static void sql_may_come_in_json(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "POST", "/v1/sql", JSON, "{\"sql\":\"SHOW\\u0020METRICS\"}"),
                     200);
    assert_int_equal(fake_call(client, "POST", "/v1/sql", JSON, "{\"sq\":\"x\"}"), 422);
    assert_true(fake_has(client, "\"member\":\"sq\""));
    assert_int_equal(fake_call(client, "POST", "/v1/sql", JSON, "{\"sql\":7}"), 422);
    assert_int_equal(fake_call(client, "POST", "/v1/sql", JSON, "{\"sql\":\"x\",\"sql\":\"y\"}"),
                     400);
    assert_true(fake_has(client, "duplicate-member"));
    assert_int_equal(fake_call(client, "POST", "/v1/sql", JSON, "{}"), 422);
    assert_true(fake_has(client, "unprocessable"));
    assert_int_equal(fake_call(client, "POST", "/v1/sql", JSON, "{\"sql\":\"x\"} y"), 400);
    assert_int_equal(fake_call(client, "POST", "/v1/sql", JSON, "[]"), 422);
    assert_int_equal(fake_call(client, "POST", "/v1/sql", TEXT, "\xff"), 400);
    assert_int_equal(fake_call(client, "POST", "/v1/sql", TEXT, " -- nothing"), 400);
}

static void a_put_that_was_done_is_told_however_much_is_asked(void **state)
{
    (void)state;
    static const char path[] = "/v1/metrics/m";
    assert_int_equal(fake_call(client, "PUT", path, TEXT, SELECT), 201);
    assert_true(fake_has(client, "\"version\":1"));
    client->gateway->refuse_questions = ERR_OVERLOADED;
    assert_int_equal(
        fake_call(client, "PUT", path, TEXT, SELECT " ALLOW LATENESS INTERVAL '1 minute'"), 200);
    assert_true(fake_has(client, "\"version\":2"));
    assert_true(fake_field(client, "ETag: \"2\"\n"));
    assert_int_equal(fake_call(client, "GET", path, "", NULL), 429);
    client->gateway->refuse_questions = OK;
    assert_int_equal(fake_call(client, "GET", path, "", NULL), 200);
}

static void errors_say_where(void **state)
{
    (void)state;
    assert_int_equal(
        fake_call(client, "POST", "/v1/sql", TEXT, "SHOW METRICS;\n  CREATE METRC m AS x"), 400);
    assert_true(fake_has(client, "\"type\":\"urn:tidemark:problem:invalid-sql\""));
    assert_true(fake_has(client, "\"line\":2,\"column\":10"));
    assert_true(fake_has(client, "\"statement\":2"));
    assert_int_equal(fake_call(client, "POST", "/v1/sql", TEXT, SELECT), 422);
    assert_true(fake_has(client, "\"hint\":\"CREATE METRIC"));
}

static void a_script_runs_in_order_and_stops_at_the_first_failure(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/sql",
                               TEXT,
                               "CREATE METRIC a AS " SELECT "; CREATE METRIC b AS " SELECT
                               "; SHOW METRICS; DROP METRIC a"),
                     201);
    assert_true(fake_has(client, "{\"statement\":\"SHOW METRICS\""));
    assert_true(
        fake_has(client, "{\"statement\":\"DROP METRIC\",\"metric\":\"a\",\"changed\":true}"));
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/sql",
                               TEXT,
                               "DROP METRIC b; DROP METRIC nosuch; CREATE METRIC c AS " SELECT),
                     404);
    assert_true(fake_has(client, "\"statement\":2,\"results\":[{\"statement\":\"DROP METRIC\""));
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/c", "", NULL), 404);
    assert_int_equal(fake_call(client, "POST", "/v1/sql", TEXT, "DROP METRIC IF EXISTS b"), 200);
    assert_true(fake_has(client, "\"changed\":false"));
}

static void nothing_runs_when_a_later_statement_is_broken(void **state)
{
    (void)state;
    assert_int_equal(
        fake_call(client, "POST", "/v1/sql", TEXT, "CREATE METRIC m AS " SELECT "; NONSENSE"), 400);
    assert_int_equal(client->gateway->proposals, 0);
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(
        fake_call(client, "POST", "/v1/sql?dry_run=true", TEXT, "CREATE METRIC m AS " SELECT), 200);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m?dry_run=true", TEXT, SELECT), 200);
    assert_int_equal(client->gateway->proposals, 0);
    assert_int_equal(fake_call(client, "POST", "/v1/sql?dry_run=yes", TEXT, "SHOW METRICS"), 422);
}

static void another_definition_of_a_taken_name_conflicts_in_sql(void **state)
{
    (void)state;
    (void)fake_call(client, "POST", "/v1/sql", TEXT, "CREATE METRIC m AS " SELECT);
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/sql",
                               TEXT,
                               "CREATE METRIC m AS " SELECT " ALLOW LATENESS INTERVAL '1 hour'"),
                     409);
}

static void put_creates_shows_and_replaces(void **state)
{
    (void)state;
    fake_stat(client->gateway, 0, "counted", "m", 2);
    fake_stat(client->gateway, 1, "counted", "m", 5);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", JSON, "{\"sql\":\"" SELECT "\"}"),
                     201);
    assert_true(fake_field(client, "ETag: \"1\"\n"));
    assert_true(fake_has(client, "{\"name\":\"m\",\"version\":1,\"sql\":\"SELECT type"));
    assert_true(fake_has(client,
                         "\"window\":\"PT1M\",\"lateness\":\"PT0S\",\"retain\":\"P30D\","
                         "\"emit\":\"on update\""));
    assert_true(fake_has(client,
                         "\"columns\":[{\"name\":\"type\",\"kind\":\"group\"},"
                         "{\"name\":\"n\",\"kind\":\"count\"}]"));
    assert_true(fake_has(client, "\"counts\":{\"counted\":7,\"filtered\":0,"));
    assert_int_equal(fake_call(client,
                               "PUT",
                               "/v1/metrics/m",
                               TEXT,
                               "CREATE METRIC m AS " SELECT " ALLOW LATENESS INTERVAL '1 hour'"),
                     200);
    assert_true(fake_field(client, "ETag: \"2\"\n"));
    assert_true(fake_has(client, "\"lateness\":\"PT1H\""));
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m", "", NULL), 200);
    assert_true(fake_field(client, "ETag: \"2\"\n"));
    assert_int_equal(
        fake_call(client, "PUT", "/v1/metrics/m", TEXT, "CREATE METRIC other AS " SELECT), 422);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", TEXT, "SHOW METRICS"), 422);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/Bad%20Name", TEXT, SELECT), 422);
}

static void conditions_guard_a_change(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-Match: \"1\"\n", SELECT),
                     412);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-None-Match: *\n", SELECT),
                     201);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-None-Match: *\n", SELECT),
                     412);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-Match: \"1\"\n", SELECT),
                     200);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-Match: W/\"1\"\n", SELECT),
                     412);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-Match: *\n", SELECT), 200);
    assert_int_equal(
        fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-Match: \"7\", \"1\"\n", SELECT), 200);
    assert_int_equal(
        fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-Match: \"7\", \"8\"\n", SELECT), 412);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/m", TEXT "If-Match: \"1\", 1\n", SELECT),
                     412);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/n", TEXT "If-Match: *\n", SELECT), 412);
}

static void delete_is_404_the_second_time(void **state)
{
    (void)state;
    (void)fake_call(client, "PUT", "/v1/metrics/m", TEXT, SELECT);
    assert_int_equal(fake_call(client, "DELETE", "/v1/metrics/m", "", NULL), 204);
    assert_true(fake_field(client, "Tidemark-As-Of: "));
    assert_int_equal(fake_call(client, "DELETE", "/v1/metrics/m", "", NULL), 404);
    assert_int_equal(fake_call(client, "GET", "/v1/metrics/m", "", NULL), 404);
}

static void the_list_is_ordered_and_paged(void **state)
{
    (void)state;
    char target[160] = "/v1/metrics?limit=2";
    (void)fake_call(client, "PUT", "/v1/metrics/c", TEXT, SELECT);
    (void)fake_call(client, "PUT", "/v1/metrics/a", TEXT, SELECT);
    (void)fake_call(client, "PUT", "/v1/metrics/b", TEXT, SELECT);
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    const char *first = strstr(client->body, "\"name\":\"a\",");
    const char *second = strstr(client->body, "\"name\":\"b\",");
    assert_non_null(first);
    assert_true(first < second);
    assert_false(fake_has(client, "\"name\":\"c\","));
    const char *cursor = strstr(client->body, "\"next_cursor\":\"");
    assert_non_null(cursor);
    (void)snprintf(target, sizeof(target), "/v1/metrics?limit=2&cursor=%.32s", cursor + 15);
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    assert_true(fake_has(client, "\"name\":\"c\","));
    assert_true(fake_has(client, "\"next_cursor\":null"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_metric_is_created_once),
        TEST(sql_may_come_in_json),
        TEST(a_put_that_was_done_is_told_however_much_is_asked),
        TEST(errors_say_where),
        TEST(a_script_runs_in_order_and_stops_at_the_first_failure),
        TEST(nothing_runs_when_a_later_statement_is_broken),
        TEST(a_dry_run_changes_nothing),
        TEST(another_definition_of_a_taken_name_conflicts_in_sql),
        TEST(put_creates_shows_and_replaces),
        TEST(conditions_guard_a_change),
        TEST(delete_is_404_the_second_time),
        TEST(the_list_is_ordered_and_paged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
