/* Rows by group: the table under every pane and window.
 *
 *   slots   | tag | ref | tag | ref | ...       open addressing, linear probing, load <= 3/4
 *                    |
 *   chunks  | row | row | row | ...             in order of arrival, freed all at once
 *   row     | revision u32 | key bytes u16 | flags u8 | 0 | accumulators | key | pad to 8 |
 *
 * A row costs 8 bytes, its accumulators and its key, and 11-21 bytes of slots. Rows never move, and
 * are walked in order of arrival: no order of a hash table ever shows.
 *
 * Invariants:
 *  1. Each row is in exactly one slot; tag = the hash's upper half, the probe starts at tag & mask.
 *  2. A ref names a chunk and an 8-byte unit in it; ref 0 is "free" (refs are stored plus one).
 *  3. row_count and the chunks' fill agree with the slots (rows_validate). */
#pragma once

#include "base/heap.h"

#define ROW_HEADER_BYTES 8
#define ROW_KEY_MAX      1024
#define ROWS_CHUNK_BYTES 65536

enum row_flags {
    ROW_OVERFLOW = 1,  /* stands for all groups that found no room */
    ROW_CORRECTED = 2, /* of a pane: holds events that correct a closed window */
};

struct row {
    uint32_t revision;
    uint16_t key_len;
    uint8_t flags;
    uint8_t zero;
    uint8_t accumulators[]; /* then the key */
};

_Static_assert(sizeof(struct row) == ROW_HEADER_BYTES, "as drawn");

struct rows_slot {
    uint32_t tag;
    uint32_t ref; /* plus one */
};

struct rows_chunk {
    uint8_t *data;
    uint32_t size;
    uint32_t used;
};

struct rows {
    struct heap *heap;
    uint32_t accumulator_bytes; /* multiple of 8 */
    uint32_t row_count;
    uint32_t slot_count; /* 0 or a power of two */
    uint32_t chunk_count;
    uint32_t chunk_cap;
    uint32_t chunk_current; /* the one being filled */
    struct rows_slot *slots;
    struct rows_chunk *chunks;
};

void rows_init(struct rows *rows, struct heap *heap, uint32_t accumulator_bytes);

/* Gives all memory back. */
void rows_deinit(struct rows *rows);

/* Empties the table and keeps (most of) its memory for the next round. */
void rows_clear(struct rows *rows);

/* `hash` must be the same function of the key on every call. */
struct row *rows_find(const struct rows *rows, struct bytes key, uint64_t hash);

/* Adds a key that rows_find did not find: accumulators zeroed; NULL when the heap is used up. */
struct row *rows_add(struct rows *rows, struct bytes key, uint64_t hash);

/* Asks the processor to fetch the slot that a look-up will touch. */
static inline void rows_prefetch(const struct rows *rows, uint64_t hash)
{
    if (rows->slot_count > 0) {
        __builtin_prefetch(&rows->slots[(uint32_t)(hash >> 32) & (rows->slot_count - 1)]);
    }
}

struct bytes row_key(const struct rows *rows, const struct row *row);

/* Walks all rows in order of arrival: start with {0}. */
struct rows_cursor {
    uint32_t chunk;
    uint32_t offset;
};

struct row *rows_next(const struct rows *rows, struct rows_cursor *cursor);

/* CHECKs the invariants; O(rows). */
void rows_validate(const struct rows *rows);
