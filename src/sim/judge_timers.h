/* The judgement about timeouts: what clients were told, what listeners heard, what is shown at the
 * end, and what the same log comes to in other batches, against the oracle. */
#pragma once

#include "sim/run.h"

/* The run is at rest; its process answers. False: run->finding. oracle_timeouts_free in any case. */
bool judge_timers(struct run *run, struct expected_timeouts *expected);

/* The same log, applied once more by another engine. */
bool judge_timers_again(struct run *run,
                        const struct expected_timeouts *expected,
                        struct engine *engine);
