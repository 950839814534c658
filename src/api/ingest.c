/* POST /v1/events, the trunk: which form a request has, sending chunks, answering.
 *
 * Invariants:
 *  1. The answer comes when the body has ended and no chunk is under way; a 2xx means durable.
 *  2. A whole-body form proposes one chunk; nothing of a broken text is proposed, of lines all good ones.
 *  3. A chunk lives until its proposal is back, also when nobody waits for the answer any more. */
#include "api/ingest.h"

#include "api/ingest_state.h"
#include "api/problem.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

#define ONE_BYTES_MAX ((uint64_t)EVENT_BYTES_MAX + 64 * 1024)
#define NO_MEMORY     "there is no memory for these events"

static struct bytes media_type(struct bytes content_type)
{
    size_t len = 0;
    while (len < content_type.len && content_type.data[len] != ';' &&
           content_type.data[len] != ' ' && content_type.data[len] != '\t') {
        len++;
    }
    return bytes_slice(content_type, 0, len);
}

static bool form_choose(const struct http_request *request, enum ingest_form *form)
{
    struct bytes type = media_type(http_field_find(request, "Content-Type"));
    *form = INGEST_BINARY;
    if (http_name_equal(type, BYTES("application/cloudevents-batch+json"))) {
        *form = INGEST_BATCH;
    } else if (http_name_equal(type, BYTES("application/cloudevents+json"))) {
        *form = INGEST_ONE;
    } else if (http_name_equal(type, BYTES("application/x-ndjson"))) {
        *form = INGEST_LINES;
    } else {
        return binary_mode(request);
    }
    return true;
}

static uint64_t form_bytes_max(enum ingest_form form, bool streams)
{
    switch (form) {
    case INGEST_ONE:
        return ONE_BYTES_MAX;
    case INGEST_BATCH:
        return INGEST_BATCH_BYTES_MAX;
    case INGEST_BINARY:
        return EVENT_BYTES_MAX;
    case INGEST_LINES:
        return streams ? UINT64_MAX : INGEST_BATCH_BYTES_MAX;
    }
    return 0;
}

static bool ack_read(struct call *call, bool *wants_applied)
{
    struct bytes ack = params_find(&call->params, "ack");
    *wants_applied = bytes_equal(ack, BYTES("applied"));
    if (ack.data == NULL || *wants_applied || bytes_equal(ack, BYTES("durable"))) {
        return true;
    }
    call_fail_member(call, ERR_UNPROCESSABLE, BYTES("ack"), "ack is durable or applied");
    return false;
}

bool ingest_head(struct call *call, const struct http_request *request)
{
    enum ingest_form form;
    bool wants_applied = false;
    if (!form_choose(request, &form)) {
        call_fail(call,
                  ERR_MEDIA_TYPE,
                  "send application/cloudevents+json, application/cloudevents-batch+json, "
                  "application/x-ndjson, or any type with ce- headers");
        return false;
    }
    if (!ack_read(call, &wants_applied)) {
        return false;
    }
    bool streams = form == INGEST_LINES && call->idempotency == NULL;
    enum err err = body_init(
        &call->body, &call->api->held, call->api->codec, request, form_bytes_max(form, streams));
    struct ingest *ingest = calloc(1, sizeof(*ingest));
    if (err != OK || ingest == NULL) {
        free(ingest);
        call_fail(call,
                  err != OK ? err : ERR_UNAVAILABLE,
                  err == ERR_TOO_LARGE ? "a batch is at most 8 MiB, a single event 1 MiB; "
                                         "application/x-ndjson without an Idempotency-Key may "
                                         "have any length"
                                       : NULL);
        return false;
    }
    ingest->form = form;
    ingest->streams = streams;
    ingest->wants_applied = wants_applied;
    call->ingest = ingest;
    if (form == INGEST_BINARY) {
        binary_head(call, request);
    }
    return true;
}

bool ingest_streams(const struct call *call)
{
    return call->ingest != NULL && call->ingest->streams;
}

void ingest_part(struct call *call, struct bytes part)
{
    lines_feed(call, part);
}

