/* The feed and its consumers.
 *
 *   read        [inspect: where the consumer is] ─► feed_reader: a page, or a stream
 *   ack         propose ─► answer, once it is durable
 *   consumers   inspect ─► a page of them */
#include "api/notifications.h"

#include "api/config.h"
#include "api/cursor.h"
#include "api/feed_reader.h"
#include "api/feed_text.h"
#include "api/problem.h"
#include "base/check.h"
#include "base/text.h"

#include <stdlib.h>

/* Accept names the type; what else it says does not matter, as there are only two. */
static bool accepts_events(const struct call *call)
{
    struct bytes wanted = BYTES("text/event-stream");
    struct bytes accept = http_field_find(call->exchange->request, "Accept");
    for (size_t at = 0; at + wanted.len <= accept.len; at++) {
        if (http_name_equal(bytes_slice(accept, at, wanted.len), wanted)) {
            return true;
        }
    }
    return false;
}

static bool wait_read(struct call *call, struct feed_reader *reader)
{
    struct bytes wait = params_find(&call->params, "wait");
    int64_t us = 0;
    if (wait.data != NULL && (duration_parse(wait, &us) != OK || us > FEED_WAIT_MAX_US)) {
        call_fail_member(call,
                         ERR_DURATION,
                         BYTES("wait"),
                         "it must be an ISO 8601 duration such as PT30S, of at most PT60S");
        return false;
    }
    us = call->method == HTTP_HEAD ? 0 : us;
    reader->wait_until_us = call->started.us + us;
    return true;
}

/* Where to begin: behind the last event that a stream's peer saw, or a cursor. */
static void place_read(const struct call *call, struct feed_reader *reader)
{
    struct bytes cursor = params_find(&call->params, "after");
    struct bytes last = http_field_find(call->exchange->request, "Last-Event-ID");
    cursor = reader->streams && last.len > 0 ? last : cursor;
    reader->begins = cursor.data == NULL;
    reader->unknown = !reader->begins &&
                      !feed_cursor_read(cursor, gateway_facts(call->api->gateway), &reader->place);
    reader->place = reader->unknown ? (struct feed_place){0} : reader->place;
}

static void consumer_back(struct call *call)
{
    const struct inspection *inspection = call->inspection;
    struct feed_reader *reader = call->feed_reader;
    if (inspection->err != OK) {
        call_fail(call, inspection->err, NULL);
        return;
    }
    if (inspection->consumer_count > 0) {
        reader->place = inspection->consumers[0].place;
        reader->begins = false;
    }
    call_move(call, &call->api->feed_calls);
    feed_reader_ask(call);
}

static bool name_check(struct call *call, struct bytes name)
{
    if (consumer_name_valid(name)) {
        return true;
    }
    call_fail_member(call,
                     ERR_UNPROCESSABLE,
                     BYTES("consumer"),
                     "a consumer's name is 1 to 64 of the characters a-z, 0-9, _ and -");
    return false;
}

static void begin(struct call *call, struct bytes consumer)
{
    const struct feed_reader *reader = call->feed_reader;
    if (consumer.data == NULL || !reader->begins) {
        call_move(call, &call->api->feed_calls);
        feed_reader_ask(call);
        return;
    }
    struct inspection *inspection = call_inspection(call, INSPECT_CONSUMERS);
    if (inspection != NULL) {
        inspection->name = consumer;
        call_inspect(call, consumer_back);
    }
}

void notifications_get(struct call *call)
{
    struct feed_reader *reader = calloc(1, sizeof(*reader));
    struct bytes consumer = params_find(&call->params, "consumer");
    if (reader == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for another reader");
        return;
    }
    call->feed_reader = reader;
    reader->type = params_find(&call->params, "type");
    reader->subject = params_find(&call->params, "subject");
    if (!cursor_limit(call, &reader->limit)) {
        return;
    }
    if (!wait_read(call, reader) || (consumer.data != NULL && !name_check(call, consumer))) {
        return;
    }
    reader->streams = call->method != HTTP_HEAD && accepts_events(call);
    place_read(call, reader);
    begin(call, consumer);
}

static void ack_back(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    struct out *out = &call->api->out;
    bool forgets = proposal->feed_place.ordinal == 0;
    if (proposal->err != OK && !(forgets && proposal->err == ERR_NOT_FOUND)) {
        call_fail(call, proposal->err, proposal->detail);
        return;
    }
    struct answer answer;
    answer_init(&answer, 200, "application/json");
    answer_as_of(&answer, proposal->as_of);
    out_clear(out);
    out_text(out, "{\"consumer\":");
    out_string(out, proposal->name);
    out_text(out, ",\"cursor\":\"");
    feed_cursor_put(out, gateway_facts(call->api->gateway), proposal->feed_place);
    out_text(out, "\"}");
    call_answer(call, &answer);
}

void notifications_ack(struct call *call)
{
    struct config_member members[] = {{.name = "consumer"}, {.name = "cursor"}};
    struct feed_place place;
    if (!config_read(call, members, 2)) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        if (!members[i].given) {
            call_fail_member(
                call, ERR_UNPROCESSABLE, bytes_of_string(members[i].name), "it is missing");
            return;
        }
    }
    if (!name_check(call, members[0].text)) {
        return;
    }
    if (!feed_cursor_read(members[1].text, gateway_facts(call->api->gateway), &place)) {
        call_fail_member(call,
                         ERR_UNPROCESSABLE,
                         BYTES("cursor"),
                         "it must be a next_cursor of this server's notifications");
        return;
    }
    struct proposal *proposal = call_proposal(call, PROPOSE_CONSUMER);
    if (proposal != NULL) {
        proposal->name = members[0].text;
        proposal->feed_place = place;
        call_propose(call, ack_back);
    }
}

static void consumers_put(struct call *call, size_t at, size_t end)
{
    const struct inspection *inspection = call->inspection;
    struct out *out = &call->api->out;
    for (size_t i = at; i < end; i++) {
        const struct consumer_info *consumer = &inspection->consumers[i];
        out_comma(out);
        out_text(out, "{\"consumer\":");
        out_string(out, consumer->name);
        out_text(out, ",\"cursor\":\"");
        feed_cursor_put(out, gateway_facts(call->api->gateway), consumer->place);
        out_text(out, "\",\"acked\":");
        out_time(out, consumer->acked.us);
        out_char(out, '}');
    }
}

static void consumers_back(struct call *call)
{
    const struct inspection *inspection = call->inspection;
    struct out *out = &call->api->out;
    uint64_t offset = 0;
    uint32_t limit = 0;
    if (inspection->err != OK) {
        call_fail(call, inspection->err, NULL);
        return;
    }
    if (!cursor_limit(call, &limit) || !cursor_read(call, &offset, 1)) {
        return;
    }
    size_t count = inspection->consumer_count;
    size_t at = offset < count ? (size_t)offset : count;
    size_t end = limit < count - at ? at + limit : count;
    out_clear(out);
    out_text(out, "{\"items\":[");
    consumers_put(call, at, end);
    cursor_end_at(call, end, count);
    call_answer_json(call);
}

void notifications_consumers(struct call *call)
{
    uint64_t offset = 0;
    uint32_t limit = 0;
    if (!cursor_limit(call, &limit)) {
        return;
    }
    if (cursor_read(call, &offset, 1) && call_inspection(call, INSPECT_CONSUMERS) != NULL) {
        call_inspect(call, consumers_back);
    }
}

void notifications_forget(struct call *call)
{
    config_drop(call, PROPOSE_CONSUMER); /* without a place: it is forgotten */
}
