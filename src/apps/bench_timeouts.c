/* tidemark bench timeouts: making, extending and ending them, by thousands and one by one.
 *
 *     batches   create ─► heartbeat ─► complete, --operations of each, 1,000 a request
 *     singles   create ─► heartbeat ─► complete, one a request, 256 connections
 *     rule      --events through a rule over the stream, and as many without it
 *     (then)    --pending more that wait in the background
 *     lag       --fire-rate a second are due: how late is each told?
 *     burst     --due-at-once are due in one instant: how long until all fired?
 *
 * Every part ends what it makes, but for the background and what --seconds didn't suffice for. Each answer that isn't a yes counts as
 * refused: the figures are only good when there are none. */
#include "apps/bench_timeouts.h"

#include "apps/say.h"
#include "base/check.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_DEFAULT 4
#define LINE_BYTES_MAX      200 /* beside the payload */
#define PREFIX_BYTES        40
#define CREATES_ASSUMED     50000.0 /* a second, when nothing was measured yet */
#define BACKGROUND_FIRST_US (86400LL * 1000000)
#define BACKGROUND_GAP_US   1000000.0
#define WITHIN              "PT12H"

enum bench_part {
    PART_BATCHES = 1,
    PART_SINGLES = 2,
    PART_LAG = 4,
    PART_BURST = 8,
    PART_RULE = 16,
};

/* --- batches --- */

struct batches {
    const struct timeout_blast *blast;
    size_t body_bytes;
    uint8_t *bodies[BLAST_CONNECTIONS_MAX];
};

/* ,"data":"xxxx": --payload bytes of JSON, both quotes included. */
static void payload_put(const struct settings *settings, struct buf *out)
{
    int64_t bytes = setting_number(settings, OPTION_PAYLOAD);
    if (bytes == 0) {
        return;
    }
    buf_put_text(out, ",\"data\":\"");
    for (int64_t i = 2; i < bytes; i++) {
        buf_put_text(out, "x");
    }
    buf_put_text(out, "\"");
}

static void line_put(const struct timeout_blast *blast, uint64_t number, struct buf *out)
{
    buf_put_text(out, "{\"op\":\"");
    buf_put_text(out, blast->op);
    buf_put_text(out, "\",\"key\":\"");
    buf_put_text(out, blast->prefix);
    u64_put(out, number);
    if (strcmp(blast->op, "create") != 0) {
        buf_put_text(out, "\"}\n");
        return;
    }
    if (blast->first_us == 0) {
        buf_put_text(out, "\",\"within\":\"" WITHIN "\"");
    } else {
        buf_put_text(out, "\",\"deadline\":\"");
        timestamp_put(out, blast->first_us + (int64_t)((double)number * blast->gap_us));
        buf_put_text(out, "\"");
    }
    payload_put(blast->settings, out);
    buf_put_text(out, "}\n");
}

static struct bytes batch_body(void *ctx, uint32_t thread, uint64_t index)
{
    struct batches *batches = ctx;
    struct buf out = buf_of(batches->bodies[thread], batches->body_bytes);
    uint64_t end = (index + 1) * TIMEOUT_BATCH;
    end = end < batches->blast->count ? end : batches->blast->count;
    for (uint64_t n = index * TIMEOUT_BATCH; n < end; n++) {
        line_put(batches->blast, n, &out);
    }
    CHECK(!out.overflow);
    return buf_bytes(&out);
}

/* A line for each command: {"index":0,"op":"create","status":201,...}. */
static void batch_judge(struct bytes answer, uint64_t *accepted, uint64_t *rejected)
{
    static const char yes[] = "\"status\":2";
    while (answer.len > 0) {
        const uint8_t *end = memchr(answer.data, '\n', answer.len);
        size_t len = end == NULL ? answer.len : (size_t)(end - answer.data) + 1;
        bool good = memmem(answer.data, len, yes, sizeof(yes) - 1) != NULL;
        *accepted += good ? 1 : 0;
        *rejected += good ? 0 : 1;
        answer = bytes_slice(answer, len, answer.len - len);
    }
}

