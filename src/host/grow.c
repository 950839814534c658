/* Growing buffers: see grow.h. */
#include "host/grow.h"

#include <stdlib.h>

bool buf_grow(struct buf *buf, size_t need, size_t first, size_t bytes_max)
{
    if (need <= buf->cap - buf->len) {
        return true;
    }
    size_t cap = buf->cap == 0 ? first : buf->cap;
    while (cap - buf->len < need) {
        cap *= 2;
    }
    uint8_t *data = cap > bytes_max ? NULL : realloc(buf->data, cap);
    if (data == NULL) {
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}
