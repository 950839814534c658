/* Oracle of the log: acknowledged is in it, what is in it was sent, and nothing of it changed. */
#pragma once

#include "sim/history.h"

/* True when every claim of the essay in oracle_log.c holds; else finding->text says which does not,
 * and where. Plain and slow on purpose; at most O(n log n). */
bool oracle_log_holds(const struct history *history, struct finding *finding);

/* What a recovered log must keep of the one before the crash: every frame of `before` that ends at
 * or below `durable` (acknowledged by then) is found in `after`, byte for byte. */
bool oracle_log_kept(const struct history *before,
                     const struct history *after,
                     uint64_t durable,
                     struct finding *finding);
