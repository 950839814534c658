/* UTF-8 as of RFC 3629.
 *
 *     U+0000  - U+007F     0xxxxxxx
 *     U+0080  - U+07FF     110xxxxx 10xxxxxx
 *     U+0800  - U+FFFF     1110xxxx 10xxxxxx 10xxxxxx          without U+D800-U+DFFF
 *     U+10000 - U+10FFFF   11110xxx 10xxxxxx 10xxxxxx 10xxxxxx
 *
 * Each character has one form, the shortest. */
#include "base/utf8.h"

#include "base/check.h"
#include "base/json.h"

#define HIGH_BITS 0x8080808080808080U

bool utf8_valid(struct bytes text)
{
    if (text.len == 0) {
        return true;
    }
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.len;
    while (at < end) {
        uint64_t word = 0;
        if (end - at >= 8) {
            memcpy(&word, at, sizeof(word));
            if ((word & HIGH_BITS) == 0) {
                at += 8;
                continue;
            }
        }
        size_t len = utf8_char_len(at, end);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

size_t utf8_encode(uint32_t code, uint8_t out[4])
{
    CHECK(code <= 0x10ffff);
    CHECK(code < 0xd800 || code > 0xdfff);
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}
