/* The runners' counters (QUERY_STATS), summed over all of them. */
#pragma once

#include "host/query.h"

struct stat_row {
    struct bytes counter;
    struct bytes metric; /* empty: of no metric */
    int64_t value;
};

/* The next row of one answer; false at the end. */
bool stat_next(struct reader *rows, struct stat_row *row);

/* The sum over all runners. */
int64_t stats_sum(const struct query *query, const char *counter, struct bytes metric);

/* The first failure among the runners' answers, or OK. */
enum err query_err(const struct query *query, const char **detail) MUST_CHECK;
