/* tidemark bench overload: what a burst does. One thread, one epoll loop, whole requests prepared.
 *
 *     capacity  a closed loop: each connection asks again as soon as it was answered
 *     normal    a schedule: 30 % of that
 *     burst     ten times normal, so three times what can be done
 *     after     normal again, until it is as good as before
 *
 * On a schedule latency counts from the moment when the request was due. A request that is due while
 * all connections wait for answers isn't sent; it is counted as held back. What was refused isn't
 * sent again. So the server's count must end up at exactly the accepted events. */
#include "apps/bench.h"
#include "apps/say.h"
#include "apps/terminal.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_DEFAULT 512
#define CONNECTIONS_MAX     1024
#define CONNECTIONS_CLOSED  32 /* of the closed loop */
#define ANSWER_BYTES        4096
#define READY_MAX           256
#define EVENT_TEXT_MAX      200
#define HEAD_TEXT_MAX       300
#define ID_DIGITS           12
#define NORMAL_PART         0.3
#define BURST_FACTOR        10
#define SLOT_US             250000 /* what "good again" is judged by */
#define SLOTS_MAX           256
#define SLOTS_GOOD          4     /* in a row */
#define GOOD_P99_US_MIN     20000 /* a hiccup of the disk is no overload */
#define METRIC_SQL                                                                                 \
    "DROP METRIC IF EXISTS bench_overload; "                                                       \
    "CREATE METRIC bench_overload AS SELECT source, count(*) AS n "                                \
    "FROM TUMBLE(events, time, INTERVAL '1 hour') GROUP BY source"

enum part {
    PART_CAPACITY,
    PART_NORMAL,
    PART_BURST,
    PART_AFTER,
    PARTS,
};

static const char *const part_names[PARTS] = {"capacity", "normal", "burst", "after"};

struct sender {
    int fd;
    uint8_t *request; /* the thread's template; only the ids change */
    size_t sent;
    bool busy;
    uint8_t answer[ANSWER_BYTES];
    size_t answer_len;
    int64_t due_us;
    int64_t start_us;
    enum part part;
};

struct part_result {
    struct histogram acks; /* of what was accepted, from when it was due */
    struct histogram
        answers; /* the same from when it was sent: without the sender's own lateness */
    struct histogram refusals; /* 429 and 503, from when they were sent */
    uint64_t offered;
    uint64_t held_back;
    uint64_t no_retry_after;
    int64_t us;
};

struct slot {
    struct histogram acks;
    uint64_t refused;
};

struct overload {
    const struct settings *settings;
    struct http_url url;
    uint32_t count;
    struct sender *all;
    uint32_t *idle; /* a stack */
    uint32_t idle_count;
    uint32_t batch;
    char next_id[ID_DIGITS]; /* decimal, counted up in place: the sender must cost little */
    size_t request_len;
    size_t *id_offsets; /* of each event's digits */
    int epoll_fd;
    enum part part;
    bool closed_loop;
    int64_t part_start_us;
    struct part_result parts[PARTS];
    struct slot slots[SLOTS_MAX]; /* of PART_AFTER, by when they were due */
    char prefix[40];
    char failure[160];
};

static bool fail(struct overload *overload, const char *why)
{
    text_put(overload->failure, sizeof(overload->failure), "%s", why);
    return false;
}

/* --- requests --- */

/* The body: all events of one length, their ids' digits at known places. */
static void body_put(struct overload *overload, struct buf *out)
{
    buf_put_u8(out, '[');
    for (uint32_t n = 0; n < overload->batch; n++) {
        char text[EVENT_TEXT_MAX];
        text_put(text,
                 sizeof(text),
                 "%s{\"specversion\":\"1.0\",\"type\":\"bench.load\",\"source\":\"/bench/%02u\","
                 "\"data\":{\"value\":12345},\"id\":\"%s",
                 n == 0 ? "" : ",",
                 n % 16,
                 overload->prefix);
        buf_put_text(out, text);
        overload->id_offsets[n] = out->len;
        buf_put_text(out, "000000000000\"}");
    }
    buf_put_u8(out, ']');
    CHECK(!out->overflow);
}

