/* The API's client: see web.h.
 *
 * Invariants:
 *  1. The API's code runs on the process's side of memory; the answers it gives are copied to the
 *     simulator's.
 *  2. An exchange is answered at most once, and only while it is open. */
#include "sim/web.h"

#include "base/check.h"
#include "sim/memory.h"

#include <stdlib.h>
#include <string.h>

static void
respond(void *server, struct http_exchange *exchange, const struct http_response *response)
{
    struct web_exchange *asked =
        (struct web_exchange *)(void *)((uint8_t *)exchange -
                                        offsetof(struct web_exchange, exchange));
    (void)server;
    CHECK(asked->open);
    CHECK(asked->status == 0);
    bool side = memory_switch(false);
    asked->body = malloc(response->body.len + 1);
    CHECK(asked->body != NULL);
    if (response->body.len > 0) {
        memcpy(asked->body, response->body.data, response->body.len);
    }
    asked->body[response->body.len] = '\0';
    asked->body_len = response->body.len;
    asked->status = response->status;
    asked->open = false;
    memory_switch(side);
}

/* Nobody here sends a body. */
static void no_body(void *server, struct http_exchange *exchange)
{
    (void)server;
    (void)exchange;
    UNREACHABLE("a body is read on");
}

/* Nobody here asks for a stream. */
static void
no_begin(void *server, struct http_exchange *exchange, const struct http_response *response)
{
    (void)server;
    (void)exchange;
    (void)response;
    UNREACHABLE("a response is pushed");
}

static size_t no_push(void *server, struct http_exchange *exchange, struct bytes part)
{
    (void)server;
    (void)exchange;
    (void)part;
    UNREACHABLE("a part is pushed");
}

static bool web_open(struct web *web, struct process *process)
{
    static const struct http_server_ops ops = {
        respond, no_body, no_body, no_begin, no_push, no_body};
    if (process->state != PROCESS_READY) {
        return false;
    }
    if (web->api == NULL) {
        const struct api_options options = {.gateway = process->gateways[0], .version = "sim"};
        bool side = memory_switch(true);
        web->api = api_create(&options);
        memory_switch(side);
        CHECK(web->api != NULL);
        api_bind(web->api, (struct http_server_port){&ops, web});
    }
    return true;
}

bool web_ask(struct web *web, struct process *process, struct web_exchange *exchange)
{
    CHECK(!exchange->open);
    web_reset(exchange);
    if (!web_open(web, process)) {
        return false;
    }
    exchange->request = (struct http_request){.method = HTTP_GET,
                                              .path = bytes_of_string(exchange->path),
                                              .query = bytes_of_string(exchange->query),
                                              .host = BYTES("localhost"),
                                              .length_known = true};
    exchange->exchange = (struct http_exchange){.request = &exchange->request};
    exchange->open = true;
    struct http_handler handler = api_handler(web->api);
    bool side = memory_switch(true);
    handler.head(handler.ctx, &exchange->exchange);
    if (exchange->status == 0) {
        handler.end(handler.ctx, &exchange->exchange);
    }
    memory_switch(side);
    return true;
}

void web_tick(struct web *web)
{
    if (web->api != NULL) {
        bool side = memory_switch(true);
        api_tick(web->api);
        memory_switch(side);
    }
}

void web_bereaved(struct web *web)
{
    web->api = NULL;
}

void web_reset(struct web_exchange *exchange)
{
    free(exchange->body);
    exchange->body = NULL;
    exchange->body_len = 0;
    exchange->status = 0;
    exchange->open = false;
}
