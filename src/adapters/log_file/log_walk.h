/* Walks the frames of one segment file in order and proves each of them.
 *
 * A walk knows what must come next (position, sequence number, hash of the frame before), so a
 * frame that is missing, misplaced, stale or damaged is found where it should have been. It reads
 * ahead in pieces of 1 MiB and more. */
#pragma once

#include "adapters/log_file/log_format.h"
#include "ports/disk.h"

enum log_walk_result {
    LOG_WALK_FRAME,  /* walk->frame and walk->body are the next frame; the walk stands behind it */
    LOG_WALK_END,    /* the walk stands at the limit */
    LOG_WALK_BAD,    /* no valid frame here; walk->problem says why. The walk does not move. */
    LOG_WALK_FAILED, /* a read error: nothing is known */
    LOG_WALK_NO_MEMORY, /* nor when there is no memory for the frame */
};

struct log_walk {
    const struct disk_port *disk;
    int file; /* borrowed; -1: none */
    uint64_t base;
    uint64_t salt;
    uint64_t position;  /* where the next frame begins */
    uint64_t seq;       /* what it must carry ... */
    uint64_t prev_hash; /* ... when chained */
    bool chained;       /* false: the walk began in the middle; the first frame sets the chain */
    uint8_t *buffer;
    size_t capacity;
    uint64_t from; /* position of buffer[0] */
    size_t filled;
    struct log_frame_header frame; /* the last one returned */
    struct bytes body;             /* valid until the next call */
    const char *problem;
};

/* No memory is taken before the first frame is read. */
void log_walk_init(struct log_walk *walk, const struct disk_port *disk);
void log_walk_deinit(struct log_walk *walk);

/* Goes to the first frame of a segment; the buffer is kept. */
void log_walk_enter(struct log_walk *walk, int file, const struct log_segment_header *header);

/* Goes to `position` in the entered segment; the chain is taken from the first frame there. */
void log_walk_seek(struct log_walk *walk, uint64_t position);

/* Reads the next frame. Nothing at or above `limit` is looked at: the durable end, or the base of
 * the next segment, or UINT64_MAX for the end of the file. */
enum log_walk_result log_walk_next(struct log_walk *walk, uint64_t limit);

/* Forgets what was read ahead and goes on with another handle of the same file, for a second look. */
void log_walk_reread(struct log_walk *walk, int file);

/* What is found at or after a position without trusting any order: every block is looked at. */
struct log_frontier {
    uint64_t durable_to;  /* the highest of all valid frame headers; 0: none found */
    uint64_t first_valid; /* position of the first valid header; UINT64_MAX: none */
    uint64_t data_end;    /* position after the last block that is not all zero */
    bool read_failed;
};
struct log_frontier log_scan_frontier(const struct disk_port *disk,
                                      int file,
                                      const struct log_segment_header *header,
                                      uint64_t position);
