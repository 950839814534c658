#include "../base/support.h"

#include <math.h>

#include "model/number.h"

/* An exact number of random size and sign, within the range. */
static int128 random_nano(uint64_t *seed)
{
    int128 wide = (int128)((uint64_t)random_next(seed) >> 2) * 4611686018427387904LL +
                  (int128)(random_next(seed) >> 2);
    int128 nano = wide >> random_below(seed, 124);
    nano %= NUMBER_NANO_MAX;
    return random_below(seed, 2) == 0 ? nano : -nano;
}

static const char *text_of(int128 nano)
{
    static char text[64];
    struct buf out = buf_of(text, sizeof(text) - 1);
    decimal_put(&out, nano);
    text[out.len] = '\0';
    return text;
}

static void a_number_becomes_the_nearest_double(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("nearest double");
    for (int i = 0; i < 100000; i++) {
        int128 nano = random_nano(&seed);
        assert_true(number_to_double(nano) == strtod(text_of(nano), NULL));
    }
    assert_true(number_to_double(0) == 0.0);
    assert_true(number_to_double(100000000) == 0.1);
    assert_true(number_to_double((int128)9007199254740993 * NANO_PER_UNIT) == 9007199254740992.0);
}

/* The first 9 decimals of a double's exact digits, and whether any are left. */
static int128 nano_by_printf(double real, bool *exact)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "%.120f", real);
    int128 nano = 0;
    int decimals = -1;
    *exact = true;
    for (int i = 0; i < len; i++) {
        if (text[i] == '.') {
            decimals = 0;
        } else if (text[i] != '-' && decimals < 9) {
            nano = nano * 10 + (text[i] - '0');
            decimals += decimals >= 0 ? 1 : 0;
        } else if (text[i] > '0') {
            *exact = false;
        }
    }
    return text[0] == '-' ? -nano : nano;
}

static void a_double_is_cut_to_its_nanos(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("cut to nanos");
    for (int i = 0; i < 20000; i++) {
        double real =
            ldexp((double)(int64_t)random_next(&seed), (int)random_below(&seed, 100) - 90);
        struct number_cut cut;
        bool exact = false;
        assert_true(number_from_double(real, &cut));
        int128 nano = nano_by_printf(real, &exact);
        assert_true(cut.nano == nano);
        /* 120 digits show all of doubles down to 2^-120, and those cut have more anyway */
        assert_int_equal(cut.exact, exact);
        int expected = exact ? 0 : real > 0 ? -1 : 1;
        assert_int_equal(number_compare_double(nano, real), expected);
    }
    struct number_cut cut;
    assert_false(number_from_double(1e40, &cut));
    assert_true(number_from_double(5e-324, &cut));
    assert_true(cut.nano == 0 && !cut.exact && !cut.half_up);
    assert_true(number_from_double(-0.0, &cut));
    assert_true(cut.nano == 0 && cut.exact);
}

static bool is_nano(struct value value, int128 nano)
{
    return value.kind == VALUE_NUMBER && value.nano == nano;
}

static void exact_results_stay_exact(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("exact results");
    for (int i = 0; i < 50000; i++) {
        int128 a = random_nano(&seed) >> 30;
        int128 b = random_nano(&seed) >> 30;
        int128 whole = (int128)(int64_t)(random_next(&seed) >> 40) * NANO_PER_UNIT;
        struct value x = value_of_nano(a);
        struct value y = value_of_nano(b);
        struct value w = value_of_nano(whole);
        assert_true(is_nano(number_add(x, y), a + b));
        assert_true(is_nano(number_subtract(x, y), a - b));
        assert_true(is_nano(number_subtract(number_add(x, y), y), a));
        assert_true(is_nano(number_multiply(x, w), a * (whole / NANO_PER_UNIT)));
        assert_true(is_nano(number_multiply(w, x), a * (whole / NANO_PER_UNIT)));
        if (whole != 0) {
            assert_true(is_nano(number_divide(number_multiply(x, w), w), a));
            assert_true(is_nano(number_modulo(x, w), a % whole));
        }
    }
}

static void products_of_fractions_are_exact_when_nine_digits_hold_them(void **state)
{
    (void)state;
    assert_true(
        is_nano(number_multiply(value_of_nano(100000000), value_of_nano(100000000)), 10000000));
    assert_true(is_nano(number_multiply(value_of_nano(30000), value_of_nano(100000)), 3));
    struct value tiny = number_multiply(value_of_nano(1), value_of_nano(1));
    assert_int_equal(tiny.kind, VALUE_DOUBLE);
    assert_true(tiny.real == 1e-18);
    assert_true(is_nano(number_multiply(value_of_nano(0), value_of_nano(1)), 0));
}

