/* Oracle of time: what the log says of watermarks, lanes and the clock is possible. */
#pragma once

#include "sim/history.h"

/* Watermarks of batches, their steps and pulses against the events in the log: see the essay in
 * oracle_time.c for the claims. */
bool oracle_time_holds(const struct history *history, struct finding *finding);
