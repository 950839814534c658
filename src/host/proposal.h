/* Proposals: what shall enter the log. A network thread hands one to the sequencer, which decides,
 * writes, and gives it back when it is durable (or applied). */
#pragma once

#include "core/feed.h"
#include "host/condition.h"
#include "host/letter.h"
#include "model/rule.h"

enum proposal_kind {
    PROPOSE_EVENTS,
    PROPOSE_DEFINE,
    PROPOSE_DROP,
    PROPOSE_SOURCE,
    PROPOSE_FORGET,
    PROPOSE_LANE,
    PROPOSE_RULE_DEFINE, /* as DEFINE and DROP, of a rule */
    PROPOSE_RULE_DROP,
    PROPOSE_TIMEOUTS, /* commands on explicit timeouts; done when applied, with `results` filled in */
    PROPOSE_CONSUMER, /* a reader of the feed has seen all up to `place` */
    PROPOSE_ANSWER,   /* keep the answer to a request whose key is claimed; gives the claim back */
    PROPOSE_SNAPSHOT, /* take one at the next pulse; done when that pulse is durable */
};

/* What PROPOSE_DEFINE does when the name is taken. */
enum define_mode {
    DEFINE_CREATE,        /* the same definition: fine, unchanged; another: ERR_CONFLICT */
    DEFINE_IF_NOT_EXISTS, /* fine, unchanged */
    DEFINE_PUT,           /* the same: unchanged; another: a new version that counts from now on */
};

struct proposal;

/* One per runner: tells the asking thread what became of its events there. */
struct applied_note {
    struct letter letter;
    struct proposal *proposal;
    struct applied_note *next; /* the runner's own */
    uint32_t duplicates;
    uint32_t late; /* events that at least one metric dropped as late */
};

struct proposal {
    struct letter letter;
    enum proposal_kind kind;
    struct bytes records; /* EVENTS, TIMEOUTS, ANSWER: whole records, borrowed until done */
    uint32_t event_count; /* or commands; TIMEOUTS: of the one record */
    struct timeout_result
        *results;       /* TIMEOUTS: one per command, borrowed; each runner writes its own */
    bool wants_applied; /* EVENTS: done only when applied, with duplicates and late filled in */

    uint64_t place; /* EVENTS: 0, or 1, 2, 3, ...: entered in this order, whatever thread asks */

    struct bytes name;        /* of the metric, rule or source; borrowed until done */
    struct bytes definition;  /* DEFINE, RULE_DEFINE: encoded; borrowed until done */
    enum rule_kind rule_kind; /* RULE_DROP: only one of this kind; 0: of either */
    enum define_mode mode;    /* DEFINE */
    struct condition
        condition;        /* DEFINE, DROP, SOURCE, FORGET, LANE: else refuse (ERR_PRECONDITION) */
    struct source source; /* SOURCE: kind and durations */
    enum lane_command_kind command; /* LANE */
    int64_t time;                   /* LANE, LANE_ADVANCE */
    struct feed_place
        feed_place; /* CONSUMER; its name is in `name`; ordinal 0: forget the consumer */

    /* The outcome. */
    enum err err;
    char detail[DETAIL_BYTES];
    bool changed;     /* something new was written (a repeated CREATE: false) */
    bool created;     /* it did not exist before */
    uint32_t version; /* of the metric or source now */
    uint64_t as_of;   /* log position that reads must have applied to see it */
    uint64_t duplicates;
    uint64_t late;

    /* The post's own. */
    struct proposal *next;
    uint32_t notes_missing;
    struct applied_note notes[RUNNERS_MAX];
};
