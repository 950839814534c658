/* The disk: files and directories as the log and the snapshots use them. The system behind it is
 * the real one (adapters/disk_system), or the simulator's, whose sectors, names and sizes are lost
 * in a power cut unless they were synced.
 *
 *     write ──► volatile ──sync(file)──► durable          content and size of a file
 *     open(CREATE), rename, remove ──► volatile ──sync(directory)──► durable        names
 *
 * Handles are small numbers >= 0, as file descriptors are. A function that fails returns -1 (or
 * false) and sets errno (POSIX.1-2017, the call it is named after). Nothing here retries. */
#pragma once

#include "base/bytes.h"

#include <sys/types.h>
#include <sys/uio.h>

enum disk_open {
    DISK_READ = 0,     /* for reading, mostly in order */
    DISK_WRITE = 1,    /* for reading and writing */
    DISK_CREATE = 2,   /* made (mode 0600), or emptied; with DISK_WRITE */
    DISK_DIRECT = 4,   /* each write is durable when it returns; memory, offset and length are
                          multiples of 4 KiB. errno EINVAL: not on this file system */
    DISK_UNCACHED = 8, /* reads come from the medium, in order, and leave no cache behind */
    DISK_FOLDER = 16,  /* a directory, to name files in and to sync */
};

struct file_ops {
    /* Opens `name` in the directory `at`; follows a symbolic link to a directory only. */
    int (*open)(void *ctx, int at, const char *name, unsigned int mode);
    void (*close)(void *ctx, int file);

    /* As pread and pwritev: may do less than asked, may fail with EINTR, or with EAGAIN after a
     * pause (who tries again at once does not spin). */
    ssize_t (*read)(void *ctx, int file, void *into, size_t len, uint64_t offset);
    ssize_t (*write)(
        void *ctx, int file, const struct iovec *parts, int part_count, uint64_t offset);

    /* Content and size of a file, or the names of a directory, are durable when it returns true. A
     * failure is final: what was not durable may be gone. */
    bool (*sync)(void *ctx, int file);

    /* Makes the file `size` bytes long. `reserve`: longer only, and the space is taken now (ENOSPC;
     * EOPNOTSUPP: can't be promised here). */
    bool (*resize)(void *ctx, int file, uint64_t size, bool reserve);

    /* The first offset >= `offset` at which the file may hold something but zeros; -1 with ENXIO:
     * there is none. */
    int64_t (*next_data)(void *ctx, int file, uint64_t offset);
};

struct disk_info {
    uint64_t bytes;
    int64_t written_us; /* wall time of the last change */
};

struct folder_ops {
    /* A directory (mode 0700) within another; EEXIST: it is there. */
    bool (*make)(void *ctx, int at, const char *name);

    /* Calls tell for each name but . and .. until it returns false; tell may remove that name. */
    bool (*list)(void *ctx, int at, bool (*tell)(void *user, const char *name), void *user);

    bool (*info)(void *ctx, int at, const char *name, struct disk_info *info);
    bool (*rename)(void *ctx, int at, const char *from, const char *to);
    bool (*remove)(void *ctx, int at, const char *name);
};

/* What goes with it. */
struct disk_fate_ops {
    /* Salts and the like; ends the process when the system has none. */
    void (*random)(void *ctx, void *into, size_t len);

    /* Ends the process at once, after one line for people: it never returns. */
    void (*die)(void *ctx, int exit_code, const char *text);
};

struct disk_port {
    const struct file_ops *files;
    const struct folder_ops *folders;
    const struct disk_fate_ops *fate;
    void *ctx;
};

/* The data directory, as adapters are told where to work. Who opened it keeps it open. */
struct disk_folder {
    struct disk_port disk;
    int handle;
    const char *path; /* for messages */
};
