/* tidemark bench timeouts, the parts lag and burst: how late timeouts fire and are told.
 *
 *     create all, deadlines ahead ──► reader: GET /v1/notifications, each against its deadline
 *                                 ──► looker: GET /v1/timeouts:count, when have all fired?   (burst)
 *                                 ──► events, on a schedule: what do their answers take?     (burst)
 *
 * Lags count from the deadline on the wall clock, which server and benchmark share; so both run on one
 * machine. "fired" is the moment that the server says, "told" the one when the notification was read. */
#include "apps/bench_timeouts.h"

#include "apps/answer_json.h"
#include "apps/say.h"
#include "apps/timeouts.h"
#include "base/check.h"
#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_BYTES      40
#define CURSOR_BYTES      256
#define TARGET_MAX        600
#define LEAD_US           2000000 /* on top of twice what creating should take */
#define PATIENCE_US       120000000
#define LOOK_EVERY_US     5000
#define EVENTS_PER_SECOND 10000
#define EVENTS_BATCH      10
#define EVENTS_SECONDS    2
#define EVENTS_SENDERS    8

/* Reads the feed until all of a run's timeouts were told. */
struct reader_thread {
    struct http_client *client;
    const char *prefix;
    uint64_t wanted;
    uint64_t seen;
    uint64_t again; /* told twice: must stay 0 */
    uint8_t *told;  /* a byte per number */
    int64_t give_up_us;
    int64_t last_us; /* wall clock, when the last one was read */
    struct histogram lags;
    struct histogram fired;
    char cursor[CURSOR_BYTES];
    char failure[200];
};

/* One notification: when it is one of ours, how late. */
static void note_take(struct reader_thread *reader, struct bytes event, int64_t now_us)
{
    char subject[80];
    struct json_value data;
    uint64_t number = 0;
    int64_t deadline_us = 0;
    int64_t fired_us = 0;
    size_t skip = strlen(reader->prefix);
    json_member_text(event, "subject", subject, sizeof(subject));
    if (strncmp(subject, reader->prefix, skip) != 0 ||
        !u64_parse(bytes_of_string(subject + skip), &number) || number >= reader->wanted ||
        !json_member(event, "data", &data) || !timeouts_time(data.text, "deadline", &deadline_us)) {
        return;
    }
    reader->again += reader->told[number];
    reader->seen += reader->told[number] == 0 ? 1 : 0;
    reader->told[number] = 1;
    reader->last_us = now_us;
    histogram_add(&reader->lags, now_us > deadline_us ? now_us - deadline_us : 0);
    if (timeouts_time(data.text, "fired_at", &fired_us)) {
        histogram_add(&reader->fired, fired_us > deadline_us ? fired_us - deadline_us : 0);
    }
}

static void page_take(struct reader_thread *reader, struct bytes body)
{
    struct json_value items;
    struct json_value name;
    struct json_value event;
    int64_t now_us = wall_us();
    if (json_member(body, "items", &items)) {
        struct json_walk walk = json_walk_of(items.text);
        while (json_walk_next(&walk, &name, &event)) {
            note_take(reader, event.text, now_us);
        }
    }
    json_member_text(body, "next_cursor", reader->cursor, sizeof(reader->cursor));
}

/* The next page; *items_there: it had some. False after a failure. */
static bool page_read(struct reader_thread *reader, const char *wait, bool *items_there)
{
    char target[TARGET_MAX];
    struct http_client_response response;
    struct json_value items;
    const struct http_client_request request = {.method = "GET", .target = target};
    text_put(target,
             sizeof(target),
             "/v1/notifications?limit=1000&wait=%s&type=tidemark.timeout.fired%s%s",
             wait,
             reader->cursor[0] != '\0' ? "&after=" : "",
             reader->cursor);
    if (http_client_exchange(reader->client, &request, &response) != OK) {
        text_put(reader->failure, sizeof(reader->failure), "%s", http_client_error(reader->client));
        return false;
    }
    if (response.status != 200 && response.status != 410) { /* which tells where to go on */
        text_put(reader->failure,
                 sizeof(reader->failure),
                 "GET /v1/notifications: status %d",
                 response.status);
        return false;
    }
    page_take(reader, response.body);
    *items_there = response.status == 410 || (json_member(response.body, "items", &items) &&
                                              items.text.len > sizeof("[]") - 1);
    return true;
}

