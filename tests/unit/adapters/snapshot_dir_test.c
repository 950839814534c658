/* Snapshots: frozen at start, whole or not there, the older one when the newest is damaged. */
#include "adapters/disk_system/disk_system.h"
#include "adapters/snapshot_dir/snapshot_dir.h"
#include "adapters/snapshot_dir/snapshot_format.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char root[64];
    struct snapshot_dir_options options;
    struct snapshot_dir *dir;
    struct snapshot_port port;
    struct error error;
};

/* The state that is written: `len` bytes that follow from `seed`, in odd pieces. */
struct content {
    size_t len;
    uint8_t seed;
};

static uint8_t content_byte(const struct content *content, size_t i)
{
    return (uint8_t)(content->seed + i * 7 + i / 251);
}

static void write_content(void *ctx, struct snapshot_sink *sink)
{
    const struct content *content = ctx;
    uint8_t piece[1000];
    size_t filled = 0;
    for (size_t i = 0; i < content->len; i++) {
        piece[filled++] = content_byte(content, i);
        if (filled == 1 + i % sizeof piece || filled == sizeof piece) {
            sink->put(sink->ctx, bytes_of(piece, filled));
            filled = 0;
        }
    }
    sink->put(sink->ctx, bytes_of(piece, filled));
}

static void fixture_open(struct fixture *fixture)
{
    assert_int_equal(snapshot_dir_open(&fixture->options, &fixture->dir, &fixture->error), OK);
    fixture->port = snapshot_dir_port(fixture->dir);
}

static void fixture_make(struct fixture *fixture, bool in_process)
{
    *fixture = (struct fixture){.options.in_process = in_process};
    snprintf(fixture->root, sizeof fixture->root, "/tmp/tidemark-snap-XXXXXX");
    assert_non_null(mkdtemp(fixture->root));
    struct disk_folder *data = &fixture->options.data;
    assert_int_equal(disk_system_open(fixture->root, false, data, &fixture->error), OK);
    fixture_open(fixture);
}

static void path_of(const struct fixture *fixture, const char *name, char path[512])
{
    snprintf(path, 512, "%s/snapshots/%s", fixture->root, name);
}

static size_t count_files(const struct fixture *fixture, bool remove)
{
    char path[512];
    path_of(fixture, "", path);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        count++;
        if (remove) {
            path_of(fixture, entry->d_name, path);
            assert_int_equal(unlink(path), 0);
        }
    }
    closedir(dir);
    return count;
}

static void fixture_end(struct fixture *fixture)
{
    char path[512];
    snapshot_dir_close(fixture->dir);
    disk_system_close(&fixture->options.data);
    count_files(fixture, true);
    path_of(fixture, "", path);
    rmdir(path);
    assert_int_equal(rmdir(fixture->root), 0);
}

static enum snapshot_state wait_for_end(struct fixture *fixture, uint64_t *oldest)
{
    uint64_t position = 0;
    for (int i = 0; i < 30000; i++) {
        enum snapshot_state state = fixture->port.ops->poll(fixture->port.ctx, &position, oldest);
        if (state != SNAPSHOT_RUNNING) {
            return state;
        }
        usleep(1000);
    }
    return SNAPSHOT_RUNNING;
}

static void take(struct fixture *fixture, uint64_t position, struct content *content)
{
    uint64_t oldest = 0;
    enum err err = fixture->port.ops->start(fixture->port.ctx, position, write_content, content);
    assert_int_equal(err, OK);
    assert_int_equal(wait_for_end(fixture, &oldest), SNAPSHOT_DONE);
}

/* Reads the opened one; false: it was found to be damaged, behind nothing but what it should be. */
static bool read_to_end(struct fixture *fixture, const struct content *content)
{
    uint8_t piece[777];
    uint64_t damaged_before = snapshot_dir_damaged_count(fixture->dir);
    for (size_t i = 0; i < content->len;) {
        size_t len = content->len - i < sizeof piece ? content->len - i : sizeof piece;
        if (!fixture->port.ops->read(fixture->port.ctx, piece, len)) {
            assert_int_equal(snapshot_dir_damaged_count(fixture->dir), damaged_before + 1);
            assert_false(fixture->port.ops->read(fixture->port.ctx, piece, 1));
            assert_int_equal(snapshot_dir_damaged_count(fixture->dir), damaged_before + 1);
            return false;
        }
        for (size_t j = 0; j < len; j++, i++) {
            assert_int_equal(piece[j], content_byte(content, i));
        }
    }
    assert_false(fixture->port.ops->read(fixture->port.ctx, piece, 1));
    assert_int_equal(snapshot_dir_damaged_count(fixture->dir), damaged_before);
    return true;
}

