/* The rules of event time, one sentence each; tide_random_test.c has the naive model. */
#include "../base/support.h"

#include "base/text.h"
#include "tide_bench.h"

static struct bench bench;

static int set_up(void **state)
{
    (void)state;
    bench_init(&bench);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bench_deinit(&bench);
    return 0;
}

static bool tick(int64_t now_us)
{
    return tide_tick(&bench.tide, (struct clock_time){now_us}, true);
}

static void start(int64_t now_us, int64_t last_alive_us)
{
    tide_start(&bench.tide, (struct clock_time){now_us}, (struct clock_time){last_alive_us});
}

static void assert_stamps(const int64_t *expected, uint32_t count)
{
    assert_int_equal(bench.stamp_count, count);
    for (uint32_t n = 0; n < count; n++) {
        if (bench.stamps[n] != expected[n]) {
            fail_msg("row %u: W = %lld instead of %lld",
                     n,
                     (long long)bench.stamps[n],
                     (long long)expected[n]);
        }
    }
}

#define ASSERT_W(expected) assert_int_equal(bench.tide.watermark, (expected))

/* --- the default lane --- */

static void before_the_first_event_there_is_no_watermark(void **state)
{
    (void)state;
    ASSERT_W(WATERMARK_NONE);
    assert_false(tick(S(1000)));
    ASSERT_W(WATERMARK_NONE);
    struct pulse pulse = bench_pulse(&bench, S(1000));
    assert_int_equal(pulse.watermark, WATERMARK_NONE);
    assert_int_equal(pulse.lane_count, 0);
}

static void each_event_is_stamped_with_the_watermark_just_before_it(void **state)
{
    (void)state;
    bench_say(&bench,
              S(200),
              (struct said[]){{"x", S(100)}, {"y", S(90)}, {"x", S(103)}, {"z", S(1)}},
              4);
    assert_stamps((int64_t[]){WATERMARK_NONE, S(95), S(95), S(98)}, 4);
    ASSERT_W(S(98));
    bench_say_one(&bench, S(201), "x", S(50));
    assert_stamps((int64_t[]){S(98)}, 1);
    ASSERT_W(S(98));
}

static void the_default_lanes_disorder_can_be_set(void **state)
{
    (void)state;
    bench_say_one(&bench, S(200), "x", S(100));
    struct source source = {.disorder_us = 60 * US_PER_SECOND,
                            .idle_after_us = TIDE_IDLE_AFTER_US,
                            .max_future_skew_us = TIDE_FUTURE_SKEW_US,
                            .declared = {S(200)},
                            .name = BYTES("*")};
    bench_declare_as(&bench, &source);
    ASSERT_W(S(95)); /* never back */
    bench_say_one(&bench, S(201), "x", S(150));
    ASSERT_W(S(95));
    bench_say_one(&bench, S(202), "x", S(156));
    ASSERT_W(S(96));
    source.disorder_us = 0;
    bench_declare_as(&bench, &source);
    ASSERT_W(S(156)); /* what has been heard counts with the new disorder at once */
    assert_int_equal(bench_lane(&bench, "*").version, 3);
}

static void times_at_the_ends_of_the_calendar_do_not_overflow(void **state)
{
    (void)state;
    bench_say(&bench,
              S(0),
              (struct said[]){{"x", TIMESTAMP_MIN_US}, {"x", 0}, {"x", TIMESTAMP_END_US - 1}},
              3);
    assert_stamps(
        (int64_t[]){WATERMARK_NONE, TIMESTAMP_MIN_US - TIDE_DISORDER_US, -TIDE_DISORDER_US}, 3);
    ASSERT_W(TIMESTAMP_END_US - 1 - TIDE_DISORDER_US);
}

/* --- declared lanes --- */

