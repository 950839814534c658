/* POST /v1/events with any body, in each of its forms. Checked beside memory safety:
 *
 *  1. The answer and the events that come of it are the same however the body is cut.
 *  2. The answer says how many events were taken, and so many there are.
 *  3. A batch is taken as a frame: with a broken text comes a problem and no event.
 *  4. Lines stand for themselves: as many are taken as are one event each, read alone.
 *
 * The input's first byte chooses the form, the second the cuts; the rest is the body. In binary
 * mode the lines before an empty one are headers. */
#include "fuzz.h"

#include "api/event_json.h"
#include "base/check.h"
#include "base/hash.h"
#include "tests/unit/api/fake_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX   ((size_t)64 * 1024)
#define HEADERS_MAX 4096
#define FIELDS_MAX  40

enum form { FORM_ONE, FORM_BATCH, FORM_LINES, FORM_BINARY, FORMS };

static const char *const types[] = {"Content-Type: application/cloudevents+json\n",
                                    "Content-Type: application/cloudevents-batch+json\n",
                                    "Content-Type: application/x-ndjson\n",
                                    ""};

/* What came of a request. */
struct outcome {
    int status;
    uint64_t answer; /* a hash of its body */
    uint64_t events; /* of all events */
    uint64_t event_count;
    uint64_t accepted; /* as the answer has it; 0 when it doesn't say */
};

static struct fake_client *client_of_all(void)
{
    static struct fake_client *client;
    if (client == NULL) {
        client = malloc(sizeof(*client));
        CHECK(client != NULL);
        fake_client_init(client);
    }
    client->gateway->records.len = 0;
    client->gateway->position = 0x1000;
    return client;
}

static bool may_stand(uint8_t byte, bool in_name)
{
    bool letter = ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') || (byte >= '0' && byte <= '9');
    return letter || byte == '-' || (!in_name && (byte == '\t' || (byte >= ' ' && byte != 0x7f)));
}

/* One header out of a line, as the HTTP server would let it through: "Name: value\n", or none. */
static void put_header(struct buf *out, struct bytes line)
{
    const uint8_t *colon = line.len == 0 ? NULL : memchr(line.data, ':', line.len);
    if (colon == NULL || colon == line.data || line.len > 512) {
        return;
    }
    size_t name_len = (size_t)(colon - line.data);
    for (size_t i = 0; i < name_len; i++) {
        buf_put_u8(out, may_stand(line.data[i], true) ? line.data[i] : 'x');
    }
    buf_put_text(out, ": ");
    for (size_t i = name_len + 1; i < line.len; i++) {
        buf_put_u8(out, may_stand(line.data[i], false) ? line.data[i] : ' ');
    }
    buf_put_u8(out, '\n');
}

/* Takes the headers off the front of *body, into a string. */
static void take_headers(struct bytes *body, char headers[HEADERS_MAX])
{
    struct buf out = buf_of(headers, HEADERS_MAX - 1);
    buf_put_text(&out, "ce-specversion: 1.0\n");
    for (int i = 0; i < FIELDS_MAX && body->len > 0 && out.len + 600 < HEADERS_MAX; i++) {
        const uint8_t *end = memchr(body->data, '\n', body->len);
        size_t len = end == NULL ? body->len : (size_t)(end - body->data);
        struct bytes line = bytes_slice(*body, 0, len);
        size_t step = end == NULL ? len : len + 1;
        *body = bytes_slice(*body, step, body->len - step);
        if (len == 0) {
            break;
        }
        put_header(&out, line);
    }
    CHECK(!out.overflow);
    headers[out.len] = '\0';
}

static uint64_t accepted_of(const struct fake_client *client)
{
    const char *at = strstr(client->body, "\"accepted\":");
    return at == NULL ? 0 : strtoull(at + strlen("\"accepted\":"), NULL, 10);
}

static void note_events(const struct fake_client *client, struct outcome *outcome)
{
    static struct fake_events events;
    struct event event;
    for (fake_events_begin(&events, client->gateway); fake_events_next(&events, &event);) {
        const struct bytes texts[] = {event.id,
                                      event.source,
                                      event.type,
                                      event.subject,
                                      event.content_type,
                                      event.extensions,
                                      event.data};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            outcome->events = hash64(texts[i], outcome->events);
        }
        outcome->events = hash64_mix(outcome->events, (uint64_t)event.time.us);
        outcome->events = hash64_mix(outcome->events, event.flags);
        outcome->event_count++;
        CHECK(event.id.len > 0);
        CHECK(event.source.len > 0);
        CHECK(event.type.len > 0);
    }
}

