/* Time's judge: what the rules force must be so, what they leave open may be either way.
 *
 * The disorder is 5 s, idle_after 30 s, max_future_skew 5 min; events 0 ... 15 of source s1 lie at
 * T0 + 0 ... 15 s. */
#include "history_fixture.h"

#include "sim/oracle_time.h"

#define AT(seconds) (T0 + SECONDS(seconds))

static void holds(const struct fixture *fixture)
{
    struct finding finding;
    if (!oracle_time_holds(&fixture->history, &finding)) {
        fail_msg("%s", finding.text);
    }
}

static void breaks(const struct fixture *fixture, const char *text)
{
    struct finding finding;
    assert_false(oracle_time_holds(&fixture->history, &finding));
    if (strstr(finding.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", finding.text, text);
    }
}

/* One frame, one event that arrives when it happens, with W before it. */
static void event(struct fixture *fixture, uint32_t number, int64_t watermark)
{
    int64_t arrival = fixture->universe[number].time.us;
    fixture_frame(fixture);
    fixture_events(fixture, arrival, (struct stamped[]){{number, watermark}}, 1);
    fixture_frame_end(fixture);
}

/* The lanes of the tests are live as soon as they are heard. */
static struct lane_state lane(uint32_t number, uint8_t flags, int64_t watermark, int64_t max_time)
{
    flags |= max_time == NONE ? 0 : LANE_LIVE;
    return (struct lane_state){
        .lane = number, .flags = flags, .watermark = watermark, .max_time = max_time};
}

static void pulse(struct fixture *fixture, int64_t clock, int64_t watermark)
{
    fixture_frame(fixture);
    fixture_pulse(fixture, clock, watermark, NULL, 0);
    fixture_frame_end(fixture);
}

static void
pulse_lane(struct fixture *fixture, int64_t clock, int64_t watermark, struct lane_state state)
{
    fixture_frame(fixture);
    fixture_pulse(fixture, clock, watermark, &state, 1);
    fixture_frame_end(fixture);
}

static void source(struct fixture *fixture, uint32_t number, const char *name, enum lane_kind kind)
{
    fixture_frame(fixture);
    fixture_source(fixture, number, name, kind, T0);
    fixture_frame_end(fixture);
}

static void
command(struct fixture *fixture, uint32_t number, enum lane_command_kind kind, int64_t time)
{
    fixture_frame(fixture);
    fixture_lane(fixture, number, kind, time);
    fixture_frame_end(fixture);
}

/* Events 0 and 10 in the default lane; W and the lane are at T0 + 5 s. */
static struct fixture *steady(void)
{
    struct fixture *fixture = fixture_new();
    event(fixture, 0, NONE);
    event(fixture, 10, AT(-5));
    pulse_lane(fixture, AT(10), AT(5), lane(0, 0, AT(5), AT(10)));
    return fixture;
}

/* A second lane, of source s2, which sends events 12 to 15. */
static struct fixture *two_lanes(enum lane_kind kind)
{
    struct fixture *fixture = fixture_new();
    for (uint32_t i = 12; i < FIXTURE_EVENTS; i++) {
        fixture->universe[i].source = 2;
    }
    source(fixture, 1, "s2", kind);
    event(fixture, 0, NONE);
    event(fixture, 10, NONE);
    pulse_lane(fixture, AT(10), NONE, lane(0, 0, AT(5), AT(10)));
    return fixture;
}

static void a_lane_is_its_latest_event_less_its_disorder(void **state)
{
    (void)state;
    holds(steady());
    struct fixture *fixture = steady();
    pulse_lane(fixture, AT(10), AT(6), lane(0, 0, AT(6), AT(10)));
    breaks(fixture, "lane 0 is at");
    fixture = steady();
    pulse_lane(fixture, AT(10), AT(5), lane(0, 0, AT(4), AT(10)));
    breaks(fixture, "lane 0 is at");
    fixture = steady();
    event(fixture, 3, AT(5));
    pulse(fixture, AT(11), AT(5));
    holds(fixture);
}

static void a_lane_that_moved_is_in_the_pulse(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    event(fixture, 11, AT(5));
    pulse(fixture, AT(11), AT(5));
    breaks(fixture, "lane 0 is at");
}

static void the_latest_event_time_is_the_lanes(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    pulse_lane(fixture, AT(10), AT(5), lane(0, 0, AT(5), AT(11)));
    breaks(fixture, "latest event time");
    fixture = steady();
    pulse_lane(fixture, AT(10), AT(5), lane(0, 0, AT(5), AT(9)));
    breaks(fixture, "latest event time");
}

static void each_event_carries_the_watermark_in_force(void **state)
{
    (void)state;
    int64_t wrong[] = {AT(5) - 1, AT(5) + 1, NONE, WATERMARK_FINAL};
    struct fixture *fixture = steady();
    event(fixture, 11, AT(5));
    pulse_lane(fixture, AT(11), AT(6), lane(0, 0, AT(6), AT(11)));
    holds(fixture);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fixture = steady();
        event(fixture, 11, wrong[i]);
        pulse_lane(fixture, AT(11), AT(6), lane(0, 0, AT(6), AT(11)));
        breaks(fixture, "the watermark over all lanes");
    }
    fixture = fixture_new();
    event(fixture, 0, AT(-5)); /* before anything was heard */
    breaks(fixture, "the watermark over all lanes");
}

