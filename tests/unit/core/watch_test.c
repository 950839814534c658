/* Rules over the stream, as stories. Times are seconds; `world_pulse(&world, w)`: the watermark is w. */
#include "watch_story.h"

#include "core/rules.h"
#include "core/signals.h"

#define QUIET                                                                                      \
    "CREATE SILENCE quiet AS EXPECT type = 'reading' EVERY INTERVAL '10 seconds' PER subject "

static void exactly_at_the_deadline_is_in_time(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world_event(&world, "stop", "a", 10);
    world_event(&world, "start", "b", 0);
    world_event(&world, "stop", "b", 11);
    world_pulse(&world, 10);
    assert_told(&world, "");
    world_pulse(&world, 11);
    assert_told(&world, "fired b 0..10 seen 0\n");
    world_pulse(&world, 12);
    assert_told(&world, "");
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 1);
    assert_int_equal(world_count(&world, rule, TIMEOUT_FIRED), 1);
    assert_int_equal(world_count(&world, rule, TIMEOUT_PENDING), 0);
}

static void the_watermark_at_the_deadline_fires_nothing_yet(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world_pulse(&world, 10);
    assert_told(&world, "");
    world_event(&world, "stop", "a", 10);
    world_pulse(&world, 100);
    assert_told(&world, "");
}

static void an_expect_that_arrives_first_satisfies_the_start_that_follows(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    world_event(&world, "stop", "a", 5);
    world_pulse(&world, -1);
    world_event(&world, "start", "a", 0);
    world_pulse(&world, 4);
    assert_int_equal(world_count(&world, rule, TIMEOUT_PENDING), 1);
    world_pulse(&world, 100);
    assert_told(&world, "");
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 1);
}

static void heartbeats_act_in_the_order_of_their_times(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world_event(&world, "beat", "a", 15); /* only in time because of the next one */
    world_event(&world, "beat", "a", 8);
    world_pulse(&world, 25);
    assert_told(&world, "");
    world_pulse(&world, 26);
    assert_told(&world, "fired a 0..25 seen 15\n");
    world_event(&world, "start", "b", 30);
    world_event(&world, "beat", "b", 41); /* too late to keep it alive */
    world_pulse(&world, 42);
    assert_told(&world, "fired b 30..40 seen 30\n");
}

static void a_cancelled_one_is_not_told(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world_event(&world, "cancel", "a", 3);
    world_event(&world, "start", "b", 5);
    world_event(&world, "cancel", "b", 4); /* before it began */
    world_pulse(&world, WATERMARK_FINAL);
    assert_told(&world, "fired b 5..15 seen 5\n");
    assert_int_equal(world_count(&world, rule, TIMEOUT_CANCELLED), 1);
}

static void each_start_of_a_key_waits_for_itself(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world_event(&world, "start", "a", 5);
    world_event(&world, "start", "a", 5); /* the same instance */
    world_event(&world, "start", "a", 12);
    world_event(&world, "stop", "a", 11);
    world_pulse(&world, 15);
    assert_told(&world, "fired a 0..10 seen 0\n");
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 1);
    world_pulse(&world, 30);
    assert_told(&world, "fired a 12..22 seen 12\n");
}

static void one_condition_may_be_start_and_end_of_neighbours(void **state)
{
    (void)state;
    world_rule(&world,
               "CREATE TIMEOUT chain AS AFTER type = 'ping' EXPECT type = 'ping' WITHIN INTERVAL "
               "'10 seconds' PER subject");
    world_event(&world, "ping", "a", 0);
    world_event(&world, "ping", "a", 9);
    world_event(&world, "ping", "a", 20);
    world_pulse(&world, 100);
    assert_told(&world, "fired a 20..30 seen 20\nfired a 9..19 seen 9\n");
}

static void late_evidence_is_told_once_as_completed_late(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world.clock = 7;
    world_pulse(&world, 20);
    assert_told(&world, "fired a 0..10 seen 0\n");
    world.clock = 8;
    world_event(&world, "stop", "a", 11); /* behind the deadline: nothing */
    world_pulse(&world, 21);
    assert_told(&world, "");
    world_event(&world, "stop", "a", 10);
    world_event(&world, "stop", "a", 9);
    world.clock = 30;
    world_pulse(&world, 22);
    assert_told(&world, "completed_late a 0..10 seen 0, fired 7\n");
    assert_int_equal(world_count(&world, rule, TIMEOUT_FIRED), 1);
}

