/* Commands on what rules began: decided by the order of the log, whatever the watermark is. */
#include "watch_story.h"

static void commands_end_all_that_waits_of_a_key(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    assert_int_equal(world_command(&world, TIMEOUT_COMPLETE, rule, "a", 0).outcome,
                     TIMEOUT_UNKNOWN);
    world_event(&world, "start", "a", 0);
    world_event(&world, "start", "a", 5);
    world_event(&world, "start", "b", 0);
    /* What waits for the watermark has not begun. */
    assert_int_equal(world_command(&world, TIMEOUT_COMPLETE, rule, "a", 0).outcome,
                     TIMEOUT_UNKNOWN);
    world_pulse(&world, 6);
    struct timeout_result done = world_command(&world, TIMEOUT_COMPLETE, rule, "a", 0);
    assert_int_equal(done.outcome, TIMEOUT_CHANGED);
    assert_int_equal(done.object.state, TIMEOUT_COMPLETED);
    assert_int_equal(done.object.event_time.us, 5 * US_PER_SECOND);
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 2);
    assert_int_equal(world_command(&world, TIMEOUT_COMPLETE, rule, "a", 0).outcome,
                     TIMEOUT_UNCHANGED);
    assert_int_equal(world_command(&world, TIMEOUT_CANCEL, rule, "a", 0).outcome, TIMEOUT_ENDED);
    assert_int_equal(world_command(&world, TIMEOUT_HEARTBEAT, rule, "a", 0).outcome, TIMEOUT_ENDED);
    assert_int_equal(world_command(&world, TIMEOUT_CANCEL, rule + 1, "b", 0).outcome,
                     TIMEOUT_UNKNOWN);
    world_pulse(&world, 100);
    assert_told(&world, "fired b 0..10 seen 0\n");
    struct timeout_result late = world_command(&world, TIMEOUT_CANCEL, rule, "b", 0);
    assert_int_equal(late.outcome, TIMEOUT_ALREADY_FIRED);
    assert_int_equal(late.object.state, TIMEOUT_FIRED);
}

static void what_acted_in_vain_acts_on_an_instance_that_a_command_gives_more_time(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE "GRACE INTERVAL '20 seconds'");
    world_event(&world, "start", "a", 0);
    world_event(&world, "stop", "a", 12); /* behind the deadline */
    world_pulse(&world, 15);
    assert_int_equal(world_count(&world, rule, TIMEOUT_PENDING), 1);
    struct timeout_result beat = world_command(&world, TIMEOUT_HEARTBEAT, rule, "a", 1000);
    assert_int_equal(beat.outcome, TIMEOUT_CHANGED);
    assert_int_equal(beat.object.state, TIMEOUT_COMPLETED);
    world_pulse(&world, WATERMARK_FINAL);
    assert_told(&world, "");
}

static void a_command_keeps_alive_and_never_shortens(void **state)
{
    (void)state;
    uint32_t rule =
        world_rule(&world,
                   "CREATE TIMEOUT alive AS AFTER type = 'start' EXPECT type = 'stop' WITHIN "
                   "INTERVAL '10 seconds' PER subject CLOCK PROCESSING");
    int64_t began = world.clock;
    world_event(&world, "start", "a", 0);
    world_pulse(&world, 0);
    struct timeout_result beat = world_command(&world, TIMEOUT_HEARTBEAT, rule, "a", 300);
    assert_int_equal(beat.outcome, TIMEOUT_CHANGED);
    assert_int_equal(beat.object.deadline, (world.clock + 300) * US_PER_SECOND);
    int64_t until = world.clock + 300;
    assert_int_equal(world_command(&world, TIMEOUT_HEARTBEAT, rule, "a", 0).object.deadline,
                     until * US_PER_SECOND);
    assert_true(until > began + 10);
    world.clock = until - 1;
    world_pulse(&world, 0);
    assert_told(&world, "");
    world.clock = until;
    world_pulse(&world, 0);
    assert_int_equal(world_count(&world, rule, TIMEOUT_FIRED), 1);
    (void)world_told(&world);
    uint32_t quiet = world_rule(
        &world,
        "CREATE SILENCE quiet AS EXPECT type = 'start' EVERY INTERVAL '1 hour' PER subject");
    world_event(&world, "start", "a", 1);
    world_pulse(&world, 2);
    assert_int_equal(world_command(&world, TIMEOUT_CANCEL, quiet, "a", 0).outcome, TIMEOUT_UNKNOWN);
    assert_int_equal(world_count(&world, quiet, TIMEOUT_PENDING), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(commands_end_all_that_waits_of_a_key),
        STORY(what_acted_in_vain_acts_on_an_instance_that_a_command_gives_more_time),
        STORY(a_command_keeps_alive_and_never_shortens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
