/* How time comes to the windows: final sources, silent ones, live and replayed ones; and when
 * pulses are written. */
#include "../unit/base/support.h"

#include "story.h"

static struct story story;

#define LATER                                                                                      \
    "CREATE METRIC later AS SELECT subject AS airport, count(*) AS n "                             \
    "FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY subject"

#define OF_UA(name)                                                                                \
    "CREATE METRIC " name                                                                          \
    " WITH (sources = 'ua') AS SELECT subject AS airport, count(*) AS n "                          \
    "FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY subject"

static int tear_down(void **state)
{
    (void)state;
    story_end(&story);
    return 0;
}

static uint64_t pulses(void)
{
    return story.world.sequencer.pulse_ordinal;
}

/* --- final --- */

static void final_closes_all_windows_and_what_was_final_stays_final(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@10 ATL@70 JFK@130");
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    story_lane(&story, "*", LANE_FINISH, 0);
    story_pass(&story, 0.1);
    story_watermark(&story);
    story_values(&story, "arrivals");
    story_tell(&story, "ATL@131"); /* late: everything is over */
    story_pass(&story, 0.1);
    story_fates(&story, "arrivals");
    story_lane(&story, "*", LANE_REOPEN, 0);
    story_pass(&story, 0.1);
    story_watermark(&story);
    story_tell(&story, "ATL@132 ATL@190"); /* the first into a window that was final */
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    story_fates(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@10 ATL@70 JFK@130: OK\n"
                 "arrivals: [0 ATL 1 closed final] [60 ATL 1 closed final] [120 JFK 1]\n"
                 "finish *: OK\n"
                 "W final\n"
                 "arrivals: [0 ATL 1 closed final] [60 ATL 1 closed final] "
                 "[120 JFK 1 closed final]\n"
                 "events ATL@131: OK\n"
                 "arrivals: counted 3 filtered 0 corrected 0 dropped 1\n"
                 "reopen *: OK\n"
                 "W 126\n" /* 131 moved the lane, though it was final */
                 "events ATL@132 ATL@190: OK\n"
                 "arrivals: [0 ATL 1 closed final] [60 ATL 1 closed final] "
                 "[120 JFK 1 closed final] [180 ATL 1]\n"
                 "arrivals: counted 4 filtered 0 corrected 0 dropped 2\n");
}

static void what_was_passed_before_final_stays_passed(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_source(&story, "ua", LANE_EXPLICIT);
    story_lane(&story, "ua", LANE_ADVANCE, 5);
    for (uint32_t n = 0; n < 4; n++) {
        story_tell(&story, "ATL@90");
        story_pass(&story, 10); /* "ua" falls idle, and W goes by the others */
    }
    story_watermark(&story);
    story_lane(&story, "*", LANE_FINISH, 0);
    story_lane(&story, "ua", LANE_FINISH, 0);
    story_pass(&story, 0.1);
    story_watermark(&story);
    story_lane(&story, "ua", LANE_REOPEN, 0);
    story_watermark(&story); /* not 5, where "ua" is: up to 85 windows were shown closed */
    story_define(&story, LATER, DEFINE_CREATE); /* it was not there when all was final */
    story_tell(&story, "ua/ORD@20 ua/ORD@125");
    story_pass(&story, 0.1);
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "source ua: OK created v1\n"
                 "advance ua 5: OK\n"
                 "events ATL@90: OK\n"
                 "events ATL@90: OK\n"
                 "events ATL@90: OK\n"
                 "events ATL@90: OK\n"
                 "W 85\n"
                 "finish *: OK\n"
                 "finish ua: OK\n"
                 "W final\n"
                 "reopen ua: OK\n"
                 "W 85\n"
                 "define later: OK created v1\n"
                 "events ua/ORD@20 ua/ORD@125: OK\n");
    for (uint32_t n = 0; n < 2; n++) { /* and once more by who reads it in the log */
        story_watermark(&story);
        story_values(&story, "arrivals");
        story_fates(&story, "arrivals");
        story_values(&story, "later");
        story_fates(&story, "later");
        ASSERT_STORY(&story,
                     "W 85\n"
                     "arrivals: [60 ATL 4 closed final] [120 ORD 1]\n"
                     "arrivals: counted 5 filtered 0 corrected 0 dropped 1\n"
                     "later: [120 ORD 1]\n"
                     "later: counted 1 filtered 0 corrected 0 dropped 1\n");
        story_restart(&story, &(struct world_options){.runners = 1});
    }
}

