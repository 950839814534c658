/* Where time stands on the lanes that a metric or a rule has chosen, or on all. */
#pragma once

#include "core/engine.h"

struct chosen {
    int64_t watermark;
    int64_t max_time; /* latest event time over them */
    bool by_clock;    /* they are silent, and the clock speaks for one of them */
};

/* Over the lanes of these sources; none: over all. As of the last pulse; `latest` is
 * chosen_latest_time, worked out once by the caller. */
struct chosen chosen_lanes(const struct engine *engine,
                           const struct bytes *sources,
                           uint32_t source_count,
                           int64_t latest);

/* Latest event time over all lanes. */
int64_t chosen_latest_time(const struct engine *engine);
