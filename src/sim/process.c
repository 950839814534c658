/* A life: see process.h for who runs where.
 *
 * base's waker is the one place in which the engine's threads sleep. The simulator is linked with
 * its functions wrapped: to sleep is to yield the fiber, to wake is nothing (whoever waits for
 * letters is asked in each round).
 *
 * Invariants:
 *  1. Product code runs on the process's side of memory, everything else on the simulator's.
 *  2. After the machine said that the process ended, none of its code runs again. */
#include "sim/process.h"

#include "base/check.h"
#include "base/hash.h"
#include "sim/memory.h"

#include <stdlib.h>
#include <string.h>

#define SHARED_BYTES    ((size_t)8 << 20)
#define PARTITION_BYTES ((size_t)16 << 20)
#define DEDUP_BYTES     ((size_t)8 << 20) /* nothing a run can send is forgotten for lack of room */
#define LATE_BYTES      ((size_t)1 << 16)
#define TIMERS_BYTES    ((size_t)3 << 20) /* as many as a run can arm */
#define ROUNDS_MAX      200000u
#define PAUSE_US        (2 * US_PER_SECOND) /* as apps/node.c */
#define SKIP_ONCE_IN    3
#define EXIT_DAMAGED    75

enum thread_number { THREAD_SEQUENCER, THREAD_LIBRARIAN, THREAD_WRITER, THREADS };

static struct process_thread *running; /* the fiber that has the turn */

/* --- sleeping --- */

void __wrap_waker_wait(struct waker *waker, int64_t timeout_us);
void __wrap_waker_wake(struct waker *waker);
void __wrap_waker_awake(struct waker *waker);
bool __wrap_waker_open(struct waker *waker);
void __wrap_waker_close(struct waker *waker);

static void sleep_until(int64_t wake_at, bool on_letters)
{
    struct process_thread *self = running;
    CHECK(self != NULL);
    self->wake_at = wake_at;
    self->on_letters = on_letters;
    bool side = memory_switch(false);
    fiber_yield();
    memory_switch(side);
}

void __wrap_waker_wait(struct waker *waker, int64_t timeout_us)
{
    CHECK(running != NULL && waker == &running->process->post.wakers[running->address]);
    int64_t now_us = running->process->machine->now_us;
    sleep_until(timeout_us < 0 ? INT64_MAX : now_us + timeout_us, true);
}

void __wrap_waker_wake(struct waker *waker)
{
    (void)waker;
}

void __wrap_waker_awake(struct waker *waker)
{
    (void)waker;
}

bool __wrap_waker_open(struct waker *waker)
{
    atomic_init(&waker->sleeping, 0);
    waker->event_fd = -1;
    return true;
}

void __wrap_waker_close(struct waker *waker)
{
    (void)waker;
}

static void wait_in_disk(void *ctx, int64_t us)
{
    struct process *process = ctx;
    sleep_until(process->machine->now_us + us, false);
}

/* As the server's threads rest. */
static void rest(struct process *process, uint32_t address, int64_t patience_us)
{
    struct waker *waker = &process->post.wakers[address];
    waker_prepare(waker);
    if (!post_waiting(&process->post, address)) {
        waker_wait(waker, patience_us);
    }
    waker_awake(waker);
}

/* --- starting --- */

static void refuse(struct process *process, int exit_code)
{
    process->exit_code = exit_code;
    process->state = PROCESS_REFUSED;
}

static void on_durable(void *ctx, struct log_frame *frame)
{
    struct process *process = ctx;
    bool side = memory_switch(false);
    process->witness.durable(process->witness.ctx, frame);
    memory_switch(side);
    sequencer_durable(&process->sequencer, frame);
}

static uint64_t snapshot_frontier(struct process *process)
{
    struct snapshot_port port = snapshot_dir_port(process->snapshots.dir);
    uint64_t position = 0;
    if (process->options
            .accept_loss) { /* as `tidemark log salvage` does: nothing good is to be given up */
        return snapshot_dir_prove(process->snapshots.dir, &position) == OK ? position : 0;
    }
    if (port.ops->open(port.ctx, UINT64_MAX, &position) != OK) {
        return 0;
    }
    port.ops->close(port.ctx);
    return position;
}