static void a_declared_source_holds_the_watermark_before_its_first_event(void **state)
{
    (void)state;
    bench_say_one(&bench, S(200), "x", S(100));
    bench_declare(&bench, S(200), "a", LANE_BOUNDED);
    ASSERT_W(S(95));
    bench_say_one(&bench, S(201), "x", S(180));
    ASSERT_W(S(95));
    struct lane_info info = bench_lane(&bench, "a");
    assert_true(info.holds);
    assert_int_equal(info.why, HOLD_NO_EVENT);
    assert_false(bench_lane(&bench, "*").holds);
    bench_say(&bench,
              S(202),
              (struct said[]){{"a", S(150)}, {"x", S(170)}, {"a", S(190)}, {"x", S(190)}},
              4);
    assert_stamps((int64_t[]){S(95), S(145), S(145), S(175)}, 4);
    ASSERT_W(S(185));
    assert_int_equal(bench_lane(&bench, "a").why, HOLD_SLOW); /* both stand at the minimum */
    assert_int_equal(bench_lane(&bench, "*").why, HOLD_SLOW);
}

static void a_declared_source_alone_makes_no_place_for_the_silent_default_lane(void **state)
{
    (void)state;
    bench_declare(&bench, S(10), "a", LANE_BOUNDED);
    bench_say_one(&bench, S(11), "a", S(10));
    ASSERT_W(S(5)); /* "*" was never heard: it takes no part */
    bench_say(&bench, S(12), (struct said[]){{"a", S(20)}, {"other", S(7)}, {"a", S(30)}}, 3);
    /* "*" takes part from the batch that it first speaks in. */
    assert_stamps((int64_t[]){S(5), S(5), S(5)}, 3);
    ASSERT_W(S(5));
    bench_say_one(&bench, S(12), "other", S(14));
    ASSERT_W(S(9));
}

static void the_watermark_is_the_minimum_over_the_lanes(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_declare(&bench, S(0), "b", LANE_BOUNDED);
    bench_say(
        &bench, S(100), (struct said[]){{"a", S(50)}, {"b", S(20)}, {"a", S(60)}, {"b", S(80)}}, 4);
    assert_stamps((int64_t[]){WATERMARK_NONE, WATERMARK_NONE, S(15), S(15)}, 4);
    ASSERT_W(S(55));
    struct lane_info a = bench_lane(&bench, "a");
    assert_true(a.holds);
    assert_int_equal(a.why, HOLD_SLOW);
    assert_int_equal(a.max_time, S(60));
    assert_int_equal(a.watermark, S(55));
}

static void an_explicit_source_is_moved_by_its_producer_only(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_EXPLICIT);
    bench_say_one(&bench, S(100), "a", S(90));
    ASSERT_W(WATERMARK_NONE);
    assert_int_equal(bench_lane(&bench, "a").why, HOLD_EXPLICIT);
    bench_command(&bench, S(100), "a", LANE_ADVANCE, S(40));
    ASSERT_W(S(40));
    bench_command(&bench, S(101), "a", LANE_ADVANCE, S(30)); /* what the sequencer refuses */
    ASSERT_W(S(40));
    bench_say_one(&bench, S(102), "a", S(102));
    ASSERT_W(S(40));
    assert_int_equal(bench_lane(&bench, "a").max_time, S(102));
}

static void redeclaring_keeps_the_lane_and_what_it_heard(void **state)
{
    (void)state;
    uint32_t lane = bench_declare(&bench, S(0), "a", LANE_EXPLICIT);
    bench_say_one(&bench, S(100), "a", S(90));
    assert_int_equal(bench_declare(&bench, S(101), "a", LANE_BOUNDED), lane);
    ASSERT_W(S(85));
    assert_int_equal(bench_lane(&bench, "a").version, 2);
    bench_declare(&bench, S(102), "a", LANE_EXPLICIT);
    bench_say_one(&bench, S(103), "a", S(103));
    ASSERT_W(S(85));
}

