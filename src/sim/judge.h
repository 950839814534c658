/* Judgement at the end of a run: the engine is at rest, and everything it shows is compared with what
 * the oracles work out from the history. */
#pragma once

#include "sim/run.h"

/* Sets run->finding when something is wrong. The process is drained and ended in passing. */
void judge(struct run *run);

/* What happened in a run, for the oracles. */
struct history judge_history(const struct run *run);