static void late_evidence_takes_the_firing_back_when_the_rule_says_so(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE "LATE RETRACT");
    world_event(&world, "start", "a", 0);
    world.clock = 7;
    world_pulse(&world, 20);
    assert_told(&world, "fired a 0..10 seen 0\n");
    world_event(&world, "stop", "a", 10);
    world_event(&world, "stop", "a", 9);
    world.clock = 30;
    world_pulse(&world, 22);
    assert_told(&world, "retracted a 0..10 seen 0, fired 7\n");
    assert_int_equal(world_count(&world, rule, TIMEOUT_RETRACTED), 1);
    assert_int_equal(world_count(&world, rule, TIMEOUT_FIRED), 0);
}

static void a_late_heartbeat_lets_a_retracted_one_live_on(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE "LATE RETRACT");
    world_event(&world, "start", "a", 0);
    world.clock = 3;
    world_pulse(&world, 12);
    assert_told(&world, "fired a 0..10 seen 0\n");
    world_event(&world, "beat", "a", 9);
    world.clock = 5;
    world_pulse(&world, 13);
    assert_told(&world, "retracted a 0..10 seen 0, fired 3\n");
    world.clock = 7;
    world_pulse(&world, 20);
    assert_told(&world, "fired a 0..19 seen 9 again 1\n");
    world_event(&world, "stop", "a", 19);
    world.clock = 8;
    world_pulse(&world, 21);
    assert_told(&world, "retracted a 0..19 seen 9 again 1, fired 7\n"); /* the firing of its own */
}

/* The one instance of the key. */
static struct timeout_object look(const struct world *of, uint32_t rule, const char *text)
{
    struct bytes name = bytes_of_string(text);
    uint64_t hash = signal_hash(of->engines[0], rule, name);
    struct engine *engine = of->owners[signal_shard(of->engines[0], hash)];
    const struct watch *watch = &engine->partitions[signal_shard(engine, hash)]->watch;
    const struct watch_key *key = watch_look(watch, world_place(of, rule), hash, name);
    assert_non_null(key);
    struct watch_turn now = rules_now(engine);
    const struct watch_instance *at = NULL;
    struct watch_view view;
    assert_true(watch_view_next(key, &now, &at, &view));
    return view.object;
}

static void what_was_taken_back_knows_when_it_had_fired(void **state)
{
    (void)state;
    struct world copy;
    uint32_t rule = world_rule(&world, OVERDUE "LATE RETRACT");
    world_event(&world, "start", "a", 0);
    world.clock = 7;
    world_pulse(&world, 20);
    world_copy(&world, 1, &copy);
    world_event(&world, "stop", "a", 9);
    world_event(&copy, "stop", "a", 9);
    world.clock = copy.clock = 30;
    world_pulse(&world, 22);
    world_pulse(&copy, 22);
    assert_int_equal(world_digest(&copy), world_digest(&world));
    world_deinit(&copy);
    world_copy(&world, 1, &copy);
    assert_int_equal(world_digest(&copy), world_digest(&world));
    const struct world *worlds[] = {&world, &copy};
    for (size_t n = 0; n < 2; n++) {
        struct timeout_object object = look(worlds[n], rule, "a");
        assert_int_equal(object.state, TIMEOUT_RETRACTED);
        assert_true(object.fired.us == 7 * US_PER_SECOND);
        assert_true(object.ended.us == 30 * US_PER_SECOND);
    }
    world_deinit(&copy);
}

static void evidence_behind_the_watermark_satisfies_an_open_one(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE "GRACE INTERVAL '5 seconds'");
    world_event(&world, "start", "a", 0);
    world_pulse(&world, 15);
    assert_told(&world, ""); /* 10 + 5 has not been passed */
    world_event(&world, "stop", "a", 10);
    world_pulse(&world, 16);
    assert_told(&world, "");
    world_event(&world, "start", "b", 20);
    world_pulse(&world, 36);
    assert_told(&world, "fired b 20..30 seen 20\n");
}

