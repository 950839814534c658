#include "apps/feed.h"

#include "apps/exit_codes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static char path[64];

static void file_write(const void *data, size_t len)
{
    (void)snprintf(path, sizeof(path), "/tmp/feed_test.%d", (int)getpid());
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static int remove_file(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

/* All lines of the file, each followed by '|'. */
static void lines_are(const char *expected)
{
    char all[4096];
    struct buf out = buf_of(all, sizeof(all));
    struct feed *feed = NULL;
    struct bytes line;
    assert_int_equal(feed_open(path, &feed), 0);
    while (feed_line(feed, &line)) {
        buf_put_bytes(&out, line);
        buf_put_text(&out, "|");
    }
    buf_put_u8(&out, 0);
    assert_null(feed_failure(feed));
    assert_string_equal(all, expected);
    feed_close(feed);
}

static void lines_come_one_by_one_and_the_last_may_lack_its_end(void **state)
{
    (void)state;
    file_write("a\n\nbc\nd", 7);
    lines_are("a||bc|d|");
    file_write("a\n", 2);
    lines_are("a|");
    file_write("", 0);
    lines_are("");
    file_write("x", 1);
    lines_are("x|");
}

static void gzip_and_zstd_are_seen_by_their_first_bytes(void **state)
{
    const char *text = "one\ntwo\nthree\n";
    uint8_t packed[512];
    (void)state;
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)strlen(text);
    z.next_out = packed;
    z.avail_out = sizeof(packed);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    file_write(packed, z.total_out);
    (void)deflateEnd(&z);
    lines_are("one|two|three|");
    size_t len = ZSTD_compress(packed, sizeof(packed), text, strlen(text), 3);
    assert_false(ZSTD_isError(len));
    file_write(packed, len);
    lines_are("one|two|three|");
}

static void a_compressed_file_that_is_cut_short_is_a_failure(void **state)
{
    const char *text = "one\ntwo\nthree\n";
    uint8_t packed[512];
    struct feed *feed = NULL;
    struct bytes line;
    (void)state;
    size_t len = ZSTD_compress(packed, sizeof(packed), text, strlen(text), 3);
    assert_false(ZSTD_isError(len));
    file_write(packed, len - 3);
    assert_int_equal(feed_open(path, &feed), 0);
    while (feed_line(feed, &line)) {
    }
    assert_non_null(feed_failure(feed));
    feed_close(feed);
}

static void a_fill_takes_whole_lines_that_fit(void **state)
{
    char small[8];
    struct feed *feed = NULL;
    struct buf out = buf_of(small, sizeof(small));
    (void)state;
    file_write("123\n456\n789\n", 12);
    assert_int_equal(feed_open(path, &feed), 0);
    feed_fill(feed, &out);
    assert_int_equal(out.len, 8);
    assert_memory_equal(small, "123\n456\n", 8);
    out.len = 0;
    feed_fill(feed, &out);
    assert_int_equal(out.len, 4);
    out.len = 0;
    feed_fill(feed, &out);
    assert_int_equal(out.len, 0);
    assert_null(feed_failure(feed));
    feed_close(feed);
}

static void a_line_that_never_fits_is_a_failure(void **state)
{
    char small[4];
    struct feed *feed = NULL;
    struct buf out = buf_of(small, sizeof(small));
    (void)state;
    file_write("12345\n", 6);
    assert_int_equal(feed_open(path, &feed), 0);
    feed_fill(feed, &out);
    assert_int_equal(out.len, 0);
    assert_non_null(feed_failure(feed));
    feed_close(feed);
}

static void large_files_come_back_byte_for_byte(void **state)
{
    size_t len = 5000000;
    uint8_t *text = malloc(len);
    uint8_t *back = malloc(len + 1024);
    struct feed *feed = NULL;
    (void)state;
    assert_true(text != NULL && back != NULL);
    for (size_t i = 0; i < len; i++) {
        text[i] = i % 97 == 96 ? '\n' : (uint8_t)('a' + i % 23);
    }
    file_write(text, len);
    assert_int_equal(feed_open(path, &feed), 0);
    size_t at = 0;
    for (;;) {
        struct buf out = buf_of(back + at, len + 1024 - at < 700001 ? len + 1024 - at : 700001);
        feed_fill(feed, &out);
        if (out.len == 0) {
            break;
        }
        at += out.len;
    }
    assert_int_equal(at, len);
    assert_memory_equal(text, back, len);
    assert_int_equal(feed_position(feed), feed_total(feed));
    feed_close(feed);
    free(text);
    free(back);
}

static void what_cannot_be_read_is_refused(void **state)
{
    struct feed *feed = NULL;
    (void)state;
    assert_int_equal(feed_open("/nowhere/at/all", &feed), EXIT_CODE_NO_INPUT);
    assert_int_equal(feed_open("/tmp", &feed), EXIT_CODE_NO_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(lines_come_one_by_one_and_the_last_may_lack_its_end, remove_file),
        cmocka_unit_test_teardown(gzip_and_zstd_are_seen_by_their_first_bytes, remove_file),
        cmocka_unit_test_teardown(a_compressed_file_that_is_cut_short_is_a_failure, remove_file),
        cmocka_unit_test_teardown(a_fill_takes_whole_lines_that_fit, remove_file),
        cmocka_unit_test_teardown(a_line_that_never_fits_is_a_failure, remove_file),
        cmocka_unit_test_teardown(large_files_come_back_byte_for_byte, remove_file),
        cmocka_unit_test(what_cannot_be_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
