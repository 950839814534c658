/* The pool of frames: see frame_pool.h. */
#include "host/frame_pool.h"

#include "host/post.h"

#include <stdlib.h>

#define FRAME_ALIGN 4096

static struct frame *frame_create(size_t bytes)
{
    struct frame *frame = calloc(1, sizeof(*frame));
    if (frame == NULL) {
        return NULL;
    }
    frame->letter.kind = LETTER_FRAME;
    frame->letter.from = POST_SEQUENCER;
    frame->free = true;
    frame->log.capacity = bytes;
    frame->log.data = aligned_alloc(FRAME_ALIGN, frame->log.capacity);
    if (frame->log.data == NULL) {
        free(frame);
        return NULL;
    }
    return frame;
}

bool frame_pool_init(struct frame_pool *pool, size_t large_bytes)
{
    *pool = (struct frame_pool){0};
    size_t small_bytes = large_bytes < FRAME_SMALL_BYTES ? large_bytes : FRAME_SMALL_BYTES;
    for (uint32_t n = 0; n < FRAMES_MAX; n++) {
        pool->frames[n] = frame_create(n < FRAMES_LARGE ? large_bytes : small_bytes);
        if (pool->frames[n] == NULL) {
            return false;
        }
    }
    return true;
}

void frame_pool_deinit(struct frame_pool *pool)
{
    for (uint32_t n = 0; n < FRAMES_MAX; n++) {
        if (pool->frames[n] != NULL) {
            free(pool->frames[n]->log.data);
            free(pool->frames[n]);
        }
    }
}

struct frame *frame_pool_find(const struct frame_pool *pool, size_t bytes)
{
    struct frame *found = NULL;
    for (uint32_t n = 0; n < FRAMES_MAX; n++) {
        struct frame *frame = pool->frames[n];
        if (!frame->free || bytes > frame->log.capacity - LOG_FRAME_HEADER) {
            continue;
        }
        if (found != NULL) {
            /* Two large ones: either may go. Else `found` may be the last, and a small one will do. */
            return n < FRAMES_LARGE ? found : frame;
        }
        found = frame;
    }
    return found;
}

struct frame *frame_pool_find_large(const struct frame_pool *pool)
{
    for (uint32_t n = 0; n < FRAMES_LARGE; n++) {
        if (pool->frames[n]->free) {
            return pool->frames[n];
        }
    }
    return NULL;
}

bool frame_pool_all_free(const struct frame_pool *pool)
{
    for (uint32_t n = 0; n < FRAMES_MAX; n++) {
        if (!pool->frames[n]->free) {
            return false;
        }
    }
    return true;
}
