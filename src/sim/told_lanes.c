/* Lanes, from the log alone.
 *
 *  1. A lane belongs to one source at a time, a source to one lane: its own when it is declared, else
 *     the default one.
 *  2. A pulse names lanes that exist, or (GONE) that were forgotten since the pulse before; each once.
 *
 * The watermark over several lanes, at a pulse:
 *
 *     some lane is neither final nor idle     max(before, least of these), exactly
 *     else, some lane is idle                 between before and the highest of the idle ones: live
 *                                             ones follow the clock, others stand still
 *     all are final                           final
 *
 * The default lane, as long as nothing was heard in it, may hold the others back or not. Where there
 * is no other lane it does: nothing is final because nobody said anything. */
#include "sim/told_lanes.h"

#include "sim/log_reader.h"

#include <stdlib.h>

static const struct lane_state unheard = {.watermark = WATERMARK_NONE, .max_time = WATERMARK_NONE};

bool told_lanes_init(struct told_lanes *told)
{
    *told = (struct told_lanes){.end = 1};
    told->lanes = calloc(LANES_MAX, sizeof(*told->lanes));
    if (told->lanes == NULL) {
        return false;
    }
    told->lanes[LANE_DEFAULT] =
        (struct told_lane){.exists = true, .name = BYTES("*"), .state = unheard};
    return true;
}

void told_lanes_free(struct told_lanes *told)
{
    free(told->lanes);
    told->lanes = NULL;
}

uint32_t told_lanes_of(const struct told_lanes *told, struct bytes source)
{
    for (uint32_t lane = 1; lane < told->end; lane++) {
        if (told->lanes[lane].exists && bytes_equal(told->lanes[lane].name, source)) {
            return lane;
        }
    }
    return LANE_DEFAULT;
}

bool told_lanes_source(struct told_lanes *told,
                       const struct source *source,
                       bool *renewed,
                       struct finding *finding)
{
    struct told_lane *lane = &told->lanes[source->lane];
    *renewed = lane->exists;
    if (lane->exists && !bytes_equal(lane->name, source->name)) {
        return finding_say(finding, "lane %u is given to a second source", (unsigned)source->lane);
    }
    if (!lane->exists && told_lanes_of(told, source->name) != LANE_DEFAULT) {
        return finding_say(
            finding, "lane %u is a second one of its source", (unsigned)source->lane);
    }
    if (!lane->exists) {
        *lane = (struct told_lane){.exists = true, .name = source->name, .state = unheard};
        told->end = source->lane < told->end ? told->end : source->lane + 1;
    }
    return true;
}

bool told_lanes_forget(struct told_lanes *told, uint32_t lane, struct finding *finding)
{
    if (lane == LANE_DEFAULT || !told->lanes[lane].exists) {
        return finding_say(finding, "lane %u is forgotten and was not declared", (unsigned)lane);
    }
    told->lanes[lane].exists = false;
    return true;
}

bool told_lanes_pulse(struct told_lanes *told, const struct pulse *pulse, struct finding *finding)
{
    struct reader states = reader_of(pulse->lanes);
    struct lane_state state;
    for (uint32_t lane = 0; lane < told->end; lane++) {
        told->lanes[lane].in_pulse = false;
    }
    while (pulse_next_lane(&states, &state)) {
        struct told_lane *lane = &told->lanes[state.lane];
        bool gone = (state.flags & LANE_GONE) != 0;
        if (lane->in_pulse || (state.lane != LANE_DEFAULT && state.lane >= told->end) ||
            lane->exists == gone) {
            return finding_say(finding,
                               "pulse %llu tells of lane %u, which is %s",
                               (unsigned long long)pulse->ordinal,
                               (unsigned)state.lane,
                               lane->in_pulse ? "in it twice"
                               : gone         ? "not gone"
                                              : "not declared");
        }
        lane->in_pulse = true;
        lane->state = state;
    }
    return !states.bad || finding_say(finding, "a pulse's lanes can't be read");
}

/* What counts of the lanes looked at so far. */
struct minimum {
    int64_t
        surely; /* least of those that hold the others back for certain; WATERMARK_FINAL: none */
    int64_t perhaps; /* least of those that may */
    bool any_final;
    bool any_idle;
    int64_t idle_highest;
};

static void minimum_take(struct minimum *minimum, const struct told_lane *lane, bool is_default)
{
    const struct lane_state *state = &lane->state;
    if (!lane->exists) {
        return;
    }
    if ((state->flags & LANE_FINAL) != 0) {
        minimum->any_final = true;
        return;
    }
    if ((state->flags & LANE_IDLE) != 0) {
        minimum->any_idle = true;
        if (state->watermark > minimum->idle_highest) {
            minimum->idle_highest = state->watermark;
        }
        return;
    }
    bool never_heard = is_default && state->max_time == WATERMARK_NONE;
    if (state->watermark < minimum->perhaps) {
        minimum->perhaps = state->watermark;
    }
    if (!never_heard && state->watermark < minimum->surely) {
        minimum->surely = state->watermark;
    }
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct time_range told_lanes_watermark(const struct told_lanes *told,
                                       const uint32_t *chosen,
                                       uint32_t chosen_count,
                                       struct time_range before)
{
    struct minimum minimum = {
        .surely = WATERMARK_FINAL, .perhaps = WATERMARK_FINAL, .idle_highest = WATERMARK_NONE};
    uint32_t count = chosen == NULL ? told->end : chosen_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t lane = chosen == NULL ? i : chosen[i];
        minimum_take(&minimum, &told->lanes[lane], lane == LANE_DEFAULT);
    }
    if (!minimum.any_final && !minimum.any_idle && minimum.surely == WATERMARK_FINAL) {
        minimum.surely = minimum.perhaps;
    }
    struct time_range range = {
        .low = later(before.low, minimum.perhaps),
        .high = later(before.high, minimum.surely),
    };
    if (minimum.any_idle && minimum.perhaps == WATERMARK_FINAL) {
        range.low = before.low;
    }
    if (minimum.any_idle && minimum.surely == WATERMARK_FINAL) {
        range.high = later(before.high, minimum.idle_highest);
    }
    return range;
}