static void what_is_too_large_becomes_a_double_and_then_null(void **state)
{
    (void)state;
    struct value max = value_of_nano(NUMBER_NANO_MAX);
    struct value sum = number_add(max, value_of_nano(1));
    assert_int_equal(sum.kind, VALUE_DOUBLE);
    assert_true(sum.real == 1e28);
    assert_int_equal(number_subtract(number_negate(max), max).kind, VALUE_DOUBLE);
    struct value huge = value_of_real(1e300);
    assert_int_equal(number_multiply(huge, max).kind, VALUE_NULL);
    assert_int_equal(number_divide(max, value_of_nano(1)).kind, VALUE_DOUBLE);
    assert_int_equal(number_divide(huge, value_of_real(1e-300)).kind, VALUE_NULL);
    assert_true(is_nano(number_divide(max, max), NANO_PER_UNIT));
}

static void division_by_zero_is_null(void **state)
{
    (void)state;
    struct value one = value_of_nano(NANO_PER_UNIT);
    assert_int_equal(number_divide(one, value_of_nano(0)).kind, VALUE_NULL);
    assert_int_equal(number_divide(one, value_of_real(-0.0)).kind, VALUE_NULL);
    assert_int_equal(number_modulo(one, value_of_nano(0)).kind, VALUE_NULL);
    assert_int_equal(number_modulo(value_of_real(1.0), value_of_real(0.0)).kind, VALUE_NULL);
}

static void what_is_no_number_gives_null(void **state)
{
    (void)state;
    struct value one = value_of_nano(NANO_PER_UNIT);
    const struct value others[] = {
        value_null(), value_of_bool(true), value_of_time(1), value_of_text(BYTES("1"))};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(number_add(one, others[i]).kind, VALUE_NULL);
        assert_int_equal(number_subtract(others[i], one).kind, VALUE_NULL);
        assert_int_equal(number_multiply(one, others[i]).kind, VALUE_NULL);
        assert_int_equal(number_divide(others[i], one).kind, VALUE_NULL);
        assert_int_equal(number_modulo(one, others[i]).kind, VALUE_NULL);
        assert_int_equal(number_negate(others[i]).kind, VALUE_NULL);
        assert_int_equal(number_round(others[i], 0, ROUND_UP).kind, VALUE_NULL);
    }
}

static void the_remainder_of_doubles_is_that_of_fmod(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("fmod");
    for (int i = 0; i < 50000; i++) {
        double a = ldexp((double)(int64_t)random_next(&seed), (int)random_below(&seed, 400) - 200);
        double b = ldexp((double)(int64_t)random_next(&seed), (int)random_below(&seed, 400) - 200);
        struct value rest = number_modulo(value_of_real(a), value_of_real(b));
        assert_true(rest.kind == VALUE_DOUBLE && rest.real == fmod(a, b));
    }
    const double pairs[][2] = {
        {1e308, 5e-324}, {5e-324, 1e308}, {-7.5, 2.0}, {1e300, 7.0}, {1e-310, 3e-320}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct value rest = number_modulo(value_of_real(pairs[i][0]), value_of_real(pairs[i][1]));
        assert_true(rest.real == fmod(pairs[i][0], pairs[i][1]));
    }
}

struct rounding {
    const char *number;
    int digits;
    const char *half_away;
    const char *to_zero;
    const char *down;
    const char *up;
};

static struct value number_of(const char *text)
{
    struct decimal decimal;
    assert_true(decimal_parse(bytes_of_string(text), &decimal));
    return decimal.exact ? value_of_nano(decimal.nano) : value_of_real(decimal.real);
}

static void rounding_goes_the_way_it_says(void **state)
{
    (void)state;
    static const struct rounding table[] = {
        {"2.5", 0, "3", "2", "2", "3"},
        {"-2.5", 0, "-3", "-2", "-3", "-2"},
        {"2.49", 0, "2", "2", "2", "3"},
        {"1.005", 2, "1.01", "1", "1", "1.01"},
        {"1250", -2, "1300", "1200", "1200", "1300"},
        {"-0.4", 0, "0", "0", "-1", "0"},
        {"0.4999999999", 0, "0", "0", "0", "1"},
        {"0.00000000051", 9, "0.000000001", "0", "0", "0.000000001"},
        {"-0.00000000049", 9, "0", "0", "-0.000000001", "0"},
        {"7", 9, "7", "7", "7", "7"},
        {"7", -28, "0", "0", "0", "10000000000000000000000000000"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct rounding *row = &table[i];
        const char *expected[] = {row->half_away, row->to_zero, row->down, row->up};
        for (int way = 0; way < 4; way++) {
            struct value rounded =
                number_round(number_of(row->number), row->digits, (enum number_rounding)way);
            bool comparable = false;
            int order = value_compare(rounded, number_of(expected[way]), &comparable);
            assert_true(comparable);
            assert_int_equal(order, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_becomes_the_nearest_double),
        cmocka_unit_test(a_double_is_cut_to_its_nanos),
        cmocka_unit_test(exact_results_stay_exact),
        cmocka_unit_test(products_of_fractions_are_exact_when_nine_digits_hold_them),
        cmocka_unit_test(what_is_too_large_becomes_a_double_and_then_null),
        cmocka_unit_test(division_by_zero_is_null),
        cmocka_unit_test(what_is_no_number_gives_null),
        cmocka_unit_test(the_remainder_of_doubles_is_that_of_fmod),
        cmocka_unit_test(rounding_goes_the_way_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