static void who_is_final_may_speak_and_say_it_again(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_source(&story, "ua", LANE_BOUNDED);
    story_tell(&story, "ua/ATL@90 ATL@100");
    story_lane(&story, "*", LANE_FINISH, 0);
    story_lane(&story, "ua", LANE_FINISH, 0);
    story_watermark(&story);
    story_tell(&story, "ua/ATL@95 ATL@140"); /* both lanes move, and W is final before and after */
    story_lane(&story, "ua", LANE_FINISH, 0);
    story_watermark(&story);
    story_lane(&story, "*", LANE_REOPEN, 0);
    story_watermark(&story); /* 140 - 5: "ua" holds nothing back */
    story_lane(&story, "ua", LANE_REOPEN, 0);
    story_watermark(&story);
    ASSERT_STORY(&story,
                 "source ua: OK created v1\n"
                 "events ua/ATL@90 ATL@100: OK\n"
                 "finish *: OK\n"
                 "finish ua: OK\n"
                 "W final\n"
                 "events ua/ATL@95 ATL@140: OK\n"
                 "finish ua: OK unchanged\n"
                 "W final\n"
                 "reopen *: OK\n"
                 "W 135\n"
                 "reopen ua: OK\n"
                 "W 135\n");
}

static void who_is_finished_holds_idle_ones_back_no_longer(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_source(&story, "ua", LANE_EXPLICIT);
    story_source(&story, "dl", LANE_EXPLICIT);
    story_tell(&story, "ua/ATL@-3560"); /* an hour ago: the clock does not speak for it */
    story_lane(&story, "*", LANE_FINISH, 0);
    story_lane(&story, "ua", LANE_ADVANCE, -3500);
    story_lane(&story, "dl", LANE_ADVANCE, -3550);
    story_pass(&story, 20);
    story_lane(&story, "dl", LANE_ADVANCE, -3549);
    story_pass(&story, 15); /* "ua" is idle */
    story_watermark(&story);
    story_values(&story, "arrivals");
    story_lane(&story, "dl", LANE_FINISH, 0);
    story_pass(&story, 0.1);
    story_watermark(&story);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "source ua: OK created v1\n"
                 "source dl: OK created v1\n"
                 "events ua/ATL@-3560: OK\n"
                 "finish *: OK\n"
                 "advance ua -3500: OK\n"
                 "advance dl -3550: OK\n"
                 "advance dl -3549: OK\n"
                 "W -3549\n"
                 "arrivals: [-3600 ATL 1]\n"
                 "finish dl: OK\n"
                 "W -3500\n"
                 "arrivals: [-3600 ATL 1 closed final]\n");
}

