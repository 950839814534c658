/* Crashes: see crash.h for the loop that it breaks.
 *
 * The note is text, a line for each crash, so that a person can read it too:
 *
 *     126976 64 2 6\n      position of the frame, offset of the record in its body, kind, signal
 *
 * All runners apply the same record, so several may fault at once: the first one writes, the others
 * wait for the end that it brings. */
#include "apps/crash.h"

#include "apps/say.h"
#include "base/check.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define NOTE_NAME        "crashes"
#define NOTE_BYTES_MAX   4096
#define LINE_BYTES       160
#define STACKS           32 /* threads that get a stack of their own for the handler */
#define STACK_BYTES      ((size_t)32 * 1024)
#define OTHERS_PAUSE_MS  2000
#define SEGMENT_NAME_LEN 24 /* 20 digits and ".log" */

struct note {
    uint64_t position;
    uint64_t offset;
    uint64_t kind;
};

static _Thread_local const struct applying *here;
static _Atomic int note_directory = -1;
static _Atomic bool noting;
static _Alignas(16) uint8_t stacks[STACKS][STACK_BYTES];
static _Atomic uint32_t stacks_given;

/* --- in the handler: nothing but what is safe there --- */

static void put_line(struct buf *line, const struct applying *at, int number)
{
    const uint64_t words[] = {at->position, at->offset, at->kind, (uint64_t)number};
    for (size_t n = 0; n < sizeof(words) / sizeof(words[0]); n++) {
        u64_put(line, words[n]);
        buf_put_u8(line, n + 1 < sizeof(words) / sizeof(words[0]) ? ' ' : '\n');
    }
}

static void write_all(int fd, const struct buf *text)
{
    for (size_t done = 0; done < text->len;) {
        ssize_t n = write(fd, text->data + done, text->len - done);
        if (n < 0 && errno != EINTR) {
            return;
        }
        done += n > 0 ? (size_t)n : 0;
    }
}

static void write_note(const struct applying *at, int number)
{
    int directory = atomic_load(&note_directory);
    if (directory < 0) {
        return;
    }
    uint8_t space[LINE_BYTES];
    struct buf line = buf_of(space, sizeof(space));
    put_line(&line, at, number);
    (void)close(STDIN_FILENO); /* so that a descriptor is left, whatever else is open */
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(directory, NOTE_NAME, flags, 0600);
    if (fd >= 0) {
        write_all(fd, &line);
        (void)fsync(fd);
        (void)fsync(directory);
    }
}

static void say_where(const struct applying *at)
{
    uint8_t space[LINE_BYTES];
    struct buf text = buf_of(space, sizeof(space));
    buf_put_text(&text, "tidemark: this happened while the record at log position ");
    u64_put(&text, at->position);
    buf_put_text(&text, ", offset ");
    u64_put(&text, at->offset);
    buf_put_text(&text, ", kind ");
    u64_put(&text, at->kind);
    buf_put_text(&text, " was applied\n");
    write_all(STDERR_FILENO, &text);
}

static void on_fatal(int number, siginfo_t *info, void *context)
{
    (void)context;
    const struct applying *at = here;
    bool own = info->si_code > 0 || info->si_pid == getpid();
    bool mine = own && at != NULL && at->active && !atomic_exchange(&noting, true);
    if (mine) {
        say_where(at);
        write_note(at, number);
    } else if (atomic_load(&noting)) {
        (void)poll(NULL, 0, OTHERS_PAUSE_MS);
    }
    /* Not before: the default would end the process at another thread's fault, and the note with it. */
    (void)signal(number, SIG_DFL);
    (void)raise(number); /* as soon as this returns */
}

/* --- watching --- */

void crash_watch(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)sigemptyset(&action.sa_mask);
    for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
        struct sigaction former;
        CHECK(sigaction(numbers[n], NULL, &former) == 0);
        /* Whoever has a handler there already, as a sanitizer, keeps it. */
        if ((former.sa_flags & SA_SIGINFO) == 0 && former.sa_handler == SIG_DFL) {
            CHECK(sigaction(numbers[n], &action, NULL) == 0);
        }
    }
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of its write */
}

void crash_watch_thread(const struct applying *applying)
{
    here = applying;
    stack_t former;
    bool free_place = sigaltstack(NULL, &former) == 0 && (former.ss_flags & SS_DISABLE) != 0;
    uint32_t n = free_place ? atomic_fetch_add(&stacks_given, 1) : STACKS;
    if (n < STACKS) { /* a stack that overflows leaves no room for the handler */
        stack_t stack = {.ss_sp = stacks[n], .ss_size = STACK_BYTES};
        (void)sigaltstack(&stack, NULL);
    }
}

