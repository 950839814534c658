/* Snapshots as files of one directory (ports/snapshot.h): data_dir/snapshots/snap-<position>.
 *
 * A snapshot is written by a forked copy of the process, so the state stands still for it while the
 * process goes on. All functions but snapshot_dir_copies belong to the thread that owns the state. */
#pragma once

#include "ports/disk.h"
#include "ports/snapshot.h"

#define SNAPSHOTS_KEPT_DEFAULT 3

struct snapshot_dir;

struct snapshot_dir_options {
    struct disk_folder data; /* the data directory; the caller holds its lock */
    int kept;                /* good snapshots to keep; 0: the default */
    bool in_process;         /* write at once instead of in a forked copy, for which handles must be
                                file descriptors */
};

/* Makes data_dir/snapshots when missing and removes what a crash left half-written. */
enum err snapshot_dir_open(const struct snapshot_dir_options *options,
                           struct snapshot_dir **dir,
                           struct error *error) MUST_CHECK;

/* Ends a running snapshot (it fails) and frees. */
void snapshot_dir_close(struct snapshot_dir *dir);

struct snapshot_port snapshot_dir_port(struct snapshot_dir *dir);

/* Reads the newest as a whole, and those before it as long as one is found damaged. ERR_NOT_FOUND: none is
 * good; ERR_OVERLOADED: no memory. */
enum err snapshot_dir_prove(struct snapshot_dir *dir, uint64_t *position) MUST_CHECK;

/* Whether a forked copy may still be reading the state as it was at its start. Any thread; true from before
 * `start` returns until `poll` has seen its end. */
bool snapshot_dir_copies(const struct snapshot_dir *dir);

/* Files found damaged since the start; they stay on disk. */
uint64_t snapshot_dir_damaged_count(const struct snapshot_dir *dir);

/* Files found since the start that are of another format version, *version that of the last; they
 * stay on disk, too. */
uint64_t snapshot_dir_foreign_count(const struct snapshot_dir *dir, uint32_t *version);

/* One line of a listing. */
struct snapshot_dir_entry {
    uint64_t position;
    bool damaged;     /* known to be */
    uint32_t foreign; /* known to be of this other format version; 0: not */
};

/* Writes at most `max` entries, newest first; returns how many there are. */
size_t
snapshot_dir_list(const struct snapshot_dir *dir, struct snapshot_dir_entry *entries, size_t max);