static void within_its_grace_a_late_start_finds_what_had_acted_before(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE "GRACE INTERVAL '60 seconds'");
    world_event(&world, "beat", "a", 8);
    world_event(&world, "stop", "a", 17);
    world_pulse(&world, 30);
    world_event(&world, "start", "a", 0);
    world_pulse(&world, 31);
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 1);
    world_pulse(&world, 200);
    assert_told(&world, "");
}

static void a_late_start_whose_deadline_has_passed_is_born_late(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE);
    world_pulse(&world, 100);
    world_event(&world, "start", "a", 0);
    world_event(&world, "start", "b", 95);
    world_pulse(&world, 101);
    assert_told(&world, "fired a 0..10 seen 0 born late\n");
    world_pulse(&world, 106);
    assert_told(&world, "fired b 95..105 seen 95\n");
}

static void nothing_fires_by_events_while_the_engine_holds(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world.flags = PULSE_HOLD;
    world_pulse(&world, 20);
    assert_told(&world, "");
    assert_int_equal(world_count(&world, rule, TIMEOUT_PENDING), 1);
    world_event(&world, "stop", "a", 10); /* it was us who were deaf */
    world_event(&world, "start", "b", 1);
    world_pulse(&world, 21);
    world.flags = 0;
    world_pulse(&world, 21);
    assert_told(&world, "fired b 1..11 seen 1 born late\n");
}

static void a_silence_fires_once_and_the_next_event_arms_it_anew(void **state)
{
    (void)state;
    world_rule(&world, QUIET);
    world_event(&world, "reading", "a", 0);
    world_event(&world, "reading", "a", 10); /* exactly at the deadline */
    world_pulse(&world, 20);
    assert_told(&world, "");
    world_pulse(&world, 21);
    assert_told(&world, "fired a 10..20 seen 10\n");
    world_pulse(&world, 50);
    assert_told(&world, "");
    world_event(&world, "reading", "a", 55);
    world_pulse(&world, 65);
    assert_told(&world, "");
    world_pulse(&world, 66);
    assert_told(&world, "fired a 55..65 seen 55\n");
}

static void a_silence_that_was_over_before_the_pulse_is_told(void **state)
{
    (void)state;
    world_rule(&world, QUIET);
    world_event(&world, "reading", "a", 40);
    world_event(&world, "reading", "a", 0);
    world_event(&world, "reading", "a", 20);
    world_event(&world, "reading", "a", 30);
    world_pulse(&world, 41);
    assert_told(&world, "fired a 0..10 seen 0\n");
}

static void a_late_reading_of_a_silence_is_told_once(void **state)
{
    (void)state;
    world_rule(&world, QUIET);
    world_event(&world, "reading", "a", 0);
    world.clock = 3;
    world_pulse(&world, 15);
    assert_told(&world, "fired a 0..10 seen 0\n");
    world_event(&world, "reading", "a", 9);
    world.clock = 4;
    world_pulse(&world, 16);
    assert_told(&world, "completed_late a 0..10 seen 0, fired 3\n");
    world.clock = 5;
    world_pulse(&world, 20);
    assert_told(&world, "fired a 9..19 seen 9\n");
    world_event(&world, "reading", "a", 25);
    world.clock = 6;
    world_pulse(&world, 26);
    struct world copy;
    world_copy(&world, 1, &copy);
    struct world *worlds[] = {&world, &copy};
    for (size_t n = 0; n < 2; n++) {
        world_event(worlds[n], "reading", "a", 18); /* although it is armed anew */
        world_event(worlds[n], "reading", "a", 17);
        worlds[n]->clock = 7;
        world_pulse(worlds[n], 27);
        assert_told(worlds[n], "completed_late a 9..19 seen 9, fired 5\n");
    }
    assert_int_equal(world_digest(&copy), world_digest(&world));
    world_deinit(&copy);
}