void crash_forget(void)
{
    int directory = atomic_load(&note_directory);
    if (directory >= 0) {
        (void)unlinkat(directory, NOTE_NAME, 0);
    }
}

/* --- the review at a start --- */

static bool read_line(struct bytes line, struct note *note)
{
    uint64_t words[4] = {0};
    for (size_t n = 0; n < 4; n++) {
        const uint8_t *space = n == 3 ? NULL : memchr(line.data, ' ', line.len);
        size_t len = space == NULL ? line.len : (size_t)(space - line.data);
        if ((n < 3 && space == NULL) || !u64_parse(bytes_slice(line, 0, len), &words[n])) {
            return false;
        }
        line = n == 3 ? line : bytes_slice(line, len + 1, line.len - len - 1);
    }
    *note = (struct note){.position = words[0], .offset = words[1], .kind = words[2]};
    return true;
}

/* How many of the last lines name the position of the very last, which goes to *last. */
static uint32_t count_last(struct bytes text, struct note *last)
{
    uint32_t count = 0;
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        struct note note;
        if (read_line(bytes_slice(text, 0, len), &note)) {
            count = count > 0 && note.position == last->position ? count + 1 : 1;
            *last = note;
        }
        len += end == NULL ? 0 : 1;
        text = bytes_slice(text, len, text.len - len);
    }
    return count;
}

static uint32_t read_notes(int directory, struct note *last)
{
    uint8_t space[NOTE_BYTES_MAX];
    int fd = openat(directory, NOTE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return 0;
    }
    off_t end = lseek(fd, 0, SEEK_END);
    off_t from = end > NOTE_BYTES_MAX ? end - NOTE_BYTES_MAX : 0;
    ssize_t n = pread(fd, space, sizeof(space), from);
    (void)close(fd);
    return count_last(bytes_of(space, n > 0 ? (size_t)n : 0), last);
}

/* The name of the segment that holds the position: the one with the largest base up to it. */
static void find_segment(const char *directory, uint64_t position, char *name, size_t name_bytes)
{
    char path[4096];
    uint64_t found = 0;
    text_put(path, sizeof(path), "%s/log", directory);
    DIR *log = opendir(path);
    for (struct dirent *entry = log == NULL ? NULL : readdir(log); entry != NULL;
         entry = readdir(log)) {
        uint64_t base = 0;
        if (strlen(entry->d_name) == SEGMENT_NAME_LEN &&
            u64_parse(bytes_of(entry->d_name, SEGMENT_NAME_LEN - 4), &base) && base <= position &&
            base >= found) {
            found = base;
        }
    }
    if (log != NULL) {
        (void)closedir(log);
    }
    text_put(name, name_bytes, "%020llu.log", (unsigned long long)found);
}

static const char *kind_text(uint64_t kind)
{
    static const char *const names[] = {
        "of no known kind",
        "genesis",
        "events",
        "pulse",
        "define",
        "drop",
        "source",
        "forget",
        "lane",
    };
    return names[kind < sizeof(names) / sizeof(names[0]) ? kind : 0];
}

static void report(const char *directory, const struct note *note)
{
    char segment[64];
    unsigned long long position = note->position;
    find_segment(directory, position, segment, sizeof(segment));
    (void)fprintf(stderr,
                  "tidemark: poison record: the last %d times a record was applied the process "
                  "ended\n"
                  "  file      %s/log/%s\n"
                  "  position  %llu, offset %llu in the frame\n"
                  "  kind      %s\n"
                  "  to see    tidemark log dump %s --from %llu --limit 1\n"
                  "  go on     nothing is lost: keep the directory, and report this with the dump. "
                  "A version\n"
                  "            that can apply it starts again once %s/" NOTE_NAME " is removed.\n",
                  CRASHES_MAX,
                  directory,
                  segment,
                  position,
                  (unsigned long long)note->offset,
                  kind_text(note->kind),
                  directory,
                  position,
                  directory);
}

bool crash_review(const char *directory, struct error *error)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return true; /* it can't be: it was locked just now. Then nothing is noted */
    }
    struct note last = {0};
    if (read_notes(fd, &last) < CRASHES_MAX) {
        int former = atomic_exchange(&note_directory, fd);
        if (former >= 0) {
            (void)close(former);
        }
        return true;
    }
    (void)close(fd);
    report(directory, &last);
    *error = (struct error){.code = ERR_INTERNAL};
    text_put(error->text,
             sizeof(error->text),
             "%.100s is not opened: the record at position %llu can't be applied",
             directory,
             (unsigned long long)last.position);
    return false;
}
