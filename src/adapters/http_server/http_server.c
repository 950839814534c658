/* The loop of a network thread.
 *
 * A turn:
 *     send for the dirty                    what was responded since the last turn
 *     wait                                  epoll, not beyond the next deadline
 *     take note of the events               connections: their signals; listeners: accept; watches
 *     run what is ready                     for 1 ms
 *     expire deadlines                      when all of it has run: those of before the wait
 *     send for the dirty                    every response of this turn leaves in one call
 *     free the dead
 *
 * What is ready is taken as one harvest. When 1 ms is not enough for it, the turn ends all the same, so
 * that the thread can pass on what was asked and bring back what was answered; the next turn goes on
 * with the harvest and waits for nothing. A run or a send may make others ready or dirty: they are the
 * next harvest's, which then does not wait. So each connection gets a bounded share of a harvest, and a
 * turn always ends.
 *
 * Full (connections_max, or no descriptor left below descriptor_limit): the connection that has been
 * idle longest, for a second at least, makes room for the new one; when there is none, the new one
 * is told 503. When descriptors or memory for sockets run out all the same, accepting pauses for
 * 100 ms: the listener, being level-triggered, would otherwise spin.
 *
 * Invariant: every accepted connection's descriptor is below descriptor_limit. As the kernel gives
 * the lowest that is free, those above it stay free for files, whatever clients do.
 *
 * Only its own connections can a server close. Therefore none of several in a process takes more
 * than its share of the descriptors: another, whose thread comes later, would have no connection to
 * close, and would refuse all who come while idle ones hold every descriptor. */
#include "adapters/http_server/http_server.h"

#include "adapters/http_server/http_address.h"
#include "adapters/http_server/http_connection.h"
#include "adapters/http_server/http_exchange.h"
#include "base/check.h"
#include "model/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX_DEFAULT  16384
#define OUT_BYTES_MAX_DEFAULT    ((size_t)1024 * 1024)
#define BUFFER_BYTES_MAX_DEFAULT ((size_t)256 * 1024 * 1024)
#define EVENTS_PER_TURN          2048 /* so that nearly all that waits is known at once */
#define RUN_US_PER_TURN          1000
#define ACCEPTS_PER_TURN         64
#define ACCEPT_PAUSE_US          (100 * 1000LL)
#define IDLE_KEPT_US             US_PER_SECOND /* so long an idle connection isn't given up */
#define DESCRIPTORS_KEPT_MAX     64            /* for others than connections, */
#define DESCRIPTORS_KEPT_SHARE   4             /* but of few descriptors a quarter */
#define KEEPALIVE_IDLE_S         30
#define KEEPALIVE_INTERVAL_S     5
#define UNACKED_TIMEOUT_MS       20000
#define SHED_BODY_BYTES_MAX      1024
#define SHED_HEAD_BYTES_MAX      512

struct http_listener {
    enum http_source source; /* first: events point to it */
    int fd;
};

struct http_watch {
    enum http_source source; /* first: events point to it */
    int fd;
    void (*callback)(void *ctx);
    void *ctx;
};

struct http_server {
    struct http_loop loop;
    int epoll_fd;
    struct http_listener listeners[HTTP_SERVER_LISTENERS_MAX];
    size_t listener_count;
    int64_t accept_again_us; /* 0: accepting is not paused */
    struct http_watch watches[HTTP_SERVER_WATCHES_MAX];
    size_t watch_count;
    uint32_t connections_max;
    uint32_t connections_per_address_max;
    int descriptor_limit;
    struct http_addresses addresses; /* used when there is a limit per address */
    bool polling;
    struct http_link harvest; /* ready connections that this turn and the next ones run */
    int64_t heard_us;         /* what came before this moment is in the harvest, or has run */
    struct epoll_event events[EVENTS_PER_TURN];
};

static int64_t boot_us(const struct http_server *server)
{
    return server->loop.clock.ops->boot_us(server->loop.clock.ctx);
}

static bool epoll_add(struct http_server *server, int fd, uint32_t events, void *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Set on the listening socket, accepted ones inherit them. A socket that is not TCP has none. */
static void set_socket_options(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_TIMEOUT_MS},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        (void)setsockopt(
            fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
    }
}

