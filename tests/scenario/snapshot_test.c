/* Snapshots under load: runners stand still at one pulse, then go on; what was asked for is
 * answered when it is there, and failures harm nothing. */
#include "../unit/base/support.h"

#include "model/answer.h"
#include "story.h"

static struct story story;

static int tear_down(void **state)
{
    (void)state;
    story_end(&story);
    return 0;
}

static struct ticket *want_snapshot(void)
{
    return world_propose(&story.world, &(struct proposal){.kind = PROPOSE_SNAPSHOT});
}

static void tell_runner_states(void)
{
    static const char *const names[] = {"idle", "applying", "at barrier", "parked"};
    for (uint32_t n = 0; n < story.options.runners; n++) {
        story_line(&story, "runner %u: %s", n, names[story.world.runners[n].state]);
    }
}

static void all_runners_park_at_one_pulse_and_go_on_together(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@1 JFK@1 ORD@1");
    const struct ticket *snapshot = want_snapshot();
    (void)world_step(&story.world, POST_SEQUENCER); /* the pulse is durable */
    for (uint32_t turn = 0; turn < 10; turn++) {
        (void)world_step(&story.world, post_runner(0));
    }
    tell_runner_states(); /* the other has not even begun */
    for (uint32_t turn = 0; turn < 10; turn++) {
        (void)world_step(&story.world, post_runner(1));
        (void)world_step(&story.world, post_runner(0));
    }
    tell_runner_states();
    story_line(&story, "started %u, %s", story.machine.snapshots.started, story_outcome(snapshot));
    (void)world_step(&story.world, POST_SEQUENCER);
    story_line(&story, "started %u, %s", story.machine.snapshots.started, story_outcome(snapshot));
    story_settle(&story);
    tell_runner_states();
    story_pass(&story, 0.02);
    story_line(&story, "%s, kept %u", story_outcome(snapshot), story.machine.snapshots.count);
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@1 JFK@1 ORD@1: OK\n"
                 "runner 0: at barrier\n"
                 "runner 1: idle\n"
                 "runner 0: parked\n"
                 "runner 1: parked\n"
                 "started 0, waiting\n"
                 "started 1, waiting\n"
                 "runner 0: idle\n"
                 "runner 1: idle\n"
                 "OK, kept 1\n");
    assert_int_equal(snapshot->proposal.as_of, story.machine.snapshots.kept[0].position);
}

static void events_go_on_while_a_snapshot_is_written(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 3});
    story.machine.snapshots.polls_to_done = UINT32_MAX;
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@1");
    const struct ticket *snapshot = want_snapshot();
    story_settle(&story);
    for (uint32_t n = 0; n < 10; n++) {
        story_tell(&story, "JFK@2");
        story_pass(&story, 0.03);
    }
    story.trace_len = 0;
    story_line(&story, "snapshot %s", story_outcome(snapshot));
    story_values(&story, "arrivals");
    story.machine.snapshots.polls_left = 1;
    story_pass(&story, 0.1);
    story_line(&story, "snapshot %s", story_outcome(snapshot));
    ASSERT_STORY(&story,
                 "snapshot waiting\n"
                 "arrivals: [0 ATL 1] [0 JFK 10]\n"
                 "snapshot OK\n");
    world_drain(&story.world);
    uint64_t digest = world_digest(&story.world);
    world_stop(&story.world);
    assert_true(world_start(&story.world, &story.machine, &(struct world_options){.runners = 1}));
    assert_true(story.world.replay_from > 0);
    assert_int_equal(story.world.replayed, 10);
    assert_int_equal(world_digest(&story.world), digest);
}

static void a_crash_while_it_is_written_leaves_the_older_one(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@1");
    (void)want_snapshot();
    story_pass(&story, 0.1);
    uint64_t first = story.machine.snapshots.kept[0].position;
    story_tell(&story, "ATL@2");
    story.machine.snapshots.polls_to_done = UINT32_MAX;
    (void)want_snapshot();
    story_pass(&story, 0.1);
    story_restart(&story, &(struct world_options){0});
    assert_int_equal(story.world.replay_from, first);
    assert_int_equal(story.world.replayed, 1);
}

/* An answer that both snapshots hold. */
static void keep_an_answer(void)
{
    static uint8_t memory[1000];
    struct buf out = buf_of(memory, sizeof(memory));
    const struct kept_answer answer = {.key = bytes_of_string("once"),
                                       .request.half = {1, ~(uint64_t)1},
                                       .status = 201,
                                       .body = bytes_of_string("{}")};
    kept_answer_put(&out, &answer);
    assert_false(out.overflow);
    const struct ticket *kept = world_propose(
        &story.world, &(struct proposal){.kind = PROPOSE_ANSWER, .records = buf_bytes(&out)});
    story_pass(&story, 0.1);
    assert_string_equal(story_outcome(kept), "OK");
}

/* The state as it comes back, from the snapshot at that position. */
static uint64_t digest_from(const struct world_options *options, uint64_t position)
{
    story_restart(&story, options);
    assert_int_equal(story.world.replay_from, position);
    return world_digest(&story.world);
}

