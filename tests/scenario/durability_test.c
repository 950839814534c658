/* What is acknowledged is durable, what is visible is durable, and a full disk says no and heals.
 */
#include "../unit/base/support.h"

#include "story.h"

static struct story story;

static int tear_down(void **state)
{
    (void)state;
    story_end(&story);
    return 0;
}

static void nothing_is_answered_or_visible_before_it_is_durable(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 1);
    story.machine.log.polls_to_durable = UINT32_MAX; /* from here on the disk takes its time */
    const struct ticket *events = story_send(&story, "ATL@1 ATL@2 JFK@3", false);
    for (uint32_t turn = 0; turn < 1000; turn++) {
        for (uint32_t part = 0; part < world_part_count(&story.world); part++) {
            (void)world_step(&story.world, part);
        }
        story.machine.now_us += 1000;
    }
    story_line(&story, "the write is under way: events %s", story_outcome(events));
    const struct ticket *values = world_values(&story.world, "arrivals", 0);
    for (uint32_t part = 0; part < world_part_count(&story.world); part++) {
        (void)world_step(&story.world, part);
        (void)world_step(&story.world, part);
    }
    story_line(&story,
               "rows %u",
               (unsigned)values->query.answers[0].row_count +
                   (unsigned)values->query.answers[1].row_count);
    assert_int_equal(values->done, 1);
    story.machine.log.polls_left = 1;
    story.machine.log.polls_to_durable = 3;
    story_settle(&story);
    story_line(&story, "it is durable: events %s", story_outcome(events));
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "the write is under way: events waiting\n"
                 "rows 0\n"
                 "it is durable: events OK\n"
                 "arrivals: [0 ATL 2] [0 JFK 1]\n");
}

static void a_crash_before_durability_loses_only_what_was_not_acknowledged(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@1");
    story.machine.log.polls_to_durable = UINT32_MAX;
    const struct ticket *events = story_send(&story, "ATL@2", false);
    (void)world_step(&story.world, POST_SEQUENCER);
    story_line(&story, "events %s", story_outcome(events));
    story.machine.log.polls_to_durable = 0;
    story_restart(&story, &(struct world_options){0});
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@1: OK\n"
                 "events waiting\n"
                 "arrivals: [0 ATL 1]\n");
}

static void a_full_disk_refuses_writes_answers_reads_and_heals(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@1");
    story_pass(&story, 1);
    story.machine.log.full = true;
    story_pass(&story, 0.2); /* a tick notices it */
    story_tell(&story, "ATL@2");
    story_source(&story, "ua", LANE_BOUNDED);
    story_values(&story, "arrivals");
    story.machine.log.full = false;
    story_pass(&story, 0.2);
    story_tell(&story, "ATL@3");
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@1: OK\n"
                 "events ATL@2: no-space\n"
                 "source ua: no-space\n"
                 "arrivals: [0 ATL 1]\n"
                 "events ATL@3: OK\n"
                 "arrivals: [0 ATL 2]\n");
}

static void a_write_that_the_log_refuses_waits_and_is_kept_whole(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 1);
    story.machine.log.refuses = true; /* between two ticks: nobody knew */
    story.machine.log.full = true;
    struct ticket *first = story_send(&story, "ATL@1", false);
    story_settle(&story);
    story_line(&story, "first %s", story_outcome(first));
    story_tell(&story, "ATL@2");
    story_pass(&story, 5);
    story_line(&story, "first %s", story_outcome(first));
    story.machine.log.refuses = false;
    story.machine.log.full = false;
    story_pass(&story, 0.2);
    story_line(&story, "first %s", story_outcome(first));
    story_tell(&story, "ATL@3");
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "first waiting\n"
                 "events ATL@2: no-space\n"
                 "first waiting\n"
                 "first OK\n"
                 "events ATL@3: OK\n"
                 "arrivals: [0 ATL 2]\n");
}

