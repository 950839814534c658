/* The sequencer: the one thread that orders the log.
 *
 *    proposals --> queue --> frame (stamped by tide, decided by host/decide.c) --> log, durable
 *                                                                                   |
 *       proposers are answered <----------------------------------------------------+
 *       every runner gets the frame <-----------------------------------------------+
 *
 * Group commit: while one frame is written, proposals gather; the next frame takes all that fit. A
 * pulse ends a frame when something is to be handed over, or a timer is due, and the last pulse is
 * PULSE_EVERY old.
 *
 * Invariants:
 *  1. Nothing is answered, and no runner sees a frame, before the frame is durable.
 *  2. A proposal's records lie in one frame.
 *  3. A pulse is the last record of its frame.
 *  4. There are so many frames (frame_pool.h): runners that fall behind hold back the log, and so the
 *     senders.
 *  5. A frame that waits for space while the process drains is given up: its proposals are refused
 *     and, as tide and catalogue are ahead of the log by then, nothing is written after it.
 */
#pragma once

#include "core/engine.h"
#include "host/answers.h"
#include "host/applying.h"
#include "host/catalog.h"
#include "host/consumers.h"
#include "host/frame_pool.h"
#include "host/inspection.h"
#include "host/post.h"
#include "host/runner.h"
#include "host/steady.h"
#include "host/tide.h"
#include "ports/clock.h"
#include "ports/log.h"
#include "ports/payloads.h"
#include "ports/snapshot.h"

#define SEQUENCER_EARLY_MAX 256 /* more than all workers of a bulk load have under way */
#define SEQUENCER_TICK_US   100000
#define SEQUENCER_SLOW_US   US_PER_SECOND

struct sequencer_options {
    struct post *post;
    struct clock_port clock;
    struct steady *steady; /* the sequencer looks for all others; NULL: `clock` is trusted */
    struct log_port log;
    struct log_reader_port log_reader;
    struct snapshot_port snapshot;
    struct payload_port payloads;
    struct runner *runners; /* post->runner_count of them */
    struct genesis genesis; /* for a log that has none yet; else overwritten by the log's */
    int64_t pulse_every_us;
    int64_t pause_us; /* so long between two turns: the process stood still; 0: it never does */
    uint64_t snapshot_every_bytes; /* of log; 0 = never by itself */
    uint64_t replay_until;         /* UINT64_MAX: to the end */
    size_t frame_bytes_max;        /* what the log takes; 0: LOG_FRAME_BYTES_MAX */
    struct answers_limits answers; /* 0: their own */
    const _Atomic bool *abandon;   /* true: stop replaying, nothing will be asked any more */
    /* Called between pieces of a partition that is being loaded from a snapshot; NULL: not wanted. */
    void (*loading)(void *ctx, uint32_t partition);
    void *loading_ctx;
};

/* A snapshot between its pulse and the moment when all runners stand still. */
struct snapshot_attempt {
    bool wanted;
    bool under_way;
    uint32_t parked;
    uint64_t position;
    uint8_t *host_state; /* tide, catalogue and consumers as of its pulse */
    size_t host_state_len;
    struct letter releases[RUNNERS_MAX];
    uint64_t last_position; /* of the newest snapshot; UINT64_MAX: none */
    struct clock_time last_taken;
    uint64_t log_end_at_last;
};

/* Proposals that came before their place's turn: parsed by several threads, entered in order. */
struct sequencer_places {
    uint64_t next; /* whose turn it is */
    uint32_t count;
    struct proposal *early[SEQUENCER_EARLY_MAX];
};

