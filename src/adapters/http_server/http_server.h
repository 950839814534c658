/* The HTTP/1.1 server of one network thread: strict, on epoll.
 *
 * A process has one server per network thread, each with its own listening socket on the same port.
 * All calls, the handler's included, happen on the thread that runs http_server_poll.
 *
 *     enum err err = http_listen(&address, fds, thread_count, &error);
 *     struct http_server *server = http_server_create(&options);     // on each thread
 *     while (!over) {
 *         ... take what came in the mailboxes, respond ...
 *         http_server_poll(server, timeout_ms);
 *     }
 *     http_server_destroy(server); */
#pragma once

#include "ports/clock.h"
#include "ports/http.h"

#define HTTP_SERVER_LISTENERS_MAX 4
#define HTTP_SERVER_WATCHES_MAX   8

struct http_server;

struct http_server_options {
    const int *listen_fds; /* listening, non-blocking; the server takes them */
    size_t listen_count;   /* 0 is allowed: connections then come by http_server_adopt */
    const struct http_handler *handler; /* borrowed; outlives the server */
    struct clock_port clock;
    uint32_t connections_max; /* 0: 16,384 */
    uint32_t servers; /* of this process, which share its descriptors evenly; 0: this one alone */
    uint32_t connections_per_address_max; /* 0: no limit; loopback is never limited */
    size_t out_bytes_max;                 /* queued for one connection; 0: 1 MiB */
    size_t buffer_bytes_max;              /* of all connections' queues; 0: 256 MiB */
};

/* NULL when memory or descriptors are used up; the sockets are then the caller's still. */
struct http_server *http_server_create(const struct http_server_options *options);

/* Closes everything; exchanges that wait are gone. */
void http_server_destroy(struct http_server *server);

/* How the handler answers. */
struct http_server_port http_server_port(struct http_server *server);

/* One turn: sends what was responded since the last, waits up to timeout_ms (-1: no end, 0: not at
 * all) for something to happen, does it, for about 1 ms at most. Returns earlier for deadlines. Never
 * called by a handler. */
void http_server_poll(struct http_server *server, int timeout_ms);

/* The last turn ended before all was done that it saw: the next won't wait. */
bool http_server_behind(const struct http_server *server);

/* Has the turn end when the fd is readable, after callback(ctx) if that is not NULL;
 * level-triggered, so the callback (or the caller after the turn) must read it. False when no more
 * can be watched. */
bool http_server_watch(struct http_server *server, int fd, void (*callback)(void *ctx), void *ctx);

/* Serves a connected, non-blocking socket that someone else accepted; takes it. False when the
 * server is full: the socket is the caller's still. */
bool http_server_adopt(struct http_server *server, int fd);

/* For shutting down: closes the listening sockets and idle connections; each response from now on
 * is its connection's last. */
void http_server_stop_accepting(struct http_server *server);

/* Open connections. */
uint32_t http_server_connections(const struct http_server *server);

/* No exchange is open and all responses are with the kernel. O(connections). */
bool http_server_idle(const struct http_server *server);

/* CHECKs the invariants of everything; for tests. */
void http_server_validate(const struct http_server *server);
