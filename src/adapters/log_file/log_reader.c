/* Readers of the open log: own file handles, own buffers, no word with the writer but its
 * durable end (an atomic) and the segment table (a lock, once per segment, and per step in the last
 * one).
 *
 *     UNPLACED ──first next()──► PLACED ──trimmed away──► ERR_UNAVAILABLE, stands at the oldest
 * frame
 *
 * Invariants:
 *  1. No byte at or above the durable end is ever looked at.
 *  2. A frame that fails its proof is damage only if its segment is still in the table after a
 *     second look at the disk; else it was recycled under the reader. */
#include "adapters/log_file/log_file.h"

#include "adapters/log_file/log_disk.h"
#include "adapters/log_file/log_state.h"
#include "adapters/log_file/log_walk.h"
#include "base/check.h"

#include <errno.h>
#include <stdlib.h>

#define LOOKS_MAX 3

struct log_reader {
    struct log_file *log;
    struct log_walk walk;
    int looks;              /* at the same frame */
    int file;               /* of the entered segment; -1: none */
    bool searching;         /* frames that begin before `target` are skipped */
    uint64_t target;        /* where to stand */
    struct log_place place; /* of the entered segment */
};

static void leave(struct log_reader *reader)
{
    if (reader->file >= 0) {
        disk_close(&reader->log->segments.disk, reader->file);
    }
    reader->file = -1;
}

static void *reader_open(void *ctx, uint64_t position)
{
    struct log_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return NULL;
    }
    reader->log = ctx;
    reader->file = -1;
    reader->target = position;
    log_walk_init(&reader->walk, &reader->log->segments.disk);
    return reader;
}

static void reader_close(void *handle)
{
    struct log_reader *reader = handle;
    leave(reader);
    log_walk_deinit(&reader->walk);
    free(reader);
}

/* Enters the segment of reader->target, or of the first frame kept after it. */
static enum err enter(struct log_reader *reader)
{
    struct log_segments *segments = &reader->log->segments;
    leave(reader);
    if (!log_segments_find(segments, reader->target, &reader->place)) {
        return ERR_UNAVAILABLE;
    }
    if (reader->target >= reader->place.end) {
        /* Behind an accepted loss: the log goes on in the next segment. */
        reader->target = reader->place.next;
        if (!log_segments_find(segments, reader->target, &reader->place)) {
            return ERR_UNAVAILABLE;
        }
    }
    reader->file = log_segments_open_readable(segments, reader->place.header.base, false);
    if (reader->file < 0) {
        /* Trimmed since, or no file descriptor is left just now. */
        return errno == ENOENT ? ERR_UNAVAILABLE : ERR_OVERLOADED;
    }
    log_walk_enter(&reader->walk, reader->file, &reader->place.header);
    reader->searching = reader->searching || reader->target % LOG_BLOCK != 0;
    if (!reader->searching) {
        log_walk_seek(&reader->walk, reader->target);
    }
    reader->looks = 0;
    return OK;
}

/* The place is no longer kept: stand at the oldest frame. */
static enum err restart(struct log_reader *reader)
{
    leave(reader);
    reader->target = log_segments_oldest(&reader->log->segments);
    reader->searching = false;
    return ERR_UNAVAILABLE;
}

/* From the medium, if it can still be opened; else as it was. */
static void reread(struct log_reader *reader)
{
    struct log_walk *walk = &reader->walk;
    int file = log_segments_open_readable(&reader->log->segments, walk->base, true);
    if (file >= 0) {
        leave(reader);
        reader->file = file;
    }
    log_walk_reread(walk, reader->file);
}

/* A frame below the durable end could not be proved. OK: look again. */
static enum err look_again(struct log_reader *reader)
{
    struct log_walk *walk = &reader->walk;
    if (walk->base < log_segments_oldest(&reader->log->segments)) {
        return restart(reader);
    }
    if (!walk->chained && !reader->searching) {
        reader->searching = true; /* the target is not where a frame begins: search from the base */
        leave(reader);
        return OK;
    }
    if (++reader->looks >= LOOKS_MAX) {
        char name[LOG_NAME_BYTES];
        log_segment_name(name, walk->base);
        disk_damaged(&reader->log->segments.disk, walk->problem, name, walk->position);
    }
    reread(reader);
    return OK;
}

/* True when the frame just walked over is one for the caller. */
static bool accept_frame(struct log_reader *reader, struct log_view *view)
{
    struct log_walk *walk = &reader->walk;
    const struct log_frame_header *frame = &walk->frame;
    reader->looks = 0;
    if ((frame->flags & LOG_FLAG_CONTINUES) != 0) {
        leave(reader);
        reader->target = reader->target > walk->position ? reader->target : walk->position;
        reader->searching = reader->searching && reader->target > walk->position;
    }
    if ((frame->flags & LOG_FLAG_SEAL) != 0 ||
        (reader->searching && frame->position < reader->target)) {
        return false;
    }
    reader->searching = false;
    *view = (struct log_view){.position = frame->position,
                              .end = walk->position,
                              .record_count = frame->record_count,
                              .body = walk->body};
    return true;
}

static enum err reader_next(void *handle, struct log_view *view)
{
    struct log_reader *reader = handle;
    for (;;) {
        uint64_t durable = atomic_load_explicit(&reader->log->durable_end, memory_order_acquire);
        if (reader->file < 0) {
            if (reader->target >= durable) {
                return ERR_NOT_FOUND;
            }
            enum err err = enter(reader);
            if (err != OK) {
                return err == ERR_UNAVAILABLE ? restart(reader) : err;
            }
        }
        uint64_t end = reader->place.end;
        if (reader->walk.position >= end) {
            leave(reader);
            reader->target =
                reader->target > reader->place.next ? reader->target : reader->place.next;
            continue;
        }
        enum err err = OK;
        switch (log_walk_next(&reader->walk, durable < end ? durable : end)) {
        case LOG_WALK_FRAME:
            if (accept_frame(reader, view)) {
                return OK;
            }
            break;
        case LOG_WALK_END:
            if (durable < end) {
                return ERR_NOT_FOUND;
            }
            break;
        case LOG_WALK_NO_MEMORY:
            return ERR_OVERLOADED;
        case LOG_WALK_FAILED:
        case LOG_WALK_BAD:
            err = look_again(reader);
            break;
        }
        if (err != OK) {
            return err;
        }
    }
}

struct log_reader_port log_file_reader_port(struct log_file *log)
{
    static const struct log_reader_ops ops = {reader_open, reader_next, reader_close};
    return (struct log_reader_port){.ops = &ops, .ctx = log};
}
