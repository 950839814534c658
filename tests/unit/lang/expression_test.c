/* What expressions give for a sample event: text in, JSON out. */
#include "support.h"

struct meaning {
    const char *expression;
    const char *json;
};

static void assert_meanings(const struct meaning *meanings)
{
    for (; meanings->expression != NULL; meanings++) {
        assert_value(meanings->expression, meanings->json);
    }
}

static void columns_come_from_the_event(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"id", "\"e-1\""},
        {"source", "\"/carriers/UA\""},
        {"type", "\"flight.departed\""},
        {"subject", "\"UA1545\""},
        {"time", "\"2013-01-01T06:17:23.456789Z\""},
        {"arrival_time", "\"2013-01-01T06:17:24.956789Z\""},
        {"datacontenttype", "null"},
        {"tenant", "\"acme\""},
        {"\"tenant\"", "\"acme\""},
        {"priority", "7"},
        {"sampled", "true"},
        {"nothere", "null"},
        {"\"times\"", "null"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void data_paths_reach_members_and_items(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"data.dest", "\"ATL\""},
        {"data.\"dest\"", "\"ATL\""},
        {"data.delay", "12.5"},
        {"data.name", "\"Gr\xc3\xbc\xc3\x9f\""},
        {"data.ok", "true"},
        {"data.none", "null"},
        {"data.missing", "null"},
        {"data.list", "\"[10,{\\\"deep\\\":\\\"yes\\\"}]\""},
        {"data.list IS NOT NULL", "true"},
        {"data.list[0]", "10"},
        {"data.list[1].deep", "\"yes\""},
        {"data.list[2]", "null"},
        {"data.obj", "\"{\\\"a b\\\":1,\\\"from\\\":2}\""},
        {"data.obj.\"a b\"", "1"},
        {"data.obj.from", "2"},
        {"data.dest.more", "null"},
        {"data.huge", "null"},
        {"data.tiny", "1e-10"},
        {"data IS NOT NULL", "true"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void data_as_a_whole_is_a_value_when_it_is_a_scalar(void **state)
{
    (void)state;
    struct event event = sample_event();
    event.data = BYTES(" 17 ");
    assert_string_equal(value_of("data", &event), "17");
    event.data = BYTES("\"x\"");
    assert_string_equal(value_of("data", &event), "\"x\"");
    event.data = BYTES("[1]");
    assert_string_equal(value_of("data[0]", &event), "1");
    event.flags |= EVENT_DATA_BASE64;
    event.data = BYTES("\"AAEC\"");
    assert_string_equal(value_of("data", &event), "null");
    event.flags = 0;
    assert_string_equal(value_of("data", &event), "null");
    assert_string_equal(value_of("subject", &event), "null");
    assert_string_equal(value_of("tenant", &event), "null");
}

static void numbers_are_exact(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"0.1 + 0.2", "0.3"},
        {"0.1 * 3", "0.3"},
        {"0.1 + 0.2 = 0.3", "true"},
        {"data.big", "9007199254740993"},
        {"data.big + 1", "9007199254740994"},
        {"data.big = 9007199254740992", "false"},
        {"data.max", "9223372036854775807"},
        {"data.max + 1", "9223372036854775808"},
        {"data.min - 1", "-9223372036854775809"},
        {"-9223372036854775808 = data.min", "true"},
        {"7 / 2", "3.5"},
        {"1 / 8", "0.125"},
        {"1 / 3", "0.3333333333333333"},
        {"1 / 0", "null"},
        {"1 % 0", "null"},
        {"0.0 / 0.0", "null"},
        {"7 % 3", "1"},
        {"-7 % 3", "-1"},
        {"7.5 % 2", "1.5"},
        {"1e3", "1000"},
        {".5 + 1.", "1.5"},
        {"007", "7"},
        {"9223372036854775807 * 9223372036854775807", "8.507059173023462e+37"},
        {"9999999999999999999999999999 + 1", "1e+28"},
        {"1e300 * 1e300", "null"},
        {"- - 3", "3"},
        {"+3 - -2", "5"},
        {"2 + 3 * 4 - 6 / 3", "12"},
        {"(2 + 3) * 4", "20"},
        {"10 - 4 - 3", "3"},
        {"100 / 10 / 5", "2"},
        {"-data.delay", "-12.5"},
        {"data.dest + 1", "null"},
        {"data.ok + 1", "null"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void comparisons_need_kinds_that_can_be_compared(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"data.seats = 180", "true"},
        {"data.seats <> 180", "false"},
        {"data.seats != 181", "true"},
        {"data.seats < 180.000000001", "true"},
        {"data.seats >= 180.0", "true"},
        {"data.seats <= 179", "false"},
        {"data.dest > 'ATK'", "true"},
        {"data.dest = 'atl'", "false"},
        {"type = 'flight.departed'", "true"},
        {"'flight.departed' = type", "true"},
        {"type <> 'flight.departed'", "false"},
        {"datacontenttype = 'x'", "null"},
        {"data.text_number = 42", "null"},
        {"CAST(data.text_number AS BIGINT) = 42", "true"},
        {"data.ok = TRUE", "true"},
        {"data.no < data.ok", "true"},
        {"data.ok = 1", "null"},
        {"data.none = data.none", "null"},
        {"1.0 / 3 < 0.333333334", "true"},
        {"1.0 / 3 > 0.333333333", "true"},
        {"CAST('0.1' AS DOUBLE) = 0.1", "true"},
        {"data.tiny > 0", "true"},
        {"time < '2013-01-01T07:00:00+00:00'", "true"},
        {"'2013-01-01' <= time", "true"},
        {"time BETWEEN '2013-01-01' AND '2013-01-02'", "true"},
        {"time IN ('2013-01-01 06:17:23.456789')", "true"},
        {"time = data.when", "null"},
        {"CAST(data.when AS TIMESTAMP) < time", "true"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

/* T, F and N of the tables below, as expressions whose values no compiler knows. */
static const char *const truths[] = {"data.ok", "data.no", "data.none"};
static const char *const truth_json[] = {"true", "false", "null"};

static void and_or_and_not_follow_three_valued_logic(void **state)
{
    (void)state;
    static const int and_table[3][3] = {{0, 1, 2}, {1, 1, 1}, {2, 1, 2}};
    static const int or_table[3][3] = {{0, 0, 0}, {0, 1, 2}, {0, 2, 2}};
    static const int not_table[3] = {1, 0, 2};
    char text[128];
    for (int a = 0; a < 3; a++) {
        (void)snprintf(text, sizeof(text), "NOT %s", truths[a]);
        assert_value(text, truth_json[not_table[a]]);
        for (int b = 0; b < 3; b++) {
            (void)snprintf(text, sizeof(text), "%s AND %s", truths[a], truths[b]);
            assert_value(text, truth_json[and_table[a][b]]);
            (void)snprintf(text, sizeof(text), "%s OR %s", truths[a], truths[b]);
            assert_value(text, truth_json[or_table[a][b]]);
        }
    }
}

static int truth_of(int a, int b, bool conjunction)
{
    int deciding = conjunction ? 1 : 0;
    if (a == deciding || b == deciding) {
        return deciding;
    }
    return a == 2 || b == 2 ? 2 : 1 - deciding;
}

static void long_chains_decide_like_their_parts(void **state)
{
    (void)state;
    char text[256];
    for (int code = 0; code < 81; code++) {
        int parts[4] = {code % 3, code / 3 % 3, code / 9 % 3, code / 27};
        (void)snprintf(text,
                       sizeof(text),
                       "%s AND %s AND %s AND %s",
                       truths[parts[0]],
                       truths[parts[1]],
                       truths[parts[2]],
                       truths[parts[3]]);
        int all =
            truth_of(truth_of(truth_of(parts[0], parts[1], true), parts[2], true), parts[3], true);
        assert_value(text, truth_json[all]);
        (void)snprintf(text,
                       sizeof(text),
                       "%s OR %s AND NOT %s OR %s",
                       truths[parts[0]],
                       truths[parts[1]],
                       truths[parts[2]],
                       truths[parts[3]]);
        int negated = parts[2] == 2 ? 2 : 1 - parts[2];
        int middle = truth_of(parts[1], negated, true);
        int any = truth_of(truth_of(parts[0], middle, false), parts[3], false);
        assert_value(text, truth_json[any]);
    }
}

static void null_tests_membership_and_ranges_follow_sql(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"data.none IS NULL", "true"},
        {"data.none IS NOT NULL", "false"},
        {"data.dest IS NULL", "false"},
        {"(data.none = 1) IS NULL", "true"},
        {"data.dest IN ('JFK', 'ATL')", "true"},
        {"data.dest IN ('JFK')", "false"},
        {"data.dest IN ('JFK', NULL)", "null"},
        {"data.dest IN ('ATL', NULL)", "true"},
        {"data.dest IN (NULL, 'ATL')", "true"},
        {"data.dest NOT IN ('JFK', NULL)", "null"},
        {"data.dest NOT IN ('JFK', 'LAX')", "true"},
        {"data.none IN (1, 2)", "null"},
        {"data.seats IN (data.list[0] * 18)", "true"},
        {"data.seats IN (1, 'x')", "null"},
        {"data.seats BETWEEN 100 AND 200", "true"},
        {"data.seats BETWEEN 200 AND 100", "false"},
        {"data.seats NOT BETWEEN 100 AND 179", "true"},
        {"data.seats BETWEEN 181 AND data.none", "false"},
        {"data.seats BETWEEN 1 AND data.none", "null"},
        {"data.seats BETWEEN 1 AND 200 AND data.ok", "true"},
        {"NOT data.seats = 180", "false"},
        {"NOT NOT data.ok", "true"},
        {"data.seats = 180 IS NULL", "false"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void conditions_choose(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"CASE WHEN data.seats > 100 THEN 'big' ELSE 'small' END", "\"big\""},
        {"CASE WHEN data.none > 100 THEN 'big' ELSE 'small' END", "\"small\""},
        {"CASE WHEN data.no THEN 1 END", "null"},
        {"CASE WHEN data.no THEN 1 WHEN data.ok THEN 2 ELSE 3 END", "2"},
        {"CASE data.dest WHEN 'JFK' THEN 1 WHEN 'ATL' THEN 2 END", "2"},
        {"CASE data.dest WHEN 'JFK' THEN 1 ELSE 0 END", "0"},
        {"CASE data.none WHEN NULL THEN 1 ELSE 0 END", "0"},
        {"CASE data.seats WHEN 180 THEN CASE WHEN data.ok THEN 'x' END ELSE 'y' END", "\"x\""},
        {"1 + CASE WHEN data.ok THEN 1 ELSE 2 END * 10", "11"},
        {"coalesce(data.none, data.missing, data.dest, 'z')", "\"ATL\""},
        {"coalesce(data.none)", "null"},
        {"coalesce(data.no, TRUE)", "false"},
        {"coalesce(1, 2) + coalesce(NULL, 3)", "4"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void functions_do_what_they_say(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"lower('A\xc3\x9cz')", "\"a\xc3\x9cz\""},
        {"UPPER(data.name)", "\"GR\xc3\xbc\xc3\x9f\""},
        {"lower(data.seats)", "null"},
        {"length(data.name)", "4"},
        {"length('')", "0"},
        {"length(data.none)", "null"},
        {"substr(data.name, 3)", "\"\xc3\xbc\xc3\x9f\""},
        {"substr(data.name, 2, 2)", "\"r\xc3\xbc\""},
        {"substr('abc', 0, 2)", "\"a\""},
        {"substr('abc', -5)", "\"abc\""},
        {"substr('abc', 4)", "\"\""},
        {"substr('abc', 1, 0)", "\"\""},
        {"substr('abc', 1, -1)", "null"},
        {"substr('abc', 9223372036854775807, 9223372036854775807)", "\"\""},
        {"substr('abc', data.none)", "null"},
        {"abs(-2.5)", "2.5"},
        {"abs(data.dest)", "null"},
        {"round(2.5)", "3"},
        {"round(-2.5)", "-3"},
        {"round(2.4999999999)", "2"},
        {"round(1.005, 2)", "1.01"},
        {"round(1234, -2)", "1200"},
        {"round(1.5, 20)", "1.5"},
        {"round(5, -40)", "0"},
        {"round(1e300)", "1e+300"},
        {"floor(-1.5)", "-2"},
        {"floor(1.5)", "1"},
        {"ceil(-1.5)", "-1"},
        {"ceil(1.0000000001)", "2"},
        {"data.dest || '-' || data.seats", "\"ATL-180\""},
        {"data.ok || data.delay", "\"true12.5\""},
        {"'' || time", "\"2013-01-01T06:17:23.456789Z\""},
        {"'a' || data.none", "null"},
        {"'it''s'", "\"it's\""},
        {"round(geo_distance(40.64, -73.78, 51.47, -0.4543))", "5540234"},
        {"geo_distance(data.lat, data.lon, data.lat, data.lon)", "0"},
        {"geo_distance(91, 0, 0, 0)", "null"},
        {"geo_distance(data.dest, 0, 0, 0)", "null"},
        {"geo_within_box(data.lat, data.lon, 40, -74, 41, -73)", "true"},
        {"geo_within_box(0, 179, -10, 170, 10, -170)", "true"},
        {"geo_within_box(0, 0, -10, 170, 10, -170)", "false"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void geohashes_name_cells(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"geohash(57.64911, 10.40744, 11)", "\"u4pruydqqvj\""},
        {"geohash(42.6, -5.6, 5)", "\"ezs42\""},
        {"GEOHASH(-25.382708, -49.265506, 12)", "\"6gkzwgjzn820\""},
        {"geohash(0, 0, 1)", "\"s\""},
        {"geohash(0, 0)", "\"s00000000\""},
        {"geohash(90, 180, 3)", "\"zzz\""},
        {"geohash(-90, -180, 3)", "\"000\""},
        {"geohash(data.lat, data.lon, 5)", "\"dr5x1\""},
        {"geohash(data.lat, data.lon, 2) || '/' || geohash(0, 0, 2)", "\"dr/s0\""},
        {"geohash(42.6, -5.6, data.list[0] / 2)", "\"ezs42\""},
        {"geohash(42.6, -5.6, +5.0)", "\"ezs42\""},
        {"geohash(42.6, -5.6, 1e-10 * 5e10)", "\"ezs42\""},
        {"geohash(data.missing, 0, 5)", "null"},
        {"geohash(0, data.none, 5)", "null"},
        {"geohash(0, 0, data.none)", "null"},
        {"geohash(0, 0, NULL)", "null"},
        {"geohash(data.dest, 0, 5)", "null"},
        {"geohash(0, data.text_number, 5)", "null"},
        {"geohash(0, 0, data.dest)", "null"},
        {"geohash(0, 0, data.ok)", "null"},
        {"geohash(90.000001, 0, 5)", "null"},
        {"geohash(-91, 0)", "null"},
        {"geohash(0, 180.000001, 5)", "null"},
        {"geohash(0, -181)", "null"},
        {"geohash(1e300, 0, 5)", "null"},
        {"geohash(0, 0, data.seats)", "null"},
        {"geohash(0, 0, 1 - 1)", "null"},
        {"geohash(0, 0, 6 + 7)", "null"},
        {"geohash(0, 0, data.delay - 10)", "null"},
        {"geohash(0, 0, data.max)", "null"},
        {"geohash(0, 0, 2 * 1e300)", "null"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void like_matches_patterns(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"type LIKE 'flight.%'", "true"},
        {"type LIKE '%departed'", "true"},
        {"type LIKE '%t.d%'", "true"},
        {"type LIKE 'flight'", "false"},
        {"type NOT LIKE 'x%'", "true"},
        {"type LIKE NULL", "null"},
        {"data.seats LIKE '1%'", "null"},
        {"data.dest LIKE '_T_'", "true"},
        {"data.dest LIKE '__'", "false"},
        {"data.name LIKE 'Gr__'", "true"},
        {"data.name LIKE '%_\xc3\x9f'", "true"},
        {"'' LIKE ''", "true"},
        {"'' LIKE '%'", "true"},
        {"'' LIKE '_'", "false"},
        {"'abcabd' LIKE '%abd'", "true"},
        {"'ab' LIKE '%a_b%'", "false"},
        {"'aaab' LIKE '%a_b%'", "true"},
        {"data.text LIKE 'a!%b!_c' ESCAPE '!'", "true"},
        {"'axb_c' LIKE 'a!%b!_c' ESCAPE '!'", "false"},
        {"'a!' LIKE 'a!!' ESCAPE '!'", "true"},
        {"'a' LIKE 'a!' ESCAPE '!'", "null"},
        {"'a%' LIKE 'a\xc3\xbc%' ESCAPE '\xc3\xbc'", "true"},
        {"data.dest LIKE data.dest", "true"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void times_move_by_seconds(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"time + INTERVAL '5 minutes'", "\"2013-01-01T06:22:23.456789Z\""},
        {"INTERVAL '5' MINUTE + time", "\"2013-01-01T06:22:23.456789Z\""},
        {"time - INTERVAL '1 day'", "\"2012-12-31T06:17:23.456789Z\""},
        {"time + 0.5", "\"2013-01-01T06:17:23.956789Z\""},
        {"arrival_time - time", "1.5"},
        {"arrival_time - time > INTERVAL '1 second'", "true"},
        {"data.seats * INTERVAL '1 minute'", "10800"},
        {"time + INTERVAL '36500 days' * 100", "null"},
        {"TIMESTAMP '2013-01-01'", "\"2013-01-01T00:00:00Z\""},
        {"TIMESTAMP '2013-01-01 07:00:00+01:00'", "\"2013-01-01T06:00:00Z\""},
        {"date_trunc('minute', time)", "\"2013-01-01T06:17:00Z\""},
        {"date_trunc('hour', time)", "\"2013-01-01T06:00:00Z\""},
        {"date_trunc('day', time)", "\"2013-01-01T00:00:00Z\""},
        {"date_trunc('week', time)", "\"2012-12-31T00:00:00Z\""},
        {"date_trunc('month', TIMESTAMP '1969-12-31T23:59:59Z')", "\"1969-12-01T00:00:00Z\""},
        {"date_trunc('quarter', TIMESTAMP '2012-06-30')", "\"2012-04-01T00:00:00Z\""},
        {"date_trunc('year', time)", "\"2013-01-01T00:00:00Z\""},
        {"date_trunc('second', time)", "\"2013-01-01T06:17:23Z\""},
        {"date_trunc('day', '2013-01-01 05:00:00')", "\"2013-01-01T00:00:00Z\""},
        {"date_trunc('day', data.when)", "null"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void casts_convert_or_give_null(void **state)
{
    (void)state;
    static const struct meaning meanings[] = {
        {"CAST('42' AS BIGINT)", "42"},
        {"CAST(' -0042.9 ' AS BIGINT)", "-42"},
        {"CAST(2.9 AS BIGINT)", "2"},
        {"CAST(-2.9 AS BIGINT)", "-2"},
        {"CAST('9223372036854775808' AS BIGINT)", "null"},
        {"CAST(-9223372036854775808 AS BIGINT)", "-9223372036854775808"},
        {"CAST(1e30 AS BIGINT)", "null"},
        {"CAST('4x' AS DOUBLE)", "null"},
        {"CAST('' AS DOUBLE)", "null"},
        {"CAST('.5e1' AS DOUBLE PRECISION)", "5"},
        {"CAST('1e999' AS DOUBLE)", "null"},
        {"CAST(data.ok AS BIGINT)", "1"},
        {"CAST(time AS BIGINT)", "1357021043456789"},
        {"CAST(1357021043456789 AS TIMESTAMP)", "\"2013-01-01T06:17:23.456789Z\""},
        {"CAST(1e30 AS TIMESTAMP)", "null"},
        {"CAST('x' AS TIMESTAMP)", "null"},
        {"CAST(12.50 AS TEXT)", "\"12.5\""},
        {"CAST(data.ok AS TEXT)", "\"true\""},
        {"CAST(time AS TEXT)", "\"2013-01-01T06:17:23.456789Z\""},
        {"CAST(data.none AS TEXT)", "null"},
        {"CAST('TRUE' AS BOOLEAN)", "true"},
        {"CAST('0' AS BOOLEAN)", "false"},
        {"CAST('maybe' AS BOOLEAN)", "null"},
        {"CAST(0 AS BOOLEAN)", "false"},
        {"CAST(time AS BOOLEAN)", "null"},
        {NULL, NULL},
    };
    assert_meanings(meanings);
}

static void a_text_that_does_not_fit_the_scratch_is_null(void **state)
{
    (void)state;
    static uint8_t data[80000];
    struct event event = sample_event();
    memset(data, 'x', sizeof(data));
    data[0] = '"';
    data[sizeof(data) - 1] = '"';
    event.data = bytes_of(data, sizeof(data));
    assert_string_equal(value_of("length(data)", &event), "79998");
    assert_string_equal(value_of("lower(data)", &event), "null");
    assert_string_equal(value_of("data || data", &event), "null");
    data[PROGRAM_SCRATCH_BYTES - 5] = '"';
    event.data.len = PROGRAM_SCRATCH_BYTES - 4; /* its content leaves six bytes */
    const char *fits = "CASE WHEN lower(data) IS NOT NULL THEN geohash(0, 0, 6) END";
    assert_string_equal(value_of(fits, &event), "\"s00000\"");
    const char *too_long = "CASE WHEN lower(data) IS NOT NULL THEN geohash(0, 0, 7) END";
    assert_string_equal(value_of(too_long, &event), "null");
}

static void hostile_patterns_end_soon(void **state)
{
    (void)state;
    static uint8_t data[60000];
    struct event event = sample_event();
    memset(data, 'a', sizeof(data));
    data[0] = '"';
    data[sizeof(data) - 1] = '"';
    event.data = bytes_of(data, sizeof(data));
    assert_string_equal(value_of("data LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%b'", &event),
                        "false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_come_from_the_event),
        cmocka_unit_test(data_paths_reach_members_and_items),
        cmocka_unit_test(data_as_a_whole_is_a_value_when_it_is_a_scalar),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(comparisons_need_kinds_that_can_be_compared),
        cmocka_unit_test(and_or_and_not_follow_three_valued_logic),
        cmocka_unit_test(long_chains_decide_like_their_parts),
        cmocka_unit_test(null_tests_membership_and_ranges_follow_sql),
        cmocka_unit_test(conditions_choose),
        cmocka_unit_test(functions_do_what_they_say),
        cmocka_unit_test(geohashes_name_cells),
        cmocka_unit_test(like_matches_patterns),
        cmocka_unit_test(times_move_by_seconds),
        cmocka_unit_test(casts_convert_or_give_null),
        cmocka_unit_test(a_text_that_does_not_fit_the_scratch_is_null),
        cmocka_unit_test(hostile_patterns_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
