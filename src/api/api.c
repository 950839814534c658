/* The API of one network thread: what happens to every request before and around its handler.
 *
 *     head: Host and Origin ─ path ─ method ─ parameters ─ content type ─ encoding ─ length
 *             403             404    405       422/400      415            415        413
 *     body: gathered, or handed to the event reader as it comes
 *     end:  the route's handler
 *
 * Refusals of the head come before a byte of the body was read. Invariants: see call.h. */
#include "api/api.h"

#include "api/call.h"
#include "api/chunk.h"
#include "api/feed_reader.h"
#include "api/idempotency.h"
#include "api/ingest.h"
#include "api/problem.h"
#include "api/routes.h"
#include "base/check.h"
#include "model/event.h"

#include <stdlib.h>

#define ANSWER_TIMEOUT_US      (30 * US_PER_SECOND)
#define FEED_LOOK_US           10000
#define HELD_BYTES_MAX_DEFAULT ((size_t)64 * 1024 * 1024)

struct api *api_create(const struct api_options *options)
{
    struct api *api = calloc(1, sizeof(*api));
    struct batch_writer *writer = malloc(sizeof(*writer));
    uint8_t *extensions = malloc(EVENT_BYTES_MAX);
    if (api == NULL || writer == NULL || extensions == NULL) {
        free(api);
        free(writer);
        free(extensions);
        return NULL;
    }
    const struct gateway_facts *facts = gateway_facts(options->gateway);
    batch_writer_init(writer, facts->seed, facts->partitions);
    *api = (struct api){
        .gateway = options->gateway,
        .codec = options->codec,
        .hosts = {options->allowed_hosts, options->allowed_host_count},
        .held = {.bytes_max = options->held_bytes_max == 0 ? HELD_BYTES_MAX_DEFAULT
                                                           : options->held_bytes_max},
        .version = options->version,
        .writer = writer,
        .extensions = buf_of(extensions, EVENT_BYTES_MAX),
    };
    pressure_init(&api->pressure);
    return api;
}

void api_destroy(struct api *api)
{
    if (api == NULL) {
        return;
    }
    struct call *next = NULL;
    struct call *const lists[] = {api->calls, api->feed_calls};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (struct call *call = lists[i]; call != NULL; call = next) {
            next = call->next;
            call->exchange = NULL;
            call_settle(call);
        }
    }
    CHECK(api->held.used_bytes == 0);
    chunk_free_spares(api);
    out_free(&api->out);
    free(api->writer);
    free(api->extensions.data);
    free(api);
}

void api_bind(struct api *api, struct http_server_port server)
{
    api->server = server;
}

void api_drain(struct api *api)
{
    api->draining = true;
}

size_t api_open_requests(const struct api *api)
{
    return api->open;
}

/* "application/json; charset=utf-8" is application/json. */
static bool media_type_is(struct bytes content_type, const char *wanted)
{
    const uint8_t *semicolon =
        content_type.len == 0 ? NULL : memchr(content_type.data, ';', content_type.len);
    size_t len = semicolon == NULL ? content_type.len : (size_t)(semicolon - content_type.data);
    while (len > 0 && (content_type.data[len - 1] == ' ' || content_type.data[len - 1] == '\t')) {
        len--;
    }
    return http_name_equal(bytes_slice(content_type, 0, len), bytes_of_string(wanted));
}

static enum err content_type_check(struct call *call, const struct http_request *request)
{
    struct bytes type = http_field_find(request, "Content-Type");
    call->is_json = media_type_is(type, "application/json");
    switch (call->route->body) {
    case BODY_NONE:
    case BODY_EVENTS:
        return OK;
    case BODY_JSON:
        return call->is_json ? OK : ERR_MEDIA_TYPE;
    case BODY_COMMAND:
        return call->is_json || !request->has_body ? OK : ERR_MEDIA_TYPE;
    case BODY_COMMANDS:
        return media_type_is(type, "application/x-ndjson") ? OK : ERR_MEDIA_TYPE;
    case BODY_SQL:
        return call->is_json || media_type_is(type, "text/plain") ? OK : ERR_MEDIA_TYPE;
    }
    return ERR_INTERNAL;
}

static const char *media_types_wanted(enum body_kind body)
{
    switch (body) {
    case BODY_JSON:
    case BODY_COMMAND:
        return "send application/json";
    case BODY_COMMANDS:
        return "send application/x-ndjson";
    case BODY_SQL:
        return "send text/plain or application/json";
    case BODY_NONE:
    case BODY_EVENTS:
        break;
    }
    return "send another type";
}

