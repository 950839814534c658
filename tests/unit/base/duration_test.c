#include "support.h"

#include "base/text.h"

#define SECOND 1000000LL
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)
#define MAX    10000000000000000LL

static void valid_durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        {"PT0S", 0},
        {"P0D", 0},
        {"PT5M", 300 * SECOND},
        {"PT0.5S", SECOND / 2},
        {"PT0.000001S", 1},
        {"PT00005.500000S", 5 * SECOND + SECOND / 2},
        {"P1D", DAY},
        {"P2W", 14 * DAY},
        {"P0W", 0},
        {"P1DT2H", DAY + 2 * HOUR},
        {"P1DT1S", DAY + SECOND},
        {"PT1H30S", HOUR + 30 * SECOND},
        {"P1DT2H3M4.5S", DAY + 2 * HOUR + 184 * SECOND + SECOND / 2},
        {"PT36H", 36 * HOUR},
        {"PT10000000000S", MAX},
        {"P115740DT17H46M40S", MAX},
        {"PT1.5H", HOUR + HOUR / 2},
        {"PT0.5M", 30 * SECOND},
        {"P0.5D", DAY / 2},
        {"P1.5D", DAY + DAY / 2},
        {"P0.5W", 7 * DAY / 2},
        {"PT0,5S", SECOND / 2},
        {"PT1,5H", HOUR + HOUR / 2},
        {"P0,25W", 7 * DAY / 4},
        {"P1DT1.5H", DAY + HOUR + HOUR / 2},
        {"PT1H0.1M", HOUR + 6 * SECOND},
        {"P1DT0.25S", DAY + SECOND / 4},
        {"PT0.0000005M", 30},
        {"PT0.00000005M", 3},
        {"PT0.0009765625H", 3515625},
        {"P0.0001220703125D", 10546875},
        {"P0.0001220703125W", 73828125},
        {"PT0.1234560000S", 123456},
        {"PT0.50000000000000000000000000000000000S", SECOND / 2},
        {"PT0.000S", 0},
        {"P115740DT17.75H", 115740 * DAY + 17 * HOUR + 3 * HOUR / 4},
        {"PT9999999999.999999S", MAX - 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t us = -1;
        enum err err = duration_parse(bytes_of_string(rows[i].text), &us);
        if (err != OK || us != rows[i].us) {
            fail_msg("%s: %s %lld", rows[i].text, err_name(err), (long long)us);
        }
    }
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "P",
        "PT",
        "P1DT",
        "5M",
        "T5M",
        "PT5",
        "PTM",
        "P1Y",
        "P1M",
        "P1Y2M",
        "PT5m",
        "pt5M",
        "-PT5M",
        "P-5D",
        "+PT5M",
        "PT-5M",
        "PT5M ",
        " PT5M",
        "PT 5M",
        "PT.5S",
        "PT5.S",
        "PT0.1234567S",
        "PT0.0000001S",
        "PT0.00000001M",
        "PT0.1H30M",
        "PT1.5H0S",
        "PT0,5M1S",
        "P0.5DT1H",
        "P1.5DT",
        "P0.5W1D",
        "PT,5S",
        "PT5,H",
        "PT5.M",
        "P.5D",
        "PT1.5",
        "PT1.5.5S",
        "PT1,5.5S",
        "PT1.-5H",
        "P0.5Y",
        "P0.5M",
        "PT0.3333333333H",
        "P0.33333333333333333333D",
        "P0.00006103515625D",
        "PT0.0000000000000000001H",
        "P115740.75D",
        "P16534.5W",
        "PT2777777.7777777778H",
        "PT1S1M",
        "PT1M1M",
        "PT1M1H",
        "P1D1D",
        "P1D1W",
        "P1W1D",
        "P1WT1H",
        "P1H",
        "P1S",
        "PT1D",
        "PT1W",
        "P1TT1H",
        "PT1HT1M",
        "PT10000000000.000001S",
        "P115741D",
        "PT9999999999999999999999S",
        "P16535W",
        "PT1e5S",
        "PT0x5S",
        "P1D\xc2",
        "PT5\xef\xbc\xad",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t us = 77;
        if (duration_parse(bytes_of_string(texts[i]), &us) != ERR_DURATION) {
            fail_msg("accepted: %s", texts[i]);
        }
        assert_int_equal(us, 77);
    }
}

