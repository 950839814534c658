/* A node: see node.h for its threads.
 *
 * Start: lock -> genesis -> log (recovery) -> engines -> snapshot -> threads -> replay -> ready.
 * End:   gateways have everything back -> sequencer drains -> threads end -> log closes, sealed.
 *
 * Invariant: after node_open returned OK, every thread but the caller's runs until node_close. */
#include "apps/node.h"

#include "adapters/clock_system/clock_system.h"
#include "adapters/disk_system/disk_system.h"
#include "adapters/log_file/log_file.h"
#include "adapters/snapshot_dir/snapshot_dir.h"
#include "adapters/snapshot_dir/snapshot_format.h"
#include "adapters/spill_file/spill_file.h"
#include "adapters/thread_system/thread_system.h"
#include "apps/crash.h"
#include "apps/directory.h"
#include "apps/say.h"
#include "base/check.h"
#include "base/hash.h"
#include "host/gateway_thread.h"
#include "host/librarian.h"
#include "host/need.h"
#include "host/sequencer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Address space of a runner for deltas, touched as needed: more than all panes of its partitions can
 * become when they are written out. */
#define SHARED_REGION_BYTES(memory_bytes) ((4ull << 30) + 4 * (memory_bytes))
#define LETTERS_MAX                       4096
#define BYTES_UNDER_WAY_MAX               (64u << 20)
#define EXIT_DAMAGED                      75
#define EXIT_POISON                       70
#define EXIT_NO_MEMORY                    71
#define DESCRIPTORS_MIN                   64
#define CACHE_LINE                        64
#define TIMEOUTS_PENDING_MAX              100000000u
#define TIMEOUTS_SHARE                    4  /* of the memory: a quarter */
#define PAYLOADS_SHARE                    16 /* a sixteenth; */
#define PAYLOADS_TIMES                    2  /* in all, most of them on disk: twice the memory */
#define PAYLOADS_REACH                    8 /* times that, in address space: blocks keep their size */
#define RELIEVE_EVERY_US                  1000
#define SETTLE_US                         5000000 /* after work: payloads that came back are seen, and go */
#define FEED_SHARE                        16 /* a sixteenth */
#define ANSWERS_SHARE                     32
#define FEED_KEEP_US                      (7 * US_PER_DAY)
#define PAUSE_US                          (2 * US_PER_SECOND) /* between two turns: it stood still */

struct region {
    void *memory;
    size_t bytes;
};

struct node {
    struct node_options options;
    struct genesis genesis;
    struct post post;
    struct steady steady;
    struct disk_folder data;
    struct log_file *log;
    struct snapshot_dir *snapshots;
    struct spill *payloads; /* of timeouts, by partition */
    struct sequencer sequencer;
    struct librarian *librarian;
    struct runner *runners;
    struct engine *owners[PARTITIONS_MAX];
    struct gateway *gateways[RUNNERS_MAX];
    struct region regions[PARTITIONS_MAX + 2 * RUNNERS_MAX];
    uint32_t region_count;
    pthread_t runner_threads[RUNNERS_MAX];
    pthread_t sequencer_thread;
    pthread_t librarian_thread;
    uint64_t replayed;
    uint64_t replay_from;
    uint64_t replayed_to;
    int64_t replay_us;
    _Atomic bool restored; /* the newest snapshot is loaded: partitions are their runners' */
    _Atomic bool replay_done;
    _Atomic bool draining; /* no request comes any more but those that are open */
    _Atomic bool drain;    /* the sequencer shall come to its end */
    _Atomic bool end;      /* all threads shall */
    int lock;              /* a file descriptor; -1: not held */
    size_t needed_bytes;   /* what could not be had */
    struct clock_time started;
};

/* --- memory --- */

/* Address space that takes memory only as it is touched. */
static void *reserve(struct node *node, size_t bytes)
{
    void *memory = mmap(
        NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        node->needed_bytes = bytes;
        return NULL;
    }
    CHECK(node->region_count < sizeof(node->regions) / sizeof(node->regions[0]));
    node->regions[node->region_count++] = (struct region){memory, bytes};
    return memory;
}

