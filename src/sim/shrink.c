#include "sim/shrink.h"

#include "base/check.h"
#include "sim/report.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUDGET_SECONDS  300
#define ATTEMPT_SECONDS 10
#define KIND_BYTES      24 /* as much of a finding as tells one kind from another */
#define PATH_BYTES      512

/* How a run ended: a signal, or the beginning of its finding. */
struct verdict {
    int signal;
    char kind[KIND_BYTES];
};

static struct run run;       /* of the attempt's process */
static struct choice choice; /* likewise */
static const char *dump_to;  /* where the first attempt leaves its tapes */

static void dump_and_die(int signal_number)
{
    if (dump_to != NULL) {
        (void)choice_save(&choice, dump_to); /* the process is lost anyway: no need to be careful */
    }
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static void attempt_main(struct verdict *verdict)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(null, STDERR_FILENO);
    (void)alarm(ATTEMPT_SECONDS);
    (void)signal(SIGABRT, dump_and_die);
    (void)signal(SIGSEGV, dump_and_die);
    (void)signal(SIGALRM, dump_and_die);
    bool good = run_all(&run, &choice);
    if (dump_to != NULL) {
        (void)choice_save(&choice, dump_to);
    }
    if (!good) {
        memcpy(verdict->kind, run.finding.text, sizeof(verdict->kind) - 1);
    }
    _exit(0);
}

/* Runs what `choice` holds in a process of its own. */
static struct verdict attempt(struct verdict *shared)
{
    *shared = (struct verdict){0};
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        attempt_main(shared);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    shared->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return *shared;
}

static bool fails(const struct verdict *verdict)
{
    return verdict->signal != 0 || verdict->kind[0] != '\0';
}

static bool same(const struct verdict *a, const struct verdict *b)
{
    return a->signal == b->signal && strcmp(a->kind, b->kind) == 0;
}

struct shrinking {
    struct choice_tape tapes[CHOICE_STREAMS]; /* the shortest that fails so far */
    struct verdict wanted;
    struct verdict *shared;
    time_t until;
    uint32_t attempts;
};

static size_t length_of(const struct choice_tape *tapes)
{
    size_t sum = 0;
    for (uint32_t stream = 0; stream < CHOICE_STREAMS; stream++) {
        for (size_t n = 0; n < tapes[stream].count; n++) {
            sum += tapes[stream].values[n] != 0;
        }
    }
    return sum;
}

static bool still_fails(struct shrinking *shrinking)
{
    choice_from_tapes(&choice, shrinking->tapes);
    struct verdict verdict = attempt(shrinking->shared);
    choice_free(&choice);
    shrinking->attempts++;
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr,
                      "\r%6u attempts, %8zu choices ",
                      shrinking->attempts,
                      length_of(shrinking->tapes));
    }
    return same(&verdict, &shrinking->wanted);
}

static bool time_is_left(const struct shrinking *shrinking)
{
    return time(NULL) < shrinking->until;
}

/* Tries the tape cut off at `count`; keeps it so if that still fails. */
static bool try_cut(struct shrinking *shrinking, struct choice_tape *tape, size_t count)
{
    size_t before = tape->count;
    tape->count = count;
    if (still_fails(shrinking)) {
        return true;
    }
    tape->count = before;
    return false;
}

