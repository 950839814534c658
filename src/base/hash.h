/* Hashes: XXH3-64 with a seed (xxHash is header-only and pure), and CRC-32C.
 *
 * Attackers choose what is hashed, so every table takes a seed that is drawn once, logged, and
 * never shown (design: hash flooding must have no effect, replays must agree). */
#pragma once

#include "base/bytes.h"

/* XXH3 64 bits of the bytes under the seed. Same on every machine. */
uint64_t hash64(struct bytes input, uint64_t seed);

/* XXH3 64 bits of two slices as one key: (a, b) and (a', b') collide only by chance, whatever the
 * border between them (the length of a is part of the key). */
uint64_t hash64_pair(struct bytes a, struct bytes b, uint64_t seed);

/* Mixes a number into a hash (for keys such as group + pane). */
static inline uint64_t hash64_mix(uint64_t hash, uint64_t value)
{
    uint64_t x = (hash ^ value) * 0x9e3779b97f4a7c15U;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93U;
    return x ^ (x >> 32);
}

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), continued from `crc` (0 to begin). Uses SSE4.2 where
 * crc32c_init() found it, else tables; both give the same. */
uint32_t crc32c(uint32_t crc, struct bytes input);

/* Chooses the implementation; called once at start, before any thread. `hardware` = the CPU has it.
 */
void crc32c_init(bool hardware);