static uint64_t machine_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 1ull << 30;
}

static void fill_defaults(struct node_options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t threads = cores < 1 ? 1 : (cores > RUNNERS_MAX ? RUNNERS_MAX : (uint32_t)cores);
    options->partitions = options->partitions == 0 ? 16 : options->partitions;
    options->runners = options->runners == 0 ? threads : options->runners;
    options->runners = options->runners > RUNNERS_MAX ? RUNNERS_MAX : options->runners;
    options->gateways = options->gateways > RUNNERS_MAX ? RUNNERS_MAX : options->gateways;
    options->memory_bytes =
        options->memory_bytes == 0 ? machine_bytes() / 2 : options->memory_bytes;
    options->pulse_every_us = options->pulse_every_us == 0 ? 20000 : options->pulse_every_us;
    if (options->dedup_horizon_us == 0) {
        options->dedup_horizon_us = US_PER_DAY;
    }
    if (options->dedup_bytes == 0) {
        options->dedup_bytes = 512ull << 20;
    }
    if (options->dedup_bytes > options->memory_bytes / 4) {
        options->dedup_bytes = options->memory_bytes / 4;
    }
    if (options->payload_bytes == 0) {
        options->payload_bytes = options->memory_bytes / PAYLOADS_SHARE;
    }
    if (options->snapshot_every_bytes == 0) {
        options->snapshot_every_bytes = 512ull << 20;
    }
    options->segment_bytes = options->segment_bytes / LOG_BLOCK * LOG_BLOCK;
    options->replay_until = options->replay_until == 0 ? UINT64_MAX : options->replay_until;
}

static enum err no_memory(const struct node *node, struct node_start *start, struct error *error)
{
    bool no_descriptor = errno == EMFILE || errno == ENFILE;
    struct rlimit limit = {0};
    *error = (struct error){.code = ERR_INTERNAL};
    start->exit_code = EXIT_NO_MEMORY;
    if (no_descriptor && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        (void)snprintf(error->text,
                       sizeof(error->text),
                       "not enough descriptors to start: %llu are allowed (ulimit -n), %d or more "
                       "are needed",
                       (unsigned long long)limit.rlim_cur,
                       DESCRIPTORS_MIN);
        return ERR_INTERNAL;
    }
    bool state = node != NULL && node->needed_bytes > 0;
    memory_needed_say(error->text,
                      sizeof(error->text),
                      state ? node->needed_bytes : sizeof(*node),
                      state ? "the address space of the state" : "the engine's buffers");
    text_put(error->hint, sizeof(error->hint), "%s", state ? "give it a smaller --memory" : "");
    return ERR_INTERNAL;
}

/* --- threads --- */

/* Sleeps until a letter comes; patience_us -1: for ever. */
static void rest(struct node *node, uint32_t address, int64_t patience_us)
{
    struct waker *waker = &node->post.wakers[address];
    waker_prepare(waker);
    if (!post_waiting(&node->post, address) && !atomic_load(&node->end)) {
        waker_wait(waker, patience_us);
    }
    waker_awake(waker);
}

struct runner_start {
    struct node *node;
    uint32_t number;
};

/* Payloads go to the disk while there are too many of them in memory, by the thread that changes them: the
 * sequencer's while it loads a snapshot, then the runner's. */
static void relieve(void *ctx, uint32_t partition)
{
    const struct node *node = ctx;
    size_t used_bytes = node->owners[partition]->partitions[partition]->cold.top;
    bool copied = snapshot_dir_copies(node->snapshots);
    (void)spill_relieve(node->payloads, partition, used_bytes, copied);
}

/* One partition has its turn at a time, so that records wait for one write at most; *partition goes round. */
static void relieve_next(struct node *node, const struct runner *runner, uint32_t *partition)
{
    if (!atomic_load(&node->restored)) {
        return;
    }
    relieve(node, *partition);
    *partition += node->options.runners;
    if (*partition >= node->genesis.partitions) {
        *partition = runner->number;
    }
}

