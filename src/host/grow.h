/* Buffers that grow by doubling, up to a limit: what answers are gathered in. */
#pragma once

#include "base/bytes.h"

/* Room for `need` more bytes at the buffer's end, made with realloc from `first` bytes on. False, and
 * nothing changed, when that would take more than bytes_max or there is no memory. The data is the
 * caller's to free. O(1) amortised. */
bool buf_grow(struct buf *buf, size_t need, size_t first, size_t bytes_max);
