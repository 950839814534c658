#include "adapters/http_server/http_buffer.h"

#include "base/check.h"

#include <stdlib.h>

#define KEPT_BYTES_MAX ((size_t)4 * 1024 * 1024)

static size_t order_bytes(size_t order)
{
    return (size_t)HTTP_BLOCK_BYTES_MIN << order;
}

/* The smallest order of at least `bytes`; HTTP_BLOCK_ORDERS when there is none. */
static size_t order_of(size_t bytes)
{
    size_t order = 0;
    while (order < HTTP_BLOCK_ORDERS && order_bytes(order) < bytes) {
        order++;
    }
    return order;
}

void http_pool_init(struct http_pool *pool, size_t limit_bytes)
{
    *pool = (struct http_pool){.limit_bytes = limit_bytes};
}

void http_pool_deinit(struct http_pool *pool)
{
    CHECK(pool->used_bytes == 0);
    for (size_t order = 0; order < HTTP_BLOCK_ORDERS; order++) {
        while (pool->free[order] != NULL) {
            void *block = pool->free[order];
            memcpy(&pool->free[order], block, sizeof(void *));
            free(block);
        }
    }
}

static uint8_t *block_take(struct http_pool *pool, size_t order)
{
    CHECK(order < HTTP_BLOCK_ORDERS);
    size_t bytes = order_bytes(order);
    if (bytes > pool->limit_bytes - pool->used_bytes) {
        return NULL;
    }
    void *block = pool->free[order];
    if (block != NULL) {
        memcpy(&pool->free[order], block, sizeof(void *));
        pool->kept_bytes -= bytes;
    } else {
        block = malloc(bytes);
    }
    pool->used_bytes += block == NULL ? 0 : bytes;
    return block;
}

static void block_give(struct http_pool *pool, uint8_t *block, size_t bytes)
{
    size_t order = order_of(bytes);
    CHECK(order_bytes(order) == bytes);
    CHECK(pool->used_bytes >= bytes);
    pool->used_bytes -= bytes;
    if (bytes > KEPT_BYTES_MAX - pool->kept_bytes) {
        free(block);
        return;
    }
    memcpy(block, &pool->free[order], sizeof(void *));
    pool->free[order] = block;
    pool->kept_bytes += bytes;
}

uint8_t *http_buffer_reserve(struct http_pool *pool, struct http_buffer *buffer, size_t extra)
{
    CHECK(buffer->start + buffer->len <= buffer->cap);
    CHECK((buffer->data == NULL) == (buffer->cap == 0));
    if (extra > order_bytes(HTTP_BLOCK_ORDERS - 1) - buffer->len) {
        return NULL;
    }
    if (buffer->data == NULL || extra > buffer->cap - buffer->len) {
        size_t order = order_of(buffer->len + extra);
        uint8_t *data = block_take(pool, order);
        if (data == NULL) {
            return NULL;
        }
        if (buffer->data != NULL) {
            memcpy(data, buffer->data + buffer->start, buffer->len);
            block_give(pool, buffer->data, buffer->cap);
        }
        *buffer = (struct http_buffer){.data = data, .len = buffer->len, .cap = order_bytes(order)};
    } else if (extra > buffer->cap - buffer->len - buffer->start) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->len);
        buffer->start = 0;
    }
    return buffer->data + buffer->start + buffer->len;
}

bool http_buffer_append(struct http_pool *pool, struct http_buffer *buffer, struct bytes part)
{
    if (part.len == 0) {
        return true;
    }
    uint8_t *at = http_buffer_reserve(pool, buffer, part.len);
    if (at == NULL) {
        return false;
    }
    memcpy(at, part.data, part.len);
    buffer->len += part.len;
    return true;
}

void http_buffer_consume(struct http_pool *pool, struct http_buffer *buffer, size_t len)
{
    CHECK(len <= buffer->len);
    buffer->start += len;
    buffer->len -= len;
    if (buffer->len == 0) {
        http_buffer_release(pool, buffer);
    }
}

void http_buffer_release(struct http_pool *pool, struct http_buffer *buffer)
{
    if (buffer->data != NULL) {
        block_give(pool, buffer->data, buffer->cap);
    }
    *buffer = (struct http_buffer){0};
}
