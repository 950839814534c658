/* See need.h. */
#include "host/need.h"

#include "base/check.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_NO_MEMORY 71
#define MIB            (1024u * 1024u)

/* What is left: of the machine's memory, or less where the process has a limit of its own. */
static uint64_t left_mib(void)
{
    long pages = sysconf(_SC_AVPHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    uint64_t left = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < left) {
        left = limit.rlim_cur;
    }
    return left / MIB;
}

void memory_needed_say(char *text, size_t text_bytes, size_t size_bytes, const char *what)
{
    (void)snprintf(text,
                   text_bytes,
                   "not enough memory to start: %zu bytes are needed for %s, %llu MiB is all there "
                   "is",
                   size_bytes,
                   what,
                   (unsigned long long)left_mib());
}

_Noreturn void memory_missing(size_t size_bytes, const char *what)
{
    char text[200];
    memory_needed_say(text, sizeof(text), size_bytes, what);
    (void)fprintf(stderr, "tidemark: %s\n", text);
    _exit(EXIT_NO_MEMORY);
}

void *memory_needed(size_t size_bytes, const char *what)
{
    CHECK(size_bytes > 0);
    void *memory = malloc(size_bytes);
    if (memory == NULL) {
        memory_missing(size_bytes, what);
    }
    return memory;
}