static void names_of_lanes_are_told_apart_after_many_comings_and_goings(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("names");
    uint32_t lanes[64] = {0}; /* by source; 0 = not declared */
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t which = (uint32_t)random_below(&random, 64);
        char name[16];
        (void)snprintf(name, sizeof(name), "/source/%u", which);
        if (lanes[which] != 0) {
            bench_forget(&bench, name);
            lanes[which] = 0;
        } else {
            lanes[which] = bench_declare(&bench, S(0), name, LANE_BOUNDED);
            assert_int_not_equal(lanes[which], LANE_DEFAULT);
        }
        for (uint32_t n = 0; n < 64; n++) {
            (void)snprintf(name, sizeof(name), "/source/%u", n);
            assert_int_equal(tide_lane_of(&bench.tide, bytes_of_string(name)), lanes[n]);
            for (uint32_t other = 0; other < n && lanes[n] != 0; other++) {
                assert_int_not_equal(lanes[n], lanes[other]);
            }
        }
    }
    assert_true(bench.tide.lane_count <= 65); /* numbers are used again */
}

static void a_reused_lane_remembers_nothing_of_its_former_source(void **state)
{
    (void)state;
    uint32_t first = bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say_one(&bench, S(100), "a", S(90));
    bench_command(&bench, S(100), "a", LANE_FINISH, 0);
    (void)bench_pulse(&bench, S(100));
    bench_forget(&bench, "a");
    struct pulse gone = bench_pulse(&bench, S(101));
    struct lane_state state_of_lane;
    struct reader lanes = reader_of(gone.lanes);
    assert_true(pulse_next_lane(&lanes, &state_of_lane));
    assert_int_equal(state_of_lane.lane, first);
    assert_int_equal(state_of_lane.flags, LANE_GONE);
    assert_int_equal(bench_declare(&bench, S(102), "b", LANE_BOUNDED), first);
    struct lane_info info = bench_lane(&bench, "b");
    assert_false(info.heard);
    assert_int_equal(info.version, 1);
    assert_int_equal(info.watermark, WATERMARK_NONE);
    assert_int_equal(info.max_time, WATERMARK_NONE);
}

static void when_all_lane_numbers_are_taken_there_is_none_left(void **state)
{
    (void)state;
    char name[16];
    for (uint32_t n = 1; n < LANES_MAX; n++) {
        (void)snprintf(name, sizeof(name), "s%u", n);
        assert_int_equal(bench_declare(&bench, S(0), name, LANE_BOUNDED), n);
    }
    assert_int_equal(tide_free_lane(&bench.tide), LANES_MAX);
    bench_forget(&bench, "s17");
    assert_int_equal(tide_free_lane(&bench.tide), 17);
}

/* --- final --- */

static void a_final_lane_holds_nothing_back(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say(&bench, S(100), (struct said[]){{"a", S(20)}, {"x", S(90)}}, 2);
    ASSERT_W(S(15));
    bench_command(&bench, S(100), "a", LANE_FINISH, 0);
    ASSERT_W(S(85));
    assert_int_equal(bench_lane(&bench, "a").watermark, WATERMARK_FINAL);
}

static void with_every_lane_final_the_watermark_is_final(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_declare(&bench, S(0), "b", LANE_EXPLICIT);
    bench_command(&bench, S(0), "a", LANE_FINISH, 0);
    ASSERT_W(WATERMARK_NONE);
    bench_command(&bench, S(0), "b", LANE_FINISH, 0);
    ASSERT_W(WATERMARK_FINAL); /* the default lane was never heard */
    bench_say_one(&bench, S(100), "a", S(90));
    assert_stamps((int64_t[]){WATERMARK_FINAL}, 1); /* late */
    ASSERT_W(WATERMARK_FINAL);
}

static void an_unfinished_default_lane_that_spoke_stands_against_final(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say_one(&bench, S(1), "x", S(0));
    bench_command(&bench, S(1), "a", LANE_FINISH, 0);
    ASSERT_W(S(-5));
    bench_command(&bench, S(1), "*", LANE_FINISH, 0);
    ASSERT_W(WATERMARK_FINAL);
}