static struct disk_folder data_folder(const struct process *process)
{
    return (struct disk_folder){.disk = machine_disk(process->machine),
                                .handle = sim_disk_root(process->machine->disk),
                                .path = "data"};
}

static bool open_files(struct process *process)
{
    const struct process_options *options = &process->options;
    const struct snapshot_dir_options snapshot_options = {
        .data = data_folder(process),
        .in_process = true,
    };
    if (snapshot_dir_open(&snapshot_options, &process->snapshots.dir, &process->error) != OK) {
        refuse(process, 78);
        return false;
    }
    const struct log_file_options log_options = {
        .data = data_folder(process),
        .segment_bytes = options->segment_bytes,
        .retain_us = options->retain_us,
        .retain_bytes = options->retain_bytes,
        .verify_from = snapshot_frontier(process),
        .accept_loss = options->accept_loss,
        .durable = on_durable,
        .durable_ctx = process,
    };
    if (log_file_open(&log_options, &process->log, &process->log_start, &process->error) != OK) {
        refuse(process, process->log_start.exit_code);
        return false;
    }
    return true;
}

static void *region(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(memory != NULL);
    return memory;
}

struct engine_limits process_limits(const struct process_options *options)
{
    return (struct engine_limits){
        .partitions = options->partitions,
        .seed = options->hash_seed,
        .dedup_bytes = DEDUP_BYTES,
        .dedup_horizon_us = options->dedup_horizon_us,
        .late_bytes = LATE_BYTES,
        .timeouts_max = options->timers_pending,
        .timeouts_ended = options->timers_ended,
        .timeouts_bytes = TIMERS_BYTES,
        .timeouts_cold =
            options->hash_seed % 2 == 0 ? 0 : TIMERS_BYTES, /* either way the same answers */
        .feed_bytes = options->feed_bytes,
        .feed_keep_us = options->feed_keep_us,
        .watch_bytes = (size_t)4 << 20,
        .watch_ended = 10000,
    };
}

static void make_runners(struct process *process)
{
    const struct process_options *options = &process->options;
    struct engine_limits limits = process_limits(options);
    for (uint32_t n = 0; n < options->runners; n++) {
        struct engine *engine = region(sizeof(*engine));
        engine_init(engine, &limits, region(SHARED_BYTES), SHARED_BYTES);
        for (uint32_t p = n; p < options->partitions; p += options->runners) {
            engine_own(engine, p, region(PARTITION_BYTES), PARTITION_BYTES);
            if (limits.timeouts_cold > 0) {
                engine_own_cold(engine, p, region(PARTITION_BYTES), PARTITION_BYTES);
            }
            process->owners[p] = engine;
        }
        runner_init(&process->runners[n],
                    n,
                    &process->post,
                    steady_port(&process->steady),
                    engine,
                    process->owners);
    }
}

static void make_gateways(struct process *process)
{
    const struct process_options *options = &process->options;
    struct clock_time started = {machine_wall_us(process->machine)};
    for (uint32_t n = 0; n < options->gateways; n++) {
        struct gateway_options gateway_options = {
            .post = &process->post,
            .thread = n,
            .clock = steady_port(&process->steady),
            .facts = {.seed = options->hash_seed,
                      .partitions = options->partitions,
                      .runner_count = options->runners,
                      .dedup_horizon_us = options->dedup_horizon_us,
                      .started = started},
            .peers = process->gateways,
            .peer_count = options->gateways,
            .bytes_max = options->bytes_max,
            .letters_max = options->letters_max,
        };
        process->gateways[n] = gateway_create(&gateway_options);
        CHECK(process->gateways[n] != NULL);
    }
}