static void loop_init(struct http_loop *loop, const struct http_server_options *options)
{
    *loop = (struct http_loop){
        .handler = options->handler,
        .clock = options->clock,
        .now_us = options->clock.ops->boot_us(options->clock.ctx),
        .out_bytes_max =
            options->out_bytes_max == 0 ? OUT_BYTES_MAX_DEFAULT : options->out_bytes_max,
        .date_seconds = -1,
    };
    http_list_init(&loop->connections);
    http_list_init(&loop->ready);
    http_list_init(&loop->dirty);
    http_list_init(&loop->dead);
    http_list_init(&loop->free_work);
    http_deadlines_init(&loop->deadlines);
    http_pool_init(&loop->pool,
                   options->buffer_bytes_max == 0 ? BUFFER_BYTES_MAX_DEFAULT
                                                  : options->buffer_bytes_max);
}

static int descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) {
        return INT_MAX;
    }
    rlim_t kept = limit.rlim_cur / DESCRIPTORS_KEPT_SHARE;
    return (int)(limit.rlim_cur - (kept > DESCRIPTORS_KEPT_MAX ? DESCRIPTORS_KEPT_MAX : kept));
}

/* How many connections this server's share of the free descriptors allows. */
static uint32_t descriptor_share(const struct http_server *server, uint32_t servers)
{
    int lowest = fcntl(server->epoll_fd, F_DUPFD_CLOEXEC, 0);
    if (lowest >= 0) {
        (void)close(lowest);
    }
    if (lowest < 0 || lowest >= server->descriptor_limit) {
        return 1;
    }
    uint32_t share = (uint32_t)(server->descriptor_limit - lowest) / servers;
    return share > 0 ? share : 1;
}

/* What can fail of creating; the sockets are taken only when all went well. */
static bool open_resources(struct http_server *server, const struct http_server_options *options)
{
    uint64_t seed = 0;
    server->loop.read_buffer = malloc(HTTP_READ_BUFFER_BYTES);
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->loop.read_buffer == NULL || server->epoll_fd < 0) {
        return false;
    }
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
        return false;
    }
    if (server->connections_per_address_max > 0 &&
        !http_addresses_init(&server->addresses, server->connections_max, seed)) {
        return false;
    }
    for (size_t i = 0; i < options->listen_count; i++) {
        struct http_listener *listener = &server->listeners[i];
        *listener = (struct http_listener){HTTP_SOURCE_LISTENER, options->listen_fds[i]};
        set_socket_options(listener->fd);
        if (!epoll_add(server, listener->fd, EPOLLIN, listener)) {
            return false;
        }
    }
    return true;
}

static void close_resources(struct http_server *server)
{
    http_addresses_deinit(&server->addresses);
    if (server->epoll_fd >= 0) {
        (void)close(server->epoll_fd);
    }
    free(server->loop.read_buffer);
    free(server);
}

struct http_server *http_server_create(const struct http_server_options *options)
{
    CHECK(options->listen_count <= HTTP_SERVER_LISTENERS_MAX);
    CHECK(options->handler != NULL);
    struct http_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return NULL;
    }
    loop_init(&server->loop, options);
    http_list_init(&server->harvest);
    server->epoll_fd = -1;
    server->connections_max =
        options->connections_max == 0 ? CONNECTIONS_MAX_DEFAULT : options->connections_max;
    server->connections_per_address_max = options->connections_per_address_max;
    server->descriptor_limit = descriptor_limit();
    if (!open_resources(server, options)) {
        close_resources(server);
        return NULL;
    }
    if (options->servers > 1) {
        uint32_t share = descriptor_share(server, options->servers);
        server->connections_max = share < server->connections_max ? share : server->connections_max;
    }
    server->listener_count = options->listen_count;
    return server;
}

static void close_listeners(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        (void)close(server->listeners[i].fd);
    }
    server->listener_count = 0;
    server->accept_again_us = 0;
}

/* After a turn's work: what was closed is freed and no longer counted under its address. */
static void reap(struct http_server *server)
{
    struct http_link *dead = &server->loop.dead;
    for (struct http_link *link = dead->next; link != dead; link = link->next) {
        struct http_connection *connection = HTTP_LIST_ENTRY(link, struct http_connection, link);
        if (connection->addressed) {
            http_addresses_remove(&server->addresses, connection->address);
        }
    }
    http_connections_reap(&server->loop);
}

