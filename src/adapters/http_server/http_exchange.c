/* One exchange after the other.
 *
 *            head              all of the body        respond
 *     HEAD --------> BODY ------------------> RESPONSE -------> HEAD
 *                     | respond                                  ^
 *                     '---------> DRAIN -------------------------'
 *                                   the rest of the body was small
 *
 *     any: refused, or responded with close --> LINGER
 *
 * The handler's calls happen in http_exchange_consume and nowhere else (gone may also come from a
 * closing connection). respond only writes and takes note; whoever made the call, or the
 * connection's next run, then moves on (http_exchange_settle), so no call ever runs inside of
 * another.
 *
 * Bodies are never copied: a part is a slice of what was read. Heads are, once, into the exchange's
 * own memory, because the handler may keep slices of them until it responds. */
#include "adapters/http_server/http_exchange.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Larger bodies are offered to the socket first. */
#define BODY_COPIED_BYTES_MAX  ((size_t)16 * 1024)
#define REFUSAL_BODY_BYTES_MAX 1024
#define FREE_WORK_MAX          256

static struct http_work *work_take(struct http_connection *connection)
{
    struct http_loop *loop = connection->loop;
    struct http_link *link = http_list_first(&loop->free_work);
    struct http_work *work;
    if (link != NULL) {
        work = HTTP_LIST_ENTRY(link, struct http_work, link);
        http_list_remove(link);
        loop->free_work_count--;
    } else {
        work = malloc(sizeof(*work));
        if (work == NULL) {
            return NULL;
        }
        work->link = (struct http_link){0};
    }
    work->connection = connection;
    work->begun = false;
    work->open = false;
    work->responded = false;
    work->streaming = false;
    work->paused = false;
    work->continue_due = false;
    work->head_large = (struct http_buffer){0};
    http_head_init(&work->head);
    return work;
}

/* The request in progress is over, whatever became of it. */
static void work_release(struct http_connection *connection)
{
    struct http_loop *loop = connection->loop;
    struct http_work *work = connection->work;
    connection->work = NULL;
    CHECK(!work->open);
    if (work->begun) {
        CHECK(loop->exchange_count > 0);
        loop->exchange_count--;
        connection->served++;
    }
    http_buffer_release(&loop->pool, &work->head_large);
    if (loop->free_work_count == FREE_WORK_MAX) {
        free(work);
        return;
    }
    loop->free_work_count++;
    http_list_append(&loop->free_work, &work->link);
}

void http_exchange_drop(struct http_connection *connection)
{
    struct http_work *work = connection->work;
    if (work == NULL) {
        return;
    }
    if (work->open) {
        work->open = false;
        const struct http_handler *handler = connection->loop->handler;
        handler->gone(handler->ctx, &work->exchange);
    }
    work_release(connection);
}

/* Offers what is queued and the body to the socket in one call. Returns how much of the body it
 * took; the queue is consumed as far as it went. */
static size_t send_directly(struct http_connection *connection, struct bytes body)
{
    struct bytes queued = http_buffer_bytes(&connection->out);
    struct iovec parts[2] = {{.iov_len = queued.len}, {.iov_len = body.len}};
    /* iov_base lacks the const that sending deserves. */
    memcpy(&parts[0].iov_base, &queued.data, sizeof(queued.data));
    memcpy(&parts[1].iov_base, &body.data, sizeof(body.data));
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        if (errno == EAGAIN) {
            connection->writable = false;
        } else if (errno != EINTR) {
            http_connection_abort(connection);
        }
        return 0;
    }
    size_t taken = (size_t)sent;
    connection->sent_bytes += taken;
    connection->writable = taken == queued.len + body.len;
    size_t of_queue = taken < queued.len ? taken : queued.len;
    http_buffer_consume(&connection->loop->pool, &connection->out, of_queue);
    return taken - of_queue;
}

static void put_body(struct http_connection *connection, struct bytes body)
{
    struct http_loop *loop = connection->loop;
    if (body.len > BODY_COPIED_BYTES_MAX && connection->writable) {
        size_t taken = send_directly(connection, body);
        body = bytes_of(body.data + taken, body.len - taken);
    }
    if (connection->broken) {
        return;
    }
    if (body.len > loop->out_bytes_max || connection->out.len > loop->out_bytes_max - body.len ||
        !http_buffer_append(&loop->pool, &connection->out, body)) {
        http_connection_abort(connection); /* a reader too slow for what it asked */
    }
}

