/* Recovery by the durable frontier.
 *
 *     F = the highest position that something valid says was durable: durable_to of any frame or
 *         segment header, the position of a snapshot
 *     B = where the first frame stands that can't be proved
 *
 *     B <  F   acknowledged data is damaged: refuse
 *     B >= F   what follows B was never acknowledged: keep it aside, go on at B
 *
 * Invariants:
 *  1. Nothing at or above F is needed, nothing below F is ever dropped without accept_loss.
 *  2. Only renames, copies, new files, and the same bytes written again: no byte of an existing
 *     segment is changed, so a crash in here leaves the same decision to the next start. So a segment whose first frame is torn stays
 *     until the new one takes its name: the one before may be cut off, which is no end of a log.
 *  3. Positions are never used twice for acknowledged data: after an accepted loss the log goes on
 *     at F at the earliest.
 *  4. Frames above F may live in the system's cache only, also after a sync that failed; they count
 *     as durable once they were written again and synced.
 *
 * Frames below verify_from are proved from the beginning of its segment on; older segments are
 * checked by their headers and the seal that ends each of them. */
#include "adapters/log_file/log_recover.h"

#include "adapters/log_file/log_disk.h"
#include "adapters/log_file/log_walk.h"
#include "base/check.h"
#include "base/failpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct scan {
    struct log_segments *segments;
    const struct log_file_options *options;
    struct log_recovery *recovery;
    size_t index; /* the segment in which the walk ended */
    const char *problem;
    uint64_t frontier;
    struct log_frontier rest; /* what lies at and after the walk's end in segment `index` */
    uint64_t unused;          /* base of a last file that was never used; UINT64_MAX: none */
};

static void raise_to(uint64_t *highest, uint64_t value)
{
    *highest = value > *highest ? value : *highest;
}

static enum err refuse(
    struct error *error, const char *problem, uint64_t base, uint64_t position, uint64_t frontier)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    *error = (struct error){.code = ERR_UNPROCESSABLE};
    snprintf(error->text,
             sizeof error->text,
             "log/%s is damaged at offset %llu: %s; positions %llu to %llu were durable",
             name,
             (unsigned long long)(position >= base ? LOG_BLOCK + position - base : 0),
             problem,
             (unsigned long long)position,
             (unsigned long long)frontier);
    snprintf(error->hint,
             sizeof error->hint,
             "restore the file, or give up that range: tidemark log salvage --accept-loss");
    return error->code;
}

/* The disk refuses what has to be done before the log can go on: no damage. errno says why. */
static enum err
cannot(struct error *error, enum err code, const struct scan *scan, const char *what, uint64_t base)
{
    char name[LOG_NAME_BYTES];
    const char *reason = strerrordesc_np(errno);
    log_segment_name(name, base);
    *error = (struct error){.code = code};
    snprintf(error->text,
             sizeof error->text,
             "can't %s of %.60s/log/%s: %s",
             what,
             scan->options->data.path,
             name,
             reason);
    if (code == ERR_NO_SPACE) {
        snprintf(error->hint, sizeof error->hint, "nothing is lost: make some space");
    }
    return code;
}

static const char *header_follows(const struct log_segment_header *before,
                                  const struct log_segment_header *header)
{
    if (memcmp(before->instance, header->instance, LOG_INSTANCE_BYTES) != 0) {
        return "the segment belongs to another instance";
    }
    if (header->number != before->number + 1) {
        return "the segment before it is missing";
    }
    if (header->prev_end < before->base || header->first_seq < before->first_seq) {
        return "the segment does not follow the one before";
    }
    return NULL;
}

