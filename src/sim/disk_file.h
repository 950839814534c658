/* The content of one simulated file: what is durable, what is seen, and which sectors of the two
 * are apart because they were written and not synced. */
#pragma once

#include "sim/disk_luck.h"

#define SIM_FILE_BYTES_MAX ((uint64_t)1 << 40)

/* Sectors [first, end) that one write touched. */
struct sim_write {
    uint32_t first;
    uint32_t end;
};

/* A sector that a fault changed, as it would be without. */
struct sim_damage {
    uint32_t sector;
    uint8_t medium[SIM_SECTOR];
    uint8_t cache[SIM_SECTOR];
};

struct sim_file {
    uint8_t *cache; /* room_bytes each, as is medium */
    uint8_t *medium;
    uint64_t *dirty;       /* a bit per sector: written, not durable */
    uint64_t *cache_data;  /* a bit per sector: not a hole */
    uint64_t *medium_data; /* ... as the medium has it */
    uint64_t room_bytes;
    uint64_t cache_bytes;  /* the size that is seen */
    uint64_t medium_bytes; /* the size that is durable */
    uint64_t cut_bytes;    /* the least size since the sizes were the same */
    bool astray;           /* a failed sync left clean sectors that are not durable */
    struct sim_write *writes;
    uint32_t write_count;
    struct sim_damage *damages;
    uint32_t damage_count;
    uint32_t damage_capacity;
};

void sim_file_init(struct sim_file *file);
void sim_file_free(struct sim_file *file);
void sim_file_copy(struct sim_file *to, const struct sim_file *from);

/* CHECKs the invariants of disk_file.c; as slow as the file is long. */
void sim_file_validate(const struct sim_file *file);

/* Whether something of it (content or size) is not durable. */
bool sim_file_unsynced(const struct sim_file *file);

/* Puts bytes into the cache, making the file longer; sim_file_wrote says which of them were one
 * write. `end` <= SIM_FILE_BYTES_MAX. */
void sim_file_put(struct sim_file *file, uint64_t offset, struct bytes bytes);
void sim_file_wrote(struct sim_file *file, uint64_t offset, uint64_t len);
void sim_file_resize(struct sim_file *file, uint64_t size);

/* Reads at most len bytes. from_medium: as a reader sees it that does not use the cache (what is
 * unsynced is written back for it, and seen). */
uint64_t sim_file_read(
    const struct sim_file *file, uint64_t offset, uint8_t *into, uint64_t len, bool from_medium);

/* The first offset >= `offset` that is no hole; -1: there is none. */
int64_t sim_file_next_data(const struct sim_file *file, uint64_t offset);

/* All of it, or what a direct write (of whole sectors) put there, becomes durable. */
void sim_file_sync(struct sim_file *file);
void sim_file_sync_write(struct sim_file *file, uint64_t offset, uint64_t len);

/* What a failed sync does to the sectors that were not durable: the cache shows the medium again;
 * or it shows them still, and no later sync will write them. */
void sim_file_drop(struct sim_file *file);
void sim_file_forget(struct sim_file *file);

void sim_file_power_cut(struct sim_file *file, struct sim_luck *luck);

/* Changes bytes in medium and cache alike; true when they were not so before. The file ends where
 * it did. */
bool sim_file_damage(struct sim_file *file, uint64_t offset, struct bytes bytes);
void sim_file_restore(struct sim_file *file);
