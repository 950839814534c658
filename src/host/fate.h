/* What became of one event: worked out from the kept log, on demand.
 *
 * A fate is judged as the intake judged it. For that the definitions, lanes and pulses of the log
 * are followed in an engine that owns no partition: it has all of an engine's shared part (metrics,
 * their watermarks and seals, lanes) and none of its state per event.
 *
 * Definitions and declarations that lie before the kept log are not seen; metrics of today that do
 * are given to fate_begin. That an event could not be told from a repetition (older than the
 * deduplication remembers) is not known here: the late stream has it. */
#pragma once

#include "core/engine.h"
#include "host/inspection.h"

struct fate_search;

/* A search over the log from `oldest` on; NULL on no memory. */
struct fate_search *fate_begin(const struct metric_info *metrics, size_t count, uint64_t oldest);
void fate_end(struct fate_search *search);

/* Each record but events, in the order of the log. */
void fate_follow(struct fate_search *search, const struct record *record, uint64_t frame_position);

/* The fates of an event at this place: calls tell(ctx, name, fate text, window start) per metric.
 */
void fate_tell(struct fate_search *search,
               const struct event *event,
               int64_t watermark,
               void (*tell)(void *ctx, struct bytes name, const char *fate, int64_t window_start),
               void *ctx);
