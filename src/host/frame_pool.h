/* The frames of a sequencer: a few of the greatest size, and many small ones.
 *
 *   large  | 0 | 1 | 2 | 3 |        what fills them holds back the log when runners fall behind
 *   small  | 4 | 5 | ...            a trickle goes on into the log while runners are at a pulse in which
 *                                   much fires
 *
 * Invariant: what fits into a small frame takes the last free large one only when no small one is free. So
 * what needs a large one waits for no more of them than if there were no small ones. */
#pragma once

#include "host/frame.h"

#define FRAMES_MAX        32
#define FRAMES_LARGE      4
#define FRAME_SMALL_BYTES ((size_t)512 * 1024)

struct frame_pool {
    struct frame *frames[FRAMES_MAX];
};

/* False when there is no memory; deinit then too. */
bool frame_pool_init(struct frame_pool *pool, size_t large_bytes);
void frame_pool_deinit(struct frame_pool *pool);

/* A free frame with room for so many bytes; NULL: none now. It stays free until the caller takes it. */
struct frame *frame_pool_find(const struct frame_pool *pool, size_t bytes);

/* A free one of the greatest size; NULL: none now. */
struct frame *frame_pool_find_large(const struct frame_pool *pool);

bool frame_pool_all_free(const struct frame_pool *pool);