/* Opens the newest until `until` that is good; checks position and content. */
static void check_newest(struct fixture *fixture,
                         uint64_t until,
                         uint64_t expected,
                         const struct content *content)
{
    uint64_t position = 0;
    assert_int_equal(fixture->port.ops->open(fixture->port.ctx, until, &position), OK);
    while (position != expected) {
        uint8_t byte = 0;
        uint64_t damaged_before = snapshot_dir_damaged_count(fixture->dir);
        assert_true(position > expected);
        while (fixture->port.ops->read(fixture->port.ctx, &byte, 1)) {
        }
        assert_int_equal(snapshot_dir_damaged_count(fixture->dir), damaged_before + 1);
        fixture->port.ops->close(fixture->port.ctx);
        assert_int_equal(fixture->port.ops->open(fixture->port.ctx, until, &position), OK);
    }
    assert_true(read_to_end(fixture, content));
    fixture->port.ops->close(fixture->port.ctx);
}

static void snapshots_of_all_sizes_read_back(void **state)
{
    (void)state;
    const size_t sizes[] = {0,
                            1,
                            1000,
                            SNAPSHOT_BLOCK_BYTES - 1,
                            SNAPSHOT_BLOCK_BYTES,
                            SNAPSHOT_BLOCK_BYTES + 1,
                            5 * SNAPSHOT_BLOCK_BYTES + 17};
    for (int in_process = 0; in_process < 2; in_process++) {
        struct fixture fixture;
        fixture_make(&fixture, in_process != 0);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct content content = {.len = sizes[i], .seed = (uint8_t)(i + 1)};
            take(&fixture, 4096 * (i + 1), &content);
            check_newest(&fixture, UINT64_MAX, 4096 * (i + 1), &content);
        }
        fixture_end(&fixture);
    }
}

static void three_are_kept_and_the_oldest_is_named(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, true);
    uint64_t position = 0;
    uint64_t oldest = 0;
    assert_int_equal(fixture.port.ops->poll(fixture.port.ctx, &position, &oldest), SNAPSHOT_IDLE);
    assert_true(oldest == UINT64_MAX);
    for (uint64_t n = 1; n <= 6; n++) {
        struct content content = {.len = 100, .seed = (uint8_t)n};
        take(&fixture, n * 4096, &content);
        (void)fixture.port.ops->poll(fixture.port.ctx, &position, &oldest);
        assert_int_equal(oldest, n <= 3 ? 4096 : (n - 2) * 4096);
    }
    assert_int_equal(count_files(&fixture, false), 3);
    struct content content = {.len = 100, .seed = 5};
    check_newest(&fixture, 6 * 4096 - 1, 5 * 4096, &content);
    struct snapshot_dir_entry entries[2];
    assert_int_equal(snapshot_dir_list(fixture.dir, entries, 2), 3);
    assert_int_equal(entries[0].position, 6 * 4096);
    fixture_end(&fixture);
}

static void the_state_of_the_moment_of_start_is_written(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, false);
    struct content content = {.len = 3000000, .seed = 9};
    struct content frozen = content;
    enum err err = fixture.port.ops->start(fixture.port.ctx, 4096, write_content, &content);
    assert_int_equal(err, OK);
    content.seed = 200; /* the world goes on */
    uint64_t oldest = 0;
    assert_int_equal(wait_for_end(&fixture, &oldest), SNAPSHOT_DONE);
    check_newest(&fixture, UINT64_MAX, 4096, &frozen);
    fixture_end(&fixture);
}

static void write_forever(void *ctx, struct snapshot_sink *sink)
{
    (void)ctx;
    (void)sink;
    for (;;) {
        pause();
    }
}

