/* Explicit timeouts as stories: what each command is answered, when they fire, what is remembered. */
#include "timeouts_rig.h"

#define MINUTE US_PER_MINUTE

static int open_rig(void **state)
{
    static struct timeouts_rig rig;
    timeouts_rig_open(&rig, (struct timeouts_limits){0});
    *state = &rig;
    return 0;
}

static int close_rig(void **state)
{
    timeouts_rig_close(*state);
    return 0;
}

static struct timeout_command create_within(const char *key, int64_t within_us)
{
    return (struct timeout_command){
        .op = TIMEOUT_CREATE, .key = bytes_of_string(key), .within_us = within_us};
}

static struct timeout_command create_until(const char *key, int64_t deadline)
{
    return (struct timeout_command){.op = TIMEOUT_CREATE,
                                    .key = bytes_of_string(key),
                                    .has_deadline = true,
                                    .deadline = deadline};
}

static struct timeout_command by_events(struct timeout_command command, int64_t event_time)
{
    command.clock = TIMEOUT_BY_EVENTS;
    command.has_event_time = true;
    command.event_time.us = event_time;
    return command;
}

static struct timeout_command on_exists(struct timeout_command command, enum timeout_on_exists what)
{
    command.on_exists = what;
    return command;
}

static struct timeout_command just(enum timeout_op op, const char *key)
{
    return (struct timeout_command){.op = op, .key = bytes_of_string(key)};
}

static struct timeout_object object_of(struct timeouts_rig *rig, const char *key)
{
    struct timeout_view view;
    timeouts_look(&rig->timeouts, bytes_of_string(key), &rig->timeouts.now, &view);
    return view.object;
}

static void assert_outcome(struct timeouts_rig *rig,
                           struct timeout_command command,
                           enum timeout_outcome outcome,
                           enum timeout_state then)
{
    struct timeout_result result = timeouts_rig_do(rig, &command);
    assert_int_equal(result.outcome, outcome);
    assert_int_equal(result.object.state, then);
    struct timeout_view view;
    timeouts_look(&rig->timeouts, command.key, &rig->timeouts.now, &view);
    assert_memory_equal(&view.object, &result.object, sizeof(view.object));
}

/* --- creating --- */

static void a_new_one_is_pending_and_counts_from_the_records_clock(void **state)
{
    struct timeouts_rig *rig = *state;
    rig->clock = 1000;
    assert_outcome(rig, create_within("a", 15 * MINUTE), TIMEOUT_CREATED, TIMEOUT_PENDING);
    struct timeout_object object = object_of(rig, "a");
    assert_int_equal(object.generation, 1);
    assert_int_equal(object.version, 1);
    assert_int_equal(object.deadline, 1000 + 15 * MINUTE);
    assert_int_equal(object.created.us, 1000);
    assert_int_equal(object.last_seen.us, 1000);
    assert_int_equal(object.decided_at, rig->position);
    assert_true(object.has_within);
    assert_int_equal(object.within_us, 15 * MINUTE);
    assert_false(object.born_late);
    assert_int_equal(rig->timeouts.counts[TIMEOUT_PENDING], 1);
}

static void the_same_create_again_changes_nothing(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    struct timeout_object before = object_of(rig, "a");
    rig->clock += 3; /* the repeated request comes later: its deadline would be another */
    static const enum timeout_on_exists all[] = {TIMEOUT_REJECT, TIMEOUT_RETURN, TIMEOUT_REPLACE};
    for (size_t n = 0; n < 3; n++) {
        assert_outcome(
            rig, on_exists(create_within("a", 5), all[n]), TIMEOUT_UNCHANGED, TIMEOUT_PENDING);
    }
    struct timeout_object after = object_of(rig, "a");
    assert_memory_equal(&before, &after, sizeof(before));
}