static const char *check_header(struct log_segments *segments, size_t index)
{
    struct log_segment *segment = &segments->list[index];
    uint64_t base = segment->header.base;
    uint8_t block[LOG_BLOCK];
    uint32_t version = 0;
    struct log_segment_header header = {.base = base};
    int file = log_segments_open_readable(segments, base, false);
    ssize_t n = file < 0 ? -1 : disk_read(&segments->disk, file, block, sizeof block, 0);
    if (file >= 0) {
        disk_close(&segments->disk, file);
    }
    if (n < (ssize_t)sizeof block) {
        return n < 0 ? "the file can't be read" : "the file has no header block";
    }
    switch (log_segment_decode(block, &header, &version)) {
    case LOG_HEADER_VALID:
        break;
    case LOG_HEADER_ZERO:
        return "the header block is all zero";
    case LOG_HEADER_VERSION:
        segments->other_version = true;
        snprintf(segments->problem,
                 sizeof segments->problem,
                 "the segment is of format version %u, this program knows version %u",
                 version,
                 LOG_FORMAT_VERSION);
        return segments->problem;
    case LOG_HEADER_BAD:
        return "the header block is damaged";
    }
    if (header.base != base) {
        return "the header names another position";
    }
    segment->header = header;
    return index == 0 ? NULL : header_follows(&segments->list[index - 1].header, &header);
}

size_t log_check_headers(struct log_segments *segments, const char **problem)
{
    for (size_t i = 0; i < segments->count; i++) {
        *problem = check_header(segments, i);
        if (*problem != NULL) {
            return i;
        }
    }
    return segments->count;
}

bool log_check_junction(const struct log_segments *segments, size_t index)
{
    CHECK(index + 1 < segments->count);
    const struct log_segment_header *header = &segments->list[index].header;
    const struct log_segment_header *next = &segments->list[index + 1].header;
    if ((next->flags & LOG_SEGMENT_RECOVERED) != 0) {
        return true; /* it ends in any frame: only a walk can tell */
    }
    if (next->base < header->base + LOG_BLOCK) {
        return false;
    }
    uint8_t block[LOG_FRAME_HEADER];
    struct log_frame_header seal;
    int file = log_segments_open_readable(segments, header->base, false);
    ssize_t n =
        file < 0 ? -1
                 : disk_read(&segments->disk, file, block, sizeof block, next->base - header->base);
    if (file >= 0) {
        disk_close(&segments->disk, file);
    }
    return n == (ssize_t)sizeof block && log_frame_decode(block, header->salt, &seal) &&
           (seal.flags & LOG_FLAG_CONTINUES) != 0 && seal.position == next->base - LOG_BLOCK &&
           seal.seq + 1 == next->first_seq &&
           log_frame_hash(block, header->salt) == next->prev_hash;
}

/* True for a good segment without any frame header, whole or not, in which no block was written. */
static bool holds_nothing(const struct log_segments *segments, size_t index)
{
    const struct log_segment_header *header = &segments->list[index].header;
    if (header->segment_bytes == 0) {
        return false; /* its header is not known to be good */
    }
    int file = log_segments_open_readable(segments, header->base, false);
    if (file < 0) {
        return false;
    }
    struct log_frontier found = log_scan_frontier(&segments->disk, file, header, header->base);
    disk_close(&segments->disk, file);
    bool reused = (header->flags & LOG_SEGMENT_REUSED) != 0;
    return !found.read_failed && found.first_valid == UINT64_MAX &&
           (reused || found.data_end == header->base);
}

/* Takes segments [from, to) out of the log: kept aside, or deleted when nothing ever stood there.
 */
static enum err
set_aside(struct log_segments *segments, struct log_recovery *recovery, size_t from, size_t to)
{
    enum err err = OK;
    for (size_t i = to; i > from && err == OK; i--) {
        if (holds_nothing(segments, i - 1)) {
            err = log_segments_discard(segments, i - 1);
            continue;
        }
        recovery->torn_bytes += segments->list[i - 1].file_bytes;
        err = log_segments_set_aside(segments, i - 1);
    }
    return err;
}

