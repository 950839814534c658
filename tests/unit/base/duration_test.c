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
        "PT1.5M",
        "P1.5D",
        "P0.5W",
        "PT1.5H",
        "PT.5S",
        "PT5.S",
        "PT1,5S",
        "PT0.1234567S",
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_durations_are_read),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(durations_are_written_in_the_largest_units),
        cmocka_unit_test(random_durations_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
