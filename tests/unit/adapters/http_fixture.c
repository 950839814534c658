/* Paths of the handler:
 *     /early      413 in head                    /early-close  the same and close
 *     /part       400 at the first part of the body
 *     /async      waits for fixture_answer
 *     /pause      pauses after the first part
 *     /large?N    N kB of 'x'                    /empty        204
 *     /slow       takes 2 ms of the clock
 *     /close      200 and close                  /bad-field    a value with CR LF in it
 *     others      200 with "METHOD path query host body" */
#include "http_fixture.h"

#include "adapters/http_server/http_listen.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#define BODY_BYTES_MAX   (1024 * 1024)
#define QUIET_TURNS      3
#define CLIENT_BYTES_MIN 4096
#define AWAIT_ROUNDS     5000 /* of a millisecond */

static struct fixture_call *call_of(struct http_exchange *exchange)
{
    assert_non_null(exchange->user);
    return exchange->user;
}

static void call_free(struct fixture_call *call)
{
    free(call->body);
    free(call);
}

static void respond(struct fixture *fixture,
                    struct http_exchange *exchange,
                    const struct http_response *response)
{
    struct fixture_call *call = call_of(exchange);
    fixture->port.ops->respond(fixture->port.server, exchange, response);
    if (fixture->paused == exchange) {
        fixture->paused = NULL;
    }
    call_free(call);
}

static bool path_is(const struct http_exchange *exchange, const char *path)
{
    return bytes_equal(exchange->request->path, bytes_of_string(path));
}

static void respond_echo(struct fixture *fixture, struct http_exchange *exchange, bool close)
{
    static const char *names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "?"};
    const struct http_request *request = exchange->request;
    struct fixture_call *call = call_of(exchange);
    size_t cap = call->body_len + request->path.len + request->query.len + request->host.len + 64;
    uint8_t *data = malloc(cap);
    assert_non_null(data);
    struct buf out = buf_of(data, cap);
    buf_put_text(&out, names[request->method]);
    buf_put_text(&out, " ");
    buf_put_bytes(&out, request->path);
    buf_put_text(&out, " ");
    buf_put_bytes(&out, request->query);
    buf_put_text(&out, " ");
    buf_put_bytes(&out, request->host);
    buf_put_text(&out, " ");
    buf_put(&out, call->body, call->body_len);
    assert_false(out.overflow);
    respond(fixture,
            exchange,
            &(struct http_response){.status = 200, .body = buf_bytes(&out), .close = close});
    free(data);
}

static void respond_large(struct fixture *fixture, struct http_exchange *exchange)
{
    uint64_t kilobytes = 0;
    assert_true(u64_parse(exchange->request->query, &kilobytes));
    size_t len = (size_t)kilobytes * 1000;
    uint8_t *data = malloc(len);
    assert_non_null(data);
    memset(data, 'x', len);
    respond(fixture, exchange, &(struct http_response){.status = 200, .body = bytes_of(data, len)});
    free(data);
}

static void on_head(void *ctx, struct http_exchange *exchange)
{
    struct fixture *fixture = ctx;
    struct fixture_call *call = calloc(1, sizeof(*call));
    assert_non_null(call);
    assert_null(exchange->user);
    fixture->heads++;
    fixture->boot_us += path_is(exchange, "/slow") ? 2000 : 0;
    call->exchange = exchange;
    exchange->user = call;
    if (path_is(exchange, "/early")) {
        respond(fixture, exchange, &(struct http_response){.status = 413, .body = BYTES("early")});
    } else if (path_is(exchange, "/early-close")) {
        respond(fixture,
                exchange,
                &(struct http_response){.status = 413, .body = BYTES("early"), .close = true});
    }
}

static void on_body(void *ctx, struct http_exchange *exchange, struct bytes part)
{
    struct fixture *fixture = ctx;
    struct fixture_call *call = call_of(exchange);
    assert_true(part.len > 0);
    assert_ptr_not_equal(fixture->paused, exchange);
    fixture->parts++;
    fixture->body_bytes += part.len;
    if (call->body == NULL) {
        call->body = malloc(BODY_BYTES_MAX);
        assert_non_null(call->body);
    }
    size_t room = BODY_BYTES_MAX - call->body_len;
    size_t len = part.len < room ? part.len : room;
    memcpy(call->body + call->body_len, part.data, len);
    call->body_len += len;
    if (path_is(exchange, "/part")) {
        respond(fixture, exchange, &(struct http_response){.status = 400, .body = BYTES("part")});
    } else if (path_is(exchange, "/pause") && fixture->parts == 1) {
        fixture->port.ops->pause(fixture->port.server, exchange);
        fixture->paused = exchange;
    }
}

