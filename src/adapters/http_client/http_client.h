/* A small blocking HTTP/1.1 client: one connection, kept alive, requests may be pipelined.
 *
 *     http_client_create ─► [connect] ─► send ... send ─► receive ... receive ─►
 * http_client_destroy
 *
 * Responses come in the order of the requests. After any failure the connection is gone and what
 * was under way is unanswered: whether to send it again is the caller's decision. */
#pragma once

#include "adapters/http_client/http_reply.h"
#include "adapters/http_client/http_url.h"

#define HTTP_CLIENT_BODY_MAX ((size_t)256 * 1024 * 1024)

struct http_client;

struct http_client_request {
    const char *method;
    const char *target;       /* path and query */
    const char *content_type; /* NULL: no body */
    struct bytes body;
    const char *accept; /* NULL: none */
};

/* Valid until the next call on the client. */
struct http_client_response {
    struct http_reply_head head;
    int status;
    struct bytes body;
};

/* NULL: no memory. timeout_us bounds every wait for the peer. */
struct http_client *http_client_create(const struct http_url *url, int64_t timeout_us);
void http_client_destroy(struct http_client *client);

/* From now on a signal during which `interrupted` says true ends a wait for an answer as if its time
 * were up: ERR_REQUEST_TIMEOUT. NULL: signals end nothing. */
void http_client_interrupt_by(struct http_client *client, bool (*interrupted)(void));

/* ERR_UNAVAILABLE: no connection, or it broke. ERR_REQUEST_TIMEOUT: the peer was silent for too
 * long. http_client_error says more. Connects when there is no connection. */
enum err http_client_send(struct http_client *client,
                          const struct http_client_request *request) MUST_CHECK;

/* The answer to the oldest request that has none. Also ERR_MALFORMED: the peer speaks no HTTP, and
 * ERR_TOO_LARGE: more than HTTP_CLIENT_BODY_MAX. */
enum err http_client_receive(struct http_client *client,
                             struct http_client_response *response) MUST_CHECK;

/* send and receive; when a kept connection turns out to be closed, once more on a new one, if
 * nothing of an answer was seen. */
enum err http_client_exchange(struct http_client *client,
                              const struct http_client_request *request,
                              struct http_client_response *response) MUST_CHECK;

/* Requests that were sent and not answered. */
size_t http_client_under_way(const struct http_client *client);

/* The last failure in words. */
const char *http_client_error(const struct http_client *client);

/* A connected socket to the server (TCP_NODELAY, close-on-exec), or -1 and errno. */
int http_connect(const struct http_url *url, int64_t timeout_us);
