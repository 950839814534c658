/* Looking at a log from outside: verify and dump. Read-only, without the lock; a running server may
 * write and trim meanwhile. */
#pragma once

#include "adapters/log_file/log_format.h"
#include "ports/disk.h"

enum log_segment_state {
    LOG_SEGMENT_GOOD,
    LOG_SEGMENT_TORN,    /* the last one ends in bytes that were never acknowledged */
    LOG_SEGMENT_DAMAGED, /* acknowledged data can't be proved */
};

/* One segment's findings. */
struct log_segment_report {
    char file[LOG_NAME_BYTES];
    enum log_segment_state state;
    uint64_t number;
    uint64_t base;
    uint64_t end; /* of its last good frame */
    uint64_t file_bytes;
    uint64_t frame_count; /* with records */
    uint64_t seal_count;
    uint64_t record_count;
    uint64_t body_bytes;
    const char *problem;       /* NULL: none */
    uint64_t problem_offset;   /* in the file */
    uint64_t problem_position; /* in the log */
};

struct log_verify_result {
    uint64_t oldest;
    uint64_t end;      /* of the last good frame before any damage */
    uint64_t frontier; /* what the files themselves say was durable */
    uint64_t segment_count;
    uint64_t damaged_count;
    uint64_t frame_count;
    uint64_t record_count;
};

/* Proves every frame of every segment; report is called once per segment, in order. OK when nothing
 * is damaged; ERR_UNPROCESSABLE when something is (all segments are looked at all the same);
 * another error when the directory can't be read. */
enum err log_verify(const struct disk_folder *data,
                    void (*report)(void *ctx, const struct log_segment_report *report),
                    void *ctx,
                    struct log_verify_result *result,
                    struct error *error) MUST_CHECK;

/* A walk over all frames, seals too. */
struct log_dump;

struct log_dump_frame {
    struct log_frame_header header;
    uint64_t end;
    uint64_t segment;  /* base of its segment */
    uint64_t offset;   /* in its file */
    struct bytes body; /* valid until the next call */
};

/* Stands at the first frame at or after `position`. ERR_NOT_FOUND: there is no segment. */
enum err log_dump_open(const struct disk_folder *data,
                       uint64_t position,
                       struct log_dump **dump,
                       struct error *error) MUST_CHECK;

/* OK, ERR_NOT_FOUND at the end of the log, or ERR_UNPROCESSABLE at a frame that can't be proved, in
 * the middle of the log (error says where). */
enum err
log_dump_next(struct log_dump *dump, struct log_dump_frame *frame, struct error *error) MUST_CHECK;

void log_dump_close(struct log_dump *dump);