void http_server_destroy(struct http_server *server)
{
    CHECK(!server->polling);
    struct http_loop *loop = &server->loop;
    struct http_link *link;
    close_listeners(server);
    while ((link = http_list_first(&loop->connections)) != NULL) {
        http_connection_close(HTTP_LIST_ENTRY(link, struct http_connection, link));
    }
    reap(server);
    CHECK(loop->exchange_count == 0);
    CHECK(loop->connection_count == 0);
    link = loop->free_work.next;
    while (link != &loop->free_work) {
        struct http_work *work = HTTP_LIST_ENTRY(link, struct http_work, link);
        link = link->next;
        free(work);
    }
    http_pool_deinit(&loop->pool);
    close_resources(server);
}

struct http_server_port http_server_port(struct http_server *server)
{
    return (struct http_server_port){.ops = &http_exchange_ops, .server = server};
}

bool http_server_watch(struct http_server *server, int fd, void (*callback)(void *ctx), void *ctx)
{
    if (server->watch_count == HTTP_SERVER_WATCHES_MAX) {
        return false;
    }
    struct http_watch *watch = &server->watches[server->watch_count];
    *watch = (struct http_watch){HTTP_SOURCE_WATCH, fd, callback, ctx};
    if (!epoll_add(server, fd, EPOLLIN, watch)) {
        return false;
    }
    server->watch_count++;
    return true;
}

static struct http_connection *add_connection(struct http_server *server, int fd)
{
    struct http_connection *connection = http_connection_open(&server->loop, fd);
    if (connection == NULL) {
        return NULL;
    }
    uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (!epoll_add(server, fd, events, connection)) {
        http_connection_close(connection);
    }
    return connection;
}

bool http_server_adopt(struct http_server *server, int fd)
{
    if (server->loop.connection_count >= server->connections_max || server->loop.draining) {
        return false;
    }
    set_socket_options(fd);
    return add_connection(server, fd) != NULL;
}

/* One too many: told so, as far as that goes without waiting, and closed. */
static void shed(struct http_server *server, int fd)
{
    const struct http_handler *handler = server->loop.handler;
    uint8_t body_space[SHED_BODY_BYTES_MAX];
    uint8_t space[SHED_BODY_BYTES_MAX + SHED_HEAD_BYTES_MAX];
    struct buf body = buf_of(body_space, sizeof(body_space));
    struct buf out = buf_of(space, sizeof(space));
    handler->refuse(handler->ctx, ERR_UNAVAILABLE, "too many connections are open", &body);
    const struct http_field fields[] = {
        {BYTES("Content-Type"), BYTES("application/problem+json")},
        {BYTES("Retry-After"), BYTES("1")},
    };
    struct http_response response = {
        .status = err_status(ERR_UNAVAILABLE),
        .fields = fields,
        .field_count = 2,
        .body = body.overflow ? (struct bytes){0} : buf_bytes(&body),
    };
    struct http_framing framing = {.date = http_loop_date(&server->loop), .close = true};
    http_response_put_head(&out, &response, &framing);
    buf_put_bytes(&out, response.body);
    CHECK(!out.overflow);
    (void)send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    /* What was sent already is read, for unread bytes would turn the close into a reset. */
    (void)shutdown(fd, SHUT_WR);
    (void)recv(fd, server->loop.read_buffer, HTTP_READ_HEAD_BYTES, MSG_DONTWAIT);
    (void)close(fd);
}

/* Closes the connection that has been idle longest. False: none was idle long enough. */
static bool close_oldest_idle(struct http_server *server)
{
    struct http_loop *loop = &server->loop;
    struct http_deadline *oldest = http_deadlines_first(&loop->deadlines, HTTP_DEADLINE_IDLE);
    while (oldest != NULL && http_deadline_age_us(oldest, loop->now_us) >= IDLE_KEPT_US) {
        struct http_connection *connection =
            HTTP_LIST_ENTRY(oldest, struct http_connection, deadline);
        /* One whose last answer is still on its way, or whose next request is here already, is not
         * idle; it waits for its turn among the youngest. */
        if (connection->out.len == 0 && connection->in.len == 0 && !connection->readable) {
            http_connection_close(connection);
            return true;
        }
        http_deadline_arm(&loop->deadlines, oldest, HTTP_DEADLINE_IDLE, loop->now_us);
        oldest = http_deadlines_first(&loop->deadlines, HTTP_DEADLINE_IDLE);
    }
    return false;
}

