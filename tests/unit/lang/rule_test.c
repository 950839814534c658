/* Rules: what timeouts and silences become, what their spans compute, and what is refused. */
#include "support.h"

#define TIMEOUT "CREATE TIMEOUT t AS AFTER type = 'a' EXPECT type = 'b' "
#define WHOLE   TIMEOUT "WITHIN INTERVAL '1 hour' PER subject"
#define SILENCE "CREATE SILENCE s AS EXPECT type = 'a' "

static const struct rule *rule_good(const char *text)
{
    const struct statement *statement = parse_good(text);
    assert_true(statement->kind == STATEMENT_CREATE_RULE || statement->kind == STATEMENT_RULE);
    return &statement->rule;
}

static bool passes(struct bytes program)
{
    static struct program_scratch scratch;
    struct event event = sample_event();
    scratch.used = 0;
    return program_passes(program, &event, &scratch);
}

static void a_timeout_has_defaults(void **state)
{
    (void)state;
    const char *text = WHOLE;
    const struct statement *statement = parse_good(text);
    const struct rule *rule = &statement->rule;
    assert_int_equal(statement->kind, STATEMENT_CREATE_RULE);
    assert_int_equal(statement->rule_kind, RULE_TIMEOUT);
    assert_false(statement->if_not_exists);
    assert_bytes(statement->name, "t");
    assert_int_equal(rule->kind, RULE_TIMEOUT);
    assert_bytes(rule->name, "t");
    assert_bytes(rule->text, text);
    assert_true(rule->after.len > 0);
    assert_true(rule->expect.len > 0);
    assert_int_equal(rule->heartbeat.len, 0);
    assert_int_equal(rule->cancel.len, 0);
    assert_true(rule->key.len > 0);
    assert_int_equal(rule->within.len, 0);
    assert_int_equal(rule->within_us, US_PER_HOUR);
    assert_int_equal(rule->grace_us, 0);
    assert_int_equal(rule->clock, TIMEOUT_BY_EVENTS);
    assert_int_equal(rule->late, RULE_LATE_IGNORE);
    assert_int_equal(rule->source_count, 0);
    assert_true(rule_valid(rule));
}

static void a_timeout_takes_every_clause_in_any_order(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "CREATE TIMEOUT IF NOT EXISTS overdue WITH (sources = '/a, /b') AS AFTER type = "
        "'flight.departed' EXPECT type = 'x' HEARTBEAT source = '/carriers/UA' AND data.ok CANCEL "
        "type = 'y' WITHIN INTERVAL '8 hours' PER subject CLOCK EVENT GRACE INTERVAL '5 minutes' "
        "LATE RETRACT;",
        "create timeout if not exists overdue with (sources = '/a,/b') as\n"
        "after type = 'flight.departed' -- it left\n"
        "late retract grace interval '5' minute clock event per subject within interval 'PT8H'\n"
        "cancel type = 'y' heartbeat source = '/carriers/UA' and data.ok expect type = 'x'",
    };
    for (size_t i = 0; i < 2; i++) {
        const struct statement *statement = parse_good(texts[i]);
        const struct rule *rule = &statement->rule;
        assert_true(statement->if_not_exists);
        assert_bytes(rule->name, "overdue");
        assert_true(passes(rule->after));
        assert_false(passes(rule->expect));
        assert_true(passes(rule->heartbeat));
        assert_false(passes(rule->cancel));
        assert_int_equal(rule->within_us, 8 * US_PER_HOUR);
        assert_int_equal(rule->grace_us, 5 * US_PER_MINUTE);
        assert_int_equal(rule->late, RULE_LATE_RETRACT);
        assert_int_equal(rule->source_count, 2);
        assert_bytes(rule->sources[0], "/a");
        assert_bytes(rule->sources[1], "/b");
    }
}

