/* Bump memory with one lifetime: a request, a batch. Reset at the end; single frees don't exist. */
#pragma once

#include "base/bytes.h"

struct arena {
    uint8_t *data;
    size_t cap;
    size_t used;
};

static inline struct arena arena_of(void *data, size_t cap)
{
    return (struct arena){.data = data, .cap = cap};
}

/* 16-byte aligned, uninitialised; NULL when it does not fit. A buffer that is not aligned itself
 * loses up to 15 bytes at its start. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy of the slice; its data is NULL when it does not fit. */
struct bytes arena_copy(struct arena *arena, struct bytes part);

static inline void arena_reset(struct arena *arena)
{
    arena->used = 0;
}
