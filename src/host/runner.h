/* A runner: one thread's share of the partitions, fed with frames, asked with queries.
 *
 *                      frame
 *                        v          PULSE                    all peers ready
 *      IDLE -------> APPLYING ------------> AT_BARRIER ------------------------> APPLYING
 *       ^               |                  (own deltas are written,                 |
 *       +--- end -------+                   peers are told)                 snapshot pulse?
 *                                                                                   v
 *                                                              released <------- PARKED
 *
 * A turn applies one record and answers one query. While there are records to apply, queries get at most
 * as much time as they: whoever asks much waits, and what is counted goes on.
 *
 * runner_step never blocks: the thread (or the simulator) calls it again when a letter came. */
#pragma once

#include "core/engine.h"
#include "host/applying.h"
#include "host/frame_pool.h"
#include "host/post.h"
#include "host/query.h"
#include "ports/clock.h"

enum runner_state {
    RUNNER_IDLE,
    RUNNER_APPLYING,
    RUNNER_AT_BARRIER,
    RUNNER_PARKED,
};

struct ready_letter {
    struct letter letter;
    uint32_t runner;
    uint64_t ordinal;
};

struct runner {
    uint32_t number;
    uint32_t address;
    struct post *post;
    struct clock_port clock;
    struct engine *engine;
    struct engine *const *owners; /* by partition: whose engine holds it */
    enum runner_state state;

    struct frame *frames[FRAMES_MAX]; /* queue */
    uint32_t frame_count;
    struct reader reader;              /* in frames[0] */
    uint32_t waiter;                   /* next one in frames[0] */
    struct pulse pulse;                /* at the barrier */
    uint64_t peers_ready[RUNNERS_MAX]; /* highest ordinal each has reached */
    struct ready_letter ready[2];
    struct letter park;

    struct applying applying; /* the record that is being applied now */

    uint64_t visible;               /* log position that reads reflect */
    struct applied_note *notes;     /* told at the next pulse */
    struct query_part *query_first; /* queue: not looked at yet */
    struct query_part *query_last;
    int64_t queries_again_us;        /* since boot: until then, records have their turn */
    struct query_part *deferred[64]; /* queries waiting for min_as_of */
    uint32_t deferred_count;
};

void runner_init(struct runner *runner,
                 uint32_t number,
                 struct post *post,
                 struct clock_port clock,
                 struct engine *engine,
                 struct engine *const *owners);

/* Does what can be done now; false when nothing could. */
bool runner_step(struct runner *runner);

/* How long the thread may sleep when nothing comes; -1: for ever. */
int64_t runner_patience_us(const struct runner *runner);
