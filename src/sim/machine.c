/* The machine: see machine.h.
 *
 * The disk calls back at every moment an operation is about to take effect or has: there the dice
 * are thrown whether the process dies. It also says how long things take; the calling thread (a
 * fiber) waits that long while the others go on. */
#include "sim/machine.h"

#include "base/check.h"
#include "sim/fiber.h"
#include "sim/memory.h"

#include <stdio.h>
#include <string.h>

#define MILLION  1000000
#define DELICATE 4

/* --- clocks --- */

int64_t machine_wall_us(const struct machine *machine)
{
    if (machine->wall_frozen) {
        return machine->frozen_wall_us;
    }
    int64_t drift_us = machine->now_us / MILLION * machine->drift_ppm;
    return MACHINE_EPOCH_US + machine->now_us + drift_us + machine->wall_offset_us;
}

void machine_step_wall(struct machine *machine, int64_t by_us)
{
    machine->wall_offset_us += by_us;
}

void machine_freeze_wall(struct machine *machine, bool frozen)
{
    if (frozen && !machine->wall_frozen) {
        machine->frozen_wall_us = machine_wall_us(machine);
    } else if (!frozen && machine->wall_frozen) {
        /* It goes on from where it stood. */
        machine->wall_frozen = false;
        machine->wall_offset_us += machine->frozen_wall_us - machine_wall_us(machine);
    }
    machine->wall_frozen = frozen;
}

static struct clock_time clock_wall(void *ctx)
{
    return (struct clock_time){machine_wall_us(ctx)};
}

static int64_t clock_boot_us(void *ctx)
{
    const struct machine *machine = ctx;
    return US_PER_SECOND + machine->now_us;
}

struct clock_port machine_clock(struct machine *machine)
{
    static const struct clock_ops ops = {.wall = clock_wall, .boot_us = clock_boot_us};
    return (struct clock_port){.ops = &ops, .ctx = machine};
}

/* --- ends --- */

void machine_end_process(struct machine *machine, enum process_end how, int exit_code)
{
    if (machine->ended == END_NONE) {
        machine->ended = how;
        machine->exit_code = exit_code;
    }
    while (fiber_inside()) {
        fiber_yield(); /* and is dropped there */
    }
}

void machine_bury(struct machine *machine)
{
    CHECK(!fiber_inside() && machine->ended != END_NONE);
    if (machine->ended == END_POWER) {
        sim_disk_power_cut(machine->disk);
    } else {
        sim_disk_process_died(machine->disk);
    }
    machine->ended = END_NONE;
    machine->exit_code = 0;
    machine->last_words[0] = '\0';
}

/* --- the disk's hooks --- */

static void on_moment(void *ctx, const char *kind, const char *file, bool after)
{
    (void)file;
    struct machine *machine = ctx;
    struct machine_weather weather = machine->weather;
    if (!after && strcmp(kind, "write") == 0) {
        /* Nothing is as delicate as a write under way. */
        weather.kill_once_in = (weather.kill_once_in + DELICATE - 1) / DELICATE;
        weather.power_once_in = (weather.power_once_in + DELICATE - 1) / DELICATE;
    }
    if (machine->quiet || !fiber_inside()) {
        return;
    }
    if (weather.kill_once_in > 0 &&
        choose_once_in(machine->choice, CHOICE_CRASH, weather.kill_once_in)) {
        machine_end_process(machine, END_KILL, 0);
    }
    if (weather.power_once_in > 0 &&
        choose_once_in(machine->choice, CHOICE_CRASH, weather.power_once_in)) {
        machine_end_process(machine, END_POWER, 0);
    }
}

static void on_wait(void *ctx, int64_t us)
{
    struct machine *machine = ctx;
    if (us > 0 && !machine->quiet && fiber_inside() && machine->wait != NULL) {
        machine->wait(machine->wait_ctx, us);
    }
}

static int64_t on_wall(void *ctx)
{
    return machine_wall_us(ctx);
}

__attribute__((noreturn)) static void on_die(void *ctx, int exit_code, const char *text)
{
    struct machine *machine = ctx;
    (void)snprintf(machine->last_words, sizeof(machine->last_words), "%s", text);
    machine_end_process(machine, END_EXIT, exit_code);
    UNREACHABLE("a process outside of a fiber can't die");
}

