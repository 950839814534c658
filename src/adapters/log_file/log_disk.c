/* Reads and writes that end only when all is done or all is lost. */
#include "adapters/log_file/log_disk.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    EXIT_IO = 74,
    EXIT_DAMAGED = 75,
    LINE_BYTES = 400,
};

ssize_t disk_read(const struct disk_port *disk, int file, void *into, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n =
            disk->files->read(disk->ctx, file, (uint8_t *)into + done, len - done, offset + done);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int parts_advance(struct iovec *parts, int part_count, size_t written)
{
    int first = 0;
    while (first < part_count && written >= parts[first].iov_len) {
        written -= parts[first].iov_len;
        first++;
    }
    if (first < part_count) {
        parts[first].iov_base = (uint8_t *)parts[first].iov_base + written;
        parts[first].iov_len -= written;
    }
    return first;
}

bool disk_write(
    const struct disk_port *disk, int file, struct iovec *parts, int part_count, uint64_t offset)
{
    CHECK(part_count >= 1 && part_count <= 4);
    while (part_count > 0) {
        ssize_t n = disk->files->write(disk->ctx, file, parts, part_count, offset);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return false;
        }
        offset += (uint64_t)n;
        int passed = parts_advance(parts, part_count, (size_t)n);
        parts += passed;
        part_count -= passed;
    }
    return true;
}

bool disk_sync(const struct disk_port *disk, int file)
{
    return disk->files->sync(disk->ctx, file);
}

void disk_close(const struct disk_port *disk, int file)
{
    disk->files->close(disk->ctx, file);
}

void disk_failed(const struct disk_port *disk, const char *what, const char *file)
{
    char line[LINE_BYTES];
    (void)snprintf(line,
                   sizeof line,
                   "log: %s %s: %s; nothing unacknowledged was promised, exit",
                   what,
                   file,
                   strerrordesc_np(errno));
    disk->fate->die(disk->ctx, EXIT_IO, line);
    UNREACHABLE("the process ended");
}

void disk_damaged(const struct disk_port *disk,
                  const char *what,
                  const char *file,
                  uint64_t position)
{
    char line[LINE_BYTES];
    (void)snprintf(line,
                   sizeof line,
                   "log: %s at position %llu of %s, which was durable; exit",
                   what,
                   (unsigned long long)position,
                   file);
    disk->fate->die(disk->ctx, EXIT_DAMAGED, line);
    UNREACHABLE("the process ended");
}
