/* The HTTP server as the API sees it: parsed requests in, responses out, no sockets.
 *
 * For one exchange the server calls, on the connection's thread and in this order:
 *     head   once, when the header section is complete and valid
 *     body   any number of times, with parts of the (de-chunked, still content-encoded) body
 *     end    once, when the body is complete
 *     gone   instead of the rest, when the peer or a deadline cut the exchange short
 * and the handler calls respond exactly once unless gone came first: during head (the rest of the
 * body is then drained or the connection closed), during body, during end, or later from the same
 * thread. Nothing of an exchange is called after its response. Pipelined requests wait: the next
 * head comes after the response of the one before.
 *
 * None of the calls runs inside respond, pause or resume. While an exchange waits for its response
 * with its body complete, only a reset of the connection makes it gone: a peer that merely closed
 * its sending side still gets its answer.
 *
 * Instead of respond, once the body is complete (during end or later), a handler may begin a response
 * without an end, push parts of it whenever there are some, and end it. Gone may come until then; it
 * does as soon as the peer closed, even if only its sending side. Such a response is its connection's
 * last, as only the closing says where it ends.
 *
 * `Expect: 100-continue` is answered by the server when head returned without a response. */
#pragma once

#include "base/err.h"

#define HTTP_FIELDS_MAX       64
#define HTTP_HEADER_BYTES_MAX ((size_t)16 * 1024)
#define HTTP_LINE_BYTES_MAX   ((size_t)8 * 1024)

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER, /* a valid token that is none of these */
};

struct http_field {
    struct bytes name; /* as sent; compare without case */
    struct bytes value;
};

/* Borrowed until the exchange's response was given or gone was called; nothing in it moves before.
 *
 * The path may still hold "//", "/../" and encoded bytes: only its syntax was checked. The host is
 * that of the target where the target names one, else of the Host field, else (HTTP/1.0) empty. */
struct http_request {
    enum http_method method;
    struct bytes path;  /* of the target, still percent-encoded, begins with '/' (or is "*") */
    struct bytes query; /* after '?', still encoded; empty if none */
    struct bytes host;
    const struct http_field *fields;
    size_t field_count;
    bool has_body;           /* more than zero bytes were announced, or the body is chunked */
    bool length_known;       /* false: chunked */
    uint64_t content_length; /* 0 when unknown */
};

struct http_exchange {
    void *user;       /* the handler's own, NULL at head */
    int64_t seen_us;  /* since boot: when the loop learned that the request is there */
    int64_t begun_us; /* since boot: when head was called */
    const struct http_request *request;
};

/* What the socket does not take of a response at once is queued, up to a cap (1 MiB by default);
 * beyond it the connection is dropped. So a body above the cap reaches only a peer that reads. */
struct http_response {
    int status;                      /* 200-599 */
    const struct http_field *fields; /* beside Content-Length, Date, Connection */
    size_t field_count;
    struct bytes body; /* copied before respond returns; for HEAD only its length is told */
    bool close;        /* end the connection after it */
};

struct http_handler {
    void (*head)(void *ctx, struct http_exchange *exchange);
    void (*body)(void *ctx, struct http_exchange *exchange, struct bytes part);
    void (*end)(void *ctx, struct http_exchange *exchange);
    void (*gone)(void *ctx, struct http_exchange *exchange);
    /* The server itself refuses a request (bad syntax, too large, timeout): the body to send with
     * the status of `err`, an application/problem+json; written into out (1 KiB; nothing is sent if
     * it overflows). The connection closes after it. */
    void (*refuse)(void *ctx, enum err err, const char *detail, struct buf *out);
    void *ctx;
};

struct http_server_ops {
    void (*respond)(void *server,
                    struct http_exchange *exchange,
                    const struct http_response *response);

    /* Stops and restarts reading the body of this exchange (back-pressure). After pause returned no
     * part is handed over before resume; the body's deadline stands still. */
    void (*pause)(void *server, struct http_exchange *exchange);
    void (*resume)(void *server, struct http_exchange *exchange);

    /* The head of a response that is pushed part by part; its body is what comes first. */
    void (*begin)(void *server,
                  struct http_exchange *exchange,
                  const struct http_response *response);

    /* Queues the part (it may be empty) and returns how many bytes of the response wait for the peer
     * now. One that lets more than the cap wait is dropped, so whoever pushes looks at this first. */
    size_t (*push)(void *server, struct http_exchange *exchange, struct bytes part);
    void (*end)(void *server, struct http_exchange *exchange);
};

struct http_server_port {
    const struct http_server_ops *ops;
    void *server;
};

/* Equal, upper and lower case of ASCII letters taken as the same. */
static inline bool http_name_equal(struct bytes a, struct bytes b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        unsigned x = a.data[i];
        unsigned y = b.data[i];
        if (x != y && ((x ^ y) != 0x20 || (x | 0x20) < 'a' || (x | 0x20) > 'z')) {
            return false;
        }
    }
    return true;
}

/* The first such field's value, or a slice with data == NULL. Names compare without case. */
static inline struct bytes http_field_find(const struct http_request *request, const char *name)
{
    struct bytes wanted = bytes_of_string(name);
    for (size_t i = 0; i < request->field_count; i++) {
        if (http_name_equal(request->fields[i].name, wanted)) {
            return request->fields[i].value;
        }
    }
    return (struct bytes){0};
}
