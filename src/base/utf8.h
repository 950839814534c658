/* UTF-8, one character at a time: what the scanner and utf8_valid share. */
#pragma once

#include "base/bytes.h"

/* The length of the well-formed character that starts at `at` (1-4), or 0 when there is none: stray
 * or missing continuation bytes, overlong forms, surrogates, or beyond U+10FFFF (RFC 3629 section
 * 4). */
static inline size_t utf8_char_len(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    uint8_t lead = at[0];
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2 || lead > 0xf4 || left < 2) {
        return 0;
    }
    if (lead < 0xe0) {
        return (at[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    /* The second byte's range is narrower after some leads: no overlong forms (e0, f0), no
     * surrogates (ed), nothing above U+10FFFF (f4). */
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high || left < 3 || (at[2] & 0xc0) != 0x80) {
        return 0;
    }
    if (lead < 0xf0) {
        return 3;
    }
    return left >= 4 && (at[3] & 0xc0) == 0x80 ? 4 : 0;
}

/* Writes a code point (no surrogate, <= 0x10ffff) as 1-4 bytes and returns how many. */
size_t utf8_encode(uint32_t code, uint8_t out[4]);