/* Sees to it that there is room for the connection just accepted; may give it another descriptor.
 * False: there is none. */
static bool make_room(struct http_server *server, int *fd)
{
    bool full = server->loop.connection_count >= server->connections_max;
    if (!full && *fd < server->descriptor_limit) {
        return true;
    }
    if (!close_oldest_idle(server)) {
        return false;
    }
    if (*fd >= server->descriptor_limit) {
        int lower = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
        if (lower >= 0) {
            (void)close(*fd);
            *fd = lower;
        }
    }
    return *fd < server->descriptor_limit;
}

static void welcome(struct http_server *server, int fd, const struct sockaddr_storage *peer)
{
    uint8_t address[16];
    bool counted = server->connections_per_address_max > 0 && http_address_of(peer, address);
    if (!make_room(server, &fd)) {
        shed(server, fd);
        return;
    }
    if (counted &&
        !http_addresses_add(&server->addresses, address, server->connections_per_address_max)) {
        shed(server, fd);
        return;
    }
    struct http_connection *connection = add_connection(server, fd);
    if (connection == NULL) {
        if (counted) {
            http_addresses_remove(&server->addresses, address);
        }
        (void)close(fd);
        return;
    }
    if (counted) {
        connection->addressed = true;
        memcpy(connection->address, address, sizeof(connection->address));
    }
}

static void listen_for(struct http_server *server, uint32_t events)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        struct http_listener *listener = &server->listeners[i];
        struct epoll_event event = {.events = events, .data.ptr = listener};
        int changed = epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, listener->fd, &event);
        CHECK(changed == 0);
    }
}

static void accept_some(struct http_server *server, struct http_listener *listener)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof(peer);
        int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(server, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            server->accept_again_us = server->loop.now_us + ACCEPT_PAUSE_US;
            listen_for(server, 0);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
        /* Else the connection died in the queue: the next. */
    }
}

static void take_event(struct http_server *server, const struct epoll_event *event)
{
    enum http_source source;
    memcpy(&source, event->data.ptr, sizeof(source));
    unsigned signals = 0;
    switch (source) {
    case HTTP_SOURCE_CONNECTION:
        signals |= (event->events & EPOLLIN) != 0 ? HTTP_SIGNAL_READABLE : 0;
        signals |= (event->events & EPOLLOUT) != 0 ? HTTP_SIGNAL_WRITABLE : 0;
        signals |= (event->events & EPOLLRDHUP) != 0 ? HTTP_SIGNAL_CLOSED : 0;
        signals |= (event->events & (EPOLLERR | EPOLLHUP)) != 0 ? HTTP_SIGNAL_FAILED : 0;
        http_connection_signal(event->data.ptr, signals);
        break;
    case HTTP_SOURCE_LISTENER:
        if (server->listener_count > 0 && server->accept_again_us == 0) {
            accept_some(server, event->data.ptr);
        }
        break;
    case HTTP_SOURCE_WATCH: {
        const struct http_watch *watch = event->data.ptr;
        if (watch->callback != NULL) {
            watch->callback(watch->ctx);
        }
        break;
    }
    }
}

static void run_harvest(struct http_server *server)
{
    int64_t until_us = server->loop.now_us + RUN_US_PER_TURN;
    struct http_link *link;
    while ((link = http_list_first(&server->harvest)) != NULL) {
        http_list_remove(link);
        http_connection_run(HTTP_LIST_ENTRY(link, struct http_connection, ready_link));
        if (boot_us(server) >= until_us) {
            break;
        }
    }
}

static void flush_dirty(struct http_loop *loop)
{
    struct http_link dirty;
    struct http_link *link;
    http_list_init(&dirty);
    http_list_move(&loop->dirty, &dirty);
    while ((link = http_list_first(&dirty)) != NULL) {
        http_list_remove(link);
        http_connection_flush(HTTP_LIST_ENTRY(link, struct http_connection, dirty_link));
    }
}

/* Only deadlines of before heard_us: what has come may be what one waits for, and the process may
 * have stood still at any moment since. */