static void make_sequencer(struct process *process)
{
    const struct process_options *options = &process->options;
    struct sequencer_options sequencer_options = {
        .post = &process->post,
        .clock = steady_port(&process->steady),
        .steady = &process->steady,
        .log = log_file_port(process->log),
        .log_reader = log_file_reader_port(process->log),
        .snapshot = sim_snapshots_port(&process->snapshots),
        .runners = process->runners,
        .genesis = {.partitions = options->partitions,
                    .seed = options->hash_seed,
                    .created = {MACHINE_EPOCH_US}},
        .pulse_every_us = options->pulse_every_us,
        .pause_us = PAUSE_US,
        .snapshot_every_bytes = options->snapshot_every_bytes,
        .replay_until = options->replay_until,
        .frame_bytes_max = log_file_frame_bytes_max(process->log),
    };
    CHECK(sequencer_init(&process->sequencer, &sequencer_options));
    process->librarian = librarian_create(
        &process->post, log_file_reader_port(process->log), steady_port(&process->steady));
    CHECK(process->librarian != NULL);
}

/* --- the fibers --- */

static void close_in_order(struct process *process)
{
    log_file_close(process->log, true);
    snapshot_dir_close(process->snapshots.dir);
    process->state = PROCESS_CLOSED;
}

static bool restore(struct process *process)
{
    struct sequencer *sequencer = &process->sequencer;
    if (!process->options.ignore_snapshots &&
        !sequencer_restore(sequencer, &process->replay_from)) {
        refuse(process, EXIT_DAMAGED);
        return false;
    }
    if (process->log_start.oldest > process->replay_from) {
        refuse(process, EXIT_DAMAGED);
        return false;
    }
    return true;
}

static void run_sequencer(void *ctx)
{
    struct process *process = ctx;
    struct sequencer *sequencer = &process->sequencer;
    if (!open_files(process)) {
        return;
    }
    memory_switch(false);
    process->machine->quiet = true;
    process->witness.opened(process->witness.ctx, process);
    process->machine->quiet = false;
    memory_switch(true);
    make_runners(process);
    make_gateways(process);
    make_sequencer(process);
    process->threads[THREAD_LIBRARIAN].wake_at = 0;
    if (!restore(process)) {
        return;
    }
    (void)sequencer_replay(sequencer, process->replay_from);
    if (process->options.replay_until != UINT64_MAX) {
        process->state = PROCESS_LOOKED;
        return;
    }
    process->state = PROCESS_READY;
    while (true) {
        bool busy = sequencer_step(sequencer);
        sequencer->final_pulse = process->drain;
        if (process->drain && !busy && sequencer_is_idle(sequencer)) {
            close_in_order(process);
            return;
        }
        if (!busy) {
            rest(process, POST_SEQUENCER, sequencer_patience_us(sequencer));
        }
    }
}

static void run_librarian(void *ctx)
{
    struct process *process = ctx;
    while (true) {
        if (process->librarian == NULL || !librarian_step(process->librarian)) {
            rest(process, POST_LIBRARIAN, -1);
        }
    }
}

static void run_writer(void *ctx)
{
    struct process *process = ctx;
    while (true) {
        if (!sim_snapshots_write(&process->snapshots)) {
            sleep_until(INT64_MAX, false);
        }
    }
}

void process_start(struct process *process,
                   struct machine *machine,
                   const struct process_options *options,
                   const struct process_witness *witness)
{
    static void (*const mains[THREADS])(void *) = {run_sequencer, run_librarian, run_writer};
    memset(process, 0, sizeof(*process));
    process->machine = machine;
    process->options = *options;
    process->witness = *witness;
    steady_init(&process->steady, machine_clock(machine));
    machine->wait = wait_in_disk;
    machine->wait_ctx = process;
    bool side = memory_switch(true);
    CHECK(post_init(&process->post, options->runners, options->gateways));
    memory_switch(side);
    for (uint32_t n = 0; n < THREADS; n++) {
        struct fiber *fiber = fiber_create(mains[n], process);
        CHECK(fiber != NULL);
        process->threads[n] =
            (struct process_thread){.fiber = fiber, .process = process, .address = n};
        process->threads[n].wake_at = n == THREAD_SEQUENCER ? 0 : INT64_MAX;
    }
}

/* --- turns --- */

