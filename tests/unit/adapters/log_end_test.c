/* The log's end at a start: cut off, gone, torn, or not on the disk; and disks that refuse then. */
#include "log_fixture.h"

#include <errno.h>

/* --- a disk that refuses, and tells what is written --- */

static const struct file_ops *real;
static struct file_ops wrapped;
static const char *refuse; /* "write", "resize", "sync", or NULL */
static uint64_t written[64];
static size_t written_count;

static bool refuses(const char *call)
{
    errno = ENOSPC;
    return refuse != NULL && strcmp(refuse, call) == 0;
}

static ssize_t
wrapped_write(void *ctx, int file, const struct iovec *parts, int part_count, uint64_t offset)
{
    if (refuses("write")) {
        return -1;
    }
    if (written_count < sizeof written / sizeof written[0]) {
        written[written_count++] = offset;
    }
    return real->write(ctx, file, parts, part_count, offset);
}

static bool wrapped_resize(void *ctx, int file, uint64_t size, bool reserve)
{
    return !refuses("resize") && real->resize(ctx, file, size, reserve);
}

static bool wrapped_sync(void *ctx, int file)
{
    return !refuses("sync") && real->sync(ctx, file);
}

static void wrap(struct fixture *fixture)
{
    real = fixture->options.data.disk.files;
    wrapped = *real;
    wrapped.write = wrapped_write;
    wrapped.resize = wrapped_resize;
    wrapped.sync = wrapped_sync;
    fixture->options.data.disk.files = &wrapped;
    refuse = NULL;
    written_count = 0;
}

static bool was_written(uint64_t offset)
{
    for (size_t i = 0; i < written_count; i++) {
        if (written[i] == offset) {
            return true;
        }
    }
    return false;
}

/* --- logs --- */

static void break_at(struct fixture *fixture, const char *name, uint64_t offset, size_t len)
{
    char path[512];
    uint8_t junk[6000];
    assert_true(len <= sizeof junk);
    memset(junk, 0xa5, sizeof junk);
    fixture_path(fixture, name, path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, junk, len, (off_t)offset), (ssize_t)len);
    close(fd);
}

/* Two segments: the first ended torn after three frames and was cut off, so the second goes on from
 * there with `more` frames. */
static void make_two(struct fixture *fixture, uint64_t more)
{
    assert_int_equal(fixture_open(fixture), OK);
    for (uint64_t n = 0; n < 3; n++) {
        fixture_append(fixture, n, 300);
    }
    fixture_close(fixture, false);
    break_at(fixture, "00000000000000000000.log", LOG_BLOCK + fixture->last_end, 5000);
    assert_int_equal(fixture_open(fixture), OK);
    for (uint64_t n = 3; n < 3 + more; n++) {
        fixture_append(fixture, n, 300);
    }
    fixture_close(fixture, false);
    fixture->file_count = 0;
    fixture_save(fixture);
}

static bool refused(struct fixture *fixture)
{
    if (fixture_open(fixture) == OK) {
        return false;
    }
    assert_int_equal(fixture->start.exit_code, 75);
    return true;
}

static void a_last_file_cut_anywhere_is_refused_and_left_as_it_is(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    for (uint64_t n = 0; n < 4; n++) {
        fixture_append(&fixture, n, 300);
    }
    fixture_close(&fixture, true);
    fixture_save(&fixture);
    const char *name = "00000000000000000000.log";
    char path[512];
    fixture_path(&fixture, name, path);
    for (off_t size = 0; size < FIXTURE_SEGMENT; size += 512) {
        fixture_restore(&fixture);
        assert_int_equal(truncate(path, size), 0);
        assert_true(refused(&fixture));
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_size, size);
        assert_int_equal(fixture_count_suffix(&fixture, ".torn"), 0);
    }
    fixture_end(&fixture);
}

