/* The snapshot directory.
 *
 *     start ──fork──► child: snap-<p>.tmp ► blocks ► footer ► sync ► re-read ► rename ► sync dir
 *       │                                                                                  │
 *       └─ RUNNING ◄── poll: waitpid of that child ◄───────────────────────────────── exit ┘
 *             ├─ DONE: listed, the oldest beyond `kept` removed
 *             └─ FAILED: the temporary file removed
 *
 * Invariants:
 *  1. A file named snap-<position> was whole, synced and read back before it got its name.
 *  2. At least `kept` good snapshots stay once there are that many; one found damaged, or of another
 *     version, is neither counted nor ever removed.
 *  3. The child makes only async-signal-safe calls (the process may have threads), holds no file
 *     descriptor but the directory's and stderr's, and does not outlive its parent.
 *  4. Without the child (in_process) nothing but the disk port is asked for anything. */
#include "adapters/snapshot_dir/snapshot_dir.h"

#include "adapters/snapshot_dir/snapshot_file.h"
#include "base/check.h"
#include "base/failpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENTRIES_MAX      1024
#define CHILD_NICE       10
#define IO_WHO_PROCESS   1
#define IO_LOWEST_EFFORT ((2 << 13) | 7) /* class best effort, level 7 of 0-7 */
#define TEMPORARY_SUFFIX ".tmp"

struct snapshot_dir {
    struct disk_port disk;
    int folder; /* snapshots/ in the data directory; -1: not open */
    bool in_process;
    size_t kept;
    uint8_t *buffer;                                /* the writer's: taken before the fork */
    uint8_t *read_buffer;                           /* the opened snapshot's */
    struct snapshot_dir_entry entries[ENTRIES_MAX]; /* ascending */
    size_t entry_count;
    uint64_t damaged_count;
    uint64_t foreign_count;
    uint32_t foreign_version;
    enum snapshot_state state;
    uint64_t position; /* of the running or last one */
    pid_t child;
    _Atomic bool copies; /* the child reads, or may */
    struct snapshot_reader reader;
    bool opened;
    size_t opened_entry; /* which of the entries */
};

/* --- the port, shorter --- */

static int open_in(const struct snapshot_dir *dir, const char *name, unsigned int mode)
{
    return dir->disk.files->open(dir->disk.ctx, dir->folder, name, mode);
}

static void close_file(const struct snapshot_dir *dir, int file)
{
    dir->disk.files->close(dir->disk.ctx, file);
}

static bool remove_in(const struct snapshot_dir *dir, const char *name)
{
    return dir->disk.folders->remove(dir->disk.ctx, dir->folder, name);
}

static bool sync_folder(const struct snapshot_dir *dir)
{
    return dir->disk.files->sync(dir->disk.ctx, dir->folder);
}

/* Opens for reading; false when the file can't be opened. */
static bool open_to_read(const struct snapshot_dir *dir,
                         const char *name,
                         unsigned int mode,
                         struct snapshot_file *file)
{
    struct disk_info info;
    if (!dir->disk.folders->info(dir->disk.ctx, dir->folder, name, &info)) {
        return false;
    }
    int handle = open_in(dir, name, mode);
    *file = (struct snapshot_file){.disk = &dir->disk, .handle = handle, .bytes = info.bytes};
    return handle >= 0;
}

/* --- the list --- */

static size_t entry_slot(const struct snapshot_dir *dir, uint64_t position)
{
    size_t at = dir->entry_count;
    while (at > 0 && dir->entries[at - 1].position >= position) {
        at--;
    }
    return at;
}

static void entry_add(struct snapshot_dir *dir, uint64_t position)
{
    size_t at = entry_slot(dir, position);
    if (at < dir->entry_count && dir->entries[at].position == position) {
        dir->entries[at] = (struct snapshot_dir_entry){.position = position}; /* written anew */
        return;
    }
    if (dir->entry_count == ENTRIES_MAX) {
        return; /* it stays on disk, unlisted; hundreds of damaged files must have gathered */
    }
    memmove(
        dir->entries + at + 1, dir->entries + at, (dir->entry_count - at) * sizeof *dir->entries);
    dir->entries[at] = (struct snapshot_dir_entry){.position = position};
    dir->entry_count++;
}

static void entry_remove(struct snapshot_dir *dir, size_t at)
{
    CHECK(at < dir->entry_count);
    dir->entry_count--;
    memmove(
        dir->entries + at, dir->entries + at + 1, (dir->entry_count - at) * sizeof *dir->entries);
}

static bool entry_is_good(const struct snapshot_dir_entry *entry)
{
    return !entry->damaged && entry->foreign == 0;
}

