/* Worker threads that each take loads of lines from the main thread, and give them back.
 *
 *     main ──mailbox──► worker: work(load)
 *          ◄──mailbox── the same load, with what became of it
 *
 * With one worker, loads are worked on in the order in which they were given. */
#pragma once

#include "base/err.h"

#define CREW_MAX       64
#define LOAD_BYTES     ((size_t)1200 * 1024) /* one line at least: FEED_LINE_MAX */
#define REFUSALS_SHOWN 5

/* One event that was not taken. */
struct refused_event {
    uint64_t line; /* 1-based, in the whole input */
    char id[80];
    char detail[160];
};

struct tally_of_events {
    uint64_t sent;
    uint64_t accepted;
    uint64_t rejected;
    uint64_t again; /* requests that had to be repeated */
    size_t shown;
    struct refused_event refusals[REFUSALS_SHOWN];
};

void tally_add(struct tally_of_events *sum, const struct tally_of_events *part);

struct load {
    struct buf text; /* whole lines */
    uint64_t place;  /* 1, 2, 3, ... in the order of the file */
    uint64_t first_line;
    struct tally_of_events tally; /* filled by the worker */
    int exit_code;                /* not 0: the worker gives up, and why */
    char failure[240];
    uint32_t worker;
};

struct crew_work {
    /* On the worker's thread: before the first load, for each load, after the last one. `work` may
     * keep nothing of the load. */
    bool (*begin)(void *ctx, uint32_t worker);
    void (*work)(void *ctx, uint32_t worker, struct load *load);
    void (*end)(void *ctx, uint32_t worker);
    void *ctx;
};

struct crew;

/* NULL when there is no memory, or no thread. */
struct crew *crew_create(uint32_t workers, const struct crew_work *work);

/* Joins the threads; every load must be back. */
void crew_destroy(struct crew *crew);

/* A load to fill, empty; NULL: all are under way. Every one that was taken must be given, or put
 * back. */
struct load *crew_load(struct crew *crew);
void crew_put_back(struct crew *crew, struct load *load);
void crew_give(struct crew *crew, struct load *load);

/* A load that is done; NULL: none now. Put it back when it was looked at. */
struct load *crew_done(struct crew *crew);

/* Sleeps until a load is done, or timeout_us passed. */
void crew_wait(struct crew *crew, int64_t timeout_us);

size_t crew_under_way(const struct crew *crew);