struct sequencer {
    struct sequencer_options options;
    struct tide tide;
    struct catalog catalog;
    struct consumers consumers;
    struct answers answers;
    struct frame_pool frames;
    struct frame *filling;  /* being filled or written */
    struct proposal *first; /* queue */
    struct proposal *last;
    struct proposal *in_frame_first; /* proposals of the frame that is written */
    struct proposal *in_frame_last;
    struct sequencer_places places;
    struct proposal *snapshot_waiters;
    bool submitted; /* `filling` is in flight */
    bool durable;   /* and has become durable */
    bool abandoned; /* the replay was */
    bool ready;     /* replayed */
    bool full;      /* the disk is */
    bool given_up;  /* draining, and no space for the frame that waited: nothing more is written */
    uint64_t pulse_ordinal;
    struct clock_time clock;               /* never goes back */
    struct clock_time snapshot_not_before; /* by itself: as long again as the replay took */
    struct clock_time last_pulse;
    struct clock_time last_tick;
    struct clock_time last_refused;
    struct clock_time last_full;
    struct clock_time last_resumed;
    int64_t turned_us;      /* boot time of the last turn; 0: there was none */
    int64_t last_watermark; /* as the last pulse said */
    bool last_held;         /* it said HOLD */
    bool handover;          /* records since the last pulse */
    bool moved;             /* W or a lane changed since the last pulse */
    bool skews_changed;     /* the network threads are to be told */
    bool closed;            /* no new request is taken: silence means nothing any more */
    bool final_pulse;       /* draining: hand everything over */
    int64_t next_due;       /* of struct frame_report, least of all runners */
    int64_t next_due_by_clock;
    int64_t next_due_clock;
    struct applying applying; /* replaying: the record that tide and catalogue take */
    uint64_t position;        /* end of the last frame */
    uint64_t frame_count;
    uint64_t slow_writes; /* took SEQUENCER_SLOW_US or more */
    uint64_t event_count;
    struct snapshot_attempt attempt;
};

/* False when there is no memory. */
bool sequencer_init(struct sequencer *sequencer, const struct sequencer_options *options);
void sequencer_deinit(struct sequencer *sequencer);

/* The log calls this when the frame in flight is safe (log_file's `durable`). ctx: the sequencer.
 */
void sequencer_durable(void *ctx, struct log_frame *frame);

/* One turn: takes letters, fills and submits a frame, drives the log. False when idle. */
bool sequencer_step(struct sequencer *sequencer);

/* How long the thread may sleep when nothing comes. */
int64_t sequencer_patience_us(const struct sequencer *sequencer);

/* Everything durable, applied and answered: the log may be closed. */
bool sequencer_is_idle(const struct sequencer *sequencer);

/* Gives a durable frame to every runner; it is free again when all have returned it. */
void sequencer_hand_out(struct sequencer *sequencer, struct frame *frame);

/* --- host/decide.c --- */

/* Decides about a command and, if it is taken, writes its records and lets them act. */
void sequencer_put_command(struct sequencer *sequencer,
                           struct frame *frame,
                           struct proposal *proposal,
                           struct buf *out);

/* --- host/replay.c --- */

/* Loads the newest snapshot into tide, catalogue and engines (before the runners' threads start);
 * *from is where the log goes on. False: a snapshot that is whole could not be understood. */
bool sequencer_restore(struct sequencer *sequencer, uint64_t *from);

/* Reads the log from there on and feeds the runners; then everything is ready. Returns the number
 * of events replayed. Runs on the sequencer's thread; may block. */
uint64_t sequencer_replay(struct sequencer *sequencer, uint64_t from);

/* Writes a snapshot of everything: what `start` of ports/snapshot.h is given. */
void sequencer_write_snapshot(void *sequencer, struct snapshot_sink *sink);

/* Captures tide and catalogue for a snapshot at the pulse that was just written. */
bool sequencer_capture(struct sequencer *sequencer);

/* The digest of the whole core: hash of the shared part and all partitions in order. At a pulse. */
uint64_t sequencer_digest(struct sequencer *sequencer);

/* --- host/inspect.c --- */
void sequencer_inspect(struct sequencer *sequencer, struct inspection *inspection);
