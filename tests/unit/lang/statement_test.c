/* What statements become: kinds, names, definitions. */
#include "support.h"

#define MINUTE "FROM TUMBLE(events, time, INTERVAL '1 minute')"

static void a_bare_select_has_the_defaults(void **state)
{
    (void)state;
    const char *text = "SELECT count(*) " MINUTE;
    const struct statement *statement = parse_good(text);
    const struct definition *definition = &statement->definition;
    assert_int_equal(statement->kind, STATEMENT_SELECT);
    assert_int_equal(statement->name.len, 0);
    assert_int_equal(definition->name.len, 0);
    assert_bytes(definition->text, text);
    assert_int_equal(definition->filter.len, 0);
    assert_int_equal(definition->window_us, US_PER_MINUTE);
    assert_int_equal(definition->origin_us, 0);
    assert_int_equal(definition->lateness_us, 0);
    assert_int_equal(definition->retain_us, 30 * US_PER_DAY);
    assert_int_equal(definition->emit, EMIT_ON_UPDATE);
    assert_int_equal(definition->emit_every_us, 0);
    assert_int_equal(definition->groups_max, 1000000);
    assert_int_equal(definition->group_count, 0);
    assert_int_equal(definition->aggregate_count, 1);
    assert_int_equal(definition->aggregates[0].kind, AGGREGATE_COUNT_ALL);
    assert_int_equal(definition->column_count, 1);
    assert_bytes(definition->columns[0].name, "count");
    assert_false(definition->columns[0].is_group);
    assert_int_equal(definition->source_count, 0);
}

static void create_metric_takes_every_clause(void **state)
{
    (void)state;
    const struct statement *statement = parse_good(
        "create metric if not exists arrivals\n"
        "with (retain = '30 hours', sources = ' /a , /b,/c ', groups_max = 500,\n"
        "      backfill = false, timezone = 'UTC', fill = none) as\n"
        "select data.dest as dest, count(*) as arrivals, rate() as per_second,\n"
        "       avg(data.arr_delay) as delay, count(data.x) filter (where data.y > 1) as some\n"
        "from tumble(events, time, interval '5 minutes')\n"
        "where type = 'flight.arrived' -- only these\n"
        "group by data.dest\n"
        "emit every interval '500 ms' allow lateness interval '10 minutes';\n");
    const struct definition *definition = &statement->definition;
    assert_int_equal(statement->kind, STATEMENT_CREATE_METRIC);
    assert_true(statement->if_not_exists);
    assert_bytes(statement->name, "arrivals");
    assert_bytes(definition->name, "arrivals");
    assert_int_equal(definition->retain_us, 30 * US_PER_HOUR);
    assert_int_equal(definition->groups_max, 500);
    assert_int_equal(definition->source_count, 3);
    assert_bytes(definition->sources[0], "/a");
    assert_bytes(definition->sources[1], "/b");
    assert_bytes(definition->sources[2], "/c");
    assert_int_equal(definition->window_us, 5 * US_PER_MINUTE);
    assert_int_equal(definition->lateness_us, 10 * US_PER_MINUTE);
    assert_int_equal(definition->emit, EMIT_EVERY);
    assert_int_equal(definition->emit_every_us, 500000);
    assert_int_equal(definition->group_count, 1);
    assert_int_equal(definition->aggregate_count, 4);
    assert_int_equal(definition->aggregates[1].kind, AGGREGATE_RATE);
    assert_int_equal(definition->aggregates[2].kind, AGGREGATE_AVG);
    assert_int_equal(definition->aggregates[3].kind, AGGREGATE_COUNT);
    assert_true(definition->aggregates[3].filter.len > 0);
    assert_int_equal(definition->column_count, 5);
    assert_true(definition->columns[0].is_group);
    assert_bytes(definition->columns[4].name, "some");
    assert_true(definition->filter.len > 0);
    assert_true(definition_valid(definition));
}

