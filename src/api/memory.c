/* Chained blocks: see memory.h.
 *
 * Invariants:
 *  1. used <= cap in every block; what was handed out never moves.
 *  2. total_bytes = sum of caps <= MEMORY_BYTES_MAX. */
#include "api/memory.h"

#include "base/check.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_BYTES 4096

struct memory_block {
    struct memory_block *next;
    size_t used;
    size_t cap;
    alignas(16) uint8_t data[];
};

static struct memory_block *block_add(struct memory *memory, size_t size)
{
    size_t cap = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    if (cap > MEMORY_BYTES_MAX - memory->total_bytes) {
        return NULL;
    }
    struct memory_block *block = malloc(sizeof(*block) + cap);
    if (block == NULL) {
        memory->exhausted = true;
        return NULL;
    }
    *block = (struct memory_block){.next = memory->blocks, .cap = cap};
    memory->blocks = block;
    memory->total_bytes += cap;
    return block;
}

void *memory_take(struct memory *memory, size_t size)
{
    if (size > MEMORY_BYTES_MAX - 15) {
        return NULL;
    }
    size_t rounded = (size + 15) & ~(size_t)15;
    struct memory_block *block = memory->blocks;
    if (block == NULL || rounded > block->cap - block->used) {
        block = block_add(memory, rounded);
        if (block == NULL) {
            return NULL;
        }
    }
    CHECK(block->used <= block->cap);
    void *at = block->data + block->used;
    block->used += rounded;
    return at;
}

struct bytes memory_copy(struct memory *memory, struct bytes part)
{
    uint8_t *copy = memory_take(memory, part.len == 0 ? 1 : part.len);
    if (copy == NULL) {
        return (struct bytes){0};
    }
    if (part.len > 0) {
        memcpy(copy, part.data, part.len);
    }
    return bytes_of(copy, part.len);
}

enum err memory_err(const struct memory *memory)
{
    return memory->exhausted ? ERR_UNAVAILABLE : ERR_LIMIT;
}

void memory_free(struct memory *memory)
{
    while (memory->blocks != NULL) {
        struct memory_block *block = memory->blocks;
        memory->blocks = block->next;
        free(block);
    }
    memory->total_bytes = 0;
}