static bool template_make(struct overload *overload, struct buf *out)
{
    size_t body_cap = (size_t)overload->batch * EVENT_TEXT_MAX + 2;
    uint8_t *body = malloc(body_cap);
    overload->id_offsets = calloc(overload->batch, sizeof(size_t));
    if (body == NULL || overload->id_offsets == NULL) {
        free(body);
        return false;
    }
    struct buf text = buf_of(body, body_cap);
    body_put(overload, &text);
    char head[HEAD_TEXT_MAX];
    text_put(head,
             sizeof(head),
             "POST /v1/events HTTP/1.1\r\nHost: %.120s\r\n"
             "Content-Type: application/cloudevents-batch+json\r\nContent-Length: %zu\r\n\r\n",
             overload->url.authority,
             text.len);
    buf_put_text(out, head);
    for (uint32_t n = 0; n < overload->batch; n++) {
        overload->id_offsets[n] += out->len;
    }
    buf_put_bytes(out, buf_bytes(&text));
    CHECK(!out->overflow);
    free(body);
    return true;
}

static void ids_put(struct overload *overload, struct sender *sender)
{
    for (uint32_t n = 0; n < overload->batch; n++) {
        memcpy(sender->request + overload->id_offsets[n], overload->next_id, ID_DIGITS);
        size_t at = ID_DIGITS - 1;
        for (; overload->next_id[at] == '9' && at > 0; at--) {
            overload->next_id[at] = '0';
        }
        overload->next_id[at]++;
    }
}

static bool request_send(struct overload *overload, struct sender *sender)
{
    while (sender->busy && sender->sent < overload->request_len) {
        ssize_t sent = send(sender->fd,
                            sender->request + sender->sent,
                            overload->request_len - sender->sent,
                            MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR ? true
                                                     : fail(overload, strerrordesc_np(errno));
        }
        sender->sent += (size_t)sent;
    }
    return true;
}

static bool request_begin(struct overload *overload, int64_t due_us)
{
    CHECK(overload->idle_count > 0);
    struct sender *sender = &overload->all[overload->idle[--overload->idle_count]];
    sender->busy = true;
    sender->sent = 0;
    sender->answer_len = 0;
    sender->due_us = due_us;
    sender->start_us = steady_us();
    sender->part = overload->part;
    overload->parts[overload->part].offered++;
    ids_put(overload, sender);
    return request_send(overload, sender);
}

/* --- answers --- */

static struct slot *slot_of(struct overload *overload, const struct sender *sender)
{
    int64_t slot = (sender->due_us - overload->part_start_us) / SLOT_US;
    bool after = sender->part == PART_AFTER && slot >= 0 && slot < SLOTS_MAX;
    return after ? &overload->slots[slot] : NULL;
}

static bool
answer_take(struct overload *overload, struct sender *sender, const struct http_reply_head *head)
{
    struct part_result *result = &overload->parts[sender->part];
    struct slot *slot = slot_of(overload, sender);
    int64_t now_us = steady_us();
    if (head->status == 200) {
        histogram_add(&result->acks, now_us - sender->due_us);
        histogram_add(&result->answers, now_us - sender->start_us);
        if (slot != NULL) {
            histogram_add(&slot->acks, now_us - sender->due_us);
        }
    } else if (head->status == 429 || head->status == 503) {
        histogram_add(&result->refusals, now_us - sender->start_us);
        result->no_retry_after += head->retry_after_s < 0 ? 1 : 0;
        if (slot != NULL) {
            slot->refused++;
        }
    } else {
        text_put(overload->failure,
                 sizeof(overload->failure),
                 "the server answered with status %d",
                 head->status);
        return false;
    }
    if (head->close) {
        return fail(overload, "the server closes connections");
    }
    sender->busy = false;
    overload->idle[overload->idle_count++] = (uint32_t)(sender - overload->all);
    return true;
}