static void put_response(struct http_connection *connection,
                         const struct http_response *response,
                         const struct http_framing *framing,
                         bool with_body)
{
    struct http_loop *loop = connection->loop;
    if (connection->broken) {
        return;
    }
    size_t head_bytes_max = http_response_head_bytes_max(response);
    uint8_t *at = http_buffer_reserve(&loop->pool, &connection->out, head_bytes_max);
    if (at == NULL) {
        http_connection_abort(connection);
        return;
    }
    struct buf head = buf_of(at, head_bytes_max);
    http_response_put_head(&head, response, framing);
    CHECK(!head.overflow);
    connection->out.len += head.len;
    if (with_body && http_status_has_body(response->status)) {
        put_body(connection, response->body);
    }
    http_connection_mark_dirty(connection);
}

void http_exchange_refuse(struct http_connection *connection, enum err err, const char *detail)
{
    const struct http_handler *handler = connection->loop->handler;
    const struct http_work *work = connection->work;
    bool answered = work != NULL && work->responded;
    /* RFC 9110 section 9.3.2: no content for HEAD, whatever is said. */
    bool with_body = work == NULL || !work->head.begun || work->head.method != HTTP_HEAD;
    CHECK(connection->phase == HTTP_PHASE_HEAD || connection->phase == HTTP_PHASE_BODY ||
          connection->phase == HTTP_PHASE_DRAIN);
    http_exchange_drop(connection);
    if (!answered) {
        uint8_t space[REFUSAL_BODY_BYTES_MAX];
        struct buf body = buf_of(space, sizeof(space));
        handler->refuse(handler->ctx, err, detail, &body);
        const struct http_field fields[] = {
            {BYTES("Content-Type"), BYTES("application/problem+json")},
            {BYTES("Allow"), BYTES("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")},
        };
        struct http_response response = {
            .status = err_status(err),
            .fields = fields,
            .field_count = err == ERR_METHOD ? 2 : 1,
            .body = body.overflow ? (struct bytes){0} : buf_bytes(&body),
        };
        struct http_framing framing = {.date = http_loop_date(connection->loop), .close = true};
        put_response(connection, &response, &framing, with_body);
    }
    http_connection_linger(connection, true);
}

static bool body_is_whole(const struct http_connection *connection)
{
    return connection->work->request.length_known && connection->body_left == 0;
}

static void finish(struct http_connection *connection)
{
    bool close = connection->close_after;
    CHECK(connection->work->responded);
    connection->seen_us = connection->loop->now_us; /* what came behind it waited for it alone */
    work_release(connection);
    if (close) {
        http_connection_linger(connection, false);
    } else {
        http_connection_set_phase(connection, HTTP_PHASE_HEAD);
    }
}

void http_exchange_settle(struct http_connection *connection)
{
    CHECK(connection->work != NULL);
    CHECK(connection->work->responded);
    if (connection->phase == HTTP_PHASE_RESPONSE || body_is_whole(connection)) {
        finish(connection);
    } else if (connection->close_after) {
        work_release(connection);
        http_connection_linger(connection, true);
    } else {
        CHECK(connection->phase == HTTP_PHASE_BODY);
        connection->discarded = 0;
        http_connection_set_phase(connection, HTTP_PHASE_DRAIN);
    }
}

/* The body is complete. */
static void complete(struct http_connection *connection)
{
    const struct http_handler *handler = connection->loop->handler;
    http_connection_set_phase(connection, HTTP_PHASE_RESPONSE);
    handler->end(handler->ctx, &connection->work->exchange);
    if (connection->work->responded) {
        http_exchange_settle(connection);
    }
}

/* Copies the head to where it stays; false on no memory. */
static bool keep_head(struct http_connection *connection, struct bytes head)
{
    struct http_work *work = connection->work;
    uint8_t *into = work->head_inline;
    if (head.len > sizeof(work->head_inline)) {
        into = http_buffer_reserve(&connection->loop->pool, &work->head_large, head.len);
        if (into == NULL) {
            return false;
        }
    }
    memcpy(into, head.data, head.len);
    http_head_request(&work->head, into, &work->request, work->fields);
    return true;
}

