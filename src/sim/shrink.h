/* Makes a failing run short: by editing its tapes (sim/choice.h) as long as it fails in the same way.
 *
 * 1. The run is repeated from its seed, and its tapes are kept.
 * 2. Each stream: cut off at the end, then blocks of it set to 0 (the simplest choice) or taken out,
 *    then single numbers lowered; larger blocks first.
 * Each attempt is a process of its own, since it may abort. At most five minutes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Shrinks the run of a seed (or of a tape, if not NULL) and writes DIR/<seed>.tape (DIR: `keep`, or
 * the current one). False when the run doesn't fail at all. */
bool shrink_seed(uint64_t seed, const char *tape, const char *keep);
