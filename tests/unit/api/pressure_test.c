/* When a network thread refuses: only what waited long, behind many, and only when that lasts. */
#include "../base/support.h"

#include "api/pressure.h"

#define SECOND_US 1000000
#define MANY      (2 * PRESSURE_TAKEN_MIN)

static struct pressure pressure;
static int64_t clock_us;

static int set_up(void **state)
{
    (void)state;
    pressure_init(&pressure);
    clock_us = SECOND_US;
    return 0;
}

/* A turn of `count` requests that the loop sees at once and that take `each_us`; how many of them are
 * refused. A refusal takes no time here. */
static uint32_t turn(uint32_t count, int64_t each_us, uint64_t body_bytes)
{
    int64_t seen_us = clock_us;
    uint32_t refused = 0;
    for (uint32_t n = 0; n < count; n++) {
        if (pressure_refuses(&pressure, seen_us, clock_us, body_bytes)) {
            refused++;
        } else {
            clock_us += each_us;
        }
    }
    clock_us++;
    return refused;
}

static void short_waits_are_never_refused(void **state)
{
    (void)state;
    for (int n = 0; n < 10000; n++) {
        assert_int_equal(turn(MANY, PRESSURE_TARGET_US / MANY, 100), 0);
    }
}

static void a_burst_that_is_over_soon_is_taken_as_it_is(void **state)
{
    (void)state;
    for (int n = 0; n < 100; n++) {
        assert_int_equal(turn(MANY, PRESSURE_PATIENCE_US / MANY, 100), 0);
        assert_int_equal(turn(1, 100, 100), 0);
        clock_us += 1000;
    }
}

static void waits_that_stay_long_are_cut(void **state)
{
    (void)state;
    uint32_t refused = 0;
    for (int n = 0; n < 10; n++) {
        refused = turn(10 * MANY, 1000, 100);
    }
    /* The target's worth of them, and those that are always taken, are served. */
    assert_true(refused > 0);
    assert_in_range(10 * MANY - refused, PRESSURE_TAKEN_MIN, PRESSURE_TAKEN_MIN + 1);
}

static void few_requests_are_never_refused_however_slow_the_machine(void **state)
{
    (void)state;
    for (int n = 0; n < 1000; n++) {
        assert_int_equal(turn(PRESSURE_TAKEN_MIN, SECOND_US, 100), 0);
    }
}

static void a_large_body_may_wait_longer(void **state)
{
    (void)state;
    for (int n = 0; n < 10; n++) {
        (void)turn(10 * MANY, 1000, 100);
    }
    uint32_t small = turn(10 * MANY, 1000, 100);
    uint32_t large = turn(10 * MANY, 1000, 1024 * 1024);
    assert_true(large < small);
    assert_int_equal(turn(10 * MANY, 1000, UINT64_MAX), 0);
}

static void a_second_after_the_last_long_wait_it_is_calm_again(void **state)
{
    (void)state;
    for (int n = 0; n < 10; n++) {
        (void)turn(10 * MANY, 1000, 100);
    }
    assert_true(turn(MANY, PRESSURE_TARGET_US / 16, 100) > 0); /* pressed: at once */
    clock_us += PRESSURE_MEMORY_US;
    assert_int_equal(turn(1, 100, 100), 0);
    assert_int_equal(turn(MANY, PRESSURE_PATIENCE_US / MANY, 100), 0); /* a burst, as before */
}

static void it_stays_pressed_as_long_as_the_burst_lasts(void **state)
{
    (void)state;
    for (int n = 0; n < 10; n++) {
        (void)turn(10 * MANY, 1000, 100);
    }
    for (int n = 0; n < 1000; n++) {
        assert_true(turn(10 * MANY, 1000, 100) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(short_waits_are_never_refused, set_up),
        cmocka_unit_test_setup(a_burst_that_is_over_soon_is_taken_as_it_is, set_up),
        cmocka_unit_test_setup(waits_that_stay_long_are_cut, set_up),
        cmocka_unit_test_setup(few_requests_are_never_refused_however_slow_the_machine, set_up),
        cmocka_unit_test_setup(a_large_body_may_wait_longer, set_up),
        cmocka_unit_test_setup(a_second_after_the_last_long_wait_it_is_calm_again, set_up),
        cmocka_unit_test_setup(it_stays_pressed_as_long_as_the_burst_lasts, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
