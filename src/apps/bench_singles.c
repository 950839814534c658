/* Single requests, each durable before its answer, on many kept-alive connections; the next request
 * leaves when the answer is there. One thread, one epoll loop. tidemark bench singles sends an event by
 * each.
 *
 *     writing ──all sent──► reading ──answer complete──► writing ...                            */
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

#define CONNECTIONS_DEFAULT 256
#define CONNECTIONS_MAX     1024
#define ANSWER_BYTES        4096
#define READY_MAX           256

struct single {
    int fd;
    uint8_t request[SINGLE_REQUEST_BYTES];
    size_t request_len;
    size_t sent;
    uint8_t answer[ANSWER_BYTES];
    size_t answer_len;
    int64_t start_us;
};

struct singles {
    struct single_load *load;
    struct http_url url;
    uint32_t count;
    struct single *all;
    int epoll_fd;
    bool stopping;
    uint32_t busy;
    struct histogram acks;
    char failure[160];
};

static void request_make(struct singles *singles, struct single *single)
{
    struct single_load *load = singles->load;
    struct buf out = buf_of(single->request, sizeof(single->request));
    load->request(load->ctx, singles->url.authority, load->made++, &out);
    CHECK(!out.overflow);
    single->request_len = out.len;
    single->sent = 0;
    single->answer_len = 0;
    single->start_us = steady_us();
}

static bool all_made(const struct singles *singles)
{
    return singles->stopping ||
           (singles->load->count > 0 && singles->load->made >= singles->load->count);
}

static bool fail(struct singles *singles, const char *why)
{
    text_put(singles->failure, sizeof(singles->failure), "%s", why);
    return false;
}

/* Sends what the socket takes. Requests are small: a rest is the exception. */
static bool request_send(struct singles *singles, struct single *single)
{
    while (single->sent < single->request_len) {
        ssize_t sent = send(single->fd,
                            single->request + single->sent,
                            single->request_len - single->sent,
                            MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR ? true : fail(singles, strerrordesc_np(errno));
        }
        single->sent += (size_t)sent;
    }
    return true;
}

/* True with *complete when the whole answer is there. */
static bool answer_read(struct singles *singles, struct single *single, bool *complete)
{
    ssize_t got =
        recv(single->fd, single->answer + single->answer_len, ANSWER_BYTES - single->answer_len, 0);
    *complete = false;
    if (got <= 0) {
        bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
        return later ||
               fail(singles, got == 0 ? "the server closed a connection" : strerrordesc_np(errno));
    }
    single->answer_len += (size_t)got;
    struct http_reply_head head;
    enum err err = http_reply_head_parse(bytes_of(single->answer, single->answer_len), &head);
    if (err == ERR_NOT_FOUND && single->answer_len < ANSWER_BYTES) {
        return true;
    }
    if (err != OK || !head.length_known || head.len + head.content_length > ANSWER_BYTES) {
        return fail(singles, "the server's answer can't be understood");
    }
    *complete = single->answer_len >= head.len + head.content_length;
    if (*complete) {
        singles->load->refused += head.status / 100 != 2 ? 1 : 0;
    }
    return true;
}

static bool single_turn(struct singles *singles, struct single *single)
{
    bool complete = false;
    if (single->sent < single->request_len && !request_send(singles, single)) {
        return false;
    }
    if (!answer_read(singles, single, &complete)) {
        return false;
    }
    if (complete) {
        histogram_add(&singles->acks, steady_us() - single->start_us);
        if (all_made(singles)) {
            singles->busy--;
            return true;
        }
        request_make(singles, single);
        return request_send(singles, single);
    }
    return true;
}

static bool connect_all(struct singles *singles)
{
    for (uint32_t i = 0; i < singles->count; i++) {
        struct single *single = &singles->all[i];
        single->fd =
            http_connect(&singles->url, setting_number(singles->load->settings, OPTION_TIMEOUT));
        if (single->fd < 0 || fcntl(single->fd, F_SETFL, O_NONBLOCK) != 0) {
            return fail(singles, strerrordesc_np(errno));
        }
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                    .data = {.ptr = single}};
        if (epoll_ctl(singles->epoll_fd, EPOLL_CTL_ADD, single->fd, &event) != 0) {
            return fail(singles, strerrordesc_np(errno));
        }
    }
    return true;
}

