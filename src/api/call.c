/* Calls: see call.h for their life and its invariants. */
#include "api/call.h"

#include "api/feed_reader.h"
#include "api/idempotency.h"
#include "api/ingest.h"
#include "api/problem.h"
#include "api/sql.h"
#include "api/timeouts.h"
#include "base/check.h"
#include "base/text.h"

#include <stdlib.h>

static void call_list(struct call *call, struct call **list)
{
    call->list = list;
    call->previous = NULL;
    call->next = *list;
    if (call->next != NULL) {
        call->next->previous = call;
    }
    *list = call;
}

static void call_unlist(struct call *call)
{
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        CHECK(*call->list == call);
        *call->list = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
}

void call_move(struct call *call, struct call **list)
{
    if (call->list != list) {
        call_unlist(call);
        call_list(call, list);
    }
}

struct call *call_create(struct api *api, struct http_exchange *exchange)
{
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    call->api = api;
    call->exchange = exchange;
    call->method = exchange->request->method;
    call->started = gateway_now(api->gateway);
    call->reading = true;
    call_list(call, &api->calls);
    api->open++;
    exchange->user = call;
    return call;
}

static void letters_free(struct call *call)
{
    if (call->inspection != NULL) {
        inspection_free(call->inspection);
    }
    if (call->query != NULL) {
        query_free(call->query);
    }
    if (call->scan != NULL) {
        scan_free(call->scan);
    }
    free(call->proposal);
    free(call->inspection);
    free(call->query);
    free(call->scan);
}

void call_settle(struct call *call)
{
    if (call_open(call) || call->letters > 0 || idempotency_lingers(call)) {
        return;
    }
    struct api *api = call->api;
    call_unlist(call);
    letters_free(call);
    ingest_destroy(call->ingest, &api->held);
    script_destroy(call->script);
    timeout_batch_destroy(call->timeout_batch, &api->held);
    timeout_page_destroy(call->timeout_page);
    feed_reader_destroy(call->feed_reader);
    idempotency_destroy(call);
    body_deinit(&call->body);
    memory_free(&call->memory);
    free(call);
}

bool call_wanted(const struct call *call)
{
    return call_open(call) || idempotency_owes(call);
}

void answer_init(struct answer *answer, int status, const char *content_type)
{
    answer->status = status;
    answer->close = false;
    answer->field_count = 0;
    answer->texts_len = 0;
    if (content_type != NULL) {
        answer_field(answer, "Content-Type", bytes_of_string(content_type));
    }
    answer_field(answer, "X-Content-Type-Options", BYTES("nosniff"));
}

void answer_field(struct answer *answer, const char *name, struct bytes value)
{
    CHECK(answer->field_count < ANSWER_FIELDS_MAX);
    answer->fields[answer->field_count++] =
        (struct http_field){.name = bytes_of_string(name), .value = value};
}

/* Room in the answer's own texts. */
static struct buf answer_text(struct answer *answer, size_t need)
{
    CHECK(need <= sizeof(answer->texts) - answer->texts_len);
    return buf_of(answer->texts + answer->texts_len, need);
}

static void answer_made_field(struct answer *answer, const char *name, struct buf text)
{
    CHECK(!text.overflow);
    answer->texts_len += text.len;
    answer_field(answer, name, buf_bytes(&text));
}

void answer_as_of(struct answer *answer, uint64_t position)
{
    struct buf text = answer_text(answer, HEX64_BYTES);
    uint8_t *digits = buf_reserve(&text, HEX64_BYTES);
    hex64_put(digits, position);
    answer_made_field(answer, "Tidemark-As-Of", text);
}

void answer_version_tag(struct answer *answer, uint64_t version)
{
    struct buf text = answer_text(answer, 24);
    buf_put_u8(&text, '"');
    u64_put(&text, version);
    buf_put_u8(&text, '"');
    answer_made_field(answer, "ETag", text);
}

void answer_hash_tag(struct answer *answer, uint64_t hash)
{
    struct buf text = answer_text(answer, HEX64_BYTES + 2);
    buf_put_u8(&text, '"');
    uint8_t *digits = buf_reserve(&text, HEX64_BYTES);
    hex64_put(digits, hash);
    buf_put_u8(&text, '"');
    answer_made_field(answer, "ETag", text);
}

static const char too_much[] =
    "{\"type\":\"urn:tidemark:problem:unavailable\",\"title\":\"The server is starting, draining "
    "or "
    "too far behind\",\"status\":503,\"detail\":\"there was no memory for the answer\"}";

/* For a reason of ours: whoever is told so may have had something to say. */
static bool status_turns_away(int status)
{
    return status == 429 || status == 503; /* of a full disk (507) the sequencer knows */
}

static void count(const struct call *call, int status)
{
    struct gateway_counters *counters = gateway_counters(call->api->gateway);
    bool asks = call->method == HTTP_GET || call->method == HTTP_HEAD;
    counters->requests++;
    counters->requests_refused += status >= 400 ? 1 : 0;
    counters->requests_shed += status == 429 ? 1 : 0;
    counters->writes_shed += status_turns_away(status) && !asks ? 1 : 0;
}

/* From here on nobody waits for an answer. */
static struct http_exchange *exchange_leave(struct call *call)
{
    struct http_exchange *exchange = call->exchange;
    CHECK(call->api->open > 0);
    call->exchange = NULL;
    exchange->user = NULL;
    call->api->open--;
    return exchange;
}

