/* Chosen lanes: see chosen.h. */
#include "core/chosen.h"

int64_t chosen_latest_time(const struct engine *engine)
{
    int64_t latest = WATERMARK_NONE;
    for (uint32_t n = 0; n < engine->lane_count; n++) {
        int64_t own = engine->lanes[n].state.max_time;
        latest = own > latest ? own : latest;
    }
    return latest;
}

static int64_t lower(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The minimum over the lanes, by the rules of tide: idle ones are left out; when all are idle, those
 * count for which the clock speaks; all of them when that is none. */
struct chosen chosen_lanes(const struct engine *engine,
                           const struct bytes *sources,
                           uint32_t source_count,
                           int64_t latest)
{
    if (source_count == 0) {
        return (struct chosen){.watermark = engine->watermark, .max_time = latest};
    }
    struct chosen chosen = {.max_time = WATERMARK_NONE};
    int64_t least = WATERMARK_FINAL;
    int64_t least_idle = WATERMARK_FINAL;
    int64_t least_by_clock = WATERMARK_FINAL;
    uint32_t finals = 0;
    uint32_t idles = 0;
    for (uint32_t n = 0; n < source_count; n++) {
        const struct lane_state *lane = engine_lane_of(engine, sources[n]);
        chosen.max_time = lane->max_time > chosen.max_time ? lane->max_time : chosen.max_time;
        if ((lane->flags & LANE_FINAL) != 0) {
            finals++;
        } else if ((lane->flags & LANE_IDLE) == 0) {
            least = lower(least, lane->watermark);
        } else {
            idles++;
            least_idle = lower(least_idle, lane->watermark);
            bool live = (lane->flags & LANE_LIVE) != 0;
            least_by_clock = live ? lower(least_by_clock, lane->watermark) : least_by_clock;
        }
    }
    bool silent = idles > 0 && finals + idles == source_count;
    chosen.by_clock = silent && least_by_clock != WATERMARK_FINAL;
    int64_t of_silent = chosen.by_clock ? least_by_clock : least_idle;
    chosen.watermark = silent ? of_silent : least;
    return chosen;
}
