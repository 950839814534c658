/* tidemark bench singles: one event a request, each durable before its answer, on many kept-alive
 * connections; the next request leaves when the answer is there. One thread, one epoll loop.
 *
 *     writing ──all sent──► reading ──answer complete──► writing ...                            */
#include "apps/bench.h"
#include "apps/say.h"
#include "apps/terminal.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_DEFAULT 256
#define CONNECTIONS_MAX     1024
#define REQUEST_BYTES       1024
#define ANSWER_BYTES        4096
#define READY_MAX           256

struct single {
    int fd;
    uint8_t request[REQUEST_BYTES];
    size_t request_len;
    size_t sent;
    uint8_t answer[ANSWER_BYTES];
    size_t answer_len;
    int64_t start_us;
};

struct singles {
    const struct settings *settings;
    struct http_url url;
    uint32_t count;
    struct single *all;
    int epoll_fd;
    uint64_t number;
    char prefix[40];
    bool stopping;
    uint32_t busy;
    struct histogram acks;
    uint64_t refused;
    char failure[160];
};

static void request_make(struct singles *singles, struct single *single)
{
    char body[BENCH_EVENT_MAX];
    char head[300];
    struct buf event_text = buf_of(body, sizeof(body));
    const struct bench_event event = {
        .number = singles->number,
        .time_us = wall_us(),
        .prefix = singles->prefix,
        .type = "bench.single",
        .subject = (uint32_t)(singles->number % 10000),
        .source = (uint32_t)(singles->number % 16),
        .value = 12345,
    };
    singles->number++;
    bench_event_put(&event_text, &event);
    text_put(
        head,
        sizeof(head),
        "POST /v1/events HTTP/1.1\r\nHost: %.120s\r\nContent-Type: application/cloudevents+json\r\n"
        "Content-Length: %zu\r\n\r\n",
        singles->url.authority,
        event_text.len);
    struct buf out = buf_of(single->request, sizeof(single->request));
    buf_put_text(&out, head);
    buf_put_bytes(&out, buf_bytes(&event_text));
    CHECK(!out.overflow);
    single->request_len = out.len;
    single->sent = 0;
    single->answer_len = 0;
    single->start_us = steady_us();
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
        singles->refused += head.status != 200 ? 1 : 0;
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
        if (singles->stopping) {
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
        single->fd = http_connect(&singles->url, setting_number(singles->settings, OPTION_TIMEOUT));
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
    int64_t give_up_us = end_us + setting_number(singles->settings, OPTION_TIMEOUT);
    for (uint32_t i = 0; i < singles->count; i++) {
        request_make(singles, &singles->all[i]);
        if (!request_send(singles, &singles->all[i])) {
            return false;
        }
    }
    singles->busy = singles->count;
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

static int run(struct singles *singles)
{
    int64_t seconds = setting_number(singles->settings, OPTION_SECONDS);
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
    bench_result(singles->settings, "singles_connections", singles->count, "connections");
    bench_result(singles->settings,
                 "singles_rate",
                 (double)singles->acks.count * 1e6 / (double)us,
                 "requests/s");
    bench_latencies(singles->settings, "singles_ack", &singles->acks);
    bench_result(singles->settings, "singles_refused", (double)singles->refused, "requests");
    return singles->refused > 0 ? EXIT_CODE_REFUSED : EXIT_CODE_OK;
}

int bench_singles(const struct command *command)
{
    static struct singles singles;
    struct error error;
    uint32_t wanted = (uint32_t)setting_number(command->settings, OPTION_BENCH_CONNECTIONS);
    singles.settings = command->settings;
    singles.count = wanted == 0 ? CONNECTIONS_DEFAULT : wanted;
    text_put(singles.prefix, sizeof(singles.prefix), "s%llx-", (unsigned long long)wall_us());
    if (http_url_parse(setting_text(command->settings, OPTION_URL), &singles.url, &error) != OK) {
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
