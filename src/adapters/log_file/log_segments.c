/* Segment files and their life.
 *
 *     spare.tmp ──reserved, synced──► spare-<n> ──header written, synced, renamed──► <base>.log
 *                                        ▲                                              │
 *                                        └──── recycled (oldest, full-sized) ◄──────────┤
 *                                                                                       ▼
 *                                                                                    unlinked
 *
 * Invariants:
 *  1. Each arrow is one rename or unlink, and the directory is synced before anything relies on it.
 *  2. A file named <base>.log always has a valid header block: it got it while it was a spare.
 *  3. The table holds the segments by ascending base; a segment leaves it before its file is
 *     renamed or removed, so a reader that fails can ask the table whether it lost a race.
 *  4. Space for a whole segment is reserved (fallocate, or written zeros) before it is a spare. */
#include "adapters/log_file/log_segments.h"

#include "adapters/log_file/log_disk.h"
#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int64_t log_file_written_us(int fd)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return 0;
    }
    return (int64_t)info.st_mtim.tv_sec * 1000000 + info.st_mtim.tv_nsec / 1000;
}

static void sync_directory(const struct log_segments *segments)
{
    if (fsync(segments->dir_fd) != 0) {
        disk_failed("can't sync", "the log directory");
    }
}

static enum err open_failed(const char *directory, struct error *error)
{
    *error = (struct error){.code = ERR_UNAVAILABLE};
    snprintf(error->text,
             sizeof error->text,
             "can't open the data directory %.100s: %s",
             directory,
             strerrordesc_np(errno));
    return error->code;
}