void ingest_destroy(struct ingest *ingest, struct budget *held)
{
    if (ingest == NULL) {
        return;
    }
    budget_give(held, ingest->input.cap + ingest->stash.cap);
    CHECK(ingest->chunks == 0 || (ingest->chunks == 1 && ingest->blocked != NULL));
    chunk_destroy(ingest->blocked);
    tally_free(&ingest->tally);
    memory_free(&ingest->texts);
    free(ingest->input.data);
    free(ingest->stash.data);
    free(ingest);
}

static void chunk_failed(struct ingest *ingest, const struct chunk *chunk, enum err err)
{
    ingest->lost += chunk->accepted;
    if (ingest->failed == OK) {
        ingest->failed = err;
        (void)snprintf(
            ingest->failed_detail, sizeof(ingest->failed_detail), "%s", chunk->proposal.detail);
    }
}

static void chunk_back(struct letter *letter)
{
    struct chunk *chunk = letter->user;
    struct call *call = chunk->call;
    struct ingest *ingest = call->ingest;
    const struct proposal *proposal = &chunk->proposal;
    CHECK(ingest->chunks > 0);
    CHECK(call->letters > 0);
    ingest->chunks--;
    if (proposal->err == OK) {
        ingest->proposed = true;
        ingest->as_of = proposal->as_of > ingest->as_of ? proposal->as_of : ingest->as_of;
        ingest->duplicates += proposal->duplicates;
        ingest->late += proposal->late;
        gateway_counters(call->api->gateway)->events_accepted += chunk->accepted;
    } else {
        chunk_failed(ingest, chunk, proposal->err);
    }
    chunk_destroy(chunk);
    call->letters--;
    call->decided = true;
    if (ingest_streams(call)) {
        lines_chunk_back(call);
    }
    ingest_maybe_answer(call);
    call_settle(call);
}

/* A stream waits instead of failing when there is too much under way. */
static bool chunk_wait(struct ingest *ingest, struct chunk *chunk, enum err err)
{
    if (err != ERR_OVERLOADED || !ingest->streams || ingest->blocked != NULL) {
        return false;
    }
    ingest->blocked = chunk;
    ingest->blocked_since = gateway_now(chunk->call->api->gateway);
    ingest->chunks++;
    return true;
}

void ingest_send(struct call *call, struct chunk *chunk)
{
    struct ingest *ingest = call->ingest;
    chunk_close(chunk);
    if (chunk->accepted == 0) {
        chunk_destroy(chunk);
        return;
    }
    chunk->proposal.wants_applied = ingest->wants_applied;
    chunk->proposal.letter.done = chunk_back;
    chunk->proposal.letter.user = chunk;
    enum err err = gateway_propose(call->api->gateway, &chunk->proposal);
    if (err == OK) {
        ingest->chunks++;
        call->letters++;
    } else if (!call_open(call) || !chunk_wait(ingest, chunk, err)) {
        chunk_failed(ingest, chunk, err);
        chunk_destroy(chunk);
    }
}

static void answer_taken(struct call *call)
{
    const struct ingest *ingest = call->ingest;
    struct out *out = &call->api->out;
    struct answer answer;
    answer_init(&answer, 200, "application/json");
    if (ingest->proposed) {
        answer_as_of(&answer, ingest->as_of);
    }
    out_clear(out);
    out_text(out, "{\"accepted\":");
    out_u64(out, ingest->tally.accepted);
    if (ingest->wants_applied) {
        out_member(out, "duplicates");
        out_u64(out, ingest->duplicates);
        out_member(out, "late");
        out_u64(out, ingest->late);
    }
    tally_put_rejected(out, &ingest->tally);
    out_char(out, '}');
    call_answer(call, &answer);
}

/* Nothing, or not everything, was taken: a problem that carries the counts. */
static void answer_failed(struct call *call, enum err err, const char *detail)
{
    const struct ingest *ingest = call->ingest;
    struct out extra = {0};
    CHECK(ingest->tally.accepted >= ingest->lost);
    out_text(&extra, "\"accepted\":");
    out_u64(&extra, ingest->tally.accepted - ingest->lost);
    tally_put_rejected(&extra, &ingest->tally);
    const struct problem problem = {
        .err = err,
        .detail = detail,
        .extra = extra.buf.overflow ? (struct bytes){0} : buf_bytes(&extra.buf),
        .close = call->reading,
    };
    call_refuse(call, &problem);
    out_free(&extra);
}