static void an_idle_lane_stands_against_final_as_well(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_declare(&bench, S(0), "b", LANE_BOUNDED);
    bench_say(&bench, S(10), (struct said[]){{"a", S(-900)}, {"b", S(-900)}}, 2);
    (void)tick(S(100));
    bench_command(&bench, S(100), "a", LANE_FINISH, 0);
    assert_int_not_equal(bench.tide.watermark, WATERMARK_FINAL);
}

static void a_finished_or_forgotten_lane_does_not_hold_idle_ones_back(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_EXPLICIT);
    bench_declare(&bench, S(0), "b", LANE_EXPLICIT);
    bench_command(&bench, S(1000), "a", LANE_ADVANCE, S(100)); /* a replay: not live */
    bench_command(&bench, S(1020), "b", LANE_ADVANCE, S(50));
    ASSERT_W(S(50));
    (void)tick(S(1031)); /* "a" is idle */
    ASSERT_W(S(50));
    bench_command(&bench, S(1031), "b", LANE_FINISH, 0);
    ASSERT_W(S(100)); /* as if "b" had finished first */
}

static void reopening_brings_the_lane_back_where_it_was(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say_one(&bench, S(100), "a", S(90));
    bench_command(&bench, S(100), "a", LANE_FINISH, 0);
    ASSERT_W(WATERMARK_FINAL);
    bench_command(&bench, S(101), "a", LANE_REOPEN, 0);
    ASSERT_W(S(85));
    bench_say(&bench, S(102), (struct said[]){{"a", S(99)}, {"a", S(99)}}, 2);
    assert_stamps((int64_t[]){S(85), S(94)}, 2);
}

static void what_was_passed_before_all_were_final_stays_passed(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_EXPLICIT);
    bench_command(&bench, S(10), "a", LANE_ADVANCE, S(5));
    bench_say_one(&bench, S(100), "x", S(90));
    (void)tick(S(100)); /* "a" is idle */
    ASSERT_W(S(85));
    bench_command(&bench, S(100), "*", LANE_FINISH, 0);
    bench_command(&bench, S(100), "a", LANE_FINISH, 0);
    ASSERT_W(WATERMARK_FINAL);
    bench_command(&bench, S(100), "a", LANE_REOPEN, 0);
    ASSERT_W(S(85)); /* windows up to there were shown closed */
    bench_say_one(&bench, S(101), "a", S(20));
    assert_stamps((int64_t[]){S(85)}, 1);
}

static void a_default_lane_that_never_spoke_can_be_final_and_reopened(void **state)
{
    (void)state;
    bench_command(&bench, S(0), "*", LANE_FINISH, 0);
    ASSERT_W(WATERMARK_FINAL);
    bench_say_one(&bench, S(1), "x", S(1));
    assert_stamps((int64_t[]){WATERMARK_FINAL}, 1);
    bench_command(&bench, S(2), "*", LANE_REOPEN, 0);
    bench_say(&bench, S(3), (struct said[]){{"x", S(3)}, {"x", S(3)}}, 2);
    assert_int_not_equal(bench.stamps[0], WATERMARK_FINAL);
    assert_int_equal(bench.stamps[1], S(-2));
}

static void the_clock_does_not_move_a_final_watermark(void **state)
{
    (void)state;
    bench_say_one(&bench, S(0), "x", S(0));
    bench_command(&bench, S(0), "*", LANE_FINISH, 0);
    assert_false(tick(S(10000)));
    ASSERT_W(WATERMARK_FINAL);
}

/* --- silence --- */

