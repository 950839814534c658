/* tidemark bench j1: a file over HTTP, counted per type and minute, and every count read back.
 *
 *   file (mapped) ─► slices of --body bytes, cut at line ends ─► 4 connections
 *                 ─► final ─► all counted? ─► values, window by window ─► CSV               */
#include "apps/answer_json.h"
#include "apps/bench.h"
#include "apps/say.h"
#include "apps/table.h"
#include "apps/terminal.h"
#include "base/text.h"
#include "model/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECTIONS_DEFAULT 4
#define WINDOW_US           US_PER_MINUTE
#define METRIC_SQL                                                                                 \
    "DROP METRIC IF EXISTS j1; CREATE METRIC j1 AS SELECT type, count(*) AS n "                    \
    "FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY type"

struct slices {
    struct bytes file;
    size_t *ends; /* of each slice */
    size_t count;
};

static bool file_map(const char *path, struct bytes *file)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size <= 0) {
        complain("%s can't be read: %s", path, fd < 0 ? strerrordesc_np(errno) : "it is empty");
        return false;
    }
    void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (memory == MAP_FAILED) {
        complain("%s can't be read: %s", path, strerrordesc_np(errno));
        return false;
    }
    *file = bytes_of(memory, (size_t)status.st_size);
    return true;
}

static bool slices_make(struct slices *slices, size_t body_bytes)
{
    size_t at = 0;
    slices->ends = malloc((slices->file.len / body_bytes * 2 + 2) * sizeof(*slices->ends));
    if (slices->ends == NULL) {
        complain("there is no memory left");
        return false;
    }
    while (at < slices->file.len) {
        size_t end = slices->file.len;
        if (end - at > body_bytes) {
            const uint8_t *last = memrchr(slices->file.data + at, '\n', body_bytes);
            if (last == NULL) {
                complain("there is a line of more than %zu bytes", body_bytes);
                return false;
            }
            end = (size_t)(last + 1 - slices->file.data);
        }
        /* A slice and the next one are together longer than a body: so two per body are enough. */
        slices->ends[slices->count++] = end;
        at = end;
    }
    return true;
}

static struct bytes slice_body(void *ctx, uint32_t thread, uint64_t index)
{
    const struct slices *slices = ctx;
    (void)thread;
    size_t begin = index == 0 ? 0 : slices->ends[index - 1];
    return bytes_slice(slices->file, begin, slices->ends[index] - begin);
}

/* --- Reading back --- */

struct counts {
    FILE *csv; /* NULL: none */
    uint64_t rows;
    uint64_t sum;
};

static void rows_take(struct counts *counts, struct bytes body)
{
    struct json_value items;
    struct json_value name;
    struct json_value row;
    if (!json_member(body, "items", &items)) {
        return;
    }
    struct json_walk walk = json_walk_of(items.text);
    while (json_walk_next(&walk, &name, &row)) {
        char start[40];
        char type[256];
        int64_t n = json_member_number(row.text, "n", 0);
        json_member_text(row.text, "window_start", start, sizeof(start));
        json_member_text(row.text, "type", type, sizeof(type));
        counts->rows++;
        counts->sum += (uint64_t)n;
        if (counts->csv != NULL) {
            (void)fprintf(counts->csv, "%s,%s,%lld\n", start, type, (long long)n);
        }
    }
}

/* All rows of one window, page by page. */
static int window_read(struct server *server, int64_t start_us, struct counts *counts)
{
    char from[40] = {0};
    char to[40] = {0};
    char cursor[300] = "";
    struct buf from_text = buf_of(from, sizeof(from) - 1);
    struct buf to_text = buf_of(to, sizeof(to) - 1);
    timestamp_put(&from_text, start_us);
    timestamp_put(&to_text, start_us + WINDOW_US);
    do {
        char target[700];
        struct http_client_response response;
        text_put(target,
                 sizeof(target),
                 "/v1/metrics/j1/values?limit=1000&from=%s&to=%s%s%s",
                 from,
                 to,
                 cursor[0] != '\0' ? "&cursor=" : "",
                 cursor);
        int code = server_get(server, target, &response);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        rows_take(counts, response.body);
        json_member_text(response.body, "next_cursor", cursor, sizeof(cursor));
    } while (cursor[0] != '\0');
    return EXIT_CODE_OK;
}

/* The first or the last window's start. */
static int window_find(struct server *server, const char *order, int64_t *start_us)
{
    char target[128];
    struct http_client_response response;
    struct json_value items;
    struct json_value name;
    struct json_value row;
    text_put(target, sizeof(target), "/v1/metrics/j1/values?limit=1&order_by=%s", order);
    int code = server_get(server, target, &response);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (json_member(response.body, "items", &items)) {
        struct json_walk walk = json_walk_of(items.text);
        char start[40];
        if (json_walk_next(&walk, &name, &row)) {
            json_member_text(row.text, "window_start", start, sizeof(start));
            if (timestamp_parse(bytes_of_string(start), start_us) == OK) {
                return EXIT_CODE_OK;
            }
        }
    }
    complain("the metric has no values");
    return EXIT_CODE_REFUSED;
}

