#include "support.h"

#include "base/text.h"

static void assert_time(const char *text, int64_t expected)
{
    int64_t us = 0;
    /* From memory that ends with the text, so that the sanitizer sees a read too far. */
    size_t len = strlen(text);
    char *copy = test_malloc(len);
    memcpy(copy, text, len);
    enum err err = timestamp_parse(bytes_of(copy, len), &us);
    test_free(copy);
    if (err != OK || us != expected) {
        fail_msg("%s: %s, %lld", text, err_name(err), (long long)us);
    }
}

static void valid_times_are_read(void **state)
{
    (void)state;
    assert_time("1970-01-01T00:00:00Z", 0);
    assert_time("2013-01-01T06:00:00Z", 1357020000000000);
    assert_time("2013-01-01T06:00:00.123Z", 1357020000123000);
    assert_time("2013-01-01t06:00:00z", 1357020000000000);
    assert_time("2013-01-01T06:00:00.1Z", 1357020000100000);
    assert_time("2013-01-01T06:00:00.000001Z", 1357020000000001);
    assert_time("2013-01-01T06:00:00.123456789Z", 1357020000123456);
    assert_time("2013-01-01T06:00:00.999999999Z", 1357020000999999);
    assert_time("1969-12-31T23:59:59.999999Z", -1);
    assert_time("0001-01-01T00:00:00Z", TIMESTAMP_MIN_US);
    assert_time("9999-12-31T23:59:59.999999Z", TIMESTAMP_END_US - 1);
}

static void offsets_move_the_instant(void **state)
{
    (void)state;
    const int64_t six = 1357020000000000;
    const int64_t minute = 60000000;
    assert_time("2013-01-01T06:00:00+00:00", six);
    assert_time("2013-01-01T06:00:00-00:00", six);
    assert_time("2013-01-01T11:30:00+05:30", six);
    assert_time("2013-01-01T06:00:00+14:00", six - 14 * 60 * minute);
    assert_time("2013-01-01T06:00:00-14:00", six + 14 * 60 * minute);
    assert_time("2013-01-01T06:00:00+23:59", six - 1439 * minute);
    assert_time("2013-01-01T06:00:00.5-23:59", six + 500000 + 1439 * minute);
    assert_time("2012-12-31T22:00:00.000-08:00", six);
}

static void a_leap_second_is_the_next_second(void **state)
{
    (void)state;
    assert_time("2016-12-31T23:59:60Z", 1483228800000000);
    assert_time("2016-12-31T23:59:60.5Z", 1483228800500000);
    assert_time("1990-12-31T15:59:60-08:00", 662688000000000);
    assert_time("2013-01-01T06:00:60Z", 1357020060000000);
}

static void february_29_exists_in_leap_years_only(void **state)
{
    (void)state;
    assert_time("2012-02-29T00:00:00Z", 1330473600000000);
    assert_time("2000-02-29T00:00:00Z", 951782400000000);
    int64_t us = 0;
    assert_int_equal(timestamp_parse(BYTES("2013-02-29T00:00:00Z"), &us), ERR_TIME);
    assert_int_equal(timestamp_parse(BYTES("1900-02-29T00:00:00Z"), &us), ERR_TIME);
    assert_int_equal(timestamp_parse(BYTES("2100-02-29T00:00:00Z"), &us), ERR_TIME);
}

static void the_instant_decides_about_the_range(void **state)
{
    (void)state;
    assert_time("0000-12-31T23:59:59-00:01", TIMESTAMP_MIN_US + 59000000);
    assert_time("9999-12-31T23:59:59-00:00", TIMESTAMP_END_US - 1000000);
    assert_time("0001-01-01T14:00:00+14:00", TIMESTAMP_MIN_US);
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2013",
        "2013-01-01",
        "2013-01-01T06:00Z",
        "2013-01-01T06:00:00",
        "2013-01-01T06:00:00.123",
        "2013-01-01T06:00:00.",
        "2013-01-01T06:00:00.Z",
        "2013-01-01T06:00:00,5Z",
        "2013-01-01T06:00:00.1234567890Z",
        "2013-01-01 06:00:00Z",
        "2013-01-01_06:00:00Z",
        "2013-01-01T06:00:00 Z",
        " 2013-01-01T06:00:00Z",
        "2013-01-01T06:00:00Z ",
        "2013-01-01T06:00:00ZZ",
        "2013-01-01T06:00:00X",
        "2013-01-01T06:00:00\x1a",
        "2013-01-01\x14"
        "06:00:00Z",
        "2013-01-01T06:00:00+24:00",
        "2013-01-01T06:00:00+05:60",
        "2013-01-01T06:00:00+5:30",
        "2013-01-01T06:00:00+0530",
        "2013-01-01T06:00:00+05",
        "2013-01-01T06:00:00+05:3",
        "2013-01-01T06:00:00+05:300",
        "2013-01-01T06:00:00+05:30Z",
        "2013-01-01T06:00:00\xe2\x88\x92"
        "05:30",
        "2013-01-01T24:00:00Z",
        "2013-01-01T23:60:00Z",
        "2013-01-01T23:59:61Z",
        "2013-00-01T00:00:00Z",
        "2013-13-01T00:00:00Z",
        "2013-01-00T00:00:00Z",
        "2013-01-32T00:00:00Z",
        "2013-04-31T00:00:00Z",
        "2013-1-01T06:00:00Z0",
        "2013-01-1T06:00:00Z0",
        "13-01-01T06:00:00Z00",
        "+2013-01-01T06:00:00Z",
        "-2013-01-01T06:00:00Z",
        "12013-01-01T06:00:00Z",
        "2o13-01-01T06:00:00Z",
        "2013-01-01T06:0 :00Z",
        "2013/01/01T06:00:00Z",
        "2013-01-01T06.00.00Z",
        "20130101T060000Z0000",
        "0000-01-01T00:00:00Z",
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
        "1e15",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t us = 77;
        if (timestamp_parse(bytes_of_string(texts[i]), &us) != ERR_TIME) {
            fail_msg("accepted: %s", texts[i]);
        }
        assert_int_equal(us, 77);
    }
}

