/* Events on their way into the log: encoded records of one proposal, in one piece of memory. */
#pragma once

#include "api/call.h"

struct chunk {
    struct proposal proposal;
    struct call *call;
    struct chunk *next; /* for whoever keeps a list */
    uint64_t accepted;
    bool batch_open;
    size_t cap;
    uint8_t memory[];
};

/* For events that came as `text_bytes` of text. ERR_OVERLOADED: the calls hold too much already;
 * ERR_UNAVAILABLE: there is no memory. Only one chunk at a time may be written per thread (they
 * share the batch writer). */
enum err chunk_create(struct call *call, size_t text_bytes, struct chunk **result) MUST_CHECK;

/* Adds an event; its texts must live until chunk_close. False when it does not fit. */
bool chunk_add(struct chunk *chunk, const struct event *event);

/* Ends writing: fills in the proposal's records. */
void chunk_close(struct chunk *chunk);

/* The chunk must be closed. Its memory may be kept for another one. */
void chunk_destroy(struct chunk *chunk);

/* Frees what is kept. */
void chunk_free_spares(struct api *api);
