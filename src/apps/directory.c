/* The data directory's genesis: see directory.h. Written as a temporary file, synced, renamed, and
 * the directory synced, so that there is a whole one or none. */
#include "apps/directory.h"

#include "base/check.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define MAGIC         "TIDEMARK"
#define FORMAT        1
#define GENESIS_BYTES 52
#define PATH_BYTES    4096

static enum err
fail(struct error *error, int *exit_code, int code, const char *what, const char *path)
{
    *error = (struct error){.code = ERR_INTERNAL};
    *exit_code = code;
    (void)snprintf(error->text, sizeof(error->text), "%s: %.120s", what, path);
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

static bool decode(struct bytes raw, struct genesis *genesis)
{
    if (raw.len != GENESIS_BYTES) {
        return false;
    }
    struct reader in = reader_of(raw);
    struct bytes magic = read_bytes(&in, sizeof(MAGIC) - 1);
    uint32_t format = read_u32(&in);
    *genesis = (struct genesis){.partitions = read_u32(&in)};
    genesis->seed = read_u64(&in);
    struct bytes instance = read_bytes(&in, sizeof(genesis->instance));
    memcpy(genesis->instance, instance.data, sizeof(genesis->instance));
    genesis->created.us = read_i64(&in);
    bool whole = read_u32(&in) == crc32c(0, bytes_slice(raw, 0, GENESIS_BYTES - 4));
    return whole && bytes_equal(magic, BYTES(MAGIC)) && format == FORMAT &&
           genesis->partitions >= 1 && genesis->partitions <= PARTITIONS_MAX;
}

static bool write_file(const char *path, const char *temporary, struct bytes content)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool written = write(fd, content.data, content.len) == (ssize_t)content.len && fsync(fd) == 0;
    written = close(fd) == 0 && written;
    return written && rename(temporary, path) == 0;
}

static bool sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return synced;
}

static bool fresh(struct genesis *genesis, uint32_t partitions)
{
    struct timespec now;
    *genesis = (struct genesis){.partitions = partitions};
    bool drawn =
        getrandom(&genesis->seed, sizeof(genesis->seed), 0) == sizeof(genesis->seed) &&
        getrandom(genesis->instance, sizeof(genesis->instance), 0) == sizeof(genesis->instance);
    genesis->instance[6] = (uint8_t)((genesis->instance[6] & 0x0f) | 0x40); /* RFC 9562, v4 */
    genesis->instance[8] = (uint8_t)((genesis->instance[8] & 0x3f) | 0x80);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    genesis->created.us = (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
    return drawn;
}

enum err directory_genesis(const char *directory,
                           uint32_t partitions,
                           struct genesis *genesis,
                           int *exit_code,
                           struct error *error)
{
    char path[PATH_BYTES];
    char temporary[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/genesis", directory);
    (void)snprintf(temporary, sizeof(temporary), "%s/genesis.tmp", directory);
    uint8_t memory[GENESIS_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t len = read(fd, memory, sizeof(memory));
        (void)close(fd);
        if (len < 0 || !decode(bytes_of(memory, (size_t)len), genesis)) {
            return fail(error, exit_code, 75, "damaged, or of another version", path);
        }
        return OK;
    }
    if (errno != ENOENT) {
        return fail(error, exit_code, 78, "can't be read", path);
    }
    struct buf out = buf_of(memory, sizeof(memory));
    if (!fresh(genesis, partitions)) {
        return fail(error, exit_code, 71, "no randomness to be had for", path);
    }
    encode(genesis, &out);
    if (!write_file(path, temporary, buf_bytes(&out)) || !sync_directory(directory)) {
        return fail(error, exit_code, 78, "can't be written", path);
    }
    return OK;
}
