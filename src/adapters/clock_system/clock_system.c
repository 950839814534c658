#include "adapters/clock_system/clock_system.h"

#include "base/check.h"

#include <time.h>

static int64_t read_us(clockid_t clock)
{
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

static struct clock_time wall(void *ctx)
{
    (void)ctx;
    return (struct clock_time){read_us(CLOCK_REALTIME)};
}

static int64_t boot_us(void *ctx)
{
    (void)ctx;
    return read_us(CLOCK_BOOTTIME);
}

struct clock_port clock_system_port(void)
{
    static const struct clock_ops ops = {.wall = wall, .boot_us = boot_us};
    return (struct clock_port){.ops = &ops};
}
