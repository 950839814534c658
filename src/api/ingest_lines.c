/* A stream of lines of any length, in bounded memory.
 *
 *   part ─► [stash] ─► decoder ─► input: | line | line | … | beginning of a line |
 *            │                           └ complete lines: a chunk ┘└ stays, moved to the front
 *            └ only while INGEST_CHUNKS_MAX chunks are under way: the server was told to pause
 *
 * Invariants:
 *  1. input.len <= CHUNK_BYTES + LINE_BYTES_MAX.
 *  2. Lines are parsed once, in order; a line that was parsed is in a chunk or in the tally.
 *  3. `ended` is set once, when nothing of the body is left to parse. */
#include "api/ingest.h"
#include "api/ingest_state.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK_BYTES       ((size_t)1024 * 1024)
#define INPUT_BYTES_FIRST ((size_t)64 * 1024)
#define INPUT_BYTES_MAX   (CHUNK_BYTES + LINE_BYTES_MAX)

/* ERR_OVERLOADED has its own words. */
static void lines_fail(struct ingest *ingest, enum err err, const char *detail)
{
    detail = err == ERR_OVERLOADED ? BUDGET_REFUSAL : detail;
    if (ingest->failed == OK) {
        ingest->failed = err;
        (void)snprintf(ingest->failed_detail, sizeof(ingest->failed_detail), "%s", detail);
    }
}

/* Where memory is short, a stream has one chunk under way at a time. */
static bool can_take(const struct call *call)
{
    const struct ingest *ingest = call->ingest;
    bool tight = budget_is_tight(&call->api->held);
    return ingest->failed == OK && ingest->chunks < (tight ? 1 : INGEST_CHUNKS_MAX) &&
           ingest->blocked == NULL;
}

static bool stash_empty(const struct ingest *ingest)
{
    return ingest->stash_at == ingest->stash.len && !ingest->more;
}

static void input_drop(struct ingest *ingest, size_t len)
{
    struct buf *input = &ingest->input;
    CHECK(len <= input->len);
    memmove(input->data, input->data + len, input->len - len);
    input->len -= len;
}

/* Inside of a line that is too long: forget until its end. */
static void input_skip(struct ingest *ingest)
{
    struct buf *input = &ingest->input;
    if (!ingest->skipping || input->len == 0) {
        return;
    }
    const uint8_t *end = memchr(input->data, '\n', input->len);
    ingest->skipping = end == NULL;
    input_drop(ingest, end == NULL ? input->len : (size_t)(end - input->data) + 1);
}

/* Parses what the input has in complete lines, all of it when it is the last, and sends it off. */
static void input_flush(struct call *call, bool last)
{
    struct ingest *ingest = call->ingest;
    struct buf *input = &ingest->input;
    const uint8_t *end = input->len == 0 ? NULL : memrchr(input->data, '\n', input->len);
    size_t len = end == NULL ? 0 : (size_t)(end - input->data) + 1;
    len = last ? input->len : len;
    if (len > 0) {
        struct chunk *chunk = NULL;
        enum err err = chunk_create(call, len, &chunk);
        if (err != OK) {
            lines_fail(ingest, err, "there is no memory for these events");
            return;
        }
        ingest_parse_lines(call, bytes_of(input->data, len), chunk);
        ingest_send(call, chunk);
        memory_free(&ingest->texts);
        if (ingest->exhausted) {
            lines_fail(ingest, ERR_UNAVAILABLE, "there is no memory for these events");
            return;
        }
        input_drop(ingest, len);
    }
    if (input->len > LINE_BYTES_MAX) {
        const struct refusal refusal = {.err = ERR_EVENT_TOO_LARGE};
        tally_refuse(&ingest->tally, &refusal);
        ingest->skipping = true;
        input->len = 0;
    }
}

/* Gives the buffer that much capacity, out of the budget. */
static enum err buf_resize(struct budget *budget, struct buf *buf, size_t cap)
{
    CHECK(cap > buf->cap);
    if (!budget_take(budget, cap - buf->cap)) {
        return ERR_OVERLOADED;
    }
    uint8_t *data = realloc(buf->data, cap);
    if (data == NULL) {
        budget_give(budget, cap - buf->cap);
        return ERR_UNAVAILABLE;
    }
    buf->data = data;
    buf->cap = cap;
    return OK;
}