static void on_end(void *ctx, struct http_exchange *exchange)
{
    struct fixture *fixture = ctx;
    fixture->ends++;
    if (path_is(exchange, "/async")) {
        call_of(exchange)->next = fixture->waiting;
        fixture->waiting = call_of(exchange);
    } else if (path_is(exchange, "/large")) {
        respond_large(fixture, exchange);
    } else if (path_is(exchange, "/empty")) {
        respond(fixture, exchange, &(struct http_response){.status = 204, .body = BYTES("none")});
    } else if (path_is(exchange, "/bad-field")) {
        const struct http_field field = {BYTES("X-Name"), BYTES("a\r\nSet-Cookie: b")};
        respond(fixture,
                exchange,
                &(struct http_response){.status = 200, .fields = &field, .field_count = 1});
    } else {
        respond_echo(fixture, exchange, path_is(exchange, "/close"));
    }
}

static void on_gone(void *ctx, struct http_exchange *exchange)
{
    struct fixture *fixture = ctx;
    struct fixture_call *call = call_of(exchange);
    fixture->gones++;
    for (struct fixture_call **at = &fixture->waiting; *at != NULL; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            break;
        }
    }
    if (fixture->paused == exchange) {
        fixture->paused = NULL;
    }
    call_free(call);
}

static void on_refuse(void *ctx, enum err err, const char *detail, struct buf *out)
{
    (void)ctx;
    buf_put_text(out, err_name(err));
    buf_put_text(out, ": ");
    buf_put_text(out, detail);
}

static struct clock_time wall(void *ctx)
{
    const struct fixture *fixture = ctx;
    return (struct clock_time){fixture->wall_us};
}

static int64_t boot(void *ctx)
{
    const struct fixture *fixture = ctx;
    return fixture->boot_us;
}

void fixture_open(struct fixture *fixture, struct http_server_options options, bool listening)
{
    static const struct clock_ops clock = {.wall = wall, .boot_us = boot};
    int fd = -1;
    *fixture = (struct fixture){.boot_us = 1000000, .wall_us = 784111777 * 1000000LL};
    fixture->handler = (struct http_handler){on_head, on_body, on_end, on_gone, on_refuse, fixture};
    options.handler = &fixture->handler;
    options.clock = (struct clock_port){&clock, fixture};
    if (listening) {
        struct http_listen_address address = {.host = "127.0.0.1"};
        struct error error;
        assert_int_equal(http_listen(&address, &fd, 1, &error), OK);
        fixture->tcp_port = http_listen_port(fd);
        options.listen_fds = &fd;
        options.listen_count = 1;
    }
    fixture->server = http_server_create(&options);
    assert_non_null(fixture->server);
    fixture->port = http_server_port(fixture->server);
}

void fixture_close(struct fixture *fixture)
{
    http_server_destroy(fixture->server);
    assert_null(fixture->waiting);
}

void fixture_turn(struct fixture *fixture)
{
    for (int i = 0; i < QUIET_TURNS; i++) {
        http_server_poll(fixture->server, 0);
        http_server_validate(fixture->server);
    }
}

void fixture_advance(struct fixture *fixture, int64_t us)
{
    fixture->boot_us += us;
    fixture->wall_us += us;
    fixture_turn(fixture);
}

void fixture_answer(struct fixture *fixture)
{
    struct fixture_call **oldest = &fixture->waiting;
    assert_non_null(*oldest);
    while ((*oldest)->next != NULL) {
        oldest = &(*oldest)->next;
    }
    struct http_exchange *exchange = (*oldest)->exchange;
    *oldest = NULL;
    respond_echo(fixture, exchange, false);
}

void fixture_stream_begin(struct fixture *fixture)
{
    const struct http_field field = {BYTES("Content-Type"), BYTES("text/event-stream")};
    const struct http_response response = {.status = 200, .fields = &field, .field_count = 1};
    assert_non_null(fixture->waiting);
    fixture->port.ops->begin(fixture->port.server, fixture->waiting->exchange, &response);
}

size_t fixture_stream_push(struct fixture *fixture, struct bytes part)
{
    return fixture->port.ops->push(fixture->port.server, fixture->waiting->exchange, part);
}

void fixture_stream_end(struct fixture *fixture)
{
    struct fixture_call *call = fixture->waiting;
    struct http_exchange *exchange = call->exchange;
    fixture->waiting = call->next;
    call_free(call);
    fixture->port.ops->end(fixture->port.server, exchange);
}

static struct client client_of(int fd)
{
    struct client client = {.fd = fd, .in = malloc(CLIENT_BYTES_MIN), .cap = CLIENT_BYTES_MIN};
    assert_non_null(client.in);
    return client;
}

