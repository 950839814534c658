/* The real disk: one system call for each operation of the port.
 *
 *     DISK_DIRECT      O_DIRECT | O_DSYNC
 *     DISK_UNCACHED    O_NOATIME, the cache dropped at open and at close
 *     sync             fdatasync of a file, fsync of a directory
 *     resize(reserve)  fallocate
 *     next_data        SEEK_DATA
 *
 * Invariants:
 *  1. Nothing is remembered here: a handle is a file descriptor, and what it was opened for is asked
 *     of the kernel. So a forked copy may go on with it, and any thread may call anything.
 *  2. All but list() and die() is async-signal-safe: a snapshot's writer is a fork of a process with
 *     threads. */
#include "adapters/disk_system/disk_system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGAIN_PAUSE_MS 1
#define EXIT_SYSTEM    71
#define FOLDER_FLAGS   (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* --- files --- */

static int open_uncached(int at, const char *name, int flags)
{
    int fd = openat(at, name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM) {
        fd = openat(at, name, flags); /* another user's file: its cache is dropped now, not later */
    }
    if (fd >= 0) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    return fd;
}

static int file_open(void *ctx, int at, const char *name, unsigned int mode)
{
    (void)ctx;
    if ((mode & DISK_FOLDER) != 0) {
        return openat(at, name, FOLDER_FLAGS);
    }
    int flags = O_CLOEXEC | O_NOFOLLOW;
    flags |= (mode & DISK_WRITE) != 0 ? O_RDWR : O_RDONLY;
    flags |= (mode & DISK_CREATE) != 0 ? O_CREAT | O_TRUNC : 0;
    flags |= (mode & DISK_DIRECT) != 0 ? O_DIRECT | O_DSYNC : 0;
    int fd = (mode & DISK_UNCACHED) != 0 ? open_uncached(at, name, flags)
                                         : openat(at, name, flags, 0600);
    if (fd >= 0 && (mode & DISK_WRITE) == 0) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return fd;
}

static void file_close(void *ctx, int file)
{
    (void)ctx;
    int flags = fcntl(file, F_GETFL);
    if (flags >= 0 && (flags & O_NOATIME) != 0) {
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    }
    (void)close(file);
}

/* So that who tries again at once does not spin. */
static void pause_again(ssize_t done)
{
    if (done < 0 && errno == EAGAIN) {
        (void)poll(NULL, 0, AGAIN_PAUSE_MS);
        errno = EAGAIN;
    }
}

static ssize_t file_read(void *ctx, int file, void *into, size_t len, uint64_t offset)
{
    (void)ctx;
    ssize_t n = pread(file, into, len, (off_t)offset);
    pause_again(n);
    return n;
}

static ssize_t
file_write(void *ctx, int file, const struct iovec *parts, int part_count, uint64_t offset)
{
    (void)ctx;
    ssize_t n = pwritev(file, parts, part_count, (off_t)offset);
    pause_again(n);
    return n;
}

static bool file_sync(void *ctx, int file)
{
    (void)ctx;
    int flags = fcntl(file, F_GETFL);
    bool folder = flags < 0 || (flags & O_DIRECTORY) != 0;
    return (folder ? fsync(file) : fdatasync(file)) == 0;
}

static bool file_resize(void *ctx, int file, uint64_t size, bool reserve)
{
    (void)ctx;
    if (!reserve) {
        return ftruncate(file, (off_t)size) == 0;
    }
    if (fallocate(file, 0, 0, (off_t)size) == 0) {
        return true;
    }
    errno = errno == ENOSYS ? EOPNOTSUPP : errno;
    return false;
}

static int64_t file_next_data(void *ctx, int file, uint64_t offset)
{
    (void)ctx;
    return lseek(file, (off_t)offset, SEEK_DATA);
}

/* --- directories --- */

static bool folder_make(void *ctx, int at, const char *name)
{
    (void)ctx;
    return mkdirat(at, name, 0700) == 0;
}