/* Makes the last component of the path if only that is missing. */
static bool make_root(const char *directory)
{
    if (mkdir(directory, 0700) != 0) {
        return errno == EEXIST;
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int parent = fd < 0 ? -1 : openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = parent >= 0 && fsync(parent) == 0;
    if (parent >= 0) {
        close(parent);
    }
    if (fd >= 0) {
        close(fd);
    }
    return done;
}

enum err log_segments_open(struct log_segments *segments,
                           const char *directory,
                           bool read_only,
                           struct error *error)
{
    *segments = (struct log_segments){.root_fd = -1, .dir_fd = -1};
    if (pthread_mutex_init(&segments->lock, NULL) != 0) {
        return open_failed(directory, error);
    }
    if (!read_only && !make_root(directory)) {
        return open_failed(directory, error);
    }
    segments->root_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (segments->root_fd < 0 || (!read_only && !disk_make_directory(segments->root_fd, "log"))) {
        return open_failed(directory, error);
    }
    segments->dir_fd = openat(segments->root_fd, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return segments->dir_fd < 0 ? open_failed(directory, error) : OK;
}

void log_segments_close(struct log_segments *segments)
{
    if (segments->dir_fd >= 0) {
        close(segments->dir_fd);
    }
    if (segments->root_fd >= 0) {
        close(segments->root_fd);
    }
    free(segments->list);
    pthread_mutex_destroy(&segments->lock);
    *segments = (struct log_segments){.root_fd = -1, .dir_fd = -1};
}

/* Inserts by base; the lock is held or nobody else is there yet. False on no memory. */
static bool table_insert(struct log_segments *segments, const struct log_segment *segment)
{
    if (segments->count == segments->capacity) {
        size_t capacity = segments->capacity == 0 ? 64 : segments->capacity * 2;
        struct log_segment *list =
            capacity > LOG_SEGMENTS_MAX ? NULL : realloc(segments->list, capacity * sizeof *list);
        if (list == NULL) {
            return false;
        }
        segments->list = list;
        segments->capacity = capacity;
    }
    size_t at = segments->count;
    while (at > 0 && segments->list[at - 1].header.base > segment->header.base) {
        segments->list[at] = segments->list[at - 1];
        at--;
    }
    segments->list[at] = *segment;
    segments->count++;
    return true;
}

static bool list_one(struct log_segments *segments, const char *name)
{
    uint64_t base = 0;
    struct stat info;
    if (!log_segment_parse_name(name, &base)) {
        return true;
    }
    if (fstatat(segments->dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT; /* trimmed meanwhile, when a tool looks at a running log */
    }
    struct log_segment segment = {
        .header.base = base,
        .written_us = (int64_t)info.st_mtim.tv_sec * 1000000 + info.st_mtim.tv_nsec / 1000,
        .file_bytes = (uint64_t)info.st_size,
    };
    return table_insert(segments, &segment);
}

enum err log_segments_list(struct log_segments *segments, struct error *error)
{
    segments->count = 0;
    int fd = openat(segments->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return open_failed("log", error);
    }
    bool complete = true;
    errno = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL && complete; entry = readdir(dir)) {
        complete = list_one(segments, entry->d_name);
    }
    closedir(dir);
    return complete ? OK : open_failed("log", error);
}

static void spare_name(char name[LOG_NAME_BYTES], int index)
{
    CHECK(index >= 0 && index < LOG_SPARES_MAX);
    snprintf(name, LOG_NAME_BYTES, "spare-%d", index);
}

void log_segments_adopt_spares(struct log_segments *segments)
{
    char name[LOG_NAME_BYTES];
    (void)unlinkat(segments->dir_fd, "spare.tmp", 0);
    segments->spare_count = 0;
    for (int i = 0; i < LOG_SPARES_MAX; i++) {
        struct stat info;
        spare_name(name, i);
        bool there = fstatat(segments->dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
        if (there && (uint64_t)info.st_size == segments->segment_bytes &&
            segments->spare_count == i) {
            segments->spare_written[i] = false;
            segments->spare_reused[i] = true;
            segments->spare_count++;
        } else if (there) {
            (void)unlinkat(segments->dir_fd, name, 0);
        }
    }
    sync_directory(segments);
}

/* For file systems that can't reserve: zeros take the space as well. */
static bool write_zeros(int fd, uint64_t size)
{
    static const uint8_t zeros[64 * 1024];
    for (uint64_t offset = 0; offset < size;) {
        size_t len = size - offset < sizeof zeros ? (size_t)(size - offset) : sizeof zeros;
        struct iovec part = {.iov_base = (void *)(uintptr_t)zeros, .iov_len = len};
        if (!disk_write(fd, &part, 1, offset)) {
            return false;
        }
        offset += len;
    }
    return true;
}

static bool reserve(int fd, uint64_t size, bool *written)
{
    *written = false;
    while (fallocate(fd, 0, 0, (off_t)size) != 0) {
        if (errno == EINTR) {
            continue;
        }
        if (errno != EOPNOTSUPP && errno != ENOSYS) {
            return false;
        }
        *written = true;
        return write_zeros(fd, size);
    }
    return true;
}

bool log_segments_prepare(struct log_segments *segments)
{
    if (segments->spare_count == LOG_SPARES_MAX) {
        return true;
    }
    int fd = openat(segments->dir_fd, "spare.tmp", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool written = false;
    char name[LOG_NAME_BYTES];
    spare_name(name, segments->spare_count);
    bool made = reserve(fd, segments->segment_bytes, &written) && fsync(fd) == 0 &&
                renameat(segments->dir_fd, "spare.tmp", segments->dir_fd, name) == 0;
    close(fd);
    if (!made) {
        (void)unlinkat(segments->dir_fd, "spare.tmp", 0);
        return false;
    }
    sync_directory(segments);
    segments->spare_reused[segments->spare_count] = false;
    segments->spare_written[segments->spare_count++] = written;
    return true;
}

static int open_file(const struct log_segments *segments, const char *name, bool *direct)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(segments->dir_fd, name, flags | O_DIRECT | O_DSYNC);
    *direct = fd >= 0;
    return fd >= 0 || errno != EINVAL ? fd : openat(segments->dir_fd, name, flags);
}

static bool write_block(int fd, const uint8_t *block, bool direct)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)block, .iov_len = LOG_BLOCK};
    return disk_write(fd, &part, 1, 0) && (direct || disk_sync(fd));
}

