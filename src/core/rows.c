/* Rows by group: see rows.h for the layout and the invariants. */
#include "core/rows.h"

#include "base/check.h"

#define SLOTS_MIN         8
#define CHUNK_FIRST_BYTES 512
#define UNIT              8
#define CHUNK_SHIFT       13 /* units in the largest chunk: 64 KiB / 8 */

_Static_assert(ROWS_CHUNK_BYTES / UNIT == 1 << CHUNK_SHIFT, "a ref's low part names any unit");

void rows_init(struct rows *rows, struct heap *heap, uint32_t accumulator_bytes)
{
    CHECK(accumulator_bytes % UNIT == 0);
    *rows = (struct rows){.heap = heap, .accumulator_bytes = accumulator_bytes};
}

void rows_deinit(struct rows *rows)
{
    for (uint32_t n = 0; n < rows->chunk_count; n++) {
        heap_free(rows->heap, rows->chunks[n].data, rows->chunks[n].size);
    }
    heap_free(rows->heap, rows->chunks, rows->chunk_cap * sizeof(struct rows_chunk));
    heap_free(rows->heap, rows->slots, rows->slot_count * sizeof(struct rows_slot));
    rows_init(rows, rows->heap, rows->accumulator_bytes);
}

void rows_clear(struct rows *rows)
{
    if (rows->row_count == 0) {
        return;
    }
    if (rows->slot_count > 1024 && rows->row_count < rows->slot_count / 16) {
        rows_deinit(rows); /* a burst is over: don't sweep its large table for ever */
        return;
    }
    for (uint32_t n = 0; n <= rows->chunk_current; n++) {
        rows->chunks[n].used = 0;
    }
    rows->chunk_current = 0;
    rows->row_count = 0;
    memset(rows->slots, 0, rows->slot_count * sizeof(struct rows_slot));
}

static uint32_t row_bytes(const struct rows *rows, size_t key_len)
{
    return (uint32_t)((ROW_HEADER_BYTES + rows->accumulator_bytes + key_len + UNIT - 1) &
                      ~(size_t)(UNIT - 1));
}

static struct row *row_at(const struct rows *rows, uint32_t ref)
{
    uint32_t chunk = ref >> CHUNK_SHIFT;
    uint32_t offset = (ref & ((1u << CHUNK_SHIFT) - 1)) * UNIT;
    CHECK(chunk < rows->chunk_count);
    return (struct row *)(void *)(rows->chunks[chunk].data + offset);
}

struct bytes row_key(const struct rows *rows, const struct row *row)
{
    return bytes_of(row->accumulators + rows->accumulator_bytes, row->key_len);
}

struct row *rows_find(const struct rows *rows, struct bytes key, uint64_t hash)
{
    if (rows->slot_count == 0) {
        return NULL;
    }
    uint32_t tag = (uint32_t)(hash >> 32);
    uint32_t mask = rows->slot_count - 1;
    for (uint32_t at = tag & mask; rows->slots[at].ref != 0; at = (at + 1) & mask) {
        if (rows->slots[at].tag == tag) {
            struct row *row = row_at(rows, rows->slots[at].ref - 1);
            if (bytes_equal(row_key(rows, row), key)) {
                return row;
            }
        }
    }
    return NULL;
}

