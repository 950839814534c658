/* The core's memory: size classes in front of a bump pointer.
 *
 *     class  0  1  2  3 |  4    5    6  |  7    8    9   10 | 11 ...
 *     bytes 16 32 48 64 | 128  192  256 | 320  384  448  512 | 640 768 896 1024 | ...
 *
 * Up to 64 bytes the classes are multiples of 16, up to 256 multiples of 64 (a block of a cache
 * line or more begins on one), above that four steps per power of two.
 *
 *     base                              top                    limit_bytes
 *      | live and free blocks, no gaps   |  never touched        |
 *
 * Invariants (heap_validate):
 *  1. used_bytes = sum of the class sizes of live blocks <= limit_bytes.
 *  2. used_bytes + bytes on free lists = top: alignment gaps go to the free lists as blocks.
 *  3. A free block's first word links to the next of its class; blocks keep their class for ever.
 *  4. No decision depends on an address. */
#include "base/heap.h"

#include "base/check.h"

#define LINE_BYTES    64U
#define GRAIN_BYTES   16U
#define STEPPED_BYTES 256U /* above: four steps per power of two */
#define STEPPED_CLASS 7U   /* the first class above STEPPED_BYTES */

struct heap_class {
    uint32_t index;
    size_t bytes;
};

static size_t round_up(size_t size, size_t grain)
{
    return (size + (grain - 1)) & ~(grain - 1);
}

static struct heap_class class_of(size_t size)
{
    if (size <= LINE_BYTES) {
        size_t bytes = size == 0 ? GRAIN_BYTES : round_up(size, GRAIN_BYTES);
        return (struct heap_class){.index = (uint32_t)(bytes / GRAIN_BYTES) - 1, .bytes = bytes};
    }
    if (size <= STEPPED_BYTES) {
        size_t bytes = round_up(size, LINE_BYTES);
        return (struct heap_class){.index = (uint32_t)(bytes / LINE_BYTES) + 2, .bytes = bytes};
    }
    CHECK(size <= SIZE_MAX / 4);
    /* 2^power < size <= 2^(power + 1), cut into four steps. */
    uint32_t power = 63U - (uint32_t)__builtin_clzll((unsigned long long)size - 1);
    size_t step = (size_t)1 << (power - 2);
    size_t bytes = round_up(size, step);
    uint32_t nth = (uint32_t)((bytes - ((size_t)1 << power)) / step); /* 1-4 */
    return (struct heap_class){.index = STEPPED_CLASS + 4 * (power - 8) + nth - 1, .bytes = bytes};
}

static void *link_of(const void *block)
{
    void *next = NULL;
    memcpy(&next, block, sizeof(next));
    return next;
}

static void list_push(struct heap *heap, uint32_t index, void *block)
{
    memcpy(block, &heap->free[index], sizeof(heap->free[index]));
    heap->free[index] = block;
}

static void *list_pop(struct heap *heap, uint32_t index)
{
    void *block = heap->free[index];
    void *next = link_of(block);
    if (next != NULL) {
        __builtin_prefetch(next, 1); /* it holds the link that the next pop reads */
    }
    heap->free[index] = next;
    return block;
}

void heap_init(struct heap *heap, void *region, size_t limit_bytes)
{
    CHECK(region != NULL);
    CHECK((uintptr_t)region % LINE_BYTES == 0);
    *heap = (struct heap){.base = region, .limit_bytes = limit_bytes / GRAIN_BYTES * GRAIN_BYTES};
}

/* Raises top to a line; the gap of 16, 32 or 48 bytes is a block of its own. */
static void align_top(struct heap *heap)
{
    size_t gap = round_up(heap->top, LINE_BYTES) - heap->top;
    if (gap > 0) {
        list_push(heap, class_of(gap).index, heap->base + heap->top);
        heap->top += gap;
    }
}

