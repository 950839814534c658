/* A log in memory that keeps the port's promises as badly as they allow: a frame becomes durable
 * only after a number of polls, frames of the log's own lie between, the disk may be full, readers
 * may be short of memory, a crash may keep or lose what was in flight. */
#pragma once

#include "ports/log.h"

struct memory_frame {
    uint64_t position;
    uint64_t end;
    uint32_t record_count;
    uint8_t *body;
    size_t body_len;
};

struct memory_log {
    struct memory_frame *frames;
    size_t count;
    size_t cap;
    uint64_t end; /* where the next frame begins, or later */

    /* How it behaves. */
    uint32_t polls_to_durable; /* 0 and 1: at the first poll */
    uint64_t own_frame_bytes;  /* between any two frames; a multiple of 4096 */
    bool full;                 /* what status says */
    bool refuses;              /* submit: ERR_NO_SPACE */
    bool trims;                /* drops frames when it may */
    uint32_t short_reads;      /* so many of the next reads answer ERR_OVERLOADED */

    /* Who is told. on_read is called before each read: in a world of one thread, the moment when
     * others get their turn while somebody reads. */
    void (*durable)(void *ctx, struct log_frame *frame);
    void *durable_ctx;
    void (*on_read)(void *ctx);
    void *on_read_ctx;

    /* What is under way. */
    struct log_frame *in_flight;
    struct memory_frame pending; /* the copy made at submit */
    uint32_t polls_left;
    uint64_t submits;
    uint64_t refusals;
};

void memory_log_init(struct memory_log *log);
void memory_log_deinit(struct memory_log *log);

struct log_port memory_log_port(struct memory_log *log);
struct log_reader_port memory_log_reader_port(struct memory_log *log);

/* The process died: a frame in flight is either there at the next start or not. Nobody is told. */
void memory_log_crash(struct memory_log *log, bool keep_in_flight);
