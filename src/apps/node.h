/* A node: the engine on its threads, over a data directory. What `serve`, `ingest --data`, `replay`
 * and the benchmarks have in common.
 *
 *     sequencer thread    orders and writes the log           (host/sequencer.h)
 *     runner threads      apply it, answer queries            (host/runner.h)
 *     librarian thread    reads the log back                  (host/librarian.h)
 *     the caller's threads: one gateway each                  (host/gateway.h)
 */
#pragma once

#include "base/err.h"
#include "base/mailbox.h"
#include "host/gateway.h"

struct node;

struct node_options {
    const char *directory;
    uint32_t partitions;      /* of a new directory; 0: 16. An old one keeps its own */
    uint32_t runners;         /* threads that apply; 0: one per core */
    uint32_t gateways;        /* threads that will ask; at least 1 */
    uint64_t memory_bytes;    /* for all state; 0: half of the machine's */
    uint64_t payload_bytes;   /* of memory for keys and data of timeouts; 0: a sixteenth of it */
    int64_t pulse_every_us;   /* 0: 20 ms */
    int64_t dedup_horizon_us; /* 0: 24 h */
    uint64_t dedup_bytes;     /* 0: 512 MiB, at most a quarter of memory_bytes */
    int64_t retain_events_us; /* 0: 7 days */
    uint64_t retain_events_bytes;  /* 0: 20 GiB */
    uint64_t segment_bytes;        /* of a new file of the log, >= 1 MiB; 0: 64 MiB */
    uint64_t snapshot_every_bytes; /* of log; 0: 512 MiB; UINT64_MAX: never by itself */
    uint64_t replay_until;         /* 0: to the end; else stop there, and write nothing (replay) */
    bool snapshot_in_process;      /* don't fork for snapshots (sanitizers, tests) */
    bool ignore_snapshots;         /* replay from the beginning */
    bool in_background;            /* node_open returns before the replay is done */
};

/* How the start went. */
struct node_start {
    uint64_t replayed_events;
    int64_t
        replay_us; /* what applying them took; opening (lock, recovery, snapshot) comes before */
    uint64_t snapshot_position; /* UINT64_MAX: none was used */
    uint64_t log_position;
    uint64_t torn_bytes;
    int exit_code; /* on failure: 70, 71, 73, 75, 78 */
};

/* Opens the directory, starts the threads, restores and replays; ready when it returns, or, with
 * in_background, when node_ready says so: until then the gateways answer ERR_UNAVAILABLE. */
enum err node_open(const struct node_options *options,
                   struct node **node,
                   struct node_start *start,
                   struct error *error) MUST_CHECK;

/* True once everything was replayed; fills *start then. Any thread. */
bool node_ready(const struct node *node, struct node_start *start);

/* No request comes any more but those that are open: from now on nobody waits for space on a full
 * disk (ERR_NO_SPACE instead). Any thread, any number of times. */
void node_drain(struct node *node);

/* Hands over everything that was proposed, closes the log in order, ends the threads. All letters
 * must be back (gateway_under_way() == 0). */
void node_close(struct node *node);

/* The gateway of the caller's thread number n < gateways. */
struct gateway *node_gateway(struct node *node, uint32_t n);

/* That gateway's waker: its event_fd becomes readable when letters came back while the thread was
 * between waker_prepare and waker_awake. */
struct waker *node_waker(struct node *node, uint32_t n);

/* Takes letters back (calls their `done`s); false when none was there. */
bool node_gateway_step(struct node *node, uint32_t n);

/* Letters are there: look again after waker_prepare, before sleeping. */
bool node_waiting(struct node *node, uint32_t n);

/* For a thread with nothing else to wait for: sleeps until letters are there, or timeout_us passed.
 */
void node_wait(struct node *node, uint32_t n, int64_t timeout_us);

/* --memory, or what stands for it. */
uint64_t node_memory_bytes(const struct node *node);

/* The digest of the whole core at the last pulse; only while nothing is under way. */
uint64_t node_digest(struct node *node);
