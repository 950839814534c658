/* Many durations, in little memory, exact to 1.6 %: 64 buckets for each power of two. */
#pragma once

#include "base/bytes.h"

#define HISTOGRAM_BUCKETS (64 * 32)

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Values from 0; those of 2^36 and above count as that. */
void histogram_add(struct histogram *histogram, int64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value of rank ceil(part * count); part in (0, 1]. 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *histogram, double part);
