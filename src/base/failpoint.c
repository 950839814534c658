/* Failpoints: see failpoint.h. Compiled only into a build with faults on demand.
 *
 * The count lives in a page that forked copies share with the process they come from. */
#include "base/failpoint.h"

#include "base/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VARIABLE         "TIDEMARK_FAILPOINT"
#define EXIT_CODE        42
#define EXIT_CODE_NO_USE 78

enum ending { BY_KILL, BY_EXIT, BY_ABORT, BY_ALL };

struct plan {
    enum failpoint point; /* FAILPOINTS: none */
    uint64_t nth;
    enum ending ending;
    pid_t process; /* not of a forked copy */
};

static const char *const names[] = {
#define POINT(name, doc) #name,
#include "base/failpoint.def"
#undef POINT
};

static const char *const endings[] = {"kill", "exit", "abort", "all"};

static struct plan plan = {.point = FAILPOINTS};
static _Atomic uint64_t *passed;
static pthread_once_t planned = PTHREAD_ONCE_INIT;

static _Noreturn void misused(const char *text)
{
    (void)fprintf(stderr, "tidemark: " VARIABLE "=%s is no NAME:nth[:exit|kill|abort|all]\n", text);
    _exit(EXIT_CODE_NO_USE);
}

/* Which of the words the text begins with, up to a colon or its end; `count`: none. */
static size_t find_word(const char *text, const char *const *words, size_t count)
{
    size_t len = strcspn(text, ":");
    for (size_t n = 0; n < count; n++) {
        if (strlen(words[n]) == len && memcmp(words[n], text, len) == 0) {
            return n;
        }
    }
    return count;
}

static void make_plan(void)
{
    const char *text = getenv(VARIABLE);
    if (text == NULL || text[0] == '\0') {
        return;
    }
    size_t point = find_word(text, names, FAILPOINTS);
    const char *number = text + strcspn(text, ":");
    if (point == FAILPOINTS || *number != ':') {
        misused(text);
    }
    char *rest = NULL;
    plan.nth = strtoull(number + 1, &rest, 10);
    plan.process = getpid();
    if (plan.nth == 0 || (*rest != ':' && *rest != '\0')) {
        misused(text);
    }
    if (*rest == ':') {
        size_t ending = find_word(rest + 1, endings, sizeof(endings) / sizeof(endings[0]));
        if (ending == sizeof(endings) / sizeof(endings[0])) {
            misused(text);
        }
        plan.ending = (enum ending)ending;
    }
    void *page =
        mmap(NULL, sizeof(*passed), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    passed = page;
    plan.point = (enum failpoint)point;
}

/* Async-signal-safe. */
static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

static _Noreturn void end(void)
{
    say("failpoint ");
    say(names[plan.point]);
    say("\n");
    switch (plan.ending) {
    case BY_EXIT:
        _exit(EXIT_CODE);
    case BY_ABORT:
        abort();
    case BY_ALL:
        (void)kill(plan.process, SIGKILL);
        break;
    case BY_KILL:
        break;
    }
    (void)kill(getpid(), SIGKILL);
    for (;;) {
        (void)pause(); /* the signal is on its way */
    }
}

void failpoint_pass(enum failpoint point)
{
    CHECK(pthread_once(&planned, make_plan) == 0);
    if (point == plan.point && atomic_fetch_add(passed, 1) + 1 == plan.nth) {
        end();
    }
}

uint64_t failpoint_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    char *rest = NULL;
    uint64_t value = text == NULL ? otherwise : strtoull(text, &rest, 10);
    if (text != NULL && (rest == text || *rest != '\0')) {
        (void)fprintf(stderr, "tidemark: %s=%s is no number\n", name, text);
        _exit(EXIT_CODE_NO_USE);
    }
    return value;
}
