/* Shard: the second tier. Owns the windows of the groups that hash to it.
 *
 * At a pulse it takes the deltas of all intakes in the order of partitions, then moves its time.
 * A window's standing follows from the metric's watermark W:
 *
 *      open ---- W >= end ----> closed ---- W >= end + lateness ----> final ---- retain ----> gone
 *                               late deltas: revision + 1              nothing changes it
 */
#pragma once

#include "core/engine.h"

/* Merges one intake's deltas into this partition's windows. */
void shard_apply(struct engine *engine, struct partition *partition, struct bytes deltas);

/* After the engine's time moved: drops what is beyond its retention. */
void shard_move(struct engine *engine, struct partition *partition);

/* Lowers *due to what this partition waits for: the next window's end, or end and lateness. */
void shard_next_due(const struct engine *engine,
                    const struct partition *partition,
                    struct engine_due *due);

/* First window of a part that starts at or after `start`. */
uint32_t shard_window_from(const struct metric_part *part, int64_t start);

/* What rate() divides by in this window: its size, or, while it is open, the event time that has
 * passed in it so far (at least a second). */
int64_t window_span_us(const struct metric *metric, int64_t start);
