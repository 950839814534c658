#include "support.h"

#include "base/bytes.h"

static void every_width_reads_back_what_was_put(void **state)
{
    (void)state;
    uint8_t data[256];
    struct buf buf = buf_of(data, sizeof(data));
    int128 wide = -((int128)INT64_MAX * 12345678901);
    buf_put_u8(&buf, 0xab);
    buf_put_u16(&buf, 0xabcd);
    buf_put_u32(&buf, 0xdeadbeef);
    buf_put_u64(&buf, 0x0123456789abcdef);
    buf_put_i64(&buf, INT64_MIN);
    buf_put_i128(&buf, wide);
    buf_put_f64(&buf, -0.1);
    buf_put_string(&buf, BYTES("tide"));
    buf_put_text(&buf, "mark");
    assert_false(buf.overflow);

    struct reader reader = reader_of(buf_bytes(&buf));
    assert_int_equal(read_u8(&reader), 0xab);
    assert_int_equal(read_u16(&reader), 0xabcd);
    assert_int_equal(read_u32(&reader), 0xdeadbeef);
    assert_true(read_u64(&reader) == 0x0123456789abcdef);
    assert_true(read_i64(&reader) == INT64_MIN);
    assert_true(read_i128(&reader) == wide);
    assert_true(read_f64(&reader) == -0.1);
    assert_bytes(read_string(&reader), "tide");
    assert_bytes(read_bytes(&reader, 4), "mark");
    assert_false(reader.bad);
    assert_int_equal(reader_left(&reader), 0);
}

static void integers_are_little_endian(void **state)
{
    (void)state;
    uint8_t data[8];
    struct buf buf = buf_of(data, sizeof(data));
    buf_put_u32(&buf, 0x04030201);
    buf_put_u16(&buf, 0x0605);
    assert_memory_equal(data, "\1\2\3\4\5\6", 6);
}

static void varints_have_the_known_bytes(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *bytes;
        size_t len;
    } rows[] = {
        {0, "\x00", 1},
        {127, "\x7f", 1},
        {128, "\x80\x01", 2},
        {300, "\xac\x02", 2},
        {16383, "\xff\x7f", 2},
        {16384, "\x80\x80\x01", 3},
        {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t data[16];
        struct buf buf = buf_of(data, sizeof(data));
        buf_put_varint(&buf, rows[i].value);
        assert_int_equal(buf.len, rows[i].len);
        assert_memory_equal(data, rows[i].bytes, rows[i].len);
        struct reader reader = reader_of(buf_bytes(&buf));
        assert_true(read_varint(&reader) == rows[i].value);
        assert_false(reader.bad);
    }
}

static void random_varints_and_zigzags_read_back(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("varints");
    for (int i = 0; i < 20000; i++) {
        uint64_t value = random_next(&random) >> random_below(&random, 64);
        uint8_t data[32];
        struct buf buf = buf_of(data, sizeof(data));
        buf_put_varint(&buf, value);
        buf_put_zigzag(&buf, (int64_t)value);
        buf_put_zigzag(&buf, -(int64_t)(value >> 1));
        struct reader reader = reader_of(buf_bytes(&buf));
        assert_true(read_varint(&reader) == value);
        assert_true(read_zigzag(&reader) == (int64_t)value);
        assert_true(read_zigzag(&reader) == -(int64_t)(value >> 1));
        assert_false(reader.bad);
        assert_int_equal(reader_left(&reader), 0);
    }
}

static void zigzag_extremes_read_back(void **state)
{
    (void)state;
    const int64_t values[] = {0, -1, 1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 5; i++) {
        uint8_t data[16];
        struct buf buf = buf_of(data, sizeof(data));
        buf_put_zigzag(&buf, values[i]);
        struct reader reader = reader_of(buf_bytes(&buf));
        assert_true(read_zigzag(&reader) == values[i]);
    }
    uint8_t small[1];
    struct buf buf = buf_of(small, 1);
    buf_put_zigzag(&buf, -64);
    assert_false(buf.overflow);
}

static void a_varint_that_is_cut_overlong_or_too_large_is_bad(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"", 0},
        {"\x80", 1},
        {"\xff\xff", 2},
        {"\x80\x00", 2},
        {"\x81\x80\x00", 3},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reader reader = reader_of(bytes_of(rows[i].bytes, rows[i].len));
        assert_true(read_varint(&reader) == 0);
        assert_true(reader.bad);
    }
}

