/* One life of the simulated process: the whole engine as the server wires it (apps/node.c), from the
 * opening of its files to its end, on fibers instead of threads.
 *
 *     sequencer   fiber: opens the files, restores, replays, then orders the log
 *     librarian   fiber: reads the kept log
 *     writer      fiber: what the forked copy does that writes a snapshot
 *     runners, gateways: never wait inside, so they are stepped
 *
 * A part waits in the disk, or for a letter, or for a moment of the clock. process_settle gives
 * turns, in an order that the tape says, until all wait; process_next says until when. */
#pragma once

#include "adapters/log_file/log_file.h"
#include "host/gateway_thread.h"
#include "host/librarian.h"
#include "host/sequencer.h"
#include "sim/fiber.h"
#include "sim/machine.h"
#include "sim/snapshots.h"

/* What a fiber is waiting for. */
struct process_thread {
    struct fiber *fiber;
    struct process *process;
    uint32_t address; /* at the post */
    int64_t wake_at;  /* true time */
    bool on_letters;  /* a letter wakes it as well */
};

struct process_options {
    uint32_t runners;
    uint32_t partitions;
    uint32_t gateways;
    uint32_t letters_max;
    uint32_t bytes_max;
    int64_t pulse_every_us;
    int64_t dedup_horizon_us;
    uint64_t snapshot_every_bytes; /* 0: never by itself */
    uint64_t segment_bytes;
    int64_t retain_us;
    uint64_t retain_bytes;
    uint64_t hash_seed;
    uint32_t timers_pending; /* these four: per partition */
    uint32_t timers_ended;
    uint32_t feed_bytes;
    int64_t feed_keep_us;
    bool feed_whole;       /* feed_bytes are enough for all that a run tells */
    uint64_t replay_until; /* UINT64_MAX: to the end, and live on */
    bool ignore_snapshots;
    bool accept_loss;
    bool uneven; /* turns are skipped at random */
};

enum process_state {
    PROCESS_STARTING,
    PROCESS_READY,
    PROCESS_LOOKED,  /* replay_until was reached: nothing more will come */
    PROCESS_CLOSED,  /* drained, and the log sealed */
    PROCESS_REFUSED, /* it would not start: exit_code, error */
};

/* Who is told what the process does; on the simulator's side of memory. */
struct process_witness {
    /* The log was recovered and opened; nothing has been written since. */
    void (*opened)(void *ctx, struct process *process);

    /* A frame has become durable; nobody else knows yet. */
    void (*durable)(void *ctx, const struct log_frame *frame);
    void *ctx;
};

struct process {
    struct machine *machine;
    struct process_options options;
    enum process_state state;
    int exit_code;
    struct error error;
    struct post post;
    struct steady steady;
    struct log_file *log;
    struct log_file_start log_start;
    struct sim_snapshots snapshots;
    struct sequencer sequencer;
    struct librarian *librarian;
    struct runner runners[RUNNERS_MAX];
    struct gateway *gateways[RUNNERS_MAX];
    struct engine *owners[PARTITIONS_MAX];
    struct process_thread threads[3];
    uint64_t replay_from;
    bool drain;
    struct process_witness witness;
};

/* What its engines are made with. */
struct engine_limits process_limits(const struct process_options *options);

/* Begins a life: *process is the simulator's memory, what it allocates is the process's. */
void process_start(struct process *process,
                   struct machine *machine,
                   const struct process_options *options,
                   const struct process_witness *witness);

/* Turns for all until nothing moves at this moment of true time, or the process ended. */
void process_settle(struct process *process);

/* The next moment of true time at which a part wants to go on; INT64_MAX: none does. */
int64_t process_next(const struct process *process);

/* Nothing that was asked is under way, and no thread still waits for the disk: a slow operation may
 * take longer than the storm it began in, and what comes meanwhile lies unread. Of a process that is
 * READY. */
bool process_is_calm(const struct process *process);

/* From now on: refuse, come to rest, seal, close (PROCESS_CLOSED). */
void process_drain(struct process *process);

/* Whether the machine says it is over; then process_bury. */
bool process_ended(const struct process *process);

/* Drops everything it had, whatever it was doing, and lets the machine draw the consequences. */
void process_bury(struct process *process);

/* At rest after a pulse. */
uint64_t process_digest(struct process *process);