static void a_silence_of_many_runs_knows_when_each_fired(void **state)
{
    (void)state;
    world_rule(&world, QUIET);
    world_event(&world, "reading", "a", 0);
    world_event(&world, "reading", "a", 20); /* waits behind it as a run of its own */
    world.clock = 3;
    world_pulse(&world, 15);
    assert_told(&world, "fired a 0..10 seen 0\n");
    world.clock = 4;
    world_pulse(&world, 16);
    world_event(&world, "reading", "a", 5);
    world.clock = 5;
    world_pulse(&world, 17);
    assert_told(&world, "completed_late a 0..10 seen 0, fired 3\n");
}

static void a_finished_source_is_not_silent(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, QUIET);
    world_event(&world, "reading", "a", 0);
    world_event(&world, "reading", "b", 5);
    world_event(&world, "reading", "c", 6);
    world_event(&world, "other", "d", 15);
    world_pulse(&world, 1);
    assert_told(&world, "");
    world_pulse(&world, WATERMARK_FINAL);
    assert_told(&world, "fired a 0..10 seen 0\n");
    world_pulse(&world, WATERMARK_FINAL);
    assert_told(&world, "");
    assert_int_equal(world_count(&world, rule, TIMEOUT_PENDING), 2);
}

static void when_all_is_final_every_timeout_fires(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world_event(&world, "start", "b", 1000);
    world_pulse(&world, WATERMARK_FINAL);
    assert_told(&world, "fired a 0..10 seen 0\nfired b 1000..1010 seen 1000\n");
    world_pulse(&world, 1000); /* open again */
    world_event(&world, "start", "c", 1001);
    world_event(&world, "stop", "c", 1002);
    world_pulse(&world, 2000);
    assert_told(&world, "");
}

static void by_the_engines_clock_the_order_of_the_log_decides(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE "CLOCK PROCESSING");
    world.clock = 100;
    struct world_event events[] = {
        {.type = "stop", .key = "a", .time = 7}, /* before: concerns nothing */
        {.type = "start", .key = "a", .time = 5000},
        {.type = "start", .key = "b", .time = 3},
        {.type = "stop", .key = "b", .time = 1},
    };
    world_send(&world, events, 4);
    world_pulse(&world, 1000000); /* the watermark means nothing here */
    assert_told(&world, "");
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 1);
    world.clock = 109;
    world_pulse(&world, 1000000);
    assert_told(&world, "");
    world.flags = PULSE_HOLD; /* nor does this */
    world.clock = 110;
    world_pulse(&world, 1000000);
    assert_told(&world, "fired a 100..110 seen 100\n");
    world_event(&world, "start", "c", 0);
    world.clock = 119;
    world_event(&world, "beat", "c", 0);
    world.clock = 128;
    world_pulse(&world, 1000000);
    assert_told(&world, "");
    world_event(&world, "stop", "c", 0); /* in the log before the pulse that would fire it */
    world.clock = 200;
    world_pulse(&world, 1000000);
    assert_told(&world, "");
}

static void
by_the_engines_clock_arrivals_that_lie_otherwise_than_the_log_change_nothing(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE "CLOCK PROCESSING");
    world.clock = 100;
    world_event(&world, "start", "a", 0);
    world_event(&world, "start", "b", 0);
    world_event(&world, "beat", "b", 0);
    world.clock = 99;
    world_event(
        &world, "stop", "a", 0); /* of another gateway: it arrived before, and is logged behind */
    world_event(&world, "beat", "b", 0);
    world.clock = 109;
    world_pulse(&world, 1000000);
    assert_told(&world, "");
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 1);
    world.clock = 110;
    world_pulse(&world, 1000000);
    assert_told(&world, "fired b 100..110 seen 100\n");
}

static void a_silence_by_the_engines_clock(void **state)
{
    (void)state;
    world_rule(&world, QUIET "CLOCK PROCESSING");
    world.clock = 50;
    world_event(&world, "reading", "a", 7);
    world_pulse(&world, WATERMARK_NONE);
    world.clock = 59;
    world_pulse(&world, WATERMARK_NONE);
    assert_told(&world, "");
    world.clock = 60;
    world_pulse(&world, WATERMARK_NONE);
    assert_told(&world, "fired a 50..60 seen 50\n");
    world_event(&world, "reading", "a", 7);
    world.clock = 71;
    world_pulse(&world, WATERMARK_NONE);
    assert_told(&world, "fired a 60..70 seen 60\n");
}

