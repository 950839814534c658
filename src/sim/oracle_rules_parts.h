/* What the two halves of the judge of rules share: notes (oracle_rules.c), and instances as they were
 * shown (oracle_instances.c). */
#pragma once

#include "sim/oracle_timeouts.h"
#include "sim/rule_model.h"

/* A key of a rule, between a definition and the drop that ends it. */
struct rule_key {
    uint32_t rule;
    uint32_t key;
    struct rule_life life;
    size_t first_pulse; /* of the rule */
};

/* An instance is known by its start: the first one of its time. NULL: there is no further one; *at
 * begins as 0. */
const struct sign *rule_next_start(const struct rule_life *life, size_t *at);

/* Every sight of the key that falls into the life of its rule, which is gone, or lasts. */
bool oracle_instances_hold(const struct history *history,
                           const struct rule_key *key,
                           bool gone,
                           struct timer_counts *counts,
                           struct finding *finding);