static int
values_read(const struct settings *settings, struct server *server, struct counts *counts)
{
    const char *path = setting_text(settings, OPTION_CSV_FILE);
    int64_t first_us = 0;
    int64_t last_us = 0;
    int code = window_find(server, "window_start", &first_us);
    if (code == EXIT_CODE_OK) {
        code = window_find(server, "-window_start", &last_us);
    }
    counts->csv = path[0] != '\0' ? fopen(path, "we") : NULL;
    if (path[0] != '\0' && counts->csv == NULL) {
        complain("--csv: %s can't be written: %s", path, strerrordesc_np(errno));
        return EXIT_CODE_IO;
    }
    if (counts->csv != NULL) {
        (void)fputs("window_start,type,n\n", counts->csv);
    }
    for (int64_t at = first_us; at <= last_us && code == EXIT_CODE_OK; at += WINDOW_US) {
        code = window_read(server, at, counts);
    }
    if (counts->csv != NULL) {
        bool lost = ferror(counts->csv) != 0;
        if ((fclose(counts->csv) != 0 || lost) && code == EXIT_CODE_OK) {
            complain("--csv: %s can't be written", path);
            code = EXIT_CODE_IO;
        }
    }
    return code;
}

static int j1_run(const struct settings *settings, struct slices *slices, struct server *server)
{
    uint32_t wanted = (uint32_t)setting_number(settings, OPTION_BENCH_CONNECTIONS);
    static struct blast blast; /* large */
    struct counts counts = {.csv = NULL};
    blast = (struct blast){
        .settings = settings,
        .connections = wanted == 0 ? CONNECTIONS_DEFAULT : wanted,
        .body_count = slices->count,
        .body = slice_body,
        .ctx = slices,
    };
    if (blast.connections > BLAST_CONNECTIONS_MAX) {
        complain("--connections: at most %d here", BLAST_CONNECTIONS_MAX);
        return EXIT_CODE_USAGE;
    }
    int code = bench_lane_open(server, "PT10M");
    code = code == EXIT_CODE_OK ? bench_sql(server, METRIC_SQL) : code;
    int64_t start_us = steady_us();
    code = code == EXIT_CODE_OK ? blast_run(&blast) : code;
    code = code == EXIT_CODE_OK ? bench_lane_final(server, "j1") : code;
    int64_t counted_us = steady_us() - start_us;
    int64_t final_us = steady_us();
    code = code == EXIT_CODE_OK ? values_read(settings, server, &counts) : code;
    final_us = steady_us() - final_us;
    if (code != EXIT_CODE_OK) {
        return code;
    }
    bench_result(settings, "j1_events", (double)blast.accepted, "events");
    bench_result(settings,
                 "j1_acknowledged_rate",
                 (double)blast.accepted * 1e6 / (double)blast.us,
                 "events/s");
    bench_result(
        settings, "j1_counted_rate", (double)blast.accepted * 1e6 / (double)counted_us, "events/s");
    bench_result(settings, "j1_body_rate", (double)slices->file.len / (double)blast.us, "MB/s");
    bench_latencies(settings, "j1_ack", &blast.acks);
    bench_result(settings, "j1_repeated_requests", (double)blast.repeated, "requests");
    bench_result(settings, "j1_rows", (double)counts.rows, "rows");
    bench_result(settings, "j1_read_back", (double)final_us / 1e6, "s");
    if (blast.rejected > 0 || counts.sum != blast.accepted) {
        complain("%llu events were rejected; the counts add up to %llu of %llu events",
                 (unsigned long long)blast.rejected,
                 (unsigned long long)counts.sum,
                 (unsigned long long)blast.accepted);
        return EXIT_CODE_REFUSED;
    }
    return EXIT_CODE_OK;
}

int bench_j1(const struct command *command)
{
    const struct settings *settings = command->settings;
    struct slices slices = {.count = 0};
    struct server server;
    if (!file_map(command->arguments[1], &slices.file)) {
        return EXIT_CODE_NO_INPUT;
    }
    if (!slices_make(&slices, (size_t)setting_number(settings, OPTION_BODY))) {
        free(slices.ends);
        return EXIT_CODE_NO_INPUT;
    }
    int code = server_open(&server, settings);
    if (code == EXIT_CODE_OK) {
        code = j1_run(settings, &slices, &server);
        server_close(&server);
    }
    free(slices.ends);
    return code;
}
