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
 *  4. Space for a whole segment is reserved (fallocate, or written zeros) and its size durable
 *     before it is a spare. It is cut off only once its successor is durable, so the file of the
 *     last segment is never shorter than its header says. */
#include "adapters/log_file/log_segments.h"

#include "adapters/log_file/log_disk.h"
#include "base/check.h"
#include "base/failpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the port, shorter --- */

static int open_in(const struct log_segments *segments, const char *name, unsigned int mode)
{
    return segments->disk.files->open(segments->disk.ctx, segments->folder, name, mode);
}

static bool rename_in(const struct log_segments *segments, const char *from, const char *to)
{
    return segments->disk.folders->rename(segments->disk.ctx, segments->folder, from, to);
}

static bool remove_in(const struct log_segments *segments, const char *name)
{
    return segments->disk.folders->remove(segments->disk.ctx, segments->folder, name);
}

static bool info_in(const struct log_segments *segments, const char *name, struct disk_info *info)
{
    return segments->disk.folders->info(segments->disk.ctx, segments->folder, name, info);
}

static void sync_folder(const struct log_segments *segments)
{
    if (!disk_sync(&segments->disk, segments->folder)) {
        disk_failed(&segments->disk, "can't sync", "the log directory");
    }
}

/* --- opening --- */

static enum err open_failed(const char *directory, struct error *error)
{
    *error = (struct error){.code = ERR_UNAVAILABLE};
    snprintf(error->text,
             sizeof error->text,
             "can't open the log in %.100s: %s",
             directory,
             strerrordesc_np(errno));
    return error->code;
}

/* Makes log/ unless it is there. It may be there because of a process that died before its name was
 * durable, so the data directory is synced either way. */
static bool make_folder(const struct disk_folder *data)
{
    const struct disk_port *disk = &data->disk;
    bool there = disk->folders->make(disk->ctx, data->handle, "log") || errno == EEXIST;
    return there && disk_sync(disk, data->handle);
}

enum err log_segments_open(struct log_segments *segments,
                           const struct disk_folder *data,
                           bool read_only,
                           struct error *error)
{
    *segments = (struct log_segments){.disk = data->disk, .folder = -1};
    if (pthread_mutex_init(&segments->lock, NULL) != 0) {
        return open_failed(data->path, error);
    }
    if (!read_only && !make_folder(data)) {
        return open_failed(data->path, error);
    }
    segments->folder = data->disk.files->open(data->disk.ctx, data->handle, "log", DISK_FOLDER);
    return segments->folder < 0 ? open_failed(data->path, error) : OK;
}