static void a_rule_on_chosen_sources_waits_for_them_alone(void **state)
{
    (void)state;
    uint32_t lane = world_source(&world, "/live");
    world_rule(&world,
               "CREATE TIMEOUT chosen WITH (sources = '/live') AS AFTER type = 'start' EXPECT "
               "type = 'stop' WITHIN INTERVAL '10 seconds' PER subject");
    struct world_event event = {.type = "start", .key = "a", .source = "/live"};
    world_send(&world, &event, 1);
    world_pulse(&world, 1000);
    assert_told(&world, "");
    world.lanes[lane - 1].watermark = 10 * US_PER_SECOND;
    world_pulse(&world, 5);
    assert_told(&world, "");
    world.lanes[lane - 1].watermark = 11 * US_PER_SECOND;
    world_pulse(&world, 5);
    assert_told(&world, "fired a 0..10 seen 0\n");
}

static void within_may_be_an_expression_of_the_start(void **state)
{
    (void)state;
    uint32_t rule = world_rule(
        &world,
        "CREATE TIMEOUT each AS AFTER type = 'start' EXPECT type = 'stop' WITHIN data.minutes * "
        "INTERVAL '1 minute' PER subject");
    struct world_event events[] = {{.type = "start", .key = "a", .minutes = 2},
                                   {.type = "start", .key = "b", .minutes = 1},
                                   {.type = "start", .key = "c", .minutes = -1},
                                   {.type = "start", .key = "d", .minutes = 0}};
    world_send(&world, events, 4);
    world_pulse(&world, 1000);
    assert_told(&world, "fired a 0..120 seen 0\nfired b 0..60 seen 0\n");
    uint64_t unusable = 0;
    for (uint32_t n = 0; n < 4; n++) {
        unusable +=
            world.owners[n]->partitions[n]->watch.parts[world_place(&world, rule)]->unusable;
    }
    assert_int_equal(unusable, 2);
}

static void a_repetition_signals_nothing(void **state)
{
    (void)state;
    world_rule(&world, QUIET);
    struct world_event events[] = {{.type = "reading", .key = "a", .time = 0, .id = 7},
                                   {.type = "reading", .key = "a", .time = 5, .id = 7}};
    world_send(&world, events, 2);
    world_pulse(&world, 11);
    assert_told(&world, "fired a 0..10 seen 0\n");
}

static void events_without_a_key_concern_nobody(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    struct world_event event = {.type = "start", .time = 3};
    world_send(&world, &event, 1);
    world_pulse(&world, WATERMARK_FINAL);
    assert_told(&world, "");
    assert_int_equal(world_lost(&world, rule), 0);
}

static void a_drop_leaves_the_same_behind_after_a_restoration(void **state)
{
    (void)state;
    static struct world copy;
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    uint32_t rule = world_rule(&world, OVERDUE);
    for (uint32_t n = 0; n < 8; n++) {
        world_event(&world, "start", keys[n], n);
    }
    for (uint32_t n = 0; n < 8; n++) {
        world_event(&world, "beat", keys[n], 9 - n / 2); /* the first are due last now */
    }
    world_pulse(&world, 10);
    world_copy(&world, 1, &copy);
    world_drop(&world, rule);
    world_drop(&copy, rule);
    assert_int_equal(world_digest(&copy), world_digest(&world));
    world_deinit(&copy);
}

static void a_dropped_rule_takes_everything_along(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE "GRACE INTERVAL '1 minute'");
    uint32_t quiet = world_rule(&world, QUIET);
    world_event(&world, "start", "a", 0);
    world_event(&world, "beat", "a", 1);
    world_event(&world, "reading", "a", 0);
    world_pulse(&world, 2);
    world_event(&world, "start", "b", 3);
    world_event(&world, "start", "c", 0);
    world_event(&world, "stop", "c", 0);
    world_pulse(&world, 3);
    world_event(&world, "start", "d", 4); /* between two pulses */
    world_drop(&world, rule);
    world_rule(&world, OVERDUE);
    world_pulse(&world, 100);
    assert_told(&world, "fired a 0..10 seen 0\n");
    world_drop(&world, quiet);
    world_pulse(&world, 101);
    for (uint32_t n = 0; n < 4; n++) {
        assert_int_equal(world.owners[n]->partitions[n]->watch.key_count, 0);
        assert_int_equal(world.owners[n]->partitions[n]->watch.bytes, 0);
    }
}