static void a_silent_lane_is_left_out_after_its_patience(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say(&bench, S(100), (struct said[]){{"a", S(60)}, {"x", S(99)}}, 2);
    bench_say_one(&bench, S(130), "x", S(129));
    assert_false(tick(S(130))); /* exactly idle_after is not longer than it */
    ASSERT_W(S(55));
    assert_true(tick(S(130) + 1));
    ASSERT_W(S(124));
    assert_true(bench_lane(&bench, "a").idle);
    assert_false(bench_lane(&bench, "a").holds);
}

static void an_idle_lane_that_returns_holds_again_but_nothing_falls(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say(&bench, S(100), (struct said[]){{"a", S(60)}, {"x", S(99)}}, 2);
    bench_say_one(&bench, S(140), "x", S(139));
    (void)tick(S(141));
    ASSERT_W(S(134));
    bench_say(&bench, S(142), (struct said[]){{"x", S(142)}, {"a", S(70)}, {"x", S(150)}}, 3);
    assert_stamps((int64_t[]){S(134), S(134), S(134)}, 3); /* "a" takes part from this batch on */
    ASSERT_W(S(134));
    assert_false(bench_lane(&bench, "a").idle);
    bench_say_one(&bench, S(143), "a", S(142));
    ASSERT_W(S(137));
}

static void idle_lanes_that_return_together_count_together(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_declare(&bench, S(0), "b", LANE_BOUNDED);
    bench_declare(&bench, S(0), "c", LANE_BOUNDED);
    bench_say(&bench, S(9000), (struct said[]){{"a", S(100)}, {"b", S(50)}, {"c", S(40)}}, 3);
    bench_say_one(&bench, S(9020), "c", S(40));
    (void)tick(S(9031));
    bench_command(&bench, S(9031), "c", LANE_FINISH, 0);
    ASSERT_W(S(45)); /* "a" and "b" are idle, "c" is over: "b" is the least of them */
    bench_say(&bench, S(9040), (struct said[]){{"a", S(101)}, {"b", S(51)}}, 2);
    assert_stamps((int64_t[]){S(45), S(45)}, 2); /* not 95, as if "a" had come alone */
    ASSERT_W(S(46));
}

static void nobody_falls_idle_while_the_engine_is_behind_or_refuses(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say(&bench, S(100), (struct said[]){{"a", S(60)}, {"x", S(99)}}, 2);
    assert_false(tide_tick(&bench.tide, (struct clock_time){S(10000)}, false));
    ASSERT_W(S(55));
    assert_false(bench_lane(&bench, "a").idle);
}

static void a_declared_source_that_never_spoke_is_left_out_too(void **state)
{
    (void)state;
    bench_say_one(&bench, S(0), "x", S(0));
    bench_declare(&bench, S(10), "a", LANE_BOUNDED);
    bench_say_one(&bench, S(39), "x", S(39));
    assert_false(tick(S(40)));
    ASSERT_W(S(-5));
    assert_true(tick(S(40) + 1));
    ASSERT_W(S(34));
}

static void when_all_are_silent_the_clock_speaks_for_a_live_source(void **state)
{
    (void)state;
    bench_say_one(&bench, S(100), "x", S(99));
    ASSERT_W(S(94));
    assert_true(bench_lane(&bench, "*").live);
    assert_true(tick(S(131)));
    ASSERT_W(S(126)); /* clock - disorder, which is more than the lag of a second */
    assert_true(tick(S(200)));
    ASSERT_W(S(195));
}

static void the_clock_stays_behind_by_the_recent_lag(void **state)
{
    (void)state;
    bench_say(&bench, S(300), (struct said[]){{"x", S(60)}, {"x", S(299)}}, 2); /* lag 240 s */
    ASSERT_W(S(294));
    (void)tick(S(340));
    ASSERT_W(S(294)); /* 340 - 240 is less */
    assert_true(tick(S(600)));
    ASSERT_W(S(360));
    /* A straggler is forgotten after two spans of prompt events. */
    for (int64_t at = 700; at <= 1400; at += 100) {
        bench_say_one(&bench, S(at), "x", S(at));
    }
    (void)tick(S(1440));
    ASSERT_W(S(1435));
}

