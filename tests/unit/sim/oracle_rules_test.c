/* The judge of rules: notes that the events of a log make, and such that they don't. */
#include "history_fixture.h"

#include "base/arena.h"
#include "lang/lang.h"
#include "sim/oracle_timeouts.h"

#define AT(seconds) (T0 + SECONDS(seconds))
#define NOTES       4

static struct fixture *fixture;
static struct rule_recipe recipe;
static struct heard_note notes[NOTES];
static size_t note_count;
static struct expected_timeouts expected;

static void put_rule(const char *sql)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    static uint8_t encoded[RULE_BYTES_MAX];
    struct arena arena = arena_of(memory, sizeof(memory));
    struct statement statement;
    struct error error = {0};
    assert_int_equal(lang_parse(bytes_of_string(sql), &arena, &statement, &error), OK);
    struct buf out = buf_of(encoded, sizeof(encoded));
    rule_put(&out, &statement.rule);
    const struct define define = {
        .metric = 1, .version = 1, .created = {T0}, .definition = buf_bytes(&out)};
    fixture_frame(fixture);
    rule_define_put(&fixture->memory, &define);
    fixture->record_count++;
    fixture_frame_end(fixture);
}

static void event_at(uint32_t number, int64_t arrival)
{
    fixture_frame(fixture);
    fixture_events(fixture, arrival, (struct stamped[]){{number, NONE}}, 1);
    fixture_frame_end(fixture);
}

static void event(uint32_t number)
{
    event_at(number, fixture->universe[number].time.us);
}

static void pulse_at(int64_t clock, int64_t watermark)
{
    fixture_frame(fixture);
    fixture_pulse(fixture, clock, watermark, NULL, 0);
    fixture_frame_end(fixture);
}

static void pulse(int64_t watermark)
{
    pulse_at(AT(60), watermark);
}

static void drop(void)
{
    fixture_frame(fixture);
    rule_drop_put(&fixture->memory, 1);
    fixture->record_count++;
    fixture_frame_end(fixture);
}

/* Event 0 starts, or is the first of a silence; what is odd is not of the rule; the span is 4 s. */
static void begin(bool silence)
{
    fixture = fixture_new();
    for (uint32_t n = 0; n < FIXTURE_EVENTS; n++) {
        fixture->universe[n].type = n == 0 ? 0 : n % 2 == 1 ? 7 : silence ? 0 : 1;
    }
    recipe = (struct rule_recipe){.silence = silence, .retracts = true, .span_us = SECONDS(4)};
    fixture->history.rules = &recipe;
    fixture->history.rule_count = 1;
    note_count = 0;
    fixture_frame(fixture);
    fixture_genesis(fixture);
    fixture_frame_end(fixture);
    put_rule(silence
                 ? "CREATE SILENCE r0 AS EXPECT type = 't0' EVERY INTERVAL '4 seconds' PER source"
                 : "CREATE TIMEOUT r0 AS AFTER type = 't0' EXPECT type = 't1' WITHIN INTERVAL "
                   "'4 seconds' PER subject LATE RETRACT");
}

/* The feed tells something of the key, whose deadline is given. */
static void tell(enum note_kind kind, uint64_t ordinal, int64_t deadline)
{
    notes[note_count] = (struct heard_note){.place = {ordinal, 1, (uint32_t)note_count + 1},
                                            .kind = kind,
                                            .flags = NOTE_BY_EVENTS,
                                            .rule = 1,
                                            .key = 1,
                                            .deadline = deadline,
                                            .started = deadline - recipe.span_us,
                                            .last_seen = deadline - recipe.span_us};
    notes[note_count].flags |= recipe.silence ? NOTE_SILENCE : 0;
    note_count++;
}

static bool holds(void)
{
    struct finding finding = {{0}};
    free(expected.notes);
    expected = (struct expected_timeouts){0};
    return oracle_rules_hold(&fixture->history, notes, note_count, &expected, &finding);
}

static int tear_down(void **state)
{
    (void)state;
    free(expected.notes);
    expected = (struct expected_timeouts){0};
    return 0;
}

static void what_nobody_met_fires_at_the_first_pulse_behind_its_deadline(void **state)
{
    (void)state;
    begin(false);
    event(0);
    pulse(AT(4)); /* exactly at the deadline is in time */
    assert_true(holds());
    pulse(AT(5));
    pulse(AT(6));
    assert_false(holds()); /* nothing was told */
    tell(NOTE_TIMEOUT_FIRED, 2, AT(4));
    assert_true(holds());
    assert_int_equal(expected.note_count, 1);
    assert_int_equal(expected.counts.rules_fired, 1);
    notes[0].place.ordinal = 1;
    assert_false(holds());
    notes[0].place.ordinal = 2;
    tell(NOTE_TIMEOUT_FIRED, 3, AT(4));
    assert_false(holds()); /* twice */
}

