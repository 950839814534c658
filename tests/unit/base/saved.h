/* Saved state in memory: where a writer's bytes go, and a loader's come from. */
#pragma once

#include "base/stream.h"

/* For struct writer: `ctx` is a struct buf, which tells whether all of it fitted. */
static inline void saved_take(void *ctx, struct bytes part)
{
    buf_put_bytes(ctx, part);
}

/* For struct loader: `ctx` is a struct reader. */
static inline bool saved_give(void *ctx, void *into, size_t len)
{
    struct reader *in = ctx;
    struct bytes part = read_bytes(in, len);
    if (!in->bad && len > 0) {
        memcpy(into, part.data, len);
    }
    return !in->bad;
}
