/* Those who listen for what fired: each reads the feed page by page, rests in between, says now and
 * then how far it is, and goes on after a crash from there or from where it remembers. */
#pragma once

#include "sim/plan.h"
#include "sim/timer_book.h"

struct journal;
struct feed_request;

struct listener {
    int64_t next_at;
    struct feed_request *pending; /* the process's memory */
    struct feed_place cursor;
    struct feed_place acked; /* the engine said so */
    struct feed_place tried; /* sent, and not answered */
    bool asks_where;         /* it goes on from what the engine says */
    bool unsure;             /* the disk lost what was said: whatever the engine says is right */
    bool at_end;             /* the last page was the last */
    uint64_t life;           /* of the last page */
};

struct listeners {
    const struct plan *plan;
    struct choice *choice;
    const struct journal *journal;
    struct timer_book *book;
    struct listener list[PLAN_LISTENERS_MAX];
    uint64_t life;
    uint64_t pages; /* with notes */
    uint64_t over_lives;
    uint64_t resumed; /* from what the engine remembered */
    uint64_t gaps;    /* told that something was forgotten */
    bool hurried;     /* liveness: to the end */
    struct finding finding;
};

void listeners_init(struct listeners *listeners,
                    const struct plan *plan,
                    struct choice *choice,
                    const struct journal *journal,
                    struct timer_book *book);
void listeners_act(struct listeners *listeners, struct process *process);
int64_t listeners_next(const struct listeners *listeners);
void listeners_bereaved(struct listeners *listeners, int64_t now_us);

/* What was read or said may be gone: they begin anew. */
void listeners_forget(struct listeners *listeners);

/* All have read to the end. */
bool listeners_content(const struct listeners *listeners);

/* --- for the judge: one question at a time, with nobody else at work --- */

/* NULL: it was not taken. */
struct feed_request *feed_ask(struct process *process, struct feed_place after, uint32_t limit);
bool feed_answered(const struct feed_request *request);

/* Adds the page to the book; NULL: it was no answer, or (finding) not a page. Frees the request. */
const struct heard_page *feed_take(struct timer_book *book,
                                   const struct journal *journal,
                                   struct feed_request *request,
                                   struct finding *finding);
