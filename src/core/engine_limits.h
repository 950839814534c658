/* What an engine may take. The host sets it; the same for every engine of a directory, and the counts
 * decide what is answered, so they should not change from start to start without need. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct engine_limits {
    uint32_t partitions;
    uint64_t seed;
    size_t dedup_bytes; /* per partition */
    int64_t dedup_horizon_us;
    size_t late_bytes;       /* late stream, per partition */
    uint32_t timeouts_max;   /* pending explicit timeouts, per partition */
    uint32_t timeouts_ended; /* remembered ones, per partition; 0 counts as 1 */
    size_t timeouts_bytes;   /* both, per partition */
    size_t timeouts_cold;    /* their cold parts, where they have memory of their own; else 0 */
    size_t feed_bytes;       /* notes that readers may come back for, per partition */
    int64_t feed_keep_us;
    size_t watch_bytes;   /* what rules keep of keys, signals and instances, per partition */
    uint32_t watch_ended; /* ended instances of rules that are remembered, per partition */
};