static void slot_put(struct rows_slot *slots, uint32_t mask, struct rows_slot slot)
{
    uint32_t at = slot.tag & mask;
    while (slots[at].ref != 0) {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

static bool slots_grow(struct rows *rows)
{
    uint32_t count = rows->slot_count == 0 ? SLOTS_MIN : rows->slot_count * 2;
    struct rows_slot *slots = heap_alloc_zero(rows->heap, count * sizeof(struct rows_slot));
    if (slots == NULL) {
        return false;
    }
    for (uint32_t n = 0; n < rows->slot_count; n++) {
        if (rows->slots[n].ref != 0) {
            slot_put(slots, count - 1, rows->slots[n]);
        }
    }
    heap_free(rows->heap, rows->slots, rows->slot_count * sizeof(struct rows_slot));
    rows->slots = slots;
    rows->slot_count = count;
    return true;
}

/* Half of what there is, so that no more than a third is ever unused; at least the row. */
static uint32_t chunk_bytes(const struct rows *rows, uint32_t need)
{
    uint64_t total = 0;
    for (uint32_t n = rows->chunk_count; n-- > 0 && total < 2 * (uint64_t)ROWS_CHUNK_BYTES;) {
        total += rows->chunks[n].size;
    }
    uint32_t size = total / 2 < ROWS_CHUNK_BYTES ? (uint32_t)(total / 2) : ROWS_CHUNK_BYTES;
    size = size > need ? size : need;
    size = (size + CHUNK_FIRST_BYTES - 1) / CHUNK_FIRST_BYTES * CHUNK_FIRST_BYTES;
    return size < ROWS_CHUNK_BYTES ? size : ROWS_CHUNK_BYTES;
}

/* Appends an empty chunk, larger than the one before, up to the full size. */
static bool chunk_add(struct rows *rows, uint32_t need)
{
    if (rows->chunk_count == rows->chunk_cap) {
        uint32_t cap = rows->chunk_cap == 0 ? 4 : rows->chunk_cap * 2;
        struct rows_chunk *chunks = heap_alloc(rows->heap, cap * sizeof(struct rows_chunk));
        if (chunks == NULL) {
            return false;
        }
        if (rows->chunk_count > 0) {
            memcpy(chunks, rows->chunks, rows->chunk_count * sizeof(struct rows_chunk));
        }
        heap_free(rows->heap, rows->chunks, rows->chunk_cap * sizeof(struct rows_chunk));
        rows->chunks = chunks;
        rows->chunk_cap = cap;
    }
    uint32_t size = chunk_bytes(rows, need);
    uint8_t *data = heap_alloc(rows->heap, size);
    if (data == NULL) {
        return false;
    }
    rows->chunks[rows->chunk_count++] = (struct rows_chunk){.data = data, .size = size};
    return true;
}

/* Where a row of `size` bytes goes: in the current chunk or the next one that has room. */
static bool room_find(struct rows *rows, uint32_t size)
{
    while (true) {
        while (rows->chunk_current < rows->chunk_count) {
            const struct rows_chunk *chunk = &rows->chunks[rows->chunk_current];
            if (size <= chunk->size - chunk->used) {
                return true;
            }
            if (rows->chunk_current + 1 == rows->chunk_count) {
                break;
            }
            rows->chunk_current++;
        }
        if (!chunk_add(rows, size)) {
            return false;
        }
    }
}

struct row *rows_add(struct rows *rows, struct bytes key, uint64_t hash)
{
    CHECK(key.len <= ROW_KEY_MAX + 8);
    uint32_t size = row_bytes(rows, key.len);
    CHECK(size <= ROWS_CHUNK_BYTES);
    bool full = (uint64_t)(rows->row_count + 1) * 4 > (uint64_t)rows->slot_count * 3;
    if ((full && !slots_grow(rows)) || !room_find(rows, size)) {
        return NULL;
    }
    struct rows_chunk *chunk = &rows->chunks[rows->chunk_current];
    struct row *row = (struct row *)(void *)(chunk->data + chunk->used);
    uint32_t ref = (rows->chunk_current << CHUNK_SHIFT) | (chunk->used / UNIT);
    chunk->used += size;
    memset(row, 0, size);
    row->key_len = (uint16_t)key.len;
    if (key.len > 0) {
        memcpy(row->accumulators + rows->accumulator_bytes, key.data, key.len);
    }
    struct rows_slot slot = {.tag = (uint32_t)(hash >> 32), .ref = ref + 1};
    slot_put(rows->slots, rows->slot_count - 1, slot);
    rows->row_count++;
    return row;
}

struct row *rows_next(const struct rows *rows, struct rows_cursor *cursor)
{
    while (cursor->chunk < rows->chunk_count) {
        const struct rows_chunk *chunk = &rows->chunks[cursor->chunk];
        if (cursor->offset < chunk->used) {
            struct row *row = (struct row *)(void *)(chunk->data + cursor->offset);
            cursor->offset += row_bytes(rows, row->key_len);
            return row;
        }
        cursor->chunk++;
        cursor->offset = 0;
    }
    return NULL;
}

void rows_validate(const struct rows *rows)
{
    uint32_t in_slots = 0;
    for (uint32_t n = 0; n < rows->slot_count; n++) {
        in_slots += rows->slots[n].ref != 0;
    }
    CHECK(in_slots == rows->row_count);
    uint32_t in_chunks = 0;
    struct rows_cursor cursor = {0};
    for (struct row *row = rows_next(rows, &cursor); row != NULL; row = rows_next(rows, &cursor)) {
        CHECK(row->zero == 0);
        in_chunks++;
    }
    CHECK(in_chunks == rows->row_count);
    CHECK((uint64_t)rows->row_count * 4 <= (uint64_t)rows->slot_count * 3);
}
