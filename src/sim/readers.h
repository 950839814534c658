/* Slow readers: clients that read a long answer page by page, by its cursor, through the HTTP API, and
 * take their time between two pages; meanwhile windows close, the log is trimmed, the process is
 * restarted or dies. A page that the engine could not answer is asked for again, with the same cursor.
 *
 * What they were told is judged in the end (oracle_pages.h); a refusal that is not documented, at
 * once. Their choices have a stream of their own (CHOICE_READERS). */
#pragma once

#include "sim/journal.h"
#include "sim/oracle_pages.h"
#include "sim/plan.h"
#include "sim/web.h"

#define READINGS_MAX 64 /* kept for the judge; nobody begins another then */

struct reader_client {
    enum reader_state {
        READER_RESTS, /* between two readings */
        READER_READS, /* one is under way; its exchange is open or it waits */
    } state;
    int64_t next_at; /* true time */
    bool lists;      /* events, not values */
    bool probes;     /* asks how far the metric's time has come, before a settled reading */
    bool asked;      /* exchange is open, or its answer was not looked at yet */
    uint32_t limit;
    uint32_t lives; /* that answered a page of this reading */
    uint32_t life;  /* the one that did last */
    uint64_t durable_end;
    char cursor[PAGE_CURSOR_BYTES];
    char filters[WEB_QUERY_BYTES / 2]; /* all parameters but limit and cursor */
    struct web_exchange exchange;
    struct reading reading;
    struct listing listing;
};

struct readers {
    const struct plan *plan;
    struct choice *choice;
    const struct journal *journal;
    struct web web;
    struct reader_client list[PLAN_READERS_MAX];
    struct reading readings[READINGS_MAX + PLAN_READERS_MAX]; /* ended */
    size_t reading_count;
    struct listing listings[READINGS_MAX + PLAN_READERS_MAX];
    size_t listing_count;
    uint32_t life;       /* of the process: a number for each */
    bool hurried;        /* liveness: nobody rests, nobody begins */
    uint64_t slow;       /* readings of several pages that came to their end */
    uint64_t over_lives; /* of these, those that more than one life of the process answered */
    struct finding finding;
};

void readers_init(struct readers *readers,
                  const struct plan *plan,
                  struct choice *choice,
                  const struct journal *journal);
void readers_free(struct readers *readers);

/* Look at what was answered, ask for what is due. */
void readers_act(struct readers *readers, struct process *process);
int64_t readers_next(const struct readers *readers);

/* The process is gone: what was asked is not answered. Cursors stay good. */
void readers_bereaved(struct readers *readers);

/* What was told was taken back, as it may be on a disk that lies: nothing is claimed of it. */
void readers_forget(struct readers *readers);

/* Nobody is reading (liveness). */
bool readers_content(const struct readers *readers);

/* Judgement. */
bool readers_judge_values(const struct readers *readers,
                          uint32_t recipe,
                          const struct expected_metric *expected,
                          struct finding *finding);
bool readers_judge_listings(const struct readers *readers,
                            const struct history *history,
                            struct finding *finding);
