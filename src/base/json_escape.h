/* What json_unescape and json_find share. */
#pragma once

#include "base/bytes.h"

/* Decodes the escape that starts at *at (a backslash) of a validated string content into 1-4 bytes
 * of UTF-8, moves *at behind it and returns how many. A pair of \u surrogates is one escape. */
size_t json_escape_decode(const uint8_t **at, const uint8_t *end, uint8_t out[4]);

/* The value of four hexadecimal digits of either case, or -1. */
static inline int32_t hex4_value(const uint8_t *at)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        uint8_t letter = (uint8_t)((c | 0x20) - 'a');
        uint8_t digit = (uint8_t)(c - '0');
        if (digit <= 9) {
            value = value * 16 + digit;
        } else if (letter <= 5) {
            value = value * 16 + letter + 10;
        } else {
            return -1;
        }
    }
    return value;
}

#define HIGH_SURROGATE 0xd800
#define LOW_SURROGATE  0xdc00
#define SURROGATE_END  0xe000
