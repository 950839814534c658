/* Bodies: see body.h.
 *
 * Invariants:
 *  1. whole.len <= bytes_max.
 *  2. Memory follows what really arrived: a Content-Length alone reserves at most FIRST_BYTES_MAX.
 *  3. A body holds whole.cap + decoder_bytes of its budget.
 */
#include "api/body.h"

#include "base/check.h"

#include <stdlib.h>

#define FIRST_BYTES     4096
#define FIRST_BYTES_MAX (256 * 1024)

/* Counts what the decoder holds by now. */
static enum err decoder_count(struct body *body)
{
    size_t held = body->codec->held_bytes(body->decoder);
    if (held <= body->decoder_bytes) {
        return OK;
    }
    bool fits = budget_charge(body->budget, held - body->decoder_bytes);
    body->decoder_bytes = held;
    return fits ? OK : ERR_OVERLOADED;
}

static enum err decoder_open(struct body *body, struct codec_port codec, struct bytes encoding)
{
    enum codec_kind kind = CODEC_GZIP;
    if (encoding.len == 0 || http_name_equal(encoding, BYTES("identity"))) {
        return OK;
    }
    if (http_name_equal(encoding, BYTES("zstd"))) {
        kind = CODEC_ZSTD;
    } else if (!http_name_equal(encoding, BYTES("gzip")) &&
               !http_name_equal(encoding, BYTES("x-gzip"))) {
        return ERR_MEDIA_TYPE;
    }
    if (codec.ops == NULL) {
        return ERR_MEDIA_TYPE;
    }
    body->codec = codec.ops;
    body->decoder = codec.ops->open(codec.ctx, kind, body->bytes_max);
    return body->decoder == NULL ? ERR_UNAVAILABLE : decoder_count(body);
}

/* A coding on top of another, whether in one field or in several, is none that we know. */
static struct bytes content_encoding(const struct http_request *request)
{
    struct bytes found = {0};
    for (size_t i = 0; i < request->field_count; i++) {
        if (http_name_equal(request->fields[i].name, BYTES("Content-Encoding"))) {
            if (found.len > 0) {
                return BYTES("several");
            }
            found = request->fields[i].value;
        }
    }
    return found;
}

enum err body_init(struct body *body,
                   struct budget *budget,
                   struct codec_port codec,
                   const struct http_request *request,
                   uint64_t bytes_max)
{
    *body = (struct body){.bytes_max = bytes_max, .budget = budget};
    enum err err = decoder_open(body, codec, content_encoding(request));
    if (err != OK) {
        return err;
    }
    if (request->length_known && request->content_length > bytes_max) {
        return ERR_TOO_LARGE;
    }
    return OK;
}

void body_deinit(struct body *body)
{
    if (body->decoder != NULL) {
        body->codec->close(body->decoder);
    }
    if (body->budget != NULL) {
        budget_give(body->budget, body->whole.cap + body->decoder_bytes);
    }
    free(body->whole.data);
    *body = (struct body){0};
}

enum err body_take(struct body *body, struct bytes *part, struct buf *target, bool *more)
{
    size_t room = target->cap - target->len;
    *more = false;
    if (body->decoder == NULL) {
        size_t len = part->len < room ? part->len : room;
        buf_put_bytes(target, bytes_slice(*part, 0, len));
        *part = bytes_slice(*part, len, part->len - len);
        *more = part->len > 0;
        return OK;
    }
    while (target->len < target->cap) {
        size_t input_before = part->len;
        size_t output_before = target->len;
        enum err err = body->codec->decode(body->decoder, part, target);
        err = err == OK ? decoder_count(body) : err;
        if (err != OK) {
            return err;
        }
        if (part->len == input_before && target->len == output_before) {
            return part->len == 0 ? OK : ERR_ENCODING;
        }
    }
    *more = true;
    return OK;
}

static enum err whole_grow(struct body *body, uint64_t expected)
{
    struct buf *whole = &body->whole;
    uint64_t cap = whole->cap == 0 ? FIRST_BYTES : 2 * (uint64_t)whole->cap;
    if (whole->cap == 0 && expected > cap) {
        cap = expected < FIRST_BYTES_MAX ? expected : FIRST_BYTES_MAX;
    }
    cap = expected > cap && expected < 4 * cap ? expected : cap;
    /* One byte more than may be, so that passing the limit shows. */
    cap = cap > body->bytes_max + 1 ? body->bytes_max + 1 : cap;
    size_t more = (size_t)cap - whole->cap;
    if (!budget_take(body->budget, more)) {
        return ERR_OVERLOADED;
    }
    uint8_t *data = realloc(whole->data, (size_t)cap);
    if (data == NULL) {
        budget_give(body->budget, more);
        return ERR_UNAVAILABLE;
    }
    whole->data = data;
    whole->cap = (size_t)cap;
    return OK;
}

enum err body_gather(struct body *body, struct bytes part, uint64_t expected)
{
    struct buf *whole = &body->whole;
    bool more = part.len > 0;
    while (more) {
        enum err err = whole->len == whole->cap ? whole_grow(body, expected) : OK;
        if (err == OK) {
            err = body_take(body, &part, whole, &more);
        }
        if (err != OK) {
            return err;
        }
        if (whole->len > body->bytes_max) {
            return ERR_TOO_LARGE;
        }
    }
    CHECK(part.len == 0);
    return OK;
}

enum err body_finish(const struct body *body)
{
    if (body->decoder != NULL && !body->codec->complete(body->decoder)) {
        return ERR_ENCODING;
    }
    return OK;
}