static void what_was_met_in_time_does_not_fire(void **state)
{
    (void)state;
    begin(false);
    event(0);
    event(4);
    pulse(AT(5));
    assert_true(holds());
    assert_int_equal(expected.counts.rules_met, 1);
    tell(NOTE_TIMEOUT_FIRED, 1, AT(4));
    assert_false(holds());
}

static void evidence_behind_the_firing_takes_it_back(void **state)
{
    (void)state;
    begin(false);
    event(0);
    pulse(AT(5));
    event(4);
    pulse_at(AT(61), AT(5));
    tell(NOTE_TIMEOUT_FIRED, 1, AT(4));
    assert_false(holds());
    tell(NOTE_TIMEOUT_RETRACTED, 2, AT(4));
    notes[1].fired.us = AT(60);
    assert_true(holds());
    notes[1].fired.us = AT(61); /* its own time, and not the firing's */
    assert_false(holds());
    notes[1].fired.us = AT(60);
    notes[1].kind = NOTE_TIMEOUT_COMPLETED_LATE; /* the rule says RETRACT */
    assert_false(holds());
}

static void a_silence_fires_where_the_next_event_is_too_far(void **state)
{
    (void)state;
    begin(true);
    event(0);
    event(4);
    event(10);
    pulse(AT(9));
    assert_false(holds());
    tell(NOTE_TIMEOUT_FIRED, 1, AT(8)); /* event 4's; 10 is too late for it */
    assert_true(holds());
    assert_int_equal(expected.counts.silences, 1);
    notes[0].deadline = AT(4); /* event 0's was met by event 4 */
    notes[0].started = AT(0);
    notes[0].last_seen = AT(0);
    assert_false(holds());
}

static void a_heartbeat_gives_time_anew(void **state)
{
    (void)state;
    begin(false);
    recipe.beats = true;
    recipe.beat_type = 2;
    fixture->universe[3].type = 2;
    event(0);
    event(3);
    pulse(AT(6)); /* behind the first deadline, not behind 7 */
    assert_true(holds());
    pulse(AT(8));
    assert_false(holds());
    tell(NOTE_TIMEOUT_FIRED, 2, AT(7));
    notes[0].started = AT(0);
    assert_true(holds());
    assert_int_equal(expected.counts.rules_extended, 1);
    notes[0].last_seen = AT(0);
    assert_false(holds()); /* it was seen at 3 */
}

static void what_is_cancelled_does_not_fire(void **state)
{
    (void)state;
    begin(false);
    recipe.cancels = true;
    recipe.cancel_type = 3;
    fixture->universe[3].type = 3;
    event(0);
    event(3);
    pulse(AT(6));
    assert_true(holds());
    assert_int_equal(expected.counts.rules_cancelled, 1);
    tell(NOTE_TIMEOUT_FIRED, 1, AT(4));
    assert_false(holds());
}

static void within_the_grace_what_comes_late_counts(void **state)
{
    (void)state;
    begin(false);
    recipe.grace_us = SECONDS(3);
    event(0);
    pulse(AT(6)); /* behind the deadline, not behind 4 + 3 */
    assert_true(holds());
    event(4);
    pulse(AT(9));
    assert_true(holds());
    assert_int_equal(expected.counts.rules_met_by_grace, 1);
    tell(NOTE_TIMEOUT_FIRED, 2, AT(4));
    assert_false(holds());
}

static void by_the_clock_the_watermark_means_nothing(void **state)
{
    (void)state;
    begin(false);
    recipe.by_clock = true;
    event(0);
    pulse_at(AT(3), AT(50));
    assert_true(holds());
    pulse_at(AT(4), AT(50));
    assert_false(holds());
    tell(NOTE_TIMEOUT_FIRED, 2, AT(4));
    assert_false(holds()); /* it says that it goes by events */
    notes[0].flags = 0;
    assert_true(holds());
    assert_int_equal(expected.counts.rules_by_clock, 1);
}

static void by_the_clock_the_log_decides_though_arrivals_lie_otherwise(void **state)
{
    (void)state;
    begin(false);
    recipe.by_clock = true;
    event_at(0, AT(2));
    event_at(4, AT(1)); /* behind it in the log, so that it is met */
    pulse_at(AT(7), AT(50));
    assert_true(holds());
    assert_int_equal(expected.counts.rules_met, 1);
    begin(false);
    recipe.by_clock = true;
    event_at(4, AT(2)); /* before it in the log: that is nothing */
    event_at(0, AT(1));
    pulse_at(AT(5), AT(50));
    assert_false(holds());
    tell(NOTE_TIMEOUT_FIRED, 1, AT(5));
    notes[0].flags = 0;
    assert_true(holds());
}

static void by_the_clock_a_heartbeat_takes_no_time_away(void **state)
{
    (void)state;
    begin(false);
    recipe.by_clock = true;
    recipe.beats = true;
    recipe.beat_type = 2;
    fixture->universe[2].type = 2;
    fixture->universe[3].type = 2;
    event_at(0, AT(2));
    event_at(2, AT(4));
    event_at(3, AT(3));
    pulse_at(AT(7), AT(50));
    assert_true(holds());
    pulse_at(AT(8), AT(50));
    assert_false(holds());
    tell(NOTE_TIMEOUT_FIRED, 2, AT(8));
    notes[0].flags = 0;
    notes[0].started = AT(2);
    assert_true(holds());
}

