/* The same log in other batches: its events cut anew into batches of another size, each with the
 * watermark that was in force, and applied by one engine of its own. How events were gathered into
 * requests and frames must not show in any value. */
#pragma once

#include "core/engine.h"
#include "sim/history.h"

struct recut {
    struct engine *engine;
    struct engine *owners[PARTITIONS_MAX];
    void *regions[2 * PARTITIONS_MAX + 2];
    uint32_t region_count;
};

/* Applies the whole history in batches of at most `batch_rows`. */
void recut_apply(struct recut *recut,
                 const struct history *history,
                 const struct engine_limits *limits,
                 uint32_t batch_rows);
void recut_free(struct recut *recut);