/* How long a runner without work may sleep. */
static int64_t
runner_rest_us(const struct node *node, const struct runner *runner, int64_t worked_us)
{
    bool settles = worked_us < SETTLE_US && spill_is_needed(node->payloads);
    return settles ? RELIEVE_EVERY_US : runner_patience_us(runner);
}

static void *runner_main(void *ctx)
{
    struct runner_start start = *(struct runner_start *)ctx;
    free(ctx);
    struct runner *runner = &start.node->runners[start.number];
    struct clock_port clock = clock_system_port();
    int64_t relieved_us = 0;
    int64_t worked_us = 0;
    uint32_t partition = start.number;
    crash_watch_thread(&runner->applying);
    while (!atomic_load(&start.node->end)) {
        bool busy = runner_step(runner);
        int64_t now_us = clock.ops->boot_us(clock.ctx);
        if (now_us - relieved_us >= RELIEVE_EVERY_US) {
            relieve_next(start.node, runner, &partition);
            relieved_us = clock.ops->boot_us(clock.ctx);
        }
        if (busy) {
            worked_us = now_us;
        } else {
            rest(start.node,
                 runner->address,
                 runner_rest_us(start.node, runner, now_us - worked_us));
        }
    }
    return NULL;
}

static void *librarian_main(void *ctx)
{
    struct node *node = ctx;
    while (!atomic_load(&node->end)) {
        if (!librarian_step(node->librarian)) {
            rest(node, POST_LIBRARIAN, -1);
        }
    }
    return NULL;
}

static _Noreturn void cannot_restore(const struct node *node, const char *why)
{
    (void)fprintf(stderr, "tidemark: %s: %s\n", node->options.directory, why);
    _exit(EXIT_DAMAGED);
}

static void say_foreign_snapshots(const struct node *node)
{
    uint32_t version = 0;
    uint64_t count = snapshot_dir_foreign_count(node->snapshots, &version);
    if (count > 0) {
        (void)fprintf(stderr,
                      "tidemark: %llu snapshots in %s are of format version %u, this program knows "
                      "version %u; they were passed over and stay on disk\n",
                      (unsigned long long)count,
                      node->options.directory,
                      version,
                      SNAPSHOT_VERSION);
    }
}

/* Snapshot, and whether the log reaches back to it: if not, there is no way on but to say so. */
static void restore(struct node *node)
{
    if (!node->options.ignore_snapshots &&
        !sequencer_restore(&node->sequencer, &node->replay_from)) {
        cannot_restore(node,
                       "the newest snapshot is of another format; start the version that wrote "
                       "it, or move the snapshots away to replay the log");
    }
    uint64_t damaged = snapshot_dir_damaged_count(node->snapshots);
    if (damaged > 0) {
        (void)fprintf(stderr,
                      "tidemark: %llu damaged snapshots in %s were passed over; they stay on disk "
                      "(tidemark snapshot --list)\n",
                      (unsigned long long)damaged,
                      node->options.directory);
    }
    say_foreign_snapshots(node);
    struct log_port log = log_file_port(node->log);
    struct log_status status;
    log.ops->status(log.ctx, &status);
    if (status.oldest > node->replay_from) {
        cannot_restore(node,
                       "the log no longer reaches back to the beginning, and no snapshot covers "
                       "what is gone; begin at the newest snapshot");
    }
}

/* The sequencer's turns, until everything was handed over. */
static void live(struct node *node)
{
    struct sequencer *sequencer = &node->sequencer;
    while (!atomic_load(&node->end) && !sequencer->abandoned) {
        bool last_turns = atomic_load(&node->drain);
        sequencer->closed = atomic_load(&node->draining);
        sequencer->final_pulse = last_turns || sequencer->closed;
        bool busy = sequencer_step(sequencer);
        if (last_turns && !busy && sequencer_is_idle(sequencer)) {
            break;
        }
        if (!busy) {
            rest(node, POST_SEQUENCER, sequencer_patience_us(sequencer));
        }
    }
}