/* Takes the answer when it is whole and the request is sent: a refusal may come before its end. */
static bool answer_parse(struct overload *overload, struct sender *sender)
{
    struct http_reply_head head;
    enum err err = http_reply_head_parse(bytes_of(sender->answer, sender->answer_len), &head);
    if (err == ERR_NOT_FOUND && sender->answer_len < ANSWER_BYTES) {
        return true;
    }
    if (err != OK || !head.length_known || head.len + head.content_length > ANSWER_BYTES) {
        return fail(overload, "the server's answer can't be understood");
    }
    bool complete = sender->answer_len >= head.len + head.content_length &&
                    sender->sent == overload->request_len;
    return !complete || answer_take(overload, sender, &head);
}

static bool answer_read(struct overload *overload, struct sender *sender)
{
    ssize_t got =
        recv(sender->fd, sender->answer + sender->answer_len, ANSWER_BYTES - sender->answer_len, 0);
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        return fail(overload, strerrordesc_np(errno));
    }
    if (got == 0) {
        return fail(overload, "the server closed a connection");
    }
    sender->answer_len += got > 0 ? (size_t)got : 0;
    return sender->answer_len == 0 || !sender->busy || answer_parse(overload, sender);
}

static bool sender_turn(struct overload *overload, struct sender *sender)
{
    if (!request_send(overload, sender) || !answer_read(overload, sender)) {
        return false;
    }
    bool again = overload->closed_loop && !sender->busy;
    return !again || request_begin(overload, steady_us());
}

static bool answers_wait(struct overload *overload, int timeout_ms)
{
    struct epoll_event ready[READY_MAX];
    int count = epoll_wait(overload->epoll_fd, ready, READY_MAX, timeout_ms);
    for (int i = 0; i < count; i++) {
        if (!sender_turn(overload, ready[i].data.ptr)) {
            return false;
        }
    }
    return true;
}

/* --- the parts --- */

static bool drain(struct overload *overload)
{
    int64_t give_up_us = steady_us() + setting_number(overload->settings, OPTION_TIMEOUT);
    while (overload->idle_count < overload->count) {
        if (steady_us() > give_up_us) {
            return fail(overload, "answers are missing");
        }
        if (!answers_wait(overload, 100)) {
            return false;
        }
    }
    return true;
}

static void part_begin(struct overload *overload, enum part part)
{
    overload->part = part;
    overload->part_start_us = steady_us();
}

static bool closed_run(struct overload *overload, int64_t us)
{
    part_begin(overload, PART_CAPACITY);
    overload->closed_loop = true;
    int64_t end_us = overload->part_start_us + us;
    for (uint32_t n = 0; n < CONNECTIONS_CLOSED && overload->idle_count > 0; n++) {
        if (!request_begin(overload, steady_us())) {
            return false;
        }
    }
    while (steady_us() < end_us) {
        if (!answers_wait(overload, 10)) {
            return false;
        }
    }
    overload->closed_loop = false;
    bool good = drain(overload);
    overload->parts[PART_CAPACITY].us = steady_us() - overload->part_start_us;
    return good;
}

/* How many requests of this part are due before now. */
static uint64_t due_count(const struct overload *overload, double gap_us)
{
    return (uint64_t)((double)(steady_us() - overload->part_start_us) / gap_us);
}

/* Requests at their times. Answers of the part before may still come in. */
static bool schedule_run(struct overload *overload, enum part part, double per_second, int64_t us)
{
    part_begin(overload, part);
    struct part_result *result = &overload->parts[part];
    double gap_us = 1e6 / per_second;
    for (uint64_t n = 0; (double)n * gap_us < (double)us;) {
        int64_t due_us = overload->part_start_us + (int64_t)((double)n * gap_us);
        int64_t early_us = due_us - steady_us();
        if (early_us > 0) {
            if (!answers_wait(overload, early_us >= 1000 ? 1 : 0)) {
                return false;
            }
            continue;
        }
        if (overload->idle_count == 0 && !answers_wait(overload, 1)) {
            return false;
        }
        if (overload->idle_count == 0) { /* asleep, so that the server has the core */
            uint64_t due_by_now = due_count(overload, gap_us);
            result->held_back += due_by_now > n ? due_by_now - n : 0;
            n = due_by_now > n ? due_by_now : n;
            continue;
        }
        n++;
        if (!request_begin(overload, due_us) || (n % 16 == 0 && !answers_wait(overload, 0))) {
            return false;
        }
    }
    result->us = steady_us() - overload->part_start_us;
    return true;
}

