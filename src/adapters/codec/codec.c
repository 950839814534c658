/* gzip and zstd behind one face, with the bounds that keep a small request from becoming a large
 * one.
 *
 *   input ──► inflate / ZSTD_decompressStream ──► out
 *                           │
 *                           └─ output > output_max, or > 64 KiB + 100 * input: ERR_TOO_LARGE
 *
 * Invariants:
 *  1. output_bytes counts everything that was ever handed out; it never passes output_max.
 *  2. `ended` is true exactly between the end of a gzip member or zstd frame and the next byte of
 *     input (both formats may be concatenated: RFC 1952 2.2, RFC 8878 3.1).
 *  3. zstd windows are at most 8 MiB (RFC 9659), so a decoder's memory is bounded. */
#include "adapters/codec/codec.h"

#include "base/check.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define RATIO_MAX       100
#define RATIO_FREE      (64 * 1024)
#define GZIP_WINDOW     (15 + 16) /* 32 KiB, gzip framing */
#define ZSTD_WINDOW_LOG 23
#define GZIP_BYTES      (48 * 1024) /* state and window, as zlib.h and zconf.h tell it, rounded up */

struct decoder {
    enum codec_kind kind;
    uint64_t output_max;
    uint64_t input_bytes;
    uint64_t output_bytes;
    bool ended;
    z_stream gzip;
    ZSTD_DCtx *zstd;
};

static bool gzip_open(struct decoder *decoder)
{
    return inflateInit2(&decoder->gzip, GZIP_WINDOW) == Z_OK;
}

static bool zstd_open(struct decoder *decoder)
{
    decoder->zstd = ZSTD_createDCtx();
    if (decoder->zstd == NULL) {
        return false;
    }
    size_t rc = ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
    CHECK(!ZSTD_isError(rc));
    return true;
}

static void *codec_open(void *ctx, enum codec_kind kind, uint64_t output_max)
{
    (void)ctx;
    struct decoder *decoder = calloc(1, sizeof(*decoder));
    if (decoder == NULL) {
        return NULL;
    }
    decoder->kind = kind;
    decoder->output_max = output_max;
    bool opened = kind == CODEC_GZIP ? gzip_open(decoder) : zstd_open(decoder);
    if (!opened) {
        free(decoder);
        return NULL;
    }
    return decoder;
}

/* Takes some of input and fills some of [at, at + *room): *room becomes what was written. */
static enum err gzip_step(struct decoder *decoder, struct bytes *input, uint8_t *at, size_t *room)
{
    z_stream *z = &decoder->gzip;
    if (decoder->ended && input->len > 0) {
        int reset = inflateReset(z);
        CHECK(reset == Z_OK);
        decoder->ended = false;
    }
    uInt give = input->len > UINT_MAX ? UINT_MAX : (uInt)input->len;
    uInt take = *room > UINT_MAX ? UINT_MAX : (uInt)*room;
    /* zlib's interface has no const, but inflate only reads. */
    z->next_in = (Bytef *)(uintptr_t)input->data;
    z->avail_in = give;
    z->next_out = at;
    z->avail_out = take;
    int rc = inflate(z, Z_NO_FLUSH);
    size_t used = give - z->avail_in;
    *input = bytes_slice(*input, used, input->len - used);
    *room = take - z->avail_out;
    if (rc == Z_STREAM_END) {
        decoder->ended = true;
        return OK;
    }
    /* Z_BUF_ERROR: nothing to do for now, not a failure. */
    return rc == Z_OK || rc == Z_BUF_ERROR ? OK : ERR_ENCODING;
}

static enum err zstd_step(struct decoder *decoder, struct bytes *input, uint8_t *at, size_t *room)
{
    ZSTD_inBuffer in = {.src = input->data, .size = input->len};
    ZSTD_outBuffer out = {.dst = at, .size = *room};
    if (input->len > 0) {
        decoder->ended = false;
    }
    size_t rc = ZSTD_decompressStream(decoder->zstd, &out, &in);
    if (ZSTD_isError(rc)) {
        return ERR_ENCODING;
    }
    *input = bytes_slice(*input, in.pos, input->len - in.pos);
    *room = out.pos;
    if (rc == 0) {
        decoder->ended = true;
    }
    return OK;
}

/* How much may still come out, given what went in. */
static uint64_t allowance(const struct decoder *decoder)
{
    uint64_t by_ratio = UINT64_MAX;
    if (decoder->input_bytes < (UINT64_MAX - RATIO_FREE) / RATIO_MAX) {
        by_ratio = RATIO_FREE + decoder->input_bytes * RATIO_MAX;
    }
    uint64_t bound = by_ratio < decoder->output_max ? by_ratio : decoder->output_max;
    return bound > decoder->output_bytes ? bound - decoder->output_bytes : 0;
}

static enum err codec_decode(void *opened, struct bytes *input, struct buf *out)
{
    struct decoder *decoder = opened;
    CHECK(!out->overflow);
    size_t room = out->cap - out->len;
    if (decoder->ended && input->len == 0) {
        return OK;
    }
    size_t before = input->len;
    enum err err = decoder->kind == CODEC_GZIP
                       ? gzip_step(decoder, input, out->data + out->len, &room)
                       : zstd_step(decoder, input, out->data + out->len, &room);
    if (err != OK) {
        return err;
    }
    decoder->input_bytes += before - input->len;
    if (room > allowance(decoder)) {
        return ERR_TOO_LARGE;
    }
    decoder->output_bytes += room;
    CHECK(decoder->output_bytes <= decoder->output_max);
    out->len += room;
    return OK;
}

static bool codec_complete(void *opened)
{
    const struct decoder *decoder = opened;
    return decoder->ended;
}

static size_t codec_held_bytes(const void *opened)
{
    const struct decoder *decoder = opened;
    size_t held = decoder->kind == CODEC_GZIP ? GZIP_BYTES : ZSTD_sizeof_DCtx(decoder->zstd);
    return sizeof(*decoder) + held;
}

static void codec_close(void *opened)
{
    struct decoder *decoder = opened;
    if (decoder == NULL) {
        return;
    }
    if (decoder->kind == CODEC_GZIP) {
        (void)inflateEnd(&decoder->gzip);
    } else {
        (void)ZSTD_freeDCtx(decoder->zstd);
    }
    free(decoder);
}

struct codec_port codec_port(void)
{
    static const struct codec_ops ops = {
        .open = codec_open,
        .decode = codec_decode,
        .complete = codec_complete,
        .held_bytes = codec_held_bytes,
        .close = codec_close,
    };
    return (struct codec_port){.ops = &ops};
}
