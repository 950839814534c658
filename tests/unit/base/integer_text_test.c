#include "support.h"

#include "base/text.h"

static void integers_are_written_like_printf_writes_them(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("integer");
    for (int i = 0; i < 20000; i++) {
        uint64_t value = random_next(&random) >> random_below(&random, 64);
        char expected[32];
        uint8_t data[20];
        struct buf out = buf_of(data, sizeof(data));
        u64_put(&out, value);
        (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
        assert_bytes(buf_bytes(&out), expected);
        uint64_t back = 0;
        assert_true(u64_parse(buf_bytes(&out), &back));
        assert_true(back == value);

        out = buf_of(data, sizeof(data));
        i64_put(&out, (int64_t)value);
        (void)snprintf(expected, sizeof(expected), "%lld", (long long)value);
        assert_bytes(buf_bytes(&out), expected);
        int64_t signed_back = 0;
        assert_true(i64_parse(buf_bytes(&out), &signed_back));
        assert_true(signed_back == (int64_t)value);
    }
}

static void the_extremes_are_read(void **state)
{
    (void)state;
    uint64_t value = 1;
    int64_t signed_value = 1;
    assert_true(u64_parse(BYTES("0"), &value) && value == 0);
    assert_true(u64_parse(BYTES("18446744073709551615"), &value) && value == UINT64_MAX);
    assert_true(u64_parse(BYTES("000000000000000000000000007"), &value) && value == 7);
    assert_true(i64_parse(BYTES("9223372036854775807"), &signed_value));
    assert_true(signed_value == INT64_MAX);
    assert_true(i64_parse(BYTES("-9223372036854775808"), &signed_value));
    assert_true(signed_value == INT64_MIN);
    assert_true(i64_parse(BYTES("-0"), &signed_value) && signed_value == 0);
}

static void what_is_no_integer_or_too_large_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "-",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1.0",
                                        "1e3",
                                        "0x1",
                                        "--1",
                                        "a",
                                        "18446744073709551616",
                                        "99999999999999999999",
                                        "184467440737095516150",
                                        "/",
                                        ":"};
    uint64_t value = 77;
    int64_t signed_value = 77;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(u64_parse(bytes_of_string(texts[i]), &value));
        assert_false(i64_parse(bytes_of_string(texts[i]), &signed_value));
    }
    assert_false(u64_parse(BYTES("-1"), &value));
    assert_false(i64_parse(BYTES("9223372036854775808"), &signed_value));
    assert_false(i64_parse(BYTES("-9223372036854775809"), &signed_value));
    assert_int_equal(value, 77);
    assert_int_equal(signed_value, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_written_like_printf_writes_them),
        cmocka_unit_test(the_extremes_are_read),
        cmocka_unit_test(what_is_no_integer_or_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
