/* The open log: writing, rolling, reading, sealing, trimming, a full disk. */
#include "log_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

static void a_new_log_is_empty_and_says_so(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    assert_true(fixture.start.created);
    assert_int_equal(fixture.start.position, 0);
    assert_int_equal(fixture_read_all(&fixture, 0), 0);
    struct stat info;
    char path[512];
    fixture_path(&fixture, "", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    fixture_path(&fixture, "00000000000000000000.log", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    fixture_end(&fixture);
}

static void frames_of_all_sizes_read_back_across_segments_and_reopenings(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    uint64_t number = 0;
    for (int round = 0; round < 6; round++) {
        assert_int_equal(fixture_open(&fixture), OK);
        assert_int_equal(fixture_read_all(&fixture, 0), number);
        for (size_t len = 0; len < 40000; len += 1777) {
            fixture_append(&fixture, number++, len);
        }
        fixture_append(
            &fixture, number++, (size_t)log_file_frame_bytes_max(fixture.log) - LOG_FRAME_HEADER);
        assert_int_equal(fixture_read_all(&fixture, 0), number);
        fixture_close(&fixture, round % 2 == 0);
    }
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture_read_all(&fixture, 0), number);
    assert_memory_equal(fixture.start.instance, "instance-of-test", LOG_INSTANCE_BYTES);
    assert_int_equal(fixture_count_suffix(&fixture, ".torn"), 0);
    fixture_end(&fixture);
}

static void positions_are_dense_within_a_segment_and_only_a_seal_apart_between(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    uint64_t end = 0;
    for (uint64_t n = 0; n < 40; n++) {
        fixture_append(&fixture, n, 5000);
        uint64_t gap = fixture.frame.position - end;
        assert_true(gap == 0 || gap == LOG_BLOCK);
        assert_int_equal(fixture.frame.end - fixture.frame.position, 2 * LOG_BLOCK);
        end = fixture.frame.end;
    }
    struct log_status status;
    fixture.port.ops->status(fixture.port.ctx, &status);
    assert_int_equal(status.durable_end, end);
    assert_true(status.segment_count >= 5);
    fixture_end(&fixture);
}

static void a_reader_sees_a_frame_only_when_it_is_durable(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    void *reader = fixture.readers.ops->open(fixture.readers.ctx, 0);
    struct log_view view;
    for (uint64_t n = 0; n < 60; n++) {
        assert_int_equal(fixture.readers.ops->next(reader, &view), ERR_NOT_FOUND);
        assert_int_equal(fixture_submit(&fixture, n, (size_t)(n * 251 % 9000)), OK);
        assert_int_equal(fixture.readers.ops->next(reader, &view), ERR_NOT_FOUND);
        fixture.port.ops->poll(fixture.port.ctx);
        assert_int_equal(fixture.readers.ops->next(reader, &view), OK);
        assert_true(fixture_is(&view, n));
        assert_int_equal(view.position, fixture.frame.position);
        assert_int_equal(view.end, fixture.frame.end);
    }
    fixture.readers.ops->close(reader);
    fixture_end(&fixture);
}

static void a_reader_starts_at_the_first_frame_at_or_after_any_position(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    uint64_t positions[30];
    for (uint64_t n = 0; n < 30; n++) {
        fixture_append(&fixture, n, 9000);
        positions[n] = fixture.frame.position;
    }
    struct log_view view;
    for (uint64_t at = 0; at <= positions[29]; at += 1024) {
        uint64_t expected = 0;
        while (positions[expected] < at) {
            expected++;
        }
        void *reader = fixture.readers.ops->open(fixture.readers.ctx, at);
        assert_int_equal(fixture.readers.ops->next(reader, &view), OK);
        assert_true(fixture_is(&view, expected));
        fixture.readers.ops->close(reader);
    }
    void *reader = fixture.readers.ops->open(fixture.readers.ctx, positions[29] + 1);
    assert_int_equal(fixture.readers.ops->next(reader, &view), ERR_NOT_FOUND);
    fixture_append(&fixture, 30, 1);
    assert_int_equal(fixture.readers.ops->next(reader, &view), OK);
    assert_true(fixture_is(&view, 30));
    fixture.readers.ops->close(reader);
    fixture_end(&fixture);
}

static void an_idle_log_is_sealed_once(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    fixture_append(&fixture, 0, 10);
    struct log_status before;
    struct log_status after;
    int64_t clock_us = 1000000;
    fixture.port.ops->idle(fixture.port.ctx, clock_us);
    fixture.port.ops->idle(fixture.port.ctx, clock_us + 100000);
    fixture.port.ops->status(fixture.port.ctx, &before);
    assert_int_equal(before.durable_end, LOG_BLOCK);
    fixture.port.ops->idle(fixture.port.ctx, clock_us + 200000);
    fixture.port.ops->status(fixture.port.ctx, &after);
    assert_int_equal(after.durable_end, 2 * LOG_BLOCK);
    fixture.port.ops->idle(fixture.port.ctx, clock_us + 900000);
    fixture.port.ops->status(fixture.port.ctx, &after);
    assert_int_equal(after.durable_end, 2 * LOG_BLOCK);
    fixture_append(&fixture, 1, 10);
    assert_int_equal(fixture_read_all(&fixture, 0), 2);
    fixture_end(&fixture);
}

static void segments_go_only_when_covered_and_beyond_retention(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    fixture.options.retain_bytes = 3 * FIXTURE_SEGMENT;
    assert_int_equal(fixture_open(&fixture), OK);
    for (uint64_t n = 0; n < 100; n++) {
        fixture_append(&fixture, n, 5000);
    }
    struct log_status status;
    fixture.port.ops->status(fixture.port.ctx, &status);
    size_t all = status.segment_count;
    fixture.port.ops->trim(fixture.port.ctx, 1);
    fixture.port.ops->status(fixture.port.ctx, &status);
    assert_int_equal(status.segment_count, all);
    assert_int_equal(status.oldest, 0);
    for (int turn = 0; turn < 10; turn++) {
        fixture.port.ops->trim(fixture.port.ctx, fixture.last_end);
    }
    fixture.port.ops->status(fixture.port.ctx, &status);
    assert_int_equal(status.segment_count, 3);
    assert_true(status.oldest > 0);
    fixture_end(&fixture);
}

static void segments_go_by_age(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    fixture.options.retain_us = 3600000000LL;
    assert_int_equal(fixture_open(&fixture), OK);
    for (uint64_t n = 0; n < 40; n++) {
        fixture_append(&fixture, n, 5000);
    }
    int64_t now_us = (int64_t)time(NULL) * 1000000;
    struct log_status status;
    fixture.port.ops->trim(fixture.port.ctx, fixture.last_end);
    fixture.port.ops->idle(fixture.port.ctx, now_us + 1800000000LL);
    fixture.port.ops->status(fixture.port.ctx, &status);
    assert_int_equal(status.oldest, 0);
    for (int turn = 1; turn < 10; turn++) {
        fixture.port.ops->idle(fixture.port.ctx, now_us + 3700000000LL + turn * 1000000LL);
    }
    fixture.port.ops->status(fixture.port.ctx, &status);
    assert_int_equal(status.segment_count, 1);
    fixture_end(&fixture);
}

static void recycled_segments_never_show_their_former_life(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    fixture.options.retain_bytes = FIXTURE_SEGMENT;
    uint64_t number = 0;
    for (int round = 0; round < 12; round++) {
        assert_int_equal(fixture_open(&fixture), OK);
        for (int i = 0; i < 30; i++) {
            fixture_append(&fixture, number, (size_t)(number * 977 % 12000));
            number++;
            fixture.port.ops->trim(fixture.port.ctx, fixture.last_end);
        }
        struct log_status status;
        struct log_view view;
        fixture.port.ops->status(fixture.port.ctx, &status);
        void *reader = fixture.readers.ops->open(fixture.readers.ctx, status.oldest);
        uint64_t last = 0;
        while (fixture.readers.ops->next(reader, &view) == OK) {
            last = view.record_count - 1;
            assert_true(fixture_is(&view, last));
        }
        assert_int_equal(last, number - 1);
        fixture.readers.ops->close(reader);
        fixture_close(&fixture, round % 3 == 0);
    }
    assert_true(fixture_count_suffix(&fixture, "spare-") > 0);
    assert_int_equal(fixture_count_suffix(&fixture, ".torn"), 0);
    fixture_end(&fixture);
}

static void a_reader_overtaken_by_trimming_is_told_and_goes_on_at_the_oldest(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    fixture.options.retain_bytes = FIXTURE_SEGMENT;
    assert_int_equal(fixture_open(&fixture), OK);
    fixture_append(&fixture, 0, 30000);
    fixture_append(&fixture, 1, 20000);
    struct log_view view;
    void *slow = fixture.readers.ops->open(fixture.readers.ctx, 0);
    void *late = fixture.readers.ops->open(fixture.readers.ctx, 0);
    assert_int_equal(fixture.readers.ops->next(slow, &view), OK);
    for (uint64_t n = 2; n < 40; n++) {
        fixture_append(&fixture, n, 30000);
        fixture.port.ops->trim(fixture.port.ctx, fixture.last_end);
    }
    struct log_status status;
    fixture.port.ops->status(fixture.port.ctx, &status);
    assert_int_equal(fixture.readers.ops->next(late, &view), ERR_UNAVAILABLE);
    assert_int_equal(fixture.readers.ops->next(late, &view), OK);
    assert_int_equal(view.position, status.oldest);
    /* The other one may still hold what it read ahead, but nothing that was never there. */
    enum err err = OK;
    uint64_t expected = 1;
    while ((err = fixture.readers.ops->next(slow, &view)) == OK) {
        assert_true(fixture_is(&view, expected++));
    }
    assert_int_equal(err, ERR_UNAVAILABLE);
    assert_int_equal(fixture.readers.ops->next(slow, &view), OK);
    assert_int_equal(view.position, status.oldest);
    fixture.readers.ops->close(slow);
    fixture.readers.ops->close(late);
    fixture_end(&fixture);
}

static int last_synced = -1;

static bool sync_and_note(void *ctx, int file)
{
    last_synced = file;
    return disk_system_port().files->sync(ctx, file);
}

static bool list_nothing(void *ctx, int at, bool (*tell)(void *, const char *), void *user)
{
    (void)ctx;
    (void)at;
    (void)tell;
    (void)user;
    errno = EIO;
    return false;
}

/* A killed process may have made log/ and not synced its name. */
static void the_data_directory_is_synced_before_an_old_log_is_looked_at(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(mkdirat(fixture.options.data.handle, "log", 0700), 0);
    struct disk_port *disk = &fixture.options.data.disk;
    const struct disk_port real = *disk;
    struct file_ops files = *real.files;
    struct folder_ops folders = *real.folders;
    files.sync = sync_and_note;
    folders.list = list_nothing;
    disk->files = &files;
    disk->folders = &folders;
    assert_int_equal(fixture_open(&fixture), ERR_UNAVAILABLE);
    assert_int_equal(last_synced, fixture.options.data.handle);
    *disk = real;
    fixture_end(&fixture);
}

/* Fills the rest of the file system that holds the fixture. Returns the file's path. */
static void fill_disk(const struct fixture *fixture, char path[512])
{
    static const uint8_t block[4096] = {1};
    snprintf(path, 512, "%s/filler", fixture->root);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) > 0) {
    }
    close(fd);
}