static bool params_check(struct call *call, const struct http_request *request)
{
    struct bytes bad;
    enum err err = params_parse(request->query, &call->memory, &call->params, &bad);
    if (err != OK) {
        call_fail_member(call, err, bad, "the query parameters can't be read");
        return false;
    }
    for (size_t i = 0; i < call->params.count; i++) {
        struct bytes name = call->params.entries[i].name;
        if (!route_takes(call->route, name)) {
            call_fail_member(call,
                             ERR_UNKNOWN_MEMBER,
                             name,
                             call->route->params[0] == '\0'
                                 ? "this resource takes no parameters"
                                 : "this resource does not take that parameter");
            return false;
        }
    }
    return true;
}

/* Copies what a handler may need after the request's own memory is gone. */
static bool head_keep(struct call *call, const struct http_request *request, struct bytes name)
{
    if (name.data != NULL) {
        enum err err = percent_decode(name, false, &call->memory, &call->name);
        if (err != OK) {
            call_fail(call, err, "the name in the path can't be decoded");
            return false;
        }
    }
    call->if_match = if_match_read(request);
    struct bytes none_match = http_field_find(request, "If-None-Match");
    if (none_match.data != NULL) {
        call->if_none_match = memory_copy(&call->memory, none_match);
    }
    if (call->memory.exhausted) { /* without its condition a request must not run */
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this request");
        return false;
    }
    return true;
}

static void answer_options(struct call *call, const char *allow)
{
    struct answer answer;
    answer_init(&answer, 204, NULL);
    answer_field(&answer, "Allow", bytes_of_string(allow));
    out_clear(&call->api->out);
    call_answer(call, &answer);
}

static bool route_choose(struct call *call, const struct http_request *request)
{
    struct route_match match;
    route_find(request->path, request->method, &match);
    if (request->method == HTTP_OPTIONS && (match.path_known || request->path.data[0] == '*')) {
        answer_options(call,
                       match.path_known ? match.allow : "GET, HEAD, POST, PUT, DELETE, OPTIONS");
        return false;
    }
    if (!match.path_known) {
        call_fail(call, ERR_NOT_FOUND, "there is nothing at this path");
        return false;
    }
    if (match.route == NULL) {
        const struct problem problem = {.err = ERR_METHOD, .allow = match.allow};
        call_refuse(call, &problem);
        return false;
    }
    call->route = match.route;
    return head_keep(call, request, match.name);
}

/* Whether the thread has room for one more. Events, commands and questions only: what an operator asks for
 * in trouble is answered always. */
static bool pressure_allows(struct call *call, const struct http_request *request)
{
    struct api *api = call->api;
    bool reads = call->route->body == BODY_NONE && request->method == HTTP_GET;
    bool writes = call->route->body == BODY_EVENTS || call->route->body == BODY_COMMAND ||
                  call->route->body == BODY_COMMANDS;
    bool counts = writes || (reads && !call->route->while_starting);
    if (!counts) {
        return true;
    }
    /* A stream of unknown length is slowed down instead. */
    uint64_t body_bytes = request->length_known ? request->content_length : 0;
    bool endless = request->has_body && !request->length_known;
    const struct http_exchange *exchange = call->exchange;
    if (pressure_refuses(&api->pressure, exchange->seen_us, exchange->begun_us, body_bytes) &&
        !endless) {
        call_fail(call, ERR_OVERLOADED, "requests come faster than they can be served");
        return false;
    }
    if (request->has_body && api->held.used_bytes >= api->held.bytes_max) {
        call_fail(call, ERR_OVERLOADED, BUDGET_REFUSAL);
        return false;
    }
    return true;
}

/* Everything that the head decides; true when the body may come. */
static bool head_accept(struct call *call, const struct http_request *request)
{
    struct api *api = call->api;
    if (!host_rules_allow(&api->hosts, request)) {
        call_fail(call, ERR_FORBIDDEN_HOST, "the Host or Origin header names a foreign host");
        return false;
    }
    if (!route_choose(call, request) || !params_check(call, request)) {
        return false;
    }
    if (!call->route->while_starting && !gateway_ready(api->gateway)) {
        call_fail(call, ERR_UNAVAILABLE, NULL);
        return false;
    }
    if (!pressure_allows(call, request)) {
        return false;
    }
    if (content_type_check(call, request) != OK) {
        call_fail(call, ERR_MEDIA_TYPE, media_types_wanted(call->route->body));
        return false;
    }
    if (!idempotency_head(call, request)) {
        return false;
    }
    if (call->route->body == BODY_EVENTS) {
        return ingest_head(call, request);
    }
    enum err err = body_init(&call->body, &api->held, api->codec, request, call->route->body_max);
    if (err != OK) {
        call_fail(call, err, NULL);
        return false;
    }
    return true;
}