/* The head is complete. `more`: the client has sent something behind it already. */
static void begin(struct http_connection *connection, bool more)
{
    struct http_loop *loop = connection->loop;
    struct http_work *work = connection->work;
    int64_t now_us = loop->clock.ops->boot_us(loop->clock.ctx);
    work->exchange = (struct http_exchange){
        .request = &work->request,
        .seen_us = connection->seen_us < now_us ? connection->seen_us : now_us,
        .begun_us = now_us,
    };
    work->begun = true;
    work->open = true;
    work->continue_due =
        work->head.expect_continue && !work->head.http_1_0 && work->request.has_body && !more;
    loop->exchange_count++;
    connection->close_after = false;
    connection->body_left = work->request.content_length;
    http_chunked_init(&connection->chunked);
    http_connection_set_phase(connection, HTTP_PHASE_BODY);
    loop->handler->head(loop->handler->ctx, &work->exchange);
    if (work->responded) {
        http_exchange_settle(connection);
    } else if (!work->request.has_body) {
        complete(connection);
    } else if (work->continue_due) {
        work->continue_due = false;
        if (!http_buffer_append(
                &loop->pool, &connection->out, BYTES("HTTP/1.1 100 Continue\r\n\r\n"))) {
            http_connection_abort(connection);
        }
        http_connection_mark_dirty(connection);
    }
}

static size_t consume_head(struct http_connection *connection, struct bytes input)
{
    if (http_connection_output_full(connection)) {
        return 0;
    }
    if (connection->work == NULL) {
        connection->work = work_take(connection);
        if (connection->work == NULL) {
            http_connection_abort(connection);
            return input.len;
        }
    }
    struct http_head *head = &connection->work->head;
    enum http_parse result = http_head_parse(head, input);
    if (result == HTTP_PARSE_MORE) {
        return 0;
    }
    if (result == HTTP_PARSE_REFUSED) {
        http_exchange_refuse(connection, head->refusal, head->detail);
        return input.len;
    }
    size_t head_len = http_head_len(head);
    if (!keep_head(connection, bytes_of(input.data, head_len))) {
        http_exchange_refuse(connection, ERR_UNAVAILABLE, "there is no memory for the request");
        return input.len;
    }
    begin(connection, input.len > head_len);
    return head_len;
}

/* Hands a part to the handler, or throws it away when the response was given. */
static void deliver(struct http_connection *connection, struct bytes part)
{
    const struct http_handler *handler = connection->loop->handler;
    if (connection->phase == HTTP_PHASE_BODY) {
        handler->body(handler->ctx, &connection->work->exchange, part);
        if (connection->work->responded) {
            http_exchange_settle(connection);
        }
    }
}

static void body_ended(struct http_connection *connection)
{
    if (connection->phase == HTTP_PHASE_DRAIN) {
        finish(connection);
    } else if (connection->phase == HTTP_PHASE_BODY) {
        complete(connection);
    }
}

static size_t consume_chunked(struct http_connection *connection, struct bytes input)
{
    struct http_chunked *chunked = &connection->chunked;
    struct bytes part;
    size_t consumed;
    enum http_chunked_result result = http_chunked_next(chunked, input, &consumed, &part);
    switch (result) {
    case HTTP_CHUNKED_MORE:
        break;
    case HTTP_CHUNKED_PART:
        deliver(connection, part);
        break;
    case HTTP_CHUNKED_DONE:
        body_ended(connection);
        break;
    case HTTP_CHUNKED_REFUSED:
        http_exchange_refuse(connection, chunked->refusal, chunked->detail);
        return input.len;
    }
    return consumed;
}

static size_t consume_sized(struct http_connection *connection, struct bytes input)
{
    CHECK(connection->body_left > 0);
    size_t len = input.len < connection->body_left ? input.len : (size_t)connection->body_left;
    connection->body_left -= len;
    bool last = connection->body_left == 0;
    if (connection->phase == HTTP_PHASE_BODY) {
        deliver(connection, bytes_of(input.data, len));
        last = last && connection->phase == HTTP_PHASE_BODY && connection->work != NULL;
    }
    if (last) {
        body_ended(connection);
    }
    return len;
}

static size_t consume_body(struct http_connection *connection, struct bytes input)
{
    struct http_work *work = connection->work;
    bool draining = connection->phase == HTTP_PHASE_DRAIN;
    if (work->paused && !draining) {
        return 0;
    }
    size_t used = work->request.length_known ? consume_sized(connection, input)
                                             : consume_chunked(connection, input);
    connection->body_window += used;
    if (draining && connection->phase == HTTP_PHASE_DRAIN) {
        connection->discarded += (uint32_t)used;
        if (connection->discarded > HTTP_DISCARD_BYTES_MAX) {
            work_release(connection);
            http_connection_linger(connection, true);
        }
    }
    return used;
}