static bool thread_may_run(const struct process_thread *thread)
{
    struct process *process = thread->process;
    if (fiber_ended(thread->fiber)) {
        return false;
    }
    if (thread->wake_at <= process->machine->now_us) {
        return true;
    }
    if (thread == &process->threads[THREAD_WRITER] && process->snapshots.writing &&
        thread->wake_at == INT64_MAX) {
        return true;
    }
    return thread->on_letters && post_waiting(&process->post, thread->address);
}

static bool thread_turn(struct process_thread *thread)
{
    if (!thread_may_run(thread)) {
        return false;
    }
    running = thread;
    memory_switch(true);
    fiber_resume(thread->fiber);
    memory_switch(false);
    running = NULL;
    return true;
}

static bool part_turn(struct process *process, uint32_t part)
{
    if (part < THREADS) {
        return thread_turn(&process->threads[part]);
    }
    if (process->librarian == NULL) {
        return false; /* the files are being opened: nobody else is there yet */
    }
    part -= THREADS;
    memory_switch(true);
    bool busy = part < process->options.runners
                    ? runner_step(&process->runners[part])
                    : gateway_step(process->gateways[part - process->options.runners]);
    memory_switch(false);
    return busy;
}

static bool is_over(const struct process *process)
{
    return process->machine->ended != END_NONE || process->state == PROCESS_CLOSED ||
           process->state == PROCESS_REFUSED;
}

void process_settle(struct process *process)
{
    struct choice *choice = process->machine->choice;
    uint32_t parts = THREADS + process->options.runners + process->options.gateways;
    bool moved = true;
    for (uint32_t round = 0; moved && !is_over(process); round++) {
        CHECK(round < ROUNDS_MAX);
        moved = false;
        bool uneven = process->options.uneven;
        uint32_t first = uneven ? choose(choice, CHOICE_TURNS, parts) : 0;
        for (uint32_t n = 0; n < parts && !is_over(process); n++) {
            bool skip = uneven && choose_once_in(choice, CHOICE_TURNS, SKIP_ONCE_IN);
            moved |= skip || part_turn(process, (first + n) % parts);
        }
    }
}

int64_t process_next(const struct process *process)
{
    int64_t next = INT64_MAX;
    for (uint32_t n = 0; n < THREADS; n++) {
        const struct process_thread *thread = &process->threads[n];
        bool waits = !fiber_ended(thread->fiber);
        next = waits && thread->wake_at < next ? thread->wake_at : next;
    }
    for (uint32_t n = 0; process->librarian != NULL && n < process->options.runners; n++) {
        int64_t patience_us = runner_patience_us(&process->runners[n]);
        int64_t at = patience_us < 0 ? INT64_MAX : process->machine->now_us + patience_us + 1;
        next = at < next ? at : next;
    }
    return next;
}

bool process_is_calm(const struct process *process)
{
    CHECK(process->state == PROCESS_READY);
    uint32_t under_way = 0;
    for (uint32_t n = 0; n < process->options.gateways; n++) {
        under_way += gateway_under_way(process->gateways[n]);
    }
    return under_way == 0 && process->threads[THREAD_SEQUENCER].on_letters &&
           process->threads[THREAD_LIBRARIAN].on_letters;
}

void process_drain(struct process *process)
{
    process->drain = true;
    for (uint32_t n = 0; n < process->options.gateways && process->librarian != NULL; n++) {
        gateway_close(process->gateways[n]);
    }
}

bool process_ended(const struct process *process)
{
    return process->machine->ended != END_NONE;
}

void process_bury(struct process *process)
{
    for (uint32_t n = 0; n < THREADS; n++) {
        if (process->threads[n].fiber != NULL) {
            fiber_drop(process->threads[n].fiber);
            process->threads[n].fiber = NULL;
        }
    }
    memory_drop_all();
    if (process->machine->ended == END_NONE) {
        process->machine->ended = END_EXIT;
    }
    machine_bury(process->machine);
}

uint64_t process_digest(struct process *process)
{
    for (uint32_t n = 0; n < process->options.runners; n++) {
        CHECK(process->runners[n].state == RUNNER_IDLE);
        engine_validate(process->runners[n].engine);
    }
    return sequencer_digest(&process->sequencer);
}
