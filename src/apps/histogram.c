/* Histograms: see histogram.h.
 *
 *   value < 64: bucket = value; else, with 2^e <= value < 2^(e+1): 64 * (e - 5) + the 6 bits below
 *   the highest                                                                                  */
#include "apps/histogram.h"

#include "base/check.h"

#define SUB_BITS  6
#define SUB       (1u << SUB_BITS)
#define VALUE_MAX (((uint64_t)1 << 36) - 1)

static size_t bucket_of(uint64_t value)
{
    if (value < SUB) {
        return (size_t)value;
    }
    unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
    size_t sub = (size_t)(value >> (exponent - SUB_BITS)) & (SUB - 1);
    return (size_t)SUB * (exponent - SUB_BITS + 1) + sub;
}

/* The largest value of a bucket. */
static uint64_t bucket_end(size_t bucket)
{
    if (bucket < SUB) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / SUB) - 1;
    uint64_t base = (uint64_t)(SUB + bucket % SUB) << shift;
    return base + ((uint64_t)1 << shift) - 1;
}

void histogram_add(struct histogram *histogram, int64_t value)
{
    uint64_t v = value < 0 ? 0 : (uint64_t)value;
    v = v > VALUE_MAX ? VALUE_MAX : v;
    size_t bucket = bucket_of(v);
    CHECK(bucket < HISTOGRAM_BUCKETS);
    histogram->buckets[bucket]++;
    histogram->count++;
    histogram->max = v > histogram->max ? v : histogram->max;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
    into->count += from->count;
    into->max = from->max > into->max ? from->max : into->max;
}

uint64_t histogram_percentile(const struct histogram *histogram, double part)
{
    double exact = part * (double)histogram->count;
    uint64_t rank = (uint64_t)exact;
    rank += (double)rank < exact ? 1 : 0;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank && seen > 0) {
            uint64_t end = bucket_end(i);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return 0;
}
