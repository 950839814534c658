/* CRC-32C (Castagnoli): reflected polynomial 0x82f63b78, initial value and final inversion all
 * ones.
 *
 * Two ways to the same number: the CPU's crc32 instruction, eight bytes a step, or slicing by
 * eight: the remainders of the eight bytes are looked up side by side and added.
 *
 *     crc' = T7[b0 ^ crc0] ^ T6[b1 ^ crc1] ^ T5[b2 ^ crc2] ^ T4[b3 ^ crc3] ^ T3[b4] ^ ... ^ T0[b7]
 *
 * Tk[n] is the remainder of byte n followed by k zero bytes. It is linear in n, so the tables are
 * built by the compiler from eight remainders each, those of the single bits.
 *
 * Invariants:
 *  1. crc32c(crc32c(0, a), b) = crc32c(0, a followed by b), by either way.
 *  2. `use_hardware` changes once, before there are threads. It is why this file is not part of the
 *     pure library. */
#include "base/hash.h"

#include "base/simd.h"

#define BIT(n, bit, remainder) ((((n) >> (bit)) & 1U) != 0 ? (remainder) : 0U)
#define ENTRY(n, a, b, c, d, e, f, g, h)                                                           \
    (BIT(n, 0, a) ^ BIT(n, 1, b) ^ BIT(n, 2, c) ^ BIT(n, 3, d) ^ BIT(n, 4, e) ^ BIT(n, 5, f) ^     \
     BIT(n, 6, g) ^ BIT(n, 7, h))
#define ROW_4(n, ...)                                                                              \
    ENTRY((n), __VA_ARGS__), ENTRY((n) + 1U, __VA_ARGS__), ENTRY((n) + 2U, __VA_ARGS__),           \
        ENTRY((n) + 3U, __VA_ARGS__)
#define ROW_16(n, ...)                                                                             \
    ROW_4(n, __VA_ARGS__), ROW_4((n) + 4U, __VA_ARGS__), ROW_4((n) + 8U, __VA_ARGS__),             \
        ROW_4((n) + 12U, __VA_ARGS__)
#define ROW_64(n, ...)                                                                             \
    ROW_16(n, __VA_ARGS__), ROW_16((n) + 16U, __VA_ARGS__), ROW_16((n) + 32U, __VA_ARGS__),        \
        ROW_16((n) + 48U, __VA_ARGS__)
#define TABLE(...)                                                                                 \
    {                                                                                              \
        ROW_64(0U, __VA_ARGS__), ROW_64(64U, __VA_ARGS__), ROW_64(128U, __VA_ARGS__),              \
            ROW_64(192U, __VA_ARGS__)                                                              \
    }

static const uint32_t tables[8][256] = {
    TABLE(0xf26b8303U,
          0xe13b70f7U,
          0xc79a971fU,
          0x8ad958cfU,
          0x105ec76fU,
          0x20bd8edeU,
          0x417b1dbcU,
          0x82f63b78U),
    TABLE(0x13a29877U,
          0x274530eeU,
          0x4e8a61dcU,
          0x9d14c3b8U,
          0x3fc5f181U,
          0x7f8be302U,
          0xff17c604U,
          0xfbc3faf9U),
    TABLE(0xa541927eU,
          0x4f6f520dU,
          0x9edea41aU,
          0x38513ec5U,
          0x70a27d8aU,
          0xe144fb14U,
          0xc76580d9U,
          0x8b277743U),
    TABLE(0xdd45aab8U,
          0xbf672381U,
          0x7b2231f3U,
          0xf64463e6U,
          0xe964b13dU,
          0xd725148bU,
          0xaba65fe7U,
          0x52a0c93fU),
    TABLE(0x38116facU,
          0x7022df58U,
          0xe045beb0U,
          0xc5670b91U,
          0x8f2261d3U,
          0x1ba8b557U,
          0x37516aaeU,
          0x6ea2d55cU),
    TABLE(0xef306b19U,
          0xdb8ca0c3U,
          0xb2f53777U,
          0x6006181fU,
          0xc00c303eU,
          0x85f4168dU,
          0x0e045bebU,
          0x1c08b7d6U),
    TABLE(0x68032cc8U,
          0xd0065990U,
          0xa5e0c5d1U,
          0x4e2dfd53U,
          0x9c5bfaa6U,
          0x3d5b83bdU,
          0x7ab7077aU,
          0xf56e0ef4U),
    TABLE(0x493c7d27U,
          0x9278fa4eU,
          0x211d826dU,
          0x423b04daU,
          0x847609b4U,
          0x0d006599U,
          0x1a00cb32U,
          0x34019664U),
};

static bool use_hardware;

void crc32c_init(bool hardware)
{
    use_hardware = hardware;
}

static uint32_t byte_step(uint32_t crc, uint8_t byte)
{
    return crc >> 8 ^ tables[0][(crc ^ byte) & 0xff];
}

static uint32_t crc32c_by_tables(uint32_t crc, const uint8_t *at, size_t len)
{
    for (; len >= 8; at += 8, len -= 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                              (uint32_t)at[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
              tables[0][at[7]];
    }
    for (; len > 0; at++, len--) {
        crc = byte_step(crc, *at);
    }
    return crc;
}

uint32_t crc32c(uint32_t crc, struct bytes input)
{
    crc = ~crc;
    if (use_hardware) {
        crc = crc32c_by_hardware(crc, input.data, input.len);
    } else {
        crc = crc32c_by_tables(crc, input.data, input.len);
    }
    return ~crc;
}
