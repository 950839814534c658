/* A frame on its way: filled by the sequencer, made durable by the log, applied by every runner. */
#pragma once

#include "host/proposal.h"
#include "ports/log.h"

#define FRAME_WAITERS_MAX 1024

/* A proposal that wants to know what became of its events or commands. */
struct frame_waiter {
    uint32_t record_end; /* its records lie below this offset of the body (and above the last's) */
    struct proposal *proposal;
};

/* What a runner says when it is through with a frame. */
struct frame_report {
    int64_t next_due;          /* W at which the next window closes or is final; INT64_MAX: none */
    int64_t next_due_by_clock; /* the same for metrics on chosen lanes that follow the clock */
    int64_t next_due_clock; /* the engine's clock at which the next timer is due; INT64_MAX: none */
};

struct frame {
    struct letter letter; /* the same one goes to all runners */
    struct log_frame log;
    uint32_t missing; /* runners that have not returned it; the sequencer's */
    bool free;
    bool replayed; /* from the log: already durable, nobody waits */
    uint32_t waiter_count;
    struct frame_waiter waiters[FRAME_WAITERS_MAX];
    struct frame_report reports[RUNNERS_MAX];
};

static inline struct bytes frame_body(const struct frame *frame)
{
    return bytes_of(frame->log.data + LOG_FRAME_HEADER, frame->log.body_len);
}
