/* From text to events: one, a batch, lines. The loop of the product's hot path.
 *
 * Invariants:
 *  1. A batch is atomic as a frame: text that is not JSON anywhere gives an answer and no event.
 *  2. An event for which there is no memory is not a refused one: the request as a whole fails.
 *  3. Of lines each stands for itself: a broken one is a refused index. */
#include "api/ingest_state.h"
#include "base/check.h"

#include <stdio.h>

static struct event_reader reader_begin(struct call *call)
{
    return (struct event_reader){
        .memory = &call->ingest->texts,
        .extensions = call->api->extensions,
        .now = gateway_now(call->api->gateway),
    };
}

/* Notes where a text stops to be JSON. The answer is given later, when the chunk is closed: giving
 * it may bring the next request, which writes a chunk of its own. */
static void note_place(struct ingest *ingest, const struct json_scanner *scanner)
{
    (void)snprintf(ingest->failed_detail,
                   sizeof(ingest->failed_detail),
                   "at byte %zu of %zu",
                   (size_t)(scanner->at - scanner->begin),
                   (size_t)(scanner->end - scanner->begin));
}

void ingest_admit(struct call *call,
                  struct chunk *chunk,
                  const struct event *event,
                  struct refusal *refusal)
{
    if (refusal->err == ERR_UNAVAILABLE) {
        call->ingest->exhausted = true; /* nothing is wrong with the event: the request fails */
        return;
    }
    /* A source may always speak up to now, so the look-up is for the few that are ahead. */
    if (refusal->err == OK && event->time.us > event->arrival.us &&
        event->time.us > gateway_time_limit(call->api->gateway, event->source).us) {
        *refusal = (struct refusal){.err = ERR_FUTURE,
                                    .member = BYTES("time"),
                                    .detail = "it lies further ahead than this source may speak",
                                    .id = event->id};
    }
    if (refusal->err == OK && !chunk_add(chunk, event)) {
        *refusal = (struct refusal){.err = ERR_EVENT_TOO_LARGE, .id = event->id};
    }
    if (refusal->err == OK) {
        tally_accept(&call->ingest->tally);
    } else {
        tally_refuse(&call->ingest->tally, refusal);
    }
}

enum err ingest_parse_one(struct call *call, struct bytes text, struct chunk *chunk)
{
    struct json_scanner scanner = json_scanner_of(text);
    struct event_reader reader = reader_begin(call);
    struct event event;
    struct refusal refusal;
    enum err err = event_read_json(&reader, &scanner, &event, &refusal);
    if (err == OK) {
        err = json_end(&scanner);
    }
    if (err != OK) {
        note_place(call->ingest, &scanner);
        return err;
    }
    ingest_admit(call, chunk, &event, &refusal);
    return OK;
}

enum err ingest_parse_batch(struct call *call, struct bytes text, struct chunk *chunk)
{
    struct json_scanner scanner = json_scanner_of(text);
    scanner.depth_max = JSON_DEPTH_MAX + 1; /* each event as deep as one that comes alone */
    struct event_reader reader = reader_begin(call);
    enum err err = json_array_begin(&scanner);
    if (err == ERR_WRONG_TYPE) {
        (void)snprintf(call->ingest->failed_detail, DETAIL_BYTES, "a batch is an array of events");
        return err;
    }
    bool more = err == OK;
    while (more) {
        struct event event;
        struct refusal refusal;
        err = json_array_next(&scanner, &more);
        if (err != OK || !more) {
            break;
        }
        err = event_read_json(&reader, &scanner, &event, &refusal);
        if (err != OK) {
            break;
        }
        ingest_admit(call, chunk, &event, &refusal);
    }
    if (err == OK) {
        err = json_end(&scanner);
    }
    if (err != OK) {
        note_place(call->ingest, &scanner);
    }
    return err;
}

static bool line_blank(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

static void
parse_line(struct call *call, struct event_reader *reader, struct bytes line, struct chunk *chunk)
{
    struct json_scanner scanner = json_scanner_of(line);
    struct event event;
    struct refusal refusal;
    enum err err = event_read_json(reader, &scanner, &event, &refusal);
    if (err == OK) {
        err = json_end(&scanner);
    }
    if (err != OK) {
        refusal = (struct refusal){.err = err, .detail = "the line is not one JSON text"};
    }
    ingest_admit(call, chunk, &event, &refusal);
}

void ingest_parse_lines(struct call *call, struct bytes text, struct chunk *chunk)
{
    struct event_reader reader = reader_begin(call);
    while (text.len > 0 && !call->ingest->exhausted) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        struct bytes line = bytes_slice(text, 0, len);
        size_t skip = end == NULL ? len : len + 1;
        text = bytes_slice(text, skip, text.len - skip);
        if (!line_blank(line)) {
            parse_line(call, &reader, line, chunk);
        }
    }
}