static uint64_t oldest_good(const struct snapshot_dir *dir)
{
    for (size_t i = 0; i < dir->entry_count; i++) {
        if (entry_is_good(&dir->entries[i])) {
            return dir->entries[i].position;
        }
    }
    return UINT64_MAX;
}

static void prune(struct snapshot_dir *dir)
{
    size_t good = 0;
    for (size_t i = dir->entry_count; i > 0; i--) {
        if (!entry_is_good(&dir->entries[i - 1]) || ++good <= dir->kept) {
            continue;
        }
        char name[SNAPSHOT_NAME_BYTES];
        snapshot_name(name, dir->entries[i - 1].position);
        if (remove_in(dir, name)) {
            FAILPOINT(SNAPSHOT_REMOVED);
            entry_remove(dir, i - 1);
        }
    }
    (void)sync_folder(dir);
}

/* --- writing --- */

static void temporary_name(char name[SNAPSHOT_NAME_BYTES + 4], uint64_t position)
{
    snapshot_name(name, position);
    memcpy(name + strlen(name), TEMPORARY_SUFFIX, sizeof TEMPORARY_SUFFIX);
}

static void put_part(void *ctx, struct bytes part)
{
    snapshot_writer_put(ctx, part);
}

/* From the disk, not from the page cache. */
static bool proved(const struct snapshot_dir *dir, const char *name)
{
    struct snapshot_file file;
    struct snapshot_reader reader;
    if (!open_to_read(dir, name, DISK_UNCACHED, &file)) {
        return false;
    }
    bool good = snapshot_reader_begin(&reader, &file, dir->buffer, dir->position) &&
                snapshot_reader_prove(&reader);
    close_file(dir, file.handle);
    return good;
}

/* Writes, syncs and reads back; async-signal-safe. */
static bool write_file(const struct snapshot_dir *dir,
                       const char *name,
                       void (*write_state)(void *, struct snapshot_sink *),
                       void *write_ctx)
{
    const struct snapshot_file file = {
        .disk = &dir->disk,
        .handle = open_in(dir, name, DISK_WRITE | DISK_CREATE),
    };
    if (file.handle < 0) {
        return false;
    }
    FAILPOINT(SNAPSHOT_CREATED);
    struct snapshot_writer writer;
    snapshot_writer_init(&writer, &file, dir->buffer, dir->position);
    struct snapshot_sink sink = {.put = put_part, .ctx = &writer};
    write_state(write_ctx, &sink);
    bool good = snapshot_writer_finish(&writer);
    close_file(dir, file.handle);
    FAILPOINT(SNAPSHOT_SYNCED);
    good = good && proved(dir, name);
    FAILPOINT(SNAPSHOT_VERIFIED);
    return good;
}

static bool write_snapshot(const struct snapshot_dir *dir,
                           void (*write_state)(void *, struct snapshot_sink *),
                           void *write_ctx)
{
    char temporary[SNAPSHOT_NAME_BYTES + 4];
    char name[SNAPSHOT_NAME_BYTES];
    temporary_name(temporary, dir->position);
    snapshot_name(name, dir->position);
    if (write_file(dir, temporary, write_state, write_ctx) &&
        dir->disk.folders->rename(dir->disk.ctx, dir->folder, temporary, name)) {
        FAILPOINT(SNAPSHOT_RENAMED);
        bool synced = sync_folder(dir);
        FAILPOINT(SNAPSHOT_FOLDER_SYNCED);
        return synced;
    }
    (void)remove_in(dir, temporary);
    return false;
}

/* The copy's first steps: it must not hold what its parent's end has to free (ports, locks), not
 * answer its signals, and not get in the way of its work. */
static void become_writer(const struct snapshot_dir *dir, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(EXIT_FAILURE);
    }
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    unsigned int own = (unsigned int)dir->folder;
    const unsigned int first = STDERR_FILENO + 1;
    if (own > first) {
        (void)close_range(first, own - 1, 0);
    }
    (void)close_range(own + 1, ~0u, 0);
    (void)setpriority(PRIO_PROCESS, 0, CHILD_NICE);
    (void)syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_LOWEST_EFFORT);
}