static void a_silence_has_its_own_clauses(void **state)
{
    (void)state;
    const struct statement *statement = parse_good(
        "CREATE SILENCE quiet AS EXPECT type = 'sensor.reading' EVERY INTERVAL '90 "
        "minutes' PER source;");
    const struct rule *rule = &statement->rule;
    assert_int_equal(statement->rule_kind, RULE_SILENCE);
    assert_int_equal(rule->kind, RULE_SILENCE);
    assert_bytes(rule->name, "quiet");
    assert_int_equal(rule->within_us, 90 * US_PER_MINUTE);
    assert_int_equal(rule->clock, TIMEOUT_BY_EVENTS);
    assert_int_equal(rule->after.len, 0);
    assert_true(rule_valid(rule));
    rule = rule_good(
        "create silence s with (sources = '/a') as expect type = 'a' grace interval "
        "'1 s' per source || subject clock processing every interval '1 week'");
    assert_int_equal(rule->within_us, 7 * US_PER_DAY);
    assert_int_equal(rule->grace_us, US_PER_SECOND);
    assert_int_equal(rule->clock, TIMEOUT_BY_PROCESSING);
    assert_int_equal(rule->source_count, 1);
}

static void a_bare_rule_waits_for_its_name(void **state)
{
    (void)state;
    const struct statement *statement =
        parse_good("AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '1 s' PER subject");
    assert_int_equal(statement->kind, STATEMENT_RULE);
    assert_int_equal(statement->rule_kind, RULE_TIMEOUT);
    assert_int_equal(statement->name.len, 0);
    assert_int_equal(statement->rule.name.len, 0);
    statement = parse_good("EXPECT type = 'b' EVERY INTERVAL '1 s' PER subject;");
    assert_int_equal(statement->kind, STATEMENT_RULE);
    assert_int_equal(statement->rule_kind, RULE_SILENCE);
    struct rule named = statement->rule;
    named.name = BYTES("n");
    assert_true(rule_valid(&named));
}

static void rules_are_dropped_and_shown(void **state)
{
    (void)state;
    const struct statement *statement = parse_good("DROP TIMEOUT overdue");
    assert_int_equal(statement->kind, STATEMENT_DROP_RULE);
    assert_int_equal(statement->rule_kind, RULE_TIMEOUT);
    assert_false(statement->if_exists);
    assert_bytes(statement->name, "overdue");
    statement = parse_good("drop silence if exists quiet;");
    assert_int_equal(statement->rule_kind, RULE_SILENCE);
    assert_true(statement->if_exists);
    assert_bytes(statement->name, "quiet");
    static const struct {
        const char *text;
        int kind;
    } shows[] = {
        {"SHOW TIMEOUTS", RULE_TIMEOUT}, {"show silences;", RULE_SILENCE}, {"SHOW RULES", 0}};
    for (size_t i = 0; i < 3; i++) {
        statement = parse_good(shows[i].text);
        assert_int_equal(statement->kind, STATEMENT_SHOW_RULES);
        assert_int_equal(statement->rule_kind, shows[i].kind);
        assert_int_equal(statement->name.len, 0);
    }
}

/* Words of the clauses are no reserved words: an attribute may have one of them as its name. */
static void a_clause_word_may_name_an_attribute(void **state)
{
    (void)state;
    const struct rule *rule =
        rule_good("AFTER late = 'x' EXPECT within IS NULL WITHIN INTERVAL '1 s' PER clock");
    assert_true(passes(rule->expect));
    rule = rule_good("AFTER clock EXPECT \"late\" = 1 PER cancel WITHIN every");
    assert_true(rule->within.len > 0);
}

/* The span of a timeout whose WITHIN is this, for the sample: microseconds as JSON, and the program's
 * value must be so many. */
static void assert_span(const char *within, const char *expected)
{
    static struct program_scratch scratch;
    char text[1024];
    char json[128];
    struct event event = sample_event();
    (void)snprintf(text, sizeof(text), TIMEOUT "PER subject WITHIN %s", within);
    const struct rule *rule = rule_good(text);
    assert_true(rule->within.len > 0);
    assert_int_equal(rule->within_us, 0);
    scratch.used = 0;
    struct buf out = buf_of(json, sizeof(json) - 1);
    value_put_json(&out, program_eval(rule->within, &event, &scratch));
    assert_false(out.overflow);
    json[out.len] = '\0';
    if (strcmp(json, expected) != 0) {
        fail_msg("WITHIN %s gives %s instead of %s", within, json, expected);
    }
}

