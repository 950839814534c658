/* The instances of all rules, read to their end: into the book, for their oracle; and once more of the
 * engine that had the log in other batches. */
#pragma once

#include "core/engine.h"
#include "sim/run.h"

/* False: they were not shown, or not as many as are counted. Says so only when the log stood still. */
bool judge_instances_read(struct run *run);

/* They must be what the live one showed last. */
bool judge_instances_again(struct run *run, struct engine *engine);
