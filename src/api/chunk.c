/* Chunks: see chunk.h. A row is never longer than the JSON it came from (its texts, and about 25
 * bytes where JSON needs 50 for names and punctuation), so one piece of memory of the text's size,
 * and CHUNK_MARGIN for headers and the last row's bound, is enough for a request.
 *
 * Invariants:
 *  1. The thread's batch writer has an open batch exactly while batch_open of the chunk being
 *     written.
 *  2. proposal.event_count = accepted.
 *  3. At most SPARES_MAX chunks, none larger than SPARE_BYTES_MAX, are kept unused.
 *  4. A chunk in use holds sizeof(struct chunk) + cap of the API's budget; a kept one nothing. */
#include "api/chunk.h"

#include "base/check.h"

#include <stdlib.h>

#define CHUNK_MARGIN    ((size_t)64 * 1024)
#define SPARES_MAX      8
#define SPARE_BYTES_MIN ((size_t)128 * 1024) /* below, malloc keeps it anyway */
#define SPARE_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define SPARE_WASTE_MAX 4

/* A kept piece of memory that fits without much waste, or NULL. What it has beyond `cap` is taken of
 * the budget here. */
static struct chunk *spare_take(struct api *api, size_t cap)
{
    for (struct chunk **link = &api->spares; *link != NULL; link = &(*link)->next) {
        struct chunk *chunk = *link;
        if (chunk->cap >= cap && chunk->cap / SPARE_WASTE_MAX <= cap &&
            budget_take(&api->held, chunk->cap - cap)) {
            *link = chunk->next;
            CHECK(api->spare_count > 0);
            api->spare_count--;
            return chunk;
        }
    }
    return NULL;
}

enum err chunk_create(struct call *call, size_t text_bytes, struct chunk **result)
{
    struct budget *held = &call->api->held;
    size_t cap = text_bytes + CHUNK_MARGIN;
    if (!budget_take(held, sizeof(struct chunk) + cap)) {
        return ERR_OVERLOADED;
    }
    struct chunk *chunk = spare_take(call->api, cap);
    if (chunk != NULL) {
        cap = chunk->cap;
    } else {
        chunk = malloc(sizeof(*chunk) + cap);
    }
    if (chunk == NULL) {
        budget_give(held, sizeof(*chunk) + cap);
        return ERR_UNAVAILABLE;
    }
    memset(chunk, 0, sizeof(*chunk));
    chunk->call = call;
    chunk->cap = cap;
    chunk->proposal.kind = PROPOSE_EVENTS;
    batch_writer_reset(call->api->writer, chunk->memory, cap);
    *result = chunk;
    return OK;
}

bool chunk_add(struct chunk *chunk, const struct event *event)
{
    struct batch_writer *writer = chunk->call->api->writer;
    if (!chunk->batch_open) {
        batch_begin(writer, event->arrival, event->time);
        chunk->batch_open = true;
    }
    if (!batch_add(writer, event)) {
        batch_end(writer);
        batch_begin(writer, event->arrival, event->time);
        if (!batch_add(writer, event)) {
            return false;
        }
    }
    chunk->accepted++;
    return true;
}

void chunk_close(struct chunk *chunk)
{
    struct batch_writer *writer = chunk->call->api->writer;
    if (chunk->batch_open) {
        batch_end(writer);
        chunk->batch_open = false;
    }
    CHECK(chunk->accepted <= UINT32_MAX);
    chunk->proposal.records = buf_bytes(&writer->out);
    chunk->proposal.event_count = (uint32_t)chunk->accepted;
}

void chunk_destroy(struct chunk *chunk)
{
    if (chunk == NULL) {
        return;
    }
    struct api *api = chunk->call->api;
    CHECK(!chunk->batch_open);
    budget_give(&api->held, sizeof(*chunk) + chunk->cap);
    bool worth = chunk->cap >= SPARE_BYTES_MIN && chunk->cap <= SPARE_BYTES_MAX;
    if (!worth || api->spare_count == SPARES_MAX) {
        free(chunk);
        return;
    }
    chunk->next = api->spares;
    api->spares = chunk;
    api->spare_count++;
}

void chunk_free_spares(struct api *api)
{
    while (api->spares != NULL) {
        struct chunk *chunk = api->spares;
        api->spares = chunk->next;
        free(chunk);
    }
    api->spare_count = 0;
}