static void a_second_start_is_refused_while_one_runs_and_closing_ends_it(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, false);
    struct content content = {.len = 1};
    assert_int_equal(fixture.port.ops->start(fixture.port.ctx, 1, write_forever, NULL), OK);
    assert_int_equal(fixture.port.ops->start(fixture.port.ctx, 2, write_content, &content),
                     ERR_CONFLICT);
    snapshot_dir_close(fixture.dir);
    assert_int_equal(count_files(&fixture, false), 0);
    fixture_open(&fixture);
    fixture_end(&fixture);
}

static void write_and_die(void *ctx, struct snapshot_sink *sink)
{
    write_content(ctx, sink);
    raise(SIGKILL);
}

static void a_killed_writer_fails_and_leaves_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, false);
    struct content content = {.len = 2000000, .seed = 1};
    take(&fixture, 4096, &content);
    uint64_t oldest = 0;
    assert_int_equal(fixture.port.ops->start(fixture.port.ctx, 8192, write_and_die, &content), OK);
    assert_int_equal(wait_for_end(&fixture, &oldest), SNAPSHOT_FAILED);
    assert_int_equal(oldest, 4096);
    assert_int_equal(count_files(&fixture, false), 1);
    check_newest(&fixture, UINT64_MAX, 4096, &content);
    take(&fixture, 8192, &content);
    fixture_end(&fixture);
}

static void half_written_files_are_removed_at_start_and_strange_ones_left(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, true);
    snapshot_dir_close(fixture.dir);
    char path[512];
    path_of(&fixture, "snap-00000000000000004096.tmp", path);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    path_of(&fixture, "notes.txt", path);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    fixture_open(&fixture);
    assert_int_equal(count_files(&fixture, false), 1);
    uint64_t position = 0;
    assert_int_equal(fixture.port.ops->open(fixture.port.ctx, UINT64_MAX, &position),
                     ERR_NOT_FOUND);
    fixture_end(&fixture);
}

static void flip(const struct fixture *fixture, const char *name, off_t at)
{
    char path[512];
    uint8_t byte = 0;
    path_of(fixture, name, path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x20;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void any_byte_changed_falls_back_to_the_older_one_and_is_counted(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, true);
    struct content old = {.len = 300, .seed = 1};
    struct content new = {.len = 200, .seed = 2};
    take(&fixture, 4096, &old);
    take(&fixture, 8192, &new);
    snapshot_dir_close(fixture.dir);
    const off_t size = SNAPSHOT_HEADER_BYTES + 200 + SNAPSHOT_FOOTER_BYTES;
    for (off_t at = 0; at < size; at++) {
        flip(&fixture, "snap-00000000000000008192", at);
        fixture_open(&fixture);
        check_newest(&fixture, UINT64_MAX, 4096, &old);
        assert_int_equal(snapshot_dir_damaged_count(fixture.dir), 1);
        assert_int_equal(count_files(&fixture, false), 2);
        snapshot_dir_close(fixture.dir);
        flip(&fixture, "snap-00000000000000008192", at);
    }
    fixture_open(&fixture);
    check_newest(&fixture, UINT64_MAX, 8192, &new);
    fixture_end(&fixture);
}

static void what_stands_before_the_damage_is_handed_out_and_nothing_behind(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, true);
    struct content old = {.len = 300, .seed = 1};
    struct content new = {.len = 3 * SNAPSHOT_BLOCK_BYTES, .seed = 2};
    take(&fixture, 4096, &old);
    take(&fixture, 8192, &new);
    const off_t stride = SNAPSHOT_HEADER_BYTES + SNAPSHOT_BLOCK_BYTES;
    for (off_t block = 0; block < 3; block++) {
        flip(&fixture, "snap-00000000000000008192", block * stride + 1000);
        snapshot_dir_close(fixture.dir);
        fixture_open(&fixture);
        uint64_t position = 0;
        assert_int_equal(fixture.port.ops->open(fixture.port.ctx, UINT64_MAX, &position), OK);
        assert_int_equal(position, 8192);
        struct content whole = {.len = (size_t)block * SNAPSHOT_BLOCK_BYTES, .seed = 2};
        for (size_t i = 0; i < whole.len; i++) {
            uint8_t byte = 0;
            assert_true(fixture.port.ops->read(fixture.port.ctx, &byte, 1));
            assert_int_equal(byte, content_byte(&whole, i));
        }
        assert_false(read_to_end(&fixture, &new));
        fixture.port.ops->close(fixture.port.ctx);
        check_newest(&fixture, UINT64_MAX, 4096, &old);
        assert_int_equal(snapshot_dir_damaged_count(fixture.dir), 1);
        snapshot_dir_close(fixture.dir);
        fixture_open(&fixture);
        assert_int_equal(snapshot_dir_prove(fixture.dir, &position), OK);
        assert_int_equal(position, 4096);
        assert_int_equal(snapshot_dir_damaged_count(fixture.dir), 1);
        flip(&fixture, "snap-00000000000000008192", block * stride + 1000);
    }
    snapshot_dir_close(fixture.dir);
    fixture_open(&fixture);
    check_newest(&fixture, UINT64_MAX, 8192, &new);
    fixture_end(&fixture);
}

