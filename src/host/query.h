/* Queries: what the runners know (values, late events, counters). One query goes to every runner;
 * each fills its own answer. */
#pragma once

#include "core/feed.h"
#include "host/letter.h"
#include "model/timeout.h"

enum query_kind {
    QUERY_VALUES,
    QUERY_LATE,           /* the late stream */
    QUERY_STATS,          /* counters */
    QUERY_TIMEOUT,        /* one explicit timeout, by `key` */
    QUERY_TIMEOUTS,       /* a page of them: from `timeout_place` of partition `partition` on */
    QUERY_TIMEOUT_COUNTS, /* how many in each state; O(1); of the rule `metric`, if it names one */
    QUERY_TIMEOUTS_DUE,   /* a histogram of deadlines */
    QUERY_FEED,           /* notes behind `feed_place`, oldest first */
    QUERY_WATCH,          /* a rule's instances of one key: `metric` is the rule's name */
    QUERY_WATCHES,        /* a page of a rule's instances */
};

enum query_window {
    WINDOW_ANY,
    WINDOW_LATEST,       /* the newest window that has rows */
    WINDOW_LATEST_FINAL, /* the newest final one */
};

#define QUERY_FILTERS_MAX 32

struct query_filter {
    struct bytes column; /* of the metric */
    struct bytes text;   /* equal as text, or as a number when both are numbers */
};

/* One row as it travels: docs in host/result.h. */
struct query_answer {
    enum err err;
    char detail[DETAIL_BYTES];
    struct buf rows; /* malloc'ed by the runner; freed by query_free */
    uint64_t row_count;
    uint32_t next_place; /* TIMEOUTS, WATCHES: where the next page begins; UINT32_MAX: at its end.
                          * FEED: UINT32_MAX: these are all; else there are more */
    uint64_t ordinal;    /* FEED: the last pulse that it knows of: see host/feed_merge.h */
    struct feed_place forgotten; /* FEED: notes up to here are gone */
    uint64_t as_of;              /* applied position at the moment of reading */
    int64_t watermark;           /* of the metric, or over all lanes */
    uint8_t
        *definition; /* the metric's, encoded, malloc'ed (first runner's answer only is needed) */
    size_t definition_len;
    uint32_t version;
};

/* Sent to every runner: `parts` letters, one query. done is called once, when all have answered. */
struct query {
    struct letter letter; /* from, done, user of the whole */
    enum query_kind kind;
    struct bytes metric; /* name; LATE: data NULL = any. Borrowed until done, as all slices here */
    int64_t from;        /* window start (VALUES) or event time (LATE) >= from */
    int64_t to;          /* < to */
    enum query_window window;
    bool final_only;
    struct query_filter filters[QUERY_FILTERS_MAX];
    size_t filter_count;
    struct bytes order_column; /* empty: window start, then group */
    bool descending;
    struct bytes key;             /* TIMEOUT, WATCH */
    uint32_t partition;           /* TIMEOUTS, WATCHES: the one that is read */
    uint32_t timeout_place;       /* TIMEOUTS, WATCHES: where to go on */
    uint32_t timeout_states;      /* TIMEOUTS, WATCHES: a bit per enum timeout_state; 0: any */
    struct bytes prefix;          /* TIMEOUTS, WATCHES: of the key */
    int64_t due_before;           /* TIMEOUTS, WATCHES: INT64_MAX: any */
    int64_t span_us;              /* TIMEOUTS_DUE: `limit` spans from `from` on */
    enum timeout_clock clock;     /* TIMEOUTS_DUE: whose deadlines */
    struct feed_place feed_place; /* FEED */
    uint64_t offset;              /* rows to skip, in order */
    uint32_t limit;
    uint64_t min_as_of;         /* wait until this much is applied */
    struct clock_time now;      /* when it was asked; the gateway's */
    struct clock_time deadline; /* give up waiting then: ERR_UNAVAILABLE */

    uint32_t answers_missing;
    uint32_t runner_count;
    struct query_part {
        struct letter letter;
        struct query *query;
        struct query_part *next; /* the runner's own */
        uint32_t runner;
    } parts[RUNNERS_MAX];
    struct query_answer answers[RUNNERS_MAX];
};

void query_free(struct query *query);
