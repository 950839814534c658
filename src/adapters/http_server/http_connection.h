/* One connection: its socket, its two queues, where it stands. For the essay see http_connection.c;
 * what it does with the bytes is in http_exchange.c. */
#pragma once

#include "adapters/http_server/http_chunked.h"
#include "adapters/http_server/http_loop.h"
#include "adapters/http_server/http_parse.h"

#define HTTP_HEAD_INLINE_BYTES 1024
/* Read for nothing, so that a client that sends on finds the refusal instead of a broken pipe. */
#define HTTP_DISCARD_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define HTTP_OUT_PAUSE_BYTES   ((size_t)64 * 1024) /* no further request is begun above it */

/* What an epoll event points to. */
enum http_source {
    HTTP_SOURCE_CONNECTION,
    HTTP_SOURCE_LISTENER,
    HTTP_SOURCE_WATCH,
};

enum http_phase {
    HTTP_PHASE_HEAD,     /* between requests, or inside of a head */
    HTTP_PHASE_BODY,     /* the body arrives */
    HTTP_PHASE_RESPONSE, /* the request is whole, its response is awaited */
    HTTP_PHASE_DRAIN,    /* the response is given, the rest of the body is thrown away */
    HTTP_PHASE_LINGER,   /* the last response is on its way, whatever comes is thrown away */
    HTTP_PHASE_DEAD,     /* closed; freed at the end of the turn */
    HTTP_PHASES,
};

/* What a request in progress takes, from its first byte to its end: idle connections have none. */
struct http_work {
    struct http_link link; /* in free_work */
    struct http_connection *connection;
    bool begun;        /* counted in exchange_count */
    bool open;         /* head was called, and neither respond nor gone */
    bool responded;    /* respond or end was called */
    bool streaming;    /* begin was called */
    bool paused;       /* by the handler */
    bool continue_due; /* the client waits for a 100 that was not sent */
    struct http_exchange exchange;
    struct http_request request;
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http_head head;
    struct http_buffer head_large; /* the head's bytes, when longer than head_inline */
    uint8_t head_inline[HTTP_HEAD_INLINE_BYTES];
};

struct http_connection {
    enum http_source source; /* first: events point to it */
    enum http_phase phase;
    int fd;
    bool readable;    /* the socket may have more */
    bool writable;    /* the socket may take more */
    bool peer_closed; /* the kernel said so; the end may still have to be read */
    bool eof;         /* the end was read */
    bool broken;      /* to be closed as soon as nobody is looking */
    bool close_after; /* the response given is the last */
    bool unread;      /* lingering: the peer may be sending still */
    bool shut;        /* lingering: our side is closed */
    bool addressed;   /* counted under `address` */
    uint8_t address[16];
    int64_t seen_us;       /* when the loop learned of what is read next, since boot */
    uint32_t served;       /* exchanges finished, modulo 2^32 */
    uint32_t armed_served; /* served when `deadline` was armed */
    struct http_loop *loop;
    struct http_link link; /* in connections or dead */
    struct http_link ready_link;
    struct http_link dirty_link;
    struct http_deadline deadline; /* of what it waits to read */
    struct http_deadline stall;    /* of what it waits to write */
    struct http_buffer in;         /* read and not dealt with */
    struct http_buffer out;        /* given and not sent */
    struct http_work *work;
    uint64_t sent_bytes;  /* given to the kernel, in all */
    int64_t taken_bytes;  /* of them the peer had taken when `stall` was armed */
    uint64_t body_left;   /* of a body of known length */
    uint64_t body_window; /* bytes of the body since its deadline was armed */
    uint32_t discarded;   /* while draining or lingering */
    struct http_chunked chunked;
};

/* Takes the connected, non-blocking socket; NULL on no memory (the socket is then the caller's). */
struct http_connection *http_connection_open(struct http_loop *loop, int fd);

/* What the kernel says about the socket. */
enum http_signal {
    HTTP_SIGNAL_READABLE = 1,
    HTTP_SIGNAL_WRITABLE = 2,
    HTTP_SIGNAL_CLOSED = 4, /* the peer will send no more */
    HTTP_SIGNAL_FAILED = 8, /* reset, or both sides are closed */
};

/* Takes note of signals (any of them or-ed) and schedules what follows. */
void http_connection_signal(struct http_connection *connection, unsigned signals);

/* Reads, parses, calls the handler, as long as there is something to do and for a bounded while. */
void http_connection_run(struct http_connection *connection);

/* Sends what is queued; ends the connection when it was to end after that. */
void http_connection_flush(struct http_connection *connection);

/* Its deadline or its stall came. */
void http_connection_expire(struct http_connection *connection, enum http_deadline_kind kind);

/* Closes at once; an exchange that waits is told. Never inside of a handler's call. */
void http_connection_close(struct http_connection *connection);

/* Frees the dead. */
void http_connections_reap(struct http_loop *loop);

/* For http_exchange.c and the server: run it, flush it in this or the next turn. */
void http_connection_schedule(struct http_connection *connection);
void http_connection_mark_dirty(struct http_connection *connection);

/* Close it as soon as possible: allowed anywhere. */
void http_connection_abort(struct http_connection *connection);

/* Ends it after what is queued was sent. `unread`: the peer may still be sending; then what it
 * sends is read for a while, since closing at once would reset the connection under our last words.
 */
void http_connection_linger(struct http_connection *connection, bool unread);

/* The one place where the phase changes. */
void http_connection_set_phase(struct http_connection *connection, enum http_phase phase);

/* So much waits to be sent that no further request is begun. */
static inline bool http_connection_output_full(const struct http_connection *connection)
{
    return connection->out.len > HTTP_OUT_PAUSE_BYTES;
}

/* CHECKs the invariants. */
void http_connection_validate(const struct http_connection *connection);
