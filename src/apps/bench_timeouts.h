/* tidemark bench timeouts: what its two halves share. bench_timeouts.c makes, extends and ends
 * timeouts; bench_firing.c looks how they fire; bench_rule.c lets a rule over the stream do all that. */
#pragma once

#include "apps/bench.h"

#define TIMEOUT_BATCH 1000

/* Commands on the keys "PREFIX-0" to "PREFIX-(count - 1)", as batches, durable before their answers. */
struct timeout_blast {
    const struct settings *settings;
    const char *op;     /* "create", "heartbeat", "complete" */
    const char *prefix; /* of the keys */
    uint64_t count;
    int64_t first_us; /* create: the deadline of the first, on the wall clock */
    double gap_us;    /* and from each to the next; 0: all in one instant */
    /* Results. */
    double per_second;
};

/* `name`: of the results; NULL: none are told. 0, or the exit code after the complaint. */
int timeout_blast_run(struct timeout_blast *blast, const char *name) MUST_CHECK;

struct firing_run {
    const struct settings *settings;
    double creates_per_second; /* as fast as they were so far */
};

/* Timeouts at a rate, and how late each is told. */
int bench_firing_lag(const struct firing_run *run) MUST_CHECK;

/* Events through a rule, and beside it. */
int bench_rule(const struct settings *settings) MUST_CHECK;

/* Many timeouts in one instant: when the last fired, and what events wait meanwhile. */
int bench_firing_burst(const struct firing_run *run) MUST_CHECK;
