/* The real disk keeps what ports/disk.h says, and a directory has one process at a time. */
#include "adapters/disk_system/disk_system.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 4096

struct fixture {
    char root[64];
    struct disk_folder data;
    struct disk_port disk;
};

static void fixture_make(struct fixture *fixture)
{
    struct error error;
    (void)snprintf(fixture->root, sizeof fixture->root, "/tmp/tidemark-disk-XXXXXX");
    assert_non_null(mkdtemp(fixture->root));
    assert_int_equal(disk_system_open(fixture->root, false, &fixture->data, &error), OK);
    fixture->disk = fixture->data.disk;
}

static bool remove_any(void *user, const char *name)
{
    const struct fixture *fixture = user;
    if (!fixture->disk.folders->remove(fixture->disk.ctx, fixture->data.handle, name)) {
        assert_int_equal(unlinkat(fixture->data.handle, name, AT_REMOVEDIR), 0);
    }
    return true;
}

static void fixture_end(struct fixture *fixture)
{
    struct disk_port *disk = &fixture->disk;
    assert_true(disk->folders->list(disk->ctx, fixture->data.handle, remove_any, fixture));
    disk_system_close(&fixture->data);
    disk_system_close(&fixture->data);
    assert_int_equal(rmdir(fixture->root), 0);
}

static int open_in(const struct fixture *fixture, const char *name, unsigned int mode)
{
    const struct disk_port *disk = &fixture->disk;
    return disk->files->open(disk->ctx, fixture->data.handle, name, mode);
}

/* A file whose content is `text`, synced. */
static void put_file(const struct fixture *fixture, const char *name, const char *text)
{
    const struct disk_port *disk = &fixture->disk;
    struct iovec parts[2] = {
        {.iov_base = (void *)(uintptr_t)text, .iov_len = 1},
        {.iov_base = (void *)(uintptr_t)(text + 1), .iov_len = strlen(text) - 1}};
    int file = open_in(fixture, name, DISK_WRITE | DISK_CREATE);
    assert_true(file >= 0);
    assert_int_equal(disk->files->write(disk->ctx, file, parts, 2, 0), (ssize_t)strlen(text));
    assert_true(disk->files->sync(disk->ctx, file));
    disk->files->close(disk->ctx, file);
}

