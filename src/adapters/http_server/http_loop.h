/* What all connections of one network thread share.
 *
 * Invariants:
 *  1. Everything in here belongs to one thread.
 *  2. A connection stands in `connections` or, closed, in `dead`, where it stays until the end of
 * the loop's turn: pointers to it in this turn's events stay good. */
#pragma once

#include "adapters/http_server/http_buffer.h"
#include "adapters/http_server/http_deadline.h"
#include "adapters/http_server/http_response.h"
#include "ports/clock.h"
#include "ports/http.h"

/* How much one read may take: of heads and pipelined small requests, of a chunked body, and of a
 * body of known length (of which nothing beyond its end need be kept). */
#define HTTP_READ_HEAD_BYTES    ((size_t)32 * 1024)
#define HTTP_READ_CHUNKED_BYTES ((size_t)64 * 1024)
#define HTTP_READ_BODY_BYTES    ((size_t)256 * 1024)

/* Behind a part of a head that is already there, which is at most HTTP_HEADER_BYTES_MAX long. */
#define HTTP_READ_BUFFER_BYTES (HTTP_READ_BODY_BYTES + HTTP_HEADER_BYTES_MAX)

struct http_loop {
    const struct http_handler *handler;
    struct clock_port clock;
    int64_t now_us; /* time since boot, as of this turn */
    struct http_pool pool;
    uint8_t *read_buffer; /* HTTP_READ_BUFFER_BYTES, used by one connection at a time */
    struct http_link connections;
    struct http_link ready; /* have something to do beside what the socket will tell */
    struct http_link dirty; /* have something to send or to end */
    struct http_link dead;
    struct http_link free_work;
    uint32_t free_work_count;
    uint32_t connection_count;
    uint32_t exchange_count; /* begun and not yet finished */
    struct http_deadlines deadlines;
    size_t out_bytes_max; /* of one connection */
    bool draining;        /* each response is its connection's last */
    int64_t date_seconds; /* what `date` says */
    char date[HTTP_DATE_BYTES];
};

/* The text of now, made once per second. */
const char *http_loop_date(struct http_loop *loop);
