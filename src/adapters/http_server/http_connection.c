/* A connection between its socket and its exchanges.
 *
 * Reading. All reads go into the thread's one large buffer and are parsed there; only what can't be
 * dealt with yet (a part of a head, requests behind one that waits) is kept in `in`. While a
 * request waits for its response, or its body is paused, nothing is read: the kernel's window is
 * the back-pressure.
 *
 * Writing. Responses gather in `out` and are sent once per turn of the loop. While something waits
 * there, the peer must take 1 kB/s, looked at every 30 s.
 *
 * The socket is registered edge-triggered, once, for both directions. `readable` and `writable`
 * remember the edges: they fall when a call takes less than it was offered and rise with the next
 * event, so nothing is asked of the kernel that it has already answered.
 *
 * Invariants:
 *  1. BODY, RESPONSE, DRAIN: work != NULL and work->begun. LINGER, DEAD: work == NULL.
 *  2. In HEAD, work != NULL exactly when the first byte of a head was parsed.
 *  3. A connection that is not DEAD and has nothing in ready or dirty waits for an event of its
 *     socket, for a deadline, or for its handler.
 *  4. Handlers run only below http_connection_run, _expire and _close; none of these runs below a
 *     handler. */
#include "adapters/http_server/http_connection.h"

#include "adapters/http_server/http_exchange.h"
#include "base/check.h"
#include "model/clock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEPS_PER_RUN         8     /* reads before others get their turn */
#define BODY_WINDOW_BYTES_MIN 10000 /* 1 kB/s over the deadline's 10 s */
/* The same for what we send, over the 30 s of that deadline. */
#define STALL_WINDOW_BYTES_MIN 30000
#define READ_BEHIND_BODY                                                                           \
    ((size_t)16 * 1024) /* of the next requests, when the end of a body is read */

/* phase_moves[from] has bit `to` set where the move is legal. */
static const uint8_t phase_moves[HTTP_PHASES] = {
    [HTTP_PHASE_HEAD] = 1 << HTTP_PHASE_BODY | 1 << HTTP_PHASE_LINGER | 1 << HTTP_PHASE_DEAD,
    [HTTP_PHASE_BODY] = 1 << HTTP_PHASE_HEAD | 1 << HTTP_PHASE_RESPONSE | 1 << HTTP_PHASE_DRAIN |
                        1 << HTTP_PHASE_LINGER | 1 << HTTP_PHASE_DEAD,
    [HTTP_PHASE_RESPONSE] = 1 << HTTP_PHASE_HEAD | 1 << HTTP_PHASE_LINGER | 1 << HTTP_PHASE_DEAD,
    [HTTP_PHASE_DRAIN] = 1 << HTTP_PHASE_HEAD | 1 << HTTP_PHASE_LINGER | 1 << HTTP_PHASE_DEAD,
    [HTTP_PHASE_LINGER] = 1 << HTTP_PHASE_DEAD,
};

void http_connection_set_phase(struct http_connection *connection, enum http_phase phase)
{
    CHECK((phase_moves[connection->phase] & 1 << phase) != 0);
    connection->phase = phase;
}

void http_connection_schedule(struct http_connection *connection)
{
    if (!http_link_listed(&connection->ready_link) && connection->phase != HTTP_PHASE_DEAD) {
        http_list_append(&connection->loop->ready, &connection->ready_link);
    }
}

void http_connection_mark_dirty(struct http_connection *connection)
{
    if (!http_link_listed(&connection->dirty_link) && connection->phase != HTTP_PHASE_DEAD) {
        http_list_append(&connection->loop->dirty, &connection->dirty_link);
    }
}

void http_connection_abort(struct http_connection *connection)
{
    connection->broken = true;
    http_connection_schedule(connection);
}

void http_connection_linger(struct http_connection *connection, bool unread)
{
    CHECK(connection->work == NULL);
    http_connection_set_phase(connection, HTTP_PHASE_LINGER);
    connection->unread = unread;
    connection->discarded = 0;
    http_connection_mark_dirty(connection);
}

static bool wants_input(const struct http_connection *connection)
{
    if (connection->eof) {
        return false;
    }
    switch (connection->phase) {
    case HTTP_PHASE_HEAD:
        return !http_connection_output_full(connection);
    case HTTP_PHASE_BODY:
        CHECK(connection->work != NULL);
        return !connection->work->paused;
    case HTTP_PHASE_DRAIN:
        return true;
    case HTTP_PHASE_LINGER:
        return connection->discarded <= HTTP_DISCARD_BYTES_MAX;
    case HTTP_PHASE_RESPONSE:
    case HTTP_PHASE_DEAD:
    case HTTP_PHASES:
        return false;
    }
    return false;
}

