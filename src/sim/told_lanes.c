/* Lanes, from the log alone.
 *
 *  1. A lane belongs to one source at a time, a source to one lane: its own when it is declared, else
 *     the default one.
 *  2. A pulse names lanes that exist, or (GONE) that were forgotten since the pulse before; each once.
 *     Those that are idle and live follow the clock, so it names every one.
 *
 * The watermark over several lanes, at a pulse:
 *
 *     some lane is neither final nor idle     max(before, least of these), exactly
 *     else, some lane is idle                 max(before, least of the live ones, which follow the
 *                                             clock; with none, of all idle ones); that over all
 *                                             lanes may be on its way to where the clock is
 *     all are final                           final; before it nothing is, when they no longer are
 *
 * The default lane does not hold all others back before it was heard. Whether it holds a metric that
 * chose a source of its, is open. */
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

bool told_lanes_command(struct told_lanes *told,
                        const struct lane_command *command,
                        struct finding *finding)
{
    struct told_lane *lane = &told->lanes[command->lane];
    if (!lane->exists) {
        return finding_say(
            finding, "a command to lane %u, which was not declared", (unsigned)command->lane);
    }
    lane->final = command->kind == LANE_FINISH || (lane->final && command->kind != LANE_REOPEN);
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

/* What counts of the lanes looked at so far; WATERMARK_FINAL: none. */
struct minimum {
    int64_t surely;   /* least of those that hold the others back for certain */
    int64_t perhaps;  /* least of those that may */
    int64_t by_clock; /* least of the idle ones that follow the clock */
    int64_t idle;     /* least of the idle ones */
    bool any_final;
    bool any_idle;
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void minimum_take(struct minimum *minimum, const struct told_lane *lane, bool open)
{
    const struct lane_state *state = &lane->state;
    if (lane->final) {
        minimum->any_final = true;
        return;
    }
    if ((state->flags & LANE_IDLE) != 0) {
        bool live = (state->flags & LANE_LIVE) != 0;
        minimum->any_idle = true;
        minimum->idle = earlier(minimum->idle, state->watermark);
        minimum->by_clock = live ? earlier(minimum->by_clock, state->watermark) : minimum->by_clock;
        return;
    }
    minimum->perhaps = earlier(minimum->perhaps, state->watermark);
    minimum->surely = open ? minimum->surely : earlier(minimum->surely, state->watermark);
}

static struct minimum
find_minimum(const struct told_lanes *told, const uint32_t *chosen, uint32_t chosen_count)
{
    struct minimum minimum = {.surely = WATERMARK_FINAL,
                              .perhaps = WATERMARK_FINAL,
                              .by_clock = WATERMARK_FINAL,
                              .idle = WATERMARK_FINAL};
    uint32_t count = chosen == NULL ? told->end : chosen_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = chosen == NULL ? i : chosen[i];
        const struct told_lane *lane = &told->lanes[number];
        bool heard = number != LANE_DEFAULT || lane->state.max_time != WATERMARK_NONE;
        bool open = !heard && !lane->final;
        if (lane->exists && (chosen != NULL || !open)) {
            minimum_take(&minimum, lane, open);
        }
    }
    return minimum;
}

struct time_range told_lanes_watermark(const struct told_lanes *told,
                                       const uint32_t *chosen,
                                       uint32_t chosen_count,
                                       struct time_range before)
{
    struct minimum minimum = find_minimum(told, chosen, chosen_count);
    bool none = minimum.perhaps == WATERMARK_FINAL && !minimum.any_idle;
    if (none) { /* all are final; or there is no lane yet */
        return minimum.any_final ? (struct time_range){WATERMARK_FINAL, WATERMARK_FINAL} : before;
    }
    before.low = before.high == WATERMARK_FINAL ? WATERMARK_NONE : before.low;
    before.high = before.high == WATERMARK_FINAL ? WATERMARK_NONE : before.high;
    int64_t idle = minimum.by_clock == WATERMARK_FINAL ? minimum.idle : minimum.by_clock;
    int64_t low = minimum.perhaps;
    if (low == WATERMARK_FINAL) { /* that over all lanes may not have followed the clock yet */
        low = chosen != NULL || minimum.by_clock == WATERMARK_FINAL ? idle : WATERMARK_NONE;
    }
    int64_t high = minimum.surely;
    if (high == WATERMARK_FINAL) {
        high = minimum.any_idle ? idle : minimum.any_final ? WATERMARK_FINAL : low;
    }
    return (struct time_range){later(before.low, low), later(before.high, high)};
}