void call_answer(struct call *call, struct answer *answer)
{
    struct api *api = call->api;
    if (idempotency_keeps(call, answer) || !call_open(call)) {
        return;
    }
    struct bytes body = buf_bytes(&api->out.buf);
    if (api->out.buf.overflow) {
        answer_init(answer, 503, "application/problem+json");
        answer_field(answer, "Retry-After", BYTES("1"));
        body = BYTES(too_much);
    }
    count(call, answer->status);
    const struct http_response response = {
        .status = answer->status,
        .fields = answer->fields,
        .field_count = answer->field_count,
        .body = body,
        .close = answer->close,
    };
    struct http_exchange *exchange = exchange_leave(call);
    api->server.ops->respond(api->server.server, exchange, &response);
}

void call_stream_begin(struct call *call, const struct answer *answer)
{
    struct api *api = call->api;
    CHECK(call_open(call));
    count(call, answer->status);
    const struct http_response response = {
        .status = answer->status,
        .fields = answer->fields,
        .field_count = answer->field_count,
    };
    api->server.ops->begin(api->server.server, call->exchange, &response);
}

size_t call_stream_push(struct call *call, struct bytes part)
{
    const struct http_server_port *server = &call->api->server;
    CHECK(call_open(call));
    return server->ops->push(server->server, call->exchange, part);
}

void call_stream_end(struct call *call)
{
    const struct http_server_port *server = &call->api->server;
    struct http_exchange *exchange = exchange_leave(call);
    server->ops->end(server->server, exchange);
}

void call_answer_json(struct call *call)
{
    struct answer answer;
    answer_init(&answer, 200, "application/json");
    call_answer(call, &answer);
}

/* The memory of a former letter of this kind, or new; zeroed by the caller. */
static void *letter_memory(struct call *call, void *former, size_t size)
{
    CHECK(call->letters == 0);
    void *letter = former != NULL ? former : malloc(size);
    if (letter == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for another question");
        return NULL;
    }
    memset(letter, 0, size);
    return letter;
}

struct proposal *call_proposal(struct call *call, enum proposal_kind kind)
{
    struct proposal *proposal = letter_memory(call, call->proposal, sizeof(*proposal));
    if (proposal != NULL) {
        proposal->kind = kind;
        call->proposal = proposal;
    }
    return proposal;
}

struct inspection *call_inspection(struct call *call, enum inspection_kind kind)
{
    if (call->inspection != NULL) {
        inspection_free(call->inspection);
    }
    struct inspection *inspection = letter_memory(call, call->inspection, sizeof(*inspection));
    if (inspection != NULL) {
        inspection->kind = kind;
        inspection->owed = call->decided;
        call->inspection = inspection;
    }
    return inspection;
}

struct query *call_query(struct call *call, enum query_kind kind)
{
    if (call->query != NULL) {
        query_free(call->query);
    }
    struct query *query = letter_memory(call, call->query, sizeof(*query));
    if (query != NULL) {
        query->kind = kind;
        query->from = INT64_MIN;
        query->to = INT64_MAX;
        query->limit = UINT32_MAX;
        call->query = query;
    }
    return query;
}

struct scan *call_scan(struct call *call, enum scan_kind kind)
{
    if (call->scan != NULL) {
        scan_free(call->scan);
    }
    struct scan *scan = letter_memory(call, call->scan, sizeof(*scan));
    if (scan != NULL) {
        scan->kind = kind;
        scan->from = INT64_MIN;
        scan->to = INT64_MAX;
        call->scan = scan;
    }
    return scan;
}

static void letter_back(struct letter *letter)
{
    struct call *call = letter->user;
    CHECK(call->letters > 0);
    call->letters--;
    call->decided = call->decided || letter->kind == LETTER_PROPOSAL;
    if (call_wanted(call)) {
        call->then(call);
    }
    call_settle(call);
}

static void letter_sent(struct call *call, enum err err, void (*then)(struct call *call))
{
    if (err != OK) {
        call_fail(call, err, NULL);
        return;
    }
    call->letters++;
    call->then = then;
}

void call_propose(struct call *call, void (*then)(struct call *call))
{
    call->proposal->letter.done = letter_back;
    call->proposal->letter.user = call;
    letter_sent(call, gateway_propose(call->api->gateway, call->proposal), then);
}

void call_inspect(struct call *call, void (*then)(struct call *call))
{
    call->inspection->letter.done = letter_back;
    call->inspection->letter.user = call;
    letter_sent(call, gateway_inspect(call->api->gateway, call->inspection), then);
}

void call_ask_runners(struct call *call, void (*then)(struct call *call))
{
    enum err err = call_try_runners(call, then);
    if (err != OK) {
        call_fail(call, err, NULL);
    }
}

enum err call_try_runners(struct call *call, void (*then)(struct call *call))
{
    call->query->letter.done = letter_back;
    call->query->letter.user = call;
    enum err err = gateway_query(call->api->gateway, call->query);
    if (err == OK) {
        call->letters++;
        call->then = then;
    }
    return err;
}

void call_ask_log(struct call *call, void (*then)(struct call *call))
{
    call->scan->letter.done = letter_back;
    call->scan->letter.user = call;
    letter_sent(call, gateway_scan(call->api->gateway, call->scan), then);
}
