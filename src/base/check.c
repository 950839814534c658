/* The end of a run whose state can no longer be trusted.
 *
 * abort() leaves a core file with the stack of the failed CHECK; the message goes to stderr first,
 * because the logger may be part of what broke. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
    abort();
}