static bool is_self_or_parent(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool folder_list(void *ctx, int at, bool (*tell)(void *user, const char *name), void *user)
{
    (void)ctx;
    int fd = openat(at, ".", FOLDER_FLAGS); /* own, because a directory stream takes it over */
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        int reason = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        errno = reason;
        return false;
    }
    bool wanted = true;
    bool complete = false;
    while (wanted && !complete) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        complete = entry == NULL && errno == 0;
        if (entry == NULL && errno != 0) {
            break;
        }
        if (entry != NULL && !is_self_or_parent(entry->d_name)) {
            wanted = tell(user, entry->d_name);
        }
    }
    int reason = errno;
    (void)closedir(stream);
    errno = reason;
    return complete || !wanted;
}

static bool folder_info(void *ctx, int at, const char *name, struct disk_info *info)
{
    (void)ctx;
    struct stat status;
    if (fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    *info = (struct disk_info){
        .bytes = (uint64_t)status.st_size,
        .written_us = (int64_t)status.st_mtim.tv_sec * 1000000 + status.st_mtim.tv_nsec / 1000,
    };
    return true;
}

static bool folder_rename(void *ctx, int at, const char *from, const char *to)
{
    (void)ctx;
    return renameat(at, from, at, to) == 0;
}

static bool folder_remove(void *ctx, int at, const char *name)
{
    (void)ctx;
    return unlinkat(at, name, 0) == 0;
}

/* --- fate --- */

static _Noreturn void die(void *ctx, int exit_code, const char *text)
{
    (void)ctx;
    (void)dprintf(STDERR_FILENO, "tidemark: %s\n", text);
    _exit(exit_code);
}

static void draw(void *ctx, void *into, size_t len)
{
    if (getrandom(into, len, 0) != (ssize_t)len) {
        die(ctx, EXIT_SYSTEM, "the system has no random numbers");
    }
}

struct disk_port disk_system_port(void)
{
    static const struct file_ops files = {.open = file_open,
                                          .close = file_close,
                                          .read = file_read,
                                          .write = file_write,
                                          .sync = file_sync,
                                          .resize = file_resize,
                                          .next_data = file_next_data};
    static const struct folder_ops folders = {.make = folder_make,
                                              .list = folder_list,
                                              .info = folder_info,
                                              .rename = folder_rename,
                                              .remove = folder_remove};
    static const struct disk_fate_ops fate = {.random = draw, .die = die};
    return (struct disk_port){.files = &files, .folders = &folders, .fate = &fate};
}

/* --- the data directory --- */

/* Makes the last component of the path if only that is missing, and its name durable. It may be there
 * because of a process that died before that, so the parent is synced either way; but who did not
 * make it may not be allowed to open the parent, and can do no more. */
static bool make_root(const char *path)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) {
        return false;
    }
    int fd = open(path, FOLDER_FLAGS);
    int parent = fd < 0 ? -1 : openat(fd, "..", FOLDER_FLAGS);
    bool done = parent >= 0 && fsync(parent) == 0;
    int reason = errno;
    if (parent >= 0) {
        (void)close(parent);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = reason;
    bool in_reach = parent >= 0 && reason != EROFS && reason != EINVAL;
    return done || (!made && !in_reach);
}

enum err
disk_system_open(const char *path, bool create, struct disk_folder *folder, struct error *error)
{
    *folder = (struct disk_folder){.disk = disk_system_port(), .handle = -1, .path = path};
    if (!create || make_root(path)) {
        folder->handle = open(path, FOLDER_FLAGS);
    }
    if (folder->handle >= 0) {
        return OK;
    }
    *error = (struct error){.code = ERR_UNAVAILABLE};
    (void)snprintf(error->text,
                   sizeof error->text,
                   "can't open the data directory %.100s: %s",
                   path,
                   strerrordesc_np(errno));
    return error->code;
}

void disk_system_close(struct disk_folder *folder)
{
    if (folder->handle >= 0) {
        (void)close(folder->handle);
        folder->handle = -1;
    }
}
