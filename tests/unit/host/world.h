/* The whole engine on one thread: sequencer, librarian, runners and gateways are stepped by hand,
 * in any order, over a log and snapshots in memory and a clock that moves when it is told to. No
 * threads, sockets, files, nor waiting.
 *
 *     machine   what outlives the process: log, snapshots, the time
 *     world     the process: world_start ... world_stop (which is a crash: everything is dropped)
 *     ticket    one question to the engine and its answer; it lives until the world ends
 *
 * A part is a component by its address at the post: 0 the sequencer, 1 the librarian, then runners,
 * then gateways. world_step gives one part one turn; world_settle lets all run until nothing moves.
 */
#pragma once

#include "host/gateway_thread.h"
#include "host/librarian.h"
#include "host/sequencer.h"
#include "lang/lang.h"
#include "memory_log.h"
#include "memory_snapshots.h"

/* Second 0 of every world: 2024-01-01T00:00:00Z. */
#define WORLD_EPOCH_S       1704067200LL
#define WORLD_TIME(seconds) ((WORLD_EPOCH_S + (seconds)) * US_PER_SECOND)

struct machine {
    struct memory_log log;
    struct memory_snapshots snapshots;
    int64_t now_us;
};

void machine_init(struct machine *machine);
void machine_deinit(struct machine *machine);

/* 0 stands for the default in brackets. */
struct world_options {
    uint32_t runners;              /* (1) */
    uint32_t partitions;           /* (4) */
    uint32_t gateways;             /* (1) */
    uint32_t letters_max;          /* of a gateway (1000) */
    size_t bytes_max;              /* of a gateway (32 MiB) */
    int64_t pulse_every_us;        /* (20 ms) */
    int64_t pause_us;              /* so long between two turns: it stood still (never) */
    int64_t read_us;               /* a read of the log takes so long, while replaying */
    int64_t dedup_horizon_us;      /* (24 h) */
    uint64_t snapshot_every_bytes; /* (never) */
    uint64_t replay_until;         /* (to the end) */
    bool ignore_snapshots;
};

enum ticket_kind {
    TICKET_PROPOSAL,
    TICKET_INSPECTION,
    TICKET_QUERY,
    TICKET_SCAN,
};

struct ticket {
    struct ticket *next;
    enum ticket_kind kind;
    enum err refused;               /* by the gateway, at once; done stays 0 */
    uint32_t done;                  /* how often it was answered: never more than once */
    uint8_t *memory;                /* what the letter borrows */
    struct timeout_result *results; /* of commands on timeouts */
    struct proposal proposal;
    struct inspection inspection;
    struct query query;
    struct scan scan;
};

struct world {
    struct world_options options;
    struct machine *machine;
    struct post post;
    struct sequencer sequencer;
    struct librarian *librarian;
    struct runner runners[RUNNERS_MAX];
    struct gateway *gateways[RUNNERS_MAX];
    struct engine *owners[PARTITIONS_MAX];
    void *regions[PARTITIONS_MAX + 2 * RUNNERS_MAX];
    uint32_t region_count;
    struct genesis genesis;
    uint64_t replay_from;
    uint64_t replayed; /* events */
    struct ticket *tickets;
};

/* Builds everything, restores, replays. False: the snapshot was not understood. */
bool world_start(struct world *world, struct machine *machine, const struct world_options *options);
void world_stop(struct world *world);

uint32_t world_part_count(const struct world *world);

/* One turn of one part; true when it did something. */
bool world_step(struct world *world, uint32_t part);

/* Turns for all, round after round, until nothing moves at this moment of the clock. */
void world_settle(struct world *world);

/* The clock moves on, everyone settling in between (every 10 ms, or a thousand times). */
void world_pass(struct world *world, int64_t us);

/* Drain: everything is handed over, then everybody is at rest. CHECKs that this comes to an end. */
void world_drain(struct world *world);

/* At rest after a pulse only. */
uint64_t world_digest(struct world *world);

/* --- asking: each returns at once; the answer is there when ticket->done is 1 --- */

struct telling {
    struct bytes source;
    struct bytes id;
    struct bytes subject;
    struct bytes data; /* JSON; may be empty */
    int64_t time_us;
};

struct ticket *world_tell(struct world *world,
                          uint32_t gateway,
                          const struct telling *events,
                          uint32_t count,
                          bool wants_applied);

/* A statement of CREATE METRIC, CREATE TIMEOUT or CREATE SILENCE. */
struct ticket *world_define(struct world *world, struct bytes sql, enum define_mode mode);

/* Commands on timeouts; their results are in ticket->results. */
struct ticket *world_command(struct world *world,
                             uint32_t gateway,
                             const struct timeout_command *commands,
                             uint32_t count);

/* Any other proposal; its members are copied, texts too. */
struct ticket *world_propose(struct world *world, const struct proposal *proposal);

struct ticket *world_inspect(struct world *world, enum inspection_kind kind, const char *name);

/* All values of a metric, by window start; not before min_as_of, for at most a second of clock. */
struct ticket *world_values(struct world *world, const char *metric, uint64_t min_as_of);
struct ticket *world_stats(struct world *world);

/* Any query; texts are borrowed until it is done. Its deadline is a second of clock away. */
struct ticket *world_ask(struct world *world, const struct query *query);
struct ticket *world_scan(struct world *world, const struct scan *scan);

/* --- reading answers --- */

/* A counter over all runners, of all metrics ("") or one. */
int64_t world_stat(struct world *world, const char *counter, const char *metric);
