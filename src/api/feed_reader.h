/* A request that reads the feed: a page, a page that may be waited for, or a stream without an end.
 *
 *              asked                  nothing yet, and time left
 *     place ─────────► round ─────────────────────────────────────► PARKED
 *       ▲                │ ▲                                          │
 *       └── more ────────┘ └───────── the feed has grown ────────────┘
 *                        │ a page has items, or its time is over: answered
 *                        │ a stream: what there is goes out, then as above, until its peer goes
 *
 * A reader holds no notes: what a slow one did not take yet stays in the feed, and is asked for when
 * what was sent is taken. So a thousand slow readers cost a thousand places. */
#pragma once

#include "api/call.h"

#define FEED_WAIT_MAX_US (60 * US_PER_SECOND)

struct feed_reader {
    struct feed_place place; /* all up to here was looked at */
    bool begins;             /* no cursor was given: from the oldest note on */
    bool unknown;            /* the cursor that was given is none of this feed's */
    struct bytes type;       /* data NULL: any; a '*' at its end stands for anything */
    struct bytes subject;
    uint32_t limit;
    uint32_t taken;
    int64_t wait_until_us;
    bool again;          /* there may be more without the feed growing */
    uint64_t feed_count; /* the gateway's, as of the last question */
    int64_t asked_us;
    struct out items;
    /* Streams. */
    bool streams;
    bool streaming;         /* its head went out */
    int64_t beat_us;        /* something was sent last */
    struct feed_place told; /* the id that was sent last */
};

/* One round's outcome. */
enum feed_round {
    FEED_FULL, /* as much as was wanted */
    FEED_MORE, /* there is more, to be asked for at once */
    FEED_END,  /* this is all for now */
};

/* Begins to read, once the reader's place is set. */
void feed_reader_ask(struct call *call);

/* From time to time, while no letter is under way or a letter takes long. */
void feed_reader_tick(struct call *call, int64_t now_us);

/* The server ends: nobody waits for the feed any more. */
bool feed_reader_must_end(const struct call *call);

/* A round of a stream is in reader->items. */
void feed_stream_round(struct call *call, enum feed_round round);
void feed_stream_expired(struct call *call, struct feed_place go_on);
void feed_stream_tick(struct call *call, int64_t now_us);

/* One note as an item of a stream. */
void feed_stream_put(struct call *call, struct feed_place place, const struct note *note);

/* NULL is ignored. */
void feed_reader_destroy(struct feed_reader *reader);