int log_segments_activate(struct log_segments *segments,
                          struct log_segment_header *header,
                          bool *direct,
                          bool *written)
{
    CHECK(segments->spare_count > 0);
    char spare[LOG_NAME_BYTES];
    char name[LOG_NAME_BYTES];
    int index = segments->spare_count - 1;
    spare_name(spare, index);
    log_segment_name(name, header->base);
    if (segments->spare_reused[index]) {
        header->flags |= LOG_SEGMENT_REUSED;
    }
    _Alignas(4096) uint8_t block[LOG_BLOCK];
    log_segment_encode(block, header);
    int fd = open_file(segments, spare, direct);
    if (fd < 0) {
        disk_failed("can't open", spare);
    }
    if (!write_block(fd, block, *direct)) {
        /* Some file systems take the flag but not the write. */
        bool refused = errno == EINVAL;
        close(fd);
        *direct = false;
        fd = refused ? openat(segments->dir_fd, spare, O_RDWR | O_CLOEXEC) : -1;
        if (fd < 0 || !write_block(fd, block, false)) {
            disk_failed("can't write the header of", name);
        }
    }
    if (renameat(segments->dir_fd, spare, segments->dir_fd, name) != 0) {
        disk_failed("can't rename a spare to", name);
    }
    sync_directory(segments);
    *written = segments->spare_written[index];
    segments->spare_count--;
    struct log_segment segment = {.header = *header,
                                  .written_us = log_file_written_us(fd),
                                  .file_bytes = header->segment_bytes};
    pthread_mutex_lock(&segments->lock);
    CHECK(segments->count == 0 || segments->list[segments->count - 1].header.base <= header->base);
    bool kept = table_insert(segments, &segment);
    pthread_mutex_unlock(&segments->lock);
    if (!kept) {
        disk_failed("no memory to keep track of", name);
    }
    return fd;
}

int log_segments_open_writable(const struct log_segments *segments, uint64_t base, bool *direct)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    return open_file(segments, name, direct);
}

int log_segments_open_readable(const struct log_segments *segments, uint64_t base)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    return openat(segments->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

void log_segments_drop_oldest(struct log_segments *segments)
{
    CHECK(segments->count > 1);
    pthread_mutex_lock(&segments->lock);
    struct log_segment oldest = segments->list[0];
    segments->count--;
    memmove(segments->list, segments->list + 1, segments->count * sizeof *segments->list);
    pthread_mutex_unlock(&segments->lock);
    char name[LOG_NAME_BYTES];
    char spare[LOG_NAME_BYTES];
    log_segment_name(name, oldest.header.base);
    bool recycle = segments->spare_count < LOG_SPARES_MAX &&
                   oldest.file_bytes == segments->segment_bytes &&
                   oldest.header.segment_bytes == segments->segment_bytes;
    int done = -1;
    if (recycle) {
        spare_name(spare, segments->spare_count);
        done = renameat(segments->dir_fd, name, segments->dir_fd, spare);
    } else {
        done = unlinkat(segments->dir_fd, name, 0);
    }
    if (done != 0) {
        disk_failed("can't remove", name);
    }
    sync_directory(segments);
    if (recycle) {
        segments->spare_reused[segments->spare_count] = true;
        segments->spare_written[segments->spare_count++] = true;
    }
}

bool log_segments_find(struct log_segments *segments, uint64_t position, struct log_place *place)
{
    pthread_mutex_lock(&segments->lock);
    size_t low = 0;
    size_t high = segments->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segments->list[middle].header.base <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low > 0) {
        bool last = low == segments->count;
        place->header = segments->list[low - 1].header;
        place->end = last ? UINT64_MAX : segments->list[low].header.prev_end;
        place->next = last ? UINT64_MAX : segments->list[low].header.base;
    }
    pthread_mutex_unlock(&segments->lock);
    return low > 0;
}

uint64_t log_segments_oldest(struct log_segments *segments)
{
    pthread_mutex_lock(&segments->lock);
    uint64_t oldest = segments->count == 0 ? 0 : segments->list[0].header.base;
    pthread_mutex_unlock(&segments->lock);
    return oldest;
}