static void a_computed_span_is_in_microseconds(void **state)
{
    (void)state;
    assert_span("data.delay * INTERVAL '1 minute'", "750000000");
    assert_span("INTERVAL '1 minute' * data.seats", "10800000000");
    assert_span("data.seats * INTERVAL '1 us'", "180");
    assert_span("arrival_time - time", "1500000");
    assert_span("time + INTERVAL '2 hours' - time", "7200000000");
    assert_span("CAST(data.when AS TIMESTAMP) - time + INTERVAL '1 day'", "85356543211");
    assert_span("2 * INTERVAL '1 hour'", "7200000000");
    assert_span("coalesce(data.none, 3) * INTERVAL '1 s'", "3000000");
    assert_span("CASE WHEN data.ok THEN INTERVAL '1 s' ELSE INTERVAL '2 s' END", "1000000");
    assert_span("data.seats", "180000000"); /* a number alone is in seconds, as everywhere */
    assert_span("data.missing * INTERVAL '1 hour'", "null");
    assert_span("data.dest * INTERVAL '1 hour'", "null");
    assert_span("data.dest", "null");
    assert_span("-data.seats * INTERVAL '1 hour'", "-648000000000");
}

static void spans_reach_from_a_millisecond_to_ten_years(void **state)
{
    (void)state;
    assert_int_equal(rule_good(TIMEOUT "PER id WITHIN INTERVAL '1 ms'")->within_us, 1000);
    assert_int_equal(rule_good(TIMEOUT "PER id WITHIN INTERVAL '3660 days'")->within_us,
                     3660 * US_PER_DAY);
    assert_int_equal(rule_good(TIMEOUT "PER id WITHIN (INTERVAL '90' SECOND)")->within_us,
                     90 * US_PER_SECOND);
    assert_int_equal(rule_good(SILENCE "PER id EVERY INTERVAL '3660 days'")->within_us,
                     3660 * US_PER_DAY);
    assert_int_equal(rule_good(SILENCE "PER id EVERY INTERVAL '1 ms'")->within_us, 1000);
    assert_int_equal(rule_good(WHOLE " GRACE INTERVAL '366 days'")->grace_us, 366 * US_PER_DAY);
    assert_int_equal(rule_good(WHOLE " GRACE INTERVAL '0 s'")->grace_us, 0);
}

static void a_rule_fits_its_encoding(void **state)
{
    (void)state;
    static uint8_t room[RULE_BYTES_MAX];
    static const char *const texts[] = {WHOLE, SILENCE "PER id EVERY INTERVAL '1 s'"};
    for (size_t i = 0; i < 2; i++) {
        const struct rule *rule = rule_good(texts[i]);
        struct rule back;
        struct buf out = buf_of(room, sizeof(room));
        rule_put(&out, rule);
        assert_false(out.overflow);
        assert_true(rule_read(buf_bytes(&out), &back));
        assert_bytes(back.text, texts[i]);
        assert_int_equal(back.kind, rule->kind);
    }
}

struct refusal {
    const char *statement;
    enum err err;
    int column;
    const char *text;
    const char *hint;
};

