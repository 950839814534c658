/* Intake: the first tier. What an event goes through in its own partition.
 *
 *   row of a batch -> duplicate? -> for each metric: WHERE? -> late? -> its pane's accumulators
 *
 * Panes gather what came since the last pulse, one row per (metric, window, group); intake_flush
 * turns them into deltas for the shards, so a hot key costs a shard one delta per pulse, however
 * many events it has. */
#pragma once

#include "core/engine.h"

/* Applies a record of events: each row goes to its partition if the engine owns that. */
void intake_apply(struct engine *engine,
                  const struct record *record,
                  uint64_t frame_position,
                  struct applied *applied);

/* Writes this partition's panes as deltas[shard] and empties them.
 *   delta: u16 place of the metric, u64 group hash, i64 window start, string group key,
 *          u8 1 if it corrects a closed window, accumulate_put */
void intake_flush(struct engine *engine, struct partition *partition, struct deltas *deltas);

enum fate {
    FATE_COUNTED,
    FATE_LATE_CORRECTED,
    FATE_LATE_DROPPED,
};

/* What a window's standing at this watermark makes of an event (design: lateness is decided per
 * event, against the watermark in force just before it). Pure arithmetic, O(1). */
enum fate intake_fate(const struct metric *metric, int64_t window_start, int64_t watermark);

/* The start of the window that holds a time. */
int64_t intake_window_start(const struct definition *definition, int64_t time);

/* The group's key of an event: value_put of each group expression. False: it is longer than
 * ROW_KEY_MAX (such events count in the overflow row). */
bool intake_group_key(const struct definition *definition,
                      const struct event *event,
                      struct program_scratch *scratch,
                      struct buf *key);
