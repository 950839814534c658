/* tidemark bench timeouts --parts rule: events of J1's size through one rule over the stream.
 *
 *     event i:  subject i mod S starts in even passes, stops in odd ones       S = SUBJECTS, at most
 *
 *     pass        0          1          2          3       ...      each takes 40 s of event time;
 *              S starts   S stops    S starts   S stops             every event up to 5 s too late
 *                 |          |
 *                 +-- 40 s --+  within 60 s: completed; one start in a thousand is never stopped: it fires
 *
 * The same events go twice, first to J1's metric alone, then to it and the rule, so that the two rates
 * differ by nothing but the rule. How many fire is known beforehand, and another number is a failure. */
#include "apps/bench_timeouts.h"

#include "apps/answer_json.h"
#include "apps/say.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_DEFAULT 4
#define SUBJECTS            100000u
#define SOURCES             16
#define PASS_US             40000000
#define LATE_US             5000000u
#define FORGOTTEN_OF        1000u
#define BASE_US             1735689600000000LL /* 2025-01-01T00:00:00Z */
#define GAP_US              3600000000LL       /* of event time, between the two runs */
#define LINE_BYTES_MAX      240
#define DECIDED_WAIT_US     60000000
#define DECIDED_LOOK_US     5000
#define METRIC                                                                                     \
    "DROP METRIC IF EXISTS bench_events; "                                                         \
    "CREATE METRIC bench_events AS SELECT type, count(*) AS n "                                    \
    "FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY type"
#define RULE                                                                                       \
    "DROP TIMEOUT IF EXISTS bench_rule; "                                                          \
    "CREATE TIMEOUT bench_rule AS AFTER type = 'plant.batch.started' "                             \
    "EXPECT type = 'plant.batch.stopped' WITHIN INTERVAL '60 seconds' PER subject"

/* The events of one run. */
struct passes {
    const char *prefix; /* of the ids */
    int64_t first_us;
    uint32_t subjects;
    uint64_t count;
    uint64_t per_body;
    uint8_t *bodies[BLAST_CONNECTIONS_MAX];
    size_t body_bytes;
};

/* What a process has used so far; zeros when nobody said which it is. */
struct usage {
    double cpu_us;
    double memory_bytes; /* the most so far */
};

static uint64_t random_of(uint64_t number)
{
    return hash64_mix(hash64_mix(0x9e3779b97f4a7c15u, number), number);
}

/* Is the start of that number never stopped? */
static bool is_forgotten(uint64_t start)
{
    return random_of(start) % FORGOTTEN_OF == 0;
}

static uint64_t forgotten_count(const struct passes *passes)
{
    uint64_t count = 0;
    for (uint64_t start = 0; start < passes->count / 2; start++) {
        count += is_forgotten(start);
    }
    return count;
}

static void event_put(const struct passes *passes, uint64_t i, struct buf *out)
{
    uint64_t pass = i / passes->subjects;
    uint32_t subject = (uint32_t)(i % passes->subjects);
    bool stops = pass % 2 == 1;
    bool nobody = stops && is_forgotten(pass / 2 * passes->subjects + subject);
    uint64_t random = random_of(~i);
    const struct bench_event event = {
        .number = i,
        .time_us = passes->first_us + (int64_t)(i * PASS_US / passes->subjects) -
                   (int64_t)(random % LATE_US),
        .prefix = passes->prefix,
        .type = stops ? "plant.batch.stopped" : "plant.batch.started",
        .subject = nobody ? subject + SUBJECTS : subject,
        .source = subject % SOURCES,
        .value = 10000 + (uint32_t)(random >> 40) % 89900,
    };
    bench_event_put(out, &event);
}

static struct bytes events_body(void *ctx, uint32_t thread, uint64_t index)
{
    struct passes *passes = ctx;
    struct buf out = buf_of(passes->bodies[thread], passes->body_bytes);
    uint64_t end = (index + 1) * passes->per_body;
    end = end < passes->count ? end : passes->count;
    for (uint64_t i = index * passes->per_body; i < end; i++) {
        event_put(passes, i, &out);
    }
    CHECK(!out.overflow);
    return buf_bytes(&out);
}

/* --- What the server used --- */

static bool file_read(const char *path, char *text, size_t cap)
{
    FILE *file = fopen(path, "re");
    size_t len = file != NULL ? fread(text, 1, cap - 1, file) : 0;
    text[len] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
    return len > 0;
}