/* clang-format off */
static const struct refusal refusals[] = {
    {"CREATE TIMEOUTS t AS AFTER type = 'a'", ERR_SQL, 8,
     "expected METRIC, TIMEOUT or SILENCE, found TIMEOUTS", "did you mean TIMEOUT?"},
    {"CREATE SILENSE s AS EXPECT type = 'a'", ERR_SQL, 8,
     "expected METRIC, TIMEOUT or SILENCE, found SILENSE", "did you mean SILENCE?"},
    {"CREATE TIMEOUT Overdue AS AFTER type = 'a'", ERR_SQL_MEANING, 16,
     "Overdue can't be the name of a rule",
     "a-z, 0-9 and _, not beginning with a digit, at most 64"},
    {"CREATE TIMEOUT 'x' AS AFTER type = 'a'", ERR_SQL, 16,
     "expected the rule's name, found 'x'", ""},
    {"CREATE TIMEOUT t AFTER type = 'a'", ERR_SQL, 18, "expected AS, found AFTER", ""},
    {"CREATE TIMEOUT t WITH (retain = '1 day') AS AFTER type = 'a'", ERR_SQL_MEANING, 24,
     "a rule has no option retain", "WITH (sources = '/a, /b')"},
    {"CREATE TIMEOUT t WITH (source = '/a') AS AFTER type = 'a'", ERR_SQL_MEANING, 24,
     "there is no option source", "did you mean sources?"},
    {"CREATE TIMEOUT t AS EXPECT type = 'b' AFTER type = 'a'", ERR_SQL, 21,
     "expected AFTER, found EXPECT", "AFTER type = 'order.placed'"},
    {"CREATE TIMEOUT t AS AFTR type = 'a'", ERR_SQL, 21,
     "expected AFTER, found AFTR", "did you mean AFTER?"},
    {"CREATE TIMEOUT t AS", ERR_SQL, 20,
     "expected AFTER, but the statement ends here", "AFTER type = 'order.placed'"},
    {"CREATE TIMEOUT t AS SELECT count(*)", ERR_SQL, 21,
     "expected AFTER, found SELECT", "AFTER type = 'order.placed'"},
    {"CREATE SILENCE s AS AFTER type = 'a'", ERR_SQL, 21,
     "expected EXPECT, found AFTER", "EXPECT type = 'order.paid'"},
    {"AFTER type = 'a'", ERR_SQL, 17,
     "expected EXPECT, but the statement ends here", "EXPECT type = 'order.paid'"},
    {"AFTER type = 'a' EXPECT type = 'b'", ERR_SQL, 35,
     "expected WITHIN, but the statement ends here", "WITHIN INTERVAL '15 minutes'"},
    {"AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '1 s';", ERR_SQL, 57,
     "expected PER, found ;", "PER subject"},
    {"EXPECT type = 'b'", ERR_SQL, 18,
     "expected EVERY, but the statement ends here", "EVERY INTERVAL '90 minutes'"},
    {"EXPECT type = 'b' EVERY INTERVAL '1 s'", ERR_SQL, 39,
     "expected PER, but the statement ends here", "PER subject"},
    {"AFTER", ERR_SQL, 6,
     "expected a condition, but the statement ends here", "AFTER type = 'order.placed'"},
    {"AFTER EXPECT type = 'b'", ERR_SQL, 7,
     "expected a condition, found EXPECT", "AFTER type = 'order.placed'"},
    {"AFTER type = 'a' EXPECT type = 'b' HEARTBEAT WITHIN INTERVAL '1 s'", ERR_SQL, 46,
     "expected a condition, found WITHIN", "HEARTBEAT type = 'order.seen'"},
    {"AFTER type = 'a' EXPECT type = 'b' PER", ERR_SQL, 39,
     "expected the key, an expression, but the statement ends here", "PER subject"},
    {"AFTER type EXPECT type = 'b'", ERR_SQL_MEANING, 7,
     "a condition is needed here, but this is a text", ""},
    {"AFTER type = 5 EXPECT type = 'b'", ERR_SQL_MEANING, 14,
     "this compares a text with a number, which is never true", "texts stand in single quotes: '5'"},
    {"AFTER tpye = 'a' EXPECT type = 'b'", ERR_SQL_MEANING, 7,
     "there is no column tpye (an attribute of that name is written in double quotes)",
     "did you mean type?"},
    {"AFTER count(*) > 3 EXPECT type = 'b'", ERR_SQL_MEANING, 7,
     "an aggregate can't stand in AFTER",
     "a rule looks at one event at a time; CREATE METRIC counts"},
    {"AFTER type = 'a' EXPECT time < window_end", ERR_SQL_MEANING, 32,
     "a rule has no windows, so there is no window_end",
     "an event's own time is the column time"},
    {"AFTER type = 'a' AFTER type = 'b'", ERR_SQL, 18, "AFTER is given twice", ""},
    {WHOLE " PER source", ERR_SQL, 93, "PER is given twice", ""},
    {WHOLE " EXPECT type = 'c'", ERR_SQL, 93, "EXPECT is given twice", ""},
    {WHOLE " GRACE INTERVAL '1 s' GRACE INTERVAL '1 s'", ERR_SQL, 114, "GRACE is given twice", ""},
    {WHOLE " EVERY INTERVAL '1 s'", ERR_SQL_MEANING, 93,
     "EVERY belongs to CREATE SILENCE, not to a timeout", "WITHIN INTERVAL '15 minutes'"},
    {SILENCE "WITHIN INTERVAL '1 s'", ERR_SQL_MEANING, 39,
     "WITHIN belongs to CREATE TIMEOUT, not to a silence", "EVERY INTERVAL '90 minutes'"},
    {SILENCE "LATE RETRACT", ERR_SQL_MEANING, 39,
     "LATE belongs to CREATE TIMEOUT, not to a silence", ""},
    {SILENCE "CANCEL type = 'b'", ERR_SQL_MEANING, 39,
     "CANCEL belongs to CREATE TIMEOUT, not to a silence", ""},
    {WHOLE " WHERE type = 'c'", ERR_SQL, 93, "WHERE is not available in a rule",
     "the condition stands right behind EXPECT: EXPECT type = 'order.paid'"},
    {TIMEOUT "GROUP BY subject", ERR_SQL, 56, "GROUP is not available in a rule",
     "PER names the key: PER subject"},
    {TIMEOUT "WITHINN INTERVAL '1 s'", ERR_SQL, 56,
     "expected EXPECT, HEARTBEAT, CANCEL, WITHIN, PER, CLOCK, GRACE, LATE or the end, found WITHINN",
     "did you mean WITHIN?"},
    {SILENCE "EVRY INTERVAL '1 s'", ERR_SQL, 39,
     "expected EVERY, PER, CLOCK, GRACE or the end, found EVRY", "did you mean EVERY?"},
    {TIMEOUT "WITHIN 5", ERR_SQL_MEANING, 63,
     "WITHIN takes an interval, not 5", "WITHIN INTERVAL '15 minutes'"},
    {TIMEOUT "WITHIN '5 minutes'", ERR_SQL_MEANING, 63,
     "WITHIN takes an interval, not '5 minutes'", "WITHIN INTERVAL '15 minutes'"},
    {TIMEOUT "WITHIN NULL", ERR_SQL_MEANING, 63,
     "WITHIN takes an interval, not NULL", "WITHIN INTERVAL '15 minutes'"},
    {TIMEOUT "WITHIN INTERVAL '0 s'", ERR_SQL_MEANING, 63,
     "WITHIN takes 1 millisecond to 3660 days", ""},
    {TIMEOUT "WITHIN INTERVAL '999 us'", ERR_SQL_MEANING, 63,
     "WITHIN takes 1 millisecond to 3660 days", ""},
    {TIMEOUT "WITHIN -INTERVAL '5 minutes'", ERR_SQL_MEANING, 63,
     "WITHIN takes 1 millisecond to 3660 days", ""},
    {TIMEOUT "WITHIN INTERVAL '3661 days'", ERR_SQL_MEANING, 63,
     "WITHIN takes 1 millisecond to 3660 days", ""},
    {TIMEOUT "WITHIN INTERVAL '-5 minutes'", ERR_SQL_MEANING, 72,
     "an interval is a whole number of microseconds", ""},
    {TIMEOUT "WITHIN time", ERR_SQL_MEANING, 63,
     "WITHIN takes a span of time, but this is a time", "the span up to a moment is: moment - time"},
    {TIMEOUT "WITHIN type", ERR_SQL_MEANING, 63,
     "WITHIN takes a span of time, but this is a text",
     "WITHIN data.minutes * INTERVAL '1 minute'"},
    {TIMEOUT "WITHIN data.a > 1", ERR_SQL_MEANING, 63,
     "WITHIN takes a span of time, but this is a condition",
     "WITHIN data.minutes * INTERVAL '1 minute'"},
    {SILENCE "EVERY '90 minutes'", ERR_SQL, 45,
     "expected an interval, found '90 minutes'", "EVERY INTERVAL '90 minutes'"},
    {SILENCE "EVERY data.minutes * INTERVAL '1 minute'", ERR_SQL, 45,
     "expected an interval, found data", "EVERY INTERVAL '90 minutes'"},
    {SILENCE "EVERY INTERVAL '0 s'", ERR_SQL_MEANING, 45,
     "EVERY takes 1 millisecond to 3660 days", ""},
    {SILENCE "EVERY INTERVAL '1 month'", ERR_SQL_MEANING, 54,
     "intervals of months and years are not available yet", ""},
    {WHOLE " GRACE INTERVAL '367 days'", ERR_SQL_MEANING, 99, "GRACE is at most 366 days", ""},
    {WHOLE " GRACE 5", ERR_SQL, 99, "expected an interval, found 5", "GRACE INTERVAL '1 minute'"},
    {WHOLE " CLOCK EVENTS", ERR_SQL, 99,
     "expected EVENT or PROCESSING, found EVENTS", "did you mean EVENT?"},
    {WHOLE " LATE RETRAKT", ERR_SQL, 98,
     "expected RETRACT or IGNORE, found RETRAKT", "did you mean RETRACT?"},
    {WHOLE " LATE RETRACT CLOCK PROCESSING", ERR_SQL_MEANING, 98,
     "by the processing clock nothing is late, so nothing can be retracted",
     "leave LATE out, or take CLOCK EVENT"},
    {TIMEOUT "PER source, subject", ERR_SQL_MEANING, 66,
     "PER takes one expression", "join several: PER source || '/' || subject"},
    {WHOLE "; SHOW RULES", ERR_SQL, 94, "expected the end of the statement, found SHOW", ""},
    {"DROP TIMEOUT", ERR_SQL, 13, "expected the rule's name, but the statement ends here", ""},
    {"DROP RULE r", ERR_SQL, 6, "expected METRIC, TIMEOUT or SILENCE, found RULE", ""},
    {"SHOW TIMEOUT", ERR_SQL, 6,
     "expected METRICS, METRIC, TIMEOUTS, SILENCES or RULES, found TIMEOUT",
     "did you mean TIMEOUTS?"},
    {"SHOW RULES now", ERR_SQL, 12, "expected the end of the statement, found now", ""},
};
/* clang-format on */

