/* The answers to one QUERY_FEED as one feed, oldest first.
 *
 * Runners are at a pulse at different moments. A cursor means "all up to here", so no note may be shown
 * as long as one before it could still come: what lies behind the last pulse of the slowest runner, or
 * behind the end of an answer that was cut short, waits for the next read.
 *
 *   runner 0:  (7,0,0) (7,0,1) (8,0,0)      knows of pulse 8
 *   runner 1:  (7,1,0)                      knows of pulse 7: it may have an (8,1,0) soon
 *   merged:    (7,0,0) (7,0,1) (7,1,0) */
#pragma once

#include "host/query.h"
#include "host/timeout_rows.h"

struct feed_merge {
    uint32_t count;
    uint64_t ordinal; /* the last pulse that all runners know of */
    bool cut[RUNNERS_MAX];
    bool there[RUNNERS_MAX];
    struct reader rows[RUNNERS_MAX];
    struct feed_row next[RUNNERS_MAX];
};

/* The query is done, and all its answers are OK. */
void feed_merge_init(struct feed_merge *merge, const struct query *query);

/* The next note, its slices in the answers' rows; false when no more can be told now. O(runners). */
bool feed_merge_next(struct feed_merge *merge, struct feed_row *row);

/* The last place that was given up on any runner; ordinal 0: none. A reader whose cursor lies before
 * it has missed notes. */
struct feed_place feed_forgotten(const struct query *query);
