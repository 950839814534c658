/* The memory of the simulated process: what it allocated goes all at once when it dies, however it
 * stood; and its allocations can be made to fail.
 *
 * The simulator is linked with --wrap for malloc and its kin (memory.c), so product code needs to
 * know nothing. Which side runs is said by memory_switch. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From here on blocks belong to the process (true) or to the simulator (false). Returns whose they
 * were before. */
bool memory_switch(bool to_process);

/* The process is gone: its blocks too. */
void memory_drop_all(void);

/* The allocation after so many more fails (0: the next one), once; UINT64_MAX: none. */
void memory_fail_after(uint64_t count);
uint64_t memory_failures(void);

/* What the process has now. */
size_t memory_held_bytes(void);
