/* tidemark bench open-loop: requests leave on a schedule, whatever the answers take, and latency
 * counts from the schedule: a stall of the server is seen by every request that it delays.
 *
 *   connections ─► batches at --rate                              ack latency
 *   one more    ─► a marker, then values until it is seen         sent-to-visible latency     */
#include "apps/answer_json.h"
#include "apps/bench.h"
#include "apps/say.h"
#include "apps/terminal.h"
#include "base/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CONNECTIONS_DEFAULT 16
#define MARKER_EVERY_US     20000
#define MARKER_PATIENCE_US  10000000
#define LOOK_EVERY_US       500
#define METRIC_SQL                                                                                 \
    "DROP METRIC IF EXISTS bench_load; DROP METRIC IF EXISTS bench_marker; "                       \
    "CREATE METRIC bench_load AS SELECT type, count(*) AS n "                                      \
    "FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY type; "                               \
    "CREATE METRIC bench_marker AS SELECT source, max(data.marker) AS marker "                     \
    "FROM TUMBLE(events, time, INTERVAL '1 hour') WHERE type = 'bench.marker' GROUP BY source"

struct open_loop {
    const struct settings *settings;
    uint64_t batch;
    double per_second; /* events */
    int64_t start_us;
    char prefix[40];
    uint8_t *bodies[BLAST_CONNECTIONS_MAX];
    size_t body_cap;
    /* Of the marker's thread. */
    _Atomic bool stop;
    struct histogram visible;
    bool marker_failed;
};

static struct bytes batch_body(void *ctx, uint32_t thread, uint64_t index)
{
    struct open_loop *loop = ctx;
    struct buf out = buf_of(loop->bodies[thread], loop->body_cap);
    int64_t now_us = wall_us();
    for (uint64_t i = 0; i < loop->batch; i++) {
        uint64_t number = index * loop->batch + i;
        const struct bench_event event = {
            .number = number,
            .time_us = now_us,
            .prefix = loop->prefix,
            .type = "bench.load",
            .subject = (uint32_t)(number % 10000),
            .source = (uint32_t)(number % 16),
            .value = 12345,
        };
        bench_event_put(&out, &event);
    }
    return buf_bytes(&out);
}

static int64_t batch_due(void *ctx, uint64_t index)
{
    const struct open_loop *loop = ctx;
    return loop->start_us + (int64_t)((double)(index * loop->batch) * 1e6 / loop->per_second);
}

/* --- Markers --- */

static bool marker_send(struct http_client *client, const struct open_loop *loop, uint64_t number)
{
    char body[300];
    struct http_client_response response;
    text_put(body,
             sizeof(body),
             "{\"specversion\":\"1.0\",\"id\":\"%s%llu\",\"source\":\"/bench/%s\","
             "\"type\":\"bench.marker\",\"data\":{\"marker\":%llu}}",
             loop->prefix,
             (unsigned long long)number,
             loop->prefix,
             (unsigned long long)number);
    const struct http_client_request request = {
        .method = "POST",
        .target = "/v1/events",
        .content_type = "application/cloudevents+json",
        .body = bytes_of_string(body),
    };
    return http_client_exchange(client, &request, &response) == OK && response.status == 200;
}

/* The highest marker that values show of this run; 0: none. */
static uint64_t marker_look(struct http_client *client, const struct open_loop *loop)
{
    char target[200];
    struct http_client_response response;
    const struct http_client_request request = {.method = "GET", .target = target};
    struct json_value items;
    struct json_value name;
    struct json_value row;
    text_put(target,
             sizeof(target),
             "/v1/metrics/bench_marker/values?order_by=-marker&limit=1&source=%%2Fbench%%2F%s",
             loop->prefix);
    if (http_client_exchange(client, &request, &response) != OK || response.status != 200 ||
        !json_member(response.body, "items", &items)) {
        return 0;
    }
    struct json_walk walk = json_walk_of(items.text);
    if (!json_walk_next(&walk, &name, &row)) {
        return 0;
    }
    int64_t marker = json_member_number(row.text, "marker", 0);
    return marker > 0 ? (uint64_t)marker : 0;
}