static void ended_ones_are_forgotten_after_a_day(void **state)
{
    (void)state;
    uint32_t rule = world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world_event(&world, "start", "b", 0);
    world_event(&world, "stop", "b", 0);
    world_pulse(&world, 100);
    assert_told(&world, "fired a 0..10 seen 0\n");
    world.clock += 86399;
    world_pulse(&world, 100);
    assert_int_equal(world_count(&world, rule, TIMEOUT_FIRED), 1);
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 1);
    world.clock += 1;
    world_pulse(&world, 100);
    assert_int_equal(world_count(&world, rule, TIMEOUT_FIRED), 0);
    assert_int_equal(world_count(&world, rule, TIMEOUT_COMPLETED), 0);
}

static void next_due_says_when_the_next_pulse_matters(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE "GRACE INTERVAL '5 seconds'");
    world_event(&world, "start", "a", 7);
    world_pulse(&world, 7);
    int64_t all = INT64_MAX;
    for (uint32_t n = 0; n < 2; n++) {
        int64_t own = engine_next_due(world.engines[n]).all_lanes;
        all = own < all ? own : all;
    }
    assert_true(all == 7 * US_PER_SECOND + 1); /* the start acts */
    world_pulse(&world, 8);
    all = INT64_MAX;
    for (uint32_t n = 0; n < 2; n++) {
        int64_t own = engine_next_due(world.engines[n]).all_lanes;
        all = own < all ? own : all;
    }
    assert_true(all == 22 * US_PER_SECOND + 1); /* it fires */
}

static void what_is_there_can_be_looked_at(void **state)
{
    (void)state;
    uint32_t id = world_rule(&world, OVERDUE);
    world_event(&world, "start", "a", 0);
    world_event(&world, "beat", "a", 2);
    world_event(&world, "start", "a", 1);
    world_event(&world, "start", "b", 0);
    world_pulse(&world, 12);
    world.flags = PULSE_HOLD;
    world.clock = 13;
    world_pulse(&world, 14);
    uint64_t hash = signal_hash(world.engines[0], id, BYTES("a"));
    struct engine *engine = world.owners[signal_shard(world.engines[0], hash)];
    const struct watch *watch = &engine->partitions[signal_shard(engine, hash)]->watch;
    assert_null(watch_look(watch, world_place(&world, id), hash, BYTES("b")));
    const struct watch_key *key = watch_look(watch, world_place(&world, id), hash, BYTES("a"));
    assert_non_null(key);
    struct watch_turn now = rules_now(engine);
    const struct watch_instance *at = NULL;
    struct watch_view view;
    for (int64_t n = 0; n < 2; n++) {
        assert_true(watch_view_next(key, &now, &at, &view));
        assert_int_equal(view.object.state, TIMEOUT_PENDING);
        assert_true(view.object.event_time.us == n * US_PER_SECOND);
        assert_true(view.object.last_seen.us == 2 * US_PER_SECOND);
        assert_true(view.object.deadline == 12 * US_PER_SECOND);
        assert_true(view.object.held); /* due by the clock, and nobody can tell */
    }
    assert_false(watch_view_next(key, &now, &at, &view));
    uint32_t keys = 0;
    for (uint32_t n = 0; n < 4; n++) {
        uint32_t place = 0;
        watch = &world.owners[n]->partitions[n]->watch;
        while (watch_next(watch, world_place(&world, id), UINT32_MAX, &place) != NULL) {
            keys++;
        }
    }
    assert_int_equal(keys, 2);
}

