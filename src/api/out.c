/* Growing text: see out.h.
 *
 * Invariants:
 *  1. buf.len <= buf.cap <= OUT_BYTES_MAX.
 *  2. After an overflow the text is not sent: whoever sends checks buf.overflow. */
#include "api/out.h"

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "model/clock.h"

#include <stdlib.h>

#define OUT_BYTES_FIRST 4096
#define OUT_BYTES_KEPT  ((size_t)1024 * 1024)
#define NUMBER_BYTES    48

void out_free(struct out *out)
{
    free(out->buf.data);
    *out = (struct out){0};
}

void out_clear(struct out *out)
{
    if (out->buf.cap > OUT_BYTES_KEPT) {
        out_free(out);
    }
    out->buf.len = 0;
    out->buf.overflow = false;
}

bool out_room(struct out *out, size_t need)
{
    struct buf *buf = &out->buf;
    CHECK(buf->len <= buf->cap);
    if (buf->overflow) {
        return false;
    }
    if (need <= buf->cap - buf->len) {
        return true;
    }
    size_t cap = buf->cap == 0 ? OUT_BYTES_FIRST : buf->cap * 2;
    if (need > OUT_BYTES_MAX - buf->len) {
        buf->overflow = true;
        return false;
    }
    cap = cap < buf->len + need ? buf->len + need : cap;
    cap = cap > OUT_BYTES_MAX ? OUT_BYTES_MAX : cap;
    uint8_t *data = realloc(buf->data, cap);
    if (data == NULL) {
        buf->overflow = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void out_bytes(struct out *out, struct bytes part)
{
    if (out_room(out, part.len)) {
        buf_put_bytes(&out->buf, part);
    }
}

void out_text(struct out *out, const char *text)
{
    out_bytes(out, bytes_of_string(text));
}

void out_char(struct out *out, char c)
{
    if (out_room(out, 1)) {
        buf_put_u8(&out->buf, (uint8_t)c);
    }
}

void out_u64(struct out *out, uint64_t value)
{
    if (out_room(out, NUMBER_BYTES)) {
        u64_put(&out->buf, value);
    }
}

void out_i64(struct out *out, int64_t value)
{
    if (out_room(out, NUMBER_BYTES)) {
        i64_put(&out->buf, value);
    }
}

void out_bool(struct out *out, bool value)
{
    out_text(out, value ? "true" : "false");
}

void out_string(struct out *out, struct bytes text)
{
    if (text.len > OUT_BYTES_MAX / 6) {
        out->buf.overflow = true;
        return;
    }
    if (out_room(out, 6 * text.len + 2)) {
        json_put_string(&out->buf, text);
    }
}

void out_string_text(struct out *out, const char *text)
{
    out_string(out, bytes_of_string(text));
}

void out_comma(struct out *out)
{
    const struct buf *buf = &out->buf;
    if (buf->len == 0) {
        return;
    }
    uint8_t last = buf->data[buf->len - 1];
    if (last != '{' && last != '[' && last != ',') {
        out_char(out, ',');
    }
}

void out_member(struct out *out, const char *name)
{
    out_comma(out);
    out_string_text(out, name);
    out_char(out, ':');
}

void out_time(struct out *out, int64_t us)
{
    out_char(out, '"');
    if (out_room(out, NUMBER_BYTES)) {
        timestamp_put(&out->buf, us);
    }
    out_char(out, '"');
}

void out_duration(struct out *out, int64_t us)
{
    out_char(out, '"');
    if (out_room(out, NUMBER_BYTES)) {
        duration_put(&out->buf, us);
    }
    out_char(out, '"');
}

void out_watermark(struct out *out, int64_t us)
{
    /* The core's arithmetic on watermarks may leave the years that text can show. */
    if (us < TIMESTAMP_MIN_US || us >= TIMESTAMP_END_US) {
        out_text(out, "null");
    } else {
        out_time(out, us);
    }
}

void hex64_put(uint8_t digits[HEX64_BYTES], uint64_t value)
{
    static const char alphabet[] = "0123456789abcdef";
    for (size_t i = 0; i < HEX64_BYTES; i++) {
        digits[i] = (uint8_t)alphabet[value >> (60 - 4 * i) & 15];
    }
}