static void *markers_run(void *argument)
{
    struct open_loop *loop = argument;
    struct http_url url;
    struct error error;
    enum err err = http_url_parse(setting_text(loop->settings, OPTION_URL), &url, &error);
    CHECK(err == OK); /* the main thread uses it */
    struct http_client *client =
        http_client_create(&url, setting_number(loop->settings, OPTION_TIMEOUT));
    for (uint64_t number = 1; client != NULL && !atomic_load(&loop->stop); number++) {
        int64_t sent_us = steady_us();
        if (!marker_send(client, loop, number)) {
            (void)sleep_us(MARKER_EVERY_US);
            continue;
        }
        while (marker_look(client, loop) < number) {
            if (steady_us() - sent_us > MARKER_PATIENCE_US) {
                loop->marker_failed = true;
                break;
            }
            (void)sleep_us(LOOK_EVERY_US);
        }
        histogram_add(&loop->visible, steady_us() - sent_us);
        /* Not in step with the pulses: the pause is odd. */
        (void)sleep_us(MARKER_EVERY_US + (int64_t)(number * 7919 % 20000));
    }
    http_client_destroy(client);
    return NULL;
}

/* --- The whole --- */

static int load_run(struct open_loop *loop, struct blast *blast)
{
    pthread_t markers;
    loop->start_us = steady_us() + 100000;
    if (pthread_create(&markers, NULL, markers_run, loop) != 0) {
        complain("no thread can be started");
        return EXIT_CODE_NO_MEMORY;
    }
    int code = blast_run(blast);
    atomic_store(&loop->stop, true);
    int rc = pthread_join(markers, NULL);
    CHECK(rc == 0);
    return code;
}

static int results_say(const struct open_loop *loop, const struct blast *blast)
{
    double seconds = (double)(blast->us - 100000) / 1e6;
    bench_result(loop->settings, "open_loop_wanted_rate", loop->per_second, "events/s");
    bench_result(loop->settings, "open_loop_rate", (double)blast->accepted / seconds, "events/s");
    bench_latencies(loop->settings, "open_loop_ack", &blast->acks);
    bench_latencies(loop->settings, "open_loop_visible", &loop->visible);
    bench_result(loop->settings, "open_loop_markers", (double)loop->visible.count, "markers");
    bench_result(
        loop->settings, "open_loop_repeated_requests", (double)blast->repeated, "requests");
    if (loop->marker_failed || blast->rejected > 0) {
        complain("%llu events were rejected%s",
                 (unsigned long long)blast->rejected,
                 loop->marker_failed ? "; a marker was not seen for 10 s" : "");
        return EXIT_CODE_REFUSED;
    }
    return EXIT_CODE_OK;
}

int bench_open_loop(const struct command *command)
{
    const struct settings *settings = command->settings;
    static struct open_loop loop;
    static struct blast blast;
    struct server server;
    uint32_t connections = (uint32_t)setting_number(settings, OPTION_BENCH_CONNECTIONS);
    loop.settings = settings;
    loop.batch = (uint64_t)setting_number(settings, OPTION_BENCH_BATCH);
    loop.per_second = setting(settings, OPTION_BENCH_RATE)->real;
    loop.body_cap = (size_t)(loop.batch + 1) * BENCH_EVENT_MAX;
    text_put(loop.prefix, sizeof(loop.prefix), "o%llx-", (unsigned long long)wall_us());
    double events = loop.per_second * (double)setting_number(settings, OPTION_SECONDS);
    blast = (struct blast){
        .settings = settings,
        .connections = connections == 0 ? CONNECTIONS_DEFAULT : connections,
        .body_count = (uint64_t)(events / (double)loop.batch),
        .body = batch_body,
        .due_us = batch_due,
        .ctx = &loop,
    };
    if (blast.connections > BLAST_CONNECTIONS_MAX || blast.body_count == 0) {
        complain("at most %d connections, and at least one batch", BLAST_CONNECTIONS_MAX);
        return EXIT_CODE_USAGE;
    }
    int code = server_open(&server, settings);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    for (uint32_t i = 0; i < blast.connections && code == EXIT_CODE_OK; i++) {
        loop.bodies[i] = malloc(loop.body_cap);
        code = loop.bodies[i] == NULL ? EXIT_CODE_NO_MEMORY : EXIT_CODE_OK;
    }
    code = code == EXIT_CODE_OK ? bench_lane_open(&server, "PT5S") : code;
    code = code == EXIT_CODE_OK ? bench_sql(&server, METRIC_SQL) : code;
    code = code == EXIT_CODE_OK ? load_run(&loop, &blast) : code;
    code = code == EXIT_CODE_OK ? results_say(&loop, &blast) : code;
    for (uint32_t i = 0; i < blast.connections; i++) {
        free(loop.bodies[i]);
    }
    server_close(&server);
    return code;
}
