/* A line on standard error that says how far a long job is; only on a terminal. */
#pragma once

#include "base/bytes.h"

struct progress {
    bool shown;
    bool drawn;
    int64_t start_us;
    int64_t drawn_at_us;
    uint64_t events_then; /* for the rate since the last drawing */
    double per_second;    /* smoothed */
};

struct progress_state {
    uint64_t events;
    uint64_t bytes;       /* of the input; 0: not told */
    uint64_t bytes_total; /* 0: unknown */
    uint64_t rejected;
};

void progress_begin(struct progress *progress, bool quiet);

/* Draws at most ten times a second. */
void progress_show(struct progress *progress, const struct progress_state *state);

/* Removes the line. Returns how long it all took. */
int64_t progress_end(struct progress *progress);