static void other_statements_carry_their_names(void **state)
{
    (void)state;
    const struct statement *statement = parse_good("DROP METRIC arrivals;");
    assert_int_equal(statement->kind, STATEMENT_DROP_METRIC);
    assert_false(statement->if_exists);
    assert_bytes(statement->name, "arrivals");
    statement = parse_good("drop metric if exists \"if\"");
    assert_true(statement->if_exists);
    assert_bytes(statement->name, "if");
    assert_bytes(parse_good("DROP METRIC if")->name, "if");
    assert_int_equal(parse_good("SHOW METRICS")->kind, STATEMENT_SHOW_METRICS);
    statement = parse_good("SHOW METRIC _a1");
    assert_int_equal(statement->kind, STATEMENT_SHOW_METRIC);
    assert_bytes(statement->name, "_a1");
}

struct window {
    const char *from;
    int64_t window_us;
    int64_t origin_us;
};

static void windows_are_given_in_many_ways(void **state)
{
    (void)state;
    static const struct window windows[] = {
        {"TUMBLE(events, time, INTERVAL '1 ms')", 1000, 0},
        {"TUMBLE(events, time, INTERVAL '1.5 seconds')", 1500000, 0},
        {"TUMBLE(events, time, INTERVAL '90s')", 90 * US_PER_SECOND, 0},
        {"TUMBLE(events, time, INTERVAL '1 hour 30 minutes')", 90 * US_PER_MINUTE, 0},
        {"TUMBLE(events, time, INTERVAL ' 2  HOURS ')", 2 * US_PER_HOUR, 0},
        {"TUMBLE(events, time, INTERVAL 'PT5M')", 5 * US_PER_MINUTE, 0},
        {"TUMBLE(events, time, INTERVAL 'P1DT12H')", 36 * US_PER_HOUR, 0},
        {"TUMBLE(events, time, INTERVAL '1 day')", US_PER_DAY, 0},
        {"TUMBLE(events, time, INTERVAL '7 days')", 7 * US_PER_DAY, 0},
        {"TUMBLE(events, time, INTERVAL '1 week')", 7 * US_PER_DAY, 4 * US_PER_DAY},
        {"TUMBLE(events, time, INTERVAL 'P2W')", 14 * US_PER_DAY, 4 * US_PER_DAY},
        {"TUMBLE(events, time, INTERVAL '1' WEEK)", 7 * US_PER_DAY, 4 * US_PER_DAY},
        {"TUMBLE(events, time, INTERVAL '0.5 weeks')", 84 * US_PER_HOUR, 12 * US_PER_HOUR},
        {"TUMBLE(events, time, INTERVAL 'P0.5W')", 84 * US_PER_HOUR, 12 * US_PER_HOUR},
        {"TUMBLE(events, time, INTERVAL 'PT1.5H')", 90 * US_PER_MINUTE, 0},
        {"TUMBLE(events, time, INTERVAL '1 week 1 day')", 8 * US_PER_DAY, 0},
        {"TUMBLE(events, time, INTERVAL '5' MINUTES)", 5 * US_PER_MINUTE, 0},
        {"TUMBLE(events, time, INTERVAL '366 days')", 366 * US_PER_DAY, 0},
        {"TABLE(TUMBLE(TABLE events, DESCRIPTOR(time), INTERVAL '5' MINUTE))",
         5 * US_PER_MINUTE,
         0},
        {"table ( tumble ( table Events , descriptor ( Time ) , interval '5' minute ) )",
         5 * US_PER_MINUTE,
         0},
    };
    char text[256];
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        (void)snprintf(text, sizeof(text), "SELECT count(*) FROM %s", windows[i].from);
        const struct definition *definition = &parse_good(text)->definition;
        assert_int_equal(definition->window_us, windows[i].window_us);
        assert_int_equal(definition->origin_us, windows[i].origin_us);
    }
}