void log_segments_close(struct log_segments *segments)
{
    if (segments->folder >= 0) {
        disk_close(&segments->disk, segments->folder);
    }
    free(segments->list);
    pthread_mutex_destroy(&segments->lock);
    *segments = (struct log_segments){.folder = -1};
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

struct listing {
    struct log_segments *segments;
    bool failed;
};

static bool list_one(void *user, const char *name)
{
    struct listing *listing = user;
    uint64_t base = 0;
    struct disk_info info;
    if (!log_segment_parse_name(name, &base)) {
        return true;
    }
    if (!info_in(listing->segments, name, &info)) {
        /* trimmed meanwhile, when a tool looks at a running log */
        listing->failed = errno != ENOENT;
        return !listing->failed;
    }
    struct log_segment segment = {
        .header.base = base,
        .written_us = info.written_us,
        .file_bytes = info.bytes,
    };
    listing->failed = !table_insert(listing->segments, &segment);
    return !listing->failed;
}

enum err log_segments_list(struct log_segments *segments, struct error *error)
{
    const struct disk_port *disk = &segments->disk;
    struct listing listing = {.segments = segments};
    segments->count = 0;
    bool listed = disk->folders->list(disk->ctx, segments->folder, list_one, &listing);
    return listed && !listing.failed ? OK : open_failed("the data directory", error);
}

static void spare_name(char name[LOG_NAME_BYTES], int index)
{
    CHECK(index >= 0 && index < LOG_SPARES_MAX);
    snprintf(name, LOG_NAME_BYTES, "spare-%d", index);
}

void log_segments_adopt_spares(struct log_segments *segments)
{
    char name[LOG_NAME_BYTES];
    (void)remove_in(segments, "spare.tmp");
    segments->spare_count = 0;
    for (int i = 0; i < LOG_SPARES_MAX; i++) {
        struct disk_info info;
        spare_name(name, i);
        bool there = info_in(segments, name, &info);
        if (there && info.bytes == segments->segment_bytes && segments->spare_count == i) {
            segments->spare_written[i] = false;
            segments->spare_reused[i] = true;
            segments->spare_count++;
        } else if (there) {
            (void)remove_in(segments, name);
        }
    }
    sync_folder(segments);
}

/* For file systems that can't reserve: zeros take the space as well. */
static bool write_zeros(const struct disk_port *disk, int file, uint64_t size)
{
    static const uint8_t zeros[64 * 1024];
    for (uint64_t offset = 0; offset < size;) {
        size_t len = size - offset < sizeof zeros ? (size_t)(size - offset) : sizeof zeros;
        struct iovec part = {.iov_base = (void *)(uintptr_t)zeros, .iov_len = len};
        if (!disk_write(disk, file, &part, 1, offset)) {
            return false;
        }
        offset += len;
    }
    return true;
}

static bool reserve(const struct disk_port *disk, int file, uint64_t size, bool *written)
{
    *written = false;
    while (!disk->files->resize(disk->ctx, file, size, true)) {
        if (errno == EINTR) {
            continue;
        }
        if (errno != EOPNOTSUPP) {
            return false;
        }
        *written = true;
        return write_zeros(disk, file, size);
    }
    return true;
}

bool log_segments_prepare(struct log_segments *segments)
{
    if (segments->spare_count == LOG_SPARES_MAX) {
        return true;
    }
    const struct disk_port *disk = &segments->disk;
    int file = open_in(segments, "spare.tmp", DISK_WRITE | DISK_CREATE);
    if (file < 0) {
        return false;
    }
    bool written = false;
    char name[LOG_NAME_BYTES];
    spare_name(name, segments->spare_count);
    bool made = reserve(disk, file, segments->segment_bytes, &written) && disk_sync(disk, file);
    FAILPOINT(LOG_SPARE_RESERVED);
    made = made && rename_in(segments, "spare.tmp", name);
    int reason = errno;
    disk_close(disk, file);
    if (!made) {
        (void)remove_in(segments, "spare.tmp");
        errno = reason;
        return false;
    }
    FAILPOINT(LOG_SPARE_RENAMED);
    sync_folder(segments);
    FAILPOINT(LOG_SPARE_SYNCED);
    segments->spare_reused[segments->spare_count] = false;
    segments->spare_written[segments->spare_count++] = written;
    return true;
}

static int open_file(const struct log_segments *segments, const char *name, bool *direct)
{
    int file = open_in(segments, name, DISK_WRITE | DISK_DIRECT);
    *direct = file >= 0;
    return file >= 0 || errno != EINVAL ? file : open_in(segments, name, DISK_WRITE);
}

static bool write_block(const struct disk_port *disk, int file, const uint8_t *block, bool direct)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)block, .iov_len = LOG_BLOCK};
    return disk_write(disk, file, &part, 1, 0) && (direct || disk_sync(disk, file));
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
    const struct disk_port *disk = &segments->disk;
    int file = open_file(segments, spare, direct);
    if (file < 0) {
        disk_failed(disk, "can't open", spare);
    }
    if (!write_block(disk, file, block, *direct)) {
        /* Some file systems take the flag but not the write. */
        bool refused = *direct && errno == EINVAL;
        int again = refused ? open_in(segments, spare, DISK_WRITE) : -1;
        if (again < 0 || !write_block(disk, again, block, false)) {
            disk_failed(disk, "can't write the header of", name);
        }
        disk_close(disk, file);
        file = again;
        *direct = false;
    }
    FAILPOINT(LOG_HEADER_WRITTEN);
    if (!rename_in(segments, spare, name)) {
        disk_failed(disk, "can't rename a spare to", name);
    }
    FAILPOINT(LOG_SEGMENT_RENAMED);
    sync_folder(segments);
    FAILPOINT(LOG_SEGMENT_SYNCED);
    *written = segments->spare_written[index];
    segments->spare_count--;
    struct disk_info info = {0};
    (void)info_in(segments, name, &info);
    struct log_segment segment = {
        .header = *header, .written_us = info.written_us, .file_bytes = header->segment_bytes};
    pthread_mutex_lock(&segments->lock);
    CHECK(segments->count == 0 || segments->list[segments->count - 1].header.base <= header->base);
    bool kept = table_insert(segments, &segment);
    pthread_mutex_unlock(&segments->lock);
    if (!kept) {
        disk_failed(disk, "no memory to keep track of", name);
    }
    return file;
}

int log_segments_open_writable(const struct log_segments *segments, uint64_t base, bool *direct)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    return open_file(segments, name, direct);
}

int log_segments_open_readable(const struct log_segments *segments, uint64_t base, bool uncached)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    return open_in(segments, name, uncached ? DISK_UNCACHED : DISK_READ);
}

