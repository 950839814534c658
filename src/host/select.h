/* The first K rows in some order out of many, in O(n log K) and bounded memory.
 *
 * Rows are bytes appended to a buffer; each knows where in it the value stands that it is ordered
 * by. When there are twice as many as wanted, the worse half is thrown away, and from then on what
 * is worse than the K-th is not kept at all. */
#pragma once

#include "base/err.h"
#include "model/value.h"

struct selected {
    size_t offset; /* of the row in rows */
    uint32_t len;
    uint32_t order_offset; /* of its order value (value_put) in the row; 0 = none */
    int64_t window_start;
};

struct selection {
    struct buf rows;
    size_t bytes_max;
    size_t keep; /* K; SIZE_MAX: all */
    bool descending;
    bool cut_once; /* the first K entries are sorted, and the best of all so far */
    struct selected *entries;
    size_t count;
    size_t cap;
    uint64_t added; /* ever */
    enum err err;
};

void selection_init(struct selection *selection, size_t keep, bool descending, size_t bytes_max);
void selection_deinit(struct selection *selection);

/* Room for `need` bytes at the end of the rows, or NULL (selection->err is set). */
struct buf *selection_room(struct selection *selection, size_t need);

/* The bytes written since `offset` are a VALUES row (host/result.h). order_offset: where in it the
 * value stands that it is ordered by (NULLs come last); 0: by window start. Ties: by window start,
 * then by group key. */
void selection_add(struct selection *selection,
                   size_t offset,
                   int64_t window_start,
                   uint32_t order_offset);

/* Sorts, cuts to K, and gives the rows' bytes to the caller, in order. */
struct buf selection_take(struct selection *selection, uint64_t *count);