static void any_other_parameter_is_told_apart(void **state)
{
    struct timeouts_rig *rig = *state;
    struct timeout_command first = create_within("a", 5);
    first.data = BYTES("{}");
    assert_outcome(rig, first, TIMEOUT_CREATED, TIMEOUT_PENDING);
    struct timeout_command other = first;
    other.within_us = 6;
    assert_outcome(rig, other, TIMEOUT_DIFFERS, TIMEOUT_PENDING);
    other = first;
    other.data = BYTES("[]");
    assert_outcome(rig, other, TIMEOUT_DIFFERS, TIMEOUT_PENDING);
    other.data = (struct bytes){0};
    assert_outcome(rig, other, TIMEOUT_DIFFERS, TIMEOUT_PENDING);
    other = first;
    other.clock = TIMEOUT_BY_EVENTS;
    assert_outcome(rig, other, TIMEOUT_DIFFERS, TIMEOUT_PENDING);
    other = first;
    other.has_event_time = true;
    assert_outcome(rig, other, TIMEOUT_DIFFERS, TIMEOUT_PENDING);
    other = create_until("a", 5); /* the same moment, but said otherwise */
    other.data = first.data;
    assert_outcome(rig, other, TIMEOUT_DIFFERS, TIMEOUT_PENDING);
    assert_outcome(rig, first, TIMEOUT_UNCHANGED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").version, 1);
}

static void on_exists_chooses_between_what_is_there_and_a_new_generation(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    struct timeout_command other = create_within("a", 100);
    assert_outcome(rig, on_exists(other, TIMEOUT_RETURN), TIMEOUT_UNCHANGED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").within_us, 5);
    assert_outcome(rig, on_exists(other, TIMEOUT_REPLACE), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").within_us, 100);
    assert_int_equal(object_of(rig, "a").generation, 2);
    assert_int_equal(object_of(rig, "a").version, 2);
    timeouts_rig_pulse(rig, 50);
    assert_int_equal(rig->told_count, 0); /* the first generation's deadline means nothing now */
    timeouts_rig_pulse(rig, 100);
    assert_int_equal(rig->told_count, 1);
    assert_int_equal(rig->told[0].generation, 2);
}

static void an_ended_one_stands_in_the_way_unless_it_is_replaced(void **state)
{
    struct timeouts_rig *rig = *state;
    static const char *const keys[] = {"completed", "cancelled", "fired"};
    for (size_t n = 0; n < 3; n++) {
        assert_outcome(rig, create_within(keys[n], 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    }
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "completed"), TIMEOUT_CHANGED, TIMEOUT_COMPLETED);
    assert_outcome(rig, just(TIMEOUT_CANCEL, "cancelled"), TIMEOUT_CHANGED, TIMEOUT_CANCELLED);
    timeouts_rig_pulse(rig, 5);
    static const enum timeout_state states[] = {
        TIMEOUT_COMPLETED, TIMEOUT_CANCELLED, TIMEOUT_FIRED};
    static const enum timeout_outcome outcomes[] = {
        TIMEOUT_ENDED, TIMEOUT_ENDED, TIMEOUT_ALREADY_FIRED};
    for (size_t n = 0; n < 3; n++) {
        struct timeout_command again = create_within(keys[n], 5);
        assert_outcome(rig, again, outcomes[n], states[n]);
        assert_outcome(rig, on_exists(again, TIMEOUT_RETURN), TIMEOUT_UNCHANGED, states[n]);
        assert_outcome(rig, on_exists(again, TIMEOUT_REPLACE), TIMEOUT_CREATED, TIMEOUT_PENDING);
        assert_int_equal(object_of(rig, keys[n]).generation, 2);
        assert_int_equal(object_of(rig, keys[n]).version, 3);
        assert_int_equal(object_of(rig, keys[n]).ended.us, 0);
    }
    assert_int_equal(rig->timeouts.counts[TIMEOUT_PENDING], 3);
    assert_int_equal(rig->timeouts.ended_count, 0);
}

static void a_deadline_of_the_past_is_born_late_and_fires_at_the_next_pulse(void **state)
{
    struct timeouts_rig *rig = *state;
    timeouts_rig_pulse(rig, 1000);
    assert_outcome(rig, create_until("a", 999), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_true(object_of(rig, "a").born_late);
    assert_int_equal(timeouts_next_due(&rig->timeouts).clock, 999);
    timeouts_rig_pulse(rig, 1000);
    assert_int_equal(rig->told_count, 1);
    assert_int_equal(rig->told[0].flags, NOTE_BORN_LATE);
    assert_true(object_of(rig, "a").born_late);
}

/* --- ending --- */

static void completing_twice_is_once_and_the_other_end_is_refused(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, create_within("b", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "a"), TIMEOUT_CHANGED, TIMEOUT_COMPLETED);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "a"), TIMEOUT_UNCHANGED, TIMEOUT_COMPLETED);
    assert_outcome(rig, just(TIMEOUT_CANCEL, "a"), TIMEOUT_ENDED, TIMEOUT_COMPLETED);
    assert_outcome(rig, just(TIMEOUT_HEARTBEAT, "a"), TIMEOUT_ENDED, TIMEOUT_COMPLETED);
    assert_outcome(rig, just(TIMEOUT_CANCEL, "b"), TIMEOUT_CHANGED, TIMEOUT_CANCELLED);
    assert_outcome(rig, just(TIMEOUT_CANCEL, "b"), TIMEOUT_UNCHANGED, TIMEOUT_CANCELLED);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "b"), TIMEOUT_ENDED, TIMEOUT_CANCELLED);
    timeouts_rig_pulse(rig, 100);
    assert_int_equal(rig->told_count, 0);
}

