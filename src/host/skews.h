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
    struct skew *entries; /* texts in the same allocation */
};
