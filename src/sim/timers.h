/* Those who arm timeouts: each creates, completes, cancels and extends, one or many at a time; sends
 * again what stayed unanswered and now and then what was answered; and looks at what is there. */
#pragma once

#include "sim/plan.h"
#include "sim/timer_book.h"

struct timer_request;
struct journal;

struct timer_client {
    int64_t next_at;               /* true time */
    struct timer_request *pending; /* the process's memory; gone when the process is */
    bool looks;                    /* that is what is pending; else commands */
    int64_t patience_ends;
    bool owes; /* `asking` must be sent again */
    size_t asking;
};

/* What is known of a key, by answers. */
struct known_timer {
    uint32_t generation;
    uint64_t version;
    uint64_t behind; /* a record at this log position is known to have had its effect; 0: none */
};

struct timers {
    const struct plan *plan;
    struct choice *choice;
    const struct journal *journal;
    struct timer_book book;
    struct timer_client list[PLAN_TIMERS_MAX];
    uint32_t *keys; /* their numbers; malloc'ed */
    uint32_t key_end;
    struct known_timer *known; /* by number; malloc'ed */
    uint64_t looks;
    bool hurried; /* liveness: nothing new */
    struct finding finding;
};

/* False on no memory. */
bool timers_init(struct timers *timers,
                 const struct plan *plan,
                 struct choice *choice,
                 const struct journal *journal);
void timers_free(struct timers *timers);

void timers_act(struct timers *timers, struct process *process);
int64_t timers_next(const struct timers *timers);
void timers_bereaved(struct timers *timers, int64_t now_us);

/* The log ends at `end`, and was longer. */
void timers_forgive(struct timers *timers, uint64_t end);

/* Every command was answered. */
bool timers_content(const struct timers *timers);