static void the_log_decides_a_race_with_the_deadline(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("in-time", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, create_within("too-late", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    rig->clock = 60; /* long due, but no pulse has said so */
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "in-time"), TIMEOUT_CHANGED, TIMEOUT_COMPLETED);
    timeouts_rig_pulse(rig, 60);
    assert_int_equal(rig->told_count, 1);
    uint64_t decided = rig->position;
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "too-late"), TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED);
    assert_outcome(rig, just(TIMEOUT_CANCEL, "too-late"), TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED);
    assert_outcome(rig, just(TIMEOUT_HEARTBEAT, "too-late"), TIMEOUT_ALREADY_FIRED, TIMEOUT_FIRED);
    assert_int_equal(object_of(rig, "too-late").ended.us, 60);
    assert_int_equal(object_of(rig, "too-late").decided_at, decided);
}

static void an_end_before_the_beginning_leaves_a_tombstone(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "a"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "a"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    assert_outcome(rig, just(TIMEOUT_CANCEL, "b"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    assert_outcome(rig, just(TIMEOUT_HEARTBEAT, "b"), TIMEOUT_ENDED, TIMEOUT_COMPLETED_EARLY);
    struct timeout_command command = create_within("a", 5);
    command.data = BYTES("{\"order\":17}");
    assert_outcome(rig, command, TIMEOUT_CREATED, TIMEOUT_COMPLETED);
    struct timeout_object object = object_of(rig, "a");
    assert_int_equal(object.generation, 1);
    assert_int_equal(object.version, 2);
    assert_int_equal(object.within_us, 5);
    assert_outcome(rig, command, TIMEOUT_ENDED, TIMEOUT_COMPLETED);
    timeouts_rig_pulse(rig, 100);
    assert_int_equal(rig->told_count, 0);
    assert_int_equal(timeouts_next_due(&rig->timeouts).clock, INT64_MAX);
}

/* --- heartbeats --- */

static void a_heartbeat_counts_anew_from_its_own_time(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, just(TIMEOUT_HEARTBEAT, "a"), TIMEOUT_UNKNOWN, TIMEOUT_ABSENT);
    assert_outcome(rig, create_within("a", 100), TIMEOUT_CREATED, TIMEOUT_PENDING);
    rig->clock = 70;
    assert_outcome(rig, just(TIMEOUT_HEARTBEAT, "a"), TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").deadline, 170);
    assert_int_equal(object_of(rig, "a").last_seen.us, 70);
    assert_int_equal(object_of(rig, "a").created.us, 0);
    timeouts_rig_pulse(rig, 169);
    assert_int_equal(rig->told_count, 0);
    struct timeout_command command = just(TIMEOUT_HEARTBEAT, "a");
    command.within_us = 1000;
    assert_outcome(rig, command, TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").deadline, 1169);
    timeouts_rig_pulse(rig, 1168);
    assert_int_equal(rig->told_count, 0);
    timeouts_rig_pulse(rig, 1169);
    assert_int_equal(rig->told_count, 1);
    assert_int_equal(rig->told[0].last_seen, 169);
    assert_int_equal(rig->told[0].started, 0);
}

static void a_heartbeat_may_bring_the_deadline_nearer(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("a", 1000000), TIMEOUT_CREATED, TIMEOUT_PENDING);
    struct timeout_command command = just(TIMEOUT_HEARTBEAT, "a");
    command.within_us = 10;
    assert_outcome(rig, command, TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_int_equal(timeouts_next_due(&rig->timeouts).clock, 10);
    timeouts_rig_pulse(rig, 10);
    assert_int_equal(rig->told_count, 1);
    timeouts_rig_pulse(rig, 1000000);
    assert_int_equal(rig->told_count, 1); /* the item of the first deadline is dead */
}

static void a_heartbeat_that_was_overtaken_takes_nothing_back(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, by_events(create_within("e", 100), 0), TIMEOUT_CREATED, TIMEOUT_PENDING);
    struct timeout_command beat = just(TIMEOUT_HEARTBEAT, "e");
    beat.has_event_time = true;
    beat.event_time.us = 90;
    assert_outcome(rig, beat, TIMEOUT_CHANGED, TIMEOUT_PENDING);
    beat.event_time.us = 50;
    assert_outcome(rig, beat, TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "e").deadline, 190);
}

static void a_heartbeat_keeps_a_given_deadlines_distance_from_the_creation(void **state)
{
    struct timeouts_rig *rig = *state;
    rig->clock = 100;
    assert_outcome(rig, create_until("a", 350), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, by_events(create_until("e", 90), 40), TIMEOUT_CREATED, TIMEOUT_PENDING);
    rig->clock = 300;
    assert_outcome(rig, just(TIMEOUT_HEARTBEAT, "a"), TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").deadline, 550);
    struct timeout_command beat = just(TIMEOUT_HEARTBEAT, "e");
    beat.has_event_time = true;
    beat.event_time.us = 60;
    assert_outcome(rig, beat, TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "e").deadline, 110);
    assert_outcome(rig, just(TIMEOUT_HEARTBEAT, "e"), TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "e").deadline, 350);
}

