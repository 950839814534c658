/* The HTTP API of one life of the process, and a way to ask it without a network: what a client gets
 * to see, cursors and problems included.
 *
 *     web_ask ─► head, end ─► the API asks the engine ... ─► respond ─► exchange->status is set
 *
 * The API lives in the process's memory and goes with it; exchanges are the simulator's. */
#pragma once

#include "api/api.h"
#include "sim/process.h"

#define WEB_PATH_BYTES  64
#define WEB_QUERY_BYTES 320

struct web_exchange {
    char path[WEB_PATH_BYTES];
    char query[WEB_QUERY_BYTES];
    struct http_request request;
    struct http_exchange exchange;
    bool open;     /* asked, and neither answered nor given up */
    int status;    /* 0: not answered */
    uint8_t *body; /* malloc'ed */
    size_t body_len;
};

struct web {
    struct api *api; /* the process's memory; NULL: there is none */
};

/* Asks by GET for exchange->path and query; true when it is under way or answered. False: the process
 * can't be reached just now. */
bool web_ask(struct web *web, struct process *process, struct web_exchange *exchange);

/* Time has passed: the API looks after its deadlines. */
void web_tick(struct web *web);

/* The process is gone, and its API with it. Exchanges that were open stay unanswered for ever: their
 * owners reset them. */
void web_bereaved(struct web *web);

/* Forgets the answer, keeps path and query. */
void web_reset(struct web_exchange *exchange);