static bool input_room(struct call *call)
{
    struct ingest *ingest = call->ingest;
    struct buf *input = &ingest->input;
    if (input->len < input->cap) {
        return true;
    }
    size_t cap = input->cap == 0 ? INPUT_BYTES_FIRST : input->cap * 2;
    cap = cap > INPUT_BYTES_MAX ? INPUT_BYTES_MAX : cap;
    CHECK(cap > input->len);
    enum err err = buf_resize(&call->api->held, input, cap);
    if (err != OK) {
        lines_fail(ingest, err, "there is no memory for this line");
    }
    return err == OK;
}

/* Takes from *part until it is empty or no more chunks may be under way (always: until empty). */
static void lines_take(struct call *call, struct bytes *part, bool always)
{
    struct ingest *ingest = call->ingest;
    ingest->more = part->len > 0 || ingest->more;
    while (ingest->more && (can_take(call) || (always && ingest->failed == OK))) {
        if (!input_room(call)) {
            return;
        }
        enum err err = body_take(&call->body, part, &ingest->input, &ingest->more);
        input_skip(ingest);
        if (err != OK) {
            input_flush(call, false);
            lines_fail(ingest, err, "the encoded body is broken, or it grows too much");
            return;
        }
        if (ingest->input.len >= CHUNK_BYTES) {
            input_flush(call, false);
        }
    }
}

static enum err stash_put(struct call *call, struct bytes part)
{
    struct buf *stash = &call->ingest->stash;
    if (part.len > stash->cap - stash->len) {
        enum err err = buf_resize(&call->api->held, stash, stash->len + part.len);
        if (err != OK) {
            return err;
        }
    }
    buf_put_bytes(stash, part);
    return OK;
}

static void stash_drain(struct call *call, bool always)
{
    struct ingest *ingest = call->ingest;
    struct bytes rest = bytes_slice(
        buf_bytes(&ingest->stash), ingest->stash_at, ingest->stash.len - ingest->stash_at);
    lines_take(call, &rest, always);
    ingest->stash_at = ingest->stash.len - rest.len;
    if (ingest->stash_at == ingest->stash.len) {
        ingest->stash.len = 0;
        ingest->stash_at = 0;
    }
}

static void pause_if_needed(struct call *call)
{
    struct ingest *ingest = call->ingest;
    const struct http_server_port *server = &call->api->server;
    if (call_open(call) && call->reading && !ingest->paused && !can_take(call)) {
        ingest->paused = true;
        server->ops->pause(server->server, call->exchange);
    }
}

void lines_feed(struct call *call, struct bytes part)
{
    struct ingest *ingest = call->ingest;
    if (ingest->failed != OK) {
        return;
    }
    if (stash_empty(ingest)) {
        lines_take(call, &part, false);
    }
    enum err err = part.len > 0 && ingest->failed == OK ? stash_put(call, part) : OK;
    if (err != OK) {
        lines_fail(ingest, err, "there is no memory for this stream");
    }
    pause_if_needed(call);
    ingest_maybe_answer(call);
}

/* The body has ended and everything of it was taken: the last line needs no newline. */
static void lines_finish(struct call *call)
{
    struct ingest *ingest = call->ingest;
    if (ingest->ended || !stash_empty(ingest) || ingest->failed != OK) {
        return;
    }
    enum err err = body_finish(&call->body);
    input_flush(call, err == OK);
    if (err != OK) {
        lines_fail(ingest, err, "the encoded body was cut short");
    }
    ingest->ended = true;
}

void lines_end(struct call *call)
{
    if (can_take(call)) {
        stash_drain(call, false);
    }
    lines_finish(call);
    ingest_maybe_answer(call);
}

void lines_gone(struct call *call)
{
    struct ingest *ingest = call->ingest;
    if (ingest->ended || ingest->failed != OK) {
        return;
    }
    stash_drain(call, true);
    if (ingest->failed == OK) {
        input_flush(call, false);
    }
    ingest->ended = true;
}

void lines_tick(struct call *call)
{
    struct ingest *ingest = call->ingest;
    if (call->reading && can_take(call) && ingest->input.len > 0) {
        input_flush(call, false);
        pause_if_needed(call);
        ingest_maybe_answer(call);
    }
}

void lines_chunk_back(struct call *call)
{
    struct ingest *ingest = call->ingest;
    const struct http_server_port *server = &call->api->server;
    if (!call_open(call)) {
        return;
    }
    if (can_take(call)) {
        stash_drain(call, false);
    }
    if (!call->reading) {
        lines_finish(call);
    } else if (ingest->paused && can_take(call) && stash_empty(ingest)) {
        ingest->paused = false;
        server->ops->resume(server->server, call->exchange);
    }
}
