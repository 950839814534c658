/* Failpoints: places at which a process can be made to end, for the tests of what it then finds.
 *
 * Only a build with -Dhostile=true has them. In every other one FAILPOINT(NAME) is nothing, but for
 * the compiler's look whether failpoint.def has the name. Where the process is to end is told once,
 * by the environment:
 *
 *     TIDEMARK_FAILPOINT=NAME:nth[:exit|kill|abort|all]
 *
 *     kill   by SIGKILL to itself; what stands there when no way is told
 *     exit   by _exit, which leaves the rest of a signal's way out
 *     abort  by SIGABRT
 *     all    by SIGKILL, from a forked copy to the process that it is a copy of first
 *
 * Invariants:
 *  1. A passing is counted over the process and its forked copies together: each snapshot's writer
 *     is another copy.
 *  2. failpoint_pass makes only async-signal-safe calls once it was called before: a copy may call it.
 *  3. Just before the end "failpoint NAME" goes to stderr: a test knows that it was there.
 *  4. A name that is not in the list, or no number, ends the process at its first passing, loudly. */
#pragma once

#include <stdint.h>

enum failpoint {
#define POINT(name, doc) FAILPOINT_##name,
#include "base/failpoint.def"
#undef POINT
    FAILPOINTS
};

#ifdef TIDEMARK_HOSTILE

void failpoint_pass(enum failpoint point);

/* A number that such a build reads from the environment, so that a test reaches with little data
 * what else takes much; `otherwise` when it is not there. */
uint64_t failpoint_setting(const char *name, uint64_t otherwise);

#define FAILPOINT(name) failpoint_pass(FAILPOINT_##name)

#else

static inline uint64_t failpoint_setting(const char *name, uint64_t otherwise)
{
    (void)name;
    return otherwise;
}

#define FAILPOINT(name) ((void)FAILPOINT_##name)

#endif
