/* Snapshots written beside the running engine, as the real process does it by a forked copy: the
 * state is copied when a snapshot begins, and written out by a fiber of its own, to the real
 * snapshot directory over the simulated disk. */
#pragma once

#include "adapters/snapshot_dir/snapshot_dir.h"

struct sim_snapshots {
    struct snapshot_dir *dir;
    uint8_t *copy; /* of the state, as written: the process's memory */
    size_t copy_len;
    size_t copy_capacity;
    uint64_t position;
    bool writing;     /* a copy waits for sim_snapshots_write, or is being written */
    bool copy_failed; /* no memory for it */
    uint64_t oldest_kept;
    uint64_t begun; /* counters, for people */
};

struct snapshot_port sim_snapshots_port(struct sim_snapshots *snapshots);

/* Writes the copy if one waits: what the forked copy does. To be called from a fiber. */
bool sim_snapshots_write(struct sim_snapshots *snapshots);
