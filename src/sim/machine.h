/* The machine under a simulated process: virtual time, its clocks, its disk, and the ways it fails.
 * It outlives the process.
 *
 *     true time    moves only when everybody waits; drawn delays are waited in it
 *     wall clock   true time, with a drift, steps and freezes
 *     boot clock   true time since the beginning: what CLOCK_BOOTTIME tells
 *
 * A process ends in one of three ways, always in the middle of what its threads do, unless it came
 * to its end itself: killed (the disk's cache stays), by power cut (it doesn't), by its own
 * decision (exit code). */
#pragma once

#include "ports/clock.h"
#include "sim/disk.h"

/* Second 0 of every machine: 2024-01-01T00:00:00Z. */
#define MACHINE_EPOCH_US (1704067200LL * US_PER_SECOND)

enum process_end {
    END_NONE,  /* it lives */
    END_KILL,  /* SIGKILL */
    END_POWER, /* the power failed */
    END_EXIT,  /* it ended itself, with a code */
};

struct machine_weather {
    uint32_t kill_once_in;  /* moments of the disk; 0: never */
    uint32_t power_once_in; /* the same */
};

struct machine {
    struct choice *choice;
    struct sim_disk *disk;
    int64_t now_us; /* true time since the machine's beginning */
    int64_t wall_offset_us;
    int32_t drift_ppm;
    bool wall_frozen;
    int64_t frozen_wall_us;
    struct machine_weather weather;
    bool quiet; /* a judge is looking: nothing fails, nothing takes time */
    enum process_end ended;
    int exit_code; /* END_EXIT */
    char last_words[256];
    void (*wait)(void *ctx, int64_t us); /* how the process's threads wait */
    void *wait_ctx;
};

/* False on no memory. */
bool machine_init(struct machine *machine, struct choice *choice, uint64_t disk_bytes);
void machine_deinit(struct machine *machine);

/* The ports as a process gets them. Whatever the process asks of the disk runs on the simulator's
 * side of memory (sim/memory.h). */
struct disk_port machine_disk(struct machine *machine);
struct clock_port machine_clock(struct machine *machine);

int64_t machine_wall_us(const struct machine *machine);
void machine_step_wall(struct machine *machine, int64_t by_us);
void machine_freeze_wall(struct machine *machine, bool frozen);

/* The process ends here and now: does not return when called from inside a fiber. */
void machine_end_process(struct machine *machine, enum process_end how, int exit_code);

/* After the process is gone: what its end does to the disk. The machine is ready for another. */
void machine_bury(struct machine *machine);