static void cut_end(struct shrinking *shrinking, struct choice_tape *tape)
{
    size_t low = 0;
    size_t high = tape->count;
    while (low < high && time_is_left(shrinking)) {
        size_t middle = low + (high - low) / 2;
        if (try_cut(shrinking, tape, middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
}

static bool try_zero(struct shrinking *shrinking, struct choice_tape *tape, size_t at, size_t len)
{
    bool zero = true;
    for (size_t n = at; n < at + len; n++) {
        zero = zero && tape->values[n] == 0;
    }
    if (zero) {
        return true;
    }
    uint32_t *saved = malloc(len * sizeof(uint32_t));
    CHECK(saved != NULL);
    memcpy(saved, tape->values + at, len * sizeof(uint32_t));
    memset(tape->values + at, 0, len * sizeof(uint32_t));
    bool kept = still_fails(shrinking);
    if (!kept) {
        memcpy(tape->values + at, saved, len * sizeof(uint32_t));
    }
    free(saved);
    return kept;
}

static void zero_blocks(struct shrinking *shrinking, struct choice_tape *tape)
{
    for (size_t len = tape->count; len >= 1 && time_is_left(shrinking); len /= 2) {
        for (size_t at = 0; at < tape->count && time_is_left(shrinking); at += len) {
            (void)try_zero(shrinking, tape, at, at + len > tape->count ? tape->count - at : len);
        }
        if (len == 1) {
            break;
        }
    }
}

static void lower(struct shrinking *shrinking, struct choice_tape *tape)
{
    for (size_t n = 0; n < tape->count && time_is_left(shrinking); n++) {
        while (tape->values[n] > 0 && time_is_left(shrinking)) {
            uint32_t before = tape->values[n];
            tape->values[n] = before / 2;
            if (!still_fails(shrinking)) {
                tape->values[n] = before;
                break;
            }
        }
    }
}

static void take_tapes(struct shrinking *shrinking)
{
    for (uint32_t stream = 0; stream < CHOICE_STREAMS; stream++) {
        const struct choice_tape *from = &choice.tapes[stream];
        struct choice_tape *tape = &shrinking->tapes[stream];
        *tape = (struct choice_tape){.count = from->count, .capacity = from->count};
        tape->values = calloc(from->count + 1, sizeof(uint32_t));
        CHECK(tape->values != NULL);
        if (from->count > 0) {
            memcpy(tape->values, from->values, from->count * sizeof(uint32_t));
        }
    }
}

static void shorten(struct shrinking *shrinking)
{
    for (uint32_t stream = 0; stream < CHOICE_STREAMS; stream++) {
        cut_end(shrinking, &shrinking->tapes[stream]);
    }
    for (uint32_t stream = 0; stream < CHOICE_STREAMS; stream++) {
        zero_blocks(shrinking, &shrinking->tapes[stream]);
    }
    lower(shrinking, &shrinking->tapes[CHOICE_OPTIONS]);
    for (uint32_t stream = 0; stream < CHOICE_STREAMS; stream++) {
        cut_end(shrinking, &shrinking->tapes[stream]);
    }
}

bool shrink_seed(uint64_t seed, const char *tape, const char *keep)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%" PRIu64 ".tape", keep == NULL ? "." : keep, seed);
    struct shrinking shrinking = {.until = time(NULL) + BUDGET_SECONDS};
    shrinking.shared = mmap(
        NULL, sizeof(struct verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shrinking.shared != MAP_FAILED);
    if (tape == NULL) {
        choice_from_seed(&choice, seed);
    } else if (!choice_load(&choice, tape)) {
        (void)fprintf(stderr, "sim: can't read the tape %s\n", tape);
        return false;
    }
    dump_to = path;
    shrinking.wanted = attempt(shrinking.shared);
    dump_to = NULL;
    choice_free(&choice);
    if (!fails(&shrinking.wanted)) {
        (void)printf("sim: seed %" PRIu64 " does not fail\n", seed);
        return false;
    }
    CHECK(choice_load(&choice, path));
    take_tapes(&shrinking);
    choice_free(&choice);
    size_t before = length_of(shrinking.tapes);
    shorten(&shrinking);
    choice_from_tapes(&choice, shrinking.tapes);
    bool saved = choice_save(&choice, path);
    (void)printf(
        "sim: %zu choices of %zu are left after %u attempts: %s\n     repeat: "
        "make sim TAPE=%s\n",
        length_of(shrinking.tapes),
        before,
        shrinking.attempts,
        path,
        path);
    return saved;
}
