/* Lanes and sources as they are shown. */
#pragma once

#include "api/call.h"

/* A source with its lane: {"name", "watermark": kind, ..., "lane": {...}}. */
void source_put_json(struct out *out, const struct lane_info *info);

/* The lane alone: {"source", "watermark", "max_time", ...}. */
void lane_put_json(struct out *out, const struct lane_info *info);

/* "no event yet", "slow", "explicit", "deaf", or "". */
const char *hold_reason_text(enum hold_reason reason);

/* The lanes ordered by name (the default lane first), in the call's memory; NULL: answered. */
const struct lane_info **lanes_sorted(struct call *call, const struct inspection *inspection);
