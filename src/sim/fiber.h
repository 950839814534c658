/* A stack of its own that can stop in the middle of a function and go on later: what a thread is to
 * the real program, a fiber is to the simulated one, but only one runs at a time and who is next is
 * decided by the simulator.
 *
 * A fiber can be dropped wherever it stands. That is how a process dies here: nothing is unwound. */
#pragma once

#include <stdbool.h>

struct fiber;

/* Ready to run from its beginning; NULL on no memory. */
struct fiber *fiber_create(void (*run)(void *ctx), void *ctx);
void fiber_drop(struct fiber *fiber);

/* Runs it until it yields or ends. Not from inside a fiber. */
void fiber_resume(struct fiber *fiber);
bool fiber_ended(const struct fiber *fiber);

/* From inside: stops here; returns when it is resumed. */
void fiber_yield(void);

/* Whether the caller is inside a fiber. */
bool fiber_inside(void);