static enum http_deadline_kind deadline_kind(const struct http_connection *connection)
{
    switch (connection->phase) {
    case HTTP_PHASE_HEAD:
        if (connection->work == NULL) {
            return HTTP_DEADLINE_IDLE;
        }
        return wants_input(connection) ? HTTP_DEADLINE_HEADER : HTTP_DEADLINE_NONE;
    case HTTP_PHASE_BODY:
        return wants_input(connection) ? HTTP_DEADLINE_BODY : HTTP_DEADLINE_NONE;
    case HTTP_PHASE_DRAIN:
        return HTTP_DEADLINE_BODY;
    case HTTP_PHASE_LINGER:
        return connection->shut ? HTTP_DEADLINE_LINGER : HTTP_DEADLINE_NONE;
    case HTTP_PHASE_RESPONSE:
    case HTTP_PHASE_DEAD:
    case HTTP_PHASES:
        return HTTP_DEADLINE_NONE;
    }
    return HTTP_DEADLINE_NONE;
}

/* Arms the deadline that fits the phase; one that runs for the same wait already goes on. */
static void arm(struct http_connection *connection)
{
    enum http_deadline_kind kind = deadline_kind(connection);
    if (kind == HTTP_DEADLINE_NONE) {
        http_deadline_disarm(&connection->deadline);
        return;
    }
    if (kind == connection->deadline.kind && connection->armed_served == connection->served) {
        return;
    }
    struct http_loop *loop = connection->loop;
    connection->armed_served = connection->served;
    connection->body_window = 0;
    http_deadline_arm(&loop->deadlines, &connection->deadline, kind, loop->now_us);
}

struct http_connection *http_connection_open(struct http_loop *loop, int fd)
{
    struct http_connection *connection = malloc(sizeof(*connection));
    if (connection == NULL) {
        return NULL;
    }
    *connection = (struct http_connection){
        .source = HTTP_SOURCE_CONNECTION,
        .phase = HTTP_PHASE_HEAD,
        .fd = fd,
        .writable = true,
        .loop = loop,
    };
    http_list_append(&loop->connections, &connection->link);
    loop->connection_count++;
    arm(connection);
    return connection;
}

void http_connection_close(struct http_connection *connection)
{
    struct http_loop *loop = connection->loop;
    CHECK(connection->phase != HTTP_PHASE_DEAD);
    http_exchange_drop(connection);
    http_connection_set_phase(connection, HTTP_PHASE_DEAD);
    http_deadline_disarm(&connection->deadline);
    http_deadline_disarm(&connection->stall);
    http_list_remove(&connection->ready_link);
    http_list_remove(&connection->dirty_link);
    http_list_remove(&connection->link);
    http_list_append(&loop->dead, &connection->link);
    http_buffer_release(&loop->pool, &connection->in);
    http_buffer_release(&loop->pool, &connection->out);
    (void)close(connection->fd); /* which takes it out of epoll too */
    connection->fd = -1;
    CHECK(loop->connection_count > 0);
    loop->connection_count--;
}

/* Closes with a reset: the kernel then forgets what it still holds for a peer that takes nothing.
 */
static void reset(struct http_connection *connection)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    http_connection_close(connection);
}

void http_connections_reap(struct http_loop *loop)
{
    struct http_link *link = loop->dead.next;
    while (link != &loop->dead) {
        struct http_connection *connection = HTTP_LIST_ENTRY(link, struct http_connection, link);
        CHECK(connection->phase == HTTP_PHASE_DEAD);
        link = link->next;
        free(connection);
    }
    http_list_init(&loop->dead);
}

/* The peer will send nothing more. */
static void take_eof(struct http_connection *connection)
{
    connection->eof = true;
    connection->readable = false;
    CHECK(connection->phase != HTTP_PHASE_RESPONSE);
    if (connection->phase == HTTP_PHASE_LINGER) {
        http_connection_mark_dirty(connection);
        return;
    }
    http_exchange_drop(connection);
    http_connection_linger(connection, false); /* earlier responses may still wait to be sent */
}

static size_t read_bytes_max(const struct http_connection *connection)
{
    if (connection->phase == HTTP_PHASE_HEAD) {
        return HTTP_READ_HEAD_BYTES;
    }
    if (connection->work == NULL || !connection->work->request.length_known) {
        return HTTP_READ_CHUNKED_BYTES;
    }
    uint64_t wanted = connection->body_left + READ_BEHIND_BODY;
    return wanted < HTTP_READ_BODY_BYTES ? (size_t)wanted : HTTP_READ_BODY_BYTES;
}

/* Keeps what comes behind the first `used` bytes of the input, which began with what is in the
 * queue already. False on no memory. */