static void *reader_run(void *argument)
{
    struct reader_thread *reader = argument;
    bool good = true;
    while (good && reader->seen < reader->wanted && steady_us() < reader->give_up_us) {
        bool items_there = false;
        good = page_read(reader, "PT1S", &items_there);
    }
    return NULL;
}

/* What was told before this run began. */
static int feed_skip(struct reader_thread *reader)
{
    bool items_there = true;
    while (items_there) {
        if (!page_read(reader, "PT0S", &items_there)) {
            complain("%s", reader->failure);
            return EXIT_CODE_UNREACHABLE;
        }
    }
    return EXIT_CODE_OK;
}

static int reader_open(struct reader_thread *reader, const struct settings *settings)
{
    struct server server;
    int code = server_open(&server, settings);
    reader->client = server.client;
    reader->told = calloc(1, reader->wanted);
    if (code == EXIT_CODE_OK && reader->told == NULL) {
        complain("there is no memory left");
        code = EXIT_CODE_NO_MEMORY;
    }
    return code == EXIT_CODE_OK ? feed_skip(reader) : code;
}

static void reader_close(struct reader_thread *reader)
{
    http_client_destroy(reader->client);
    free(reader->told);
}

/* What came of it. `prefix`: of the figures' names. */
static int
reader_say(const struct reader_thread *reader, const struct settings *settings, const char *prefix)
{
    char name[80];
    text_put(name, sizeof(name), "%s_fired", prefix);
    bench_latencies(settings, name, &reader->fired);
    text_put(name, sizeof(name), "%s_told", prefix);
    bench_latencies(settings, name, &reader->lags);
    text_put(name, sizeof(name), "%s_missing", prefix);
    bench_result(settings, name, (double)(reader->wanted - reader->seen), "timeouts");
    text_put(name, sizeof(name), "%s_told_twice", prefix);
    bench_result(settings, name, (double)reader->again, "timeouts");
    if (reader->failure[0] != '\0') {
        complain("%s", reader->failure);
        return EXIT_CODE_UNREACHABLE;
    }
    return reader->seen == reader->wanted && reader->again == 0 ? EXIT_CODE_OK : EXIT_CODE_REFUSED;
}

/* Creates them; the first deadline is told. Fails when creating took longer than until then. */
static int ahead_create(const struct firing_run *run,
                        const char *prefix,
                        uint64_t count,
                        double gap_us,
                        int64_t *first_us)
{
    int64_t lead_us = LEAD_US + (int64_t)(2e6 * (double)count / run->creates_per_second);
    *first_us = wall_us() + lead_us;
    struct timeout_blast blast = {
        .settings = run->settings,
        .op = "create",
        .prefix = prefix,
        .count = count,
        .first_us = *first_us,
        .gap_us = gap_us,
    };
    int code = timeout_blast_run(&blast, NULL);
    if (code == EXIT_CODE_OK && wall_us() >= *first_us) {
        complain("creating %llu timeouts took too long: some were late when they were created",
                 (unsigned long long)count);
        code = EXIT_CODE_REFUSED;
    }
    return code;
}

/* --- lag --- */

