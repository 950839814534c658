/* The one who defines metrics, declares sources, asks for snapshots, and asks questions all the time,
 * and who remembers the answers: what was shown once must not be taken back, not even by a crash.
 *
 *   - a count never falls, a closed window stays closed, a final row never changes
 *   - an answer is at least as new as was asked for
 *   - every question is answered once
 *
 * Metrics that may be dropped and created again are not remembered. */
#pragma once

#include "sim/journal.h"
#include "sim/plan.h"

#define VISITOR_ERRANDS_MAX 24

struct errand;

/* A row as it was seen last. */
struct seen_row {
    uint64_t key;    /* hash of metric, window and group */
    uint64_t digest; /* of its results, once it is final */
    int64_t count;
    uint32_t revision;
    uint8_t flags;
    bool used;
};

struct visitor {
    const struct plan *plan;
    struct choice *choice;
    const struct journal *journal;
    int64_t next_at;                             /* true time */
    struct errand *errands[VISITOR_ERRANDS_MAX]; /* the process's memory */
    bool defined[PLAN_RECIPES_MAX];              /* its definition was confirmed, ever */
    bool rule_defined[PLAN_RULES_MAX];
    bool rule_going[PLAN_RULES_MAX]; /* its drop is under way */
    struct seen_row *seen;
    size_t seen_count;
    size_t seen_capacity; /* a power of two */
    uint64_t asked;
    uint64_t answered;
    uint64_t counters[8];   /* the largest ever shown: they don't fall */
    bool only_questions;    /* liveness */
    struct finding finding; /* text: the first broken promise */
};

bool visitor_init(struct visitor *visitor,
                  const struct plan *plan,
                  struct choice *choice,
                  const struct journal *journal);
void visitor_free(struct visitor *visitor);

/* Looks at what was answered, and does the next errand when its time has come. */
void visitor_act(struct visitor *visitor, struct process *process);
int64_t visitor_next(const struct visitor *visitor);

/* The process is gone: nobody will answer. */
void visitor_bereaved(struct visitor *visitor);

/* What was seen is forgotten: it was taken back, as it may be on a disk that lies. */
void visitor_forget(struct visitor *visitor);

/* Asks for all values of a recipe, at once; then visitor_answers when it is answered. Used at the
 * end of a run, with nobody else at work. */
struct errand *visitor_ask_values(struct visitor *visitor,
                                  struct process *process,
                                  const struct recipe *recipe,
                                  uint64_t min_as_of);
struct errand *visitor_ask_stats(struct visitor *visitor, struct process *process);
bool errand_answered(const struct errand *errand);
const struct query *errand_query(const struct errand *errand);
void errand_free(struct errand *errand);

/* Defines every recipe that is not there (liveness); false while some are still under way. */
bool visitor_define_all(struct visitor *visitor, struct process *process);

/* A counter of an answer to QUERY_STATS, over all runners. */
int64_t visitor_stats_sum(const struct query *query, const char *counter, const char *metric);
