/* POST /v1/sql about rules, and /v1/rules. */
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT "Content-Type: text/plain\n"
#define JSON "Content-Type: application/json\n"
#define OVERDUE                                                                                    \
    "AFTER type = 'departed' EXPECT type = 'arrived' WITHIN INTERVAL '8 hours' PER subject"
#define QUIET  "EXPECT type = 'reading' EVERY INTERVAL '90 minutes' PER source"
#define SELECT "SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute')"

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

static int sql(const char *text)
{
    return fake_call(client, "POST", "/v1/sql", TEXT, text);
}

static void rules_are_created_and_dropped_by_statements(void **state)
{
    (void)state;
    assert_int_equal(sql("CREATE TIMEOUT overdue AS " OVERDUE), 201);
    assert_string_equal(client->body,
                        "{\"results\":[{\"statement\":\"CREATE TIMEOUT\","
                        "\"rule\":\"overdue\",\"version\":1,\"changed\":true}]}");
    assert_true(fake_field(client, "Tidemark-As-Of: "));
    assert_int_equal(sql("CREATE TIMEOUT overdue AS " OVERDUE ";"), 200);
    assert_true(fake_has(client, "\"changed\":false"));
    assert_int_equal(sql("CREATE TIMEOUT overdue AS " OVERDUE " LATE RETRACT"), 409);
    assert_int_equal(sql("CREATE TIMEOUT IF NOT EXISTS overdue AS " OVERDUE " LATE RETRACT"), 200);
    assert_int_equal(sql("CREATE SILENCE quiet AS " QUIET), 201);
    assert_true(fake_has(client, "\"statement\":\"CREATE SILENCE\",\"rule\":\"quiet\""));
    assert_int_equal(sql("DROP TIMEOUT quiet"), 404);
    assert_true(fake_has(client, "unknown-rule"));
    assert_true(fake_has(client, "there is no such timeout: quiet"));
    assert_int_equal(sql("DROP SILENCE quiet"), 200);
    assert_true(
        fake_has(client, "{\"statement\":\"DROP SILENCE\",\"rule\":\"quiet\",\"changed\":true}"));
    assert_int_equal(sql("DROP SILENCE quiet"), 404);
    assert_int_equal(sql("DROP SILENCE IF EXISTS quiet"), 200);
    assert_true(fake_has(client, "\"changed\":false"));
}

static void what_a_statement_means_is_said_in_errors(void **state)
{
    (void)state;
    assert_int_equal(sql("SHOW RULES;\nCREATE TIMEOUT t AS AFTER type = 'a'\nEXPEC type = 'b'"),
                     400);
    assert_true(fake_has(client, "\"line\":3,\"column\":1"));
    assert_true(fake_has(client, "\"hint\":\"did you mean EXPECT?\""));
    assert_true(fake_has(client, "\"statement\":2"));
    assert_int_equal(sql(OVERDUE), 422);
    assert_true(fake_has(client, "\"hint\":\"CREATE TIMEOUT name AS AFTER"));
    assert_int_equal(sql(QUIET), 422);
    assert_true(fake_has(client, "\"hint\":\"CREATE SILENCE name AS EXPECT"));
    assert_int_equal(client->gateway->proposals, 0);
}

static void shows_list_one_kind_or_both_by_name(void **state)
{
    (void)state;
    assert_int_equal(sql("CREATE TIMEOUT z AS " OVERDUE "; CREATE SILENCE m WITH (sources = '/a, "
                         "/b') AS " QUIET "; CREATE TIMEOUT a AS AFTER type = 'a' EXPECT type = "
                         "'b' WITHIN data.minutes * INTERVAL '1 minute' PER subject GRACE INTERVAL "
                         "'5 s' LATE RETRACT; SHOW RULES"),
                     201);
    const char *first = strstr(client->body, "\"name\":\"a\",\"kind\":\"timeout\"");
    const char *second = strstr(client->body, "\"name\":\"m\",\"kind\":\"silence\"");
    const char *third = strstr(client->body, "\"name\":\"z\",\"kind\":\"timeout\"");
    assert_non_null(first);
    assert_true(first < second);
    assert_true(second < third);
    assert_true(fake_has(client,
                         "\"within\":null,\"every\":null,\"clock\":\"event\",\"grace\":\"PT5S\","
                         "\"late\":\"retract\",\"sources\":null"));
    assert_true(fake_has(client,
                         "\"within\":null,\"every\":\"PT1H30M\",\"clock\":\"event\","
                         "\"grace\":\"PT0S\",\"late\":null,\"sources\":[\"/a\",\"/b\"]"));
    assert_true(fake_has(client, "\"within\":\"PT8H\",\"every\":null"));
    assert_int_equal(sql("SHOW TIMEOUTS"), 200);
    assert_true(
        fake_has(client, "{\"statement\":\"SHOW TIMEOUTS\",\"columns\":[\"name\",\"kind\""));
    assert_true(fake_has(client, "\"name\":\"a\""));
    assert_false(fake_has(client, "\"name\":\"m\""));
    assert_int_equal(sql("SHOW SILENCES"), 200);
    assert_true(fake_has(client, "\"name\":\"m\""));
    assert_false(fake_has(client, "\"name\":\"a\""));
    assert_int_equal(sql("SHOW METRICS"), 200);
    assert_true(fake_has(client, "\"items\":[]"));
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client,
                               "POST",
                               "/v1/sql?dry_run=true",
                               TEXT,
                               "CREATE TIMEOUT t AS " OVERDUE "; DROP SILENCE q"),
                     200);
    assert_true(
        fake_has(client, "{\"statement\":\"CREATE TIMEOUT\",\"rule\":\"t\",\"dry_run\":true}"));
    assert_true(
        fake_has(client, "{\"statement\":\"DROP SILENCE\",\"rule\":\"q\",\"dry_run\":true}"));
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/t?dry_run=true", TEXT, QUIET), 200);
    assert_true(fake_has(client, "{\"name\":\"t\",\"kind\":\"silence\",\"sql\":\"EXPECT"));
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/t?dry_run=yes", TEXT, QUIET), 422);
    assert_int_equal(client->gateway->proposals, 0);
}

