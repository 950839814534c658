/* Episodes of HOLD: the engine says when it can't conclude anything from silence, and when it can again.
 *
 *                     HOLD, with a reason                       for more than a second, or it stood
 *                                                               still; and something is held
 *     (nothing) ------------------------------> HOLDING, quiet ---------------------> HOLDING, told
 *         ^                                        |                                      |
 *         +---------- no HOLD: nothing to tell ----+                                      |
 *         +---------- no HOLD: told that it is over --------------------------------------+
 *
 * It is a function of the pulses alone, and of what they would have fired: each engine follows it, so all
 * agree, and the feed of partition 0 tells. A hold is told only where somebody waits by the event clock:
 * an explicit timeout that is pending, or a rule. A server that counts windows and never heard of
 * timeouts has nothing to hold, so its feed stays empty. How many are pending is known to their
 * partitions: each engine says at a pulse's first half whether its own have some, as it hands over its
 * deltas.
 *
 * One refusal holds for a second, which is no episode yet. A process that stood still did so for longer
 * than that before the pulse that says so.
 *
 * Pulses of a log from before reasons were told say HOLD alone. They begin no episode: such a log gives
 * the same feed and the same digest as ever.
 *
 * Invariants:
 *  1. Per episode at most one note that it began, and one that it is over exactly if it was told.
 *  2. Not holding: all members are zero. Holding: why is one reason at least. */
#pragma once

#include "base/stream.h"
#include "core/feed.h"
#include "model/record.h"

#define LAGGING_TOLD_AFTER_US US_PER_SECOND

struct lagging {
    bool holding;
    bool told;
    bool wanted;             /* as of the last pulse: something waits by the event clock */
    uint8_t why;             /* the reasons of its pulses so far */
    struct clock_time since; /* of the first one */
};

/* A pulse. `now`: the engine's clock after it; `wanted`: see above; feed NULL: another engine tells. */
void lagging_move(struct lagging *lagging,
                  const struct pulse *pulse,
                  struct clock_time now,
                  bool wanted,
                  struct feed *feed);

/* When a pulse is needed to tell it; INT64_MAX: not at any time. */
int64_t lagging_next_due(const struct lagging *lagging);

/* An episode as bytes; there is none to save while nothing holds. */
void lagging_save(const struct lagging *lagging, struct writer *out);
bool lagging_load(struct lagging *lagging, struct loader *in);

/* CHECKs the invariants. */
void lagging_validate(const struct lagging *lagging);
