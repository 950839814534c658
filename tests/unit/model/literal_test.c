#include "../base/support.h"

#include "model/literal.h"

struct reading {
    const char *text;
    const char *json; /* NULL = refused */
};

static void assert_json(const char *text, bool read, struct value value, const char *json)
{
    uint8_t room[64];
    struct buf out = buf_of(room, sizeof(room));
    if (read) {
        value_put_json(&out, value);
    }
    if (read != (json != NULL) || (read && !bytes_equal(buf_bytes(&out), bytes_of_string(json)))) {
        fail_msg("'%s' reads as '%.*s'", text, (int)out.len, (const char *)room);
    }
}

static void numbers_are_read_in_all_notations(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        {"0", "0"},           {"00", "0"},        {"007", "7"},        {"-0", "0"},
        {"+5", "5"},          {" 5 ", "5"},       {".5", "0.5"},       {"5.", "5"},
        {"-.5", "-0.5"},      {"0.10", "0.1"},    {"1e3", "1000"},     {"1E+3", "1000"},
        {"1.5e-3", "0.0015"}, {"1e-10", "1e-10"}, {"1e300", "1e+300"}, {"", NULL},
        {" ", NULL},          {".", NULL},        {"-", NULL},         {"e5", NULL},
        {"1e", NULL},         {"1e+", NULL},      {"1.2.3", NULL},     {"1 2", NULL},
        {"0x10", NULL},       {"1e999", NULL},    {"nan", NULL},       {"--1", NULL},
        {"1,5", NULL},        {"5\n", NULL},
    };
    for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++) {
        struct value value = value_null();
        bool read = literal_number(bytes_of_string(readings[i].text), &value);
        assert_json(readings[i].text, read, value, readings[i].json);
    }
}

static void a_number_of_endless_digits_is_refused(void **state)
{
    (void)state;
    char text[1000];
    struct value value;
    memset(text, '0', sizeof(text));
    text[999] = '7';
    assert_true(literal_number(bytes_of(text, sizeof(text)), &value)); /* zeros in front */
    memset(text, '9', sizeof(text));
    assert_false(literal_number(bytes_of(text, sizeof(text)), &value));
}

static void times_are_read_in_the_looser_forms_of_sql(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        {"2013-01-01T06:00:00Z", "\"2013-01-01T06:00:00Z\""},
        {"2013-01-01t06:00:00.25z", "\"2013-01-01T06:00:00.25Z\""},
        {"2013-01-01 06:00:00", "\"2013-01-01T06:00:00Z\""},
        {"2013-01-01 06:00:00.5", "\"2013-01-01T06:00:00.5Z\""},
        {"2013-01-01 06:00:00+01:00", "\"2013-01-01T05:00:00Z\""},
        {"2013-01-01T06:00:00-01:00", "\"2013-01-01T07:00:00Z\""},
        {" 2013-01-01 ", "\"2013-01-01T00:00:00Z\""},
        {"2013-02-29", NULL},
        {"2013-1-1", NULL},
        {"2013-01-01 06:00", NULL},
        {"2013-01-01X06:00:00", NULL},
        {"2013-01-01 06:00:00 and then very much more text behind it", NULL},
        {"noon", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++) {
        int64_t us = 0;
        bool read = literal_time(bytes_of_string(readings[i].text), &us);
        assert_json(readings[i].text, read, value_of_time(us), readings[i].json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_in_all_notations),
        cmocka_unit_test(a_number_of_endless_digits_is_refused),
        cmocka_unit_test(times_are_read_in_the_looser_forms_of_sql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