static void *sequencer_main(void *ctx)
{
    struct node *node = ctx;
    struct sequencer *sequencer = &node->sequencer;
    crash_watch_thread(&sequencer->applying);
    restore(node);
    atomic_store(&node->restored, true);
    struct clock_port clock = clock_system_port();
    int64_t began_us = clock.ops->boot_us(clock.ctx);
    node->replayed = sequencer_replay(sequencer, node->replay_from);
    node->replay_us = clock.ops->boot_us(clock.ctx) - began_us;
    node->replayed_to = sequencer->position;
    atomic_store(&node->replay_done, true);
    waker_wake(&node->post.wakers[post_network(&node->post, 0)]);
    if (node->options.replay_until != UINT64_MAX) {
        return NULL; /* only looking: nothing may be written */
    }
    if (!sequencer->abandoned) {
        crash_forget(); /* every record of the log can be applied */
    }
    thread_ask_short_slices();
    live(node);
    return NULL;
}

/* --- opening --- */

/* Address space: freed blocks of other sizes stand between those in use. */
static size_t payload_region_bytes(const struct node *node)
{
    uint64_t bytes =
        PAYLOADS_REACH * PAYLOADS_TIMES * node->options.memory_bytes / node->genesis.partitions;
    return (size_t)(bytes + SPILL_CHUNK_BYTES - 1) / SPILL_CHUNK_BYTES * SPILL_CHUNK_BYTES;
}

static enum err open_payloads(struct node *node, struct node_start *start, struct error *error)
{
    struct spill_options options = {
        .folder = node->data.handle,
        .region_count = node->genesis.partitions,
        .region_bytes = payload_region_bytes(node),
        .budget_bytes = node->options.payload_bytes / node->genesis.partitions,
    };
    enum err err = spill_open(&options, &node->payloads, error);
    if (err != OK && errno == ENOMEM) {
        node->needed_bytes = options.region_count * options.region_bytes;
    }
    start->exit_code = err == OK ? start->exit_code : 78;
    return err;
}

static bool make_engines(struct node *node)
{
    uint32_t partitions = node->genesis.partitions;
    uint64_t per_partition = node->options.memory_bytes / partitions & ~63ull;
    struct engine_limits limits = {
        .partitions = partitions,
        .seed = node->genesis.seed,
        .dedup_bytes = node->options.dedup_bytes / partitions,
        .dedup_horizon_us = node->options.dedup_horizon_us,
        .late_bytes = (64ull << 20) / partitions,
        .timeouts_max = TIMEOUTS_PENDING_MAX / partitions,
        .timeouts_ended = TIMEOUTS_ENDED_MAX / partitions,
        .timeouts_bytes = node->options.memory_bytes / TIMEOUTS_SHARE / partitions,
        .timeouts_cold = PAYLOADS_TIMES * node->options.memory_bytes / partitions,
        .feed_bytes = node->options.memory_bytes / FEED_SHARE / partitions,
        .feed_keep_us = FEED_KEEP_US,
        .watch_bytes = node->options.memory_bytes / 4 / partitions,
        .watch_ended = WATCH_ENDED_MAX / partitions,
    };
    for (uint32_t n = 0; n < node->options.runners; n++) {
        struct engine *engine = reserve(node, sizeof(struct engine));
        uint64_t shared_bytes = SHARED_REGION_BYTES(node->options.memory_bytes) & ~63ull;
        void *shared = reserve(node, shared_bytes);
        if (engine == NULL || shared == NULL) {
            return false;
        }
        engine_init(engine, &limits, shared, shared_bytes);
        for (uint32_t p = n; p < partitions; p += node->options.runners) {
            void *region = reserve(node, per_partition);
            if (region == NULL) {
                return false;
            }
            engine_own(engine, p, region, per_partition);
            engine_own_cold(engine, p, spill_region(node->payloads, p), payload_region_bytes(node));
            node->owners[p] = engine;
        }
        struct clock_port clock = steady_port(&node->steady);
        runner_init(&node->runners[n], n, &node->post, clock, engine, node->owners);
    }
    return true;
}

