/* The feed as server-sent events (WHATWG HTML, section 9.2).
 *
 *     retry: 1000                             at the beginning
 *     id: <cursor>                            a note; no event field, so that it is a "message"
 *     data: {"specversion":"1.0",...}
 *     : <nothing new>                         every 15 s without one, with the cursor as id
 *     event: reset                            notes were given up before they could be sent
 *     data: {"reason":"cursor-expired","next_cursor":"..."}
 *
 * Invariants:
 *  1. Nothing is asked for while more than BACKLOG_BYTES_MAX wait for the peer.
 *  2. Whoever resumes with the last id that came misses nothing that is kept. */
#include "api/feed_reader.h"
#include "api/feed_text.h"
#include "base/check.h"

#define BACKLOG_BYTES_MAX ((size_t)64 * 1024)
#define BEAT_US           (15 * US_PER_SECOND)
#define AGAIN_US          10000

static void put_id(struct call *call, struct feed_place place)
{
    struct feed_reader *reader = call->feed_reader;
    out_text(&reader->items, "id: ");
    feed_cursor_put(&reader->items, gateway_facts(call->api->gateway), place);
    out_char(&reader->items, '\n');
    reader->told = place;
}

void feed_stream_put(struct call *call, struct feed_place place, const struct note *note)
{
    struct out *items = &call->feed_reader->items;
    put_id(call, place);
    out_text(items, "data: ");
    note_put_json(items, gateway_facts(call->api->gateway), note); /* one line: it is compact */
    out_text(items, "\n\n");
}

/* Sends what was put; how much waits for the peer. */
static size_t push(struct call *call)
{
    struct feed_reader *reader = call->feed_reader;
    struct bytes items = buf_bytes(&reader->items.buf);
    if (items.len > 0) {
        reader->beat_us = gateway_now(call->api->gateway).us;
    }
    size_t waiting = call_stream_push(call, items);
    out_clear(&reader->items);
    reader->taken = 0;
    return waiting;
}

static void begin(struct call *call)
{
    struct answer answer;
    answer_init(&answer, 200, "text/event-stream");
    answer_field(&answer, "Cache-Control", BYTES("no-store"));
    call_stream_begin(call, &answer);
    call->feed_reader->streaming = true;
    (void)call_stream_push(call, BYTES("retry: 1000\n\n"));
    call->feed_reader->beat_us = gateway_now(call->api->gateway).us;
}

void feed_stream_round(struct call *call, enum feed_round round)
{
    struct feed_reader *reader = call->feed_reader;
    if (!reader->streaming) {
        begin(call);
    }
    if (reader->items.buf.overflow) {
        call_stream_end(call); /* there is no memory: the peer comes again, with the last id */
        return;
    }
    size_t waiting = push(call);
    if (feed_reader_must_end(call)) {
        call_stream_end(call);
        return;
    }
    if (round == FEED_END) {
        return;
    }
    if (waiting <= BACKLOG_BYTES_MAX) {
        feed_reader_ask(call);
    } else {
        reader->again = true;
    }
}

void feed_stream_expired(struct call *call, struct feed_place go_on)
{
    struct feed_reader *reader = call->feed_reader;
    reader->place = go_on;
    put_id(call, go_on);
    out_text(&reader->items,
             "event: reset\ndata: {\"reason\":\"cursor-expired\",\"next_cursor\":\"");
    feed_cursor_put(&reader->items, gateway_facts(call->api->gateway), go_on);
    out_text(&reader->items, "\"}\n\n");
    (void)push(call);
    reader->again = true;
}

static void beat(struct call *call)
{
    struct feed_reader *reader = call->feed_reader;
    if (feed_place_compare(reader->told, reader->place) != 0) {
        put_id(call, reader->place);
    }
    out_text(&reader->items, ": nothing new\n\n");
    (void)push(call);
}

void feed_stream_tick(struct call *call, int64_t now_us)
{
    struct feed_reader *reader = call->feed_reader;
    if (feed_reader_must_end(call)) {
        call_stream_end(call);
        return;
    }
    bool grown = reader->feed_count != gateway_feed_count(call->api->gateway);
    bool again = reader->again && now_us - reader->asked_us >= AGAIN_US;
    bool beats = now_us - reader->beat_us >= BEAT_US;
    if (!grown && !again && !beats) {
        return;
    }
    if (call_stream_push(call, (struct bytes){0}) > BACKLOG_BYTES_MAX) {
        return;
    }
    if (beats) {
        beat(call);
    }
    if (grown || again) {
        feed_reader_ask(call);
    }
}