static uint32_t batch_connections(const struct settings *settings)
{
    int64_t wanted = setting_number(settings, OPTION_BENCH_CONNECTIONS);
    wanted = wanted == 0 ? CONNECTIONS_DEFAULT : wanted;
    return (uint32_t)(wanted < BLAST_CONNECTIONS_MAX ? wanted : BLAST_CONNECTIONS_MAX);
}

static void
blast_say(const struct timeout_blast *blast, const struct blast *result, const char *prefix)
{
    char name[80];
    text_put(name, sizeof(name), "%s_%s_rate", prefix, blast->op);
    bench_result(blast->settings, name, blast->per_second, "timeouts/s");
    text_put(name, sizeof(name), "%s_%s_ack", prefix, blast->op);
    bench_latencies(blast->settings, name, &result->acks);
    text_put(name, sizeof(name), "%s_%s_refused", prefix, blast->op);
    bench_result(blast->settings, name, (double)result->rejected, "timeouts");
}

int timeout_blast_run(struct timeout_blast *blast, const char *name)
{
    static struct blast sending; /* its histogram is too large for the stack */
    size_t payload_bytes = (size_t)setting_number(blast->settings, OPTION_PAYLOAD);
    struct batches batches = {
        .blast = blast,
        .body_bytes = TIMEOUT_BATCH * (LINE_BYTES_MAX + payload_bytes),
    };
    int code = EXIT_CODE_OK;
    memset(&sending, 0, sizeof(sending));
    sending.settings = blast->settings;
    sending.target = "/v1/timeouts:batch";
    sending.judge = batch_judge;
    sending.connections = batch_connections(blast->settings);
    sending.body_count = (blast->count + TIMEOUT_BATCH - 1) / TIMEOUT_BATCH;
    sending.body = batch_body;
    sending.ctx = &batches;
    for (uint32_t i = 0; i < sending.connections && code == EXIT_CODE_OK; i++) {
        batches.bodies[i] = malloc(batches.body_bytes);
        if (batches.bodies[i] == NULL) {
            complain("there is no memory left");
            code = EXIT_CODE_NO_MEMORY;
        }
    }
    code = code == EXIT_CODE_OK ? blast_run(&sending) : code;
    for (uint32_t i = 0; i < sending.connections; i++) {
        free(batches.bodies[i]);
    }
    blast->per_second = (double)sending.accepted * 1e6 / (double)(sending.us > 0 ? sending.us : 1);
    if (code == EXIT_CODE_OK && name != NULL) {
        blast_say(blast, &sending, name);
    }
    if (code == EXIT_CODE_OK && sending.accepted != blast->count) {
        complain("%llu of %llu commands (%s) were refused",
                 (unsigned long long)(blast->count - sending.accepted),
                 (unsigned long long)blast->count,
                 blast->op);
        code = EXIT_CODE_REFUSED;
    }
    return code;
}

static int part_batches(struct firing_run *run)
{
    static const char *const ops[] = {"create", "heartbeat", "complete"};
    char prefix[PREFIX_BYTES];
    int code = EXIT_CODE_OK;
    text_put(prefix, sizeof(prefix), "b%llx-", (unsigned long long)wall_us());
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]) && code == EXIT_CODE_OK; i++) {
        struct timeout_blast blast = {
            .settings = run->settings,
            .op = ops[i],
            .prefix = prefix,
            .count = (uint64_t)setting_number(run->settings, OPTION_OPERATIONS),
        };
        code = timeout_blast_run(&blast, "timeouts");
        run->creates_per_second = i == 0 ? blast.per_second : run->creates_per_second;
    }
    return code;
}

/* --- singles --- */

struct single_ops {
    char prefix[PREFIX_BYTES];
    const char *op;
};