bool machine_init(struct machine *machine, struct choice *choice, uint64_t disk_bytes)
{
    *machine = (struct machine){.choice = choice};
    const struct sim_disk_hooks hooks = {
        .moment = on_moment, .wait = on_wait, .die = on_die, .wall_us = on_wall, .ctx = machine};
    machine->disk = sim_disk_create(choice, disk_bytes, &hooks);
    return machine->disk != NULL;
}

void machine_deinit(struct machine *machine)
{
    sim_disk_destroy(machine->disk);
}

/* --- the disk as the process sees it: the same, but on the simulator's side of memory --- */

static struct disk_port below(void *ctx)
{
    const struct machine *machine = ctx;
    return sim_disk_port(machine->disk);
}

static int disk_open(void *ctx, int at, const char *name, unsigned int mode)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    int file = port.files->open(port.ctx, at, name, mode);
    memory_switch(side);
    return file;
}

static void disk_close(void *ctx, int file)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    port.files->close(port.ctx, file);
    memory_switch(side);
}

static ssize_t disk_read(void *ctx, int file, void *into, size_t len, uint64_t offset)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    ssize_t n = port.files->read(port.ctx, file, into, len, offset);
    memory_switch(side);
    return n;
}

static ssize_t
disk_write(void *ctx, int file, const struct iovec *parts, int part_count, uint64_t offset)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    ssize_t n = port.files->write(port.ctx, file, parts, part_count, offset);
    memory_switch(side);
    return n;
}

static bool disk_sync(void *ctx, int file)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    bool good = port.files->sync(port.ctx, file);
    memory_switch(side);
    return good;
}

static bool disk_resize(void *ctx, int file, uint64_t size, bool reserve)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    bool good = port.files->resize(port.ctx, file, size, reserve);
    memory_switch(side);
    return good;
}

static int64_t disk_next_data(void *ctx, int file, uint64_t offset)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    int64_t at = port.files->next_data(port.ctx, file, offset);
    memory_switch(side);
    return at;
}

static bool disk_make(void *ctx, int at, const char *name)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    bool good = port.folders->make(port.ctx, at, name);
    memory_switch(side);
    return good;
}

/* tell() is the process's own code. */
struct listing {
    bool (*tell)(void *user, const char *name);
    void *user;
    bool side;
};

static bool tell_inside(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    memory_switch(listing->side);
    bool more = listing->tell(listing->user, name);
    memory_switch(false);
    return more;
}

static bool disk_list(void *ctx, int at, bool (*tell)(void *user, const char *name), void *user)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    struct listing listing = {.tell = tell, .user = user, .side = side};
    bool good = port.folders->list(port.ctx, at, tell_inside, &listing);
    memory_switch(side);
    return good;
}

static bool disk_info_of(void *ctx, int at, const char *name, struct disk_info *info)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    bool good = port.folders->info(port.ctx, at, name, info);
    memory_switch(side);
    return good;
}

static bool disk_rename(void *ctx, int at, const char *from, const char *to)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    bool good = port.folders->rename(port.ctx, at, from, to);
    memory_switch(side);
    return good;
}

static bool disk_remove(void *ctx, int at, const char *name)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    bool good = port.folders->remove(port.ctx, at, name);
    memory_switch(side);
    return good;
}

static void disk_random(void *ctx, void *into, size_t len)
{
    struct disk_port port = below(ctx);
    bool side = memory_switch(false);
    port.fate->random(port.ctx, into, len);
    memory_switch(side);
}

static void disk_die(void *ctx, int exit_code, const char *text)
{
    on_die(ctx, exit_code, text);
}

struct disk_port machine_disk(struct machine *machine)
{
    static const struct file_ops files = {.open = disk_open,
                                          .close = disk_close,
                                          .read = disk_read,
                                          .write = disk_write,
                                          .sync = disk_sync,
                                          .resize = disk_resize,
                                          .next_data = disk_next_data};
    static const struct folder_ops folders = {.make = disk_make,
                                              .list = disk_list,
                                              .info = disk_info_of,
                                              .rename = disk_rename,
                                              .remove = disk_remove};
    static const struct disk_fate_ops fate = {.random = disk_random, .die = disk_die};
    return (struct disk_port){.files = &files, .folders = &folders, .fate = &fate, .ctx = machine};
}