static void what_finds_no_room_is_counted_as_lost(void **state)
{
    (void)state;
    world_deinit(&world);
    struct world_options options = world_options(1, 1);
    options.watch_bytes = 4096;
    world_init(&world, &options);
    uint32_t rule = world_rule(&world, OVERDUE);
    char key[16];
    for (uint32_t n = 0; n < 100; n++) {
        (void)snprintf(key, sizeof(key), "key-%u", n);
        world_event(&world, "start", key, 0);
        world_pulse(&world, 1);
    }
    uint64_t pending = world_count(&world, rule, TIMEOUT_PENDING);
    assert_true(pending > 5 && pending < 40);
    assert_int_equal(pending + world_lost(&world, rule), 100);
    world_pulse(&world, 100);
    assert_int_equal(world_count(&world, rule, TIMEOUT_FIRED), pending);
    world_event(&world, "start", "later", 200); /* the oldest ended ones give way */
    world_pulse(&world, 201);
    assert_int_equal(world_count(&world, rule, TIMEOUT_PENDING), 1);
    assert_true(world_count(&world, rule, TIMEOUT_FIRED) < pending);
}

static void what_is_due_comes_in_slices(void **state)
{
    (void)state;
    world_deinit(&world);
    struct world_options options = world_options(64, 1);
    world_init(&world, &options); /* a slice is 512 per partition */
    uint32_t rule = world_rule(&world, OVERDUE "CLOCK PROCESSING");
    static char keys[4096][16];
    static struct world_event events[4096];
    for (uint32_t batch = 0; batch < 10; batch++) {
        for (uint32_t n = 0; n < 4096; n++) {
            (void)snprintf(keys[n], sizeof(keys[n]), "k%u", batch * 4096 + n);
            events[n] = (struct world_event){.type = "start", .key = keys[n], .time = 0};
        }
        world_send(&world, events, 4096);
    }
    world_pulse(&world, 1);
    world.clock = 10;
    world_pulse(&world, 1);
    uint64_t fired = world_count(&world, rule, TIMEOUT_FIRED);
    assert_true(fired <= 32768 && fired > 30000);
    assert_true(engine_next_due(world.engines[0]).clock <= 10 * US_PER_SECOND);
    world_pulse(&world, 1);
    assert_int_equal(world_count(&world, rule, TIMEOUT_FIRED), 40960);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(exactly_at_the_deadline_is_in_time),
        STORY(the_watermark_at_the_deadline_fires_nothing_yet),
        STORY(an_expect_that_arrives_first_satisfies_the_start_that_follows),
        STORY(heartbeats_act_in_the_order_of_their_times),
        STORY(a_cancelled_one_is_not_told),
        STORY(each_start_of_a_key_waits_for_itself),
        STORY(one_condition_may_be_start_and_end_of_neighbours),
        STORY(late_evidence_is_told_once_as_completed_late),
        STORY(late_evidence_takes_the_firing_back_when_the_rule_says_so),
        STORY(a_late_heartbeat_lets_a_retracted_one_live_on),
        STORY(what_was_taken_back_knows_when_it_had_fired),
        STORY(evidence_behind_the_watermark_satisfies_an_open_one),
        STORY(within_its_grace_a_late_start_finds_what_had_acted_before),
        STORY(a_late_start_whose_deadline_has_passed_is_born_late),
        STORY(nothing_fires_by_events_while_the_engine_holds),
        STORY(a_silence_fires_once_and_the_next_event_arms_it_anew),
        STORY(a_silence_that_was_over_before_the_pulse_is_told),
        STORY(a_late_reading_of_a_silence_is_told_once),
        STORY(a_silence_of_many_runs_knows_when_each_fired),
        STORY(a_finished_source_is_not_silent),
        STORY(when_all_is_final_every_timeout_fires),
        STORY(by_the_engines_clock_the_order_of_the_log_decides),
        STORY(by_the_engines_clock_arrivals_that_lie_otherwise_than_the_log_change_nothing),
        STORY(a_silence_by_the_engines_clock),
        STORY(a_rule_on_chosen_sources_waits_for_them_alone),
        STORY(within_may_be_an_expression_of_the_start),
        STORY(a_repetition_signals_nothing),
        STORY(events_without_a_key_concern_nobody),
        STORY(a_drop_leaves_the_same_behind_after_a_restoration),
        STORY(a_dropped_rule_takes_everything_along),
        STORY(ended_ones_are_forgotten_after_a_day),
        STORY(next_due_says_when_the_next_pulse_matters),
        STORY(what_is_there_can_be_looked_at),
        STORY(what_finds_no_room_is_counted_as_lost),
        STORY(what_is_due_comes_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