static enum err
start(void *ctx, uint64_t position, void (*write)(void *, struct snapshot_sink *), void *write_ctx)
{
    struct snapshot_dir *dir = ctx;
    if (dir->state != SNAPSHOT_IDLE) {
        return ERR_CONFLICT;
    }
    dir->position = position;
    if (dir->in_process) {
        dir->state = write_snapshot(dir, write, write_ctx) ? SNAPSHOT_DONE : SNAPSHOT_FAILED;
        return OK;
    }
    pid_t parent = getpid();
    atomic_store(&dir->copies, true);
    pid_t child = fork();
    if (child == 0) {
        become_writer(dir, parent);
        _exit(write_snapshot(dir, write, write_ctx) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    dir->child = child;
    dir->state = child > 0 ? SNAPSHOT_RUNNING : SNAPSHOT_FAILED;
    atomic_store(&dir->copies, child > 0);
    return OK;
}

/* Looks after the child; RUNNING stays RUNNING while it lives. */
static void reap(struct snapshot_dir *dir, int options)
{
    int status = 0;
    pid_t pid = waitpid(dir->child, &status, options);
    if (pid == 0 || (pid < 0 && errno == EINTR)) {
        return;
    }
    bool done = pid == dir->child && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
    dir->state = done ? SNAPSHOT_DONE : SNAPSHOT_FAILED;
    dir->child = 0;
    atomic_store(&dir->copies, false);
}

static enum snapshot_state poll_state(void *ctx, uint64_t *position, uint64_t *oldest_kept)
{
    struct snapshot_dir *dir = ctx;
    if (dir->state == SNAPSHOT_RUNNING) {
        reap(dir, WNOHANG);
    }
    enum snapshot_state state = dir->state;
    if (state == SNAPSHOT_DONE) {
        entry_add(dir, dir->position);
        prune(dir);
    } else if (state == SNAPSHOT_FAILED) {
        char temporary[SNAPSHOT_NAME_BYTES + 4];
        temporary_name(temporary, dir->position);
        (void)remove_in(dir, temporary);
    }
    if (state == SNAPSHOT_DONE || state == SNAPSHOT_FAILED) {
        dir->state = SNAPSHOT_IDLE;
    }
    *position = dir->position;
    *oldest_kept = oldest_good(dir);
    return state;
}

/* --- reading --- */

static bool try_open(struct snapshot_dir *dir, uint64_t position, bool whole)
{
    char name[SNAPSHOT_NAME_BYTES];
    snapshot_name(name, position);
    struct snapshot_file file;
    dir->reader = (struct snapshot_reader){0};
    if (!open_to_read(dir, name, DISK_READ, &file)) {
        return false;
    }
    if (!snapshot_reader_begin(&dir->reader, &file, dir->read_buffer, position) ||
        (whole && !snapshot_reader_prove(&dir->reader))) {
        close_file(dir, file.handle);
        return false;
    }
    dir->opened = true;
    return true;
}

/* try_open did not take it, or what follows in it is damaged. */
static void not_good(struct snapshot_dir *dir, struct snapshot_dir_entry *entry)
{
    uint32_t version = dir->reader.footer.version;
    entry->foreign = version == SNAPSHOT_VERSION ? 0 : version;
    entry->damaged = entry->foreign == 0;
    if (entry->damaged) {
        dir->damaged_count++;
    } else {
        dir->foreign_count++;
        dir->foreign_version = version;
    }
}

static void close_opened(void *ctx)
{
    struct snapshot_dir *dir = ctx;
    if (dir->opened) {
        close_file(dir, dir->reader.file.handle);
        free(dir->read_buffer);
    }
    dir->read_buffer = NULL;
    dir->opened = false;
}

/* The newest good one; `whole`: proved to its end. */
static enum err open_good(struct snapshot_dir *dir, uint64_t until, bool whole, uint64_t *position)
{
    close_opened(dir);
    dir->read_buffer = malloc(SNAPSHOT_BUFFER_BYTES);
    if (dir->read_buffer == NULL) {
        return ERR_OVERLOADED;
    }
    for (size_t i = dir->entry_count; i > 0; i--) {
        struct snapshot_dir_entry *entry = &dir->entries[i - 1];
        if (entry->position > until || !entry_is_good(entry)) {
            continue;
        }
        if (try_open(dir, entry->position, whole)) {
            dir->opened_entry = i - 1;
            *position = entry->position;
            return OK;
        }
        not_good(dir, entry);
    }
    free(dir->read_buffer);
    dir->read_buffer = NULL;
    return ERR_NOT_FOUND;
}

static enum err open_newest(void *ctx, uint64_t until, uint64_t *position)
{
    return open_good(ctx, until, false, position);
}

static bool read_opened(void *ctx, void *into, size_t len)
{
    struct snapshot_dir *dir = ctx;
    CHECK(dir->opened);
    if (snapshot_reader_read(&dir->reader, into, len)) {
        return true;
    }
    struct snapshot_dir_entry *entry = &dir->entries[dir->opened_entry];
    if (dir->reader.damaged && !entry->damaged) {
        not_good(dir, entry);
    }
    return false;
}

static uint64_t damaged(void *ctx)
{
    const struct snapshot_dir *dir = ctx;
    return dir->damaged_count;
}

struct snapshot_port snapshot_dir_port(struct snapshot_dir *dir)
{
    static const struct snapshot_ops ops = {
        start, poll_state, open_newest, read_opened, close_opened, damaged};
    return (struct snapshot_port){.ops = &ops, .ctx = dir};
}

enum err snapshot_dir_prove(struct snapshot_dir *dir, uint64_t *position)
{
    enum err err = open_good(dir, UINT64_MAX, true, position);
    close_opened(dir);
    return err;
}

bool snapshot_dir_copies(const struct snapshot_dir *dir)
{
    return atomic_load(&dir->copies);
}

uint64_t snapshot_dir_damaged_count(const struct snapshot_dir *dir)
{
    return dir->damaged_count;
}

uint64_t snapshot_dir_foreign_count(const struct snapshot_dir *dir, uint32_t *version)
{
    *version = dir->foreign_version;
    return dir->foreign_count;
}

size_t
snapshot_dir_list(const struct snapshot_dir *dir, struct snapshot_dir_entry *entries, size_t max)
{
    for (size_t i = 0; i < dir->entry_count && i < max; i++) {
        entries[i] = dir->entries[dir->entry_count - 1 - i];
    }
    return dir->entry_count;
}

/* --- opening and closing --- */

static bool open_folder(struct snapshot_dir *dir, const struct disk_folder *data)
{
    const struct disk_port *disk = &dir->disk;
    bool there = disk->folders->make(disk->ctx, data->handle, "snapshots") || errno == EEXIST;
    /* It may be there because of a process that died before its name was durable. */
    if (there && disk->files->sync(disk->ctx, data->handle)) {
        dir->folder = disk->files->open(disk->ctx, data->handle, "snapshots", DISK_FOLDER);
    }
    return dir->folder >= 0;
}

static bool is_temporary(const char *name)
{
    size_t len = strlen(name);
    const size_t suffix = sizeof TEMPORARY_SUFFIX - 1;
    return len > suffix && strncmp(name, "snap-", 5) == 0 &&
           strcmp(name + len - suffix, TEMPORARY_SUFFIX) == 0;
}

static bool found_name(void *user, const char *name)
{
    struct snapshot_dir *dir = user;
    uint64_t position = 0;
    if (snapshot_parse_name(name, &position)) {
        entry_add(dir, position);
    } else if (is_temporary(name)) {
        (void)remove_in(dir, name);
    }
    return true;
}

/* Lists the snapshots and removes half-written ones. */
static bool read_folder(struct snapshot_dir *dir)
{
    return dir->disk.folders->list(dir->disk.ctx, dir->folder, found_name, dir) && sync_folder(dir);
}

enum err snapshot_dir_open(const struct snapshot_dir_options *options,
                           struct snapshot_dir **out,
                           struct error *error)
{
    struct snapshot_dir *dir = calloc(1, sizeof *dir);
    if (dir == NULL) {
        *error = (struct error){.code = ERR_UNAVAILABLE, .text = "no memory for snapshots"};
        return error->code;
    }
    dir->disk = options->data.disk;
    dir->folder = -1;
    dir->in_process = options->in_process;
    dir->kept = options->kept > 0 ? (size_t)options->kept : SNAPSHOTS_KEPT_DEFAULT;
    dir->buffer = malloc(SNAPSHOT_BUFFER_BYTES);
    if (dir->buffer == NULL || !open_folder(dir, &options->data) || !read_folder(dir)) {
        *error = (struct error){.code = ERR_UNAVAILABLE};
        snprintf(error->text,
                 sizeof error->text,
                 "can't use %.100s/snapshots: %s",
                 options->data.path,
                 strerrordesc_np(errno));
        snapshot_dir_close(dir);
        return error->code;
    }
    *out = dir;
    return OK;
}

void snapshot_dir_close(struct snapshot_dir *dir)
{
    if (dir->state == SNAPSHOT_RUNNING) {
        (void)kill(dir->child, SIGKILL);
        while (dir->state == SNAPSHOT_RUNNING) {
            reap(dir, 0);
        }
        uint64_t position = 0;
        uint64_t oldest = 0;
        (void)poll_state(dir, &position, &oldest);
    }
    close_opened(dir);
    if (dir->folder >= 0) {
        close_file(dir, dir->folder);
    }
    free(dir->buffer);
    free(dir);
}