static void a_definition_between_two_pulses_closes_nothing_of_others(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.pulse_every_us = 10 * US_PER_SECOND});
    story_source(&story, "ua", LANE_EXPLICIT);
    story_define(&story, OF_UA("arrivals"), DEFINE_CREATE);
    story_tell(&story, "ua/ATL@10");
    story_lane(&story, "ua", LANE_ADVANCE, 30);
    story_pass(&story, 20);
    story_tell(&story, "ua/ATL@35"); /* with its pulse; from here on the next one is far */
    story_tell(&story, "ua/ATL@40");
    story_lane(&story, "ua", LANE_FINISH, 0);
    story_define(&story, OF_UA("later"), DEFINE_CREATE); /* for it alone "ua" was over */
    story_lane(&story, "ua", LANE_REOPEN, 0);
    story_tell(&story, "ua/ATL@45");
    story_values(&story, "arrivals");
    story_pass(&story, 10);
    ASSERT_STORY(&story,
                 "source ua: OK created v1\n"
                 "define arrivals: OK created v1\n"
                 "events ua/ATL@10: OK\n"
                 "advance ua 30: OK\n"
                 "events ua/ATL@35: OK\n"
                 "events ua/ATL@40: OK\n"
                 "finish ua: OK\n"
                 "define later: OK created v1\n"
                 "reopen ua: OK\n"
                 "events ua/ATL@45: OK\n"
                 "arrivals: [0 ATL 2]\n");
    for (uint32_t n = 0; n < 2; n++) {
        story_values(&story, "arrivals");
        story_fates(&story, "arrivals");
        story_fates(&story, "later");
        ASSERT_STORY(&story,
                     "arrivals: [0 ATL 4]\n"
                     "arrivals: counted 4 filtered 0 corrected 0 dropped 0\n"
                     "later: counted 0 filtered 0 corrected 0 dropped 1\n");
        story_restart(&story, &(struct world_options){.runners = 2});
    }
}

static void a_seal_survives_a_restart(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@10");
    story_lane(&story, "*", LANE_FINISH, 0);
    story_pass(&story, 0.1);
    (void)world_propose(&story.world, &(struct proposal){.kind = PROPOSE_SNAPSHOT});
    story_pass(&story, 0.1);
    story_restart(&story, &(struct world_options){.runners = 2});
    story_watermark(&story);
    story_lane(&story, "*", LANE_REOPEN, 0);
    story_tell(&story, "ATL@11");
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@10: OK\n"
                 "finish *: OK\n"
                 "W final\n"
                 "reopen *: OK\n"
                 "events ATL@11: OK\n"
                 "arrivals: [0 ATL 1 closed final]\n");
}

static void commands_on_sources_are_checked(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_lane(&story, "ua", LANE_ADVANCE, 0);
    story_forget(&story, "ua");
    story_forget(&story, "*");
    story_source(&story, "ua", LANE_EXPLICIT);
    story_source(&story, "ua", LANE_EXPLICIT);
    story_source(&story, "ua", LANE_BOUNDED);
    story_lane(&story, "ua", LANE_ADVANCE, 100);
    story_lane(&story, "ua", LANE_ADVANCE, 100);
    story_lane(&story, "ua", LANE_ADVANCE, 99);
    story_lane(&story, "ua", LANE_ADVANCE, 301); /* clock + 5 min + 1 s */
    story_lane(&story, "ua", LANE_ADVANCE, 300);
    story_lane(&story, "ua", LANE_FINISH, 0);
    story_lane(&story, "ua", LANE_FINISH, 0);
    story_lane(&story, "ua", LANE_ADVANCE, 300);
    story_lane(&story, "ua", LANE_REOPEN, 0);
    story_lane(&story, "ua", LANE_REOPEN, 0);
    story_forget(&story, "ua");
    story_source(&story, "ua", LANE_BOUNDED);
    ASSERT_STORY(&story,
                 "advance ua 0: unknown-source\n"
                 "forget ua: unknown-source\n"
                 "forget *: conflict\n"
                 "source ua: OK created v1\n"
                 "source ua: OK unchanged v1\n"
                 "source ua: OK v2\n"
                 "advance ua 100: OK\n"
                 "advance ua 100: OK unchanged\n"
                 "advance ua 99: watermark-backwards\n"
                 "advance ua 301: time-in-future\n"
                 "advance ua 300: OK\n"
                 "finish ua: OK\n"
                 "finish ua: OK unchanged\n"
                 "advance ua 300: conflict\n"
                 "reopen ua: OK\n"
                 "reopen ua: OK unchanged\n"
                 "forget ua: OK\n"
                 "source ua: OK created v1\n");
}

/* --- silence --- */

