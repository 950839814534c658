/* A log in a directory of its own, frames whose content is known by their number, and directories
 * that can be saved, broken and restored. For the tests of the file log. */
#pragma once

#include "adapters/disk_system/disk_system.h"
#include "adapters/log_file/log_file.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIXTURE_SEGMENT 65536u
#define FIXTURE_FILES   32

struct fixture_file {
    char name[64];
    uint8_t *data;
    size_t len;
};

struct fixture {
    char root[64];
    struct log_file_options options;
    struct log_file *log;
    struct log_port port;
    struct log_reader_port readers;
    struct log_file_start start;
    struct error error;
    struct log_frame frame;
    uint64_t durable_calls;
    uint64_t last_end;
    struct fixture_file files[FIXTURE_FILES];
    size_t file_count;
};

static inline void fixture_durable(void *ctx, struct log_frame *frame)
{
    struct fixture *fixture = ctx;
    fixture->durable_calls++;
    fixture->last_end = frame->end;
}

/* Memory-backed when there is such a place: thousands of opens then take seconds. */
static inline void fixture_make(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(fixture->root, sizeof fixture->root, "%s/tidemark-log-XXXXXX", parent);
    assert_non_null(mkdtemp(fixture->root));
    fixture->options = (struct log_file_options){
        .segment_bytes = FIXTURE_SEGMENT, .durable = fixture_durable, .durable_ctx = fixture};
    memcpy(fixture->options.instance, "instance-of-test", LOG_INSTANCE_BYTES);
    struct disk_folder *data = &fixture->options.data;
    assert_int_equal(disk_system_open(fixture->root, false, data, &fixture->error), OK);
    fixture->frame.capacity = FIXTURE_SEGMENT;
    fixture->frame.data = aligned_alloc(4096, FIXTURE_SEGMENT);
    assert_non_null(fixture->frame.data);
}

static inline enum err fixture_open(struct fixture *fixture)
{
    assert_null(fixture->log);
    enum err err =
        log_file_open(&fixture->options, &fixture->log, &fixture->start, &fixture->error);
    if (err == OK) {
        fixture->port = log_file_port(fixture->log);
        fixture->readers = log_file_reader_port(fixture->log);
    } else {
        fixture->log = NULL;
    }
    return err;
}

/* clean: with the closing seal; else as a killed process leaves it. */
static inline void fixture_close(struct fixture *fixture, bool clean)
{
    log_file_close(fixture->log, clean);
    fixture->log = NULL;
}

static inline uint8_t fixture_byte(uint64_t number, size_t i)
{
    return (uint8_t)(number * 131 + i * 7 + 1);
}

/* Submits frame `number` (the first is 0) without driving it. */
static inline enum err fixture_submit(struct fixture *fixture, uint64_t number, size_t body_len)
{
    for (size_t i = 0; i < body_len; i++) {
        fixture->frame.data[LOG_FRAME_HEADER + i] = fixture_byte(number, i);
    }
    fixture->frame.body_len = body_len;
    fixture->frame.record_count = (uint32_t)number + 1;
    return fixture->port.ops->submit(fixture->port.ctx, &fixture->frame);
}

static inline void fixture_append(struct fixture *fixture, uint64_t number, size_t body_len)
{
    uint64_t calls = fixture->durable_calls;
    assert_int_equal(fixture_submit(fixture, number, body_len), OK);
    fixture->port.ops->poll(fixture->port.ctx);
    assert_int_equal(fixture->durable_calls, calls + 1);
    assert_int_equal(fixture->last_end, fixture->frame.end);
}

/* True when the view is frame `number`, byte for byte. */
static inline bool fixture_is(const struct log_view *view, uint64_t number)
{
    if (view->record_count != number + 1) {
        return false;
    }
    for (size_t i = 0; i < view->body.len; i++) {
        if (view->body.data[i] != fixture_byte(number, i)) {
            return false;
        }
    }
    return true;
}