/* A last segment that was never used: its header block is zero, and no frame stands in it. */
static bool never_used(const struct log_segments *segments, size_t index)
{
    if (index + 1 != segments->count) {
        return false;
    }
    struct log_segment_header header = {.base = segments->list[index].header.base};
    int file = log_segments_open_readable(segments, header.base, false);
    if (file < 0) {
        return false;
    }
    uint8_t block[LOG_BLOCK] = {1};
    ssize_t n = disk_read(&segments->disk, file, block, sizeof block, 0);
    struct log_segment_header ignored;
    uint32_t version = 0;
    bool zero = n == 0 || (n == (ssize_t)sizeof block &&
                           log_segment_decode(block, &ignored, &version) == LOG_HEADER_ZERO);
    struct log_frontier rest = log_scan_frontier(&segments->disk, file, &header, header.base);
    disk_close(&segments->disk, file);
    return zero && !rest.read_failed && rest.data_end == header.base;
}

static bool snapshot_covers(const struct scan *scan, size_t index)
{
    return index + 1 < scan->segments->count &&
           scan->options->verify_from >= scan->segments->list[index + 1].header.base;
}

/* Damage in segment `index` that no walk is needed to see. */
static enum err
give_up_segment(struct scan *scan, size_t index, const char *problem, struct error *error)
{
    struct log_segments *segments = scan->segments;
    uint64_t base = segments->list[index].header.base;
    if (segments->count > 1 && never_used(segments, index)) {
        /* Unless the one before is seen to have had a successor, the log ends there. */
        scan->unused = base;
        log_segments_forget(segments, index);
        return OK;
    }
    if (scan->options->accept_loss) {
        bool history = snapshot_covers(scan, index);
        raise_to(&scan->frontier, segments->list[index].header.durable_to);
        enum err err = history ? set_aside(segments, scan->recovery, 0, index + 1)
                               : set_aside(segments, scan->recovery, index, segments->count);
        return err == OK ? OK : cannot(error, err, scan, "set aside the file", base);
    }
    uint64_t end = index + 1 < segments->count ? segments->list[index + 1].header.base : base;
    raise_to(&end, scan->options->verify_from);
    enum err err = refuse(error, problem, base, base, end);
    if (segments->other_version) {
        snprintf(error->hint, sizeof error->hint, "start the version that wrote it");
    }
    return err;
}

static enum err check_segments(struct scan *scan, size_t *start, struct error *error)
{
    struct log_segments *segments = scan->segments;
    const char *problem = NULL;
    for (size_t bad = log_check_headers(segments, &problem); bad < segments->count;
         bad = log_check_headers(segments, &problem)) {
        enum err err = give_up_segment(scan, bad, problem, error);
        if (err != OK) {
            return err;
        }
    }
    for (*start = 0; snapshot_covers(scan, *start); (*start)++) {
        if (log_check_junction(segments, *start)) {
            continue;
        }
        enum err err = give_up_segment(scan, *start, "its last frame is not what follows", error);
        if (err != OK) {
            return err;
        }
        *start = (size_t)-1; /* the table changed: from its beginning again */
    }
    return OK;
}

/* True when the walk arrived at the segment's end and the next segment continues it. */
static bool
continues(const struct log_walk *walk, const struct log_segment_header *next, const char **problem)
{
    if (walk->position == next->prev_end && walk->seq == next->first_seq &&
        walk->prev_hash == next->prev_hash) {
        return true;
    }
    *problem = "the next segment follows other frames";
    return false;
}

/* Looks at the last segment's end: was there another segment after it, or more of it? */
static void judge_end(struct scan *scan, const struct log_walk *walk, bool continued)
{
    if (continued) {
        scan->problem = "the next segment is missing";
    } else if (log_segment_is_cut(&scan->segments->list[scan->index])) {
        scan->problem = "the file is cut off, or the next segment is missing";
    } else {
        return;
    }
    raise_to(&scan->frontier, walk->position + 1);
}

/* The walk's segment up to where the walk stands, as far as nothing says that it is durable. */
static enum err
write_again(const struct scan *scan, const struct log_walk *walk, struct error *error)
{
    uint64_t from = scan->frontier > walk->base ? scan->frontier : walk->base;
    if (from >= walk->position) {
        return OK;
    }
    enum err err = log_segments_write_again(scan->segments, walk->base, from, walk->position);
    return err == OK ? OK : cannot(error, err, scan, "write the last frames again", walk->base);
}