static void by_the_clock_a_silence_counts_from_the_last_arrival(void **state)
{
    (void)state;
    begin(true);
    recipe.by_clock = true;
    event_at(0, AT(2));
    event_at(4, AT(1));
    pulse_at(AT(7), AT(50));
    assert_false(holds());
    tell(NOTE_TIMEOUT_FIRED, 1, AT(6));
    notes[0].flags = NOTE_SILENCE;
    assert_true(holds());
    tell(NOTE_TIMEOUT_FIRED, 1, AT(5));
    notes[1].flags = NOTE_SILENCE;
    assert_false(holds()); /* it is one silence */
}

static void behind_its_drop_a_rule_tells_nothing(void **state)
{
    (void)state;
    begin(false);
    event(0);
    pulse(AT(1));
    drop();
    assert_false(holds()); /* nobody may drop it */
    recipe.droppable = true;
    pulse(AT(5));
    assert_true(holds());
    assert_int_equal(expected.counts.rules_dropped, 1);
    tell(NOTE_TIMEOUT_FIRED, 2, AT(4));
    assert_false(holds());
}

/* All instances, as they were shown at the end. */
static bool shown(enum timeout_state state, int64_t deadline)
{
    const struct seen_instance seen = {.key = 1,
                                       .object = {.state = state,
                                                  .clock = TIMEOUT_BY_EVENTS,
                                                  .deadline = deadline,
                                                  .event_time = {AT(0)},
                                                  .last_seen = {deadline - recipe.span_us}}};
    const struct watch_sight sight = {
        .whole = true, .at_least = UINT64_MAX, .at_most = UINT64_MAX, .count = 1};
    fixture->history.watch_sights = &sight;
    fixture->history.watch_sight_count = 1;
    fixture->history.instances = &seen;
    bool good = holds();
    fixture->history.watch_sight_count = 0;
    return good;
}

static void an_instance_is_shown_as_it_is(void **state)
{
    (void)state;
    begin(false);
    event(0);
    pulse(AT(3));
    assert_true(shown(TIMEOUT_PENDING, AT(4)));
    assert_int_equal(expected.counts.instances_seen, 1);
    assert_false(shown(TIMEOUT_PENDING, AT(5)));
    assert_false(shown(TIMEOUT_COMPLETED, AT(4)));
    event(4);
    pulse(AT(5));
    assert_true(shown(TIMEOUT_COMPLETED, AT(4)));
    assert_false(shown(TIMEOUT_CANCELLED, AT(4)));
}

static void what_gives_no_more_time_is_shown_until_the_rest_has_acted(void **state)
{
    (void)state;
    begin(false);
    recipe.beats = true;
    recipe.beat_type = 2;
    fixture->universe[1].type = 2;
    fixture->universe[3].type = 2;
    event(0);
    event(3);
    pulse(AT(2)); /* 3 is known and waits */
    assert_true(shown(TIMEOUT_PENDING, AT(4)));
    event(1);
    pulse(AT(2)); /* 1 is late, and acts at once */
    assert_true(shown(TIMEOUT_PENDING, AT(5)));
    assert_false(shown(TIMEOUT_PENDING, AT(4)));
    assert_false(shown(TIMEOUT_PENDING, AT(7)));
    pulse(AT(4));
    assert_true(shown(TIMEOUT_PENDING, AT(7)));
    assert_false(shown(TIMEOUT_PENDING, AT(5)));
}

static void a_note_about_nothing_is_found(void **state)
{
    (void)state;
    begin(false);
    event(0);
    pulse(AT(1));
    assert_true(holds());
    tell(NOTE_TIMEOUT_FIRED, 1, AT(3));
    assert_false(holds());
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_nobody_met_fires_at_the_first_pulse_behind_its_deadline),
        TEST(what_was_met_in_time_does_not_fire),
        TEST(evidence_behind_the_firing_takes_it_back),
        TEST(a_silence_fires_where_the_next_event_is_too_far),
        TEST(a_heartbeat_gives_time_anew),
        TEST(what_is_cancelled_does_not_fire),
        TEST(within_the_grace_what_comes_late_counts),
        TEST(by_the_clock_the_watermark_means_nothing),
        TEST(by_the_clock_the_log_decides_though_arrivals_lie_otherwise),
        TEST(by_the_clock_a_heartbeat_takes_no_time_away),
        TEST(by_the_clock_a_silence_counts_from_the_last_arrival),
        TEST(behind_its_drop_a_rule_tells_nothing),
        TEST(an_instance_is_shown_as_it_is),
        TEST(what_gives_no_more_time_is_shown_until_the_rest_has_acted),
        TEST(a_note_about_nothing_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