static void a_read_past_the_end_spoils_all_later_reads(void **state)
{
    (void)state;
    struct reader reader = reader_of(BYTES("\1\2\3"));
    assert_int_equal(read_u32(&reader), 0);
    assert_true(reader.bad);
    assert_int_equal(read_u8(&reader), 0);
    assert_int_equal(read_u16(&reader), 0);
    assert_true(read_i128(&reader) == 0);
    assert_true(read_f64(&reader) == 0);
    assert_int_equal(read_string(&reader).len, 0);
    assert_true(reader.bad);
}

static void a_string_longer_than_the_input_is_bad(void **state)
{
    (void)state;
    struct reader reader = reader_of(BYTES("\5abcd"));
    assert_int_equal(read_string(&reader).len, 0);
    assert_true(reader.bad);
    reader = reader_of(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_int_equal(read_string(&reader).len, 0);
    assert_true(reader.bad);
}

static void a_full_buffer_overflows_once_and_for_all(void **state)
{
    (void)state;
    uint8_t data[5] = {0};
    struct buf buf = buf_of(data, 4);
    buf_put_u16(&buf, 0x0102);
    buf_put_u32(&buf, 0xffffffff);
    assert_true(buf.overflow);
    assert_int_equal(buf.len, 2);
    buf_put_u8(&buf, 7);
    assert_int_equal(buf.len, 2);
    assert_int_equal(data[2], 0);
    assert_null(buf_reserve(&buf, 0));
    assert_null(buf_reserve(&buf, SIZE_MAX));
}

static void nothing_may_be_put_into_and_read_from_nothing(void **state)
{
    (void)state;
    struct buf buf = buf_of(NULL, 0);
    buf_put_bytes(&buf, (struct bytes){0});
    assert_false(buf.overflow);
    struct reader reader = reader_of((struct bytes){0});
    assert_int_equal(read_bytes(&reader, 0).len, 0);
    assert_false(reader.bad);
    assert_int_equal(bytes_slice((struct bytes){0}, 0, 0).len, 0);
}

static void slices_are_ordered_like_words_in_a_dictionary(void **state)
{
    (void)state;
    assert_true(bytes_compare(BYTES("a"), BYTES("b")) < 0);
    assert_true(bytes_compare(BYTES("b"), BYTES("aa")) > 0);
    assert_true(bytes_compare(BYTES("a"), BYTES("aa")) < 0);
    assert_true(bytes_compare(BYTES("aa"), BYTES("a")) > 0);
    assert_true(bytes_compare(BYTES("\xff"), BYTES("a")) > 0);
    assert_int_equal(bytes_compare(BYTES("aa"), BYTES("aa")), 0);
    assert_int_equal(bytes_compare((struct bytes){0}, BYTES("")), 0);
    assert_true(bytes_equal((struct bytes){0}, BYTES("")));
    assert_false(bytes_equal(BYTES("a"), BYTES("b")));
    assert_bytes(bytes_slice(BYTES("tidemark"), 4, 3), "mar");
}

static void slice_too_long(void)
{
    (void)bytes_slice(BYTES("abc"), 1, 3);
}

static void slice_from_too_far(void)
{
    (void)bytes_slice(BYTES("abc"), 4, 0);
}

static void a_slice_outside_of_its_whole_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(slice_too_long));
    assert_true(dies(slice_from_too_far));
}

static void the_length_of_a_text_is_that_of_strlen(void **state)
{
    (void)state;
    char text[20] = "";
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        assert_int_equal(bytes_of_string(text).len, i);
        text[i] = 'x';
        text[i + 1] = '\0';
    }
    assert_int_equal(bytes_of_string("literal").len, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_reads_back_what_was_put),
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(varints_have_the_known_bytes),
        cmocka_unit_test(random_varints_and_zigzags_read_back),
        cmocka_unit_test(zigzag_extremes_read_back),
        cmocka_unit_test(a_varint_that_is_cut_overlong_or_too_large_is_bad),
        cmocka_unit_test(a_read_past_the_end_spoils_all_later_reads),
        cmocka_unit_test(a_string_longer_than_the_input_is_bad),
        cmocka_unit_test(a_full_buffer_overflows_once_and_for_all),
        cmocka_unit_test(nothing_may_be_put_into_and_read_from_nothing),
        cmocka_unit_test(slices_are_ordered_like_words_in_a_dictionary),
        cmocka_unit_test(a_slice_outside_of_its_whole_is_a_bug),
        cmocka_unit_test(the_length_of_a_text_is_that_of_strlen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
