/* Bump memory: one offset that only grows until the reset.
 *
 *     data           used              cap
 *      |  handed out  | pad |  block ... |
 *
 * Invariants:
 *  1. used <= cap.
 *  2. A block never overlaps another one handed out since the last reset.
 *  3. A request that does not fit changes nothing. */
#include "base/arena.h"

#include "base/check.h"

#define ARENA_ALIGN 16U

void *arena_alloc(struct arena *arena, size_t size)
{
    CHECK(arena->used <= arena->cap);
    if (arena->data == NULL) {
        return NULL;
    }
    /* The buffer itself may start anywhere, so it is the address that is aligned. */
    uintptr_t at = (uintptr_t)arena->data + arena->used;
    size_t pad = (size_t)(-at & (ARENA_ALIGN - 1));
    size_t left = arena->cap - arena->used;
    if (pad > left || size > left - pad) {
        return NULL;
    }
    uint8_t *block = arena->data + arena->used + pad;
    arena->used += pad + size;
    return block;
}

struct bytes arena_copy(struct arena *arena, struct bytes part)
{
    uint8_t *copy = arena_alloc(arena, part.len);
    if (copy == NULL) {
        return (struct bytes){.data = NULL};
    }
    if (part.len > 0) {
        memcpy(copy, part.data, part.len);
    }
    return (struct bytes){.data = copy, .len = part.len};
}