static void deadlines_hold_at_the_ends_of_time(void **state)
{
    struct timeouts_rig *rig = *state;
    struct timeout_command far = by_events(create_within("far", 5), INT64_MAX - 1);
    assert_outcome(rig, far, TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "far").deadline, INT64_MAX);
    assert_outcome(rig, create_until("past", INT64_MIN), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, just(TIMEOUT_HEARTBEAT, "past"), TIMEOUT_CHANGED, TIMEOUT_PENDING);
    timeouts_rig_pulse(rig, INT64_MAX);
    assert_int_equal(rig->told_count, 1);
    rig->watermark = INT64_MAX - 1;
    timeouts_rig_pulse(rig, INT64_MAX);
    assert_int_equal(rig->told_count, 1);
    rig->watermark = WATERMARK_FINAL;
    timeouts_rig_pulse(rig, INT64_MAX);
    assert_int_equal(rig->told_count, 2);
}

/* --- preconditions --- */

static void another_generation_is_refused(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(
        rig, on_exists(create_within("a", 6), TIMEOUT_REPLACE), TIMEOUT_CREATED, TIMEOUT_PENDING);
    static const enum timeout_op ops[] = {TIMEOUT_HEARTBEAT, TIMEOUT_CANCEL, TIMEOUT_COMPLETE};
    for (size_t n = 0; n < 3; n++) {
        struct timeout_command command = just(ops[n], "a");
        command.generation = 1;
        assert_outcome(rig, command, TIMEOUT_OTHER_GENERATION, TIMEOUT_PENDING);
    }
    struct timeout_command command = just(TIMEOUT_COMPLETE, "a");
    command.generation = 2;
    assert_outcome(rig, command, TIMEOUT_CHANGED, TIMEOUT_COMPLETED);
    command = just(TIMEOUT_COMPLETE, "unknown");
    command.generation = 2;
    assert_outcome(rig, command, TIMEOUT_OTHER_GENERATION, TIMEOUT_ABSENT);
    command.generation = 1; /* the one that is to come */
    assert_outcome(rig, command, TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
}

static void another_version_is_refused(void **state)
{
    struct timeouts_rig *rig = *state;
    struct timeout_command command = create_within("a", 5);
    command.has_version = true;
    command.version = 1;
    assert_outcome(rig, command, TIMEOUT_OTHER_VERSION, TIMEOUT_ABSENT);
    command.version = 0; /* only if there is none */
    assert_outcome(rig, command, TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, command, TIMEOUT_OTHER_VERSION, TIMEOUT_PENDING);
    command = just(TIMEOUT_HEARTBEAT, "a");
    command.has_version = true;
    command.version = 1;
    assert_outcome(rig, command, TIMEOUT_CHANGED, TIMEOUT_PENDING);
    assert_outcome(rig, command, TIMEOUT_OTHER_VERSION, TIMEOUT_PENDING);
    command.version = 2;
    assert_outcome(rig, command, TIMEOUT_CHANGED, TIMEOUT_PENDING);
}

/* --- firing --- */

static void it_fires_once_at_the_first_pulse_at_its_deadline_and_not_before(void **state)
{
    struct timeouts_rig *rig = *state;
    struct timeout_command command = create_within("a", 100);
    command.data = BYTES("{\"n\":1}");
    assert_outcome(rig, command, TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_int_equal(timeouts_next_due(&rig->timeouts).clock, 100);
    assert_int_equal(timeouts_next_due(&rig->timeouts).watermark, INT64_MAX);
    timeouts_rig_pulse(rig, 99);
    assert_int_equal(rig->told_count, 0);
    timeouts_rig_pulse(rig, 100);
    assert_int_equal(rig->told_count, 1);
    assert_string_equal(rig->told[0].key, "a");
    assert_string_equal(rig->told[0].data, "{\"n\":1}");
    assert_int_equal(rig->told[0].flags, 0);
    assert_int_equal(rig->told[0].generation, 1);
    assert_int_equal(rig->told[0].deadline, 100);
    assert_int_equal(rig->told[0].clock, 100);
    assert_int_equal(object_of(rig, "a").state, TIMEOUT_FIRED);
    assert_int_equal(object_of(rig, "a").version, 2);
    timeouts_rig_pulse(rig, 200);
    assert_int_equal(rig->told_count, 1);
    assert_int_equal(rig->timeouts.fired_total, 1);
}

static void by_events_exactly_at_the_deadline_is_in_time(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, by_events(create_within("a", 100), 50), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").deadline, 150);
    assert_int_equal(timeouts_next_due(&rig->timeouts).watermark, 151);
    timeouts_rig_pulse(rig, 100000); /* the engine's clock has no say */
    rig->watermark = 150;
    timeouts_rig_pulse(rig, 100000);
    assert_int_equal(rig->told_count, 0);
    rig->watermark = 151;
    timeouts_rig_pulse(rig, 100000);
    assert_int_equal(rig->told_count, 1);
    assert_int_equal(rig->told[0].flags, NOTE_BY_EVENTS);
    assert_int_equal(rig->told[0].started, 50);
}

static void by_events_nothing_fires_while_the_engine_cannot_tell(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, by_events(create_within("a", 100), 0), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, create_within("clock", 100), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, create_within("later", 10000), TIMEOUT_CREATED, TIMEOUT_PENDING);
    rig->watermark = 500;
    rig->hold = true;
    timeouts_rig_pulse(rig, 500);
    assert_int_equal(rig->told_count, 1);
    assert_string_equal(rig->told[0].key, "clock");
    assert_true(object_of(rig, "a").held);
    assert_false(object_of(rig, "later").held);
    assert_false(object_of(rig, "clock").held);
    rig->hold = false;
    timeouts_rig_pulse(rig, 500);
    assert_int_equal(rig->told_count, 2);
    assert_false(object_of(rig, "a").held);
}

static void final_makes_all_due_by_events_and_a_reopened_lane_counts_again(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(
        rig, by_events(create_within("a", US_PER_DAY), 0), TIMEOUT_CREATED, TIMEOUT_PENDING);
    rig->watermark = WATERMARK_FINAL;
    timeouts_rig_pulse(rig, 10);
    assert_int_equal(rig->told_count, 1);
    struct timeout_command late = by_events(create_within("late", 5), 20);
    assert_outcome(rig, late, TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_true(object_of(rig, "late").born_late);
    rig->watermark = 7;
    timeouts_rig_pulse(rig, 20);
    assert_int_equal(rig->told_count, 1);
    rig->watermark = 26;
    timeouts_rig_pulse(rig, 30);
    assert_int_equal(rig->told_count, 2);
}

static void a_crowd_fires_in_slices_the_earliest_first(void **state)
{
    struct timeouts_rig *rig = *state;
    const uint32_t slice = TIMEOUTS_SLICE / RIG_PARTITIONS;
    const uint32_t count = 2 * slice + 10;
    char key[16];
    for (uint32_t n = 0; n < count; n++) {
        (void)snprintf(key, sizeof(key), "k%u", n);
        assert_outcome(rig, create_until(key, 1000000 - n), TIMEOUT_CREATED, TIMEOUT_PENDING);
    }
    rig->keep_told = false;
    timeouts_rig_pulse(rig, 1000000);
    assert_int_equal(rig->timeouts.fired_total, slice);
    assert_int_equal(object_of(rig, key).state, TIMEOUT_FIRED); /* the last one is the earliest */
    assert_int_equal(object_of(rig, "k0").state, TIMEOUT_PENDING);
    assert_true(timeouts_next_due(&rig->timeouts).clock <= 1000000);
    timeouts_rig_pulse(rig, 1000000);
    assert_int_equal(rig->timeouts.fired_total, 2 * slice);
    timeouts_rig_pulse(rig, 1000000);
    assert_int_equal(rig->timeouts.fired_total, count);
    assert_int_equal(timeouts_next_due(&rig->timeouts).clock, INT64_MAX);
    timeouts_validate(&rig->timeouts);
}

/* --- remembering --- */

static void what_ended_is_remembered_for_a_day(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "a"), TIMEOUT_CHANGED, TIMEOUT_COMPLETED);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "b"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    timeouts_rig_pulse(rig, US_PER_DAY - 1);
    assert_int_equal(object_of(rig, "a").state, TIMEOUT_COMPLETED);
    timeouts_rig_pulse(rig, US_PER_DAY);
    assert_int_equal(object_of(rig, "a").state, TIMEOUT_ABSENT);
    assert_int_equal(object_of(rig, "b").state, TIMEOUT_ABSENT);
    assert_int_equal(rig->timeouts.used.bytes, 0);
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").generation, 1);
}

