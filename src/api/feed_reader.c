/* Reading the feed in rounds: see feed_reader.h.
 *
 * Invariants:
 *  1. place never goes back; every note up to it was shown, filtered, or given up before the request.
 *  2. A round ends with an answer, another round, or parked: standing in api->feed_calls with no
 *     letter under way. */
#include "api/feed_reader.h"

#include "api/feed_text.h"
#include "api/problem.h"
#include "api/stats.h"
#include "base/check.h"
#include "host/feed_merge.h"

#include <stdlib.h>

#define ROUND_NOTES_MAX 1000
#define PAGE_BYTES_MAX  ((size_t)8 * 1024 * 1024)
#define PUSH_BYTES_MAX  ((size_t)256 * 1024)
#define PAGE_TIME_US    (2 * US_PER_SECOND)
#define AGAIN_US        10000
#define ANSWER_US       (30 * US_PER_SECOND)

void feed_reader_destroy(struct feed_reader *reader)
{
    if (reader != NULL) {
        out_free(&reader->items);
        free(reader);
    }
}

static void page_answer(struct call *call)
{
    const struct feed_reader *reader = call->feed_reader;
    struct out *out = &call->api->out;
    struct answer answer;
    answer_init(&answer, 200, "application/json");
    answer_field(&answer, "Cache-Control", BYTES("no-store"));
    out_clear(out);
    out_text(out, "{\"items\":[");
    if (reader->items.buf.overflow) {
        out->buf.overflow = true;
    } else {
        out_bytes(out, buf_bytes(&reader->items.buf));
    }
    out_text(out, "],\"next_cursor\":\"");
    feed_cursor_put(out, gateway_facts(call->api->gateway), reader->place);
    out_text(out, "\"}");
    call_answer(call, &answer);
}

static void answer_expired(struct call *call, struct feed_place go_on)
{
    struct out extra = {0};
    out_text(&extra, "\"next_cursor\":\"");
    feed_cursor_put(&extra, gateway_facts(call->api->gateway), go_on);
    out_char(&extra, '"');
    const struct problem problem = {
        .err = ERR_CURSOR_EXPIRED,
        .detail =
            "notifications behind that cursor are gone, or it is none of this server's; go on "
            "from next_cursor, the oldest place from which on none is missing",
        .member = BYTES("after"),
        .extra = extra.buf.overflow ? (struct bytes){0} : buf_bytes(&extra.buf),
    };
    call_refuse(call, &problem);
    out_free(&extra);
}

static bool type_wanted(struct bytes wanted, enum note_kind kind)
{
    struct bytes type = note_type(kind);
    if (wanted.len > 0 && wanted.data[wanted.len - 1] == '*') {
        size_t len = wanted.len - 1;
        return type.len >= len && bytes_equal(bytes_of(type.data, len), bytes_of(wanted.data, len));
    }
    return wanted.data == NULL || bytes_equal(wanted, type);
}

static bool note_wanted(const struct feed_reader *reader, const struct note *note)
{
    bool subject = reader->subject.data == NULL || bytes_equal(reader->subject, note->key);
    return subject && type_wanted(reader->type, note->kind);
}

static void note_take(struct call *call, const struct feed_row *row)
{
    struct feed_reader *reader = call->feed_reader;
    reader->place = row->place;
    if (!note_wanted(reader, &row->note)) {
        return;
    }
    reader->taken++;
    if (reader->streams) {
        feed_stream_put(call, row->place, &row->note);
    } else {
        out_comma(&reader->items);
        note_put_json(&reader->items, gateway_facts(call->api->gateway), &row->note);
    }
}

static bool round_full(const struct feed_reader *reader)
{
    size_t bytes_max = reader->streams ? PUSH_BYTES_MAX : PAGE_BYTES_MAX;
    return reader->taken >= reader->limit || reader->items.buf.len >= bytes_max ||
           reader->items.buf.overflow;
}

/* All that there was came out: the cursor may stand behind the last pulse that all runners know of. */
static bool round_at_end(struct feed_reader *reader, const struct feed_merge *merge)
{
    bool end = true;
    for (uint32_t n = 0; n < merge->count; n++) {
        reader->again = reader->again || merge->there[n];
        end = end && !merge->there[n] && !merge->cut[n];
    }
    const struct feed_place all = {merge->ordinal, PARTITIONS_MAX - 1, UINT32_MAX};
    if (end && merge->ordinal > 0 && feed_place_compare(all, reader->place) > 0) {
        reader->place = all;
    }
    return end;
}