static void a_file_is_made_private_emptied_and_read_back_with_and_without_the_cache(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    const struct disk_port *disk = &fixture.disk;
    put_file(&fixture, "file", "something longer");
    put_file(&fixture, "file", "content");
    struct disk_info info;
    assert_true(disk->folders->info(disk->ctx, fixture.data.handle, "file", &info));
    assert_int_equal(info.bytes, 7);
    assert_true(info.written_us > 1600000000000000);
    struct stat status;
    assert_int_equal(fstatat(fixture.data.handle, "file", &status, 0), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    const unsigned int modes[] = {DISK_READ, DISK_WRITE, DISK_UNCACHED};
    for (size_t i = 0; i < 3; i++) {
        char text[16] = "";
        int file = open_in(&fixture, "file", modes[i]);
        assert_true(file >= 0);
        assert_int_equal(fcntl(file, F_GETFD), FD_CLOEXEC);
        assert_int_equal(disk->files->read(disk->ctx, file, text, sizeof text, 3), 4);
        assert_string_equal(text, "tent");
        assert_int_equal(disk->files->read(disk->ctx, file, text, sizeof text, 7), 0);
        disk->files->close(disk->ctx, file);
        assert_int_equal(fcntl(file, F_GETFD), -1);
    }
    fixture_end(&fixture);
}

static void failures_say_why(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    const struct disk_port *disk = &fixture.disk;
    int root = fixture.data.handle;
    struct disk_info info;
    assert_int_equal(open_in(&fixture, "none", DISK_READ), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(open_in(&fixture, "none", DISK_UNCACHED), -1);
    assert_int_equal(errno, ENOENT);
    assert_false(disk->folders->info(disk->ctx, root, "none", &info));
    assert_int_equal(errno, ENOENT);
    assert_false(disk->folders->rename(disk->ctx, root, "none", "other"));
    assert_int_equal(errno, ENOENT);
    assert_false(disk->folders->remove(disk->ctx, root, "none"));
    assert_int_equal(errno, ENOENT);
    put_file(&fixture, "file", "content");
    assert_int_equal(symlinkat("file", root, "link"), 0);
    assert_int_equal(open_in(&fixture, "link", DISK_READ), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(open_in(&fixture, "file", DISK_FOLDER), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_false(disk->folders->make(disk->ctx, root, "file"));
    assert_int_equal(errno, EEXIST);
    assert_false(disk->files->sync(disk->ctx, -1));
    assert_int_equal(errno, EBADF);
    fixture_end(&fixture);
}

struct names {
    size_t count;
    size_t wanted;
};

static bool count_name(void *user, const char *name)
{
    struct names *names = user;
    assert_true(strcmp(name, "a") == 0 || strcmp(name, "b") == 0 || strcmp(name, "c") == 0);
    names->count++;
    return names->count < names->wanted;
}

static void directories_are_made_synced_and_listed_until_enough(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    const struct disk_port *disk = &fixture.disk;
    int root = fixture.data.handle;
    assert_true(disk->folders->make(disk->ctx, root, "a"));
    int folder = open_in(&fixture, "a", DISK_FOLDER);
    assert_true(folder >= 0);
    assert_true(disk->files->sync(disk->ctx, folder));
    disk->files->close(disk->ctx, folder);
    put_file(&fixture, "b", "content");
    put_file(&fixture, "other", "content");
    assert_true(disk->folders->rename(disk->ctx, root, "other", "c"));
    for (int round = 0; round < 2; round++) { /* each listing begins at the beginning */
        struct names all = {.wanted = 10};
        assert_true(disk->folders->list(disk->ctx, root, count_name, &all));
        assert_int_equal(all.count, 3);
    }
    struct names first = {.wanted = 1};
    assert_true(disk->folders->list(disk->ctx, root, count_name, &first));
    assert_int_equal(first.count, 1);
    assert_false(disk->folders->list(disk->ctx, -1, count_name, &first));
    assert_int_equal(errno, EBADF);
    fixture_end(&fixture);
}

static void sizes_are_reserved_and_cut_and_holes_are_skipped(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    const struct disk_port *disk = &fixture.disk;
    struct disk_info info;
    put_file(&fixture, "file", "content");
    int file = open_in(&fixture, "file", DISK_WRITE);
    if (!disk->files->resize(disk->ctx, file, 64 * BLOCK, true)) {
        assert_int_equal(errno, EOPNOTSUPP);
        assert_true(disk->files->resize(disk->ctx, file, 64 * BLOCK, false));
    }
    assert_true(disk->folders->info(disk->ctx, fixture.data.handle, "file", &info));
    assert_int_equal(info.bytes, 64 * BLOCK);
    uint8_t byte = 1;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    assert_int_equal(disk->files->write(disk->ctx, file, &part, 1, 32 * BLOCK), 1);
    assert_int_equal(disk->files->next_data(disk->ctx, file, 0), 0);
    int64_t data = disk->files->next_data(disk->ctx, file, 16 * BLOCK);
    assert_in_range(data, 16 * BLOCK, 32 * BLOCK);
    assert_true(disk->files->resize(disk->ctx, file, 32 * BLOCK, false));
    assert_int_equal(disk->files->next_data(disk->ctx, file, 32 * BLOCK), -1);
    assert_int_equal(errno, ENXIO);
    disk->files->close(disk->ctx, file);
    fixture_end(&fixture);
}

static void direct_writes_are_taken_or_refused_with_einval(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    const struct disk_port *disk = &fixture.disk;
    static _Alignas(BLOCK) uint8_t block[BLOCK] = {7};
    static _Alignas(BLOCK) uint8_t back[BLOCK];
    put_file(&fixture, "file", "content");
    int file = open_in(&fixture, "file", DISK_WRITE | DISK_DIRECT);
    if (file >= 0) {
        assert_int_equal(fcntl(file, F_GETFL) & (O_DIRECT | O_DSYNC), O_DIRECT | O_DSYNC);
        struct iovec part = {.iov_base = block, .iov_len = BLOCK};
        assert_int_equal(disk->files->write(disk->ctx, file, &part, 1, BLOCK), BLOCK);
        assert_int_equal(disk->files->read(disk->ctx, file, back, BLOCK, BLOCK), BLOCK);
        assert_memory_equal(block, back, BLOCK);
        disk->files->close(disk->ctx, file);
    } else {
        assert_int_equal(errno, EINVAL);
    }
    fixture_end(&fixture);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    const struct disk_port disk = disk_system_port();
    uint8_t first[32] = {0};
    uint8_t second[32] = {0};
    disk.fate->random(disk.ctx, first, sizeof first);
    disk.fate->random(disk.ctx, second, sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
}

static void dying_says_one_line_and_ends_with_the_code(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct disk_port disk = disk_system_port();
        (void)dup2(ends[1], STDERR_FILENO);
        disk.fate->die(disk.ctx, 74, "log: it is over");
    }
    (void)close(ends[1]);
    char line[64] = "";
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_string_equal(line, "tidemark: log: it is over\n");
    (void)close(ends[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 74);
}

static void a_data_directory_is_made_only_when_asked_and_only_its_last_component(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    struct disk_folder data;
    struct error error;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/data", fixture.root);
    assert_int_equal(disk_system_open(path, false, &data, &error), ERR_UNAVAILABLE);
    assert_int_equal(data.handle, -1);
    assert_non_null(strstr(error.text, path));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(disk_system_open(path, true, &data, &error), OK);
        assert_string_equal(data.path, path);
        disk_system_close(&data);
        assert_int_equal(data.handle, -1);
    }
    (void)snprintf(path, sizeof path, "%s/a/b", fixture.root);
    assert_int_equal(disk_system_open(path, true, &data, &error), ERR_UNAVAILABLE);
    assert_int_equal(error.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(error.text, path));
    fixture_end(&fixture);
}

static void a_second_process_is_told_who_has_the_directory(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error error;
    int lock = -1;
    fixture_make(&fixture);
    assert_int_equal(disk_system_lock(&fixture.data, &lock, &error), OK);
    pid_t owner = getpid();
    pid_t child = fork();
    if (child == 0) {
        int second = -1;
        char expected[32];
        (void)snprintf(expected, sizeof expected, "in use by pid %d", (int)owner);
        enum err err = disk_system_lock(&fixture.data, &second, &error);
        bool told = err == ERR_CONFLICT && second == -1 && strstr(error.text, expected) != NULL;
        _exit(told ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(lock);
    assert_int_equal(disk_system_lock(&fixture.data, &lock, &error), OK);
    (void)close(lock);
    fixture_end(&fixture);
}

/* A process takes the lock, forks a copy that lives on for `copy_ms`, and ends; returns its id. */
static pid_t end_with_a_copy_left(const struct fixture *fixture, int copy_ms)
{
    pid_t child = fork();
    if (child == 0) {
        struct error error;
        int lock = -1;
        bool taken = disk_system_lock(&fixture->data, &lock, &error) == OK;
        if (taken && fork() == 0) {
            (void)poll(NULL, 0, copy_ms);
            _exit(0);
        }
        _exit(taken ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return child;
}

static void a_copy_that_an_owner_left_behind_is_waited_for(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error error;
    int lock = -1;
    fixture_make(&fixture);
    (void)end_with_a_copy_left(&fixture, 200);
    int file = openat(fixture.data.handle, "LOCK", O_RDONLY);
    assert_int_not_equal(flock(file, LOCK_EX | LOCK_NB), 0); /* the copy has it */
    assert_int_equal(disk_system_lock(&fixture.data, &lock, &error), OK);
    (void)close(file);
    (void)close(lock);
    fixture_end(&fixture);
}

static void a_copy_that_does_not_end_is_not_waited_for_without_end(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error error;
    char expected[32];
    int lock = -1;
    fixture_make(&fixture);
    (void)snprintf(
        expected, sizeof expected, "in use by pid %d", (int)end_with_a_copy_left(&fixture, 20000));
    assert_int_equal(disk_system_lock(&fixture.data, &lock, &error), ERR_CONFLICT);
    assert_non_null(strstr(error.text, expected));
    fixture_end(&fixture);
}

/* Puts `owner` in LOCK, as a refused or an old note would stand there. */
static void name_owner(const struct fixture *fixture, const char *owner)
{
    int file = openat(fixture->data.handle, "LOCK", O_WRONLY | O_TRUNC);
    assert_true(file >= 0);
    assert_int_equal(write(file, owner, strlen(owner)), (ssize_t)strlen(owner));
    (void)close(file);
}

static void a_copy_is_waited_for_whoever_the_lock_names(void **state)
{
    (void)state;
    char living[32];
    (void)snprintf(living, sizeof living, "%d\n", (int)getpid()); /* has got the owner's id since */
    const char *const names[] = {"", "no number", living};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct fixture fixture;
        struct error error;
        int lock = -1;
        fixture_make(&fixture);
        (void)end_with_a_copy_left(&fixture, 60);
        name_owner(&fixture, names[i]);
        assert_int_equal(disk_system_lock(&fixture.data, &lock, &error), OK);
        (void)close(lock);
        fixture_end(&fixture);
    }
}

static void the_lock_names_its_owner_whoever_had_it_before(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error error;
    char owner[32] = {0};
    int lock = -1;
    fixture_make(&fixture);
    assert_int_equal(disk_system_lock(&fixture.data, &lock, &error), OK);
    (void)close(lock);
    name_owner(&fixture, "99999999999999999\n");
    assert_int_equal(disk_system_lock(&fixture.data, &lock, &error), OK);
    assert_true(pread(lock, owner, sizeof owner - 1, 0) > 0);
    assert_int_equal(strtol(owner, NULL, 10), getpid());
    (void)close(lock);
    fixture_end(&fixture);
}

static void an_existing_directory_below_one_that_can_not_be_opened_is_taken(void **state)
{
    (void)state;
    struct fixture fixture;
    struct disk_folder data;
    struct error error;
    char above[96];
    char path[128];
    fixture_make(&fixture);
    (void)snprintf(above, sizeof above, "%s/above", fixture.root);
    (void)snprintf(path, sizeof path, "%s/data", above);
    assert_int_equal(mkdir(above, 0711), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    pid_t child = fork();
    if (child == 0) {
        /* Who may pass through `above`, but not read it. */
        bool other = chmod(fixture.root, 0711) == 0 && chmod(above, 0111) == 0;
        other = other && (geteuid() != 0 || (chown(path, 65534, 65534) == 0 && setuid(65534) == 0));
        bool shut = open(above, O_RDONLY | O_DIRECTORY) < 0;
        _exit(other && shut && disk_system_open(path, true, &data, &error) == OK ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(chmod(above, 0700), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(above), 0);
    fixture_end(&fixture);
}

static void a_lock_that_can_not_be_opened_is_no_lock(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error error;
    int lock = -1;
    fixture_make(&fixture);
    assert_int_equal(mkdirat(fixture.data.handle, "LOCK", 0700), 0);
    assert_int_equal(disk_system_lock(&fixture.data, &lock, &error), ERR_UNAVAILABLE);
    assert_int_equal(lock, -1);
    assert_non_null(strstr(error.text, "/LOCK"));
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_made_private_emptied_and_read_back_with_and_without_the_cache),
        cmocka_unit_test(failures_say_why),
        cmocka_unit_test(directories_are_made_synced_and_listed_until_enough),
        cmocka_unit_test(sizes_are_reserved_and_cut_and_holes_are_skipped),
        cmocka_unit_test(direct_writes_are_taken_or_refused_with_einval),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(dying_says_one_line_and_ends_with_the_code),
        cmocka_unit_test(a_data_directory_is_made_only_when_asked_and_only_its_last_component),
        cmocka_unit_test(a_second_process_is_told_who_has_the_directory),
        cmocka_unit_test(a_copy_that_an_owner_left_behind_is_waited_for),
        cmocka_unit_test(a_copy_that_does_not_end_is_not_waited_for_without_end),
        cmocka_unit_test(an_existing_directory_below_one_that_can_not_be_opened_is_taken),
        cmocka_unit_test(a_copy_is_waited_for_whoever_the_lock_names),
        cmocka_unit_test(the_lock_names_its_owner_whoever_had_it_before),
        cmocka_unit_test(a_lock_that_can_not_be_opened_is_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
