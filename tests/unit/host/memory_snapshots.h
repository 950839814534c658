/* Snapshots in memory. `write` runs inside `start`, so the state is that of the moment; the result
 * is there after a number of polls. Three are kept. */
#pragma once

#include "ports/snapshot.h"

#define MEMORY_SNAPSHOTS_KEPT 3

struct memory_snapshot {
    uint64_t position;
    uint8_t *bytes;
    size_t len;
    size_t cap;
    size_t damaged_from; /* reading this byte or one behind shows the damage; 0: there is none */
    bool known_damaged;
};

struct memory_snapshots {
    struct memory_snapshot kept[MEMORY_SNAPSHOTS_KEPT + 1]; /* oldest first */
    uint32_t count;

    /* How it behaves. */
    uint32_t polls_to_done; /* 0 and 1: at the first poll */
    bool fails;             /* the next ones end as SNAPSHOT_FAILED */
    bool refuses;           /* start: ERR_CONFLICT */

    /* What is under way. */
    struct memory_snapshot running;
    bool is_running;
    uint32_t polls_left;
    uint32_t started;
    uint32_t opened; /* index + 1 of the one that is read */
    size_t read_at;
    uint64_t damaged_count;
};

void memory_snapshots_init(struct memory_snapshots *snapshots);
void memory_snapshots_deinit(struct memory_snapshots *snapshots);

struct snapshot_port memory_snapshots_port(struct memory_snapshots *snapshots);

/* The process died: what was not done is gone. */
void memory_snapshots_crash(struct memory_snapshots *snapshots);