static size_t consume_lingering(struct http_connection *connection, struct bytes input)
{
    size_t room = UINT32_MAX - connection->discarded;
    connection->discarded += (uint32_t)(input.len < room ? input.len : room);
    return input.len;
}

size_t http_exchange_consume(struct http_connection *connection, struct bytes input)
{
    size_t used = 0;
    while (used < input.len && !connection->broken) {
        struct bytes rest = bytes_of(input.data + used, input.len - used);
        size_t step = 0;
        switch (connection->phase) {
        case HTTP_PHASE_HEAD:
            step = consume_head(connection, rest);
            break;
        case HTTP_PHASE_BODY:
        case HTTP_PHASE_DRAIN:
            step = consume_body(connection, rest);
            break;
        case HTTP_PHASE_LINGER:
            step = consume_lingering(connection, rest);
            break;
        case HTTP_PHASE_RESPONSE:
        case HTTP_PHASE_DEAD:
        case HTTP_PHASES:
            break;
        }
        if (step == 0) {
            break;
        }
        used += step;
    }
    return connection->broken ? input.len : used;
}

static struct http_work *work_of(struct http_exchange *exchange)
{
    struct http_work *work = HTTP_LIST_ENTRY(exchange, struct http_work, exchange);
    CHECK(work->open);
    CHECK(work->connection->work == work);
    return work;
}

/* Whether the connection must end after this response: it was asked for, or what the client may
 * still send of its body is unknown or too much to read for nothing. */
static bool must_close(const struct http_connection *connection)
{
    const struct http_work *work = connection->work;
    if (connection->loop->draining || !http_head_keep_alive(&work->head) || work->continue_due) {
        return true;
    }
    return connection->phase == HTTP_PHASE_BODY && work->request.length_known &&
           connection->body_left > HTTP_DISCARD_BYTES_MAX;
}

static void
respond(void *server, struct http_exchange *exchange, const struct http_response *response)
{
    (void)server;
    struct http_work *work = work_of(exchange);
    struct http_connection *connection = work->connection;
    CHECK(!work->responded);
    CHECK(!work->streaming);
    CHECK(connection->phase == HTTP_PHASE_BODY || connection->phase == HTTP_PHASE_RESPONSE);
    struct http_framing framing = {
        .date = http_loop_date(connection->loop),
        .close = response->close || must_close(connection),
        .keep_alive_told = work->head.http_1_0,
    };
    put_response(connection, response, &framing, work->request.method != HTTP_HEAD);
    work->open = false;
    work->responded = true;
    connection->close_after = framing.close;
    http_connection_schedule(connection);
}

static void pause_body(void *server, struct http_exchange *exchange)
{
    (void)server;
    work_of(exchange)->paused = true;
}

static void resume_body(void *server, struct http_exchange *exchange)
{
    (void)server;
    struct http_work *work = work_of(exchange);
    work->paused = false;
    http_connection_schedule(work->connection);
}

static void
stream_begin(void *server, struct http_exchange *exchange, const struct http_response *response)
{
    (void)server;
    struct http_work *work = work_of(exchange);
    struct http_connection *connection = work->connection;
    CHECK(!work->responded);
    CHECK(!work->streaming);
    CHECK(connection->phase == HTTP_PHASE_RESPONSE);
    struct http_framing framing = {
        .date = http_loop_date(connection->loop),
        .close = true,
        .endless = true,
    };
    put_response(connection, response, &framing, work->request.method != HTTP_HEAD);
    work->streaming = true;
}

static size_t stream_push(void *server, struct http_exchange *exchange, struct bytes part)
{
    (void)server;
    struct http_work *work = work_of(exchange);
    struct http_connection *connection = work->connection;
    CHECK(work->streaming);
    if (part.len > 0 && !connection->broken) {
        put_body(connection, part);
        http_connection_mark_dirty(connection);
    }
    return connection->out.len;
}

static void stream_end(void *server, struct http_exchange *exchange)
{
    (void)server;
    struct http_work *work = work_of(exchange);
    struct http_connection *connection = work->connection;
    CHECK(work->streaming);
    work->open = false;
    work->responded = true;
    connection->close_after = true;
    http_connection_schedule(connection);
}

const struct http_server_ops http_exchange_ops = {
    .respond = respond,
    .pause = pause_body,
    .resume = resume_body,
    .begin = stream_begin,
    .push = stream_push,
    .end = stream_end,
};