static void the_steps_of_a_batch_are_where_the_watermark_rises(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    struct stamped right[] = {{11, AT(5)}, {4, AT(6)}, {13, AT(6)}, {5, AT(8)}};
    fixture_frame(fixture);
    fixture_events(fixture, AT(13), right, 4);
    fixture_pulse(fixture, AT(13), AT(8), (struct lane_state[]){lane(0, 0, AT(8), AT(13))}, 1);
    fixture_frame_end(fixture);
    holds(fixture);
    struct stamped late[] = {{11, AT(5)}, {4, AT(5)}, {13, AT(6)}, {5, AT(8)}};
    fixture = steady();
    fixture_frame(fixture);
    fixture_events(fixture, AT(13), late, 4);
    fixture_pulse(fixture, AT(13), AT(8), (struct lane_state[]){lane(0, 0, AT(8), AT(13))}, 1);
    fixture_frame_end(fixture);
    breaks(fixture, "the watermark over all lanes");
}

static void a_pulse_tells_the_watermark_of_its_lanes(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    pulse(fixture, AT(11), AT(5));
    holds(fixture);
    pulse(fixture, AT(11), AT(5) + 1);
    breaks(fixture, "the watermark over all lanes");
    fixture = steady();
    pulse(fixture, AT(11), AT(5) - 1);
    breaks(fixture, "the watermark over all lanes");
}

static void no_event_is_from_the_future(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new();
    fixture_frame(fixture);
    fixture_events(fixture, AT(-300), (struct stamped[]){{0, NONE}}, 1);
    fixture_frame_end(fixture);
    holds(fixture);
    fixture_frame(fixture);
    fixture_events(fixture, AT(-300), (struct stamped[]){{1, AT(-5)}}, 1);
    fixture_frame_end(fixture);
    breaks(fixture, "from the future");
}

static void a_declared_lane_holds_before_its_first_event(void **state)
{
    (void)state;
    struct fixture *fixture = two_lanes(LANE_BOUNDED);
    event(fixture, 11, NONE);
    event(fixture, 12, NONE);
    struct lane_state lanes[] = {lane(0, 0, AT(6), AT(11)), lane(1, 0, AT(7), AT(12))};
    fixture_frame(fixture);
    fixture_pulse(fixture, AT(12), AT(6), lanes, 2);
    fixture_frame_end(fixture);
    holds(fixture);
    fixture = two_lanes(LANE_BOUNDED);
    event(fixture, 11, AT(5)); /* as if the second lane were not there */
    pulse_lane(fixture, AT(11), AT(6), lane(0, 0, AT(6), AT(11)));
    breaks(fixture, "the watermark over all lanes");
}

static void an_explicit_lane_goes_where_its_producer_says(void **state)
{
    (void)state;
    struct fixture *fixture = two_lanes(LANE_EXPLICIT);
    event(fixture, 12, NONE); /* does not move it */
    command(fixture, 1, LANE_ADVANCE, AT(2));
    event(fixture, 11, AT(2));
    struct lane_state lanes[] = {lane(0, 0, AT(6), AT(11)), lane(1, 0, AT(2), AT(12))};
    fixture_frame(fixture);
    fixture_pulse(fixture, AT(12), AT(2), lanes, 2);
    fixture_frame_end(fixture);
    holds(fixture);
    command(fixture, 1, LANE_ADVANCE, AT(1));
    breaks(fixture, "went back");
    fixture = two_lanes(LANE_EXPLICIT);
    command(fixture, 1, LANE_ADVANCE, AT(2));
    pulse_lane(fixture, AT(11), AT(3), lane(1, 0, AT(3), NONE));
    breaks(fixture, "lane 1 is at");
    fixture = two_lanes(LANE_EXPLICIT);
    command(fixture, 1, LANE_ADVANCE, AT(2));
    event(fixture, 11, NONE); /* as if it had not spoken */
    pulse(fixture, AT(11), NONE);
    breaks(fixture, "the watermark over all lanes");
}

