/* The files of the log: which segments there are, spare files, making and removing them.
 *
 * The table is shared by the writer and the readers under one lock, taken once per segment change
 * and per reader step at the log's end; all else belongs to the writing thread. */
#pragma once

#include "adapters/log_file/log_format.h"
#include "ports/disk.h"

#include <pthread.h>

#define LOG_SEGMENTS_MAX 65536u
#define LOG_SPARES_MAX   4
#define LOG_PROBLEM_MAX  96

struct log_segment {
    struct log_segment_header header;
    int64_t written_us; /* wall time of its last change */
    uint64_t file_bytes;
};

struct log_segments {
    struct disk_port disk;
    int folder; /* log/ in the data directory; -1: not open */
    uint64_t segment_bytes;
    pthread_mutex_t lock; /* guards list, count */
    struct log_segment *list;
    size_t count;
    size_t capacity;
    int spare_count;                    /* files spare-0 .. spare-<count - 1> */
    bool spare_written[LOG_SPARES_MAX]; /* every block was written before: no unwritten extents */
    bool spare_reused[LOG_SPARES_MAX];  /* it may hold frames of a former life */
    bool other_version;                 /* a header is of a format version that is not known ... */
    char problem[LOG_PROBLEM_MAX];      /* ... in words */
};

/* Opens (and creates, unless read_only) log/ in the data directory. */
enum err log_segments_open(struct log_segments *segments,
                           const struct disk_folder *data,
                           bool read_only,
                           struct error *error) MUST_CHECK;
void log_segments_close(struct log_segments *segments);

/* Lists the segment files by name into the table, in order; only header.base, written_us and
 * file_bytes are set. */
enum err log_segments_list(struct log_segments *segments, struct error *error) MUST_CHECK;

/* Adopts the spares of the last run, removes half-made files. */
void log_segments_adopt_spares(struct log_segments *segments);

/* Makes a spare; false when the disk has no room for it (or refuses for another reason). */
bool log_segments_prepare(struct log_segments *segments);

/* Turns a spare into the segment of this header (LOG_SEGMENT_REUSED is added as due): durable,
 * named, its directory synced, and in the table. Returns its handle for writing. *direct: its
 * writes are durable when they return; *written: see spare_written. Needs a spare. Any failure ends
 * the process. */
int log_segments_activate(struct log_segments *segments,
                          struct log_segment_header *header,
                          bool *direct,
                          bool *written);

/* Opens an existing segment for appending. -1 on failure. */
int log_segments_open_writable(const struct log_segments *segments, uint64_t base, bool *direct);

/* Opens a segment for reading, from the medium if `uncached` (a second look). -1 when it is gone. */
int log_segments_open_readable(const struct log_segments *segments, uint64_t base, bool uncached);

/* False when there is no such file (any more). */
bool log_segments_exists(const struct log_segments *segments, uint64_t base);

/* Removes the oldest segment (never the only one): recycled as a spare or deleted. */
void log_segments_drop_oldest(struct log_segments *segments);

/* Where a position lies. */
struct log_place {
    struct log_segment_header header;
    uint64_t end;  /* the segment's frames end here; UINT64_MAX for the last segment */
    uint64_t next; /* base of the next segment, after a loss above end; UINT64_MAX: none */
};

/* The segment for `position`: the last with base <= position. False when position is below the
 * oldest. Any thread. */
bool log_segments_find(struct log_segments *segments, uint64_t position, struct log_place *place);

/* Position of the oldest frame. Any thread. */
uint64_t log_segments_oldest(struct log_segments *segments);

/* Renames a segment to <name>.torn (.torn1 ... if taken): it leaves the log but stays on disk. Only
 * at start. */
enum err log_segments_set_aside(struct log_segments *segments, size_t index) MUST_CHECK;

/* Cuts a segment off at position `end`, once what followed was kept aside and its successor stands.
 */
void log_segments_shorten(struct log_segments *segments, uint64_t base, uint64_t end);

/* True when the file ends before the segment does, as only log_segments_shorten makes it: frames
 * or a successor were there. */
static inline bool log_segment_is_cut(const struct log_segment *segment)
{
    return segment->file_bytes < segment->header.segment_bytes;
}

/* Takes a segment out of the table; its file stays, until it is set aside (log_segments_keep_file)
 * or another takes its name. Only at start. */
void log_segments_forget(struct log_segments *segments, size_t index);

/* Sets aside the file of a segment that is not in the table. Only at start. */
enum err log_segments_keep_file(struct log_segments *segments, uint64_t base) MUST_CHECK;

/* Deletes a segment in which no frame stands. Only at start. */
enum err log_segments_discard(struct log_segments *segments, size_t index) MUST_CHECK;

/* Writes the bytes of a segment from `position` to `end` once more as they are, and syncs it. After
 * a sync that failed the system's cache may hold what the disk does not, and a second sync does not
 * write it; this does. Only at start. */
enum err log_segments_write_again(struct log_segments *segments,
                                  uint64_t base,
                                  uint64_t position,
                                  uint64_t end) MUST_CHECK;

/* Copies the bytes of a segment from `position` to `end` into <position>.log.torn. Only at start.
 * On failure, here and above, errno says why; ERR_NO_SPACE: the disk is full. */
enum err log_segments_keep_torn(struct log_segments *segments,
                                int file,
                                uint64_t base,
                                uint64_t position,
                                uint64_t end) MUST_CHECK;