static void what_is_wrong_is_said_with_its_place_and_what_to_write(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *refusal = &refusals[i];
        const struct parsed *parsed = parse(refusal->statement);
        const struct error *error = &parsed->error;
        bool hinted = strcmp(error->hint, refusal->hint) == 0;
        if (parsed->err != refusal->err || error->line != 1 || error->column != refusal->column ||
            strcmp(error->text, refusal->text) != 0 || !hinted) {
            print_error("%s\n  %d 1:%d \"%s\" \"%s\"\n",
                        refusal->statement,
                        (int)parsed->err,
                        error->column,
                        error->text,
                        error->hint);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void lines_are_counted_in_rules_as_well(void **state)
{
    (void)state;
    const struct parsed *parsed =
        parse("CREATE TIMEOUT t AS\n  AFTER type = 'a'\n  EXPECT type = 'b'\n  WITHIN 5");
    assert_int_equal(parsed->error.line, 4);
    assert_int_equal(parsed->error.column, 10);
}

/* Whatever is cut off, an error with a place comes out, and only the whole is a rule. */
static void every_beginning_of_a_rule_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "CREATE TIMEOUT t WITH (sources = '/a') AS AFTER type = 'a' EXPECT type = 'b' HEARTBEAT "
        "data.x LIKE 'y%' CANCEL data.z IS NULL CLOCK EVENT LATE RETRACT WITHIN data.m * INTERVAL "
        "'1 minute' GRACE INTERVAL '1 s' PER subject";
    for (size_t len = 0; len + 1 < sizeof(text) - sizeof("subject"); len++) {
        const struct parsed *parsed = parse_bytes(bytes_of(text, len));
        assert_true(parsed->err == ERR_SQL || parsed->err == ERR_SQL_MEANING);
        assert_int_equal(parsed->error.line, 1);
        assert_in_range(parsed->error.column, 1, len + 1);
        assert_true(parsed->error.text[0] != '\0');
    }
    assert_int_equal(parse(text)->err, OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_has_defaults),
        cmocka_unit_test(a_timeout_takes_every_clause_in_any_order),
        cmocka_unit_test(a_silence_has_its_own_clauses),
        cmocka_unit_test(a_bare_rule_waits_for_its_name),
        cmocka_unit_test(rules_are_dropped_and_shown),
        cmocka_unit_test(a_clause_word_may_name_an_attribute),
        cmocka_unit_test(a_computed_span_is_in_microseconds),
        cmocka_unit_test(spans_reach_from_a_millisecond_to_ten_years),
        cmocka_unit_test(a_rule_fits_its_encoding),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place_and_what_to_write),
        cmocka_unit_test(lines_are_counted_in_rules_as_well),
        cmocka_unit_test(every_beginning_of_a_rule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
