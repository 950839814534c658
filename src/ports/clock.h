/* The machine's clocks. Only the host asks; the core learns times from records. */
#pragma once

#include "model/clock.h"

struct clock_ops {
    /* Wall clock, UTC. May step. */
    struct clock_time (*wall)(void *ctx);

    /* Time since boot in microseconds, counting suspends; never goes back. */
    int64_t (*boot_us)(void *ctx);
};

struct clock_port {
    const struct clock_ops *ops;
    void *ctx;
};
