/* CHECK: an invariant that holds unless this program has a bug.
 *
 * It stays on in release builds. A failed CHECK never returns: the state can no longer be trusted,
 * and recovery from the log is the only right way on. Bad input is not a bug; it gets an enum err.
 */
#pragma once

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            check_failed(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

/* A place that no execution reaches, said in a sentence. */
#define UNREACHABLE(why) check_failed(__FILE__, __LINE__, "unreachable: " why)

/* Prints where and what, then aborts. The one function of base that is not pure. */
_Noreturn void check_failed(const char *file, int line, const char *condition);