/* How long after the burst's end requests were as good as before it, for a second; -1: never. */
static double recovery_seconds(const struct overload *overload)
{
    uint64_t usual_us = histogram_percentile(&overload->parts[PART_NORMAL].acks, 0.99);
    uint64_t good_us = 2 * usual_us > GOOD_P99_US_MIN ? 2 * usual_us : GOOD_P99_US_MIN;
    int good = 0;
    for (int n = 0; n < SLOTS_MAX; n++) {
        const struct slot *slot = &overload->slots[n];
        bool fine = slot->refused == 0 && slot->acks.count > 0 &&
                    histogram_percentile(&slot->acks, 0.99) <= good_us;
        good = fine ? good + 1 : 0;
        if (good == SLOTS_GOOD) {
            return (double)(n + 1 - SLOTS_GOOD) * SLOT_US / 1e6;
        }
    }
    return -1;
}

/* The last second: how it is when all is over. */
static void settled_say(const struct overload *overload)
{
    static struct slot sum; /* too large for the stack */
    memset(&sum, 0, sizeof(sum));
    int last = (int)(overload->parts[PART_AFTER].us / SLOT_US) - 1;
    for (int n = last; n >= 0 && n > last - SLOTS_GOOD; n--) {
        histogram_merge(&sum.acks, &overload->slots[n < SLOTS_MAX ? n : SLOTS_MAX - 1].acks);
        sum.refused += overload->slots[n < SLOTS_MAX ? n : SLOTS_MAX - 1].refused;
    }
    bench_latencies(overload->settings, "overload_settled_ack", &sum.acks);
    bench_result(overload->settings, "overload_settled_refused", (double)sum.refused, "requests");
}

static bool all_parts(struct overload *overload)
{
    int64_t seconds_us = setting_number(overload->settings, OPTION_SECONDS) * 1000000;
    struct part_result *capacity = &overload->parts[PART_CAPACITY];
    if (!closed_run(overload, seconds_us)) {
        return false;
    }
    double normal = NORMAL_PART * (double)capacity->acks.count * 1e6 / (double)capacity->us;
    if (normal < 1) {
        return fail(overload, "the closed loop got nothing done");
    }
    return schedule_run(overload, PART_NORMAL, normal, seconds_us) &&
           schedule_run(overload, PART_BURST, normal * BURST_FACTOR, seconds_us) &&
           schedule_run(overload, PART_AFTER, normal, seconds_us) && drain(overload);
}

static void part_say(struct overload *overload, enum part part)
{
    const struct part_result *result = &overload->parts[part];
    const struct settings *settings = overload->settings;
    double seconds = (double)result->us / 1e6;
    char name[80];
    text_put(name, sizeof(name), "overload_%s_rate", part_names[part]);
    bench_result(
        settings, name, (double)result->acks.count * overload->batch / seconds, "events/s");
    text_put(name, sizeof(name), "overload_%s_ack", part_names[part]);
    bench_latencies(settings, name, &result->acks);
    text_put(name, sizeof(name), "overload_%s_answer", part_names[part]);
    bench_latencies(settings, name, &result->answers);
    text_put(name, sizeof(name), "overload_%s_refused", part_names[part]);
    bench_result(settings, name, (double)result->refusals.count, "requests");
    if (result->refusals.count > 0) {
        text_put(name, sizeof(name), "overload_%s_refusal", part_names[part]);
        bench_latencies(settings, name, &result->refusals);
    }
    text_put(name, sizeof(name), "overload_%s_held_back", part_names[part]);
    bench_result(settings, name, (double)result->held_back, "requests");
}

