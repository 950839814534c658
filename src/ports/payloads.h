/* What is told of the memory of keys and data of timeouts, part of which lies on disk (adapters/spill_file). */
#pragma once

#include "base/bytes.h"

struct payload_stats {
    uint64_t memory_bytes;  /* in memory, as last looked at */
    uint64_t written_bytes; /* to the disk, since the start */
    uint64_t failures;      /* writes that failed: what they were to write stayed in memory */
};

struct payload_port {
    struct payload_stats (*stats)(const void *ctx); /* any thread; NULL: nothing leaves memory */
    const void *ctx;
};
