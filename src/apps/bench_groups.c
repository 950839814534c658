/* tidemark bench groups: one open window with a million groups, and what each of them takes. */
#include "apps/bench.h"
#include "apps/say.h"
#include "apps/terminal.h"

#include <stdlib.h>

#define CONNECTIONS      4
#define EVENTS_PER_BODY  4000
#define GROUP_NAME_BYTES 14 /* device-0000000 */
#define SETTLE_US        200000
#define METRIC_FORMAT                                                                              \
    "DROP METRIC IF EXISTS bench_groups; "                                                         \
    "CREATE METRIC bench_groups WITH (groups_max = %lld) AS SELECT subject, count(*) AS n "        \
    "FROM TUMBLE(events, time, INTERVAL '1 week') WHERE type = 'bench.group' GROUP BY subject"

struct groups {
    uint64_t count;
    int64_t time_us;
    char prefix[40];
    uint8_t *bodies[CONNECTIONS];
};

static struct bytes groups_body(void *ctx, uint32_t thread, uint64_t index)
{
    struct groups *groups = ctx;
    struct buf out =
        buf_of(groups->bodies[thread], (size_t)(EVENTS_PER_BODY + 1) * BENCH_EVENT_MAX);
    uint64_t first = index * EVENTS_PER_BODY;
    for (uint64_t i = first; i < first + EVENTS_PER_BODY && i < groups->count; i++) {
        const struct bench_event event = {
            .number = i,
            .time_us = groups->time_us,
            .prefix = groups->prefix,
            .type = "bench.group",
            .subject = (uint32_t)i,
            .source = (uint32_t)(i % 16),
            .value = 12345,
        };
        bench_event_put(&out, &event);
    }
    return buf_bytes(&out);
}

/* Figures before and after. */
struct figures {
    double state;
    double dedup;
    double rows;
    double overflowed;
};

static int figures_read(struct server *server, struct figures *figures)
{
    int code = bench_figure(server, "tidemark_state_bytes", &figures->state);
    code =
        code == EXIT_CODE_OK ? bench_figure(server, "tidemark_dedup_bytes", &figures->dedup) : code;
    if (code == EXIT_CODE_OK) {
        code =
            bench_figure(server, "tidemark_metric_rows{metric=\"bench_groups\"}", &figures->rows);
    }
    if (code == EXIT_CODE_OK) {
        code = bench_figure(server,
                            "tidemark_metric_overflowed_total{metric=\"bench_groups\"}",
                            &figures->overflowed);
    }
    return code;
}

static int metric_make(struct server *server, int64_t count)
{
    char sql[400];
    text_put(sql, sizeof(sql), METRIC_FORMAT, (long long)count);
    return bench_sql(server, sql);
}

static int groups_run(const struct settings *settings, struct server *server, struct groups *groups)
{
    static struct blast blast;
    struct figures before = {0};
    struct figures after = {0};
    blast = (struct blast){
        .settings = settings,
        .connections = CONNECTIONS,
        .body_count = (groups->count + EVENTS_PER_BODY - 1) / EVENTS_PER_BODY,
        .body = groups_body,
        .ctx = groups,
    };
    int code = bench_lane_open(server, "PT5S");
    code = code == EXIT_CODE_OK ? metric_make(server, (int64_t)groups->count) : code;
    code = code == EXIT_CODE_OK ? figures_read(server, &before) : code;
    code = code == EXIT_CODE_OK ? blast_run(&blast) : code;
    (void)sleep_us(SETTLE_US);
    code = code == EXIT_CODE_OK ? figures_read(server, &after) : code;
    if (code != EXIT_CODE_OK) {
        return code;
    }
    double count = (double)groups->count;
    bench_result(settings, "groups_rows", after.rows, "rows");
    bench_result(
        settings, "groups_rate", (double)blast.accepted * 1e6 / (double)blast.us, "events/s");
    double dedup = after.dedup - before.dedup;
    double each = (after.state - before.state - dedup) / count;
    bench_result(settings, "groups_bytes_each", each, "bytes");
    bench_result(settings, "groups_bytes_beside_name", each - GROUP_NAME_BYTES, "bytes");
    bench_result(settings, "groups_dedup_per_event", dedup / count, "bytes");
    if (blast.rejected > 0 || after.rows < count || after.overflowed > 0) {
        complain("%llu events were rejected, %.0f went to the overflow group; there are %.0f rows",
                 (unsigned long long)blast.rejected,
                 after.overflowed,
                 after.rows);
        return EXIT_CODE_REFUSED;
    }
    return EXIT_CODE_OK;
}

int bench_groups(const struct command *command)
{
    const struct settings *settings = command->settings;
    static struct groups groups;
    struct server server;
    groups.count = (uint64_t)setting_number(settings, OPTION_GROUPS);
    groups.time_us = wall_us();
    text_put(groups.prefix, sizeof(groups.prefix), "g%llx-", (unsigned long long)groups.time_us);
    int code = server_open(&server, settings);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    for (size_t i = 0; i < CONNECTIONS && code == EXIT_CODE_OK; i++) {
        groups.bodies[i] = malloc((size_t)(EVENTS_PER_BODY + 1) * BENCH_EVENT_MAX);
        code = groups.bodies[i] == NULL ? EXIT_CODE_NO_MEMORY : EXIT_CODE_OK;
    }
    code = code == EXIT_CODE_OK ? groups_run(settings, &server, &groups) : code;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        free(groups.bodies[i]);
    }
    server_close(&server);
    return code;
}
