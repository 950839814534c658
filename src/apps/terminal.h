/* The terminal: is there one, how wide is it, and how is it asked to stop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct terminal {
    bool present; /* standard output (or error) is one that understands ANSI sequences */
    bool colours; /* and NO_COLOR is not set */
    size_t width;
    size_t height;
};

/* fd: 1 or 2. Ask again for each frame: windows change their size. */
struct terminal terminal_look(int fd);

/* From now on Ctrl-C and SIGTERM only set a flag; the second one ends the process. */
void interrupt_catch(void);
bool interrupted(void);

/* Sleeps; false when it was interrupted. */
bool sleep_us(int64_t us);

/* Monotonic time, for durations. */
int64_t steady_us(void);

/* The time of day, microseconds since the Unix epoch. */
int64_t wall_us(void);