/* Pieces of 1 to piece_max bytes; 0: one piece of all. */
static struct outcome post(const char *headers, struct bytes body, size_t piece_max)
{
    struct fake_client *client = client_of_all();
    struct outcome outcome = {0};
    uint64_t random = piece_max;
    int before = client->responses;
    fake_head(client, "POST", "/v1/events", headers, "", body.len);
    for (size_t at = 0; at < body.len;) {
        size_t len = body.len - at;
        if (piece_max > 0) {
            random = hash64_mix(random, at);
            size_t wanted = 1 + (size_t)(random % piece_max);
            len = wanted < len ? wanted : len;
        }
        uint8_t *copy = malloc(len);
        CHECK(copy != NULL);
        memcpy(copy, body.data + at, len);
        fake_body(client, copy, len);
        free(copy);
        at += len;
    }
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    CHECK(client->responses == before + 1);
    CHECK(api_open_requests(client->api) == 0);
    outcome.status = client->status;
    outcome.answer = hash64(bytes_of(client->body, client->body_len), 0);
    outcome.accepted = accepted_of(client);
    note_events(client, &outcome);
    return outcome;
}

/* Whether the text is one event and no more, and its time not too far ahead. */
static bool is_event(struct bytes text)
{
    static uint8_t extensions[BYTES_MAX];
    const struct gateway *gateway = client_of_all()->gateway;
    struct memory texts = {0};
    struct event_reader reader = {.memory = &texts,
                                  .extensions = buf_of(extensions, sizeof(extensions)),
                                  .now = gateway_now(gateway)};
    struct json_scanner scanner = json_scanner_of(text);
    struct event event;
    struct refusal refusal;
    bool good = event_read_json(&reader, &scanner, &event, &refusal) == OK &&
                json_end(&scanner) == OK && refusal.err == OK &&
                event.time.us <= gateway_time_limit(gateway, event.source).us;
    memory_free(&texts);
    return good;
}

static uint64_t count_lines(struct bytes body)
{
    uint64_t count = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= body.len; i++) {
        if (i == body.len || body.data[i] == '\n') {
            count += is_event(bytes_slice(body, begin, i - begin)) ? 1 : 0;
            begin = i + 1;
        }
    }
    return count;
}

static void check(enum form form, struct bytes body, const struct outcome *outcome)
{
    CHECK(outcome->accepted == outcome->event_count);
    /* Whatever was sent, it is either taken or the sender's fault. */
    CHECK(outcome->status == 200 || (outcome->status >= 400 && outcome->status < 500));
    CHECK(outcome->status == 200 || form == FORM_LINES || outcome->event_count == 0);
    CHECK(form == FORM_BATCH || form == FORM_LINES || outcome->event_count <= 1);
    if (form == FORM_ONE) {
        CHECK(outcome->event_count == (is_event(body) ? 1u : 0u));
    }
    if (form == FORM_LINES) {
        CHECK(outcome->event_count == count_lines(body));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char headers[HEADERS_MAX];
    if (size < 2 || size > BYTES_MAX) {
        return 0;
    }
    enum form form = (enum form)(data[0] % FORMS);
    struct bytes body = bytes_of(data + 2, size - 2);
    (void)snprintf(headers, sizeof(headers), "%s", types[form]);
    if (form == FORM_BINARY) {
        take_headers(&body, headers);
    }
    struct outcome whole = post(headers, body, 0);
    check(form, body, &whole);
    const size_t piece_max[] = {1, (size_t)1 + data[1]};
    for (size_t i = 0; i < sizeof(piece_max) / sizeof(piece_max[0]); i++) {
        struct outcome cut = post(headers, body, piece_max[i]);
        CHECK(cut.status == whole.status);
        CHECK(cut.answer == whole.answer);
        CHECK(cut.events == whole.events);
        CHECK(cut.event_count == whole.event_count);
    }
    return 0;
}
