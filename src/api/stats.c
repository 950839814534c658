/* Counters of runners: see stats.h; the bytes are in host/result.h. */
#include "api/stats.h"

bool stat_next(struct reader *rows, struct stat_row *row)
{
    if (rows->bad || reader_left(rows) == 0) {
        return false;
    }
    uint32_t len = read_u32(rows);
    struct reader in = reader_of(read_bytes(rows, len));
    row->counter = read_string(&in);
    row->metric = read_string(&in);
    row->value = read_i64(&in);
    return !rows->bad && !in.bad;
}

int64_t stats_sum(const struct query *query, const char *counter, struct bytes metric)
{
    struct bytes wanted = bytes_of_string(counter);
    int64_t sum = 0;
    for (uint32_t i = 0; i < query->runner_count; i++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[i].rows));
        struct stat_row row;
        while (stat_next(&rows, &row)) {
            if (bytes_equal(row.counter, wanted) && bytes_equal(row.metric, metric)) {
                sum += row.value;
            }
        }
    }
    return sum;
}

enum err query_err(const struct query *query, const char **detail)
{
    for (uint32_t i = 0; i < query->runner_count; i++) {
        if (query->answers[i].err != OK) {
            *detail = query->answers[i].detail;
            return query->answers[i].err;
        }
    }
    return OK;
}
