/* Growable byte queues of connections, out of one bounded pool per thread.
 *
 * A queue that is empty holds no memory, so idle connections are cheap. Memory comes in powers of
 * two from 4 KiB on; some freed blocks are kept for the next.
 *
 * Invariants:
 *  1. used_bytes = sum of the capacities of all queues <= limit_bytes.
 *  2. start + len <= cap; data == NULL exactly when cap == 0; an empty queue has cap == 0 after
 *     http_buffer_consume. */
#pragma once

#include "base/bytes.h"

#define HTTP_BLOCK_BYTES_MIN 4096
#define HTTP_BLOCK_ORDERS    16 /* up to 128 MiB */

struct http_pool {
    void *free[HTTP_BLOCK_ORDERS]; /* linked through their first word */
    size_t used_bytes;
    size_t limit_bytes;
    size_t kept_bytes; /* in the free lists */
};

struct http_buffer {
    uint8_t *data;
    size_t start;
    size_t len;
    size_t cap;
};

void http_pool_init(struct http_pool *pool, size_t limit_bytes);

/* All queues must be empty. */
void http_pool_deinit(struct http_pool *pool);

static inline struct bytes http_buffer_bytes(const struct http_buffer *buffer)
{
    return bytes_of(buffer->data + buffer->start, buffer->len);
}

/* Room for `extra` more bytes behind the last one, moving what is there if need be: where to write
 * them, or NULL when the pool's limit or the memory is used up. The caller then adds to len. */
uint8_t *http_buffer_reserve(struct http_pool *pool, struct http_buffer *buffer, size_t extra);

/* False when there is no room: nothing happened. The part must not lie in the buffer itself. */
bool http_buffer_append(struct http_pool *pool, struct http_buffer *buffer, struct bytes part);

/* Forgets the first `len` bytes; gives the memory back when none is left. */
void http_buffer_consume(struct http_pool *pool, struct http_buffer *buffer, size_t len);

/* Empties it. */
void http_buffer_release(struct http_pool *pool, struct http_buffer *buffer);
