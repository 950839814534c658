/* Oracle of windows: every metric's rows, counted out by hand from the whole log. */
#pragma once

#include "sim/history.h"

/* What one metric must answer when the log has been applied to its end.
 *
 * Where the contract leaves open whether an event counts (the essay in oracle_windows.c says where),
 * the event is in none of the counts but in `maybe`. */
struct expected_row {
    int64_t window_start;
    uint32_t source;  /* 0 unless grouped by it */
    uint32_t type;    /* 0 unless grouped by it */
    uint32_t subject; /* 0: not grouped by it, or NULL */
    uint64_t count;   /* 0: there may be no such row, since all its events are in `maybe` */
    uint64_t maybe;
    uint64_t x_count;
    int128 x_sum;
    int64_t x_min;
    int64_t x_max;
    uint64_t late;  /* of `count`, those added after it was closed: its revision is at most that */
    bool closed;    /* nothing is claimed of closed and final when time_open */
    bool final;     /* nor of the revision when time_open or maybe > 0 */
    bool corrected; /* late > 0: its revision is above 0 */
    bool time_open;
    bool may_be_gone; /* as old as what `retain` lets go */
};

/* The order of rows: by window start, then source, type, subject. */
int expected_row_compare(const struct expected_row *a, const struct expected_row *b);

/* Fates of the log's distinct events for one metric, since its definition. */
struct expected_fates {
    uint64_t counted;
    uint64_t filtered;
    uint64_t late_corrected;
    uint64_t late_dropped;
    uint64_t open; /* events that may have any one of these fates, or none */
};

struct expected_metric {
    bool exists;               /* defined and not dropped at the log's end */
    uint32_t id;               /* of the last definition; 0 when there is none */
    struct expected_row *rows; /* malloc'ed; by window start, then source, type, subject */
    size_t row_count;
    struct expected_fates fates;
};

/* False on no memory or when the log can't be followed (finding says why). */
bool oracle_windows(const struct history *history,
                    const struct recipe *recipe,
                    struct expected_metric *expected,
                    struct finding *finding);
void oracle_windows_free(struct expected_metric *expected);

/* The answer of QUERY_VALUES (struct result_row after result_row, host/result.h; all runners' parts
 * in any order) against what was expected. */
bool oracle_windows_match(const struct recipe *recipe,
                          const struct expected_metric *expected,
                          const struct bytes *answers,
                          size_t answer_count,
                          struct finding *finding);

/* The metric's counters against what was expected. `fates->open` is not read. */
bool oracle_fates_match(const struct recipe *recipe,
                        const struct expected_metric *expected,
                        const struct expected_fates *fates,
                        struct finding *finding);