static void results_say(struct overload *overload)
{
    uint64_t accepted = 0;
    uint64_t offered = 0;
    uint64_t no_retry_after = 0;
    for (enum part part = PART_CAPACITY; part < PARTS; part++) {
        part_say(overload, part);
        accepted += overload->parts[part].acks.count * overload->batch;
        offered += overload->parts[part].offered;
        no_retry_after += overload->parts[part].no_retry_after;
    }
    settled_say(overload);
    bench_result(overload->settings, "overload_recovery", recovery_seconds(overload), "s");
    bench_result(overload->settings, "overload_requests", (double)offered, "requests");
    bench_result(overload->settings, "overload_no_retry_after", (double)no_retry_after, "requests");
    bench_result(overload->settings, "overload_accepted", (double)accepted, "events");
}

/* --- the whole --- */

static bool senders_open(struct overload *overload)
{
    size_t cap = HEAD_TEXT_MAX + (size_t)overload->batch * EVENT_TEXT_MAX + 2;
    uint8_t *memory = malloc(cap);
    struct buf text = buf_of(memory, cap);
    bool good = memory != NULL && template_make(overload, &text);
    overload->request_len = text.len;
    for (uint32_t n = 0; n < overload->count && good; n++) {
        struct sender *sender = &overload->all[n];
        sender->request = malloc(text.len);
        sender->fd =
            http_connect(&overload->url, setting_number(overload->settings, OPTION_TIMEOUT));
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                    .data = {.ptr = sender}};
        good = sender->request != NULL && sender->fd >= 0 &&
               fcntl(sender->fd, F_SETFL, O_NONBLOCK) == 0 &&
               epoll_ctl(overload->epoll_fd, EPOLL_CTL_ADD, sender->fd, &event) == 0;
        if (good) {
            memcpy(sender->request, text.data, text.len);
            overload->idle[overload->idle_count++] = n;
        }
    }
    free(memory);
    return good || fail(overload, strerrordesc_np(errno));
}

static void overload_close(struct overload *overload)
{
    for (uint32_t n = 0; overload->all != NULL && n < overload->count; n++) {
        if (overload->all[n].fd >= 0) {
            (void)close(overload->all[n].fd);
        }
        free(overload->all[n].request);
    }
    if (overload->epoll_fd >= 0) {
        (void)close(overload->epoll_fd);
    }
    free(overload->all);
    free(overload->idle);
    free(overload->id_offsets);
}

static int overload_open(struct overload *overload, const struct settings *settings)
{
    uint32_t wanted = (uint32_t)setting_number(settings, OPTION_BENCH_CONNECTIONS);
    *overload = (struct overload){
        .settings = settings,
        .count = wanted == 0 ? CONNECTIONS_DEFAULT : wanted,
        .batch = (uint32_t)setting_number(settings, OPTION_BENCH_BATCH),
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
    };
    CHECK(overload->count <= CONNECTIONS_MAX);
    text_put(overload->prefix, sizeof(overload->prefix), "v%llx-", (unsigned long long)wall_us());
    memset(overload->next_id, '0', sizeof(overload->next_id));
    overload->all = calloc(overload->count, sizeof(*overload->all));
    overload->idle = calloc(overload->count, sizeof(*overload->idle));
    if (overload->all == NULL || overload->idle == NULL || overload->epoll_fd < 0) {
        complain("there is no memory or no descriptor left");
        return EXIT_CODE_NO_MEMORY;
    }
    for (uint32_t n = 0; n < overload->count; n++) {
        overload->all[n].fd = -1;
    }
    return EXIT_CODE_OK;
}

int bench_overload(const struct command *command)
{
    static struct overload overload;
    struct server server;
    int code = server_open(&server, command->settings);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    code = bench_lane_open(&server, "PT5S");
    code = code == EXIT_CODE_OK ? bench_sql(&server, METRIC_SQL) : code;
    server_close(&server);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    code = overload_open(&overload, command->settings);
    overload.url = server.url;
    if (code == EXIT_CODE_OK && (!senders_open(&overload) || !all_parts(&overload))) {
        complain("%s", overload.failure);
        code = EXIT_CODE_UNREACHABLE;
    }
    if (code == EXIT_CODE_OK) {
        results_say(&overload);
    }
    overload_close(&overload);
    return code;
}