int bench_firing_lag(const struct firing_run *run)
{
    static struct reader_thread reader; /* its histograms are too large for the stack */
    char prefix[PREFIX_BYTES];
    pthread_t thread;
    double per_second = setting(run->settings, OPTION_FIRE_RATE)->real;
    double seconds = (double)setting_number(run->settings, OPTION_SECONDS);
    double wanted = per_second * seconds;
    int64_t first_us = 0;
    text_put(prefix, sizeof(prefix), "l%llx-", (unsigned long long)wall_us());
    memset(&reader, 0, sizeof(reader));
    reader.prefix = prefix;
    reader.wanted = wanted < 1 ? 1 : (uint64_t)wanted;
    int code = reader_open(&reader, run->settings);
    if (code == EXIT_CODE_OK) {
        code = ahead_create(run, prefix, reader.wanted, 1e6 / per_second, &first_us);
    }
    reader.give_up_us =
        steady_us() + (first_us - wall_us()) + (int64_t)(seconds * 1e6) + PATIENCE_US;
    if (code == EXIT_CODE_OK && pthread_create(&thread, NULL, reader_run, &reader) != 0) {
        complain("no thread can be started");
        code = EXIT_CODE_NO_MEMORY;
    } else if (code == EXIT_CODE_OK) {
        int rc = pthread_join(thread, NULL);
        CHECK(rc == 0);
        bench_result(run->settings, "timeouts_lag_rate", per_second, "timeouts/s");
        code = reader_say(&reader, run->settings, "timeouts_lag");
    }
    reader_close(&reader);
    return code;
}

/* --- burst --- */

/* Looks at the count until all have fired. */
struct looker {
    struct http_client *client;
    uint64_t wanted; /* fired, all in all */
    int64_t begin_us;
    int64_t give_up_us; /* both steady */
    int64_t all_us;     /* wall clock; 0: never */
};

/* How many have fired so far; -1: nobody says. */
static int64_t fired_look(struct http_client *client)
{
    struct http_client_response response;
    const struct http_client_request request = {.method = "GET", .target = "/v1/timeouts:count"};
    bool good = http_client_exchange(client, &request, &response) == OK && response.status == 200 &&
                json_text_valid(response.body);
    return good ? json_member_number(response.body, "fired", -1) : -1;
}

static void *looker_run(void *argument)
{
    struct looker *looker = argument;
    (void)sleep_us(looker->begin_us - steady_us());
    while (looker->all_us == 0 && steady_us() < looker->give_up_us) {
        int64_t fired = fired_look(looker->client);
        if (fired >= 0 && (uint64_t)fired >= looker->wanted) {
            looker->all_us = wall_us();
        } else {
            (void)sleep_us(LOOK_EVERY_US);
        }
    }
    return NULL;
}

/* Events on a schedule, from --seconds before to after the instant. */
struct event_flow {
    char prefix[PREFIX_BYTES];
    int64_t start_us;
    uint8_t *bodies[EVENTS_SENDERS];
};

static struct bytes flow_body(void *ctx, uint32_t thread, uint64_t index)
{
    struct event_flow *flow = ctx;
    struct buf out = buf_of(flow->bodies[thread], (size_t)EVENTS_BATCH * BENCH_EVENT_MAX);
    for (uint64_t i = 0; i < EVENTS_BATCH; i++) {
        uint64_t number = index * EVENTS_BATCH + i;
        const struct bench_event event = {
            .number = number,
            .time_us = wall_us(),
            .prefix = flow->prefix,
            .type = "bench.load",
            .subject = (uint32_t)(number % 10000),
            .source = (uint32_t)(number % 16),
            .value = 12345,
        };
        bench_event_put(&out, &event);
    }
    return buf_bytes(&out);
}

static int64_t flow_due(void *ctx, uint64_t index)
{
    const struct event_flow *flow = ctx;
    return flow->start_us + (int64_t)index * (1000000LL * EVENTS_BATCH / EVENTS_PER_SECOND);
}

/* EVENTS_SECONDS of events from `start_us` (steady) on, and what their answers took. */
static int flow_run(const struct settings *settings, int64_t start_us, const char *name)
{
    static struct blast blast; /* its histogram is too large for the stack */
    struct event_flow flow = {.start_us = start_us};
    int code = EXIT_CODE_OK;
    memset(&blast, 0, sizeof(blast));
    blast.settings = settings;
    blast.connections = EVENTS_SENDERS;
    blast.body_count = (uint64_t)EVENTS_SECONDS * EVENTS_PER_SECOND / EVENTS_BATCH;
    blast.body = flow_body;
    blast.due_us = flow_due;
    blast.ctx = &flow;
    text_put(flow.prefix, sizeof(flow.prefix), "e%llx-", (unsigned long long)wall_us());
    for (uint32_t i = 0; i < EVENTS_SENDERS && code == EXIT_CODE_OK; i++) {
        flow.bodies[i] = malloc((size_t)EVENTS_BATCH * BENCH_EVENT_MAX);
        if (flow.bodies[i] == NULL) {
            complain("there is no memory left");
            code = EXIT_CODE_NO_MEMORY;
        }
    }
    code = code == EXIT_CODE_OK ? blast_run(&blast) : code;
    for (uint32_t i = 0; i < EVENTS_SENDERS; i++) {
        free(flow.bodies[i]);
    }
    if (code == EXIT_CODE_OK) {
        bench_latencies(settings, name, &blast.acks);
    }
    return code;
}