static void a_replay_of_old_data_just_holds(void **state)
{
    (void)state;
    int64_t in_2013 = 1357020000LL * US_PER_SECOND;
    bench_say_one(&bench, S(100), "x", in_2013);
    assert_false(bench_lane(&bench, "*").live);
    assert_true(tick(S(100000))); /* the lane falls idle ... */
    ASSERT_W(in_2013 - TIDE_DISORDER_US);
    assert_false(tick(S(200000))); /* ... and nothing more */
    ASSERT_W(in_2013 - TIDE_DISORDER_US);
}

static void a_live_source_goes_by_the_clock_beside_a_replay(void **state)
{
    (void)state;
    int64_t in_2013 = 1357020000LL * US_PER_SECOND;
    bench_declare(&bench, S(0), "old", LANE_BOUNDED);
    bench_say(&bench, S(100), (struct said[]){{"old", in_2013}, {"x", S(99)}}, 2);
    ASSERT_W(in_2013 - TIDE_DISORDER_US);
    bench_say_one(&bench, S(120), "old", in_2013 + US_PER_SECOND);
    (void)tick(S(135)); /* "x" is silent, "old" is not */
    ASSERT_W(in_2013 + US_PER_SECOND - TIDE_DISORDER_US);
    (void)tick(S(160));
    ASSERT_W(S(155));
}

static void a_source_ten_minutes_late_is_live_and_one_beyond_is_not(void **state)
{
    (void)state;
    bench_say_one(&bench, S(1000), "x", S(1000) - TIDE_LIVE_WITHIN_US);
    assert_true(bench_lane(&bench, "*").live);
    bench_declare(&bench, S(1000), "old", LANE_BOUNDED);
    bench_say_one(&bench, S(1000), "old", S(1000) - TIDE_LIVE_WITHIN_US - 1);
    assert_false(bench_lane(&bench, "old").live);
    /* One straggler among live events changes nothing. */
    bench_say_one(&bench, S(1000), "x", S(1000) - US_PER_DAY);
    assert_true(bench_lane(&bench, "*").live);
}

static void an_explicit_source_that_only_advanced_is_not_live(void **state)
{
    (void)state;
    int64_t in_2013 = 1357020000LL * US_PER_SECOND;
    bench_declare(&bench, S(0), "old", LANE_EXPLICIT);
    bench_command(&bench, S(10), "old", LANE_ADVANCE, in_2013);
    ASSERT_W(in_2013);
    (void)tick(S(1000));
    ASSERT_W(in_2013); /* no event ever came close to its time: the clock says nothing about it */
}

static void an_explicit_replay_stays_a_replay_while_it_only_advances(void **state)
{
    (void)state;
    int64_t in_2013 = 1357020000LL * US_PER_SECOND;
    bench_declare(&bench, S(0), "old", LANE_EXPLICIT);
    bench_say_one(&bench, S(0), "old", in_2013);
    for (int64_t at = 0; at < 1200; at += 25) {
        bench_command(&bench, S(at), "old", LANE_ADVANCE, in_2013 + at * US_PER_SECOND);
    }
    (void)tick(S(1300));
    ASSERT_W(in_2013 + 1175 * US_PER_SECOND);
}

/* --- deafness --- */

static void after_a_start_every_lane_is_deaf_until_it_is_heard(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say(&bench, S(100), (struct said[]){{"a", S(99)}, {"x", S(99)}}, 2);
    start(S(150), S(100));
    assert_true(bench_lane(&bench, "a").deaf);
    assert_true(bench_lane(&bench, "*").deaf);
    assert_int_equal(bench_lane(&bench, "a").why, HOLD_DEAF);
    assert_int_equal(bench_pulse(&bench, S(150)).flags & PULSE_HOLD, PULSE_HOLD);
    bench_say_one(&bench, S(151), "a", S(150));
    assert_false(bench_lane(&bench, "a").deaf);
    assert_int_equal(bench_pulse(&bench, S(151)).flags & PULSE_HOLD, PULSE_HOLD);
    bench_say_one(&bench, S(152), "x", S(150));
    assert_int_equal(bench_pulse(&bench, S(152)).flags & PULSE_HOLD, 0);
}

