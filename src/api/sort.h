/* A stable merge sort of pointers: the same order on every machine. */
#pragma once

#include <stddef.h>

/* < 0, 0, > 0 as usual. */
typedef int (*sort_compare)(const void *a, const void *b, const void *ctx);

/* scratch: as many places as items. O(n log n). */
void sort_stable(
    const void **items, const void **scratch, size_t count, sort_compare compare, const void *ctx);
