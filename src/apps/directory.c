/* The data directory's genesis: see directory.h. Written as a temporary file, synced, renamed, and
 * the directory synced, so that there is a whole one or none. */
#include "apps/directory.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAGIC         "TIDEMARK"
#define FORMAT        1
#define GENESIS_BYTES 52
#define NAME          "genesis"
#define TEMPORARY     "genesis.tmp"

static enum err damaged(struct error *error, int *exit_code, const struct disk_folder *data)
{
    *error = (struct error){.code = ERR_INTERNAL};
    *exit_code = 75;
    (void)snprintf(error->text, sizeof(error->text), "damaged: %.112s/" NAME, data->path);
    return ERR_INTERNAL;
}

static enum err
other_version(struct error *error, int *exit_code, const struct disk_folder *data, uint32_t format)
{
    (void)damaged(error, exit_code, data);
    (void)snprintf(error->text,
                   sizeof(error->text),
                   "%.112s/" NAME " is of format version %u, this program knows version %d",
                   data->path,
                   format,
                   FORMAT);
    (void)snprintf(error->hint, sizeof(error->hint), "start the version that wrote it");
    return ERR_INTERNAL;
}

/* The disk refuses; errno says why. */
static enum err
cannot(struct error *error, int *exit_code, const char *what, const struct disk_folder *data)
{
    const char *reason = strerrordesc_np(errno);
    *error = (struct error){.code = ERR_INTERNAL};
    *exit_code = 78;
    (void)snprintf(
        error->text, sizeof(error->text), "can't %s %.112s/" NAME ": %s", what, data->path, reason);
    return ERR_INTERNAL;
}

static void encode(const struct genesis *genesis, struct buf *out)
{
    buf_put_text(out, MAGIC);
    buf_put_u32(out, FORMAT);
    buf_put_u32(out, genesis->partitions);
    buf_put_u64(out, genesis->seed);
    buf_put(out, genesis->instance, sizeof(genesis->instance));
    buf_put_i64(out, genesis->created.us);
    buf_put_u32(out, crc32c(0, buf_bytes(out)));
    CHECK(!out->overflow && out->len == GENESIS_BYTES);
}

/* False when it is damaged; with *format set when it is whole, but of another version. */
static bool decode(struct bytes raw, struct genesis *genesis, uint32_t *format)
{
    *format = FORMAT;
    if (raw.len != GENESIS_BYTES) {
        return false;
    }
    struct reader in = reader_of(raw);
    struct bytes magic = read_bytes(&in, sizeof(MAGIC) - 1);
    uint32_t found = read_u32(&in);
    *genesis = (struct genesis){.partitions = read_u32(&in)};
    genesis->seed = read_u64(&in);
    struct bytes instance = read_bytes(&in, sizeof(genesis->instance));
    memcpy(genesis->instance, instance.data, sizeof(genesis->instance));
    genesis->created.us = read_i64(&in);
    bool whole = read_u32(&in) == crc32c(0, bytes_slice(raw, 0, GENESIS_BYTES - 4));
    if (!whole || !bytes_equal(magic, BYTES(MAGIC))) {
        return false;
    }
    *format = found;
    return found == FORMAT && genesis->partitions >= 1 && genesis->partitions <= PARTITIONS_MAX;
}

/* Read and write whole: a genesis is so small that anything less is a failure. */
static bool write_file(const struct disk_folder *data, struct bytes content)
{
    const struct disk_port *disk = &data->disk;
    int file = disk->files->open(disk->ctx, data->handle, TEMPORARY, DISK_WRITE | DISK_CREATE);
    if (file < 0) {
        return false;
    }
    struct iovec part = {.iov_base = (void *)(uintptr_t)content.data, .iov_len = content.len};
    bool written = disk->files->write(disk->ctx, file, &part, 1, 0) == (ssize_t)content.len &&
                   disk->files->sync(disk->ctx, file);
    int reason = errno;
    disk->files->close(disk->ctx, file);
    errno = reason;
    FAILPOINT(GENESIS_WRITTEN);
    bool named = written && disk->folders->rename(disk->ctx, data->handle, TEMPORARY, NAME);
    FAILPOINT(GENESIS_RENAMED);
    bool synced = named && disk->files->sync(disk->ctx, data->handle);
    FAILPOINT(GENESIS_SYNCED);
    return synced;
}

static void fresh(const struct disk_port *disk, uint32_t partitions, struct genesis *genesis)
{
    struct timespec now;
    *genesis = (struct genesis){.partitions = partitions};
    disk->fate->random(disk->ctx, &genesis->seed, sizeof(genesis->seed));
    disk->fate->random(disk->ctx, genesis->instance, sizeof(genesis->instance));
    genesis->instance[6] = (uint8_t)((genesis->instance[6] & 0x0f) | 0x40); /* RFC 9562, v4 */
    genesis->instance[8] = (uint8_t)((genesis->instance[8] & 0x3f) | 0x80);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    genesis->created.us = (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

enum err directory_genesis(const struct disk_folder *data,
                           uint32_t partitions,
                           struct genesis *genesis,
                           int *exit_code,
                           struct error *error)
{
    const struct disk_port *disk = &data->disk;
    uint8_t memory[GENESIS_BYTES + 1];
    int file = disk->files->open(disk->ctx, data->handle, NAME, DISK_READ);
    if (file >= 0) {
        ssize_t len = disk->files->read(disk->ctx, file, memory, sizeof(memory), 0);
        disk->files->close(disk->ctx, file);
        uint32_t format = FORMAT;
        if (len >= 0 && decode(bytes_of(memory, (size_t)len), genesis, &format)) {
            return OK;
        }
        return format == FORMAT ? damaged(error, exit_code, data)
                                : other_version(error, exit_code, data, format);
    }
    if (errno != ENOENT) {
        return cannot(error, exit_code, "read", data);
    }
    struct buf out = buf_of(memory, sizeof(memory));
    fresh(disk, partitions, genesis);
    encode(genesis, &out);
    if (!write_file(data, buf_bytes(&out))) {
        return cannot(error, exit_code, "write", data);
    }
    return OK;
}
