/* Memory with the life of a request: texts that had to be decoded or copied. Chained blocks, freed
 * together. Bounded by MEMORY_BYTES_MAX. */
#pragma once

#include "base/err.h"

#define MEMORY_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct memory_block;

struct memory {
    struct memory_block *blocks; /* the newest first */
    size_t total_bytes;
    bool exhausted; /* the machine had none, as opposed to MEMORY_BYTES_MAX */
};

/* 16-byte aligned, uninitialised; NULL when there is none. */
void *memory_take(struct memory *memory, size_t size);

/* A copy; data is NULL when there is no memory (never for an empty slice). */
struct bytes memory_copy(struct memory *memory, struct bytes part);

/* Why there was none: ERR_UNAVAILABLE (the machine has no more just now) or ERR_LIMIT. */
enum err memory_err(const struct memory *memory);

void memory_free(struct memory *memory);