static void cut_off_grown_and_renamed_files_are_not_taken(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, true);
    struct content content = {.len = SNAPSHOT_BLOCK_BYTES + 100, .seed = 1};
    take(&fixture, 4096, &content);
    char path[512];
    char other[512];
    path_of(&fixture, "snap-00000000000000004096", path);
    path_of(&fixture, "snap-00000000000000008192", other);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    const off_t lengths[] = {0, 10, info.st_size - 1, info.st_size + 1};
    for (size_t i = 0; i < 5; i++) {
        snapshot_dir_close(fixture.dir);
        if (i < 4) {
            assert_int_equal(truncate(path, lengths[i]), 0);
        } else {
            fixture_open(&fixture);
            take(&fixture, 4096, &content);
            snapshot_dir_close(fixture.dir);
            assert_int_equal(rename(path, other), 0);
        }
        fixture_open(&fixture);
        uint64_t position = 0;
        assert_int_equal(fixture.port.ops->open(fixture.port.ctx, UINT64_MAX, &position),
                         ERR_NOT_FOUND);
        assert_int_equal(snapshot_dir_damaged_count(fixture.dir), 1);
    }
    fixture_end(&fixture);
}

static void a_damaged_one_is_neither_counted_nor_removed(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, true);
    struct content content = {.len = 50, .seed = 1};
    for (uint64_t n = 1; n <= 3; n++) {
        take(&fixture, n * 4096, &content);
    }
    flip(&fixture, "snap-00000000000000012288", 20);
    check_newest(&fixture, UINT64_MAX, 8192, &content);
    take(&fixture, 4 * 4096, &content);
    take(&fixture, 5 * 4096, &content);
    assert_int_equal(count_files(&fixture, false), 4);
    check_newest(&fixture, 4 * 4096 - 1, 8192, &content);
    fixture_end(&fixture);
}

static void the_writer_does_not_outlive_its_parent_nor_hold_its_files(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture, false);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        /* Holds the pipe's writing end; so would its copy, were it not closed there. */
        if (fixture.port.ops->start(fixture.port.ctx, 1, write_forever, NULL) != OK) {
            _exit(1);
        }
        usleep(50000);
        _exit(0);
    }
    close(ends[1]);
    uint8_t byte = 0;
    assert_int_equal(read(ends[0], &byte, 1), 0); /* returns once all holders are gone */
    int status = -1;
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(status, 0);
    close(ends[0]);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_of_all_sizes_read_back),
        cmocka_unit_test(three_are_kept_and_the_oldest_is_named),
        cmocka_unit_test(the_state_of_the_moment_of_start_is_written),
        cmocka_unit_test(a_second_start_is_refused_while_one_runs_and_closing_ends_it),
        cmocka_unit_test(a_killed_writer_fails_and_leaves_nothing),
        cmocka_unit_test(half_written_files_are_removed_at_start_and_strange_ones_left),
        cmocka_unit_test(any_byte_changed_falls_back_to_the_older_one_and_is_counted),
        cmocka_unit_test(what_stands_before_the_damage_is_handed_out_and_nothing_behind),
        cmocka_unit_test(cut_off_grown_and_renamed_files_are_not_taken),
        cmocka_unit_test(a_damaged_one_is_neither_counted_nor_removed),
        cmocka_unit_test(the_writer_does_not_outlive_its_parent_nor_hold_its_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