static bool hold(struct http_connection *connection, struct bytes input, size_t used)
{
    struct http_pool *pool = &connection->loop->pool;
    size_t known = used == 0 ? connection->in.len : 0;
    if (used > 0) {
        http_buffer_consume(pool, &connection->in, connection->in.len);
    }
    size_t from = used + known;
    return http_buffer_append(pool, &connection->in, bytes_of(input.data + from, input.len - from));
}

/* One read and what follows from it. False: there is nothing more to do for now. */
static bool receive(struct http_connection *connection)
{
    uint8_t *buffer = connection->loop->read_buffer;
    size_t held = connection->in.len;
    size_t limit = read_bytes_max(connection);
    CHECK(held <= HTTP_HEADER_BYTES_MAX);
    CHECK(held + limit <= HTTP_READ_BUFFER_BYTES);
    ssize_t got = recv(connection->fd, buffer + held, limit, MSG_DONTWAIT);
    if (got < 0) {
        if (errno == EINTR) {
            return true;
        }
        connection->readable = false;
        if (errno != EAGAIN) {
            http_connection_close(connection);
        }
        return false;
    }
    if (got == 0) {
        take_eof(connection);
        return false;
    }
    connection->readable = (size_t)got == limit || connection->peer_closed;
    if (held > 0) {
        memcpy(buffer, connection->in.data + connection->in.start, held);
    }
    struct bytes input = bytes_of(buffer, held + (size_t)got);
    size_t used = http_exchange_consume(connection, input);
    if (!hold(connection, input, used)) {
        http_connection_abort(connection);
    }
    return true;
}

/* False: there is nothing more to do for now. */
static bool step(struct http_connection *connection)
{
    if (connection->broken) {
        reset(connection);
        return false;
    }
    struct http_work *work = connection->work;
    if (work != NULL && work->responded && connection->phase != HTTP_PHASE_DRAIN) {
        http_exchange_settle(connection);
    }
    if (connection->in.len > 0) {
        size_t used = http_exchange_consume(connection, http_buffer_bytes(&connection->in));
        http_buffer_consume(&connection->loop->pool, &connection->in, used);
        if (used > 0) {
            return true;
        }
    }
    return connection->readable && wants_input(connection) && receive(connection);
}

static bool is_streaming(const struct http_connection *connection)
{
    return connection->phase == HTTP_PHASE_RESPONSE && connection->work->streaming;
}

void http_connection_signal(struct http_connection *connection, unsigned signals)
{
    if (connection->phase == HTTP_PHASE_DEAD) {
        return; /* closed earlier in this turn */
    }
    if ((signals & HTTP_SIGNAL_WRITABLE) != 0 && !connection->writable) {
        connection->writable = true;
        http_connection_mark_dirty(connection);
    }
    if ((signals & (HTTP_SIGNAL_CLOSED | HTTP_SIGNAL_FAILED)) != 0) {
        connection->peer_closed = true;
    }
    if ((signals & ~(unsigned)HTTP_SIGNAL_WRITABLE) != 0) {
        connection->readable = true;
        connection->seen_us = connection->loop->now_us;
        http_connection_schedule(connection);
    }
    /* Whoever reads will meet the failure there, behind what arrived before it. A stream would go on
     * for nobody. */
    unsigned fatal =
        is_streaming(connection) ? HTTP_SIGNAL_FAILED | HTTP_SIGNAL_CLOSED : HTTP_SIGNAL_FAILED;
    if ((signals & fatal) != 0 && !wants_input(connection)) {
        http_connection_abort(connection);
    }
}

void http_connection_run(struct http_connection *connection)
{
    int steps = 0;
    while (connection->phase != HTTP_PHASE_DEAD && step(connection)) {
        if (++steps == STEPS_PER_RUN) {
            http_connection_schedule(connection);
            break;
        }
    }
    if (connection->phase != HTTP_PHASE_DEAD) {
        arm(connection);
    }
}

/* All is sent and nothing more will be. */
static void end_lingering(struct http_connection *connection)
{
    bool unread = connection->unread || connection->discarded > 0 || connection->readable;
    if (connection->eof || !unread) {
        http_connection_close(connection);
        return;
    }
    if (!connection->shut) {
        connection->shut = true;
        if (shutdown(connection->fd, SHUT_WR) != 0) {
            http_connection_abort(connection);
        }
        http_connection_schedule(connection);
    }
}

/* The queue went out. */
static void all_sent(struct http_connection *connection)
{
    http_deadline_disarm(&connection->stall);
    if (connection->phase == HTTP_PHASE_LINGER) {
        end_lingering(connection);
    } else if (connection->phase == HTTP_PHASE_HEAD) {
        if (connection->loop->draining && connection->in.len == 0) {
            http_connection_linger(connection, false);
        } else if (connection->in.len > 0 || connection->readable) {
            http_connection_schedule(connection); /* it may have waited for the queue */
        }
    }
}

