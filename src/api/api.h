/* The HTTP API of one network thread: requests in (ports/http.h), answers from the engine out
 * (host/gateway.h). docs/guide and the route table in routes.c say what there is. */
#pragma once

#include "host/gateway.h"
#include "ports/codec.h"
#include "ports/http.h"

struct api;

struct api_options {
    struct gateway *gateway;
    struct codec_port codec;
    const char *version;
    const char *const *allowed_hosts; /* beside localhost, 127.0.0.1 and [::1]; may be NULL */
    size_t allowed_host_count;
    size_t held_bytes_max; /* of bodies and events on their way, of all requests; 0: 64 MiB */
};

struct api *api_create(const struct api_options *options);

/* After the server was closed and all letters are back (gateway_under_way is 0). */
void api_destroy(struct api *api);

/* The handler to give to the HTTP server, and the server to answer through. */
struct http_handler api_handler(struct api *api);
void api_bind(struct api *api, struct http_server_port server);

/* Called now and then (every 100 ms or so) for deadlines of waiting requests. */
void api_tick(struct api *api);

/* The server takes no more connections and comes to its end: who waits for the feed to grow is answered
 * with what there is, and streams end. Their peers go on elsewhere, from where they were. */
void api_drain(struct api *api);

/* Requests that were taken and not answered yet. */
size_t api_open_requests(const struct api *api);
