/* The inside of an open log: shared by its writer (log_file.c) and its readers (log_reader.c). */
#pragma once

#include "adapters/log_file/log_segments.h"
#include "ports/log.h"

#include <stdatomic.h>

struct log_file {
    /* Any thread. */
    _Alignas(64) _Atomic uint64_t durable_end;
    _Atomic bool full;
    struct log_segments segments; /* its table under its lock, the rest the writer's */

    /* The writing thread's. */
    _Alignas(64) int file; /* the last segment; -1: none */
    bool direct;           /* writes are durable when they return; else a sync follows */
    bool sealed;           /* the last frame is a seal, or there is none yet */
    char name[LOG_NAME_BYTES];
    struct log_segment_header segment; /* the last one */
    uint64_t end;                      /* position of the next frame */
    uint64_t segment_end;              /* position at which the file is used up */
    uint64_t written_end;              /* below it no extent is unwritten, as far as known */
    uint64_t seq;
    uint64_t prev_hash;
    struct log_frame *in_flight;
    uint8_t *seal; /* one block */
    uint64_t trim_position;
    int64_t retain_us;
    uint64_t retain_bytes;
    int64_t seal_after_us;
    int64_t clock_us;         /* of the last idle() */
    int64_t idle_since_us;    /* clock of the first idle() since the last frame; 0: none yet */
    int64_t housekept_us;     /* clock of the last housekeeping */
    int64_t prepare_tried_us; /* clock of the last attempt to make a spare */
    void (*durable)(void *ctx, struct log_frame *frame);
    void *durable_ctx;
};