/* Proves frames from the beginning of segment `start` on. */
static enum err
walk_frames(struct scan *scan, size_t start, struct log_walk *walk, struct error *error)
{
    struct log_segments *segments = scan->segments;
    struct log_recovery *recovery = scan->recovery;
    for (size_t i = start; i < segments->count; i++) {
        raise_to(&scan->frontier, segments->list[i].header.durable_to);
    }
    for (size_t i = start; i < segments->count; i++) {
        const struct log_segment_header *header = &segments->list[i].header;
        bool last = i + 1 == segments->count;
        uint64_t limit = last ? UINT64_MAX : segments->list[i + 1].header.prev_end;
        scan->index = i;
        int file = log_segments_open_readable(segments, header->base, false);
        if (file < 0) {
            return refuse(error, "it can't be opened", header->base, header->base, scan->frontier);
        }
        log_walk_enter(walk, file, header);
        recovery->clean = false;
        recovery->sealed = true;
        bool continued = false;
        enum log_walk_result result = LOG_WALK_BAD;
        while ((result = log_walk_next(walk, limit)) == LOG_WALK_FRAME) {
            raise_to(&scan->frontier, walk->frame.durable_to);
            recovery->clean = (walk->frame.flags & LOG_FLAG_CLEAN) != 0;
            recovery->sealed = (walk->frame.flags & LOG_FLAG_SEAL) != 0;
            continued = (walk->frame.flags & LOG_FLAG_CONTINUES) != 0;
        }
        scan->problem = walk->problem;
        if ((result == LOG_WALK_FAILED || result == LOG_WALK_NO_MEMORY) &&
            !scan->options->accept_loss) {
            disk_close(&segments->disk, file);
            return refuse(error, walk->problem, header->base, walk->position, walk->position);
        }
        bool go_on = result == LOG_WALK_END && !last &&
                     continues(walk, &segments->list[i + 1].header, &scan->problem);
        if (!go_on) {
            scan->rest = log_scan_frontier(&segments->disk, file, header, walk->position);
        }
        disk_close(&segments->disk, file);
        enum err err = write_again(scan, walk, error);
        if (err != OK) {
            return err;
        }
        if (last) {
            judge_end(scan, walk, continued);
        }
        if (!go_on) {
            break;
        }
    }
    return OK;
}

/* F over everything after the walk's end. */
static bool collect_frontier(struct scan *scan)
{
    struct log_segments *segments = scan->segments;
    bool complete = !scan->rest.read_failed;
    raise_to(&scan->frontier, scan->rest.durable_to);
    for (size_t i = 0; i < segments->count; i++) {
        const struct log_segment_header *header = &segments->list[i].header;
        raise_to(&scan->frontier, header->durable_to);
        if (i <= scan->index) {
            continue;
        }
        int file = log_segments_open_readable(segments, header->base, false);
        struct log_frontier found = {.read_failed = true};
        if (file >= 0) {
            found = log_scan_frontier(&segments->disk, file, header, header->base);
            disk_close(&segments->disk, file);
        }
        complete = complete && !found.read_failed;
        raise_to(&scan->frontier, found.durable_to);
    }
    return complete;
}

