/* Frame and segment headers: what is written reads back, what is not is refused. */
#include "log_fixture.h"

#define SALT 0x0123456789abcdefu

static struct log_frame_header sample_frame(void)
{
    return (struct log_frame_header){.flags = LOG_FLAG_SEAL | LOG_FLAG_CLEAN,
                                     .body_len = 12345,
                                     .position = 40960,
                                     .seq = 77,
                                     .durable_to = 36864,
                                     .prev_hash = 0x1122334455667788u,
                                     .body_hash = 0x99aabbccddeeff00u};
}

static struct log_segment_header sample_segment(void)
{
    return (struct log_segment_header){.flags = LOG_SEGMENT_REUSED,
                                       .instance = "0123456789abcde",
                                       .number = 5,
                                       .base = 1048576,
                                       .salt = SALT,
                                       .prev_hash = 42,
                                       .first_seq = 9,
                                       .durable_to = 1044480,
                                       .segment_bytes = 65536,
                                       .prev_end = 1048576};
}

static void a_frame_header_reads_back_field_by_field(void **state)
{
    (void)state;
    uint8_t bytes[LOG_FRAME_HEADER];
    struct log_frame_header in = sample_frame();
    struct log_frame_header out = {0};
    log_frame_encode(bytes, &in, SALT);
    assert_true(log_frame_decode(bytes, SALT, &out));
    assert_int_equal(out.flags, in.flags);
    assert_int_equal(out.body_len, in.body_len);
    assert_int_equal(out.position, in.position);
    assert_int_equal(out.seq, in.seq);
    assert_int_equal(out.durable_to, in.durable_to);
    assert_int_equal(out.prev_hash, in.prev_hash);
    assert_int_equal(out.body_hash, in.body_hash);
    assert_int_equal(out.record_count, 0);
}

static void a_frame_header_has_these_bytes(void **state)
{
    (void)state;
    uint8_t bytes[LOG_FRAME_HEADER];
    struct log_frame_header header = sample_frame();
    log_frame_encode(bytes, &header, SALT);
    assert_memory_equal(bytes, "TDFR\1\0\3\0", 8);
    assert_memory_equal(bytes + 12, "\x39\x30\0\0\0\xa0\0\0\0\0\0\0", 12);
    assert_memory_equal(bytes + 40, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
    assert_memory_equal(bytes + 60, "\0\0\0\0", 4);
}

static void a_frame_header_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[LOG_FRAME_HEADER];
    struct log_frame_header header = sample_frame();
    log_frame_encode(bytes, &header, SALT);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(log_frame_decode(bytes, SALT, &header));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(log_frame_decode(bytes, SALT, &header));
}

static void a_frame_header_under_another_salt_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[LOG_FRAME_HEADER];
    struct log_frame_header header = sample_frame();
    log_frame_encode(bytes, &header, SALT);
    for (unsigned bit = 0; bit < 64; bit++) {
        assert_false(log_frame_decode(bytes, SALT ^ (uint64_t)1 << bit, &header));
    }
}

static void a_segment_header_reads_back(void **state)
{
    (void)state;
    uint8_t block[LOG_BLOCK];
    struct log_segment_header in = sample_segment();
    struct log_segment_header out = {0};
    uint32_t version = 0;
    log_segment_encode(block, &in);
    assert_int_equal(log_segment_decode(block, &out, &version), LOG_HEADER_VALID);
    assert_int_equal(version, LOG_FORMAT_VERSION);
    assert_int_equal(out.flags, in.flags);
    assert_memory_equal(out.instance, in.instance, LOG_INSTANCE_BYTES);
    assert_int_equal(out.number, in.number);
    assert_int_equal(out.base, in.base);
    assert_int_equal(out.salt, in.salt);
    assert_int_equal(out.prev_hash, in.prev_hash);
    assert_int_equal(out.first_seq, in.first_seq);
    assert_int_equal(out.durable_to, in.durable_to);
    assert_int_equal(out.segment_bytes, in.segment_bytes);
    assert_int_equal(out.prev_end, in.prev_end);
}

static void a_segment_header_with_any_byte_changed_is_refused(void **state)
{
    (void)state;
    uint8_t block[LOG_BLOCK];
    struct log_segment_header header = sample_segment();
    uint32_t version = 0;
    log_segment_encode(block, &header);
    for (size_t i = 0; i < LOG_BLOCK; i++) {
        block[i] ^= 0x40;
        assert_int_equal(log_segment_decode(block, &header, &version), LOG_HEADER_BAD);
        block[i] ^= 0x40;
    }
}

static void zeros_and_other_versions_are_told_apart(void **state)
{
    (void)state;
    uint8_t block[LOG_BLOCK] = {0};
    struct log_segment_header header = sample_segment();
    uint32_t version = 0;
    assert_int_equal(log_segment_decode(block, &header, &version), LOG_HEADER_ZERO);
    header = sample_segment();
    log_segment_encode(block, &header);
    block[8] = 2;
    struct buf crc = buf_of(block + LOG_BLOCK - 4, 4);
    buf_put_u32(&crc, crc32c(0, bytes_of(block, LOG_BLOCK - 4)));
    assert_int_equal(log_segment_decode(block, &header, &version), LOG_HEADER_VERSION);
    assert_int_equal(version, 2);
}

static void names_are_positions_and_nothing_else_is_a_name(void **state)
{
    (void)state;
    char name[LOG_NAME_BYTES];
    uint64_t base = 0;
    log_segment_name(name, 0);
    assert_string_equal(name, "00000000000000000000.log");
    log_segment_name(name, UINT64_MAX);
    assert_string_equal(name, "18446744073709551615.log");
    assert_true(log_segment_parse_name(name, &base));
    assert_true(base == UINT64_MAX);
    assert_false(log_segment_parse_name("18446744073709551616.log", &base));
    assert_false(log_segment_parse_name("00000000000000000000.log.torn", &base));
    assert_false(log_segment_parse_name("0000000000000000000x.log", &base));
    assert_false(log_segment_parse_name("spare-0", &base));
    assert_false(log_segment_parse_name("", &base));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_header_reads_back_field_by_field),
        cmocka_unit_test(a_frame_header_has_these_bytes),
        cmocka_unit_test(a_frame_header_with_any_bit_flipped_is_refused),
        cmocka_unit_test(a_frame_header_under_another_salt_is_refused),
        cmocka_unit_test(a_segment_header_reads_back),
        cmocka_unit_test(a_segment_header_with_any_byte_changed_is_refused),
        cmocka_unit_test(zeros_and_other_versions_are_told_apart),
        cmocka_unit_test(names_are_positions_and_nothing_else_is_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
