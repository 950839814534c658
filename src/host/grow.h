/* Buffers that grow by doubling, up to a limit: what answers are gathered in. */
#pragma once

#include "base/err.h"

/* Room for `need` more bytes at the buffer's end, made with realloc from `first` bytes on. ERR_LIMIT
 * when that would take more than bytes_max, ERR_UNAVAILABLE when there is no memory: nothing changed.
 * The data is the caller's to free. O(1) amortised. */
enum err buf_grow(struct buf *buf, size_t need, size_t first, size_t bytes_max) MUST_CHECK;
