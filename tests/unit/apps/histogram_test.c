#include "apps/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void small_values_are_exact(void **state)
{
    static struct histogram histogram;
    (void)state;
    for (int64_t i = 1; i <= 60; i++) {
        histogram_add(&histogram, i);
    }
    assert_int_equal(histogram_percentile(&histogram, 0.5), 30);
    assert_int_equal(histogram_percentile(&histogram, 0.99), 60);
    assert_int_equal(histogram_percentile(&histogram, 1), 60);
}

static void large_values_are_within_two_percent_and_never_above_the_maximum(void **state)
{
    (void)state;
    for (int64_t value = 100; value < 10000000000; value = value * 3 + 7) {
        static struct histogram histogram;
        histogram = (struct histogram){0};
        histogram_add(&histogram, value);
        histogram_add(&histogram, value * 2);
        uint64_t median = histogram_percentile(&histogram, 0.5);
        assert_true(median >= (uint64_t)value);
        assert_true(median <= (uint64_t)(value + value / 50));
        assert_int_equal(histogram_percentile(&histogram, 1), value * 2);
    }
}

static void merging_adds_and_an_empty_one_has_no_percentiles(void **state)
{
    static struct histogram a;
    static struct histogram b;
    (void)state;
    assert_int_equal(histogram_percentile(&a, 0.5), 0);
    histogram_add(&a, -5);
    histogram_add(&b, INT64_MAX);
    histogram_merge(&a, &b);
    assert_int_equal(a.count, 2);
    assert_int_equal(histogram_percentile(&a, 0.5), 0);
    assert_int_equal(histogram_percentile(&a, 1), a.max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(large_values_are_within_two_percent_and_never_above_the_maximum),
        cmocka_unit_test(merging_adds_and_an_empty_one_has_no_percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
