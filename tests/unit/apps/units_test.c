#include "apps/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int64_t bytes_of_amount(const char *text)
{
    int64_t bytes = -1;
    return bytes_amount_parse(bytes_of_string(text), &bytes) ? bytes : -1;
}

static int64_t duration_of(const char *text)
{
    int64_t us = -1;
    return duration_amount_parse(bytes_of_string(text), &us) ? us : -1;
}

static void bytes_take_binary_and_decimal_units(void **state)
{
    (void)state;
    assert_int_equal(bytes_of_amount("0"), 0);
    assert_int_equal(bytes_of_amount("4096"), 4096);
    assert_int_equal(bytes_of_amount("64k"), 65536);
    assert_int_equal(bytes_of_amount("64K"), 65536);
    assert_int_equal(bytes_of_amount("64kB"), 64000);
    assert_int_equal(bytes_of_amount("64M"), 64 << 20);
    assert_int_equal(bytes_of_amount("64 MiB"), 64 << 20);
    assert_int_equal(bytes_of_amount("1GiB"), 1 << 30);
    assert_int_equal(bytes_of_amount("1.5G"), 3LL << 29);
    assert_int_equal(bytes_of_amount("2TB"), 2000000000000);
}

static void bytes_refuse_what_is_no_amount(void **state)
{
    static const char *const bad[] = {"",
                                      "M",
                                      "-1",
                                      "1.5",
                                      "0x10",
                                      "1 2",
                                      "64 Mb",
                                      "64MiBs",
                                      "1e3",
                                      "007",
                                      ".5M",
                                      "5.M",
                                      "99999999999T",
                                      "1  M",
                                      "+1"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        print_message("%s\n", bad[i]);
        assert_int_equal(bytes_of_amount(bad[i]), -1);
    }
}

static void durations_take_units_and_iso_8601(void **state)
{
    (void)state;
    assert_int_equal(duration_of("0"), 0);
    assert_int_equal(duration_of("250us"), 250);
    assert_int_equal(duration_of("20ms"), 20000);
    assert_int_equal(duration_of("5s"), 5000000);
    assert_int_equal(duration_of("1.5s"), 1500000);
    assert_int_equal(duration_of("10m"), 600000000);
    assert_int_equal(duration_of("10 min"), 600000000);
    assert_int_equal(duration_of("24h"), 86400000000);
    assert_int_equal(duration_of("7d"), 7 * 86400000000);
    assert_int_equal(duration_of("1w"), 7 * 86400000000);
    assert_int_equal(duration_of("PT5M"), 300000000);
    assert_int_equal(duration_of("PT0.5S"), 500000);
    assert_int_equal(duration_of("P1D"), 86400000000);
}

static void durations_refuse_what_has_no_unit_or_is_no_whole_microsecond(void **state)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "-5s",
                                      "5 seconds",
                                      "0.5us",
                                      "PT",
                                      "P1M",
                                      "5S",
                                      "1h30m",
                                      "99999999999d",
                                      "1.2.3s"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        print_message("%s\n", bad[i]);
        assert_int_equal(duration_of(bad[i]), -1);
    }
}

static void rates_and_factors_are_above_zero(void **state)
{
    double value = 0;
    (void)state;
    assert_true(rate_amount_parse(BYTES("1000/s"), &value));
    assert_true(value > 999.9 && value < 1000.1);
    assert_true(rate_amount_parse(BYTES("2.5k/s"), &value));
    assert_true(value > 2499.9 && value < 2500.1);
    assert_true(rate_amount_parse(BYTES("7"), &value));
    assert_true(factor_amount_parse(BYTES("0.5x"), &value));
    assert_true(value > 0.49 && value < 0.51);
    assert_false(rate_amount_parse(BYTES("0/s"), &value));
    assert_false(rate_amount_parse(BYTES("10/m"), &value));
    assert_false(factor_amount_parse(BYTES("0x"), &value));
    assert_false(factor_amount_parse(BYTES("60"), &value));
    assert_false(factor_amount_parse(BYTES("x"), &value));
}

static void flags_have_four_words_each_way(void **state)
{
    bool flag = false;
    (void)state;
    assert_true(flag_amount_parse(BYTES("on"), &flag));
    assert_true(flag);
    assert_true(flag_amount_parse(BYTES("0"), &flag));
    assert_false(flag);
    assert_false(flag_amount_parse(BYTES("TRUE"), &flag));
    assert_false(flag_amount_parse(BYTES(""), &flag));
}

static void amounts_are_short_for_people(void **state)
{
    char text[64];
    struct {
        void (*put)(struct buf *out, uint64_t amount);
        uint64_t amount;
        const char *expected;
    } const cases[] = {
        {bytes_amount_put, 0, "0 B"},
        {bytes_amount_put, 1536, "1.5 KiB"},
        {bytes_amount_put, 64 << 20, "64 MiB"},
        {bytes_amount_put, UINT64_MAX, "16777216 TiB"},
        {count_amount_put, 0, "0"},
        {count_amount_put, 999, "999"},
        {count_amount_put, 1000, "1,000"},
        {count_amount_put, 12345678, "12,345,678"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = buf_of(text, sizeof(text));
        cases[i].put(&out, cases[i].amount);
        buf_put_u8(&out, 0);
        assert_string_equal(text, cases[i].expected);
    }
    struct buf out = buf_of(text, sizeof(text));
    duration_amount_put(&out, 1500000);
    buf_put_text(&out, "|");
    duration_amount_put(&out, 125 * 1000000LL);
    buf_put_text(&out, "|");
    short_amount_put(&out, 1250000);
    buf_put_u8(&out, 0);
    assert_string_equal(text, "1.5 s|2:05|1.25 M");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_take_binary_and_decimal_units),
        cmocka_unit_test(bytes_refuse_what_is_no_amount),
        cmocka_unit_test(durations_take_units_and_iso_8601),
        cmocka_unit_test(durations_refuse_what_has_no_unit_or_is_no_whole_microsecond),
        cmocka_unit_test(rates_and_factors_are_above_zero),
        cmocka_unit_test(flags_have_four_words_each_way),
        cmocka_unit_test(amounts_are_short_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