static void a_full_disk_refuses_frames_loses_none_and_heals_by_itself(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    if (mount("none", fixture.root, "tmpfs", 0, "size=1m,mode=0700") != 0) {
        print_message("SKIPPED: a small tmpfs can't be mounted here (needs root)\n");
        fixture_end(&fixture);
        skip();
    }
    struct disk_folder *data = &fixture.options.data; /* what is mounted now, not what is below */
    disk_system_close(data);
    assert_int_equal(disk_system_open(fixture.root, false, data, &fixture.error), OK);
    assert_int_equal(fixture_open(&fixture), OK);
    char filler[512];
    fill_disk(&fixture, filler);
    uint64_t number = 0;
    enum err err = OK;
    while ((err = fixture_submit(&fixture, number, 5000)) == OK) {
        fixture.port.ops->poll(fixture.port.ctx);
        number++;
        assert_true(number < 1000);
    }
    assert_int_equal(err, ERR_NO_SPACE);
    assert_true(number >= 4);
    struct log_status status;
    fixture.port.ops->status(fixture.port.ctx, &status);
    assert_true(status.full);
    assert_int_equal(fixture_read_all(&fixture, 0), number);
    assert_int_equal(fixture_submit(&fixture, number, 5000), ERR_NO_SPACE);
    assert_int_equal(unlink(filler), 0);
    fixture.port.ops->idle(fixture.port.ctx, 5000000);
    fixture.port.ops->status(fixture.port.ctx, &status);
    assert_false(status.full);
    fixture_append(&fixture, number++, 5000);
    assert_int_equal(fixture_read_all(&fixture, 0), number);
    fixture_close(&fixture, true);
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture_read_all(&fixture, 0), number);
    fixture_close(&fixture, true);
    disk_system_close(data);
    assert_int_equal(umount(fixture.root), 0);
    fixture_end(&fixture);
}

