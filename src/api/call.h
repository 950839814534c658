/* One request on its way through the API, and the API of one thread around it.
 *
 *     head ──► READING ──end──► handler ──ask──► WAITING ──letter comes back──► answer
 *                 │                                 │
 *                 └──────────── gone ───────────────┘ then the call lives on, unanswerable, until
 * its last letter is back
 *
 * Invariants:
 *  1. exchange is NULL exactly when the call was answered or its peer is gone.
 *  2. A call is freed in call_settle alone: unanswerable and with no letter under way. Every entry
 *     from outside (server callbacks, letters, ticks) ends with it, so handlers may answer and go
 * on.
 *  3. Everything lent to a letter lives in the call, and so until the letter is back.
 *  4. A call is answered at most once.
 *  5. When its peer is gone nothing more is done for it, unless its answer is to be kept (idempotency.h). */
#pragma once

#include "api/body.h"
#include "api/host_rules.h"
#include "api/if_match.h"
#include "api/memory.h"
#include "api/out.h"
#include "api/params.h"
#include "api/pressure.h"
#include "host/gateway.h"
#include "model/batch.h"
#include "ports/codec.h"
#include "ports/http.h"

struct chunk;
struct ingest;
struct route;
struct script;
struct timeout_write;
struct timeout_batch;
struct timeout_page;
struct feed_reader;
struct idempotency;

struct api {
    struct gateway *gateway;
    struct codec_port codec;
    struct host_rules hosts;
    struct budget held; /* by all calls: bodies and chunks */
    const char *version;
    struct http_server_port server;
    struct call *calls;      /* all that live, the newest first, but for those of the feed */
    struct call *feed_calls; /* those that read the feed and may wait long */
    uint64_t feed_count;     /* the gateway's, as of the last look at them */
    int64_t feed_looked_us;
    bool draining;               /* nobody waits for the feed any more */
    size_t open;                 /* those that can still be answered */
    struct out out;              /* the answer that is being written */
    struct batch_writer *writer; /* for the request that is being parsed */
    struct buf extensions;       /* of the event that is being parsed */
    struct pressure pressure;
    struct chunk *spares; /* memory of former chunks, kept against page faults */
    uint32_t spare_count;
};

struct call {
    struct call *next;
    struct call *previous;
    struct call **list; /* the one of api that it stands in */
    struct api *api;
    struct http_exchange *exchange;
    const struct route *route;
    enum http_method method;
    struct bytes name; /* the decoded {name} of the path */
    struct if_match if_match;
    struct bytes if_none_match;
    bool is_json; /* a body of SQL is wrapped: {"sql": ...} */
    struct params params;
    struct memory memory;
    struct body body;
    struct clock_time started;
    bool reading;                    /* the body has not ended yet */
    uint32_t letters;                /* under way */
    bool decided;                    /* a proposal came back */
    void (*then)(struct call *call); /* when the letter that was asked last comes back */
    struct proposal *proposal;
    struct inspection *inspection;
    struct query *query;
    struct scan *scan;
    struct ingest *ingest;               /* POST /v1/events */
    struct script *script;               /* POST /v1/sql */
    struct timeout_write *timeout_write; /* a command on a timeout; in `memory` */
    struct timeout_batch *timeout_batch; /* POST /v1/timeouts:batch */
    struct timeout_page *timeout_page;   /* GET /v1/timeouts */
    struct feed_reader *feed_reader;     /* GET /v1/notifications */
    struct idempotency *idempotency;     /* a write with an Idempotency-Key */
};

/* NULL when there is no memory. */
struct call *call_create(struct api *api, struct http_exchange *exchange);

/* Frees the call if nothing can happen to it any more. The last act of every entry from outside. */
void call_settle(struct call *call);

/* From now on it stands in this list of the API's. */
void call_move(struct call *call, struct call **list);

/* True until it was answered or its peer went away. */
static inline bool call_open(const struct call *call)
{
    return call->exchange != NULL;
}

/* The same, or its answer is to be kept for those who repeat the request. */
bool call_wanted(const struct call *call);

/* --- Answers --- */

#define ANSWER_FIELDS_MAX 10

struct answer {
    int status;
    bool close;
    size_t field_count;
    struct http_field fields[ANSWER_FIELDS_MAX];
    uint8_t texts[256]; /* values that were made for this answer */
    size_t texts_len;
};

void answer_init(struct answer *answer, int status, const char *content_type);

/* The value is borrowed until the answer was sent. */
void answer_field(struct answer *answer, const char *name, struct bytes value);

/* Tidemark-As-Of: the position, as reads take it for min_as_of. */
void answer_as_of(struct answer *answer, uint64_t position);

/* ETag: "number" and ETag: "16 hexadecimal digits". */
void answer_version_tag(struct answer *answer, uint64_t version);
void answer_hash_tag(struct answer *answer, uint64_t hash);

/* Sends it with api->out as its body, or keeps both and sends them later. A body that did not fit becomes
 * a problem instead. */
void call_answer(struct call *call, struct answer *answer);

/* 200 with api->out as JSON. */
void call_answer_json(struct call *call);

/* An answer that goes on: its head, parts of it (the result: how many bytes wait for the peer), its
 * end. */
void call_stream_begin(struct call *call, const struct answer *answer);
size_t call_stream_push(struct call *call, struct bytes part);
void call_stream_end(struct call *call);

/* --- Questions to the engine --- */

/* The call's letter of that kind, zeroed; NULL (and the call answered) when there is no memory.
 * What a former one held is freed. */
struct proposal *call_proposal(struct call *call, enum proposal_kind kind);
struct inspection *call_inspection(struct call *call, enum inspection_kind kind);
struct query *call_query(struct call *call, enum query_kind kind);
struct scan *call_scan(struct call *call, enum scan_kind kind);

/* Sends it off; `then` runs when it is back, unless nobody waits for the answer any more. A refusal
 * of the gateway is answered at once. */
void call_propose(struct call *call, void (*then)(struct call *call));
void call_inspect(struct call *call, void (*then)(struct call *call));
void call_ask_runners(struct call *call, void (*then)(struct call *call));

/* The same without an answer to a refusal: its result is the gateway's. */
enum err call_try_runners(struct call *call, void (*then)(struct call *call)) MUST_CHECK;
void call_ask_log(struct call *call, void (*then)(struct call *call));