static void no_producer_is_beyond_the_clock_and_its_skew(void **state)
{
    (void)state;
    struct fixture *fixture = two_lanes(LANE_EXPLICIT);
    command(fixture, 1, LANE_ADVANCE, AT(300)); /* said at T0 */
    pulse_lane(fixture, AT(20), AT(5), lane(1, 0, AT(300), AT(300)));
    holds(fixture);
    fixture = two_lanes(LANE_EXPLICIT);
    command(fixture, 1, LANE_ADVANCE, AT(300) + 1);
    breaks(fixture, "from the future");
}

static void a_final_lane_holds_nothing_until_it_is_reopened(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    command(fixture, 0, LANE_FINISH, 0);
    event(fixture, 11, WATERMARK_FINAL);
    pulse_lane(fixture, AT(11), WATERMARK_FINAL, lane(0, LANE_FINAL, AT(6), AT(11)));
    command(fixture, 0, LANE_REOPEN, 0);
    event(fixture, 12, AT(6)); /* it is where its events brought it */
    pulse_lane(fixture, AT(12), AT(7), lane(0, 0, AT(7), AT(12)));
    holds(fixture);
    event(fixture, 13, AT(6)); /* fell again, and nobody reopened a lane */
    breaks(fixture, "the watermark over all lanes");
    fixture = steady();
    command(fixture, 0, LANE_FINISH, 0);
    pulse(fixture, AT(11), AT(5));
    breaks(fixture, "who is final");
    fixture = steady();
    pulse_lane(fixture, AT(11), WATERMARK_FINAL, lane(0, LANE_FINAL, AT(5), AT(10)));
    breaks(fixture, "who is final");
    fixture = steady();
    command(fixture, 0, LANE_FINISH, 0);
    pulse_lane(fixture, AT(11), WATERMARK_FINAL, lane(0, LANE_FINAL, WATERMARK_FINAL, AT(10)));
    breaks(fixture, "lane 0 is at");
    fixture = steady();
    command(fixture, 0, LANE_FINISH, 0);
    pulse_lane(fixture, AT(11), AT(5), lane(0, LANE_FINAL, AT(5), AT(10)));
    breaks(fixture, "the watermark over all lanes");
    fixture = two_lanes(LANE_EXPLICIT);
    command(fixture, 1, LANE_FINISH, 0);
    command(fixture, 1, LANE_ADVANCE, AT(20));
    breaks(fixture, "a final lane that goes on");
}

/* W has passed the second lane, which is idle; then both are finished and that one is reopened. */
static struct fixture *reopened_behind(bool told)
{
    struct fixture *fixture = two_lanes(LANE_EXPLICIT);
    command(fixture, 1, LANE_ADVANCE, AT(2));
    struct lane_state idle[] = {lane(0, LANE_IDLE, AT(5), AT(10)), lane(1, 0, AT(2), AT(2))};
    fixture_frame(fixture);
    fixture_pulse(fixture, AT(20), AT(2), idle + 1, 1);
    fixture_frame_end(fixture);
    idle[1].flags |= LANE_IDLE;
    fixture_frame(fixture);
    fixture_pulse(fixture, AT(39), AT(5), idle + 1, 1);
    fixture_frame_end(fixture);
    command(fixture, 0, LANE_FINISH, 0);
    command(fixture, 1, LANE_FINISH, 0);
    if (told) {
        struct lane_state lanes[] = {lane(0, LANE_FINAL, AT(5), AT(10)),
                                     lane(1, LANE_FINAL | LANE_IDLE, AT(2), AT(2))};
        fixture_frame(fixture);
        fixture_pulse(fixture, AT(39), WATERMARK_FINAL, lanes, 2);
        fixture_frame_end(fixture);
    }
    command(fixture, 1, LANE_REOPEN, 0);
    return fixture;
}

static void what_was_passed_before_all_were_final_stays_passed(void **state)
{
    (void)state;
    struct fixture *fixture = reopened_behind(false);
    event(fixture, 12, AT(5));
    holds(fixture);
    fixture = reopened_behind(false);
    event(
        fixture, 12, AT(2)); /* where the lane is: but W was told at 5, and closed windows by it */
    breaks(fixture, "the watermark over all lanes");
    fixture = reopened_behind(true);
    event(fixture, 12, AT(2)); /* after a final pulse the seals keep what was closed */
    holds(fixture);
    fixture = reopened_behind(true);
    event(fixture, 12, WATERMARK_FINAL);
    breaks(fixture, "the watermark over all lanes");
}

