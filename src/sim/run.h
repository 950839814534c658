/* One run: a plan, lives of the process one after the other under faults, then peace, then judgement.
 *
 *     safety     faults fall as the plan says; every promise is checked whenever it can be
 *     liveness   no more faults: within bounded time everything is accepted, defined and answered
 *     judgement  the oracles over the whole history; digests of replays against the live one's */
#pragma once

#include "sim/clients.h"
#include "sim/listeners.h"
#include "sim/oracle_timeouts.h"
#include "sim/readers.h"
#include "sim/timers.h"
#include "sim/visitor.h"
#include "sim/watchers.h"

#include <stdio.h>

/* What happened, for the totals. */
struct run_counts {
    uint64_t runs;
    uint64_t simulated_us;
    uint64_t lives;
    uint64_t kills;
    uint64_t power_cuts;
    uint64_t exits;    /* by itself, after an error of the disk */
    uint64_t refusals; /* to start: damage was found */
    uint64_t orderly;  /* ends */
    uint64_t stops;
    uint64_t clock_steps;
    uint64_t clock_freezes;
    uint64_t disk_full;
    uint64_t no_memory;
    uint64_t snapshots;
    uint64_t frames;
    uint64_t events; /* in the log */
    uint64_t acked;
    uint64_t refused;
    uint64_t rows; /* compared with the oracle's */
    uint64_t digests;
    uint64_t slow_readings;       /* of several pages, to the end */
    uint64_t readings_over_lives; /* of these, over the end of a process */
    uint64_t recuts;              /* logs applied once more in other batches */
    uint64_t looks;               /* at timeouts */
    uint64_t rule_looks;          /* at instances of rules */
    uint64_t feed_pages;          /* with notes */
    uint64_t feed_pages_over_lives;
    uint64_t feed_resumed;
    uint64_t feed_gaps;
    struct timer_counts timers;
    uint64_t faults[FAULT_KINDS];
};

void run_counts_add(struct run_counts *sum, const struct run_counts *more);

struct run {
    struct choice *choice;
    struct plan plan;
    struct machine machine;
    struct journal journal;
    struct clients clients;
    struct visitor visitor;
    struct readers readers;
    struct timers timers;
    struct listeners listeners;
    struct watcher watcher;
    struct process process;
    bool alive; /* there is a process */
    bool over;  /* nothing more can be asked of this run: a loss was found, as it must be */
    bool peace;
    int64_t next_calamity;
    int64_t thaw_at;      /* the wall clock is frozen until then; 0: it is not */
    int64_t refill_at;    /* the disk is full until then */
    uint64_t rotten;      /* files damaged since the disk was last restored */
    uint64_t astray;      /* misdirected writes that the disk had counted then */
    uint64_t read_errors; /* that the disk had counted at the last start */
    struct run_counts counts;
    struct finding finding; /* text: what was wrong; empty: nothing */
};

/* Lives and deaths are told to `out` as they happen; NULL: not. */
void run_tell(FILE *out);

/* Runs to its end. False when a promise was broken: run->finding says which. */
bool run_all(struct run *run, struct choice *choice);
void run_free(struct run *run);
