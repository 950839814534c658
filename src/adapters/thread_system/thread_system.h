/* How the machine's scheduler treats a thread. */
#pragma once

/* The calling thread does little at a time and others wait for it: from now on it asks for short slices,
 * so that it is let in before threads that compute, and shares the processor with them as before. Linux
 * has that since 6.12 (sched_setattr(2), sched_runtime of a normal thread); elsewhere, and for a thread
 * that was given another policy, nothing changes. No right is needed. What the thread forks or starts asks
 * for nothing. */
void thread_ask_short_slices(void);