static void a_last_segment_that_is_gone_is_refused_behind_one_that_was_cut_off(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_two(&fixture, 2);
    char path[512];
    fixture_path(&fixture, "00000000000000012288.log", path);
    assert_int_equal(unlink(path), 0);
    assert_true(refused(&fixture));
    fixture_restore(&fixture);
    assert_int_equal(truncate(path, 0), 0);
    assert_true(refused(&fixture));
    assert_int_equal(access(path, F_OK), 0);
    fixture.options.accept_loss = true;
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture.start.lost_from, 12288);
    assert_true(fixture.start.lost_to > fixture.start.lost_from);
    assert_true(fixture.start.position >= fixture.start.lost_to);
    assert_int_equal(fixture_read_all(&fixture, 0), 3);
    fixture_close(&fixture, true);
    fixture_end(&fixture);
}

/* A crash between the new segment and the end of the recovery may leave the old file as long as it
 * was; the next start knows. */
static void a_file_that_was_not_cut_off_is_cut_off_by_the_next_start(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_two(&fixture, 1);
    char path[512];
    fixture_path(&fixture, "00000000000000000000.log", path);
    assert_int_equal(truncate(path, FIXTURE_SEGMENT), 0);
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture_read_all(&fixture, 0), 4);
    fixture_close(&fixture, false);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, LOG_BLOCK + 12288);
    fixture_end(&fixture);
}

/* The first frame of the second segment is torn, and the start breaks off wherever it can: the first
 * segment is cut off, so the second must not go before the third stands. */
static void a_torn_first_frame_behind_a_file_that_was_cut_off_is_survived(void **state)
{
    (void)state;
    static const char *const calls[] = {"write", "resize", "sync"};
    struct fixture fixture;
    fixture_make(&fixture);
    make_two(&fixture, 0);
    wrap(&fixture);
    for (size_t i = 0; i < 3; i++) {
        fixture_restore(&fixture);
        break_at(&fixture, "00000000000000012288.log", LOG_BLOCK, 5000);
        refuse = calls[i];
        assert_int_not_equal(fixture_open(&fixture), OK);
        assert_int_equal(fixture.start.exit_code, 78);
        assert_null(strstr(fixture.error.hint, "salvage"));
        refuse = NULL;
        assert_int_equal(fixture_open(&fixture), OK);
        assert_int_equal(fixture.start.position, 12288);
        assert_int_equal(fixture_read_all(&fixture, 0), 3);
        fixture_close(&fixture, false);
        assert_int_equal(fixture_open(&fixture), OK);
        assert_int_equal(fixture_read_all(&fixture, 0), 3);
        fixture_close(&fixture, true);
    }
    fixture_end(&fixture);
}

static void a_torn_end_without_space_is_no_damage(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_two(&fixture, 2);
    fixture_restore(&fixture);
    break_at(&fixture, "00000000000000012288.log", LOG_BLOCK + 12288, 5000);
    wrap(&fixture);
    refuse = "write";
    assert_int_not_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture.start.exit_code, 78);
    assert_non_null(strstr(fixture.error.text, "o space left"));
    assert_non_null(strstr(fixture.error.text, fixture.root));
    refuse = NULL;
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture_read_all(&fixture, 0), 5);
    fixture_close(&fixture, true);
    fixture_end(&fixture);
}

/* Its sync may have failed, and the system then takes for clean what it did not write. */
static void a_last_frame_without_a_witness_is_written_again(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    for (uint64_t n = 0; n < 3; n++) {
        fixture_append(&fixture, n, 300);
    }
    fixture_close(&fixture, false);
    wrap(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    assert_true(was_written(LOG_BLOCK + 8192));  /* the third frame ... */
    assert_false(was_written(LOG_BLOCK + 4096)); /* ... vouches for the second */
    assert_int_equal(fixture_read_all(&fixture, 0), 3);
    fixture_close(&fixture, true);
    written_count = 0;
    assert_int_equal(fixture_open(&fixture), OK);
    assert_false(was_written(LOG_BLOCK + 8192));
    fixture_close(&fixture, true);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_last_file_cut_anywhere_is_refused_and_left_as_it_is),
        cmocka_unit_test(a_last_segment_that_is_gone_is_refused_behind_one_that_was_cut_off),
        cmocka_unit_test(a_file_that_was_not_cut_off_is_cut_off_by_the_next_start),
        cmocka_unit_test(a_torn_first_frame_behind_a_file_that_was_cut_off_is_survived),
        cmocka_unit_test(a_torn_end_without_space_is_no_damage),
        cmocka_unit_test(a_last_frame_without_a_witness_is_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