bool log_segments_exists(const struct log_segments *segments, uint64_t base)
{
    char name[LOG_NAME_BYTES];
    struct disk_info ignored;
    log_segment_name(name, base);
    return info_in(segments, name, &ignored);
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
    bool done = false;
    if (recycle) {
        spare_name(spare, segments->spare_count);
        done = rename_in(segments, name, spare);
        FAILPOINT(LOG_SEGMENT_RECYCLED);
    } else {
        done = remove_in(segments, name);
        FAILPOINT(LOG_SEGMENT_DROPPED);
    }
    if (!done) {
        disk_failed(&segments->disk, "can't remove", name);
    }
    sync_folder(segments);
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
    struct disk_info ignored;
    log_segment_name(base, position);
    snprintf(name, 2 * LOG_NAME_BYTES, "%s.torn", base);
    for (int i = 1; i < TORN_NAMES_MAX && info_in(segments, name, &ignored); i++) {
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

void log_segments_forget(struct log_segments *segments, size_t index)
{
    CHECK(index < segments->count);
    table_remove(segments, index);
}

/* What a failed call means, by its errno. */
static enum err failure(void)
{
    return errno == ENOSPC || errno == EDQUOT ? ERR_NO_SPACE : ERR_UNAVAILABLE;
}

enum err log_segments_discard(struct log_segments *segments, size_t index)
{
    CHECK(index < segments->count);
    char name[LOG_NAME_BYTES];
    log_segment_name(name, segments->list[index].header.base);
    bool removed = remove_in(segments, name);
    FAILPOINT(LOG_SEGMENT_DISCARDED);
    if (!removed || !disk_sync(&segments->disk, segments->folder)) {
        return failure();
    }
    table_remove(segments, index);
    return OK;
}

enum err log_segments_keep_file(struct log_segments *segments, uint64_t base)
{
    char name[LOG_NAME_BYTES];
    char torn[2 * LOG_NAME_BYTES];
    log_segment_name(name, base);
    torn_name(segments, base, torn);
    bool renamed = rename_in(segments, name, torn);
    FAILPOINT(LOG_SEGMENT_SET_ASIDE);
    return renamed && disk_sync(&segments->disk, segments->folder) ? OK : failure();
}

enum err log_segments_set_aside(struct log_segments *segments, size_t index)
{
    CHECK(index < segments->count);
    enum err err = log_segments_keep_file(segments, segments->list[index].header.base);
    if (err == OK) {
        table_remove(segments, index);
    }
    return err;
}

/* `len` bytes at `offset` of one file to `to_offset` of another, or of the same. */
static bool copy_range(const struct disk_port *disk,
                       int from,
                       int to,
                       uint64_t offset,
                       uint64_t to_offset,
                       uint64_t len)
{
    static uint8_t piece[64 * 1024];
    for (uint64_t done = 0; done < len;) {
        size_t want = len - done < sizeof piece ? (size_t)(len - done) : sizeof piece;
        ssize_t n = disk_read(disk, from, piece, want, offset + done);
        if (n <= 0) {
            return n == 0;
        }
        struct iovec part = {.iov_base = piece, .iov_len = (size_t)n};
        if (!disk_write(disk, to, &part, 1, to_offset + done)) {
            return false;
        }
        done += (uint64_t)n;
    }
    return true;
}

enum err log_segments_write_again(struct log_segments *segments,
                                  uint64_t base,
                                  uint64_t position,
                                  uint64_t end)
{
    CHECK(base <= position && position <= end);
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    const struct disk_port *disk = &segments->disk;
    int file = open_in(segments, name, DISK_WRITE);
    if (file < 0) {
        return failure();
    }
    uint64_t offset = LOG_BLOCK + position - base;
    bool written =
        copy_range(disk, file, file, offset, offset, end - position) && disk_sync(disk, file);
    int reason = errno;
    disk_close(disk, file);
    errno = reason;
    return written ? OK : failure();
}

enum err log_segments_keep_torn(
    struct log_segments *segments, int file, uint64_t base, uint64_t position, uint64_t end)
{
    CHECK(base <= position && position <= end);
    char name[2 * LOG_NAME_BYTES];
    torn_name(segments, position, name);
    const struct disk_port *disk = &segments->disk;
    int to = open_in(segments, "torn.tmp", DISK_WRITE | DISK_CREATE);
    if (to < 0) {
        return failure();
    }
    bool kept = copy_range(disk, file, to, LOG_BLOCK + position - base, 0, end - position) &&
                disk_sync(disk, to);
    int reason = errno;
    disk_close(disk, to);
    FAILPOINT(LOG_TORN_COPIED);
    errno = reason;
    if (!kept || !rename_in(segments, "torn.tmp", name)) {
        reason = errno;
        (void)remove_in(segments, "torn.tmp");
        errno = reason;
        return failure();
    }
    FAILPOINT(LOG_TORN_RENAMED);
    return disk_sync(disk, segments->folder) ? OK : failure();
}

void log_segments_shorten(struct log_segments *segments, uint64_t base, uint64_t end)
{
    CHECK(base <= end);
    uint64_t size = LOG_BLOCK + end - base;
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    const struct disk_port *disk = &segments->disk;
    int file = open_in(segments, name, DISK_WRITE);
    /* To save space, and so that it is known for one with a successor: see log_segment_is_cut.
     * When it fails the file just stays as long as it is, until the next start tries again. */
    bool shorter =
        file >= 0 && disk->files->resize(disk->ctx, file, size, false) && disk_sync(disk, file);
    FAILPOINT(LOG_SEGMENT_SHORTENED);
    if (file >= 0) {
        disk_close(disk, file);
    }
    for (size_t i = 0; i < segments->count && shorter; i++) {
        if (segments->list[i].header.base == base) {
            segments->list[i].file_bytes = size;
        }
    }
}