static void an_idle_source_releases_the_watermark(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_source(&story, "ua", LANE_BOUNDED);
    story_pass(&story, 70);
    story_tell(&story, "ua/ATL@10 ATL@69");
    for (uint32_t n = 0; n < 3; n++) {
        story_pass(&story, 10);
        story_tell(&story, "JFK@69");
    }
    story_watermark(&story);
    story_pass(&story, 0.5);
    story_watermark(&story);
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "source ua: OK created v1\n"
                 "events ua/ATL@10 ATL@69: OK\n"
                 "events JFK@69: OK\n"
                 "events JFK@69: OK\n"
                 "events JFK@69: OK\n"
                 "W 5\n"
                 "W 64\n"
                 "arrivals: [0 ATL 1 closed final] [60 ATL 1] [60 JFK 3]\n");
}

static void an_idle_source_releases_the_watermark_however_busy_others_are(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_source(&story, "ua", LANE_BOUNDED);
    story_tell(&story, "ua/ATL@1");
    for (uint32_t n = 1; n <= 1000; n++) { /* whenever the sequencer looks, something waits */
        char text[32];
        story.machine.now_us += 100000;
        (void)snprintf(text, sizeof(text), "JFK@%u", n / 10);
        (void)story_send(&story, text, false);
        story_settle(&story);
    }
    story_watermark(&story);
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "source ua: OK created v1\n"
                 "events ua/ATL@1: OK\n"
                 "W 95\n");
}

static void when_a_live_source_falls_silent_its_windows_close_by_the_clock(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 30);
    story_tell(&story, "ATL@29 JFK@30");
    story_pass(&story, 33);
    story_values(&story, "arrivals"); /* clock 63 - 5 */
    story_pass(&story, 3);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@29 JFK@30: OK\n"
                 "arrivals: [0 ATL 1] [0 JFK 1]\n"
                 "arrivals: [0 ATL 1 closed final] [0 JFK 1 closed final]\n");
}

static void a_window_with_lateness_becomes_final_by_the_clock_too(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS " ALLOW LATENESS INTERVAL '5 minutes'", DEFINE_CREATE);
    story_pass(&story, 30);
    story_tell(&story, "ATL@30");
    story_pass(&story, 40);
    story_values(&story, "arrivals");
    story_pass(&story, 400);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@30: OK\n"
                 "arrivals: [0 ATL 1 closed]\n"
                 "arrivals: [0 ATL 1 closed final]\n");
}

static void a_replay_of_old_data_waits_for_its_producer(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@-347155200 JFK@-347155170"); /* 2013-01-01T00:00Z */
    story_pass(&story, 86400);
    story_values(&story, "arrivals");
    story_tell(&story, "ATL@-347155141"); /* a day later, and in time */
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    story_fates(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@-347155200 JFK@-347155170: OK\n"
                 "arrivals: [-347155200 ATL 1] [-347155200 JFK 1]\n"
                 "events ATL@-347155141: OK\n"
                 "arrivals: [-347155200 ATL 2] [-347155200 JFK 1]\n"
                 "arrivals: counted 3 filtered 0 corrected 0 dropped 0\n");
}

static void a_metric_of_chosen_sources_waits_for_those_alone(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, OF_UA("arrivals"), DEFINE_CREATE);
    story_source(&story, "ua", LANE_BOUNDED);
    story_tell(&story, "ua/ATL@10 ATL@-347155200");
    story_tell(&story, "ua/JFK@66");
    story_pass(&story, 0.1);
    story_watermark(&story); /* the default lane is far behind */
    story_tell(&story, "ua/ATL@11 JFK@12");
    story_pass(&story, 0.1);
    story_fates(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "source ua: OK created v1\n"
                 "events ua/ATL@10 ATL@-347155200: OK\n"
                 "events ua/JFK@66: OK\n"
                 "W -347155205\n"
                 "events ua/ATL@11 JFK@12: OK\n"
                 "arrivals: counted 3 filtered 0 corrected 0 dropped 2\n");
}