static void expire(struct http_server *server)
{
    struct http_loop *loop = &server->loop;
    struct http_deadline *deadline;
    enum http_deadline_kind kind;
    if (server->accept_again_us != 0 && server->accept_again_us <= loop->now_us) {
        server->accept_again_us = 0;
        listen_for(server, EPOLLIN);
    }
    while ((deadline = http_deadlines_expire(&loop->deadlines, server->heard_us, &kind)) != NULL) {
        struct http_connection *connection =
            kind == HTTP_DEADLINE_STALL
                ? HTTP_LIST_ENTRY(deadline, struct http_connection, stall)
                : HTTP_LIST_ENTRY(deadline, struct http_connection, deadline);
        http_connection_expire(connection, kind);
    }
}

/* How long the turn may wait. */
static int wait_ms(const struct http_server *server, int timeout_ms)
{
    const struct http_loop *loop = &server->loop;
    if (!http_list_empty(&loop->ready) || !http_list_empty(&loop->dirty)) {
        return 0;
    }
    int64_t next_us = http_deadlines_next_us(&loop->deadlines);
    if (server->accept_again_us != 0 && server->accept_again_us < next_us) {
        next_us = server->accept_again_us;
    }
    if (next_us == INT64_MAX || timeout_ms == 0) {
        return timeout_ms;
    }
    int64_t left_us = next_us - boot_us(server);
    int64_t left_ms = left_us <= 0 ? 0 : (left_us + 999) / 1000;
    return timeout_ms >= 0 && timeout_ms < left_ms ? timeout_ms : (int)left_ms;
}

/* Waits for events, and takes all that is ready for the turns to come. */
static void gather_harvest(struct http_server *server, int timeout_ms)
{
    server->heard_us = server->loop.now_us;
    int count =
        epoll_wait(server->epoll_fd, server->events, EVENTS_PER_TURN, wait_ms(server, timeout_ms));
    CHECK(count >= 0 || errno == EINTR); /* a signal: the next turn sees what there is */
    server->loop.now_us = boot_us(server);
    for (int i = 0; i < count; i++) {
        take_event(server, &server->events[i]);
    }
    http_list_move(&server->loop.ready, &server->harvest);
}

void http_server_poll(struct http_server *server, int timeout_ms)
{
    struct http_loop *loop = &server->loop;
    CHECK(!server->polling);
    server->polling = true;
    loop->now_us = boot_us(server);
    flush_dirty(loop);
    reap(server);
    if (!http_server_behind(server)) {
        gather_harvest(server, timeout_ms);
    }
    run_harvest(server);
    if (!http_server_behind(server)) {
        expire(server);
    }
    flush_dirty(loop);
    reap(server);
    server->polling = false;
}

bool http_server_behind(const struct http_server *server)
{
    return !http_list_empty(&server->harvest);
}

void http_server_stop_accepting(struct http_server *server)
{
    struct http_link *connections = &server->loop.connections;
    server->loop.draining = true;
    close_listeners(server);
    for (struct http_link *link = connections->next; link != connections; link = link->next) {
        http_connection_mark_dirty(HTTP_LIST_ENTRY(link, struct http_connection, link));
    }
}

uint32_t http_server_connections(const struct http_server *server)
{
    return server->loop.connection_count;
}

bool http_server_idle(const struct http_server *server)
{
    const struct http_link *connections = &server->loop.connections;
    if (server->loop.exchange_count > 0) {
        return false;
    }
    for (struct http_link *link = connections->next; link != connections; link = link->next) {
        if (HTTP_LIST_ENTRY(link, struct http_connection, link)->out.len > 0) {
            return false;
        }
    }
    return true;
}

void http_server_validate(const struct http_server *server)
{
    const struct http_loop *loop = &server->loop;
    uint32_t connections = 0;
    uint32_t exchanges = 0;
    size_t bytes = 0;
    struct http_link *link;
    for (link = loop->connections.next; link != &loop->connections; link = link->next) {
        const struct http_connection *connection =
            HTTP_LIST_ENTRY(link, struct http_connection, link);
        http_connection_validate(connection);
        CHECK(connection->phase != HTTP_PHASE_DEAD);
        connections++;
        bytes += connection->in.cap + connection->out.cap;
        if (connection->work != NULL) {
            exchanges += connection->work->begun;
            bytes += connection->work->head_large.cap;
        }
    }
    CHECK(connections == loop->connection_count);
    CHECK(exchanges == loop->exchange_count);
    CHECK(bytes == loop->pool.used_bytes);
    CHECK(loop->pool.used_bytes <= loop->pool.limit_bytes);
}