static void final_it_stays_when_the_last_lane_is_forgotten(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new();
    source(fixture, 1, "s2", LANE_BOUNDED);
    command(fixture, 1, LANE_FINISH, 0);
    pulse_lane(fixture, AT(0), WATERMARK_FINAL, lane(1, LANE_FINAL, NONE, NONE));
    fixture_frame(fixture);
    fixture_forget(fixture, 1);
    fixture_frame_end(fixture);
    pulse_lane(fixture, AT(1), WATERMARK_FINAL, lane(1, LANE_GONE, NONE, NONE));
    holds(fixture);
    event(fixture, 0, NONE); /* the default lane comes: W falls */
    pulse_lane(fixture, AT(2), AT(-5), lane(0, 0, AT(-5), AT(0)));
    holds(fixture);
}

static void a_pulse_says_who_is_live(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    struct lane_state dead = lane(0, 0, AT(5), AT(10));
    dead.flags = 0;
    pulse_lane(fixture, AT(11), AT(5), dead);
    breaks(fixture, "who is live");
}

static void the_watermark_does_not_fall_with_a_new_lane(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    event(fixture, 11, AT(5));
    source(fixture, 1, "s2", LANE_BOUNDED);
    pulse_lane(fixture, AT(11), AT(6), lane(0, 0, AT(6), AT(11))); /* had come to 6 before it */
    holds(fixture);
    fixture = steady();
    event(fixture, 11, AT(5));
    source(fixture, 1, "s2", LANE_BOUNDED);
    pulse_lane(fixture, AT(11), AT(5), lane(0, 0, AT(6), AT(11)));
    breaks(fixture, "the watermark over all lanes");
}

static void a_forgotten_lane_holds_nothing(void **state)
{
    (void)state;
    struct fixture *fixture = two_lanes(LANE_BOUNDED);
    fixture_frame(fixture);
    fixture_forget(fixture, 1);
    fixture_frame_end(fixture);
    event(fixture, 11, AT(5));
    struct lane_state lanes[] = {lane(0, 0, AT(6), AT(11)), lane(1, LANE_GONE, NONE, NONE)};
    fixture_frame(fixture);
    fixture_pulse(fixture, AT(12), AT(6), lanes, 2);
    fixture_frame_end(fixture);
    holds(fixture);
    fixture = two_lanes(LANE_BOUNDED);
    pulse_lane(fixture, AT(11), NONE, lane(1, LANE_GONE, NONE, NONE));
    breaks(fixture, "not gone");
    fixture = steady();
    fixture_frame(fixture);
    fixture_forget(fixture, 1);
    fixture_frame_end(fixture);
    breaks(fixture, "was not declared");
}

static void a_lane_is_idle_after_idle_after_at_the_earliest(void **state)
{
    (void)state;
    struct fixture *fixture = two_lanes(LANE_BOUNDED);
    event(fixture, 12, NONE);
    pulse_lane(fixture, AT(12), AT(5), lane(1, 0, AT(7), AT(12)));
    /* The default lane was last heard at T0 + 10 s. */
    pulse_lane(fixture, AT(42), AT(7), lane(0, LANE_IDLE, AT(5), AT(10)));
    holds(fixture);
    fixture = two_lanes(LANE_BOUNDED);
    event(fixture, 12, NONE);
    pulse_lane(fixture, AT(12), AT(5), lane(1, 0, AT(7), AT(12)));
    pulse_lane(fixture, AT(39), AT(7), lane(0, LANE_IDLE, AT(5), AT(10)));
    breaks(fixture, "idle too soon");
    fixture->history.clock_uneven = true; /* then nobody can tell */
    holds(fixture);
}