static void weeks_start_on_mondays(void **state)
{
    (void)state;
    const struct definition *definition =
        &parse_good("SELECT count(*) FROM TUMBLE(events, time, INTERVAL '1 week')")->definition;
    int64_t monday;
    int64_t next_monday;
    assert_int_equal(timestamp_parse(BYTES("2012-12-31T00:00:00Z"), &monday), OK);
    assert_int_equal(timestamp_parse(BYTES("2013-01-07T00:00:00Z"), &next_monday), OK);
    struct event_time time = {SAMPLE_TIME_US};
    assert_int_equal(definition_window_start(definition, time), monday);
    time.us = next_monday;
    assert_int_equal(definition_window_start(definition, time), next_monday);
    time.us = next_monday - 1;
    assert_int_equal(definition_window_start(definition, time), monday);
    time.us = -1;
    assert_int_equal(definition_window_start(definition, time), -3 * US_PER_DAY);
}

static void groups_are_found_by_expression_alias_and_position(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "SELECT lower(type) AS kind, count(*) " MINUTE " GROUP BY lower(type)",
        "SELECT lower(type) AS kind, count(*) " MINUTE " GROUP BY LOWER( ( type ) )",
        "SELECT lower(type) AS kind, count(*) " MINUTE " GROUP BY kind",
        "SELECT lower(type) AS kind, count(*) " MINUTE " GROUP BY 1",
        "SELECT lower(type) AS kind, count(*) " MINUTE " GROUP BY kind, 1, lower(type)",
        "SELECT lower(type) kind, count(*) " MINUTE " GROUP BY window_start, kind, window_end",
        "SELECT window_start, window_end, lower(type) AS kind, count(*) " MINUTE
        " GROUP BY window_start, 3",
        "SELECT lower(type) AS type, count(*) " MINUTE " GROUP BY type",
        "SELECT geohash(data.lat, data.lon, 5) AS cell, count(*) " MINUTE
        " GROUP BY geohash(data.lat, data.lon, 5)",
        "SELECT geohash(data.lat, data.lon, 5), count(*) " MINUTE " GROUP BY 1",
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        const struct definition *definition = &parse_good(statements[i])->definition;
        assert_int_equal(definition->group_count, 1);
        assert_int_equal(definition->column_count, 2);
        assert_true(definition->columns[0].is_group);
        assert_int_equal(definition->columns[0].index, 0);
        assert_false(definition->columns[1].is_group);
    }
}

static void a_group_may_be_hidden_and_a_column_doubled(void **state)
{
    (void)state;
    const struct definition *definition =
        &parse_good("SELECT type AS a, type AS b, count(*) AS c, count(*) AS d " MINUTE
                    " GROUP BY subject, type")
             ->definition;
    assert_int_equal(definition->group_count, 2);
    assert_int_equal(definition->aggregate_count, 1);
    assert_int_equal(definition->column_count, 4);
    assert_int_equal(definition->columns[0].index, 1);
    assert_int_equal(definition->columns[1].index, 1);
    assert_int_equal(definition->columns[3].index, 0);
}

static void columns_have_natural_names(void **state)
{
    (void)state;
    const struct definition *definition =
        &parse_good(
             "SELECT type, data.a.b[0] x, data.\"c d\", data.e[1], CAST(data.f AS BIGINT), "
             "tenant, LOWER(data.g), Sum(data.h), min(data.i), max(data.i), "
             "avg(data.h) AS \"say \"\"avg\"\"\", data " MINUTE
             " GROUP BY 1, x, \"x\", 3, 4, f, 6, 7, data")
             ->definition;
    static const char *const names[] = {"type",
                                        "x",
                                        "c d",
                                        "e",
                                        "f",
                                        "tenant",
                                        "lower",
                                        "sum",
                                        "min",
                                        "max",
                                        "say \"avg\"",
                                        "data"};
    assert_int_equal(definition->column_count, 12);
    for (int i = 0; i < 12; i++) {
        assert_bytes(definition->columns[i].name, names[i]);
    }
    assert_int_equal(definition->group_count, 9); /* "x" in quotes is an attribute */
}

