/* What the simulated disk's faults are drawn from, and counted in. */
#pragma once

#include "sim/choice.h"
#include "sim/disk.h"

struct sim_luck {
    struct choice *choice;
    struct sim_disk_weather weather;
    uint64_t counts[FAULT_KINDS];
};

/* Whether the fault strikes now. Draws nothing where the weather says never. Counts nothing either:
 * that is for who knows that it had an effect. */
static inline bool
luck_strikes(struct sim_luck *luck, enum choice_stream stream, enum disk_fault fault)
{
    uint32_t times = luck->weather.once_in[fault];
    return times > 0 && choose_once_in(luck->choice, stream, times);
}

static inline void luck_count(struct sim_luck *luck, enum disk_fault fault)
{
    luck->counts[fault]++;
}
