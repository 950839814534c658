/* The engine's clock: the wall clock, guarded by the boot clock against steps.
 *
 *     wall moves with boot (drift, slewing up to a second)   the engine follows the wall
 *     wall stands still while boot goes on (frozen)          it goes on with boot
 *     wall steps back                                        it goes on at half speed till they meet
 *     wall steps ahead by more than a second                 it goes on with boot; when the wall has
 *                                                            stayed ahead for ten, it is believed
 *     both jump (the machine slept)                          it follows at once
 *
 * So it never goes back and never stands still, and one wrong second of the wall clock decides
 * nothing. One thread looks (the sequencer); all may ask. */
#pragma once

#include "ports/clock.h"

#include <stdatomic.h>

#define STEADY_SLACK_US   US_PER_SECOND
#define STEADY_BELIEVE_US (10 * US_PER_SECOND)

struct steady {
    struct clock_port below;
    _Atomic int64_t offset_us; /* the engine's clock - boot */
    /* The looking thread's. */
    int64_t boot_us;        /* of the last look */
    int64_t wall_us;        /* of the last look */
    int64_t ahead_since_us; /* boot time since which the wall is far ahead; 0: it is not */
    bool behind;            /* the wall is far behind */
    _Atomic uint64_t steps; /* that were seen */
};

void steady_init(struct steady *steady, struct clock_port below);

/* The clock as the engine's parts get it: wall is the guarded one. */
struct clock_port steady_port(struct steady *steady);

/* The log was written up to this moment: the clock is not before it. At a start. */
void steady_not_before(struct steady *steady, struct clock_time moment);

/* Looks at the clocks below, moves, and returns the engine's time. */
struct clock_time steady_look(struct steady *steady);

/* Engine's clock - wall clock, as of the last look. */
int64_t steady_ahead_us(const struct steady *steady);
