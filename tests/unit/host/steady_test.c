#include "host/steady.h"

#include "../base/support.h"

struct clocks {
    int64_t wall_us;
    int64_t boot_us;
};

static struct clocks clocks;
static struct steady steady;

static struct clock_time wall(void *ctx)
{
    return (struct clock_time){((struct clocks *)ctx)->wall_us};
}

static int64_t boot(void *ctx)
{
    return ((struct clocks *)ctx)->boot_us;
}

static int set_up(void **state)
{
    (void)state;
    static const struct clock_ops ops = {.wall = wall, .boot_us = boot};
    clocks = (struct clocks){.wall_us = 1000 * US_PER_SECOND, .boot_us = 5 * US_PER_SECOND};
    steady_init(&steady, (struct clock_port){&ops, &clocks});
    return 0;
}

/* Both clocks go on; the engine looks every 10 ms. */
static void pass(int64_t us)
{
    for (int64_t done_us = 0; done_us < us; done_us += 10000) {
        int64_t before_us = steady_look(&steady).us;
        clocks.wall_us += 10000;
        clocks.boot_us += 10000;
        int64_t now_us = steady_look(&steady).us;
        assert_true(now_us > before_us);
        assert_int_equal(steady_port(&steady).ops->wall(&steady).us, now_us);
    }
}

static void it_follows_the_wall_clock(void **state)
{
    (void)state;
    pass(US_PER_SECOND);
    assert_int_equal(steady_look(&steady).us, 1001 * US_PER_SECOND);
    clocks.wall_us += 300000; /* slewed */
    assert_int_equal(steady_look(&steady).us, clocks.wall_us);
    assert_int_equal(steady.steps, 0);
}

static void after_a_sleep_it_follows_at_once(void **state)
{
    (void)state;
    pass(US_PER_SECOND);
    clocks.wall_us += US_PER_HOUR;
    clocks.boot_us += US_PER_HOUR;
    assert_int_equal(steady_look(&steady).us, clocks.wall_us);
    assert_int_equal(steady.steps, 0);
}

static void a_step_back_is_met_at_half_speed(void **state)
{
    (void)state;
    pass(US_PER_SECOND);
    int64_t before_us = steady_look(&steady).us;
    clocks.wall_us -= 60 * US_PER_SECOND;
    pass(60 * US_PER_SECOND);
    int64_t half_us = steady_look(&steady).us;
    assert_in_range(half_us - before_us, 29 * US_PER_SECOND, 31 * US_PER_SECOND);
    assert_in_range(steady_ahead_us(&steady), 29 * US_PER_SECOND, 31 * US_PER_SECOND);
    pass(61 * US_PER_SECOND);
    assert_int_equal(steady_look(&steady).us, clocks.wall_us);
    assert_int_equal(steady.steps, 1);
}

static void a_step_ahead_is_believed_after_ten_seconds(void **state)
{
    (void)state;
    pass(US_PER_SECOND);
    int64_t before_us = steady_look(&steady).us;
    clocks.wall_us += US_PER_HOUR;
    pass(STEADY_BELIEVE_US - US_PER_SECOND);
    assert_int_equal(steady_look(&steady).us - before_us, STEADY_BELIEVE_US - US_PER_SECOND);
    pass(2 * US_PER_SECOND);
    assert_int_equal(steady_look(&steady).us, clocks.wall_us);
    assert_int_equal(steady.steps, 1);
}

static void a_wrong_moment_of_the_wall_clock_decides_nothing(void **state)
{
    (void)state;
    pass(US_PER_SECOND);
    int64_t before_us = steady_look(&steady).us;
    clocks.wall_us += 365LL * US_PER_DAY;
    pass(5 * US_PER_SECOND);
    clocks.wall_us -= 365LL * US_PER_DAY;
    pass(20 * US_PER_SECOND);
    assert_int_equal(steady_look(&steady).us - before_us, 25 * US_PER_SECOND);
    assert_int_equal(steady_look(&steady).us, clocks.wall_us);
}

static void a_frozen_wall_clock_does_not_hold_it(void **state)
{
    (void)state;
    pass(US_PER_SECOND);
    int64_t before_us = steady_look(&steady).us;
    for (int n = 0; n < 1000; n++) {
        clocks.boot_us += 10000;
        (void)steady_look(&steady);
    }
    assert_int_equal(steady_look(&steady).us - before_us, 10 * US_PER_SECOND);
}

static void it_is_not_before_what_the_log_says(void **state)
{
    (void)state;
    steady_not_before(&steady, (struct clock_time){2000 * US_PER_SECOND});
    assert_int_equal(steady_look(&steady).us, 2000 * US_PER_SECOND);
    pass(10 * US_PER_SECOND);
    assert_in_range(steady_look(&steady).us, 2004 * US_PER_SECOND, 2006 * US_PER_SECOND);
    steady_not_before(&steady, (struct clock_time){1000 * US_PER_SECOND});
    assert_true(steady_look(&steady).us > 2004 * US_PER_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_follows_the_wall_clock, set_up),
        cmocka_unit_test_setup(after_a_sleep_it_follows_at_once, set_up),
        cmocka_unit_test_setup(a_step_back_is_met_at_half_speed, set_up),
        cmocka_unit_test_setup(a_step_ahead_is_believed_after_ten_seconds, set_up),
        cmocka_unit_test_setup(a_wrong_moment_of_the_wall_clock_decides_nothing, set_up),
        cmocka_unit_test_setup(a_frozen_wall_clock_does_not_hold_it, set_up),
        cmocka_unit_test_setup(it_is_not_before_what_the_log_says, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
