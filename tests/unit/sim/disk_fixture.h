/* A simulated disk with a clock, and short ways to work on files below its root. */
#pragma once

#include "../base/support.h"

#include <errno.h>

#include "sim/disk.h"

struct rig {
    struct choice choice;
    struct sim_disk *disk;
    struct disk_port port;
    int root;
    int64_t now_us;
    void (*at_moment)(struct rig *rig, const char *kind, const char *file, bool after);
    char trace[256];
};

static inline void rig_moment(void *ctx, const char *kind, const char *file, bool after)
{
    struct rig *rig = ctx;
    size_t len = strlen(rig->trace);
    (void)snprintf(
        rig->trace + len, sizeof(rig->trace) - len, "%s%s %s", after ? ", did " : "; ", kind, file);
    if (rig->at_moment != NULL) {
        rig->at_moment(rig, kind, file, after);
    }
}

static inline void rig_wait(void *ctx, int64_t us)
{
    struct rig *rig = ctx;
    rig->now_us += us;
}

static inline int64_t rig_wall(void *ctx)
{
    const struct rig *rig = ctx;
    return rig->now_us;
}

__attribute__((noreturn)) static inline void rig_die(void *ctx, int exit_code, const char *text)
{
    (void)ctx;
    (void)fprintf(stderr, "%s\n", text);
    _exit(exit_code);
}

static inline struct sim_disk_hooks rig_hooks(struct rig *rig)
{
    return (struct sim_disk_hooks){
        .moment = rig_moment, .wait = rig_wait, .die = rig_die, .wall_us = rig_wall, .ctx = rig};
}

/* Around a choice that was made before. */
static inline void rig_open_with(struct rig *rig, struct choice choice, uint64_t capacity)
{
    *rig = (struct rig){.choice = choice, .now_us = 1000000};
    struct sim_disk_hooks hooks = rig_hooks(rig);
    rig->disk = sim_disk_create(&rig->choice, capacity, &hooks);
    assert_non_null(rig->disk);
    rig->port = sim_disk_port(rig->disk);
    rig->root = sim_disk_root(rig->disk);
}

static inline void rig_open(struct rig *rig, uint64_t seed, uint64_t capacity)
{
    struct choice choice;
    choice_from_seed(&choice, seed);
    rig_open_with(rig, choice, capacity);
}

static inline void rig_close(struct rig *rig)
{
    sim_disk_validate(rig->disk);
    sim_disk_destroy(rig->disk);
    choice_free(&rig->choice);
}

static inline void rig_weather(struct rig *rig, enum disk_fault fault, uint32_t once_in)
{
    struct sim_disk_weather weather = {.latency_us = 0};
    weather.once_in[fault] = once_in;
    sim_disk_set_weather(rig->disk, &weather);
}

static inline void rig_calm(struct rig *rig)
{
    struct sim_disk_weather weather = {.latency_us = 0};
    sim_disk_set_weather(rig->disk, &weather);
}

static inline int rig_file(struct rig *rig, const char *name, unsigned int mode)
{
    return rig->port.files->open(rig->port.ctx, rig->root, name, mode);
}

static inline void rig_shut(struct rig *rig, int file)
{
    rig->port.files->close(rig->port.ctx, file);
}

static inline ssize_t
rig_write(struct rig *rig, int file, const void *data, size_t len, uint64_t offset)
{
    char *memory = NULL;
    memcpy(&memory, &data, sizeof(memory));
    struct iovec part = {.iov_base = memory, .iov_len = len};
    return rig->port.files->write(rig->port.ctx, file, &part, 1, offset);
}

static inline ssize_t rig_read(struct rig *rig, int file, void *into, size_t len, uint64_t offset)
{
    return rig->port.files->read(rig->port.ctx, file, into, len, offset);
}

static inline bool rig_sync(struct rig *rig, int file)
{
    return rig->port.files->sync(rig->port.ctx, file);
}

static inline bool rig_resize(struct rig *rig, int file, uint64_t size, bool reserve)
{
    return rig->port.files->resize(rig->port.ctx, file, size, reserve);
}

static inline uint64_t rig_count(const struct rig *rig, enum disk_fault fault)
{
    return sim_disk_fault_count(rig->disk, fault);
}

/* A durable file with `len` bytes of `fill`. */
static inline int rig_durable(struct rig *rig, const char *name, uint8_t fill, size_t len)
{
    int file = rig_file(rig, name, DISK_WRITE | DISK_CREATE);
    assert_true(file > 0);
    uint8_t *data = malloc(len + 1);
    assert_non_null(data);
    memset(data, fill, len + 1);
    assert_int_equal(rig_write(rig, file, data, len, 0), len);
    free(data);
    assert_true(rig_sync(rig, file));
    assert_true(rig_sync(rig, rig->root));
    return file;
}

/* Whether the file holds `len` bytes of `fill`, and no more. */
static inline bool rig_holds(const struct rig *rig, const char *name, uint8_t fill, uint64_t len)
{
    uint64_t bytes = 0;
    const uint8_t *content = sim_disk_content(rig->disk, "", name, &bytes);
    bool all = content != NULL && bytes == len;
    for (uint64_t n = 0; all && n < bytes; n++) {
        all = content[n] == fill;
    }
    return all;
}
