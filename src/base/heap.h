/* Memory for the core: an allocator inside one region that the host reserved.
 *
 * The core never calls malloc. It is handed a region (address space; pages are touched as it grows)
 * and allocates in size classes (multiples of 16 up to 64 bytes, of 64 up to 256, then four steps
 * per power of two), from free lists in front of a bump pointer: O(1), deterministic, at most 20 %
 * lost to rounding above 256 bytes. When the region is used up, alloc returns NULL and the caller
 * makes that a visible, deterministic outcome.
 *
 * Invariants:
 *  1. used_bytes = sum of the class sizes of live blocks <= limit_bytes.
 *  2. A free block's first word links to the next of its class.
 *  3. No decision depends on an address. */
#pragma once

#include "base/bytes.h"

#define HEAP_CLASSES 160

struct heap {
    uint8_t *base;
    size_t limit_bytes;
    size_t top;        /* bump offset */
    size_t used_bytes; /* by class size */
    void *free[HEAP_CLASSES];
};

/* The region must be zero-filled or not; it is 64-byte aligned and outlives the heap. */
void heap_init(struct heap *heap, void *region, size_t limit_bytes);

/* Uninitialised memory, 16-byte aligned (64 for sizes >= 64), or NULL when the limit is reached. */
void *heap_alloc(struct heap *heap, size_t size);

/* Zeroed. */
void *heap_alloc_zero(struct heap *heap, size_t size);

/* `size` must be the size that was asked for. NULL is ignored. */
void heap_free(struct heap *heap, void *block, size_t size);

/* The bytes a request of `size` really takes. */
size_t heap_class_size(size_t size);

/* What may still be asked for in one block (without the free lists). */
size_t heap_left(const struct heap *heap);

/* CHECKs the invariants, walking all free lists. For tests and the simulator. */
void heap_validate(const struct heap *heap);
