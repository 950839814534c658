#include "../base/support.h"

#include "model/number.h"

static struct value whole(int64_t number)
{
    return value_of_nano((int128)number * NANO_PER_UNIT);
}

static int order(struct value a, struct value b)
{
    bool comparable = false;
    int result = value_compare(a, b, &comparable);
    assert_true(comparable);
    return result;
}

static bool can_compare(struct value a, struct value b)
{
    bool comparable = true;
    (void)value_compare(a, b, &comparable);
    return comparable;
}

static void values_of_one_kind_are_ordered(void **state)
{
    (void)state;
    assert_true(order(value_of_bool(false), value_of_bool(true)) < 0);
    assert_true(order(whole(-1), whole(1)) < 0);
    assert_true(order(value_of_real(0.5), value_of_real(0.25)) > 0);
    assert_true(order(value_of_text(BYTES("a")), value_of_text(BYTES("ab"))) < 0);
    assert_true(order(value_of_time(1), value_of_time(1)) == 0);
}

static void numbers_and_doubles_are_compared_exactly(void **state)
{
    (void)state;
    assert_true(order(whole(1), value_of_real(1.0)) == 0);
    assert_true(order(value_of_nano(100000000), value_of_real(0.1)) <
                0); /* 0.1000000000000000055 */
    assert_true(order(value_of_real(0.1), value_of_nano(100000000)) > 0);
    assert_true(order(whole(9007199254740993), value_of_real(9007199254740992.0)) > 0);
    assert_true(order(whole(INT64_MAX), value_of_real(9223372036854775808.0)) < 0);
    assert_true(order(whole(1), value_of_real(1e300)) < 0);
    assert_true(order(whole(1), value_of_real(-1e300)) > 0);
    assert_true(order(whole(0), value_of_real(-1e-300)) > 0);
    assert_true(order(whole(0), value_of_real(-0.0)) == 0);
}

static void other_kinds_and_null_can_not_be_compared(void **state)
{
    (void)state;
    assert_false(can_compare(value_null(), value_null()));
    assert_false(can_compare(value_null(), whole(1)));
    assert_false(can_compare(value_of_text(BYTES("1")), whole(1)));
    assert_false(can_compare(value_of_time(1), whole(1)));
    assert_false(can_compare(value_of_bool(true), whole(1)));
}

static void infinities_and_nan_are_null(void **state)
{
    (void)state;
    double zero = 0.0;
    assert_int_equal(value_of_real(1.0 / zero).kind, VALUE_NULL);
    assert_int_equal(value_of_real(-1.0 / zero).kind, VALUE_NULL);
    assert_int_equal(value_of_real(zero / zero).kind, VALUE_NULL);
    assert_int_equal(value_of_real(1e308).kind, VALUE_DOUBLE);
}

static struct bytes encode(struct value value, uint8_t *room, size_t cap)
{
    struct buf out = buf_of(room, cap);
    value_put(&out, value);
    assert_false(out.overflow);
    return buf_bytes(&out);
}

static const struct value *samples(size_t *count)
{
    static struct value values[24];
    size_t n = 0;
    values[n++] = value_null();
    values[n++] = value_of_bool(false);
    values[n++] = value_of_bool(true);
    values[n++] = whole(0);
    values[n++] = value_of_real(-0.0);
    values[n++] = whole(1);
    values[n++] = value_of_real(1.0);
    values[n++] = value_of_nano(-500000000);
    values[n++] = value_of_real(-0.5);
    values[n++] = value_of_nano(100000000);
    values[n++] = value_of_real(0.1);
    values[n++] = value_of_nano(NUMBER_NANO_MAX);
    values[n++] = value_of_nano(-NUMBER_NANO_MAX);
    values[n++] = value_of_real(1e28);
    values[n++] = value_of_real(1e30);
    values[n++] = value_of_real(5e-324);
    values[n++] = value_of_text(BYTES(""));
    values[n++] = value_of_text(BYTES("a"));
    values[n++] = value_of_time(0);
    values[n++] = value_of_time(TIMESTAMP_MIN_US);
    *count = n;
    return values;
}

static void equal_values_and_no_others_have_equal_encodings(void **state)
{
    (void)state;
    size_t count = 0;
    const struct value *values = samples(&count);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            uint8_t a[32];
            uint8_t b[32];
            bool comparable = false;
            bool equal = value_compare(values[i], values[j], &comparable) == 0 && comparable;
            bool both_null = values[i].kind == VALUE_NULL && values[j].kind == VALUE_NULL;
            assert_int_equal(
                bytes_equal(encode(values[i], a, sizeof(a)), encode(values[j], b, sizeof(b))),
                equal || both_null);
        }
    }
}

static void an_encoding_reads_back(void **state)
{
    (void)state;
    size_t count = 0;
    const struct value *values = samples(&count);
    for (size_t i = 0; i < count; i++) {
        uint8_t first[32];
        uint8_t second[32];
        struct bytes encoded = encode(values[i], first, sizeof(first));
        struct reader in = reader_of(encoded);
        struct value back;
        assert_true(value_read(&in, &back));
        assert_int_equal(reader_left(&in), 0);
        assert_true(bytes_equal(encode(back, second, sizeof(second)), encoded));
        for (size_t len = 0; len < encoded.len; len++) {
            in = reader_of(bytes_slice(encoded, 0, len));
            assert_false(value_read(&in, &back));
        }
    }
}

static void bytes_that_no_value_has_are_refused(void **state)
{
    (void)state;
    static const uint8_t unknown_kind[] = {9};
    static const uint8_t strange_bool[] = {VALUE_BOOL, 2};
    static const uint8_t one_as_double[] = {VALUE_DOUBLE, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f};
    static const uint8_t infinity[] = {VALUE_DOUBLE, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f};
    const struct bytes all[] = {
        bytes_of(unknown_kind, sizeof(unknown_kind)),
        bytes_of(strange_bool, sizeof(strange_bool)),
        bytes_of(one_as_double, sizeof(one_as_double)),
        bytes_of(infinity, sizeof(infinity)),
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct reader in = reader_of(all[i]);
        struct value value;
        assert_false(value_read(&in, &value));
    }
}

static void assert_json(struct value value, const char *json)
{
    uint8_t room[64];
    struct buf out = buf_of(room, sizeof(room));
    value_put_json(&out, value);
    assert_bytes(buf_bytes(&out), json);
}

static void values_print_as_json(void **state)
{
    (void)state;
    assert_json(value_null(), "null");
    assert_json(value_of_bool(true), "true");
    assert_json(value_of_nano(-1500000000), "-1.5");
    assert_json(value_of_real(0.1), "0.1");
    assert_json(value_of_text(BYTES("a\"b")), "\"a\\\"b\"");
    assert_json(value_of_time(1500000), "\"1970-01-01T00:00:01.5Z\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_one_kind_are_ordered),
        cmocka_unit_test(numbers_and_doubles_are_compared_exactly),
        cmocka_unit_test(other_kinds_and_null_can_not_be_compared),
        cmocka_unit_test(infinities_and_nan_are_null),
        cmocka_unit_test(equal_values_and_no_others_have_equal_encodings),
        cmocka_unit_test(an_encoding_reads_back),
        cmocka_unit_test(bytes_that_no_value_has_are_refused),
        cmocka_unit_test(values_print_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