/* Reads everything; frames must be first, first + 1 ... Returns how many there are. */
static inline uint64_t fixture_read_all(struct fixture *fixture, uint64_t first)
{
    struct log_status status;
    fixture->port.ops->status(fixture->port.ctx, &status);
    void *reader = fixture->readers.ops->open(fixture->readers.ctx, status.oldest);
    assert_non_null(reader);
    struct log_view view;
    uint64_t count = 0;
    while (fixture->readers.ops->next(reader, &view) == OK) {
        assert_true(fixture_is(&view, first + count));
        count++;
    }
    fixture->readers.ops->close(reader);
    return count;
}

static inline void fixture_path(const struct fixture *fixture, const char *name, char path[512])
{
    snprintf(path, 512, "%s/log/%s", fixture->root, name);
}

static inline void
fixture_write_file(const struct fixture *fixture, const char *name, const uint8_t *data, size_t len)
{
    char path[512];
    fixture_path(fixture, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
}

/* Calls `each` for every file in log/. */
static inline void fixture_each_file(struct fixture *fixture,
                                     void (*each)(struct fixture *, const char *))
{
    char path[512];
    fixture_path(fixture, "", path);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            each(fixture, entry->d_name);
        }
    }
    closedir(dir);
}

static inline void fixture_remove_one(struct fixture *fixture, const char *name)
{
    char path[512];
    fixture_path(fixture, name, path);
    assert_int_equal(unlink(path), 0);
}

static inline void fixture_save_one(struct fixture *fixture, const char *name)
{
    char path[512];
    fixture_path(fixture, name, path);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true(fixture->file_count < FIXTURE_FILES);
    struct fixture_file *file = &fixture->files[fixture->file_count++];
    snprintf(file->name, sizeof file->name, "%.63s", name);
    file->len = (size_t)info.st_size;
    file->data = malloc(file->len + 1);
    assert_non_null(file->data);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, file->data, file->len), (ssize_t)file->len);
    close(fd);
}

static inline void fixture_forget(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->file_count; i++) {
        free(fixture->files[i].data);
    }
    fixture->file_count = 0;
}

/* Remembers all files of log/. */
static inline void fixture_save(struct fixture *fixture)
{
    fixture_forget(fixture);
    fixture_each_file(fixture, fixture_save_one);
}

/* Puts log/ back as it was saved. */
static inline void fixture_restore(struct fixture *fixture)
{
    fixture_each_file(fixture, fixture_remove_one);
    for (size_t i = 0; i < fixture->file_count; i++) {
        fixture_write_file(
            fixture, fixture->files[i].name, fixture->files[i].data, fixture->files[i].len);
    }
}

/* The saved segment with the n-th lowest base. */
static inline struct fixture_file *fixture_segment(struct fixture *fixture, size_t n)
{
    struct fixture_file *found = NULL;
    uint64_t above = 0;
    for (size_t round = 0; round <= n; round++) {
        uint64_t best = UINT64_MAX;
        for (size_t i = 0; i < fixture->file_count; i++) {
            uint64_t base = 0;
            if (log_segment_parse_name(fixture->files[i].name, &base) &&
                (round == 0 || base > above) && base < best) {
                best = base;
                found = &fixture->files[i];
            }
        }
        if (found == NULL || best == UINT64_MAX) {
            fail_msg("there is no segment %zu", n);
            abort();
        }
        above = best;
    }
    return found;
}

static inline size_t fixture_count_suffix(const struct fixture *fixture, const char *part)
{
    size_t count = 0;
    char path[512];
    fixture_path(fixture, "", path);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += strstr(entry->d_name, part) != NULL;
    }
    closedir(dir);
    return count;
}

static inline void fixture_end(struct fixture *fixture)
{
    if (fixture->log != NULL) {
        fixture_close(fixture, false);
    }
    fixture_each_file(fixture, fixture_remove_one);
    char path[512];
    fixture_path(fixture, "", path);
    rmdir(path);
    disk_system_close(&fixture->options.data);
    rmdir(fixture->root);
    fixture_forget(fixture);
    free(fixture->frame.data);
}