static void handle_head(void *ctx, struct http_exchange *exchange)
{
    struct api *api = ctx;
    struct call *call = call_create(api, exchange);
    if (call == NULL) {
        const struct http_response response = {.status = 503, .close = true};
        api->server.ops->respond(api->server.server, exchange, &response);
        return;
    }
    (void)head_accept(call, exchange->request);
    call_settle(call);
}

static void handle_body(void *ctx, struct http_exchange *exchange, struct bytes part)
{
    struct api *api = ctx;
    struct call *call = exchange->user;
    if (call == NULL) {
        return;
    }
    CHECK(call->reading);
    gateway_counters(api->gateway)->bytes_in += part.len;
    if (ingest_streams(call)) {
        ingest_part(call, part);
    } else {
        uint64_t expected = exchange->request->content_length;
        enum err err = body_gather(&call->body, part, expected);
        if (err != OK) {
            const struct problem problem = {
                .err = err,
                .detail = err == ERR_OVERLOADED ? BUDGET_REFUSAL : NULL,
                .close = true,
            };
            call_refuse(call, &problem);
        }
    }
    call_settle(call);
}

static void handle_end(void *ctx, struct http_exchange *exchange)
{
    (void)ctx;
    struct call *call = exchange->user;
    if (call == NULL) {
        return;
    }
    call->reading = false;
    call->started = gateway_now(call->api->gateway);
    enum err err = ingest_streams(call) ? OK : body_finish(&call->body);
    if (err != OK) {
        call_fail(call, err, "the encoded body was cut short");
    } else {
        out_clear(&call->api->out);
        idempotency_run(call);
    }
    call_settle(call);
}

static void handle_gone(void *ctx, struct http_exchange *exchange)
{
    struct api *api = ctx;
    struct call *call = exchange->user;
    if (call == NULL) {
        return;
    }
    call->exchange = NULL;
    exchange->user = NULL;
    CHECK(api->open > 0);
    api->open--;
    ingest_gone(call);
    call_settle(call);
}

static void handle_refuse(void *ctx, enum err err, const char *detail, struct buf *out)
{
    struct api *api = ctx;
    struct gateway_counters *counters = gateway_counters(api->gateway);
    counters->requests++;
    counters->requests_refused++;
    counters->writes_shed += err == ERR_UNAVAILABLE ? 1 : 0; /* for all we know a write */
    const struct problem problem = {.err = err, .detail = detail};
    struct out text = {0};
    problem_put(&text, &problem);
    if (!text.buf.overflow) {
        buf_put_bytes(out, buf_bytes(&text.buf));
    }
    out_free(&text);
}

struct http_handler api_handler(struct api *api)
{
    return (struct http_handler){
        .head = handle_head,
        .body = handle_body,
        .end = handle_end,
        .gone = handle_gone,
        .refuse = handle_refuse,
        .ctx = api,
    };
}

/* Readers of the feed may be many, and wait long. */
static void feed_tick(struct api *api, int64_t now_us)
{
    struct call *next = NULL;
    uint64_t feed_count = gateway_feed_count(api->gateway);
    bool due = api->draining || now_us - api->feed_looked_us >= FEED_LOOK_US ||
               now_us < api->feed_looked_us;
    if (api->feed_calls == NULL || (feed_count == api->feed_count && !due)) {
        return;
    }
    api->feed_count = feed_count;
    api->feed_looked_us = now_us;
    for (struct call *call = api->feed_calls; call != NULL; call = next) {
        next = call->next;
        feed_reader_tick(call, now_us);
        call_settle(call);
    }
}

void api_tick(struct api *api)
{
    int64_t now = gateway_now(api->gateway).us;
    struct call *next = NULL;
    feed_tick(api, now);
    for (struct call *call = api->calls; call != NULL; call = next) {
        next = call->next;
        ingest_tick(call);
        if (call_open(call) && !call->reading && now - call->started.us > ANSWER_TIMEOUT_US) {
            call_fail(call, ERR_UNAVAILABLE, "the engine did not answer in time");
        }
        call_settle(call);
    }
}