/* What the peer's side has acknowledged: the kernel's own queue may hold megabytes, so that what it
 * takes from us says little about what arrives. */
static int64_t taken_by_peer(const struct http_connection *connection)
{
    int queued_bytes = 0;
    if (ioctl(connection->fd, SIOCOUTQ, &queued_bytes) != 0) {
        queued_bytes = 0;
    }
    return (int64_t)connection->sent_bytes - queued_bytes;
}

void http_connection_flush(struct http_connection *connection)
{
    struct http_loop *loop = connection->loop;
    if (connection->broken) {
        http_connection_schedule(connection);
        return;
    }
    while (connection->out.len > 0 && connection->writable) {
        struct bytes out = http_buffer_bytes(&connection->out);
        ssize_t sent = send(connection->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            connection->writable = (size_t)sent == out.len;
            connection->sent_bytes += (size_t)sent;
            http_buffer_consume(&loop->pool, &connection->out, (size_t)sent);
        } else if (errno == EAGAIN) {
            connection->writable = false;
        } else if (errno != EINTR) {
            http_connection_abort(connection);
            return;
        }
    }
    if (connection->out.len == 0) {
        all_sent(connection);
    } else if (connection->stall.kind == HTTP_DEADLINE_NONE) {
        connection->taken_bytes = taken_by_peer(connection);
        http_deadline_arm(&loop->deadlines, &connection->stall, HTTP_DEADLINE_STALL, loop->now_us);
    }
}

/* A peer that takes a byte now and then holds what waits for it as surely as one that takes none. */
static void expire_stall(struct http_connection *connection)
{
    struct http_loop *loop = connection->loop;
    int64_t taken = taken_by_peer(connection);
    if (taken - connection->taken_bytes < STALL_WINDOW_BYTES_MIN) {
        reset(connection);
        return;
    }
    connection->taken_bytes = taken;
    http_deadline_arm(&loop->deadlines, &connection->stall, HTTP_DEADLINE_STALL, loop->now_us);
}

static void expire_body(struct http_connection *connection)
{
    if (connection->body_window >= BODY_WINDOW_BYTES_MIN) {
        arm(connection);
    } else if (connection->phase == HTTP_PHASE_DRAIN) {
        http_connection_close(connection);
    } else {
        http_exchange_refuse(
            connection, ERR_REQUEST_TIMEOUT, "the body came slower than 1 kB per second");
    }
}

void http_connection_expire(struct http_connection *connection, enum http_deadline_kind kind)
{
    CHECK(connection->phase != HTTP_PHASE_DEAD);
    switch (kind) {
    case HTTP_DEADLINE_IDLE:
        if (connection->out.len > 0) {
            arm(connection);
        } else {
            http_connection_close(connection);
        }
        break;
    case HTTP_DEADLINE_HEADER:
        http_exchange_refuse(
            connection, ERR_REQUEST_TIMEOUT, "the header section took longer than 10 seconds");
        break;
    case HTTP_DEADLINE_BODY:
        expire_body(connection);
        break;
    case HTTP_DEADLINE_STALL:
        expire_stall(connection);
        break;
    case HTTP_DEADLINE_LINGER:
        http_connection_close(connection);
        break;
    case HTTP_DEADLINE_NONE:
    case HTTP_DEADLINE_KINDS:
        CHECK(kind != HTTP_DEADLINE_NONE);
        CHECK(kind != HTTP_DEADLINE_KINDS);
    }
}

static void validate_work(const struct http_connection *connection)
{
    const struct http_work *work = connection->work;
    CHECK(work->connection == connection);
    CHECK(!(work->open && work->responded));
    CHECK(work->begun == (connection->phase != HTTP_PHASE_HEAD));
    CHECK(connection->phase != HTTP_PHASE_DRAIN || work->responded);
}

void http_connection_validate(const struct http_connection *connection)
{
    bool working = connection->phase == HTTP_PHASE_BODY ||
                   connection->phase == HTTP_PHASE_RESPONSE ||
                   connection->phase == HTTP_PHASE_DRAIN;
    bool ending = connection->phase == HTTP_PHASE_LINGER || connection->phase == HTTP_PHASE_DEAD;
    CHECK(connection->in.start + connection->in.len <= connection->in.cap);
    CHECK(connection->out.start + connection->out.len <= connection->out.cap);
    CHECK(!working || connection->work != NULL);
    CHECK(!ending || connection->work == NULL);
    if (connection->work != NULL) {
        validate_work(connection);
    }
}
