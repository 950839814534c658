#include "apps/timeouts_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000LL

static char text[400];

static const char *span(int64_t us)
{
    struct buf out = buf_of(text, sizeof(text) - 1);
    span_put(&out, us);
    text[out.len] = '\0';
    return text;
}

static const char *moment(int64_t us, int64_t now_us)
{
    struct buf out = buf_of(text, sizeof(text) - 1);
    moment_put(&out, us, now_us);
    text[out.len] = '\0';
    return text;
}

static const char *bar(uint64_t count, uint64_t count_max, size_t width)
{
    struct buf out = buf_of(text, sizeof(text) - 1);
    bar_put(&out, count, count_max, width);
    assert_true(out.len <= 3 * width);
    text[out.len] = '\0';
    return text;
}

static void a_span_is_told_in_its_two_largest_units(void **state)
{
    (void)state;
    assert_string_equal(span(0), "0 ms");
    assert_string_equal(span(999), "0 ms");
    assert_string_equal(span(40000), "40 ms");
    assert_string_equal(span(S - 1), "999 ms");
    assert_string_equal(span(S), "1 s");
    assert_string_equal(span(12 * S + 345678), "12.3 s");
    assert_string_equal(span(60 * S - 1), "59.9 s");
    assert_string_equal(span(60 * S), "1 min");
    assert_string_equal(span(899 * S + 999999), "14 min 59 s");
    assert_string_equal(span(3600 * S), "1 h");
    assert_string_equal(span(3600 * S + 59 * S), "1 h");
    assert_string_equal(span(26 * 3600 * S + 60 * S), "1 d 2 h");
    assert_string_equal(span(36525 * 86400LL * S), "36525 d");
    assert_string_equal(span(INT64_MAX), "106751991 d 4 h");
}

static void a_moment_lies_ahead_or_behind(void **state)
{
    (void)state;
    assert_string_equal(moment(900 * S, 0), "in 15 min");
    assert_string_equal(moment(0, 900 * S), "15 min ago");
    assert_string_equal(moment(5000 * S, 5000 * S), "now");
    assert_string_equal(moment(5000 * S + 999, 5000 * S), "now");
    assert_string_equal(moment(5000 * S - 999, 5000 * S), "now");
    assert_string_equal(moment(-3 * S, -5 * S), "in 2 s");
}

static void a_bar_is_as_long_as_its_part_of_the_largest(void **state)
{
    (void)state;
    assert_string_equal(bar(0, 8, 10), "");
    assert_string_equal(bar(0, 0, 10), "");
    assert_string_equal(bar(8, 8, 3), "███");
    assert_string_equal(bar(4, 8, 4), "██");
    assert_string_equal(bar(1, 16, 2), "▏");
    assert_string_equal(bar(5, 8, 2), "█▎");
    assert_string_equal(bar(UINT64_MAX, UINT64_MAX, 2), "██");
    assert_string_equal(bar(5, 8, 0), "");
}

static void what_is_not_nothing_has_a_bar(void **state)
{
    (void)state;
    assert_string_equal(bar(1, 1000000000, 40), "▏");
}

static const char *refusal_of(const char *rule, const char *type, const char *when)
{
    const struct timeout_refusal facts = {
        .type = type,
        .key = "order-17",
        .rule = rule,
        .state = "cancelled",
        .generation = 3,
        .when = when,
    };
    struct buf out = buf_of(text, sizeof(text) - 1);
    bool said = refusal_put(&out, &facts);
    assert_false(out.overflow);
    assert_int_equal(said, out.len > 0);
    text[out.len] = '\0';
    return text;
}

static const char *refusal(const char *type, const char *when)
{
    return refusal_of("", type, when);
}

static void a_refusal_about_a_rule_names_it(void **state)
{
    (void)state;
    assert_string_equal(refusal_of("overdue", "urn:tidemark:problem:already-fired", "3 s ago"),
                        "order-17 of overdue has fired already, 3 s ago");
    assert_string_equal(refusal_of("overdue", "urn:tidemark:problem:already-ended", ""),
                        "order-17 of overdue is cancelled already");
    assert_string_equal(refusal_of("overdue", "urn:tidemark:problem:unknown-rule", ""),
                        "there is no rule overdue; `tidemark sql \"SHOW RULES\"` shows those there "
                        "are, and without --rule explicit timeouts are meant");
    assert_string_equal(refusal_of("overdue", "urn:tidemark:problem:unknown-timeout", ""),
                        "there is no order-17 of overdue, or not yet: it is there when the "
                        "watermark has passed its start; `tidemark timeouts list --rule overdue` "
                        "shows those there are");
}

static void a_refusal_says_what_is_there_and_what_to_do(void **state)
{
    (void)state;
    assert_string_equal(refusal("urn:tidemark:problem:already-fired", "3 s ago"),
                        "order-17 has fired already, 3 s ago; `--on-exists replace` at its create "
                        "begins its next generation");
    assert_string_equal(refusal("urn:tidemark:problem:already-ended", ""),
                        "order-17 is cancelled already; `--on-exists replace` at its create begins "
                        "its next generation");
    assert_string_equal(
        refusal("urn:tidemark:problem:other-generation", "3 s ago"),
        "order-17 is at generation 3 now, cancelled; leave --generation out to mean "
        "whichever is there");
    assert_non_null(
        strstr(refusal("urn:tidemark:problem:conflict", "due in 3 s"), ", due in 3 s;"));
    assert_string_equal(
        refusal("urn:tidemark:problem:unknown-timeout", ""),
        "there is no timeout order-17; `tidemark timeouts list` shows those there are");
    assert_non_null(strstr(refusal("urn:tidemark:problem:no-room", ""), "--memory"));
}

static void what_is_no_refusal_of_timeouts_is_left_to_the_server(void **state)
{
    (void)state;
    assert_string_equal(refusal("urn:tidemark:problem:overloaded", ""), "");
    assert_string_equal(refusal("urn:tidemark:problem:", ""), "");
    assert_string_equal(refusal("already-fired", ""), "");
    assert_string_equal(refusal("", ""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_is_told_in_its_two_largest_units),
        cmocka_unit_test(a_moment_lies_ahead_or_behind),
        cmocka_unit_test(a_bar_is_as_long_as_its_part_of_the_largest),
        cmocka_unit_test(what_is_not_nothing_has_a_bar),
        cmocka_unit_test(a_refusal_about_a_rule_names_it),
        cmocka_unit_test(a_refusal_says_what_is_there_and_what_to_do),
        cmocka_unit_test(what_is_no_refusal_of_timeouts_is_left_to_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