/* The damage shows while it is loaded: what was loaded by then must leave no trace. */
static void one_that_is_damaged_anywhere_gives_way_to_the_older_one(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@1 JFK@2");
    keep_an_answer();
    (void)want_snapshot();
    story_pass(&story, 0.1);
    story_tell(&story, "ATL@3 ORD@4 SEA@5");
    (void)want_snapshot();
    story_pass(&story, 0.1);
    story_tell(&story, "LAX@6");
    story_pass(&story, 0.1);
    struct memory_snapshots *snapshots = &story.machine.snapshots;
    assert_int_equal(snapshots->count, 2);
    struct world_options look = {.runners = 2, .replay_until = story.machine.log.end};
    uint64_t digest = digest_from(&look, snapshots->kept[1].position);
    size_t len = snapshots->kept[1].len;
    for (size_t at = 1; at < len; at += len / 97 + 1) {
        uint64_t damaged_before = snapshots->damaged_count;
        snapshots->kept[1].damaged_from = at;
        snapshots->kept[1].known_damaged = false;
        assert_int_equal(digest_from(&look, snapshots->kept[0].position), digest);
        assert_int_equal(snapshots->damaged_count, damaged_before + 1);
    }
    snapshots->kept[0].damaged_from = len / 2;
    assert_int_equal(digest_from(&look, 0), digest);
}

static void a_failed_snapshot_is_reported_and_the_next_may_succeed(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story.machine.snapshots.fails = true;
    const struct ticket *first = want_snapshot();
    story_pass(&story, 0.1);
    story_line(&story, "first %s", story_outcome(first));
    story.machine.snapshots.fails = false;
    story.machine.snapshots.refuses = true;
    const struct ticket *second = want_snapshot();
    story_pass(&story, 0.1);
    story_line(&story, "second %s", story_outcome(second));
    story.machine.snapshots.refuses = false;
    story_tell(&story, "ATL@1");
    const struct ticket *third = want_snapshot();
    story_pass(&story, 0.1);
    story_line(&story, "third %s", story_outcome(third));
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "first internal\n"
                 "second conflict\n"
                 "events ATL@1: OK\n"
                 "third OK\n"
                 "arrivals: [0 ATL 1]\n");
}

static void who_asks_while_one_is_written_gets_the_next_one(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story.machine.snapshots.polls_to_done = 10;
    const struct ticket *first = want_snapshot();
    story_settle(&story);
    story_tell(&story, "ATL@1");
    const struct ticket *second = want_snapshot();
    story_pass(&story, 2);
    assert_string_equal(story_outcome(first), "OK");
    assert_string_equal(story_outcome(second), "OK");
    assert_int_equal(story.machine.snapshots.started, 2);
    assert_true(first->proposal.as_of < second->proposal.as_of);
    story_restart(&story, &(struct world_options){0});
    assert_int_equal(story.world.replayed, 0); /* the second covers the event */
}

static void snapshots_come_by_themselves_as_the_log_grows(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.snapshot_every_bytes = 64 * 1024});
    story.machine.log.trims = true;
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    for (uint32_t n = 0; n < 100; n++) {
        story_tell(&story, "ATL@1");
        story_pass(&story, 0.03);
    }
    assert_true(story.machine.snapshots.started >= 4);
    assert_int_equal(story.machine.snapshots.count, MEMORY_SNAPSHOTS_KEPT);
    assert_true(story.machine.log.frames[0].position >= story.machine.snapshots.kept[0].position);
    story_restart(&story, &(struct world_options){0});
    story.trace_len = 0;
    story_values(&story, "arrivals");
    ASSERT_STORY(&story, "arrivals: [0 ATL 100]\n");
}

static void after_a_long_start_what_fell_due_comes_before_the_next_snapshot(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    for (uint32_t n = 0; n < 30; n++) {
        story_tell(&story, "ATL@1");
        story_pass(&story, 0.03);
    }
    world_stop(&story.world);
    struct world_options options = {.snapshot_every_bytes = 64 * 1024};
    assert_true(world_start(&story.world, &story.machine, &options));
    struct sequencer *sequencer = &story.world.sequencer;
    assert_int_equal(sequencer->snapshot_not_before.us, sequencer->clock.us); /* it took no time */
    sequencer->snapshot_not_before.us += 2 * US_PER_SECOND;
    story_pass(&story, 1.5);
    assert_int_equal(story.machine.snapshots.started, 0);
    story_pass(&story, 1);
    assert_int_equal(story.machine.snapshots.started, 1);
}

static void sources_and_metrics_survive_in_the_snapshot(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story.machine.log.trims = true;
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_source(&story, "ua", LANE_BOUNDED);
    story_source(&story, "dl", LANE_EXPLICIT);
    story_source(&story, "aa", LANE_BOUNDED);
    story_forget(&story, "ua");
    story_tell(&story, "aa/ATL@20 ATL@30");
    story_lane(&story, "dl", LANE_FINISH, 0);
    for (uint32_t n = 0; n < 4; n++) {
        (void)want_snapshot();
        story_pass(&story, 0.1);
    }
    story_restart(&story, &(struct world_options){0});
    story.trace_len = 0;
    story_watermark(&story);
    story_source(&story, "dl", LANE_EXPLICIT);
    story_source(&story, "aa", LANE_BOUNDED);
    story_source(&story, "ua", LANE_BOUNDED);
    story_lane(&story, "dl", LANE_ADVANCE, 30);
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "W 15\n"
                 "source dl: OK unchanged v1\n"
                 "source aa: OK unchanged v1\n"
                 "source ua: OK created v1\n"
                 "advance dl 30: conflict\n"
                 "define arrivals: OK unchanged v1\n"
                 "arrivals: [0 ATL 2]\n");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_runners_park_at_one_pulse_and_go_on_together),
        TEST(events_go_on_while_a_snapshot_is_written),
        TEST(a_crash_while_it_is_written_leaves_the_older_one),
        TEST(one_that_is_damaged_anywhere_gives_way_to_the_older_one),
        TEST(a_failed_snapshot_is_reported_and_the_next_may_succeed),
        TEST(who_asks_while_one_is_written_gets_the_next_one),
        TEST(snapshots_come_by_themselves_as_the_log_grows),
        TEST(after_a_long_start_what_fell_due_comes_before_the_next_snapshot),
        TEST(sources_and_metrics_survive_in_the_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
