/* The metrics of an engine: coming, going, and where their time stands. */
#pragma once

#include "core/engine.h"

/* Takes a definition on; it counts from the next record on. */
void metrics_define(struct engine *engine, const struct define *define, uint64_t frame_position);

/* Forgets a metric with all its windows. */
void metrics_drop(struct engine *engine, uint32_t id);

/* After a pulse was read: each metric's watermark, latest time and seal. */
void metrics_move(struct engine *engine);

/* How long after its time an event may still count: window and lateness of the metric that has most
 * of both; 0 without any. */
int64_t metrics_longest_reach(const struct engine *engine);
