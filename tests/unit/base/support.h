/* What the tests of base share: a seeded generator, and a way to see a CHECK fail. */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"

/* The seed of this run: $SEED, or the time. Printed, so that a failure can be repeated. */
static inline uint64_t seed_of_run(const char *test)
{
    const char *given = getenv("SEED");
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10)
                                  : (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
    print_message("%s: repeat with SEED=%llu\n", test, (unsigned long long)seed);
    return seed;
}

/* Whether there is time for full counts: the long run says so. */
static inline bool is_long_run(void)
{
    const char *given = getenv("TIDEMARK_LONG");
    return given != NULL && strcmp(given, "1") == 0;
}

/* splitmix64 */
static inline uint64_t random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t x = *state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
}

static inline uint64_t random_below(uint64_t *state, uint64_t end)
{
    return random_next(state) % end;
}

/* Runs `action` in a child and says whether it ended by abort(), as a failed CHECK does. */
static inline bool dies(void (*action)(void))
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(1);
        }
        action();
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return false;
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static inline void assert_bytes(struct bytes actual, const char *expected)
{
    if (!bytes_equal(actual, bytes_of_string(expected))) {
        fail_msg("'%.*s' instead of '%s'", (int)actual.len, (const char *)actual.data, expected);
    }
}
