/* Content decoding (gzip, zstd) as a stream, with a bound on what may come out. */
#pragma once

#include "base/err.h"

enum codec_kind {
    CODEC_GZIP,
    CODEC_ZSTD,
};

struct codec_ops {
    /* A decoder that gives at most output_max bytes in all and at most 100 times its input (beyond
     * the first 64 KiB); NULL on no memory. */
    void *(*open)(void *ctx, enum codec_kind kind, uint64_t output_max);

    /* Decodes some of *input (advancing it) into out (appending up to its capacity). OK: made
     * progress, call again while *input is not empty or out was filled. ERR_ENCODING: the stream is
     * broken. ERR_TOO_LARGE: a bound was passed. */
    enum err (*decode)(void *decoder, struct bytes *input, struct buf *out);

    /* The stream ended where the encoding says it ends. */
    bool (*complete)(void *decoder);

    /* Memory that the decoder holds by now; a window may be taken as late as with the first bytes. */
    size_t (*held_bytes)(const void *decoder);

    void (*close)(void *decoder);
};

struct codec_port {
    const struct codec_ops *ops;
    void *ctx;
};