/* proc(5): in stat, utime and stime are the 12th and 13th word behind the name in brackets. */
static bool usage_look(const struct settings *settings, struct usage *usage)
{
    long long pid = setting_number(settings, OPTION_SERVER_PID);
    char path[64];
    char text[4096];
    *usage = (struct usage){0};
    if (pid == 0) {
        return true;
    }
    text_put(path, sizeof(path), "/proc/%lld/stat", pid);
    const char *at = file_read(path, text, sizeof(text)) ? strrchr(text, ')') : NULL;
    for (int word = 0; at != NULL && word < 12; word++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL) {
        complain("--server-pid: there is no process %lld", pid);
        return false;
    }
    char *rest = NULL;
    double ticks = strtod(at, &rest);
    ticks += strtod(rest, NULL);
    usage->cpu_us = ticks * 1e6 / (double)sysconf(_SC_CLK_TCK);
    text_put(path, sizeof(path), "/proc/%lld/status", pid);
    at = file_read(path, text, sizeof(text)) ? strstr(text, "VmHWM:") : NULL;
    usage->memory_bytes = at == NULL ? 0 : strtod(at + strlen("VmHWM:"), NULL) * 1024;
    return true;
}

/* --- A run --- */

static int passes_make(const struct settings *settings, uint32_t threads, struct passes *passes)
{
    uint64_t wanted = (uint64_t)setting_number(settings, OPTION_EVENTS);
    uint64_t pair = wanted / 2 < SUBJECTS ? wanted / 2 : SUBJECTS;
    if (pair == 0) {
        complain("--events: at least 2 here");
        return EXIT_CODE_USAGE;
    }
    passes->subjects = (uint32_t)pair;
    passes->count = wanted / (2 * pair) * (2 * pair);
    passes->body_bytes = (size_t)setting_number(settings, OPTION_BODY) + BENCH_EVENT_MAX;
    passes->per_body = passes->body_bytes / LINE_BYTES_MAX;
    for (uint32_t i = 0; i < threads; i++) {
        passes->bodies[i] = malloc(passes->body_bytes);
        if (passes->bodies[i] == NULL) {
            complain("there is no memory left");
            return EXIT_CODE_NO_MEMORY;
        }
    }
    return EXIT_CODE_OK;
}

/* What is due fires over some pulses: until nothing is pending. */
static int decided_wait(struct server *server, double *fired, double *lost)
{
    int64_t end_us = steady_us() + DECIDED_WAIT_US;
    double pending = 1;
    int code = EXIT_CODE_OK;
    while (code == EXIT_CODE_OK && pending > 0 && steady_us() < end_us &&
           sleep_us(DECIDED_LOOK_US)) {
        code = bench_figure(server, "tidemark_rule_pending{rule=\"bench_rule\"}", &pending);
    }
    if (code == EXIT_CODE_OK) {
        code = bench_figure(server, "tidemark_rule_fired_total{rule=\"bench_rule\"}", fired);
    }
    return code == EXIT_CODE_OK
               ? bench_figure(server, "tidemark_rule_lost_total{rule=\"bench_rule\"}", lost)
               : code;
}

struct passes_run {
    const struct settings *settings;
    struct server *server;
    struct passes *passes;
    struct blast *blast;
    const char *name;
    bool rule;
    double rate; /* the result */
};

static void run_say(const struct passes_run *run, double us, const struct usage *used)
{
    char name[80];
    const struct settings *settings = run->settings;
    double count = (double)run->blast->accepted;
    text_put(name, sizeof(name), "%s_acknowledged_rate", run->name);
    bench_result(settings, name, count * 1e6 / (double)run->blast->us, "events/s");
    text_put(name, sizeof(name), "%s_decided_rate", run->name);
    bench_result(settings, name, count * 1e6 / us, "events/s");
    text_put(name, sizeof(name), "%s_ack", run->name);
    bench_latencies(settings, name, &run->blast->acks);
    text_put(name, sizeof(name), "%s_repeated_requests", run->name);
    bench_result(settings, name, (double)run->blast->repeated, "requests");
    if (used->cpu_us > 0) {
        text_put(name, sizeof(name), "%s_server_cpu", run->name);
        bench_result(settings, name, used->cpu_us / count, "us/event");
        text_put(name, sizeof(name), "%s_server_memory", run->name);
        bench_result(settings, name, used->memory_bytes / (1024.0 * 1024.0), "MiB");
    }
}

