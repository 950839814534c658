/* What the stories about rules share: each has a world of its own, on two engines. Times are seconds. */
#pragma once

#include "watch_world.h"

#define OVERDUE                                                                                    \
    "CREATE TIMEOUT overdue AS AFTER type = 'start' EXPECT type = 'stop' HEARTBEAT type = 'beat' " \
    "CANCEL type = 'cancel' WITHIN INTERVAL '10 seconds' PER subject "

static struct world world;

static int start(void **state)
{
    (void)state;
    struct world_options options = world_options(4, 2);
    world_init(&world, &options);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, start, end)
