/* Faults on demand, for tests against the real process: only a build with -Dhostile=true has them, in
 * every other one each of these is nothing. */
#pragma once

#include "base/bytes.h"

#ifdef TIDEMARK_HOSTILE

#include "base/check.h"

static inline bool hostile_holds(struct bytes body, const char *word)
{
    size_t len = strlen(word);
    for (size_t at = 0; at + len <= body.len; at++) {
        if (memcmp(body.data + at, word, len) == 0) {
            return true;
        }
    }
    return false;
}

/* A record with one of these words in it can't be applied. */
static inline void hostile_apply(struct bytes body)
{
    CHECK(!hostile_holds(body, "hostile.check"));
    if (hostile_holds(body, "hostile.fault")) {
        volatile int *volatile nowhere = (volatile int *)(uintptr_t)4096;
        *nowhere = 1;
    }
}

#else

static inline void hostile_apply(struct bytes body)
{
    (void)body;
}

#endif