static void nobody_falls_idle_while_the_disk_is_full(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_source(&story, "ua", LANE_BOUNDED);
    story_tell(&story, "ua/ATL@10 ATL@30");
    story_pass(&story, 1);
    story.machine.log.full = true;
    story_pass(&story, 100);
    story_watermark(&story);
    story.machine.log.full = false;
    ASSERT_STORY(&story,
                 "source ua: OK created v1\n"
                 "events ua/ATL@10 ATL@30: OK\n"
                 "W 5\n");
}

static void nobody_falls_idle_because_the_process_stood_still(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.pause_us = 2 * US_PER_SECOND});
    story_source(&story, "ua", LANE_BOUNDED);
    story_tell(&story, "ua/ATL@10 ATL@30");
    story_pass(&story, 1);
    story.machine.now_us += 100 * US_PER_SECOND; /* no part had a turn meanwhile */
    story_pass(&story, 5);
    story_watermark(&story);
    story_tell(&story, "ua/ATL@20");
    story_watermark(&story);
    story_pass(&story, 100); /* silence counts again */
    story_line(&story, "idle: %s", story.world.sequencer.tide.lanes[1].idle ? "yes" : "no");
    ASSERT_STORY(&story,
                 "source ua: OK created v1\n"
                 "events ua/ATL@10 ATL@30: OK\n"
                 "W 5\n"
                 "events ua/ATL@20: OK\n"
                 "W 15\n"
                 "idle: yes\n");
}

/* --- pulses --- */

static void an_idle_engine_writes_nothing(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_pass(&story, 1);
    uint64_t frames = story.machine.log.submits;
    story_pass(&story, 3600);
    assert_int_equal(story.machine.log.submits, frames);
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@3600");
    story_pass(&story, 100);
    frames = story.machine.log.submits; /* the window is closed: nothing is due any more */
    story_pass(&story, 3600);
    assert_int_equal(story.machine.log.submits, frames);
}

static void under_load_pulses_come_at_most_every_so_often(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.pulse_every_us = 50000});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 1);
    uint64_t before = pulses();
    for (uint32_t n = 0; n < 1000; n++) {
        (void)story_send(&story, "ATL@1", false);
        story.machine.now_us += 1000;
        story_settle(&story);
    }
    assert_int_equal(pulses() - before, 20);
    story_pass(&story, 1);
    assert_int_equal(pulses() - before, 21); /* what was left is handed over once */
}

static void a_first_event_after_silence_is_visible_at_once(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.pulse_every_us = US_PER_SECOND});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 10);
    story_tell(&story, "ATL@1"); /* the last pulse is long ago: it rides in the same frame */
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events ATL@1: OK\n"
                 "arrivals: [0 ATL 1]\n");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(final_closes_all_windows_and_what_was_final_stays_final),
        TEST(what_was_passed_before_final_stays_passed),
        TEST(who_is_final_may_speak_and_say_it_again),
        TEST(who_is_finished_holds_idle_ones_back_no_longer),
        TEST(a_definition_between_two_pulses_closes_nothing_of_others),
        TEST(a_seal_survives_a_restart),
        TEST(commands_on_sources_are_checked),
        TEST(an_idle_source_releases_the_watermark),
        TEST(an_idle_source_releases_the_watermark_however_busy_others_are),
        TEST(when_a_live_source_falls_silent_its_windows_close_by_the_clock),
        TEST(a_window_with_lateness_becomes_final_by_the_clock_too),
        TEST(a_replay_of_old_data_waits_for_its_producer),
        TEST(a_metric_of_chosen_sources_waits_for_those_alone),
        TEST(nobody_falls_idle_while_the_disk_is_full),
        TEST(nobody_falls_idle_because_the_process_stood_still),
        TEST(an_idle_engine_writes_nothing),
        TEST(under_load_pulses_come_at_most_every_so_often),
        TEST(a_first_event_after_silence_is_visible_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
