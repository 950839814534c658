/* A disk in memory (ports/disk.h): sectors of 512 bytes, each with what is durable and what was
 * written since; names and sizes that are durable only once their directory or file was synced. It
 * outlives the simulated process, and loses in a power cut what a real one may lose.
 *
 *     medium    what a power cut leaves: sectors, sizes, names
 *     cache     what the process sees: the medium, and over it what was written since
 *     pristine  what the medium would hold had no fault been injected into it
 *
 * A power cut decides for every sector that was written and not synced whether it is kept, dropped,
 * or garbage; for every size and name that was not synced whether the old or the new one stands. A
 * process that dies takes nothing along: the cache belongs to the machine.
 *
 * A file takes as much space as it is long, holes too. A name has at most 127 bytes, a directory at
 * most 65,536 names, a process at most 255 handles. */
#pragma once

#include "ports/disk.h"
#include "sim/choice.h"

#define SIM_SECTOR 512

struct sim_disk;

enum disk_fault {
    FAULT_TORN_WRITE,  /* a power cut kept some sectors of a write and not others */
    FAULT_LOST_WRITE,  /* a power cut dropped all sectors of a write */
    FAULT_GARBAGE,     /* a power cut left garbage in an unsynced sector */
    FAULT_LOST_NAME,   /* a power cut undid a creation, renaming or removal */
    FAULT_LOST_SIZE,   /* a power cut undid a change of size */
    FAULT_SHORT_WRITE, /* a write did less than it was asked */
    FAULT_SHORT_READ,
    FAULT_INTERRUPTED, /* EINTR or EAGAIN */
    FAULT_NO_SPACE,    /* ENOSPC of what needs more space: reserving, or writing beyond the end */
    FAULT_WRITE_ERROR, /* EIO of a write, of which a first part may have been done */
    FAULT_SYNC_ERROR,  /* EIO of a sync; what was not durable is still to be written (1/4), or gone
                          (1/2), or seen and never written again (1/4) */
    FAULT_READ_ERROR,  /* EIO of a read */
    FAULT_SLOW,        /* a write or sync took 100 ms to 30 s */
    FAULT_ROT,         /* durable bytes changed by themselves */
    FAULT_MISDIRECTED, /* a block of a write went to another place of the file as well */
    FAULT_LYING_SYNC,  /* a sync, or a direct write, said yes and made nothing durable */
    FAULT_KINDS,
};

const char *disk_fault_name(enum disk_fault fault);

/* How likely each thing is: once in so many operations it applies to; 0: never. */
struct sim_disk_weather {
    uint32_t once_in[FAULT_KINDS]; /* the power cut's own (torn ... lost size): per sector, write,
                                      name or size not synced; FAULT_ROT is done by sim_disk_rot */
    uint32_t latency_us;           /* of a write or sync, at most */
    bool no_direct;                /* DISK_DIRECT is refused with EINVAL */
    bool no_reserve;               /* resize(reserve) is refused with EOPNOTSUPP */
};

struct sim_disk_hooks {
    /* Before each operation takes effect, and again after it did: the moments a process may die at.
     * May not return (the process is gone, then). `kind` is "create", "write", "sync", "resize",
     * "make", "rename" or "remove": what only looks has no moments. A direct write can be seen at
     * its first moment, and is durable at its second. May be NULL. */
    void (*moment)(void *ctx, const char *kind, const char *file, bool after);

    /* So much time passes for the caller. May be NULL. */
    void (*wait)(void *ctx, int64_t us);
    void (*die)(void *ctx, int exit_code, const char *text) __attribute__((noreturn));
    int64_t (*wall_us)(void *ctx);
    void *ctx;
};

/* An empty disk of `capacity` bytes; NULL on no memory. Randomness and faults come from `choice`. */
struct sim_disk *
sim_disk_create(struct choice *choice, uint64_t capacity, const struct sim_disk_hooks *hooks);
void sim_disk_destroy(struct sim_disk *disk);

struct disk_port sim_disk_port(struct sim_disk *disk);

/* The root directory's handle, for `at`; valid for ever. */
int sim_disk_root(struct sim_disk *disk);

void sim_disk_set_weather(struct sim_disk *disk, const struct sim_disk_weather *weather);
void sim_disk_set_capacity(struct sim_disk *disk, uint64_t capacity);

/* The process is gone: its handles are closed. What it wrote stands in the cache. */
void sim_disk_process_died(struct sim_disk *disk);

/* The power fails: the cache is gone, and each thing not synced is decided. Closes all handles. */
void sim_disk_power_cut(struct sim_disk *disk);

/* How often each fault has happened since creation: only what had an effect counts. */
uint64_t sim_disk_fault_count(const struct sim_disk *disk, enum disk_fault fault);

/* Handles that the process has open, the root aside. */
size_t sim_disk_open_count(const struct sim_disk *disk);

/* CHECKs the invariants; as slow as the disk is full. */
void sim_disk_validate(const struct sim_disk *disk);

/* --- for tests and damage on purpose --- */

/* Walks the names below a directory of the root ("log"; "" is the root itself). */
size_t sim_disk_name_count(const struct sim_disk *disk, const char *folder);
const char *sim_disk_name(const struct sim_disk *disk, const char *folder, size_t index);

/* The cache's content of a file; NULL: there is none. Valid until the next operation. */
const uint8_t *sim_disk_content(const struct sim_disk *disk,
                                const char *folder,
                                const char *name,
                                uint64_t *bytes);

/* Overwrites bytes in medium and cache alike, as far as the file is durable; counts a FAULT_ROT when
 * they were others. */
void sim_disk_rot(struct sim_disk *disk,
                  const char *folder,
                  const char *name,
                  uint64_t offset,
                  struct bytes bytes);

/* Undoes every damage done to the medium by sim_disk_rot and FAULT_MISDIRECTED. */
void sim_disk_restore_pristine(struct sim_disk *disk);

/* An exact copy, cache, medium and handles, with its own choice and hooks: to try one thing many
 * times. */
struct sim_disk *sim_disk_copy(const struct sim_disk *disk,
                               struct choice *choice,
                               const struct sim_disk_hooks *hooks);
