/* What the parts of POST /v1/events share: one request's state while its events are on their way.
 *
 *   whole body:  gather ─► parse all ─► one chunk ─► answer when it is durable (lines with a key, too)
 *   lines:       input ─► every MiB, parse its complete lines ─► a chunk, at most four under way
 *                └─ full or too many under way: pause, and keep what came in `stash` */
#pragma once

#include "api/chunk.h"
#include "api/event_json.h"
#include "api/tally.h"

#define LINE_BYTES_MAX (EVENT_BYTES_MAX + 64 * 1024)

enum ingest_form {
    INGEST_ONE,    /* application/cloudevents+json */
    INGEST_BATCH,  /* application/cloudevents-batch+json */
    INGEST_LINES,  /* application/x-ndjson */
    INGEST_BINARY, /* ce-* headers */
};

struct ingest {
    enum ingest_form form;
    bool streams; /* lines that are taken as they come */
    bool wants_applied;
    struct tally tally;
    struct memory texts; /* of the events being parsed: unescaped, decoded */
    uint32_t chunks;     /* under way, `blocked` included */
    bool exhausted;      /* there was no memory for an event: the request fails as a whole */
    enum err failed;     /* the first chunk that was not taken: why */
    char failed_detail[DETAIL_BYTES];
    uint64_t lost; /* events of chunks that failed */
    bool proposed; /* at least one chunk is durable: as_of, duplicates and late count */
    uint64_t as_of;
    uint64_t duplicates;
    uint64_t late;
    /* Binary mode. */
    struct event event; /* its attributes; the data comes from the body */
    bool data_is_json;
    bool data_is_text;
    struct buf attributes;       /* its encoded extensions */
    struct refusal head_refusal; /* what is wrong with the headers, told when the body is there */
    /* Lines. */
    struct buf input; /* decoded text from the first byte that is not parsed yet */
    bool skipping;    /* inside of a line that is too long */
    bool paused;
    bool ended;
    bool more;        /* the decoder may hold text back */
    struct buf stash; /* encoded bytes that came while nothing could be taken */
    size_t stash_at;
    struct chunk *blocked; /* refused as too much for now: tried again at each tick */
    struct clock_time blocked_since;
};

/* Parses `text` into the chunk, counting in the tally. An error is the whole frame's; its words are
 * in failed_detail, and the caller answers with them. */
enum err ingest_parse_one(struct call *call, struct bytes text, struct chunk *chunk) MUST_CHECK;
enum err ingest_parse_batch(struct call *call, struct bytes text, struct chunk *chunk) MUST_CHECK;
void ingest_parse_lines(struct call *call, struct bytes text, struct chunk *chunk);

/* Binary mode: reads the headers; then makes the event with the body as data. */
bool binary_mode(const struct http_request *request);
void binary_head(struct call *call, const struct http_request *request);
void binary_parse(struct call *call, struct bytes body, struct chunk *chunk);

/* Checks what needs the engine's facts (time in the future) and adds the event, or counts it as
 * refused. */
void ingest_admit(struct call *call,
                  struct chunk *chunk,
                  const struct event *event,
                  struct refusal *refusal);

/* Closes the chunk and proposes it; an empty one is dropped. The call may be gone already. */
void ingest_send(struct call *call, struct chunk *chunk);

/* Answers when everything is known: the body has ended and no chunk is under way. */
void ingest_maybe_answer(struct call *call);

/* Lines: takes what can be taken now. */
void lines_feed(struct call *call, struct bytes part);
void lines_end(struct call *call);
void lines_gone(struct call *call);
void lines_tick(struct call *call);
void lines_chunk_back(struct call *call);