static void put_creates_shows_and_replaces(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", JSON, "{\"sql\":\"" OVERDUE "\"}"),
                     201);
    assert_true(fake_field(client, "ETag: \"1\"\n"));
    assert_true(fake_field(client, "Tidemark-As-Of: "));
    assert_true(fake_has(
        client, "{\"name\":\"r\",\"kind\":\"timeout\",\"version\":1,\"sql\":\"AFTER type"));
    assert_true(fake_has(client, "\"created\":\"2023-11-14T22:13:20Z\""));
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT, OVERDUE), 200);
    assert_true(fake_field(client, "ETag: \"1\"\n"));
    assert_int_equal(
        fake_call(client, "PUT", "/v1/rules/r", TEXT, "CREATE SILENCE r AS " QUIET ";"), 200);
    assert_true(fake_field(client, "ETag: \"2\"\n"));
    assert_true(fake_has(client, "\"kind\":\"silence\",\"version\":2"));
    assert_int_equal(fake_call(client, "GET", "/v1/rules/r", "", NULL), 200);
    assert_true(fake_field(client, "ETag: \"2\"\n"));
    assert_true(fake_has(client, "\"every\":\"PT1H30M\""));
}

static void put_takes_nothing_but_a_rule_of_its_name(void **state)
{
    (void)state;
    assert_int_equal(
        fake_call(client, "PUT", "/v1/rules/r", TEXT, "CREATE SILENCE other AS " QUIET), 422);
    assert_true(fake_has(client, "another rule than the path"));
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT, SELECT), 422);
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT, "CREATE METRIC r AS " SELECT),
                     422);
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT, "SHOW RULES"), 422);
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT, "AFTER"), 400);
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", JSON, "{}"), 422);
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/Bad%20Name", TEXT, QUIET), 422);
    assert_int_equal(fake_call(client, "PUT", "/v1/metrics/r", TEXT, QUIET), 422);
    assert_true(fake_has(client, "send a SELECT"));
    assert_int_equal(client->gateway->proposals, 0);
}

static void conditions_guard_a_change(void **state)
{
    (void)state;
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT "If-Match: \"1\"\n", QUIET), 412);
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT "If-None-Match: *\n", QUIET),
                     201);
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT "If-None-Match: *\n", QUIET),
                     412);
    assert_int_equal(fake_call(client, "PUT", "/v1/rules/r", TEXT "If-Match: \"1\"\n", OVERDUE),
                     200);
    assert_int_equal(fake_call(client, "DELETE", "/v1/rules/r", "If-Match: \"1\"\n", NULL), 412);
    assert_int_equal(fake_call(client, "DELETE", "/v1/rules/r", "If-Match: \"2\"\n", NULL), 204);
}

static void delete_is_404_the_second_time(void **state)
{
    (void)state;
    (void)fake_call(client, "PUT", "/v1/rules/r", TEXT, QUIET);
    assert_int_equal(fake_call(client, "DELETE", "/v1/rules/r", "", NULL), 204);
    assert_true(fake_field(client, "Tidemark-As-Of: "));
    assert_int_equal(fake_call(client, "DELETE", "/v1/rules/r", "", NULL), 404);
    assert_int_equal(fake_call(client, "GET", "/v1/rules/r", "", NULL), 404);
    assert_true(fake_has(client, "unknown-rule"));
}

static void the_list_is_ordered_and_paged(void **state)
{
    (void)state;
    char target[160] = "/v1/rules?limit=2";
    assert_int_equal(fake_call(client, "GET", "/v1/rules", "", NULL), 200);
    assert_string_equal(client->body, "{\"items\":[],\"next_cursor\":null}");
    (void)fake_call(client, "PUT", "/v1/rules/c", TEXT, QUIET);
    (void)fake_call(client, "PUT", "/v1/rules/a", TEXT, OVERDUE);
    (void)fake_call(client, "PUT", "/v1/rules/b", TEXT, QUIET);
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    const char *first = strstr(client->body, "\"name\":\"a\",");
    const char *second = strstr(client->body, "\"name\":\"b\",");
    assert_non_null(first);
    assert_true(first < second);
    assert_false(fake_has(client, "\"name\":\"c\","));
    const char *cursor = strstr(client->body, "\"next_cursor\":\"");
    assert_non_null(cursor);
    (void)snprintf(target, sizeof(target), "/v1/rules?limit=2&cursor=%.32s", cursor + 15);
    assert_int_equal(fake_call(client, "GET", target, "", NULL), 200);
    assert_true(fake_has(client, "\"name\":\"c\","));
    assert_true(fake_has(client, "\"next_cursor\":null"));
    assert_int_equal(fake_call(client, "GET", "/v1/rules?limit=0", "", NULL), 422);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(rules_are_created_and_dropped_by_statements),
        TEST(what_a_statement_means_is_said_in_errors),
        TEST(shows_list_one_kind_or_both_by_name),
        TEST(a_dry_run_changes_nothing),
        TEST(put_creates_shows_and_replaces),
        TEST(put_takes_nothing_but_a_rule_of_its_name),
        TEST(conditions_guard_a_change),
        TEST(delete_is_404_the_second_time),
        TEST(the_list_is_ordered_and_paged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