static int fired_judge(const struct passes_run *run, double fired, double lost)
{
    double expected = (double)forgotten_count(run->passes);
    bench_result(run->settings, "timeouts_rule_fired", fired, "timeouts");
    bench_result(run->settings, "timeouts_rule_expected", expected, "timeouts");
    if (fired == expected && lost == 0) {
        return EXIT_CODE_OK;
    }
    complain("%.0f instances fired, not %.0f; %.0f signals were lost", fired, expected, lost);
    return EXIT_CODE_REFUSED;
}

static int passes_run(struct passes_run *run)
{
    struct usage before;
    struct usage after;
    double fired = 0;
    double lost = 0;
    int code = bench_lane_open(run->server, "PT10M");
    if (code == EXIT_CODE_OK && !usage_look(run->settings, &before)) {
        code = EXIT_CODE_USAGE;
    }
    int64_t start_us = steady_us();
    code = code == EXIT_CODE_OK ? blast_run(run->blast) : code;
    code = code == EXIT_CODE_OK ? bench_lane_final(run->server, "bench_events") : code;
    if (code == EXIT_CODE_OK && run->rule) {
        code = decided_wait(run->server, &fired, &lost);
    }
    double us = (double)(steady_us() - start_us);
    if (code == EXIT_CODE_OK && !usage_look(run->settings, &after)) {
        code = EXIT_CODE_USAGE;
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    run->rate = (double)run->blast->accepted * 1e6 / us;
    after.cpu_us -= before.cpu_us;
    run_say(run, us, &after);
    if (run->blast->accepted != run->passes->count) {
        complain("%llu of %llu events were refused",
                 (unsigned long long)(run->passes->count - run->blast->accepted),
                 (unsigned long long)run->passes->count);
        return EXIT_CODE_REFUSED;
    }
    return run->rule ? fired_judge(run, fired, lost) : EXIT_CODE_OK;
}

/* The same events once more, an hour later than the others ended. */
static void passes_again(struct passes *passes, struct blast *blast)
{
    passes->prefix = "r-";
    passes->first_us += (int64_t)(passes->count / passes->subjects) * PASS_US + GAP_US;
    *blast = (struct blast){
        .settings = blast->settings,
        .connections = blast->connections,
        .body_count = blast->body_count,
        .body = blast->body,
        .ctx = blast->ctx,
    };
}

/* `sql` makes what the run needs. */
static int run_after(struct passes_run *run, const char *sql)
{
    int code = bench_sql(run->server, sql);
    return code == EXIT_CODE_OK ? passes_run(run) : code;
}

static int both_run(const struct settings *settings, struct server *server, struct passes *passes)
{
    static struct blast blast; /* large */
    int64_t wanted = setting_number(settings, OPTION_BENCH_CONNECTIONS);
    blast = (struct blast){
        .settings = settings,
        .connections = wanted == 0 ? CONNECTIONS_DEFAULT : (uint32_t)wanted,
        .body = events_body,
        .ctx = passes,
    };
    if (blast.connections > BLAST_CONNECTIONS_MAX) {
        complain("--connections: at most %d here", BLAST_CONNECTIONS_MAX);
        return EXIT_CODE_USAGE;
    }
    struct passes_run run = {
        .settings = settings,
        .server = server,
        .passes = passes,
        .blast = &blast,
        .name = "timeouts_no_rule",
    };
    int code = passes_make(settings, blast.connections, passes);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    blast.body_count = (passes->count - 1) / passes->per_body + 1;
    code = run_after(&run, METRIC);
    double alone = run.rate;
    if (code == EXIT_CODE_OK) {
        passes_again(passes, &blast);
        run.rule = true;
        run.name = "timeouts_rule";
        code = run_after(&run, RULE);
    }
    if (code == EXIT_CODE_OK) {
        bench_result(settings, "timeouts_rule_events", (double)passes->count, "events");
        bench_result(settings, "timeouts_rule_ratio", run.rate / alone, "of the rate without");
    }
    return code;
}

int bench_rule(const struct settings *settings)
{
    struct server server;
    struct passes passes = {.prefix = "n-", .first_us = BASE_US};
    int code = server_open(&server, settings);
    if (code == EXIT_CODE_OK) {
        code = both_run(settings, &server, &passes);
        server_close(&server);
    }
    for (size_t i = 0; i < BLAST_CONNECTIONS_MAX; i++) {
        free(passes.bodies[i]);
    }
    return code;
}
