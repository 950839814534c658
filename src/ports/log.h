/* The durable log: an ordered sequence of frames, each a run of records that becomes durable whole.
 *
 * Positions are byte offsets in the endless log: frame n+1 begins where frame n ends (padding
 * included) or later, when frames of the log's own, which readers don't see, lie between. A frame
 * is in one of three states: submitted, durable (its callback ran), or gone (the process died
 * first; nobody was told it was kept).
 *
 * The writing side belongs to one thread; at most one frame is in flight. Readers are independent
 * of it and of each other, see only durable frames, and may live in other threads. */
#pragma once

#include "base/err.h"

/* A frame under construction. The log owns the first LOG_FRAME_HEADER bytes of `data`; the body
 * follows. `data` is 4 KiB aligned and its capacity a multiple of 4 KiB. */
#define LOG_FRAME_HEADER    64
#define LOG_FRAME_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct log_frame {
    uint8_t *data;
    size_t capacity;       /* of data, header included */
    size_t body_len;       /* written by the caller */
    uint32_t record_count; /* written by the caller */
    uint64_t position;     /* set by submit: where the frame begins */
    uint64_t end;          /* set by submit: the next one begins there or later */
};

struct log_status {
    uint64_t oldest;      /* position of the oldest frame kept */
    uint64_t durable_end; /* end of the last durable frame */
    uint64_t bytes_on_disk;
    uint64_t segment_count;
    bool full; /* no space for another segment: what can wait must not be submitted; what can't (a
                  pulse) still may, while the current segment lasts. Heals by itself. */
};

struct log_ops {
    /* Starts writing. The frame must stay untouched until `durable` is called for it. Never called
     * while another is in flight. ERR_NO_SPACE: refused, nothing happened. */
    enum err (*submit)(void *ctx, struct log_frame *frame) MUST_CHECK;

    /* Drives the write; calls `durable` (given at creation) when the frame is safe. The file log
     * writes here and blocks meanwhile. A failed write or sync ends the process (exit 74). */
    void (*poll)(void *ctx);

    /* Everything before `position` is covered by the oldest kept snapshot: segments wholly below
     * may go, once they are beyond retain_events as well. */
    void (*trim)(void *ctx, uint64_t position);

    /* Idle housekeeping: seal frame, prepare the next segment, heal from a full disk. */
    void (*idle)(void *ctx, int64_t clock_us);

    void (*status)(void *ctx, struct log_status *status);
};

struct log_port {
    const struct log_ops *ops;
    void *ctx;
};

/* The reading side. */
struct log_view {
    uint64_t position;
    uint64_t end;
    uint32_t record_count;
    struct bytes body; /* valid until the next call on this reader */
};

struct log_reader_ops {
    /* A reader placed at the first frame that begins at or after `position`; NULL on no memory. */
    void *(*open)(void *ctx, uint64_t position);

    /* The next durable frame. OK; ERR_NOT_FOUND at the end (more may come later); ERR_UNAVAILABLE
     * when the frame is no longer kept (the reader then stands at the oldest frame); ERR_OVERLOADED
     * when memory or file descriptors are short just now (try again). Damage below the durable end
     * ends the process (exit 75). Verifies CRC, hash and chain of what it returns. */
    enum err (*next)(void *reader, struct log_view *view);

    void (*close)(void *reader);
};

struct log_reader_port {
    const struct log_reader_ops *ops;
    void *ctx;
};
