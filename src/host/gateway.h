/* A network thread's way into the engine: it asks, and `done` is called later on the same thread
 * (never inside the asking call). Each network thread has one; no locks, no sharing. */
#pragma once

#include "host/claim.h"
#include "host/inspection.h"
#include "host/proposal.h"
#include "host/query.h"
#include "host/scan.h"
#include "ports/clock.h"

struct gateway;

/* What every network thread may know without asking. */
struct gateway_facts {
    uint64_t seed; /* for batch_writer_init */
    uint32_t partitions;
    uint32_t runner_count;
    uint8_t instance[16];
    int64_t dedup_horizon_us;
    struct clock_time started;
};

const struct gateway_facts *gateway_facts(const struct gateway *gateway);

struct clock_time gateway_now(const struct gateway *gateway);

/* True once the log was replayed and everything answers; false again while draining. */
bool gateway_ready(const struct gateway *gateway);

/* Each sets letter.kind and takes the struct until done. letter.done and letter.user are the
 * caller's. ERR_OVERLOADED: too much is under way already, nothing was taken (done is not called).
 * ERR_UNAVAILABLE: starting or draining. ERR_NO_SPACE: the disk is full (writes only). PROPOSE_ANSWER and
 * CLAIM_GIVE_BACK are always taken: they end what began with a letter, which has just come back. */
enum err gateway_propose(struct gateway *gateway, struct proposal *proposal) MUST_CHECK;
enum err gateway_claim(struct gateway *gateway, struct claim *claim) MUST_CHECK;
enum err gateway_inspect(struct gateway *gateway, struct inspection *inspection) MUST_CHECK;
enum err gateway_query(struct gateway *gateway, struct query *query) MUST_CHECK;
enum err gateway_scan(struct gateway *gateway, struct scan *scan) MUST_CHECK;

/* The latest event time that may come from this source: its future skew after the last gateway_now
 * (asked once per request, not per event). */
struct event_time gateway_time_limit(const struct gateway *gateway, struct bytes source);

/* Rises in gateway_step when the feed grew, if only on one runner: who waits for a note asks again
 * then. A thread that sleeps is woken for it. */
uint64_t gateway_feed_count(const struct gateway *gateway);

/* The network threads' own counters, summed by /metrics over all threads. */
struct gateway_counters {
    uint64_t events_accepted;
    uint64_t events_refused;
    uint64_t requests;
    uint64_t requests_refused; /* status >= 400 */
    uint64_t requests_shed;    /* of these, for too much being under way: 429 */
    uint64_t writes_shed;      /* what was turned away (429, 503) and may have said something:
                                  the sequencer is told */
    uint64_t bytes_in;
};

struct gateway_counters *gateway_counters(struct gateway *gateway);

/* The sum over all network threads (relaxed; for display). */
struct gateway_counters gateway_counters_sum(const struct gateway *gateway);
