/* Reads and writes that end only when all is done or all is lost. */
#include "adapters/log_file/log_disk.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EXIT_IO = 74,
    EXIT_DAMAGED = 75,
    AGAIN_PAUSE_MS = 1,
};

ssize_t disk_read(int fd, void *into, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)into + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
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

bool disk_write(int fd, struct iovec *parts, int part_count, uint64_t offset)
{
    CHECK(part_count >= 1 && part_count <= 4);
    while (part_count > 0) {
        ssize_t n = pwritev(fd, parts, part_count, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            (void)poll(NULL, 0, AGAIN_PAUSE_MS);
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

bool disk_sync(int fd)
{
    return fdatasync(fd) == 0;
}

void disk_failed(const char *what, const char *file)
{
    dprintf(STDERR_FILENO,
            "tidemark: log: %s %s: %s; nothing unacknowledged was promised, exit\n",
            what,
            file,
            strerrordesc_np(errno));
    _exit(EXIT_IO);
}

void disk_damaged(const char *what, const char *file, uint64_t position)
{
    dprintf(STDERR_FILENO,
            "tidemark: log: %s at position %llu of %s, which was durable; exit\n",
            what,
            (unsigned long long)position,
            file);
    _exit(EXIT_DAMAGED);
}

bool disk_make_directory(int parent_fd, const char *name)
{
    if (mkdirat(parent_fd, name, 0700) != 0) {
        return errno == EEXIST;
    }
    return fsync(parent_fd) == 0;
}

void disk_random(void *into, size_t len)
{
    if (getrandom(into, len, 0) != (ssize_t)len) {
        disk_failed("no random numbers for", "a segment");
    }
}