/* Moves what is not part of the log out of the way. */
static enum err keep_aside(struct scan *scan, struct error *error)
{
    struct log_segments *segments = scan->segments;
    struct log_recovery *recovery = scan->recovery;
    const struct log_segment_header header = segments->list[scan->index].header;
    uint64_t end = recovery->end;
    bool reused = (header.flags & LOG_SEGMENT_REUSED) != 0;
    bool torn = scan->rest.first_valid != UINT64_MAX || (!reused && scan->rest.data_end > end);
    bool later = scan->index + 1 < segments->count;
    bool whole = torn && end == header.base; /* no frame of that segment is good */
    enum err err = scan->unused == UINT64_MAX ? OK : log_segments_keep_file(segments, scan->unused);
    if (err == OK) {
        err = set_aside(segments, recovery, scan->index + 1, segments->count);
    }
    if (err == OK && whole && scan->options->accept_loss) {
        err = set_aside(segments, recovery, scan->index, scan->index + 1);
    } else if (err == OK && torn) {
        /* Without a loss at most one frame was under way. */
        uint64_t data_end = scan->rest.data_end;
        if (!scan->options->accept_loss && data_end - end > LOG_FRAME_BYTES_MAX) {
            data_end = end + LOG_FRAME_BYTES_MAX;
        }
        int file = log_segments_open_readable(segments, header.base, false);
        err = file < 0 ? ERR_UNAVAILABLE
                       : log_segments_keep_torn(segments, file, header.base, end, data_end);
        recovery->torn_bytes += data_end - end;
        if (file >= 0) {
            disk_close(&segments->disk, file);
        }
        if (err == OK && whole) {
            CHECK(recovery->resume == end); /* the new segment takes its name */
            log_segments_forget(segments, scan->index);
        }
    }
    recovery->end = whole ? header.prev_end : end;
    recovery->append = !torn && !later && recovery->resume == end;
    /* Without a hole when that segment itself went. */
    recovery->next_number = segments->count > scan->index ? header.number + 1 : header.number;
    return err == OK ? OK : cannot(error, err, scan, "keep the torn end", header.base);
}

static enum err decide(struct scan *scan, const struct log_walk *walk, struct error *error)
{
    struct log_recovery *recovery = scan->recovery;
    const struct log_segment_header *header = &scan->segments->list[scan->index].header;
    bool complete = collect_frontier(scan);
    recovery->end = walk->position;
    recovery->seq = walk->seq;
    recovery->prev_hash = walk->prev_hash;
    recovery->frontier = scan->frontier;
    bool lost = walk->position < scan->frontier || !complete;
    if (lost && !scan->options->accept_loss) {
        const char *problem = scan->problem != NULL ? scan->problem : "it can't be read";
        if (scan->rest.first_valid == UINT64_MAX && scan->frontier == scan->options->verify_from) {
            problem = "the log ends before the newest snapshot";
        }
        return refuse(error, problem, header->base, walk->position, scan->frontier);
    }
    uint64_t up = (scan->frontier + LOG_BLOCK - 1) / LOG_BLOCK * LOG_BLOCK;
    recovery->resume = up > recovery->end ? up : recovery->end;
    recovery->lost_from = recovery->end;
    recovery->lost_to = recovery->resume;
    FAILPOINT(RECOVERY_BEFORE_ASIDE);
    enum err err = keep_aside(scan, error);
    FAILPOINT(RECOVERY_AFTER_ASIDE);
    return err;
}

static enum err recover_empty(struct scan *scan, struct error *error)
{
    struct log_recovery *recovery = scan->recovery;
    recovery->empty = true;
    recovery->sealed = true;
    if (scan->frontier > 0 && !scan->options->accept_loss) {
        return refuse(error, "there is no segment, but a snapshot", 0, 0, scan->frontier);
    }
    recovery->resume = (scan->frontier + LOG_BLOCK - 1) / LOG_BLOCK * LOG_BLOCK;
    recovery->end = recovery->resume;
    recovery->lost_to = recovery->resume;
    return OK;
}

enum err log_recover(struct log_segments *segments,
                     const struct log_file_options *options,
                     struct log_recovery *recovery,
                     struct error *error)
{
    *recovery = (struct log_recovery){0};
    struct scan scan = {.segments = segments,
                        .options = options,
                        .recovery = recovery,
                        .frontier = options->verify_from,
                        .unused = UINT64_MAX};
    size_t start = 0;
    enum err err = check_segments(&scan, &start, error);
    if (err != OK) {
        return err;
    }
    if (segments->count == 0) {
        return recover_empty(&scan, error);
    }
    struct log_walk walk;
    log_walk_init(&walk, &segments->disk);
    err = walk_frames(&scan, start, &walk, error);
    FAILPOINT(RECOVERY_WALKED);
    if (err == OK) {
        err = decide(&scan, &walk, error);
    }
    log_walk_deinit(&walk);
    return err;
}