static void *bump(struct heap *heap, size_t bytes)
{
    size_t begin = bytes >= LINE_BYTES ? round_up(heap->top, LINE_BYTES) : heap->top;
    if (begin > heap->limit_bytes || bytes > heap->limit_bytes - begin) {
        return NULL;
    }
    if (begin > heap->top) {
        align_top(heap);
    }
    CHECK(heap->top == begin);
    heap->top += bytes;
    return heap->base + begin;
}

void *heap_alloc(struct heap *heap, size_t size)
{
    if (size > heap->limit_bytes) {
        return NULL;
    }
    struct heap_class class = class_of(size);
    CHECK(class.index < HEAP_CLASSES);
    void *block = NULL;
    if (heap->free[class.index] != NULL) {
        block = list_pop(heap, class.index);
    } else {
        block = bump(heap, class.bytes);
    }
    if (block != NULL) {
        heap->used_bytes += class.bytes;
        CHECK(heap->used_bytes <= heap->top);
    }
    return block;
}

void *heap_alloc_zero(struct heap *heap, size_t size)
{
    void *block = heap_alloc(heap, size);
    if (block != NULL) {
        memset(block, 0, size);
    }
    return block;
}

void heap_free(struct heap *heap, void *block, size_t size)
{
    if (block == NULL) {
        return;
    }
    CHECK(size <= heap->limit_bytes);
    struct heap_class class = class_of(size);
    size_t offset = (size_t)((uint8_t *)block - heap->base);
    CHECK(offset < heap->top);
    CHECK(class.bytes <= heap->top - offset);
    CHECK(offset % (class.bytes >= LINE_BYTES ? LINE_BYTES : GRAIN_BYTES) == 0);
    CHECK(heap->used_bytes >= class.bytes);
    list_push(heap, class.index, block);
    heap->used_bytes -= class.bytes;
}

size_t heap_class_size(size_t size)
{
    return class_of(size).bytes;
}

/* The largest class size <= room. */
static size_t class_floor(size_t room)
{
    if (room <= LINE_BYTES) {
        return room / GRAIN_BYTES * GRAIN_BYTES;
    }
    if (room <= STEPPED_BYTES) {
        return room / LINE_BYTES * LINE_BYTES;
    }
    uint32_t power = 63U - (uint32_t)__builtin_clzll((unsigned long long)room);
    size_t step = (size_t)1 << (power - 2);
    return room / step * step;
}

size_t heap_left(const struct heap *heap)
{
    size_t line = round_up(heap->top, LINE_BYTES);
    if (line < heap->limit_bytes && heap->limit_bytes - line >= LINE_BYTES) {
        return class_floor(heap->limit_bytes - line);
    }
    /* Less than a line is left at a line's start; small blocks may still fit before it. */
    size_t rest = heap->limit_bytes - heap->top;
    return rest < LINE_BYTES ? class_floor(rest) : LINE_BYTES - GRAIN_BYTES;
}

/* The bytes on one free list; each block is checked to lie in the used part of the region. */
static size_t list_bytes(const struct heap *heap, uint32_t index, size_t class_bytes)
{
    size_t total = 0;
    for (const void *block = heap->free[index]; block != NULL; block = link_of(block)) {
        CHECK((const uint8_t *)block >= heap->base);
        size_t offset = (size_t)((const uint8_t *)block - heap->base);
        CHECK(offset < heap->top);
        CHECK(class_bytes <= heap->top - offset);
        total += class_bytes;
        CHECK(total <= heap->top); /* a list that runs in a circle ends here */
    }
    return total;
}

void heap_validate(const struct heap *heap)
{
    CHECK(heap->top <= heap->limit_bytes);
    CHECK(heap->used_bytes <= heap->top);
    size_t free_bytes = 0;
    size_t class_bytes = GRAIN_BYTES;
    for (uint32_t index = 0; index < HEAP_CLASSES; index++) {
        CHECK(class_of(class_bytes).index == index);
        free_bytes += list_bytes(heap, index, class_bytes);
        class_bytes = class_of(class_bytes + 1).bytes; /* the next class begins one byte further */
    }
    CHECK(heap->used_bytes + free_bytes == heap->top);
}
