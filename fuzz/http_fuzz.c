/* Any bytes as a connection's input: heads, bodies, pipelined. Checked beside memory safety:
 *
 *  1. What is found (requests, bodies, the refusal) is the same however the bytes are cut.
 *  2. All slices lie inside of the head, and what they hold obeys the grammar.
 *  3. A decoder that wants more has used what it was given, and one that gives a part gives some.
 *
 * The input's first byte chooses the cuts; the rest is what arrives. */
#include "fuzz.h"

#include "adapters/http_server/http_chunked.h"
#include "adapters/http_server/http_parse.h"
#include "adapters/http_server/http_target.h"
#include "base/check.h"
#include "base/hash.h"

#include <stdlib.h>

/* What was found, as a running hash. */
struct findings {
    uint64_t hash;
    uint64_t body; /* of the body at hand, byte by byte, so that its parts don't show */
    uint32_t requests;
};

/* A connection that is given its bytes piece by piece. */
struct reader_state {
    struct http_head head;
    struct http_chunked chunked;
    bool in_body;
    bool refused;
    uint64_t body_left; /* of a body of known length */
    struct findings findings;
};

static void note(struct findings *findings, uint64_t value)
{
    findings->hash = hash64_mix(findings->hash, value);
}

static void note_slice(struct findings *findings, struct bytes slice, struct bytes head)
{
    CHECK(slice.data >= head.data && slice.data + slice.len <= head.data + head.len);
    findings->hash = hash64(slice, findings->hash);
}

static void note_body(struct findings *findings, struct bytes part)
{
    for (size_t i = 0; i < part.len; i++) {
        findings->body = hash64_mix(findings->body, part.data[i]);
    }
}

static void note_request(struct reader_state *state, struct bytes head)
{
    struct findings *findings = &state->findings;
    struct http_request request;
    struct http_field fields[HTTP_FIELDS_MAX];
    http_head_request(&state->head, head.data, &request, fields);
    CHECK(head.len <= HTTP_HEADER_BYTES_MAX);
    CHECK(request.field_count <= HTTP_FIELDS_MAX);
    CHECK(request.path.len > 0);
    CHECK(request.path.data[0] == '/' || request.path.data[0] == '*');
    CHECK(request.path.len + request.query.len <= HTTP_URI_BYTES_MAX);
    CHECK(request.host.len == 0 || http_host_valid(request.host));
    CHECK(request.host.len > 0 || state->head.http_1_0);
    CHECK(request.length_known || request.content_length == 0);
    findings->requests++;
    note(findings, request.method);
    note(findings, request.content_length * 2 + request.has_body);
    note(findings, http_head_keep_alive(&state->head));
    findings->hash = hash64(request.path, findings->hash);
    note_slice(findings, request.query, head);
    note_slice(findings, request.host, head);
    for (size_t i = 0; i < request.field_count; i++) {
        CHECK(fields[i].name.len > 0);
        CHECK(memchr(fields[i].value.data, '\n', fields[i].value.len) == NULL);
        CHECK(memchr(fields[i].value.data, '\0', fields[i].value.len) == NULL);
        note_slice(findings, fields[i].name, head);
        note_slice(findings, fields[i].value, head);
    }
    state->in_body = request.has_body;
    state->body_left = request.content_length;
    findings->body = 0;
    http_chunked_init(&state->chunked);
}

static void end_body(struct reader_state *state)
{
    note(&state->findings, state->findings.body);
    state->in_body = false;
    http_head_init(&state->head);
}

static size_t refuse(struct reader_state *state, enum err err, const char *detail)
{
    CHECK(err != OK);
    note(&state->findings, (uint64_t)err);
    state->findings.hash = hash64(bytes_of_string(detail), state->findings.hash);
    state->refused = true;
    return 0;
}

static size_t take_head(struct reader_state *state, struct bytes input)
{
    enum http_parse result = http_head_parse(&state->head, input);
    if (result == HTTP_PARSE_MORE) {
        CHECK(input.len < HTTP_HEADER_BYTES_MAX);
        return 0;
    }
    if (result == HTTP_PARSE_REFUSED) {
        return refuse(state, state->head.refusal, state->head.detail);
    }
    size_t len = http_head_len(&state->head);
    CHECK(len <= input.len);
    note_request(state, bytes_of(input.data, len));
    if (!state->in_body) {
        end_body(state);
    }
    return len;
}

static size_t take_body(struct reader_state *state, struct bytes input)
{
    if (!state->head.chunked) {
        size_t len = input.len < state->body_left ? input.len : (size_t)state->body_left;
        note_body(&state->findings, bytes_of(input.data, len));
        state->body_left -= len;
        if (state->body_left == 0) {
            end_body(state);
        }
        return len;
    }
    struct bytes part;
    size_t consumed;
    switch (http_chunked_next(&state->chunked, input, &consumed, &part)) {
    case HTTP_CHUNKED_MORE:
        CHECK(consumed == input.len);
        break;
    case HTTP_CHUNKED_PART:
        CHECK(part.len > 0);
        CHECK(part.data + part.len == input.data + consumed);
        note_body(&state->findings, part);
        break;
    case HTTP_CHUNKED_DONE:
        end_body(state);
        break;
    case HTTP_CHUNKED_REFUSED:
        return refuse(state, state->chunked.refusal, state->chunked.detail);
    }
    CHECK(consumed > 0);
    return consumed;
}

/* How many bytes of the input are dealt with. */
static size_t take(struct reader_state *state, struct bytes input)
{
    size_t used = 0;
    while (used < input.len && !state->refused) {
        struct bytes rest = bytes_of(input.data + used, input.len - used);
        size_t step = state->in_body ? take_body(state, rest) : take_head(state, rest);
        if (step == 0) {
            break;
        }
        used += step;
    }
    return used;
}

/* Pieces of 1 to piece_max bytes (0: one piece of all), each at an address of its own. */
static struct findings read_in_pieces(struct bytes input, size_t piece_max)
{
    static struct reader_state state;
    uint64_t random = piece_max;
    size_t from = 0;
    size_t to = 0;
    state = (struct reader_state){0};
    http_head_init(&state.head);
    while (to < input.len && !state.refused) {
        size_t piece = input.len - to;
        if (piece_max > 0) {
            random = hash64_mix(random, 1);
            size_t wanted = 1 + (size_t)(random % piece_max);
            piece = wanted < piece ? wanted : piece;
        }
        to += piece;
        uint8_t *copy = malloc(to - from);
        CHECK(copy != NULL);
        memcpy(copy, input.data + from, to - from);
        from += take(&state, bytes_of(copy, to - from));
        free(copy);
    }
    note(&state.findings, state.refused);
    /* A head that is not complete was noted by nobody, a part of a body was. */
    note(&state.findings, state.in_body ? state.findings.body : 0);
    return state.findings;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes input = bytes_of(data + 1, size - 1);
    struct findings whole = read_in_pieces(input, 0);
    struct findings cut = read_in_pieces(input, (size_t)1 + data[0]);
    struct findings bytewise = read_in_pieces(input, 1);
    CHECK(whole.requests == cut.requests);
    CHECK(whole.hash == cut.hash);
    CHECK(whole.requests == bytewise.requests);
    CHECK(whole.hash == bytewise.hash);
    return 0;
}