static void assert_put(int64_t us, const char *expected)
{
    uint8_t data[40];
    struct buf out = buf_of(data, sizeof(data));
    duration_put(&out, us);
    assert_false(out.overflow);
    assert_bytes(buf_bytes(&out), expected);
}

static void durations_are_written_in_the_largest_units(void **state)
{
    (void)state;
    assert_put(0, "PT0S");
    assert_put(1, "PT0.000001S");
    assert_put(SECOND / 2, "PT0.5S");
    assert_put(300 * SECOND, "PT5M");
    assert_put(90 * SECOND, "PT1M30S");
    assert_put(HOUR, "PT1H");
    assert_put(DAY, "P1D");
    assert_put(7 * DAY, "P7D");
    assert_put(DAY + 2 * HOUR, "P1DT2H");
    assert_put(DAY + 1, "P1DT0.000001S");
    assert_put(HOUR + SECOND, "PT1H1S");
    assert_put(MAX, "P115740DT17H46M40S");
    assert_put(-300 * SECOND, "-PT5M");
    assert_put(-DAY, "-P1D");
    assert_put(INT64_MIN, "-P106751991DT4H54.775808S");
    assert_put(INT64_MAX, "P106751991DT4H54.775807S");
}

static void random_durations_read_back(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("duration");
    for (int i = 0; i < 50000; i++) {
        int64_t us = (int64_t)(random_next(&random) >> (random_below(&random, 63) + 1));
        us %= MAX + 1;
        uint8_t data[40];
        struct buf out = buf_of(data, sizeof(data));
        duration_put(&out, us);
        int64_t back = -1;
        assert_int_equal(duration_parse(buf_bytes(&out), &back), OK);
        assert_true(back == us);
    }
}

/* Against 128 bits: digits after the sign, of a unit, in whole microseconds or not at all. */
static void random_fractions_are_exact_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        char after;
        int64_t unit_us;
    } units[] = {{"PT", 'S', SECOND},
                 {"PT", 'M', 60 * SECOND},
                 {"PT", 'H', HOUR},
                 {"P", 'D', DAY},
                 {"P", 'W', 7 * DAY}};
    uint64_t random = seed_of_run("duration fraction");
    for (int i = 0; i < 50000; i++) {
        size_t n = random_below(&random, 5);
        int digits = 1 + (int)random_below(&random, 14);
        int64_t scale = 1;
        for (int k = 0; k < digits; k++) {
            scale *= 10;
        }
        int64_t fraction = (int64_t)random_below(&random, (uint64_t)scale);
        /* A power of five makes it likelier that it comes out whole. */
        int64_t five = (int64_t[]){1, 125, 78125, 1220703125}[random_below(&random, 4)];
        fraction -= fraction % five;
        int64_t whole = (int64_t)random_below(&random, 1000);
        char text[64];
        (void)snprintf(text,
                       sizeof(text),
                       "%s%lld%c%0*lld%c",
                       units[n].before,
                       (long long)whole,
                       random_below(&random, 2) == 0 ? '.' : ',',
                       digits,
                       (long long)fraction,
                       units[n].after);
        int128 scaled = (int128)fraction * units[n].unit_us;
        int64_t us = -1;
        enum err err = duration_parse(bytes_of_string(text), &us);
        enum err expected = scaled % scale == 0 ? OK : ERR_DURATION;
        int64_t expected_us =
            expected == OK ? whole * units[n].unit_us + (int64_t)(scaled / scale) : -1;
        if (err != expected || us != expected_us) {
            fail_msg("%s: %s %lld", text, err_name(err), (long long)us);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_durations_are_read),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(durations_are_written_in_the_largest_units),
        cmocka_unit_test(random_durations_read_back),
        cmocka_unit_test(random_fractions_are_exact_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
