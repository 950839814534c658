/* The only place of base that knows the CPU: two loops that are worth its special instructions,
 * each beside a portable twin of the same meaning (tests compare them). */
#pragma once

#include "base/bytes.h"

/* True for a byte that ends a plain run in a JSON string: '"', '\\', a control character, or one of
 * a multi-byte character. */
static inline bool byte_is_special(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\' || byte >= 0x80;
}

/* The first special byte in [at, end), or end. */
static inline const uint8_t *plain_end_portable(const uint8_t *at, const uint8_t *end)
{
    while (at < end && !byte_is_special(*at)) {
        at++;
    }
    return at;
}

/* The CRC-32C register (without the inversions) after `len` more bytes, one bit at a time. */
static inline uint32_t crc32c_by_bits(uint32_t crc, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0x82f63b78U & (0U - (crc & 1U)));
        }
    }
    return crc;
}

#ifdef __x86_64__
#include <nmmintrin.h>

/* The same as plain_end_portable, 16 bytes a step. As signed bytes, those from 0x80 are negative,
 * so one comparison with 0x20 finds control characters and multi-byte characters alike. */
static inline const uint8_t *plain_end(const uint8_t *at, const uint8_t *end)
{
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    while (end - at >= 16) {
        __m128i block = _mm_loadu_si128((const void *)at);
        __m128i special = _mm_or_si128(
            _mm_cmplt_epi8(block, space),
            _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask != 0) {
            return at + __builtin_ctz(mask);
        }
        at += 16;
    }
    return plain_end_portable(at, end);
}

/* The same as crc32c_by_bits by the crc32 instruction: 8 bytes in 3 cycles. Only called where
 * crc32c_init was told that the CPU has it. */
__attribute__((target("sse4.2"))) static inline uint32_t
crc32c_by_hardware(uint32_t crc, const uint8_t *at, size_t len)
{
    uint64_t state = crc;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word = 0;
        memcpy(&word, at, sizeof(word));
        state = _mm_crc32_u64(state, word);
    }
    uint32_t narrow = (uint32_t)state;
    for (; len > 0; at++, len--) {
        narrow = _mm_crc32_u8(narrow, *at);
    }
    return narrow;
}
#else
static inline const uint8_t *plain_end(const uint8_t *at, const uint8_t *end)
{
    return plain_end_portable(at, end);
}

static inline uint32_t crc32c_by_hardware(uint32_t crc, const uint8_t *at, size_t len)
{
    return crc32c_by_bits(crc, at, len);
}
#endif
