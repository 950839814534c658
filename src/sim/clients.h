/* Those who send events: each takes its share of the plan's, in batches, waits for the answer for as
 * long as its patience lasts, and sends again what was refused, what it never heard of, and now and
 * then what was accepted. */
#pragma once

#include "sim/journal.h"
#include "sim/plan.h"

struct request;

struct client {
    uint32_t number;
    int64_t next_at; /* true time */
    size_t next_event;
    uint32_t *again; /* events to be sent once more: a ring of the plan's event_count */
    size_t again_first;
    size_t again_count;
    struct request *pending; /* the process's memory; gone when the process is */
    int64_t patience_ends;
    size_t first_submission; /* of the pending request */
    uint32_t pending_count;
    uint64_t sent;
    uint64_t gave_up;
};

struct clients {
    const struct plan *plan;
    struct choice *choice;
    struct journal *journal;
    struct client list[PLAN_CLIENTS_MAX];
    uint64_t refused; /* sendings */
    bool hurried;     /* liveness: no more repetitions, no giving up */
};

/* False on no memory. */
bool clients_init(struct clients *clients,
                  const struct plan *plan,
                  struct choice *choice,
                  struct journal *journal);
void clients_free(struct clients *clients);

/* What is to be done at this moment. */
void clients_act(struct clients *clients, struct process *process);

/* The next moment one of them wants to act; an answer may make it earlier. */
int64_t clients_next(const struct clients *clients);

/* The process is gone, and with it what they waited for. */
void clients_bereaved(struct clients *clients, int64_t now_us);

/* Everything was sent and accepted. */
bool clients_content(const struct clients *clients);