static void of_too_many_ended_the_oldest_go(void **state)
{
    struct timeouts_rig *rig = *state;
    rig->timeouts.limits.ended_max = 2;
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "a"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "b"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_COMPLETED);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "c"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    assert_int_equal(object_of(rig, "b").state, TIMEOUT_ABSENT); /* a ended anew, behind b */
    assert_int_equal(object_of(rig, "a").state, TIMEOUT_COMPLETED);
}

/* --- room --- */

static void a_full_budget_refuses_and_changes_nothing(void **state)
{
    struct timeouts_rig *rig = *state;
    rig->timeouts.limits.pending_max = 2;
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, create_within("b", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, create_within("c", 5), TIMEOUT_NO_ROOM, TIMEOUT_ABSENT);
    assert_int_equal(rig->timeouts.no_room_total, 1);
    struct timeout_command other = on_exists(create_within("b", 7), TIMEOUT_REPLACE);
    assert_outcome(rig, other, TIMEOUT_CREATED, TIMEOUT_PENDING); /* in the place of the old one */
    assert_outcome(rig, just(TIMEOUT_CANCEL, "a"), TIMEOUT_CHANGED, TIMEOUT_CANCELLED);
    assert_outcome(rig, create_within("c", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    other = on_exists(create_within("a", 5), TIMEOUT_REPLACE);
    assert_outcome(rig, other, TIMEOUT_NO_ROOM, TIMEOUT_CANCELLED);
    assert_int_equal(object_of(rig, "a").generation, 1);
}

/* With room for three of some 3,000 bytes: one that ended goes, pending ones stay. */
static void fill_with_three(struct timeouts_rig *rig)
{
    static char data[2900];
    memset(data, '1', sizeof(data));
    struct timeout_command command = create_within("a", 5);
    command.data = bytes_of(data, sizeof(data));
    assert_outcome(rig, command, TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "a"), TIMEOUT_CHANGED, TIMEOUT_COMPLETED);
    command.key = BYTES("b");
    assert_outcome(rig, command, TIMEOUT_CREATED, TIMEOUT_PENDING);
    command.key = BYTES("c");
    assert_outcome(rig, command, TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").state, TIMEOUT_COMPLETED);
    command.key = BYTES("d");
    assert_outcome(rig, command, TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_int_equal(object_of(rig, "a").state, TIMEOUT_ABSENT);
    command.key = BYTES("e");
    assert_outcome(rig, command, TIMEOUT_NO_ROOM, TIMEOUT_ABSENT);
    timeouts_validate(&rig->timeouts);
}

static void the_ended_make_room_for_the_pending(void **state)
{
    struct timeouts_rig *rig = *state;
    rig->timeouts.limits.bytes_max = 10000;
    fill_with_three(rig);
    assert_true(rig->timeouts.used.bytes <= 10000);
}

/* Cold parts in memory of their own have a budget of their own, for which the ended make room as well. */
static void cold_parts_have_a_budget_of_their_own(void **state)
{
    struct timeouts_rig *rig = *state;
    struct timeouts_limits limits = rig->limits;
    limits.cold_max = 10000;
    timeouts_rig_close(rig);
    timeouts_rig_open(rig, limits);
    fill_with_three(rig);
    assert_outcome(
        rig, create_within("e", 5), TIMEOUT_CREATED, TIMEOUT_PENDING); /* small ones fit */
    assert_in_range(rig->timeouts.used.cold, 9000, 10000);
    assert_true(rig->timeouts.used.bytes < 1000);
    timeouts_validate(&rig->timeouts);
    heap_validate(&rig->cold);
}

/* A heap that ends somewhere: every command either happens or is refused, and all that was promised
 * fires at its deadline, with memory for its calendar or without. */
static void without_memory_nothing_is_lost_or_half_done(void **state)
{
    struct timeouts_rig *rig = *state;
    char key[16];
    uint32_t created = 0;
    timeouts_rig_shrink(rig, 300 * 1024);
    rig->keep_told = false;
    for (uint32_t n = 0; n < 3000; n++) {
        (void)snprintf(key, sizeof(key), "k%u", n);
        struct timeout_command command = create_within(key, 1 + n % 7 * 1000003);
        struct timeout_result result = timeouts_rig_do(rig, &command);
        created += result.outcome == TIMEOUT_CREATED;
        assert_true(result.outcome == TIMEOUT_CREATED || result.outcome == TIMEOUT_NO_ROOM);
    }
    assert_in_range(created, 500, 2900);
    for (uint32_t n = 0; n < 3000; n++) { /* all go on, to deadlines far from each other */
        (void)snprintf(key, sizeof(key), "k%u", n);
        struct timeout_command command = just(TIMEOUT_HEARTBEAT, key);
        command.within_us = (int64_t)1 << (n % 40 + 23);
        (void)timeouts_rig_do(rig, &command);
    }
    timeouts_validate(&rig->timeouts);
    timeouts_rig_pulse(rig, (int64_t)7 * 1000003);
    timeouts_validate(&rig->timeouts);
    assert_int_equal(rig->timeouts.counts[TIMEOUT_PENDING], created);
    for (uint32_t n = 0; n <= created * RIG_PARTITIONS / TIMEOUTS_SLICE; n++) {
        timeouts_rig_pulse(rig, (int64_t)1 << 62);
    }
    assert_int_equal(rig->timeouts.fired_total, created);
    timeouts_validate(&rig->timeouts);
}

/* Few among the places of many that are gone: saved and loaded they are found. */
static void few_among_many_free_places_are_loaded(void **state)
{
    struct timeouts_rig *rig = *state;
    char key[16];
    rig->keep_told = false;
    for (uint32_t n = 0; n < 5000; n++) {
        (void)snprintf(key, sizeof(key), "k%u", n);
        assert_outcome(rig,
                       create_within(key, n < 4990 ? 10 : US_PER_DAY * 3),
                       TIMEOUT_CREATED,
                       TIMEOUT_PENDING);
    }
    for (uint32_t n = 0; n < 5000 * RIG_PARTITIONS / TIMEOUTS_SLICE + 1; n++) {
        timeouts_rig_pulse(rig, 1000);
    }
    for (uint32_t n = 0; n < 5000 * RIG_PARTITIONS / TIMEOUTS_SLICE + 1; n++) {
        timeouts_rig_pulse(rig, US_PER_DAY + 2000); /* the fired are forgotten */
    }
    assert_int_equal(rig->timeouts.slots_used, 10);
    struct bytes saved = timeouts_rig_save(rig);
    assert_true(timeouts_rig_load(rig, saved));
    timeouts_validate(&rig->timeouts);
    for (uint32_t n = 4990; n < 5000; n++) {
        (void)snprintf(key, sizeof(key), "k%u", n);
        assert_int_equal(object_of(rig, key).state, TIMEOUT_PENDING);
    }
}

static void dead_items_of_the_calendar_do_not_pile_up(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("a", US_PER_DAY), TIMEOUT_CREATED, TIMEOUT_PENDING);
    for (uint32_t n = 0; n < 50000; n++) {
        struct timeout_command command = just(TIMEOUT_HEARTBEAT, "a");
        command.within_us = n % 2 == 0 ? US_PER_DAY : US_PER_DAY - n - 1;
        (void)timeouts_rig_do(rig, &command);
        if (n % 100 == 0) {
            timeouts_rig_pulse(rig, rig->clock + 1);
            assert_true(rig->timeouts.by_clock.count < 1200);
        }
    }
    assert_int_equal(rig->told_count, 0);
}

/* --- looking --- */

static void all_are_walked_and_counted_by_when_they_are_due(void **state)
{
    struct timeouts_rig *rig = *state;
    char key[16];
    for (int64_t n = 0; n < 10; n++) {
        (void)snprintf(key, sizeof(key), "k%d", (int)n);
        assert_outcome(rig, create_until(key, 10 * n), TIMEOUT_CREATED, TIMEOUT_PENDING);
    }
    assert_outcome(rig, just(TIMEOUT_CANCEL, "k4"), TIMEOUT_CHANGED, TIMEOUT_CANCELLED);
    uint64_t counts[3] = {0};
    timeouts_histogram(&rig->timeouts, TIMEOUT_BY_PROCESSING, 20, 20, counts, 3);
    assert_int_equal(counts[0], 4); /* 0, 10, 20, 30 */
    assert_int_equal(counts[1], 1); /* 50 */
    assert_int_equal(counts[2], 4); /* 60 to 90 */
    uint64_t none[1] = {0};
    timeouts_histogram(&rig->timeouts, TIMEOUT_BY_EVENTS, INT64_MIN, 1, none, 1);
    assert_int_equal(none[0], 0);
    uint32_t place = 0;
    uint32_t seen = 0;
    struct timeout_view view;
    while (timeouts_walk(&rig->timeouts, &place, &rig->timeouts.now, &view)) {
        (void)snprintf(key, sizeof(key), "k%u", seen++);
        assert_true(bytes_equal(view.key, bytes_of_string(key)));
    }
    assert_int_equal(seen, 10);
}

/* --- saved --- */

static void what_was_cut_or_damaged_is_not_loaded(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, create_within("a", 5), TIMEOUT_CREATED, TIMEOUT_PENDING);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "b"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "c"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    struct bytes saved = timeouts_rig_save(rig);
    uint8_t *copy = malloc(saved.len);
    assert_non_null(copy);
    for (size_t len = 0; len < saved.len; len++) {
        assert_false(timeouts_rig_load(rig, bytes_of(saved.data, len)));
    }
    for (size_t at = 0; at < saved.len; at++) { /* hostile bytes are refused, or make a whole */
        memcpy(copy, saved.data, saved.len);
        copy[at] ^= 0xff;
        (void)timeouts_rig_load(rig, bytes_of(copy, saved.len));
    }
    assert_true(timeouts_rig_load(rig, saved));
    timeouts_validate(&rig->timeouts);
    assert_int_equal(object_of(rig, "c").state, TIMEOUT_COMPLETED_EARLY);
    free(copy);
}

#define SAVED_HEAD_BYTES  52 /* before the first timer (docs/formats/snapshot.md) */
#define SAVED_TIMER_BYTES 97 /* with a key of one byte and no data */

/* Whole, but not what any engine writes: a ring of ended ones, and the state that only rules have. */
static void what_no_engine_writes_is_not_loaded(void **state)
{
    struct timeouts_rig *rig = *state;
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "a"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    assert_outcome(rig, just(TIMEOUT_COMPLETE, "b"), TIMEOUT_EARLY, TIMEOUT_COMPLETED_EARLY);
    struct bytes saved = timeouts_rig_save(rig);
    assert_int_equal(saved.len, SAVED_HEAD_BYTES + 2 * SAVED_TIMER_BYTES);
    uint8_t copy[SAVED_HEAD_BYTES + 2 * SAVED_TIMER_BYTES];
    memcpy(copy, saved.data, saved.len);
    struct reader first = reader_of(bytes_of(copy + SAVED_HEAD_BYTES, 8));
    assert_int_equal(read_u32(&first) & 0xff, TIMEOUT_COMPLETED_EARLY);
    assert_int_equal(read_u32(&first), 1); /* behind "a" stands "b" */
    copy[SAVED_HEAD_BYTES + 4] = 0;        /* "a" once more, and "b" in no list */
    assert_false(timeouts_rig_load(rig, bytes_of(copy, saved.len)));
    copy[SAVED_HEAD_BYTES + 4] = 1;
    assert_true(timeouts_rig_load(rig, bytes_of(copy, saved.len)));
    copy[SAVED_HEAD_BYTES] = TIMEOUT_RETRACTED;
    assert_false(timeouts_rig_load(rig, bytes_of(copy, saved.len)));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_new_one_is_pending_and_counts_from_the_records_clock),
        STORY(the_same_create_again_changes_nothing),
        STORY(any_other_parameter_is_told_apart),
        STORY(on_exists_chooses_between_what_is_there_and_a_new_generation),
        STORY(an_ended_one_stands_in_the_way_unless_it_is_replaced),
        STORY(a_deadline_of_the_past_is_born_late_and_fires_at_the_next_pulse),
        STORY(completing_twice_is_once_and_the_other_end_is_refused),
        STORY(the_log_decides_a_race_with_the_deadline),
        STORY(an_end_before_the_beginning_leaves_a_tombstone),
        STORY(a_heartbeat_counts_anew_from_its_own_time),
        STORY(a_heartbeat_may_bring_the_deadline_nearer),
        STORY(a_heartbeat_that_was_overtaken_takes_nothing_back),
        STORY(a_heartbeat_keeps_a_given_deadlines_distance_from_the_creation),
        STORY(deadlines_hold_at_the_ends_of_time),
        STORY(another_generation_is_refused),
        STORY(another_version_is_refused),
        STORY(it_fires_once_at_the_first_pulse_at_its_deadline_and_not_before),
        STORY(by_events_exactly_at_the_deadline_is_in_time),
        STORY(by_events_nothing_fires_while_the_engine_cannot_tell),
        STORY(final_makes_all_due_by_events_and_a_reopened_lane_counts_again),
        STORY(a_crowd_fires_in_slices_the_earliest_first),
        STORY(what_ended_is_remembered_for_a_day),
        STORY(of_too_many_ended_the_oldest_go),
        STORY(a_full_budget_refuses_and_changes_nothing),
        STORY(the_ended_make_room_for_the_pending),
        STORY(cold_parts_have_a_budget_of_their_own),
        STORY(without_memory_nothing_is_lost_or_half_done),
        STORY(few_among_many_free_places_are_loaded),
        STORY(dead_items_of_the_calendar_do_not_pile_up),
        STORY(all_are_walked_and_counted_by_when_they_are_due),
        STORY(what_was_cut_or_damaged_is_not_loaded),
        STORY(what_no_engine_writes_is_not_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