/* The position of the newest snapshot that is there as a whole: below it, the log needs no proof. Should its
 * content turn out to be damaged, the log is read from an older one on, and proved as it is read. */
static uint64_t snapshot_frontier(struct node *node)
{
    struct snapshot_port port = snapshot_dir_port(node->snapshots);
    uint64_t position;
    if (port.ops->open(port.ctx, UINT64_MAX, &position) != OK) {
        return 0;
    }
    port.ops->close(port.ctx);
    return position;
}

static enum err
damaged(struct node_start *start, struct error *error, const char *what, const char *directory)
{
    *error = (struct error){.code = ERR_UNPROCESSABLE};
    start->exit_code = EXIT_DAMAGED;
    (void)snprintf(error->text, sizeof(error->text), "%s: %.120s", what, directory);
    return error->code;
}

static bool is_segment(void *user, const char *name)
{
    bool *found = user;
    uint64_t base = 0;
    *found = log_segment_parse_name(name, &base);
    return !*found;
}

/* A log whose genesis is gone. A new one would spread and number events in another way than the log
 * does, so none is made: the genesis is durable before the first segment, no crash leaves this. */
static bool genesis_is_lost(const struct disk_folder *data)
{
    const struct disk_port *disk = &data->disk;
    struct disk_info info;
    bool segments = false;
    if (disk->folders->info(disk->ctx, data->handle, "genesis", &info)) {
        return false;
    }
    int folder = disk->files->open(disk->ctx, data->handle, "log", DISK_FOLDER);
    if (folder >= 0) {
        (void)disk->folders->list(disk->ctx, folder, is_segment, &segments);
        disk->files->close(disk->ctx, folder);
    }
    return segments;
}

static enum err open_files(struct node *node, struct node_start *start, struct error *error)
{
    const struct node_options *options = &node->options;
    enum err err = disk_system_open(options->directory, true, &node->data, error);
    if (err == OK) {
        err = disk_system_lock(&node->data, &node->lock, error);
    }
    if (err != OK) {
        start->exit_code = err == ERR_CONFLICT ? 73 : 78;
        return err;
    }
    if (genesis_is_lost(&node->data)) {
        return damaged(start,
                       error,
                       "there is a log, but its genesis is missing; restore that file",
                       options->directory);
    }
    if (options->replay_until == UINT64_MAX && !crash_review(options->directory, error)) {
        start->exit_code = EXIT_POISON;
        return error->code;
    }
    err = directory_genesis(
        &node->data, options->partitions, &node->genesis, &start->exit_code, error);
    if (err != OK) {
        return err;
    }
    err = open_payloads(node, start, error);
    if (err != OK) {
        return err;
    }
    struct snapshot_dir_options snapshot_options = {
        .data = node->data,
        .in_process = options->snapshot_in_process,
    };
    err = snapshot_dir_open(&snapshot_options, &node->snapshots, error);
    if (err != OK) {
        start->exit_code = 78;
        return err;
    }
    struct log_file_options log_options = {
        .data = node->data,
        .segment_bytes = options->segment_bytes,
        .retain_us = options->retain_events_us,
        .retain_bytes = options->retain_events_bytes,
        .verify_from = snapshot_frontier(node),
        .durable = sequencer_durable,
        .durable_ctx = &node->sequencer,
    };
    memcpy(log_options.instance, node->genesis.instance, sizeof(log_options.instance));
    struct log_file_start log_start = {0};
    err = log_file_open(&log_options, &node->log, &log_start, error);
    start->exit_code = log_start.exit_code;
    start->torn_bytes = log_start.torn_bytes;
    if (err == OK &&
        memcmp(log_start.instance, node->genesis.instance, sizeof(log_start.instance)) != 0) {
        log_file_close(node->log, false);
        return damaged(
            start, error, "the log and the genesis are of two instances", options->directory);
    }
    return err;
}

