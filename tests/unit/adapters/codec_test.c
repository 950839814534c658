/* Decoding gzip and zstd within bounds. */
#include "adapters/codec/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#define TEXT_LEN ((size_t)300000)

static uint8_t *text;
static uint8_t *packed;
static size_t packed_len;
static const size_t packed_cap = 2 * TEXT_LEN;

/* Text that compresses about three to one. */
static int setup(void **state)
{
    uint64_t random = 88172645463325252u;
    (void)state;
    text = malloc(TEXT_LEN);
    packed = malloc(packed_cap);
    for (size_t i = 0; i < TEXT_LEN; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        text[i] = (uint8_t)("abcdefgh"[random & 7]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(text);
    free(packed);
    return 0;
}

static size_t pack(enum codec_kind kind, const uint8_t *from, size_t len, uint8_t *to)
{
    if (kind == CODEC_ZSTD) {
        size_t size = ZSTD_compress(to, packed_cap, from, len, 3);
        assert_false(ZSTD_isError(size));
        return size;
    }
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)from;
    z.avail_in = (uInt)len;
    z.next_out = to;
    z.avail_out = (uInt)packed_cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t size = z.total_out;
    (void)deflateEnd(&z);
    return size;
}

/* Decodes with so many bytes of input and room at a time. */
static enum err
unpack(enum codec_kind kind, size_t step, size_t room, uint64_t max, uint8_t *out, size_t *out_len)
{
    struct codec_port port = codec_port();
    void *decoder = port.ops->open(port.ctx, kind, max);
    enum err err = OK;
    assert_non_null(decoder);
    *out_len = 0;
    for (size_t at = 0; at < packed_len && err == OK; at += step) {
        struct bytes part = bytes_of(packed + at, packed_len - at < step ? packed_len - at : step);
        bool filled = true;
        while (err == OK && (part.len > 0 || filled)) {
            size_t left = TEXT_LEN * 2 - *out_len;
            struct buf piece = buf_of(out + *out_len, left < room ? left : room);
            err = port.ops->decode(decoder, &part, &piece);
            filled = piece.len == piece.cap && piece.cap > 0;
            *out_len += piece.len;
        }
    }
    if (err == OK && !port.ops->complete(decoder)) {
        err = ERR_MALFORMED;
    }
    port.ops->close(decoder);
    return err;
}

static void what_was_packed_comes_out_whatever_the_steps(void **state)
{
    static const size_t steps[][2] = {{1 << 20, 1 << 20}, {1000, 700}, {7, 4096}, {65536, 13}};
    (void)state;
    uint8_t *out = malloc(2 * TEXT_LEN);
    for (int kind = CODEC_GZIP; kind <= CODEC_ZSTD; kind++) {
        packed_len = pack((enum codec_kind)kind, text, TEXT_LEN, packed);
        for (size_t i = 0; i < 4; i++) {
            size_t len = 0;
            assert_int_equal(
                unpack((enum codec_kind)kind, steps[i][0], steps[i][1], TEXT_LEN, out, &len), OK);
            assert_int_equal(len, TEXT_LEN);
            assert_memory_equal(out, text, TEXT_LEN);
        }
    }
    free(out);
}

static void members_one_after_the_other_are_one_text(void **state)
{
    (void)state;
    uint8_t *out = malloc(2 * TEXT_LEN);
    for (int kind = CODEC_GZIP; kind <= CODEC_ZSTD; kind++) {
        size_t len = 0;
        packed_len = pack((enum codec_kind)kind, text, 1000, packed);
        packed_len += pack((enum codec_kind)kind, text + 1000, 2000, packed + packed_len);
        assert_int_equal(unpack((enum codec_kind)kind, 50, 100, TEXT_LEN, out, &len), OK);
        assert_int_equal(len, 3000);
        assert_memory_equal(out, text, 3000);
    }
    free(out);
}

static void a_text_cut_short_is_not_complete(void **state)
{
    (void)state;
    uint8_t *out = malloc(2 * TEXT_LEN);
    for (int kind = CODEC_GZIP; kind <= CODEC_ZSTD; kind++) {
        size_t len = 0;
        packed_len = pack((enum codec_kind)kind, text, TEXT_LEN, packed) - 1;
        assert_int_equal(unpack((enum codec_kind)kind, 4096, 65536, TEXT_LEN, out, &len),
                         ERR_MALFORMED);
    }
    free(out);
}

static void a_broken_text_is_refused(void **state)
{
    (void)state;
    uint8_t *out = malloc(2 * TEXT_LEN);
    for (int kind = CODEC_GZIP; kind <= CODEC_ZSTD; kind++) {
        size_t len = 0;
        packed_len = pack((enum codec_kind)kind, text, TEXT_LEN, packed);
        packed[0] ^= 1;
        assert_int_equal(unpack((enum codec_kind)kind, 4096, 65536, TEXT_LEN, out, &len),
                         ERR_ENCODING);
    }
    free(out);
}

static void trailing_rubbish_is_refused(void **state)
{
    (void)state;
    uint8_t *out = malloc(2 * TEXT_LEN);
    for (int kind = CODEC_GZIP; kind <= CODEC_ZSTD; kind++) {
        size_t len = 0;
        packed_len = pack((enum codec_kind)kind, text, 100, packed);
        memcpy(packed + packed_len, "rubbish!", 8);
        packed_len += 8;
        assert_int_equal(unpack((enum codec_kind)kind, 4096, 65536, TEXT_LEN, out, &len),
                         ERR_ENCODING);
    }
    free(out);
}

static void more_than_the_bound_is_refused(void **state)
{
    (void)state;
    uint8_t *out = malloc(2 * TEXT_LEN);
    for (int kind = CODEC_GZIP; kind <= CODEC_ZSTD; kind++) {
        size_t len = 0;
        packed_len = pack((enum codec_kind)kind, text, TEXT_LEN, packed);
        assert_int_equal(unpack((enum codec_kind)kind, 4096, 5000, TEXT_LEN - 1, out, &len),
                         ERR_TOO_LARGE);
        assert_true(len < TEXT_LEN);
    }
    free(out);
}

static void a_bomb_is_refused_by_its_ratio(void **state)
{
    (void)state;
    uint8_t *zeros = calloc(1, TEXT_LEN);
    uint8_t *out = malloc(2 * TEXT_LEN);
    for (int kind = CODEC_GZIP; kind <= CODEC_ZSTD; kind++) {
        size_t len = 0;
        packed_len = pack((enum codec_kind)kind, zeros, TEXT_LEN, packed);
        assert_int_equal(unpack((enum codec_kind)kind, 4096, 5000, UINT64_MAX, out, &len),
                         ERR_TOO_LARGE);
        assert_true(len <= 64 * 1024 + 100 * packed_len);
        /* A little of it is no bomb. */
        packed_len = pack((enum codec_kind)kind, zeros, 60000, packed);
        assert_int_equal(unpack((enum codec_kind)kind, 4096, 5000, UINT64_MAX, out, &len), OK);
    }
    free(zeros);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_out_whatever_the_steps),
        cmocka_unit_test(members_one_after_the_other_are_one_text),
        cmocka_unit_test(a_text_cut_short_is_not_complete),
        cmocka_unit_test(a_broken_text_is_refused),
        cmocka_unit_test(trailing_rubbish_is_refused),
        cmocka_unit_test(more_than_the_bound_is_refused),
        cmocka_unit_test(a_bomb_is_refused_by_its_ratio),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