static void single_request(void *ctx, const char *authority, uint64_t number, struct buf *out)
{
    const struct single_ops *ops = ctx;
    char body[LINE_BYTES_MAX] = "{}";
    char path[120] = "";
    char head[400];
    if (strcmp(ops->op, "create") == 0) {
        text_put(body,
                 sizeof(body),
                 "{\"key\":\"%s%llu\",\"within\":\"" WITHIN "\"}",
                 ops->prefix,
                 (unsigned long long)number);
    } else {
        text_put(
            path, sizeof(path), "/%s%llu/%s", ops->prefix, (unsigned long long)number, ops->op);
    }
    text_put(head,
             sizeof(head),
             "POST /v1/timeouts%s HTTP/1.1\r\nHost: %.120s\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n",
             path,
             authority,
             strlen(body));
    buf_put_text(out, head);
    buf_put_text(out, body);
}

static int part_singles(struct firing_run *run)
{
    static const char *const ops[] = {"create", "heartbeat", "complete"};
    struct single_ops single;
    uint64_t count = 0;
    int code = EXIT_CODE_OK;
    text_put(single.prefix, sizeof(single.prefix), "s%llx-", (unsigned long long)wall_us());
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]) && code == EXIT_CODE_OK; i++) {
        char name[80];
        single.op = ops[i];
        text_put(name, sizeof(name), "timeouts_single_%s", ops[i]);
        struct single_load load = {
            .settings = run->settings,
            .name = name,
            .count = count,
            .request = single_request,
            .ctx = &single,
        };
        code = bench_singles_run(&load);
        count = i == 0 ? load.made : count;
    }
    return code;
}

/* --- The whole --- */

static int background_make(struct firing_run *run)
{
    char prefix[PREFIX_BYTES];
    struct timeout_blast blast = {
        .settings = run->settings,
        .op = "create",
        .prefix = prefix,
        .count = (uint64_t)setting_number(run->settings, OPTION_PENDING),
        .first_us = wall_us() + BACKGROUND_FIRST_US,
        .gap_us = BACKGROUND_GAP_US,
    };
    text_put(prefix, sizeof(prefix), "w%llx-", (unsigned long long)wall_us());
    if (blast.count == 0) {
        return EXIT_CODE_OK;
    }
    int code = timeout_blast_run(&blast, NULL);
    run->creates_per_second = blast.per_second;
    bench_result(run->settings, "timeouts_pending", (double)blast.count, "timeouts");
    return code;
}

/* The parts of --parts as bits; 0 after the complaint. */
static unsigned parts_wanted(const struct settings *settings)
{
    static const char *const names[] = {"batches", "singles", "lag", "burst", "rule"};
    const size_t count = sizeof(names) / sizeof(names[0]);
    const struct setting_texts *given = &settings->texts[OPTION_PARTS];
    unsigned parts = 0;
    for (size_t i = 0; i < given->count; i++) {
        size_t n = 0;
        while (n < count && strcmp(given->items[i], names[n]) != 0) {
            n++;
        }
        if (n == count) {
            complain("--parts: \"%.40s\" is none of batches, singles, lag, burst, rule",
                     given->items[i]);
            return 0;
        }
        parts |= 1u << n;
    }
    return given->count > 0 ? parts
                            : PART_BATCHES | PART_SINGLES | PART_LAG | PART_BURST | PART_RULE;
}

int bench_timeouts(const struct command *command)
{
    unsigned parts = parts_wanted(command->settings);
    struct firing_run run = {.settings = command->settings, .creates_per_second = CREATES_ASSUMED};
    int code = parts == 0 ? EXIT_CODE_USAGE : EXIT_CODE_OK;
    if (code == EXIT_CODE_OK && (parts & PART_BATCHES) != 0) {
        code = part_batches(&run);
    }
    if (code == EXIT_CODE_OK && (parts & PART_SINGLES) != 0) {
        code = part_singles(&run);
    }
    if (code == EXIT_CODE_OK && (parts & PART_RULE) != 0) {
        code = bench_rule(command->settings);
    }
    if (code == EXIT_CODE_OK && (parts & (PART_LAG | PART_BURST)) != 0) {
        code = background_make(&run);
    }
    if (code == EXIT_CODE_OK && (parts & PART_LAG) != 0) {
        code = bench_firing_lag(&run);
    }
    if (code == EXIT_CODE_OK && (parts & PART_BURST) != 0) {
        code = bench_firing_burst(&run);
    }
    return code;
}