static void an_idle_lane_is_left_out_until_it_speaks(void **state)
{
    (void)state;
    struct fixture *fixture = two_lanes(LANE_BOUNDED);
    event(fixture, 12, NONE);
    pulse_lane(fixture, AT(12), AT(5), lane(1, 0, AT(7), AT(12)));
    pulse_lane(fixture, AT(40), AT(5), lane(0, LANE_IDLE, AT(5), AT(10)));
    breaks(fixture, "the watermark over all lanes"); /* still held by it */
    fixture = two_lanes(LANE_BOUNDED);
    event(fixture, 12, NONE);
    pulse_lane(fixture, AT(12), AT(5), lane(1, 0, AT(7), AT(12)));
    pulse_lane(fixture, AT(41), AT(7), lane(0, LANE_IDLE, AT(5), AT(10)));
    event(fixture, 11, AT(7));
    pulse_lane(fixture, AT(41), AT(7), lane(0, 0, AT(6), AT(11)));
    holds(fixture);
    event(fixture, 9, AT(6)); /* the lane is back, but W does not fall to it */
    breaks(fixture, "the watermark over all lanes");
    fixture = two_lanes(LANE_BOUNDED);
    event(fixture, 12, NONE);
    pulse_lane(fixture, AT(12), AT(5), lane(1, 0, AT(7), AT(12)));
    pulse_lane(fixture, AT(41), AT(7), lane(0, LANE_IDLE, AT(5), AT(10)));
    fixture_frame(fixture);
    fixture_events(fixture, AT(41), (struct stamped[]){{11, AT(7)}}, 1);
    fixture_frame_end(fixture);
    pulse_lane(fixture, AT(41), AT(7), lane(0, LANE_IDLE, AT(6), AT(11))); /* it just spoke */
    breaks(fixture, "idle too soon");
}

static void when_all_are_idle_the_clock_speaks_for_the_live_ones(void **state)
{
    (void)state;
    uint8_t live = LANE_IDLE | LANE_LIVE;
    struct fixture *fixture = steady();
    pulse_lane(fixture, AT(60), AT(55), lane(0, live, AT(55), AT(10)));
    holds(fixture);
    fixture = steady();
    pulse_lane(fixture, AT(60), AT(40), lane(0, live, AT(40), AT(10))); /* a longer delay */
    holds(fixture);
    fixture = steady();
    pulse_lane(fixture, AT(60), AT(55) + 1, lane(0, live, AT(55) + 1, AT(10)));
    breaks(fixture, "lane 0 is at");
}

/* As steady(), but the events come eleven minutes late: a replay. */
static struct fixture *replay(void)
{
    struct fixture *fixture = fixture_new();
    fixture_frame(fixture);
    fixture_events(fixture, AT(670), (struct stamped[]){{0, NONE}, {10, AT(-5)}}, 2);
    fixture_frame_end(fixture);
    return fixture;
}

static void an_idle_lane_that_is_not_live_stands_still(void **state)
{
    (void)state;
    struct lane_state idle = {
        .lane = 0, .flags = LANE_IDLE, .watermark = AT(5), .max_time = AT(10)};
    struct fixture *fixture = replay();
    pulse_lane(fixture, AT(700), AT(5), idle);
    pulse(fixture, AT(800), AT(5));
    holds(fixture);
    fixture = replay();
    pulse_lane(fixture, AT(700), AT(6), idle);
    breaks(fixture, "the watermark over all lanes");
    fixture = replay();
    idle.watermark = AT(6);
    pulse_lane(fixture, AT(700), AT(5), idle);
    breaks(fixture, "lane 0 is at");
    fixture = steady();
    pulse_lane(fixture, AT(10), AT(5), lane(0, 0, AT(5), AT(10)));
    pulse_lane(fixture, AT(20), AT(6), lane(0, 0, AT(6), AT(10))); /* not idle, and moved */
    breaks(fixture, "lane 0 is at");
}

static void an_idle_live_lane_is_its_own_again_when_it_speaks(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    pulse_lane(fixture, AT(60), AT(55), lane(0, LANE_IDLE, AT(55), AT(10)));
    fixture_frame(fixture);
    fixture_events(fixture, AT(61), (struct stamped[]){{12, AT(55)}}, 1);
    fixture_pulse(fixture, AT(61), AT(55), (struct lane_state[]){lane(0, 0, AT(7), AT(12))}, 1);
    fixture_frame_end(fixture);
    holds(fixture);
    pulse_lane(fixture, AT(62), AT(55), lane(0, 0, AT(55), AT(12)));
    breaks(fixture, "lane 0 is at");
}

