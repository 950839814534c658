/* Judgement at the end of a run: the engine is at rest, and everything it shows is compared with what
 * the oracles work out from the history. */
#pragma once

#include "sim/run.h"

/* Sets run->finding when something is wrong. The process is drained and ended in passing. */
void judge(struct run *run);

/* A lying disk may lose the end of the log: the journal forgets what the recovered log (read from
 * `oldest`) no longer has at its end, and who was told otherwise counts as never told. */
void judge_forgive_lost_end(struct journal *journal,
                            const struct log_reader_port *port,
                            uint64_t oldest);