void ingest_maybe_answer(struct call *call)
{
    struct ingest *ingest = call->ingest;
    if (!call_wanted(call) || ingest->chunks > 0 || (call->reading && ingest->failed == OK)) {
        return;
    }
    if (ingest->streams && !ingest->ended && ingest->failed == OK) {
        return;
    }
    gateway_counters(call->api->gateway)->events_refused += ingest->tally.rejected;
    if (ingest->failed != OK) {
        answer_failed(call, ingest->failed, ingest->failed_detail);
    } else if (ingest->tally.accepted == 0 && ingest->tally.rejected > 0) {
        answer_failed(call, ingest->tally.first, ingest->tally.detail);
    } else {
        answer_taken(call);
    }
}

static size_t text_bytes(const struct ingest *ingest, size_t body_len)
{
    /* Text becomes a JSON string (up to 6 times longer), other bytes base64; plus the headers. */
    return ingest->form == INGEST_BINARY ? 6 * body_len + 8 * HTTP_HEADER_BYTES_MAX : body_len;
}

void ingest_run(struct call *call)
{
    struct ingest *ingest = call->ingest;
    struct bytes text = buf_bytes(&call->body.whole);
    enum err err = OK;
    if (ingest->streams) {
        lines_end(call);
        return;
    }
    struct chunk *chunk = NULL;
    err = chunk_create(call, text_bytes(ingest, text.len), &chunk);
    if (err != OK) {
        call_fail(call, err, err == ERR_OVERLOADED ? BUDGET_REFUSAL : NO_MEMORY);
        return;
    }
    if (ingest->form == INGEST_ONE) {
        err = ingest_parse_one(call, text, chunk);
    } else if (ingest->form == INGEST_BATCH) {
        err = ingest_parse_batch(call, text, chunk);
    } else if (ingest->form == INGEST_LINES) {
        ingest_parse_lines(call, text, chunk);
    } else {
        binary_parse(call, text, chunk);
    }
    if (err == OK && ingest->exhausted) {
        err = ERR_UNAVAILABLE;
        (void)snprintf(ingest->failed_detail, DETAIL_BYTES, NO_MEMORY);
    }
    if (err != OK) {
        chunk_close(chunk);
        chunk_destroy(chunk);
        call_fail(call, err, ingest->failed_detail);
        return;
    }
    ingest_send(call, chunk);
    body_deinit(&call->body); /* all of it is in the chunk: it need not wait for the disk too */
    ingest_maybe_answer(call);
}

void ingest_gone(struct call *call)
{
    if (ingest_streams(call)) {
        lines_gone(call);
    }
}

/* A stream's chunk that had to wait: once more, or it fails for good. */
static void blocked_retry(struct call *call)
{
    struct ingest *ingest = call->ingest;
    struct chunk *chunk = ingest->blocked;
    ingest->blocked = NULL;
    CHECK(ingest->chunks > 0);
    ingest->chunks--;
    enum err err = gateway_propose(call->api->gateway, &chunk->proposal);
    if (err == OK) {
        ingest->chunks++;
        call->letters++;
        return;
    }
    int64_t waited = gateway_now(call->api->gateway).us - ingest->blocked_since.us;
    if (err == ERR_OVERLOADED && waited < 20 * US_PER_SECOND && call_open(call)) {
        ingest->blocked = chunk;
        ingest->chunks++;
        return;
    }
    chunk_failed(ingest, chunk, err);
    chunk_destroy(chunk);
    ingest_maybe_answer(call);
}

void ingest_tick(struct call *call)
{
    struct ingest *ingest = call->ingest;
    if (ingest == NULL) {
        return;
    }
    if (ingest->blocked != NULL) {
        blocked_retry(call);
    } else if (ingest_streams(call) && call_open(call)) {
        lines_tick(call);
    }
}