static enum feed_round round_take(struct call *call, struct feed_merge *merge)
{
    struct feed_reader *reader = call->feed_reader;
    struct feed_row row;
    bool moved = false;
    reader->again = false;
    while (!round_full(reader)) {
        if (!feed_merge_next(merge, &row)) {
            bool end = round_at_end(reader, merge);
            return moved && !end ? FEED_MORE : FEED_END;
        }
        moved = true;
        if (feed_place_compare(row.place, reader->place) > 0) {
            note_take(call, &row);
        }
    }
    return FEED_FULL;
}

bool feed_reader_must_end(const struct call *call)
{
    return call->api->draining || !gateway_ready(call->api->gateway);
}

static void page_round(struct call *call, enum feed_round round)
{
    struct feed_reader *reader = call->feed_reader;
    int64_t now_us = gateway_now(call->api->gateway).us;
    if (round == FEED_MORE && now_us - call->started.us < PAGE_TIME_US) {
        feed_reader_ask(call);
    } else if (round == FEED_FULL || reader->taken > 0 || now_us >= reader->wait_until_us ||
               feed_reader_must_end(call)) {
        page_answer(call);
    }
    reader->again = reader->again || round == FEED_MORE;
}

static void round_back(struct call *call)
{
    struct feed_reader *reader = call->feed_reader;
    const char *detail = NULL;
    enum err err = query_err(call->query, &detail);
    if (err != OK) {
        reader->again = true;
        if (!reader->streaming) {
            call_fail(call, err, detail);
        }
        return;
    }
    struct feed_merge merge;
    feed_merge_init(&merge, call->query);
    struct feed_place forgotten = feed_forgotten(call->query);
    bool behind = feed_place_compare(reader->place, forgotten) < 0;
    bool ahead = reader->place.ordinal > merge.ordinal;
    if (!reader->begins && (reader->unknown || behind || ahead)) {
        if (reader->taken > 0 && !reader->streams) {
            page_answer(
                call); /* what was read before it was given up; the next read will be told */
        } else {
            (reader->streaming ? feed_stream_expired : answer_expired)(call, forgotten);
        }
        return;
    }
    reader->place = behind ? forgotten : reader->place;
    reader->begins = false;
    enum feed_round round = round_take(call, &merge);
    (reader->streams ? feed_stream_round : page_round)(call, round);
}

void feed_reader_ask(struct call *call)
{
    struct feed_reader *reader = call->feed_reader;
    struct query *query = call_query(call, QUERY_FEED);
    if (query == NULL) {
        return;
    }
    bool filtered = reader->type.data != NULL || reader->subject.data != NULL;
    uint32_t wanted = reader->limit - reader->taken;
    query->feed_place = reader->place;
    query->limit = filtered || wanted > ROUND_NOTES_MAX ? ROUND_NOTES_MAX : wanted;
    reader->feed_count = gateway_feed_count(call->api->gateway);
    reader->asked_us = gateway_now(call->api->gateway).us;
    reader->again = false;
    enum err err = call_try_runners(call, round_back);
    bool may_wait =
        reader->streaming || (err == ERR_OVERLOADED && reader->asked_us < reader->wait_until_us);
    if (err != OK && may_wait) {
        reader->again = true;
    } else if (err != OK) {
        call_fail(call, err, NULL);
    }
}

void feed_reader_tick(struct call *call, int64_t now_us)
{
    struct feed_reader *reader = call->feed_reader;
    if (!call_open(call)) {
        return;
    }
    if (call->letters > 0) {
        if (!reader->streaming && now_us - reader->asked_us > ANSWER_US) {
            call_fail(call, ERR_UNAVAILABLE, "the engine did not answer in time");
        }
        return;
    }
    if (reader->streaming) {
        feed_stream_tick(call, now_us);
        return;
    }
    bool over = now_us >= reader->wait_until_us || feed_reader_must_end(call);
    bool again = reader->again && now_us - reader->asked_us >= AGAIN_US;
    if (over) {
        page_answer(call);
    } else if (again || reader->feed_count != gateway_feed_count(call->api->gateway)) {
        feed_reader_ask(call);
    }
}