/* The instant itself, with all threads. */
static int instant_run(const struct firing_run *run,
                       struct reader_thread *reader,
                       struct looker *looker,
                       int64_t first_us)
{
    pthread_t reading;
    pthread_t looking;
    int64_t instant_us = steady_us() + (first_us - wall_us());
    looker->begin_us = instant_us;
    looker->give_up_us = instant_us + PATIENCE_US;
    reader->give_up_us = looker->give_up_us;
    if (pthread_create(&reading, NULL, reader_run, reader) != 0) {
        complain("no thread can be started");
        return EXIT_CODE_NO_MEMORY;
    }
    bool looks = pthread_create(&looking, NULL, looker_run, looker) == 0;
    int code = flow_run(run->settings, instant_us, "timeouts_burst_ack");
    int rc = pthread_join(reading, NULL);
    CHECK(rc == 0);
    rc = looks ? pthread_join(looking, NULL) : 0;
    CHECK(rc == 0);
    if (code == EXIT_CODE_OK && looker->all_us == 0) {
        complain("not all timeouts have fired");
        code = EXIT_CODE_REFUSED;
    }
    return code;
}

static int
burst_run(const struct firing_run *run, struct reader_thread *reader, struct looker *looker)
{
    int64_t first_us = 0;
    int64_t fired_before = fired_look(looker->client);
    if (fired_before < 0) {
        complain("GET /v1/timeouts:count has no answer");
        return EXIT_CODE_UNREACHABLE;
    }
    looker->wanted = (uint64_t)fired_before + reader->wanted;
    int code = flow_run(run->settings, steady_us(), "timeouts_quiet_ack");
    if (code == EXIT_CODE_OK) {
        code = ahead_create(run, reader->prefix, reader->wanted, 0, &first_us);
    }
    if (code == EXIT_CODE_OK) {
        code = instant_run(run, reader, looker, first_us);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    bench_result(run->settings, "timeouts_burst_size", (double)reader->wanted, "timeouts");
    bench_result(run->settings,
                 "timeouts_burst_all_fired",
                 (double)(looker->all_us - first_us) / 1000,
                 "ms");
    bench_result(run->settings,
                 "timeouts_burst_all_told",
                 (double)(reader->last_us - first_us) / 1000,
                 "ms");
    return reader_say(reader, run->settings, "timeouts_burst");
}

int bench_firing_burst(const struct firing_run *run)
{
    static struct reader_thread reader; /* its histograms are too large for the stack */
    struct looker looker = {.wanted = 0};
    struct server server;
    char prefix[PREFIX_BYTES];
    text_put(prefix, sizeof(prefix), "i%llx-", (unsigned long long)wall_us());
    memset(&reader, 0, sizeof(reader));
    reader.prefix = prefix;
    reader.wanted = (uint64_t)setting_number(run->settings, OPTION_DUE_AT_ONCE);
    int code = server_open(&server, run->settings);
    looker.client = server.client;
    if (code == EXIT_CODE_OK) {
        code = bench_lane_open(&server, "PT5S");
    }
    if (code == EXIT_CODE_OK) {
        code = reader_open(&reader, run->settings);
    }
    if (code == EXIT_CODE_OK) {
        code = burst_run(run, &reader, &looker);
    }
    server_close(&server);
    reader_close(&reader);
    return code;
}