#define TORN_NAMES_MAX 16

/* A free name for bytes that leave the log. When all are taken the last is used again, so repeated
 * crashes at one place can't fill the disk. */
static void
torn_name(const struct log_segments *segments, uint64_t position, char name[2 * LOG_NAME_BYTES])
{
    char base[LOG_NAME_BYTES];
    log_segment_name(base, position);
    snprintf(name, 2 * LOG_NAME_BYTES, "%s.torn", base);
    for (int i = 1; i < TORN_NAMES_MAX && faccessat(segments->dir_fd, name, F_OK, 0) == 0; i++) {
        snprintf(name, 2 * LOG_NAME_BYTES, "%s.torn%d", base, i);
    }
}

static void table_remove(struct log_segments *segments, size_t index)
{
    segments->count--;
    memmove(segments->list + index,
            segments->list + index + 1,
            (segments->count - index) * sizeof *segments->list);
}

enum err log_segments_discard(struct log_segments *segments, size_t index)
{
    CHECK(index < segments->count);
    char name[LOG_NAME_BYTES];
    log_segment_name(name, segments->list[index].header.base);
    if (unlinkat(segments->dir_fd, name, 0) != 0 || fsync(segments->dir_fd) != 0) {
        return ERR_UNAVAILABLE;
    }
    table_remove(segments, index);
    return OK;
}

enum err log_segments_set_aside(struct log_segments *segments, size_t index)
{
    CHECK(index < segments->count);
    char name[LOG_NAME_BYTES];
    char torn[2 * LOG_NAME_BYTES];
    log_segment_name(name, segments->list[index].header.base);
    torn_name(segments, segments->list[index].header.base, torn);
    if (renameat(segments->dir_fd, name, segments->dir_fd, torn) != 0 ||
        fsync(segments->dir_fd) != 0) {
        return ERR_UNAVAILABLE;
    }
    table_remove(segments, index);
    return OK;
}

static bool copy_range(int from, int to, uint64_t offset, uint64_t len)
{
    static uint8_t piece[64 * 1024];
    for (uint64_t done = 0; done < len;) {
        size_t want = len - done < sizeof piece ? (size_t)(len - done) : sizeof piece;
        ssize_t n = disk_read(from, piece, want, offset + done);
        if (n <= 0) {
            return n == 0;
        }
        struct iovec part = {.iov_base = piece, .iov_len = (size_t)n};
        if (!disk_write(to, &part, 1, done)) {
            return false;
        }
        done += (uint64_t)n;
    }
    return true;
}

enum err log_segments_keep_torn(
    struct log_segments *segments, int fd, uint64_t base, uint64_t position, uint64_t end)
{
    CHECK(base <= position && position <= end);
    char name[2 * LOG_NAME_BYTES];
    torn_name(segments, position, name);
    int to = openat(segments->dir_fd, "torn.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) {
        return ERR_NO_SPACE;
    }
    bool kept = copy_range(fd, to, LOG_BLOCK + position - base, end - position) && fsync(to) == 0;
    close(to);
    if (!kept || renameat(segments->dir_fd, "torn.tmp", segments->dir_fd, name) != 0) {
        (void)unlinkat(segments->dir_fd, "torn.tmp", 0);
        return ERR_NO_SPACE;
    }
    return fsync(segments->dir_fd) == 0 ? OK : ERR_UNAVAILABLE;
}

void log_segments_shorten(struct log_segments *segments, uint64_t base, uint64_t end)
{
    CHECK(base <= end);
    uint64_t size = LOG_BLOCK + end - base;
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    int fd = openat(segments->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    /* Only to save space: when it fails the file just stays as long as it is. */
    bool shorter = fd >= 0 && ftruncate(fd, (off_t)size) == 0;
    if (fd >= 0) {
        close(fd);
    }
    for (size_t i = 0; i < segments->count && shorter; i++) {
        if (segments->list[i].header.base == base) {
            segments->list[i].file_bytes = size;
        }
    }
}
