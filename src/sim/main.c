/* The simulator's command line: one seed, or many of them by several workers.
 *
 * Each worker is a process of its own, so a run that aborts (a CHECK that did not hold) or never ends
 * is told from its parent, with the seed, and the next seeds go on without it. */
#include "base/check.h"
#include "base/hash.h"
#include "sim/report.h"
#include "sim/run.h"
#include "sim/shrink.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX       16
#define FAILURES_MAX      20
#define RUN_SECONDS_MAX   120
#define FATAL_SECONDS_MAX 20

/* Every so many seeds one is run twice. */
#define REPEATED_ONCE_IN 50

struct worker {
    _Atomic uint64_t seed; /* under way */
    struct run_counts counts;
    struct finding finding; /* of the run that failed */
    pid_t pid;
    uint64_t next_seed;
};

struct options {
    uint64_t seed;
    uint64_t first;
    uint64_t many;
    uint32_t jobs;
    double seconds; /* 0: no limit */
    bool single;
    bool shrink;
    bool gate;
    bool first_failure; /* is the last */
    bool tell;
    const char *tape;
    const char *keep; /* folder for what failed */
};

static double now_seconds(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- one run --- */

static struct run run;       /* under way */
static struct choice choice; /* its choices */
static const struct options *under_way;
static uint64_t seed_under_way;

/* What is known of a run that failed; kept before the process is lost. */
static void tell_all(void)
{
    report_run(&run, seed_under_way, stdout);
    if (under_way->keep != NULL) {
        report_keep(&run, seed_under_way, under_way->keep);
    }
    (void)fflush(stdout);
}

/* The process is lost anyway: what it does here needs not be safe, only tried. */
static void on_fatal(int signal_number)
{
    (void)signal(signal_number, SIG_DFL);
    (void)alarm(FATAL_SECONDS_MAX);
    tell_all();
    (void)raise(signal_number);
}

static void catch_fatal(const struct options *options)
{
    under_way = options;
    (void)signal(SIGABRT, on_fatal);
    (void)signal(SIGSEGV, on_fatal);
    (void)signal(SIGBUS, on_fatal);
    (void)signal(SIGALRM, on_fatal);
}

static int run_single(const struct options *options)
{
    run_tell(options->tell ? stderr : NULL);
    catch_fatal(options);
    seed_under_way = options->seed;
    if (options->tape == NULL) {
        choice_from_seed(&choice, options->seed);
    } else if (!choice_load(&choice, options->tape)) {
        (void)fprintf(stderr, "sim: can't read the tape %s\n", options->tape);
        return EXIT_FAILURE;
    }
    bool good = run_all(&run, &choice);
    if (good) {
        report_run(&run, options->seed, stdout);
    } else {
        tell_all();
    }
    run_free(&run);
    choice_free(&choice);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- many --- */

/* Runs the seed once more: a run must be the same every time, or it can't be repeated. */
static bool same_again(uint64_t seed)
{
    static struct run again;
    static struct choice same;
    choice_from_seed(&same, seed);
    bool good = run_all(&again, &same) && journal_same(&run.journal, &again.journal);
    if (!good) {
        (void)snprintf(run.finding.text,
                       sizeof(run.finding.text),
                       "the seed's second run was another one than the first");
    }
    run_free(&again);
    choice_free(&same);
    return good;
}

static void worker_main(struct worker *worker, const struct options *options, double until)
{
    catch_fatal(options);
    uint64_t end = options->first + options->many;
    for (uint64_t seed = worker->next_seed; seed < end; seed += options->jobs) {
        if (until > 0 && now_seconds() >= until) {
            break;
        }
        worker->seed = seed;
        seed_under_way = seed;
        (void)alarm(RUN_SECONDS_MAX);
        choice_from_seed(&choice, seed);
        bool good = run_all(&run, &choice);
        run_counts_add(&worker->counts, &run.counts);
        if (good && seed % REPEATED_ONCE_IN == 0) {
            good = same_again(seed);
        }
        if (!good) {
            worker->finding = run.finding;
            tell_all();
            _exit(EXIT_FAILURE);
        }
        run_free(&run);
        choice_free(&choice);
    }
    _exit(EXIT_SUCCESS);
}

static void start_worker(struct worker *worker, const struct options *options, double until)
{
    (void)fflush(stdout);
    worker->finding.text[0] = '\0';
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        worker_main(worker, options, until);
    }
    worker->pid = pid; /* set by the parent only: the memory is shared */
}

static void tell_failure(const struct worker *worker, int status)
{
    const char *what = worker->finding.text;
    char signal_text[80];
    if (WIFSIGNALED(status)) {
        (void)snprintf(signal_text,
                       sizeof(signal_text),
                       "it died of %s",
                       WTERMSIG(status) == SIGALRM ? "old age: it never ended"
                                                   : strsignal(WTERMSIG(status)));
        what = signal_text;
    }
    (void)printf("sim: seed %llu FAILED: %s\n     repeat: make sim SEED=%llu\n",
                 (unsigned long long)worker->seed,
                 what,
                 (unsigned long long)worker->seed);
}

static int run_many(const struct options *options)
{
    size_t bytes = sizeof(struct worker) * WORKERS_MAX;
    struct worker *workers =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(workers != MAP_FAILED);
    double began = now_seconds();
    double until = options->seconds > 0 ? began + options->seconds : 0;
    for (uint32_t n = 0; n < options->jobs; n++) {
        workers[n].next_seed = options->first + n;
        start_worker(&workers[n], options, until);
    }
    uint32_t alive = options->jobs;
    uint32_t failures = 0;
    while (alive > 0) {
        int status = 0;
        pid_t pid = wait(&status);
        CHECK(pid > 0);
        for (uint32_t n = 0; n < options->jobs; n++) {
            struct worker *worker = &workers[n];
            if (worker->pid != pid) {
                continue;
            }
            alive--;
            if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) {
                break;
            }
            if (options->first_failure && failures > 0) {
                break; /* it was ended from here */
            }
            tell_failure(worker, status);
            for (uint32_t other = 0; options->first_failure && other < options->jobs; other++) {
                if (other != n && workers[other].pid > 0) {
                    (void)kill(workers[other].pid, SIGKILL);
                }
            }
            worker->next_seed = worker->seed + options->jobs;
            if (++failures < (options->first_failure ? 1 : FAILURES_MAX)) {
                start_worker(worker, options, until);
                alive++;
            }
        }
    }
    struct run_counts sum = {0};
    for (uint32_t n = 0; n < options->jobs; n++) {
        run_counts_add(&sum, &workers[n].counts);
    }
    bool gated = report_totals(&sum, now_seconds() - began, options->jobs, options->gate, stdout);
    return failures == 0 && gated ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- the command line --- */

static void usage(void)
{
    (void)printf(
        "usage: tidemark-sim [--seed N | --many N [--first N] | --tape FILE] ...\n"
        "  --seed N      one run, told at length\n"
        "  --many N      so many runs, from --first N (default 1) on\n"
        "  --seconds S   begin no run after so long\n"
        "  --jobs N      workers (default: 2)\n"
        "  --gate        fail unless every kind of fault was seen often enough\n"
        "  --first-failure  stop at the first seed that fails\n"
        "  --tell        with --seed: lives, frames and deaths as they happen\n"
        "  --shrink      after --seed N failed: look for the shortest run that does\n"
        "  --tape FILE   repeat a run from its tape\n"
        "  --keep DIR    what failed is kept there: log, tape, options\n");
}

static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {{"seed", required_argument, NULL, 's'},
                                          {"many", required_argument, NULL, 'm'},
                                          {"first", required_argument, NULL, 'f'},
                                          {"seconds", required_argument, NULL, 't'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"gate", no_argument, NULL, 'g'},
                                          {"shrink", no_argument, NULL, 'k'},
                                          {"first-failure", no_argument, NULL, 'F'},
                                          {"tell", no_argument, NULL, 'v'},
                                          {"tape", required_argument, NULL, 'T'},
                                          {"keep", required_argument, NULL, 'K'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 's':
            options->seed = strtoull(optarg, NULL, 10);
            options->single = true;
            break;
        case 'm':
            options->many = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            options->first = strtoull(optarg, NULL, 10);
            break;
        case 't':
            options->seconds = strtod(optarg, NULL);
            break;
        case 'j':
            options->jobs = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'v':
            options->tell = true;
            break;
        case 'F':
            options->first_failure = true;
            break;
        case 'g':
            options->gate = true;
            break;
        case 'k':
            options->shrink = true;
            break;
        case 'T':
            options->tape = optarg;
            options->single = true;
            break;
        case 'K':
            options->keep = optarg;
            break;
        default:
            return false;
        }
    }
    return optind == argc && options->jobs >= 1 && options->jobs <= WORKERS_MAX &&
           (options->single || options->many > 0);
}

int main(int argc, char **argv)
{
    struct options options = {.first = 1, .jobs = 2};
    if (!parse(argc, argv, &options)) {
        usage();
        return 64;
    }
    crc32c_init(__builtin_cpu_supports("sse4.2"));
    if (options.shrink) {
        return shrink_seed(options.seed, options.tape, options.keep) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return options.single ? run_single(&options) : run_many(&options);
}