/* A lane was heard at second 100; the process was away for `down` seconds. Returns how many seconds
 * after the start the lane is given up. */
static int64_t deaf_seconds(int64_t down)
{
    struct bench own;
    bench_init(&own);
    bench_say_one(&own, S(100), "x", S(99));
    int64_t begin = 100 + down;
    tide_start(&own.tide, (struct clock_time){S(begin)}, (struct clock_time){S(100)});
    int64_t seconds = 0;
    while (!bench_lane(&own, "*").idle) {
        seconds++;
        assert_true(seconds < 10000);
        (void)tide_tick(&own.tide, (struct clock_time){S(begin + seconds)}, true);
    }
    assert_false(bench_lane(&own, "*").deaf);
    assert_int_equal(bench_pulse(&own, S(begin + seconds)).flags & PULSE_HOLD, 0);
    bench_deinit(&own);
    return seconds;
}

static void a_deaf_lane_is_given_up_after_the_downtime_but_at_most_ten_minutes(void **state)
{
    (void)state;
    assert_int_equal(deaf_seconds(1), 31); /* idle_after is longer */
    assert_int_equal(deaf_seconds(30), 31);
    assert_int_equal(deaf_seconds(200), 201);
    assert_int_equal(deaf_seconds(600), 601);
    assert_int_equal(deaf_seconds(86400), 601);
}

static void a_deaf_declared_source_is_as_patient_as_any(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say_one(&bench, S(1), "x", S(1));
    start(S(301), S(1)); /* away for five minutes, before "a" ever spoke */
    bench_say_one(&bench, S(302), "x", S(302));
    (void)tick(S(340));
    assert_false(bench_lane(&bench, "a").idle);
    ASSERT_W(WATERMARK_NONE);
    (void)tick(S(602));
    assert_true(bench_lane(&bench, "a").idle);
}

static void a_final_lane_is_not_waited_for_after_a_start(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say(&bench, S(100), (struct said[]){{"a", S(99)}, {"x", S(99)}}, 2);
    bench_command(&bench, S(100), "a", LANE_FINISH, 0);
    start(S(200), S(100));
    bench_say_one(&bench, S(201), "x", S(200));
    assert_int_equal(bench_pulse(&bench, S(201)).flags & PULSE_HOLD, 0);
}

static void a_first_start_makes_nobody_deaf(void **state)
{
    (void)state;
    start(S(0), 0);
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    assert_int_equal(bench_pulse(&bench, S(0)).flags & PULSE_HOLD, 0);
    assert_int_equal(bench_lane(&bench, "a").why, HOLD_NO_EVENT);
}

static void a_start_keeps_the_watermark(void **state)
{
    (void)state;
    bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_say(&bench, S(100), (struct said[]){{"a", S(60)}, {"x", S(99)}}, 2);
    (void)tick(S(140));
    int64_t before = bench.tide.watermark;
    start(S(141), S(140));
    ASSERT_W(before);
    assert_true(bench_lane(&bench, "a").holds); /* it was idle; now it is deaf */
}

/* --- pulses --- */

