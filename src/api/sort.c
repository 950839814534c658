/* Bottom-up merging: runs of 1, 2, 4, ... items, from one array into the other and back. */
#include "api/sort.h"

#include <string.h>

static void merge(const void **from,
                  const void **to,
                  const size_t bounds[3],
                  sort_compare compare,
                  const void *ctx)
{
    size_t a = bounds[0];
    size_t b = bounds[1];
    for (size_t i = bounds[0]; i < bounds[2]; i++) {
        /* On equality the left one first: that is what makes it stable. */
        if (a < bounds[1] && (b == bounds[2] || compare(from[a], from[b], ctx) <= 0)) {
            to[i] = from[a++];
        } else {
            to[i] = from[b++];
        }
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void sort_stable(
    const void **items, const void **scratch, size_t count, sort_compare compare, const void *ctx)
{
    const void **from = items;
    const void **to = scratch;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            const size_t bounds[3] = {
                start, least(start + width, count), least(start + 2 * width, count)};
            merge(from, to, bounds, compare, ctx);
        }
        const void **swap = from;
        from = to;
        to = swap;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof(*items));
    }
}
