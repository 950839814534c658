/* tidemark bench: what its parts share. */
#pragma once

#include "apps/histogram.h"
#include "apps/server.h"
#include "apps/terminal.h"

/* The parts. */
int bench_gen(const struct command *command);
int bench_j1(const struct command *command);
int bench_open_loop(const struct command *command);
int bench_singles(const struct command *command);
int bench_groups(const struct command *command);
int bench_overload(const struct command *command);
int bench_timeouts(const struct command *command);

/* One result: a line for people, and with --json a JSON line in that file. */
void bench_result(const struct settings *settings,
                  const char *name,
                  double value,
                  const char *unit);

/* p50, p99, p99.9 and the maximum of durations, as `name`_p50 and so on, in milliseconds. */
void bench_latencies(const struct settings *settings,
                     const char *name,
                     const struct histogram *histogram);

/* POST /v1/sql, POST or PUT of JSON: must be answered with 2xx. 0, or the exit code after the
 * complaint. */
int bench_sql(struct server *server, const char *sql) MUST_CHECK;
int bench_say(struct server *server, const char *method, const char *target, const char *json)
    MUST_CHECK;

/* The default lane as a benchmark needs it: with this disorder, and open again if it was final. */
int bench_lane_open(struct server *server, const char *disorder) MUST_CHECK;

/* Ends the default lane, and waits until the metric's values show everything before that. */
int bench_lane_final(struct server *server, const char *metric) MUST_CHECK;

/* A number off the server's /metrics page, as the line begins with `name`; 0 when it isn't there.
 */
int bench_figure(struct server *server, const char *name, double *value) MUST_CHECK;

/* Bodies to POST, from several threads at once, each with a connection of its own. */
struct blast {
    const struct settings *settings;
    const char *target; /* NULL: /v1/events */
    /* How many entries of an answer of 200 say yes, and no; NULL: as /v1/events answers. On the
     * sending threads. */
    void (*judge)(struct bytes answer, uint64_t *accepted, uint64_t *rejected);
    uint32_t connections;
    uint64_t body_count;
    /* The body number `index`, valid until the thread's next call. On the sending threads. */
    struct bytes (*body)(void *ctx, uint32_t thread, uint64_t index);
    /* When it shall be sent, in steady time; NULL: as soon as possible. Latencies count from then.
     */
    int64_t (*due_us)(void *ctx, uint64_t index);
    void *ctx;
    /* Results. */
    struct histogram acks; /* microseconds */
    uint64_t accepted;
    uint64_t rejected;
    uint64_t repeated; /* requests refused for the moment */
    int64_t us;
};
#define BLAST_CONNECTIONS_MAX 64
int blast_run(struct blast *blast) MUST_CHECK;

/* Small requests, one under way on each of many kept-alive connections: see bench_singles.c. */
struct single_load {
    const struct settings *settings;
    const char *name; /* of the results: `name`_rate, `name`_ack_p50, ... */
    uint64_t count;   /* requests; 0: as many as --seconds allow, which bounds the others too */
    /* Writes the whole request number `number`. */
    void (*request)(void *ctx, const char *authority, uint64_t number, struct buf *out);
    void *ctx;
    /* Results. */
    uint64_t made;
    uint64_t refused;
};
int bench_singles_run(struct single_load *load) MUST_CHECK;
#define SINGLE_REQUEST_BYTES 1024

/* One event of the benchmarks as a line, written into out. */
struct bench_event {
    uint64_t number;
    int64_t time_us;
    const char *prefix; /* of the id */
    const char *type;
    uint32_t subject;
    uint32_t source;
    uint32_t value;
};
void bench_event_put(struct buf *out, const struct bench_event *event);
#define BENCH_EVENT_MAX 400