static void a_pulse_tells_only_the_lanes_that_changed(void **state)
{
    (void)state;
    uint32_t a = bench_declare(&bench, S(0), "a", LANE_BOUNDED);
    bench_declare(&bench, S(0), "b", LANE_BOUNDED);
    assert_int_equal(bench_pulse(&bench, S(0)).lane_count, 2);
    assert_int_equal(bench_pulse(&bench, S(1)).lane_count, 0);
    bench_say_one(&bench, S(2), "a", S(2));
    struct pulse pulse = bench_pulse(&bench, S(2));
    assert_int_equal(pulse.lane_count, 1);
    struct reader lanes = reader_of(pulse.lanes);
    struct lane_state lane;
    assert_true(pulse_next_lane(&lanes, &lane));
    assert_int_equal(lane.lane, a);
    assert_int_equal(lane.watermark, S(-3));
    assert_int_equal(lane.max_time, S(2));
    assert_int_equal(lane.flags, LANE_LIVE);
    bench_command(&bench, S(3), "a", LANE_FINISH, 0);
    pulse = bench_pulse(&bench, S(3));
    lanes = reader_of(pulse.lanes);
    assert_true(pulse_next_lane(&lanes, &lane));
    assert_int_equal(lane.flags, LANE_FINAL | LANE_LIVE);
    assert_int_equal(pulse.clock.us, S(3));
    assert_int_equal(pulse.ordinal, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(before_the_first_event_there_is_no_watermark),
        TEST(each_event_is_stamped_with_the_watermark_just_before_it),
        TEST(the_default_lanes_disorder_can_be_set),
        TEST(times_at_the_ends_of_the_calendar_do_not_overflow),
        TEST(a_declared_source_holds_the_watermark_before_its_first_event),
        TEST(a_declared_source_alone_makes_no_place_for_the_silent_default_lane),
        TEST(the_watermark_is_the_minimum_over_the_lanes),
        TEST(an_explicit_source_is_moved_by_its_producer_only),
        TEST(redeclaring_keeps_the_lane_and_what_it_heard),
        TEST(names_of_lanes_are_told_apart_after_many_comings_and_goings),
        TEST(a_reused_lane_remembers_nothing_of_its_former_source),
        TEST(when_all_lane_numbers_are_taken_there_is_none_left),
        TEST(a_final_lane_holds_nothing_back),
        TEST(with_every_lane_final_the_watermark_is_final),
        TEST(an_unfinished_default_lane_that_spoke_stands_against_final),
        TEST(an_idle_lane_stands_against_final_as_well),
        TEST(a_finished_or_forgotten_lane_does_not_hold_idle_ones_back),
        TEST(reopening_brings_the_lane_back_where_it_was),
        TEST(what_was_passed_before_all_were_final_stays_passed),
        TEST(a_default_lane_that_never_spoke_can_be_final_and_reopened),
        TEST(the_clock_does_not_move_a_final_watermark),
        TEST(a_silent_lane_is_left_out_after_its_patience),
        TEST(an_idle_lane_that_returns_holds_again_but_nothing_falls),
        TEST(idle_lanes_that_return_together_count_together),
        TEST(nobody_falls_idle_while_the_engine_is_behind_or_refuses),
        TEST(a_declared_source_that_never_spoke_is_left_out_too),
        TEST(when_all_are_silent_the_clock_speaks_for_a_live_source),
        TEST(the_clock_stays_behind_by_the_recent_lag),
        TEST(a_replay_of_old_data_just_holds),
        TEST(a_live_source_goes_by_the_clock_beside_a_replay),
        TEST(a_source_ten_minutes_late_is_live_and_one_beyond_is_not),
        TEST(an_explicit_source_that_only_advanced_is_not_live),
        TEST(an_explicit_replay_stays_a_replay_while_it_only_advances),
        TEST(after_a_start_every_lane_is_deaf_until_it_is_heard),
        TEST(a_deaf_lane_is_given_up_after_the_downtime_but_at_most_ten_minutes),
        TEST(a_deaf_declared_source_is_as_patient_as_any),
        TEST(a_final_lane_is_not_waited_for_after_a_start),
        TEST(a_first_start_makes_nobody_deaf),
        TEST(a_start_keeps_the_watermark),
        TEST(a_pulse_tells_only_the_lanes_that_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
