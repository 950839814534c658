/* How far in the future each source may speak: told to all network threads on every change. */
#pragma once

#include "host/letter.h"

struct skew {
    struct bytes source;
    int64_t max_future_skew_us;
};

struct skews {
    struct letter letter;
    int64_t default_us;
    size_t count;
    struct skew *entries; /* texts and slots in the same allocation */
    uint32_t *slots;      /* the taker's: source hash -> entry + 1; all 0, more than 2 * count */
    uint32_t slot_mask;
};

struct tide;

/* All skews for one thread, in one allocation so that the taker needs no memory; the taker's to free.
 * NULL when there is none. */
struct skews *skews_copy(const struct tide *tide);
