/* malloc and its kin, wrapped.
 *
 *     block:  base ... | struct header (64 bytes) | what the caller has
 *
 * Every block has a header, also those that belong to the simulator itself, since free() can't know
 * otherwise. The process's are in a ring. */
#include "sim/memory.h"

#include "base/check.h"

#include <errno.h>
#include <string.h>

#define HEADER_BYTES 64
#define MAGIC        0x6d656d6f72793031u
#define FREED        0x66726565642121u

struct header {
    struct header *next; /* NULL: not the process's */
    struct header *previous;
    void *base;
    size_t bytes;
    uint64_t magic;
};

_Static_assert(sizeof(struct header) <= HEADER_BYTES, "it fits");

/* The linker's names for the real ones and for ours; they can't be called otherwise. */
void *__real_malloc(size_t bytes);
void __real_free(void *memory);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void __wrap_free(void *memory);

static struct header ring = {.next = &ring, .previous = &ring};
static bool of_process;
static size_t held; /* bytes of the process */
static uint64_t fail_after = UINT64_MAX;
static uint64_t failures;

static struct header *header_of(void *memory)
{
    struct header *header = (struct header *)(void *)((uint8_t *)memory - HEADER_BYTES);
    CHECK(header->magic == MAGIC);
    return header;
}

static bool refused(void)
{
    if (!of_process || fail_after == UINT64_MAX || fail_after-- > 0) {
        return false;
    }
    fail_after = UINT64_MAX;
    failures++;
    errno = ENOMEM;
    return true;
}

static void *make(size_t alignment, size_t bytes)
{
    if (bytes > SIZE_MAX / 2 || refused()) {
        return NULL;
    }
    size_t before = alignment > HEADER_BYTES ? alignment : HEADER_BYTES;
    uint8_t *base =
        alignment > HEADER_BYTES
            ? __real_aligned_alloc(alignment,
                                   (before + bytes + alignment - 1) / alignment * alignment)
            : __real_aligned_alloc(
                  HEADER_BYTES, (before + bytes + HEADER_BYTES - 1) / HEADER_BYTES * HEADER_BYTES);
    if (base == NULL) {
        return NULL;
    }
    struct header *header = (struct header *)(void *)(base + before - HEADER_BYTES);
    *header = (struct header){.base = base, .bytes = bytes, .magic = MAGIC};
    if (of_process) {
        header->next = &ring;
        header->previous = ring.previous;
        ring.previous->next = header;
        ring.previous = header;
        held += bytes;
    }
    return base + before;
}

void *__wrap_malloc(size_t bytes)
{
    return make(HEADER_BYTES, bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    if (bytes > 0 && count > SIZE_MAX / 2 / bytes) {
        errno = ENOMEM;
        return NULL;
    }
    void *memory = make(HEADER_BYTES, count * bytes);
    if (memory != NULL) {
        memset(memory, 0, count * bytes);
    }
    return memory;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return make(alignment, bytes);
}

void __wrap_free(void *memory)
{
    if (memory == NULL) {
        return;
    }
    struct header *header = header_of(memory);
    header->magic = FREED;
    if (header->next != NULL) {
        header->next->previous = header->previous;
        header->previous->next = header->next;
        held -= header->bytes;
    }
    __real_free(header->base);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    void *moved = make(HEADER_BYTES, bytes);
    if (memory == NULL || moved == NULL) {
        return moved;
    }
    size_t old = header_of(memory)->bytes;
    memcpy(moved, memory, old < bytes ? old : bytes);
    __wrap_free(memory);
    return moved;
}

bool memory_switch(bool to_process)
{
    bool before = of_process;
    of_process = to_process;
    return before;
}

void memory_drop_all(void)
{
    while (ring.next != &ring) {
        __wrap_free((uint8_t *)ring.next + HEADER_BYTES);
    }
    CHECK(held == 0);
    fail_after = UINT64_MAX;
}

void memory_fail_after(uint64_t count)
{
    fail_after = count;
}

uint64_t memory_failures(void)
{
    return failures;
}

size_t memory_held_bytes(void)
{
    return held;
}
