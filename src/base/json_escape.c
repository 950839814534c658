/* Strings into JSON and out of it.
 *
 *     \" \\ \/ \b \f \n \r \t          one byte
 *     \uXXXX                           a character of the basic plane
 *     \uD8XX-\uDBXX \uDCXX-\uDFXX      a pair: one character above U+FFFF
 *
 * Invariants:
 *  1. An escape is never shorter than what it stands for, so unescaping fits into content.len
 * bytes.
 *  2. Decoding trusts the scanner: a broken escape here is a bug, not bad input. */
#include "base/json_escape.h"

#include "base/check.h"
#include "base/json.h"
#include "base/simd.h"
#include "base/utf8.h"

/* "\uXXXX" at `at`: its number, checked. */
static uint32_t unit_at(const uint8_t *at, const uint8_t *end)
{
    CHECK(end - at >= 6);
    CHECK(at[0] == '\\' && at[1] == 'u');
    int32_t unit = hex4_value(at + 2);
    CHECK(unit >= 0);
    return (uint32_t)unit;
}

static size_t decode_unicode(const uint8_t **at, const uint8_t *end, uint8_t out[4])
{
    uint32_t code = unit_at(*at, end);
    *at += 6;
    if (code >= HIGH_SURROGATE && code < LOW_SURROGATE) {
        uint32_t low = unit_at(*at, end);
        CHECK(low >= LOW_SURROGATE && low < SURROGATE_END);
        *at += 6;
        code = 0x10000 + ((code - HIGH_SURROGATE) << 10) + (low - LOW_SURROGATE);
    }
    return utf8_encode(code, out);
}

static uint8_t decode_letter(uint8_t letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        CHECK(letter == '"' || letter == '\\' || letter == '/');
        return letter;
    }
}

size_t json_escape_decode(const uint8_t **at, const uint8_t *end, uint8_t out[4])
{
    CHECK(end - *at >= 2);
    CHECK((*at)[0] == '\\');
    if ((*at)[1] == 'u') {
        return decode_unicode(at, end, out);
    }
    out[0] = decode_letter((*at)[1]);
    *at += 2;
    return 1;
}

/* Where the next backslash is, or end. */
static const uint8_t *backslash_find(const uint8_t *at, const uint8_t *end)
{
    at = plain_end(at, end);
    while (at < end && *at != '\\') {
        at = plain_end(at + 1, end);
    }
    return at;
}

void json_unescape(struct bytes content, struct buf *out)
{
    if (content.len == 0) {
        return;
    }
    const uint8_t *at = content.data;
    const uint8_t *end = content.data + content.len;
    while (at < end) {
        const uint8_t *stop = backslash_find(at, end);
        buf_put(out, at, (size_t)(stop - at));
        at = stop;
        if (at < end) {
            uint8_t decoded[4];
            size_t len = json_escape_decode(&at, end, decoded);
            buf_put(out, decoded, len);
        }
    }
}

static void escape_put(struct buf *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    /* Indexed by control character; 0 = only the long form. */
    static const uint8_t letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (byte >= 0x20) {
        buf_put(out, (uint8_t[]){'\\', byte}, 2);
        return;
    }
    if (letters[byte] != 0) {
        buf_put(out, (uint8_t[]){'\\', letters[byte]}, 2);
        return;
    }
    buf_put_text(out, "\\u00");
    buf_put_u8(out, (uint8_t)digits[byte >> 4]);
    buf_put_u8(out, (uint8_t)digits[byte & 0xf]);
}

void json_put_string(struct buf *out, struct bytes text)
{
    buf_put_u8(out, '"');
    const uint8_t *at = text.data;
    const uint8_t *end = text.len == 0 ? text.data : text.data + text.len;
    while (at < end) {
        const uint8_t *stop = plain_end(at, end);
        while (stop < end && *stop >= 0x80) {
            stop = plain_end(stop + 1, end);
        }
        buf_put(out, at, (size_t)(stop - at));
        at = stop;
        if (at < end) {
            escape_put(out, *at);
            at++;
        }
    }
    buf_put_u8(out, '"');
}