struct tail {
    struct fixture *fixture;
    uint64_t frames;
    _Atomic bool failed;
};

/* Reads up to the frame that is the last one. */
static void *follow(void *ctx)
{
    struct tail *tail = ctx;
    struct log_reader_port port = tail->fixture->readers;
    void *reader = port.ops->open(port.ctx, 0);
    struct log_view view;
    for (uint64_t n = 0; n < tail->frames && !tail->failed;) {
        enum err err = port.ops->next(reader, &view);
        if (err == OK) {
            tail->failed = !fixture_is(&view, n++);
        } else if (err != ERR_NOT_FOUND) {
            tail->failed = true;
        }
    }
    port.ops->close(reader);
    return NULL;
}

static void readers_in_other_threads_follow_the_writer(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    struct tail tail = {.fixture = &fixture, .frames = 600};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, follow, &tail), 0);
    }
    for (uint64_t n = 0; n < tail.frames; n++) {
        fixture_append(&fixture, n, (size_t)(n * 389 % 11000));
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_false(tail.failed);
    fixture_end(&fixture);
}

static void damage_below_the_durable_end_ends_the_process(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    for (uint64_t n = 0; n < 4; n++) {
        fixture_append(&fixture, n, 100);
    }
    char path[512];
    fixture_path(&fixture, "00000000000000000000.log", path);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "rot", 3, 2 * LOG_BLOCK + 80), 3);
    close(fd);
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        (void)fixture_read_all(&fixture, 0);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 75);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_log_is_empty_and_says_so),
        cmocka_unit_test(the_data_directory_is_synced_before_an_old_log_is_looked_at),
        cmocka_unit_test(frames_of_all_sizes_read_back_across_segments_and_reopenings),
        cmocka_unit_test(positions_are_dense_within_a_segment_and_only_a_seal_apart_between),
        cmocka_unit_test(a_reader_sees_a_frame_only_when_it_is_durable),
        cmocka_unit_test(a_reader_starts_at_the_first_frame_at_or_after_any_position),
        cmocka_unit_test(an_idle_log_is_sealed_once),
        cmocka_unit_test(segments_go_only_when_covered_and_beyond_retention),
        cmocka_unit_test(segments_go_by_age),
        cmocka_unit_test(recycled_segments_never_show_their_former_life),
        cmocka_unit_test(a_reader_overtaken_by_trimming_is_told_and_goes_on_at_the_oldest),
        cmocka_unit_test(readers_in_other_threads_follow_the_writer),
        cmocka_unit_test(damage_below_the_durable_end_ends_the_process),
        cmocka_unit_test(a_full_disk_refuses_frames_loses_none_and_heals_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
