/* Growing buffers: see grow.h. */
#include "host/grow.h"

#include <stdlib.h>

enum err buf_grow(struct buf *buf, size_t need, size_t first, size_t bytes_max)
{
    if (need <= buf->cap - buf->len) {
        return OK;
    }
    size_t cap = buf->cap == 0 ? first : buf->cap;
    while (cap - buf->len < need) {
        cap *= 2;
    }
    if (cap > bytes_max) {
        return ERR_LIMIT;
    }
    uint8_t *data = realloc(buf->data, cap);
    if (data == NULL) {
        return ERR_UNAVAILABLE;
    }
    buf->data = data;
    buf->cap = cap;
    return OK;
}
