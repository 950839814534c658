/* What the feed must tell of episodes of HOLD, from the records of the log: a run of pulses that give
 * reasons for HOLD is an episode. The first of its pulses at which it has lasted for more than a second,
 * or the process had stood still before, and at which something waits by the event clock, is told; and
 * the first one behind an episode that was told. Both stand in partition 0, before all that fires. */
#pragma once

#include "model/rule.h"
#include "sim/oracle_timeouts.h"

#define LAGGING_KEY UINT32_MAX /* of a heard note: the engine, no timeout */

struct lagging_model {
    uint32_t rules[RULES_MAX]; /* ids of those by the event clock */
    uint32_t rule_count;
    bool open; /* an episode goes on */
    bool told;
    int64_t since;
    uint32_t why;
};

/* RECORD_RULE or RECORD_RULE_DROP; false: it can't be read. */
bool lagging_rule(struct lagging_model *model, const struct record *record);

/* A pulse, before it fires anything; `pending`: explicit timeouts by events. */
void lagging_pulse(struct lagging_model *model,
                   const struct pulse *pulse,
                   uint64_t position,
                   size_t pending,
                   struct expected_timeouts *expected);