static void an_attribute_may_be_named_like_a_column_of_itself(void **state)
{
    (void)state;
    (void)parse_good("SELECT lower(tenant) AS tenant, count(*) " MINUTE " GROUP BY 1");
    (void)parse_good("SELECT tenant, count(*) " MINUTE " WHERE tenant = 'a' GROUP BY tenant");
    (void)parse_good("SELECT data.a AS tenant, count(*) " MINUTE
                     " WHERE \"tenant\" = 'a' GROUP BY 1");
    assert_int_equal(
        parse("SELECT data.a AS tenant, count(*) " MINUTE " WHERE tenant = 'a' GROUP BY 1")->err,
        ERR_SQL_MEANING);
}

static void emission_has_three_forms(void **state)
{
    (void)state;
    const struct statement *statement = parse_good("SELECT count(*) " MINUTE " EMIT ON UPDATE");
    assert_int_equal(statement->definition.emit, EMIT_ON_UPDATE);
    statement = parse_good("SELECT count(*) " MINUTE " EMIT ON WINDOW CLOSE");
    assert_int_equal(statement->definition.emit, EMIT_ON_WINDOW_CLOSE);
    statement = parse_good("SELECT count(*) " MINUTE " EMIT EVERY INTERVAL '1' SECOND");
    assert_int_equal(statement->definition.emit, EMIT_EVERY);
    assert_int_equal(statement->definition.emit_every_us, US_PER_SECOND);
}

static void what_comes_out_outlives_the_text_that_came_in(void **state)
{
    (void)state;
    char text[] = "CREATE METRIC abc AS SELECT data.xyz AS name, count(*) " MINUTE " GROUP BY 1";
    const struct statement *statement = parse_good(text);
    memset(text, '?', sizeof(text) - 1);
    assert_bytes(statement->name, "abc");
    assert_bytes(statement->definition.columns[0].name, "name");
    assert_true(statement->definition.text.data[0] == 'C');
}

static void a_script_is_cut_at_its_semicolons(void **state)
{
    (void)state;
    struct bytes script = BYTES(
        " ;; SHOW METRICS; -- a; b\n DROP METRIC \"a;b\" ;/*;*/ "
        "SELECT 'x;''y' ; \n -- end");
    struct bytes statement;
    assert_true(lang_next_statement(&script, &statement));
    assert_bytes(statement, "SHOW METRICS");
    assert_true(lang_next_statement(&script, &statement));
    assert_bytes(statement, "DROP METRIC \"a;b\" ");
    assert_true(lang_next_statement(&script, &statement));
    assert_bytes(statement, "SELECT 'x;''y' ");
    assert_false(lang_next_statement(&script, &statement));
    assert_false(lang_next_statement(&script, &statement));

    script = BYTES("SHOW 'open ; DROP");
    assert_true(lang_next_statement(&script, &statement));
    assert_bytes(statement, "SHOW 'open ; DROP");
    assert_false(lang_next_statement(&script, &statement));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_select_has_the_defaults),
        cmocka_unit_test(create_metric_takes_every_clause),
        cmocka_unit_test(other_statements_carry_their_names),
        cmocka_unit_test(windows_are_given_in_many_ways),
        cmocka_unit_test(weeks_start_on_mondays),
        cmocka_unit_test(groups_are_found_by_expression_alias_and_position),
        cmocka_unit_test(a_group_may_be_hidden_and_a_column_doubled),
        cmocka_unit_test(columns_have_natural_names),
        cmocka_unit_test(an_attribute_may_be_named_like_a_column_of_itself),
        cmocka_unit_test(emission_has_three_forms),
        cmocka_unit_test(what_comes_out_outlives_the_text_that_came_in),
        cmocka_unit_test(a_script_is_cut_at_its_semicolons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
