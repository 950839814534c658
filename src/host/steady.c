#include "host/steady.h"

#include "base/check.h"

static int64_t below_wall_us(const struct steady *steady)
{
    return steady->below.ops->wall(steady->below.ctx).us;
}

static int64_t below_boot_us(const struct steady *steady)
{
    return steady->below.ops->boot_us(steady->below.ctx);
}

void steady_init(struct steady *steady, struct clock_port below)
{
    *steady = (struct steady){.below = below};
    steady->boot_us = below_boot_us(steady);
    steady->wall_us = below_wall_us(steady);
    atomic_init(&steady->offset_us, steady->wall_us - steady->boot_us);
    atomic_init(&steady->steps, 0);
}

static struct clock_time port_wall(void *ctx)
{
    const struct steady *steady = ctx;
    int64_t offset_us = atomic_load_explicit(&steady->offset_us, memory_order_relaxed);
    return (struct clock_time){below_boot_us(steady) + offset_us};
}

static int64_t port_boot_us(void *ctx)
{
    return below_boot_us(ctx);
}

struct clock_port steady_port(struct steady *steady)
{
    static const struct clock_ops ops = {.wall = port_wall, .boot_us = port_boot_us};
    return (struct clock_port){.ops = &ops, .ctx = steady};
}

void steady_not_before(struct steady *steady, struct clock_time moment)
{
    int64_t offset_us = moment.us - steady->boot_us;
    if (offset_us > atomic_load_explicit(&steady->offset_us, memory_order_relaxed)) {
        atomic_store_explicit(&steady->offset_us, offset_us, memory_order_relaxed);
    }
}

static void count_step(struct steady *steady)
{
    atomic_fetch_add_explicit(&steady->steps, 1, memory_order_relaxed);
}

/* How far the engine's clock is to leave the boot clock at this look. `ahead_us`: of the wall before
 * it; `passed_us`: since the last look. */
static int64_t
correction_us(struct steady *steady, int64_t wall_us, int64_t ahead_us, int64_t passed_us)
{
    bool frozen = wall_us == steady->wall_us && passed_us > 0;
    bool far_ahead = ahead_us > STEADY_SLACK_US;
    bool far_behind = ahead_us < -STEADY_SLACK_US && !frozen;
    if (far_ahead && steady->ahead_since_us == 0) {
        steady->ahead_since_us = steady->boot_us;
        count_step(steady);
    }
    if (far_behind && !steady->behind) {
        count_step(steady);
    }
    steady->behind = far_behind;
    if (far_ahead && steady->boot_us - steady->ahead_since_us < STEADY_BELIEVE_US) {
        return 0;
    }
    steady->ahead_since_us = 0;
    if (ahead_us >= 0) {
        return ahead_us;
    }
    int64_t half_us = passed_us / 2;
    return frozen ? 0 : (-ahead_us < half_us ? ahead_us : -half_us);
}

struct clock_time steady_look(struct steady *steady)
{
    int64_t boot_us = below_boot_us(steady);
    int64_t passed_us = boot_us - steady->boot_us;
    CHECK(passed_us >= 0);
    int64_t offset_us = atomic_load_explicit(&steady->offset_us, memory_order_relaxed);
    int64_t wall_us = below_wall_us(steady);
    steady->boot_us = boot_us;
    offset_us += correction_us(steady, wall_us, wall_us - (boot_us + offset_us), passed_us);
    steady->wall_us = wall_us;
    atomic_store_explicit(&steady->offset_us, offset_us, memory_order_relaxed);
    return (struct clock_time){boot_us + offset_us};
}

int64_t steady_ahead_us(const struct steady *steady)
{
    return steady->boot_us + atomic_load_explicit(&steady->offset_us, memory_order_relaxed) -
           steady->wall_us;
}