static void assert_put(int64_t us, const char *expected)
{
    uint8_t data[32];
    struct buf out = buf_of(data, 30);
    timestamp_put(&out, us);
    assert_false(out.overflow);
    assert_bytes(buf_bytes(&out), expected);
}

static void times_are_written_without_trailing_zeros(void **state)
{
    (void)state;
    assert_put(0, "1970-01-01T00:00:00Z");
    assert_put(-1, "1969-12-31T23:59:59.999999Z");
    assert_put(1357020000000000, "2013-01-01T06:00:00Z");
    assert_put(1357020000120000, "2013-01-01T06:00:00.12Z");
    assert_put(1357020000000001, "2013-01-01T06:00:00.000001Z");
    assert_put(TIMESTAMP_MIN_US, "0001-01-01T00:00:00Z");
    assert_put(TIMESTAMP_END_US - 1, "9999-12-31T23:59:59.999999Z");
}

static void times_beyond_the_range_are_still_written(void **state)
{
    (void)state;
    assert_put(TIMESTAMP_END_US, "+010000-01-01T00:00:00Z");
    assert_put(TIMESTAMP_MIN_US - 1, "0000-12-31T23:59:59.999999Z");
    assert_put(INT64_MAX, "+294247-01-10T04:00:54.775807Z");
    assert_put(INT64_MIN, "-290308-12-21T19:59:05.224192Z");
}

static void random_times_read_back_and_agree_with_libc(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("timestamp");
    for (int i = 0; i < 50000; i++) {
        int64_t us =
            TIMESTAMP_MIN_US +
            (int64_t)random_below(&random, (uint64_t)(TIMESTAMP_END_US - TIMESTAMP_MIN_US));
        us -= i % 2 == 0 ? us % 1000000 : 0;
        uint8_t data[27];
        struct buf out = buf_of(data, sizeof(data));
        timestamp_put(&out, us);
        assert_false(out.overflow);
        int64_t back = 0;
        assert_int_equal(timestamp_parse(buf_bytes(&out), &back), OK);
        assert_true(back == us);
        time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
        struct tm tm;
        char text[80];
        assert_non_null(gmtime_r(&seconds, &tm));
        (void)snprintf(text,
                       sizeof(text),
                       "%04d-%02d-%02dT%02d:%02d:%02d",
                       tm.tm_year + 1900,
                       tm.tm_mon + 1,
                       tm.tm_mday,
                       tm.tm_hour,
                       tm.tm_min,
                       tm.tm_sec);
        assert_memory_equal(data, text, 19);
    }
}

static void every_day_of_ten_thousand_years_has_its_date(void **state)
{
    (void)state;
    int64_t year = 0;
    int month = 0;
    int day = 0;
    int64_t expected = days_from_civil(-400, 1, 1);
    assert_true(days_from_civil(1970, 1, 1) == 0);
    for (int64_t y = -400; y <= 10000; y++) {
        for (int m = 1; m <= 12; m++) {
            static const int lens[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
            bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            int len = m == 2 && leap ? 29 : lens[m - 1];
            for (int d = 1; d <= len; d++) {
                if (days_from_civil(y, m, d) != expected) {
                    fail_msg("%lld-%d-%d", (long long)y, m, d);
                }
                civil_from_days(expected, &year, &month, &day);
                if (year != y || month != m || day != d) {
                    fail_msg("%lld", (long long)expected);
                }
                expected++;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_times_are_read),
        cmocka_unit_test(offsets_move_the_instant),
        cmocka_unit_test(a_leap_second_is_the_next_second),
        cmocka_unit_test(february_29_exists_in_leap_years_only),
        cmocka_unit_test(the_instant_decides_about_the_range),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(times_are_written_without_trailing_zeros),
        cmocka_unit_test(times_beyond_the_range_are_still_written),
        cmocka_unit_test(random_times_read_back_and_agree_with_libc),
        cmocka_unit_test(every_day_of_ten_thousand_years_has_its_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
