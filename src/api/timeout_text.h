/* Timeouts as the API shows them. */
#pragma once

#include "api/out.h"
#include "base/err.h"
#include "model/timeout.h"

/* The name of a state; a pending one that is held is "unknown". */
const char *timeout_state_text(const struct timeout_object *object);
const char *timeout_clock_text(enum timeout_clock clock);

/* The states that a word means, as bits; 0: none. "unknown" is told from pending by *held, which is 1
 * (only those), 0 (only the others) or -1 (any). */
uint32_t timeout_states_read(struct bytes word, int *held);

/* The object's members without its braces; data NULL: it is not known here. */
void timeout_put_members(struct out *out,
                         struct bytes key,
                         const struct timeout_object *object,
                         struct bytes data);

/* The same of a rule's instance; its event_time is when it started, by the rule's own clock. */
void timeout_put_instance(struct out *out,
                          struct bytes rule,
                          struct bytes key,
                          const struct timeout_object *object);

/* What is told of a timeout beside what it is: its rule (data NULL: it is an explicit one), key, data. */
struct timeout_named {
    struct bytes rule;
    struct bytes key;
    struct bytes data;
};

/* Whichever of the two it is. */
void timeout_put_named(struct out *out,
                       const struct timeout_named *named,
                       const struct timeout_object *object);

/* How an outcome is told. OK: it is no problem; *status says more. */
enum err timeout_outcome_err(enum timeout_outcome outcome, int *status);

/* The members that a problem about a timeout has beside the usual: fired_at, decided_at, current. */
void timeout_put_problem(struct out *out,
                         const struct timeout_named *named,
                         const struct timeout_result *result);
