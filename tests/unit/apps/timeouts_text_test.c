#include "apps/timeouts_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000LL

static char text[200];

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

static void a_refusal_has_an_advice_or_none(void **state)
{
    (void)state;
    assert_non_null(strstr(timeout_advice("urn:tidemark:problem:already-fired"), "replace"));
    assert_non_null(strstr(timeout_advice("urn:tidemark:problem:conflict"), "return"));
    assert_non_null(timeout_advice("urn:tidemark:problem:unknown-timeout"));
    assert_null(timeout_advice("urn:tidemark:problem:overloaded"));
    assert_null(timeout_advice("urn:tidemark:problem:"));
    assert_null(timeout_advice("already-fired"));
    assert_null(timeout_advice(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_is_told_in_its_two_largest_units),
        cmocka_unit_test(a_moment_lies_ahead_or_behind),
        cmocka_unit_test(a_bar_is_as_long_as_its_part_of_the_largest),
        cmocka_unit_test(what_is_not_nothing_has_a_bar),
        cmocka_unit_test(a_refusal_has_an_advice_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