static void a_drain_does_not_wait_for_space(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@1");
    story_pass(&story, 1);
    story.machine.log.refuses = true; /* between two ticks: nobody knew */
    story.machine.log.full = true;
    struct ticket *first = story_send(&story, "ATL@2", false);
    (void)world_step(&story.world, POST_SEQUENCER);
    struct ticket *second = story_send(&story, "ATL@3", true);
    story_pass(&story, 5);
    story_line(&story, "first %s, second %s", story_outcome(first), story_outcome(second));
    story.world.sequencer.final_pulse = true;
    story_pass(&story, 0.2);
    story_line(&story, "first %s, second %s", story_outcome(first), story_outcome(second));
    assert_true(sequencer_is_idle(&story.world.sequencer));
    assert_true(sequencer_patience_us(&story.world.sequencer) >= 1000);
    story.machine.log.refuses = false; /* too late: nothing may follow what was given up */
    story.machine.log.full = false;
    story_tell(&story, "ATL@4");
    story_pass(&story, 5);
    story_restart(&story, &(struct world_options){0});
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    story_tell(&story, "ATL@5");
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@1: OK\n"
                 "first waiting, second no-space\n"
                 "first no-space, second no-space\n"
                 "events ATL@4: no-space\n"
                 "arrivals: [0 ATL 1]\n"
                 "events ATL@5: OK\n"
                 "arrivals: [0 ATL 2]\n");
}

static void while_nothing_can_be_written_the_sequencer_sleeps(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 1);
    (void)story_send(&story, "ATL@1", false); /* with a pulse; so the next frame goes without */
    story_settle(&story);
    story.machine.log.refuses = true;
    story.machine.log.full = true;
    (void)story_send(&story, "ATL@2", false);
    story_pass(&story, 1);
    assert_true(sequencer_patience_us(&story.world.sequencer) >= 1000);
    story.machine.log.refuses = false;
    story.machine.log.full = false;
    story_pass(&story, 1);
    assert_true(sequencer_is_idle(&story.world.sequencer));
}

static void while_the_runners_are_behind_the_sequencer_sleeps(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 1);
    for (uint32_t n = 0; n < 20; n++) { /* the runner gets no turn */
        (void)story_send(&story, "ATL@1", false);
        story.machine.now_us += 1000;
        (void)world_step(&story.world, POST_SEQUENCER);
        (void)world_step(&story.world, POST_SEQUENCER);
    }
    story.machine.now_us += US_PER_SECOND;
    (void)world_step(&story.world, POST_SEQUENCER);
    assert_false(world_step(&story.world, POST_SEQUENCER));
    assert_true(sequencer_patience_us(&story.world.sequencer) >= 1000);
    story_settle(&story);
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "arrivals: [0 ATL 20]\n");
}

static void a_proposal_that_fits_no_frame_is_refused(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    size_t bytes = LOG_FRAME_BYTES_MAX;
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    memset(data, '1', bytes);
    const struct telling huge = {.source = BYTES("s"),
                                 .id = BYTES("huge"),
                                 .subject = BYTES("ATL"),
                                 .data = bytes_of(data, bytes),
                                 .time_us = WORLD_TIME(1)};
    const struct ticket *ticket = world_tell(&story.world, 0, &huge, 1, false);
    for (uint32_t n = 0; n < 100; n++) {
        for (uint32_t part = 0; part < world_part_count(&story.world); part++) {
            (void)world_step(&story.world, part);
        }
    }
    story_line(&story, "huge: %s", story_outcome(ticket));
    free(data);
    story_tell(&story, "ATL@1");
    ASSERT_STORY(&story,
                 "huge: too-large\n"
                 "events ATL@1: OK\n");
}

static void a_drain_hands_everything_over_and_answers_everybody(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 3, .pulse_every_us = US_PER_HOUR});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    const struct ticket *events = story_send(&story, "ATL@1 JFK@2 ORD@3 SFO@4", true);
    story_settle(&story);
    story_line(&story, "before: %s", story_outcome(events)); /* the next pulse is an hour away */
    story_values(&story, "arrivals");
    world_drain(&story.world);
    story_settle(&story);
    story_line(&story, "after: %s", story_outcome(events));
    story_values(&story, "arrivals");
    assert_true(sequencer_is_idle(&story.world.sequencer));
    assert_int_equal(gateway_under_way(story.world.gateways[0]), 0);
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "before: waiting\n"
                 "arrivals:\n"
                 "after: OK\n"
                 "arrivals: [0 ATL 1] [0 JFK 1] [0 ORD 1] [0 SFO 1]\n");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_answered_or_visible_before_it_is_durable),
        TEST(a_crash_before_durability_loses_only_what_was_not_acknowledged),
        TEST(a_full_disk_refuses_writes_answers_reads_and_heals),
        TEST(a_drain_does_not_wait_for_space),
        TEST(a_write_that_the_log_refuses_waits_and_is_kept_whole),
        TEST(while_nothing_can_be_written_the_sequencer_sleeps),
        TEST(while_the_runners_are_behind_the_sequencer_sleeps),
        TEST(a_proposal_that_fits_no_frame_is_refused),
        TEST(a_drain_hands_everything_over_and_answers_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