static bool make_gateways(struct node *node)
{
    for (uint32_t n = 0; n < node->options.gateways; n++) {
        struct gateway_options options = {
            .post = &node->post,
            .thread = n,
            .clock = steady_port(&node->steady),
            .facts = {.seed = node->genesis.seed,
                      .partitions = node->genesis.partitions,
                      .runner_count = node->options.runners,
                      .dedup_horizon_us = node->options.dedup_horizon_us,
                      .started = node->started},
            .peers = node->gateways,
            .peer_count = node->options.gateways,
            .bytes_max = BYTES_UNDER_WAY_MAX,
            .letters_max = LETTERS_MAX / 2,
        };
        memcpy(options.facts.instance, node->genesis.instance, sizeof(options.facts.instance));
        node->gateways[n] = gateway_create(&options);
        if (node->gateways[n] == NULL) {
            return false;
        }
    }
    return true;
}

/* Little, as there is little need: a day of a write a second. */
static size_t answers_bytes_max(const struct node_options *options)
{
    size_t share = (size_t)(options->memory_bytes / ANSWERS_SHARE);
    return share < ANSWERS_BYTES_MAX ? share : ANSWERS_BYTES_MAX;
}

static bool make_sequencer(struct node *node)
{
    struct sequencer_options options = {
        .post = &node->post,
        .clock = steady_port(&node->steady),
        .steady = &node->steady,
        .log = log_file_port(node->log),
        .log_reader = log_file_reader_port(node->log),
        .snapshot = snapshot_dir_port(node->snapshots),
        .payloads = spill_port(node->payloads),
        .runners = node->runners,
        .genesis = node->genesis,
        .pulse_every_us = node->options.pulse_every_us,
        .pause_us = PAUSE_US,
        .snapshot_every_bytes = node->options.snapshot_every_bytes == UINT64_MAX
                                    ? 0
                                    : node->options.snapshot_every_bytes,
        .replay_until = node->options.replay_until,
        .answers = {.bytes_max = answers_bytes_max(&node->options)},
        .abandon = &node->drain,
        .loading = relieve,
        .loading_ctx = node,
        .frame_bytes_max = log_file_frame_bytes_max(node->log),
    };
    node->librarian =
        librarian_create(&node->post, log_file_reader_port(node->log), steady_port(&node->steady));
    return node->librarian != NULL && sequencer_init(&node->sequencer, &options);
}

static bool start_threads(struct node *node)
{
    for (uint32_t n = 0; n < node->options.runners; n++) {
        struct runner_start *start = malloc(sizeof(*start));
        if (start == NULL) {
            return false;
        }
        *start = (struct runner_start){.node = node, .number = n};
        if (pthread_create(&node->runner_threads[n], NULL, runner_main, start) != 0) {
            free(start);
            return false;
        }
    }
    return pthread_create(&node->librarian_thread, NULL, librarian_main, node) == 0 &&
           pthread_create(&node->sequencer_thread, NULL, sequencer_main, node) == 0;
}

static void wait_for_replay(struct node *node)
{
    uint32_t address = post_network(&node->post, 0);
    while (!atomic_load(&node->replay_done)) {
        rest(node, address, 100000);
    }
    while (node->options.replay_until == UINT64_MAX && !gateway_ready(node->gateways[0])) {
        for (uint32_t n = 0; n < node->options.gateways; n++) {
            (void)gateway_step(node->gateways[n]);
        }
        rest(node, address, 1000);
    }
}

