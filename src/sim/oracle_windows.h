/* Oracle of windows: every metric's rows, counted out by hand from the whole log. */
#pragma once

#include "sim/history.h"

/* What one metric must answer when the log has been applied to its end. */
struct expected_row {
    int64_t window_start;
    uint32_t source;  /* 0 unless grouped by it */
    uint32_t type;    /* 0 unless grouped by it */
    uint32_t subject; /* 0: not grouped by it, or NULL */
    uint64_t count;
    uint64_t x_count;
    int64_t x_sum;
    int64_t x_min;
    int64_t x_max;
    bool closed;
    bool final;
    bool corrected; /* a late event was added after it was closed: its revision is above 0 */
};

/* Fates of the log's distinct events for one metric, since its definition. */
struct expected_fates {
    uint64_t counted;
    uint64_t filtered;
    uint64_t late_corrected;
    uint64_t late_dropped;
};

struct expected_metric {
    bool exists;               /* defined and not dropped at the log's end */
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
