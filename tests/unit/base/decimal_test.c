#include "support.h"

#include "base/text.h"

static int128 power_of_ten(int power)
{
    int128 value = 1;
    for (int i = 0; i < power; i++) {
        value *= 10;
    }
    return value;
}

static void assert_exact(const char *text, int128 nano)
{
    struct decimal decimal;
    if (!decimal_parse(bytes_of_string(text), &decimal) || !decimal.exact || decimal.nano != nano) {
        fail_msg("%s", text);
    }
}

static void short_decimals_are_exact(void **state)
{
    (void)state;
    const int128 one = NANO_PER_UNIT;
    assert_exact("0", 0);
    assert_exact("-0", 0);
    assert_exact("-0.000", 0);
    assert_exact("0e99999999999999999999", 0);
    assert_exact("1", one);
    assert_exact("-1.5", -one - one / 2);
    assert_exact("0.1", one / 10);
    assert_exact("0.000000001", 1);
    assert_exact("0.0000000010", 1);
    assert_exact("1.500000000000000000000", one + one / 2);
    assert_exact("9007199254740993", one * 9007199254740993);
    assert_exact("18446744073709551616", one * 2 * ((int128)1 << 63));
    assert_exact("1e3", one * 1000);
    assert_exact("1E+3", one * 1000);
    assert_exact("1.25e-7", 125);
    assert_exact("12.5e1", one * 125);
    assert_exact("0.00120e3", one * 12 / 10);
    assert_exact("1200e-3", one * 12 / 10);
    assert_exact("1000000000000000e-24", 1);
}

static void exactness_ends_where_it_is_said_to_end(void **state)
{
    (void)state;
    assert_exact("9999999999999999999999999999", power_of_ten(37) - power_of_ten(9));
    assert_exact("9999999999999999999999999999.999999999", power_of_ten(37) - 1);
    assert_exact("-9999999999999999999999999999.999999999", 1 - power_of_ten(37));
    assert_exact("1e27", power_of_ten(36));
    static const char *const inexact[] = {"1e28",
                                          "10000000000000000000000000000",
                                          "0.0000000001",
                                          "1.0000000001",
                                          "1e-10",
                                          "12345678901234567890.0123456789"};
    for (size_t i = 0; i < sizeof(inexact) / sizeof(inexact[0]); i++) {
        struct decimal decimal;
        assert_true(decimal_parse(bytes_of_string(inexact[i]), &decimal));
        assert_false(decimal.exact);
        assert_true(decimal.real == strtod(inexact[i], NULL));
    }
}

static void assert_put(int128 nano, const char *expected)
{
    uint8_t data[48];
    struct buf out = buf_of(data, sizeof(data));
    decimal_put(&out, nano);
    assert_false(out.overflow);
    assert_bytes(buf_bytes(&out), expected);
}

static void decimals_are_written_plainly(void **state)
{
    (void)state;
    assert_put(0, "0");
    assert_put(12 * (int128)NANO_PER_UNIT, "12");
    assert_put(-(int128)NANO_PER_UNIT / 2, "-0.5");
    assert_put(1, "0.000000001");
    assert_put(-1, "-0.000000001");
    assert_put(1234567890, "1.23456789");
    assert_put(power_of_ten(37) - 1, "9999999999999999999999999999.999999999");
    assert_put(power_of_ten(36), "1000000000000000000000000000");
    assert_put(power_of_ten(28), "10000000000000000000");
    assert_put(power_of_ten(28) + power_of_ten(9), "10000000000000000001");
    int128 largest = (int128)((~(__uint128_t)0) >> 1);
    assert_put(largest, "170141183460469231731687303715.884105727");
    assert_put(-largest - 1, "-170141183460469231731687303715.884105728");
}

static void random_decimals_read_back(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("decimals");
    for (int i = 0; i < 50000; i++) {
        __uint128_t wide = (__uint128_t)random_next(&random) << 64 | random_next(&random);
        int128 nano = (int128)(wide >> (random_below(&random, 123) + 5)); /* < 2^123 < 10^37.03 */
        nano %= power_of_ten(37);
        nano = i % 2 == 0 ? nano : -nano;
        uint8_t data[48];
        struct buf out = buf_of(data, sizeof(data));
        decimal_put(&out, nano);
        struct decimal back;
        assert_true(decimal_parse(buf_bytes(&out), &back));
        assert_true(back.exact);
        assert_true(back.nano == nano);
    }
}

static void the_spelling_of_a_number_does_not_matter(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("spelling");
    for (int i = 0; i < 20000; i++) {
        uint64_t digits = random_below(&random, 1000000) + 1;
        int shift = (int)random_below(&random, 12);
        char plain[64];
        char shifted[64];
        (void)snprintf(plain, sizeof(plain), "%llu", (unsigned long long)digits);
        (void)snprintf(shifted,
                       sizeof(shifted),
                       "%llu%0*d.%0*de-%d",
                       (unsigned long long)digits,
                       shift + 1,
                       0,
                       (int)random_below(&random, 5) + 1,
                       0,
                       shift + 1);
        struct decimal a;
        struct decimal b;
        assert_true(decimal_parse(bytes_of_string(plain), &a));
        assert_true(decimal_parse(bytes_of_string(shifted), &b));
        assert_true(a.exact && b.exact);
        assert_true(a.nano == b.nano);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_decimals_are_exact),
        cmocka_unit_test(exactness_ends_where_it_is_said_to_end),
        cmocka_unit_test(decimals_are_written_plainly),
        cmocka_unit_test(random_decimals_read_back),
        cmocka_unit_test(the_spelling_of_a_number_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