enum err node_open(const struct node_options *options,
                   struct node **result,
                   struct node_start *start,
                   struct error *error)
{
    *start = (struct node_start){.snapshot_position = UINT64_MAX};
    crc32c_init(__builtin_cpu_supports("sse4.2"));
    crash_watch();
    struct node *node = aligned_alloc(CACHE_LINE, (sizeof(*node) + 63) & ~(size_t)63);
    if (node == NULL) {
        return no_memory(node, start, error);
    }
    memset(node, 0, sizeof(*node));
    node->options = *options;
    node->lock = -1;
    node->data.handle = -1;
    node->started = clock_system_port().ops->wall(NULL);
    steady_init(&node->steady, clock_system_port());
    fill_defaults(&node->options);
    errno = 0;
    enum err err = open_files(node, start, error);
    if (err != OK) {
        if (errno == ENOMEM || errno == EMFILE || errno == ENFILE) {
            err = no_memory(node, start, error);
        }
        if (node->snapshots != NULL) {
            snapshot_dir_close(node->snapshots);
        }
        spill_close(node->payloads);
        if (node->lock >= 0) {
            (void)close(node->lock);
        }
        disk_system_close(&node->data);
        free(node);
        return err;
    }
    if (node->options.runners > node->genesis.partitions) {
        node->options.runners = node->genesis.partitions;
    }
    node->runners = calloc(node->options.runners, sizeof(struct runner));
    if (node->runners == NULL ||
        !post_init(&node->post, node->options.runners, node->options.gateways) ||
        !make_engines(node) || !make_sequencer(node) || !make_gateways(node)) {
        return no_memory(node, start, error);
    }
    if (!start_threads(node)) {
        return no_memory(node, start, error);
    }
    *result = node;
    if (!options->in_background) {
        wait_for_replay(node);
        (void)node_ready(node, start);
    }
    return OK;
}

bool node_ready(const struct node *node, struct node_start *start)
{
    if (!atomic_load(&node->replay_done)) {
        return false;
    }
    start->replayed_events = node->replayed;
    start->replay_us = node->replay_us;
    start->log_position = node->replayed_to;
    if (node->replay_from > 0) {
        start->snapshot_position = node->replay_from;
    }
    return true;
}

/* --- closing --- */

void node_drain(struct node *node)
{
    atomic_store(&node->draining, true);
    waker_wake(&node->post.wakers[POST_SEQUENCER]);
}

void node_close(struct node *node)
{
    for (uint32_t n = 0; n < node->options.gateways; n++) {
        CHECK(gateway_under_way(node->gateways[n]) == 0);
    }
    atomic_store(&node->drain, true);
    waker_wake(&node->post.wakers[POST_SEQUENCER]);
    CHECK(pthread_join(node->sequencer_thread, NULL) == 0);
    atomic_store(&node->end, true);
    for (uint32_t n = 0; n < node->options.runners; n++) {
        waker_wake(&node->post.wakers[post_runner(n)]);
        CHECK(pthread_join(node->runner_threads[n], NULL) == 0);
    }
    waker_wake(&node->post.wakers[POST_LIBRARIAN]);
    CHECK(pthread_join(node->librarian_thread, NULL) == 0);
    log_file_close(node->log, node->options.replay_until == UINT64_MAX);
    snapshot_dir_close(node->snapshots);
    for (uint32_t n = 0; n < node->options.gateways; n++) {
        (void)gateway_step(node->gateways[n]);
        gateway_destroy(node->gateways[n]);
    }
    sequencer_deinit(&node->sequencer);
    librarian_destroy(node->librarian);
    post_deinit(&node->post);
    for (uint32_t n = 0; n < node->region_count; n++) {
        (void)munmap(node->regions[n].memory, node->regions[n].bytes);
    }
    spill_close(node->payloads);
    free(node->runners);
    disk_system_close(&node->data);
    (void)close(node->lock);
    free(node);
}

/* --- the caller's threads --- */

struct gateway *node_gateway(struct node *node, uint32_t n)
{
    CHECK(n < node->options.gateways);
    return node->gateways[n];
}

struct waker *node_waker(struct node *node, uint32_t n)
{
    return &node->post.wakers[post_network(&node->post, n)];
}

bool node_gateway_step(struct node *node, uint32_t n)
{
    return gateway_step(node_gateway(node, n));
}

void node_wait(struct node *node, uint32_t n, int64_t timeout_us)
{
    rest(node, post_network(&node->post, n), timeout_us);
}

bool node_waiting(struct node *node, uint32_t n)
{
    return post_waiting(&node->post, post_network(&node->post, n));
}

uint64_t node_memory_bytes(const struct node *node)
{
    return node->options.memory_bytes;
}

uint64_t node_digest(struct node *node)
{
    return sequencer_digest(&node->sequencer);
}