static void lanes_that_fall_idle_one_by_one_let_the_watermark_up_to_the_last(void **state)
{
    (void)state;
    for (uint32_t form = 0; form < 2; form++) {
        struct fixture *fixture = two_lanes(LANE_EXPLICIT);
        command(fixture, 1, LANE_ADVANCE, AT(2));
        struct lane_state idle[] = {lane(0, LANE_IDLE, AT(5), AT(10)),
                                    lane(1, LANE_IDLE, AT(2), AT(2))};
        fixture_frame(fixture);
        fixture_pulse(fixture, AT(45), form == 0 ? AT(5) : AT(5) + 1, idle, 2);
        fixture_frame_end(fixture);
        if (form == 0) {
            holds(fixture);
        } else {
            breaks(fixture, "the watermark over all lanes");
        }
    }
}

static void more_disorder_waits_and_less_may_rise(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    struct source wide = {
        .disorder_us = SECONDS(8),
        .idle_after_us = SECONDS(30),
        .max_future_skew_us = SECONDS(300),
        .name = BYTES("*"),
    };
    fixture_frame(fixture);
    source_put(&fixture->memory, &wide);
    fixture->record_count++;
    fixture_frame_end(fixture);
    event(fixture, 11, AT(5));
    pulse_lane(fixture, AT(11), AT(5), lane(0, 0, AT(5), AT(11)));
    event(fixture, 15, AT(5));
    pulse_lane(fixture, AT(15), AT(7), lane(0, 0, AT(7), AT(15)));
    holds(fixture);
    pulse_lane(fixture, AT(15), AT(10), lane(0, 0, AT(10), AT(15))); /* by the old disorder */
    breaks(fixture, "lane 0 is at");
}

static void lanes_are_declared_before_they_are_spoken_of(void **state)
{
    (void)state;
    struct fixture *fixture = steady();
    command(fixture, 3, LANE_FINISH, 0);
    breaks(fixture, "not declared");
    fixture = steady();
    pulse_lane(fixture, AT(11), AT(5), lane(3, 0, AT(5), AT(10)));
    breaks(fixture, "not declared");
    fixture = steady();
    source(fixture, 1, "s2", LANE_BOUNDED);
    source(fixture, 1, "s2", LANE_BOUNDED);
    holds(fixture);
    source(fixture, 1, "s3", LANE_BOUNDED);
    breaks(fixture, "a second source");
    fixture = steady();
    source(fixture, 1, "s2", LANE_BOUNDED);
    source(fixture, 2, "s2", LANE_BOUNDED);
    breaks(fixture, "a second one of its source");
    fixture = steady();
    fixture_frame(fixture);
    fixture_pulse(fixture,
                  AT(11),
                  AT(5),
                  (struct lane_state[]){lane(0, 0, AT(5), AT(10)), lane(0, 0, AT(5), AT(10))},
                  2);
    fixture_frame_end(fixture);
    breaks(fixture, "in it twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_is_its_latest_event_less_its_disorder),
        cmocka_unit_test(a_lane_that_moved_is_in_the_pulse),
        cmocka_unit_test(the_latest_event_time_is_the_lanes),
        cmocka_unit_test(each_event_carries_the_watermark_in_force),
        cmocka_unit_test(the_steps_of_a_batch_are_where_the_watermark_rises),
        cmocka_unit_test(a_pulse_tells_the_watermark_of_its_lanes),
        cmocka_unit_test(no_event_is_from_the_future),
        cmocka_unit_test(a_declared_lane_holds_before_its_first_event),
        cmocka_unit_test(an_explicit_lane_goes_where_its_producer_says),
        cmocka_unit_test(no_producer_is_beyond_the_clock_and_its_skew),
        cmocka_unit_test(a_final_lane_holds_nothing_until_it_is_reopened),
        cmocka_unit_test(what_was_passed_before_all_were_final_stays_passed),
        cmocka_unit_test(final_it_stays_when_the_last_lane_is_forgotten),
        cmocka_unit_test(a_pulse_says_who_is_live),
        cmocka_unit_test(the_watermark_does_not_fall_with_a_new_lane),
        cmocka_unit_test(a_forgotten_lane_holds_nothing),
        cmocka_unit_test(a_lane_is_idle_after_idle_after_at_the_earliest),
        cmocka_unit_test(an_idle_lane_is_left_out_until_it_speaks),
        cmocka_unit_test(when_all_are_idle_the_clock_speaks_for_the_live_ones),
        cmocka_unit_test(an_idle_lane_that_is_not_live_stands_still),
        cmocka_unit_test(an_idle_live_lane_is_its_own_again_when_it_speaks),
        cmocka_unit_test(lanes_that_fall_idle_one_by_one_let_the_watermark_up_to_the_last),
        cmocka_unit_test(more_disorder_waits_and_less_may_rise),
        cmocka_unit_test(lanes_are_declared_before_they_are_spoken_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
