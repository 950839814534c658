/* XXH3 behind two functions. xxHash is header-only and calls nothing, so base stays pure.
 *
 * A pair is hashed as two independent hashes under different seeds, mixed with the length of the
 * first. Short keys (a source of 15 bytes, an id of 15) then take XXH3's one-block path twice, side
 * by side in the pipeline, instead of a copy into one buffer. */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* An odd constant without pattern: keeps the second slice's seed apart from the first's. */
#define SECOND_SEED 0xa0761d6478bd642fU

uint64_t hash64(struct bytes input, uint64_t seed)
{
    return XXH3_64bits_withSeed(input.data, input.len, seed);
}

uint64_t hash64_pair(struct bytes a, struct bytes b, uint64_t seed)
{
    uint64_t first = XXH3_64bits_withSeed(a.data, a.len, seed);
    uint64_t second = XXH3_64bits_withSeed(b.data, b.len, seed ^ SECOND_SEED);
    /* Asymmetric, so that swapping the slices is another key. */
    uint64_t turned = (first << 29 | first >> 35) + a.len * 0x9e3779b97f4a7c15U;
    return hash64_mix(turned, second);
}