static bool loop_run(struct singles *singles, int64_t end_us)
{
    int64_t give_up_us = end_us + setting_number(singles->load->settings, OPTION_TIMEOUT);
    for (uint32_t i = 0; i < singles->count && !all_made(singles); i++) {
        singles->busy++;
        request_make(singles, &singles->all[i]);
        if (!request_send(singles, &singles->all[i])) {
            return false;
        }
    }
    while (singles->busy > 0) {
        struct epoll_event ready[READY_MAX];
        int count = epoll_wait(singles->epoll_fd, ready, READY_MAX, 100);
        int64_t now = steady_us();
        singles->stopping = singles->stopping || now >= end_us;
        if (now > give_up_us) {
            return fail(singles, "answers are missing");
        }
        for (int i = 0; i < count; i++) {
            if (!single_turn(singles, ready[i].data.ptr)) {
                return false;
            }
        }
    }
    return true;
}

static void results_say(const struct singles *singles, int64_t us)
{
    const struct single_load *load = singles->load;
    char name[80];
    text_put(name, sizeof(name), "%s_connections", load->name);
    bench_result(load->settings, name, singles->count, "connections");
    text_put(name, sizeof(name), "%s_rate", load->name);
    bench_result(
        load->settings, name, (double)singles->acks.count * 1e6 / (double)us, "requests/s");
    text_put(name, sizeof(name), "%s_ack", load->name);
    bench_latencies(load->settings, name, &singles->acks);
    text_put(name, sizeof(name), "%s_refused", load->name);
    bench_result(load->settings, name, (double)load->refused, "requests");
}

static int run(struct singles *singles)
{
    int64_t seconds = setting_number(singles->load->settings, OPTION_SECONDS);
    if (!connect_all(singles)) {
        complain("%s", singles->failure);
        return EXIT_CODE_UNREACHABLE;
    }
    int64_t start_us = steady_us();
    bool good = loop_run(singles, start_us + seconds * 1000000);
    int64_t us = steady_us() - start_us;
    if (!good) {
        complain("%s", singles->failure);
        return EXIT_CODE_UNREACHABLE;
    }
    results_say(singles, us);
    return singles->load->refused > 0 ? EXIT_CODE_REFUSED : EXIT_CODE_OK;
}

int bench_singles_run(struct single_load *load)
{
    static struct singles singles;
    struct error error;
    uint32_t wanted = (uint32_t)setting_number(load->settings, OPTION_BENCH_CONNECTIONS);
    memset(&singles, 0, sizeof(singles));
    singles.load = load;
    singles.count = wanted == 0 ? CONNECTIONS_DEFAULT : wanted;
    if (http_url_parse(setting_text(load->settings, OPTION_URL), &singles.url, &error) != OK) {
        complain("--url: %s", error.text);
        return EXIT_CODE_USAGE;
    }
    CHECK(singles.count <= CONNECTIONS_MAX);
    singles.all = calloc(singles.count, sizeof(*singles.all));
    singles.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int code = EXIT_CODE_NO_MEMORY;
    if (singles.all == NULL || singles.epoll_fd < 0) {
        complain("there is no memory or no descriptor left");
    } else {
        for (uint32_t i = 0; i < singles.count; i++) {
            singles.all[i].fd = -1;
        }
        code = run(&singles);
        for (uint32_t i = 0; i < singles.count; i++) {
            if (singles.all[i].fd >= 0) {
                (void)close(singles.all[i].fd);
            }
        }
    }
    if (singles.epoll_fd >= 0) {
        (void)close(singles.epoll_fd);
    }
    free(singles.all);
    return code;
}

/* --- tidemark bench singles --- */

struct event_load {
    char prefix[40];
};

static void event_request(void *ctx, const char *authority, uint64_t number, struct buf *out)
{
    const struct event_load *events = ctx;
    char body[BENCH_EVENT_MAX];
    char head[300];
    struct buf event_text = buf_of(body, sizeof(body));
    const struct bench_event event = {
        .number = number,
        .time_us = wall_us(),
        .prefix = events->prefix,
        .type = "bench.single",
        .subject = (uint32_t)(number % 10000),
        .source = (uint32_t)(number % 16),
        .value = 12345,
    };
    bench_event_put(&event_text, &event);
    text_put(
        head,
        sizeof(head),
        "POST /v1/events HTTP/1.1\r\nHost: %.120s\r\nContent-Type: application/cloudevents+json\r\n"
        "Content-Length: %zu\r\n\r\n",
        authority,
        event_text.len);
    buf_put_text(out, head);
    buf_put_bytes(out, buf_bytes(&event_text));
}

int bench_singles(const struct command *command)
{
    struct event_load events;
    struct single_load load = {
        .settings = command->settings,
        .name = "singles",
        .request = event_request,
        .ctx = &events,
    };
    text_put(events.prefix, sizeof(events.prefix), "s%llx-", (unsigned long long)wall_us());
    return bench_singles_run(&load);
}