struct client client_pair(struct fixture *fixture)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(http_server_adopt(fixture->server, fds[0]));
    return client_of(fds[1]);
}

struct client client_connect(struct fixture *fixture)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(fixture->tcp_port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)(void *)&address, sizeof(address)), 0);
    fixture_turn(fixture);
    return client_of(fd);
}

void client_close(struct client *client)
{
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    free(client->in);
    *client = (struct client){.fd = -1};
}

void client_send(struct fixture *fixture, struct client *client, struct bytes bytes)
{
    while (bytes.len > 0 && !client->closed && !client->reset) {
        ssize_t sent = send(client->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EPIPE || errno == ECONNRESET) {
                return; /* it was refused while we were still sending */
            }
            assert_int_equal(errno, EAGAIN);
            fixture_turn(fixture);
            client_read(client);
            continue;
        }
        bytes = bytes_of(bytes.data + sent, bytes.len - (size_t)sent);
    }
}

void client_read(struct client *client)
{
    while (!client->closed && !client->reset && client->len < FIXTURE_OUT_BYTES) {
        if (client->len == client->cap) {
            client->cap *= 2;
            client->in = realloc(client->in, client->cap);
            assert_non_null(client->in);
        }
        ssize_t got =
            recv(client->fd, client->in + client->len, client->cap - client->len, MSG_DONTWAIT);
        if (got < 0) {
            client->reset = errno != EAGAIN;
            return;
        }
        client->closed = got == 0;
        client->len += (size_t)got;
    }
}

void client_settle(struct fixture *fixture, struct client *client)
{
    size_t before;
    do {
        before = client->len;
        fixture_turn(fixture);
        client_read(client);
    } while (client->len > before);
}

static void wait_a_little(int round)
{
    (void)usleep(round < 10 ? 10 : 1000);
}

void client_await_close(struct fixture *fixture, struct client *client)
{
    for (int i = 0; i < AWAIT_ROUNDS && !client->closed && !client->reset; i++) {
        client_settle(fixture, client);
        if (!client->closed) {
            wait_a_little(i);
        }
    }
}

static bool header_end(struct bytes in, size_t *len)
{
    const uint8_t *end = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
    *len = end == NULL ? 0 : (size_t)(end - in.data) + 4;
    return end != NULL;
}

/* Splits one final response off the front: its status, or 0 when it is not complete. */
static int next_response(struct bytes *in, struct bytes *body)
{
    size_t head_len;
    while (header_end(*in, &head_len)) {
        assert_memory_equal(in->data, "HTTP/1.1 ", 9);
        int status = (in->data[9] - '0') * 100 + (in->data[10] - '0') * 10 + in->data[11] - '0';
        const uint8_t *field = memmem(in->data, head_len, "Content-Length: ", 16);
        size_t body_len = 0;
        for (const uint8_t *at = field == NULL ? NULL : field + 16; at != NULL && *at != '\r';
             at++) {
            body_len = body_len * 10 + (size_t)(*at - '0');
        }
        if (body_len > in->len - head_len) {
            return 0;
        }
        *body = bytes_of(in->data + head_len, body_len);
        *in = bytes_of(in->data + head_len + body_len, in->len - head_len - body_len);
        if (status >= 200) {
            return status;
        }
    }
    return 0;
}

int client_response(const struct client *client, size_t n, struct bytes *body)
{
    struct bytes in = bytes_of(client->in, client->len);
    int status = 0;
    for (size_t i = 0; i <= n; i++) {
        status = next_response(&in, body);
        if (status == 0) {
            break;
        }
    }
    return status;
}

size_t client_responses(const struct client *client)
{
    struct bytes in = bytes_of(client->in, client->len);
    struct bytes body;
    size_t count = 0;
    while (next_response(&in, &body) != 0) {
        count++;
    }
    return count;
}

void client_await_responses(struct fixture *fixture, struct client *client, size_t count)
{
    for (int i = 0; i < AWAIT_ROUNDS && client_responses(client) < count; i++) {
        client_settle(fixture, client);
        wait_a_little(i);
    }
    assert_true(client_responses(client) >= count);
}

void client_say(struct fixture *fixture, struct client *client, const char *text)
{
    client_send(fixture, client, bytes_of_string(text));
    client_settle(fixture, client);
}

bool client_received(const struct client *client, const char *text)
{
    return client->len > 0 && memmem(client->in, client->len, text, strlen(text)) != NULL;
}

void client_expect(const struct client *client, size_t n, int status, const char *body)
{
    struct bytes got = {0};
    assert_int_equal(client_response(client, n, &got), status);
    assert_int_equal(got.len, strlen(body));
    assert_memory_equal(got.data, body, got.len);
}
