/* One partition's timeouts with memory, a clock and a feed, for their tests. */
#pragma once

#include "../base/support.h"

#include "core/timeouts.h"

#define RIG_PARTITIONS 64 /* small slices */
#define RIG_TOLD_MAX   4096

/* A note as it was told. */
struct told {
    char key[32];
    char data[32];
    uint8_t flags;
    uint32_t generation;
    int64_t deadline;
    int64_t started;
    int64_t last_seen;
    int64_t clock;
};

struct timeouts_rig {
    struct timeouts_limits limits;
    void *regions[3]; /* of the timeouts, of the feed, of cold parts */
    size_t region_bytes;
    struct heap heap;
    struct heap feed_heap;
    struct heap cold;
    struct timeouts timeouts;
    struct feed feed;
    int64_t clock;
    int64_t watermark;
    bool hold;
    uint64_t position; /* of the last record */
    uint64_t ordinal;
    struct feed_place read; /* the feed, up to here */
    bool keep_told;
    uint32_t told_count; /* since the beginning */
    struct told told[RIG_TOLD_MAX];
    struct buf saved;
};

/* Limits that are 0 are generous; cold_max 0: cold parts are in the same heap. */
void timeouts_rig_open(struct timeouts_rig *rig, struct timeouts_limits limits);
void timeouts_rig_close(struct timeouts_rig *rig);

/* Begins anew with so much memory. */
void timeouts_rig_shrink(struct timeouts_rig *rig, size_t bytes);

/* A command at the rig's clock. */
struct timeout_result timeouts_rig_do(struct timeouts_rig *rig,
                                      const struct timeout_command *command);

/* A pulse; sets the clock, and takes what the feed tells. */
void timeouts_rig_pulse(struct timeouts_rig *rig, int64_t clock);

/* The state as bytes, borrowed until the next save; and back into fresh memory. */
struct bytes timeouts_rig_save(struct timeouts_rig *rig);
bool timeouts_rig_load(struct timeouts_rig *rig, struct bytes saved);
