/* The judge of timeouts: logs and answers that can have been, and such that can't. */
#include "history_fixture.h"

#include "sim/oracle_timeouts.h"

#define AT(seconds) (T0 + SECONDS(seconds))
#define ASKINGS     8
#define PAGES       4

static struct fixture *fixture;
static struct asking askings[ASKINGS];
static struct timeout_result results[ASKINGS];
static uint8_t memory[ASKINGS][128];
static struct heard_page pages[PAGES];
static struct heard_note notes[PAGES];
static struct sight sights[1];
static struct expected_timeouts expected;
static struct finding finding;

static void begin(void)
{
    fixture = fixture_new();
    struct history *history = &fixture->history;
    history->timer_keys = 4;
    history->timers_pending = 10;
    history->timers_ended = 10;
    history->feed_keep_us = US_PER_DAY;
    history->askings = askings;
    history->pages = pages;
    history->notes = notes;
    history->sights = sights;
    fixture_frame(fixture);
    fixture_genesis(fixture);
    fixture_frame_end(fixture);
    expected = (struct expected_timeouts){0};
    finding.text[0] = '\0';
}

static int tear_down(void **state)
{
    (void)state;
    oracle_timeouts_free(&expected);
    return 0;
}

/* A frame with one command, sent by somebody who never heard of it. */
static struct asking *ask(int64_t clock, const struct timeout_command *command)
{
    size_t number = fixture->history.asking_count++;
    struct buf out = buf_of(memory[number], sizeof(memory[number]));
    uint64_t hash = timeout_hash(command->key, FIXTURE_SEED);
    size_t start = timeouts_begin(&out, 1);
    timeout_command_put(&out, command, timeout_partition(hash, FIXTURE_PARTITIONS));
    record_end(&out, start);
    askings[number] =
        (struct asking){.body = bytes_of(out.data + start, out.len - start), .count = 1};
    fixture_frame(fixture);
    size_t at = fixture->memory.len;
    buf_put_bytes(&fixture->memory, buf_bytes(&out));
    struct buf stamped = buf_of(fixture->memory.data + at, out.len);
    stamped.len = out.len;
    timeouts_stamp(&stamped, RECORD_HEADER_BYTES, (struct clock_time){clock}, NONE);
    fixture->record_count++;
    fixture_frame_end(fixture);
    return &askings[number];
}

static struct asking *create(int64_t clock, int64_t within_us)
{
    const struct timeout_command command = {
        .op = TIMEOUT_CREATE, .key = BYTES("t1"), .within_us = within_us};
    return ask(clock, &command);
}

static struct asking *order(int64_t clock, enum timeout_op op)
{
    const struct timeout_command command = {.op = op, .key = BYTES("t1")};
    return ask(clock, &command);
}

static void pulse(int64_t clock)
{
    fixture_frame(fixture);
    fixture_pulse(fixture, clock, NONE, NULL, 0);
    fixture_frame_end(fixture);
}

static bool holds(void)
{
    oracle_timeouts_free(&expected);
    finding.text[0] = '\0';
    return oracle_timeouts(&fixture->history, NULL, 0, &expected, &finding);
}

/* The answer that the oracle itself expects of the last command, as of its frame. */
static void answer(struct asking *asking, enum timeout_outcome outcome)
{
    assert_true(holds());
    const struct expected_change *now = expected_now(&expected, 1);
    struct timeout_result *result = &results[asking - askings];
    *result = (struct timeout_result){.outcome = outcome};
    if (now != NULL) {
        result->object = now->object;
    }
    asking->results = result;
    asking->outcome = OUTCOME_ACKED;
    asking->as_of = fixture->history.frames[fixture->history.frame_count - 1].end;
}

static void what_is_pending_fires_at_the_first_pulse_at_its_deadline(void **state)
{
    (void)state;
    begin();
    (void)create(AT(0), SECONDS(10));
    pulse(AT(9));
    assert_true(holds());
    assert_int_equal(expected.note_count, 0);
    assert_int_equal(expected.due_by_clock, AT(10));
    pulse(AT(10));
    pulse(AT(11));
    assert_true(holds());
    assert_int_equal(expected.note_count, 1);
    assert_int_equal(expected.notes[0].place.ordinal, 2);
    assert_int_equal(expected.by_state[TIMEOUT_FIRED], 1);
    assert_int_equal(expected.counts.fired, 1);
}

static void a_command_before_the_pulse_wins_and_one_behind_it_loses(void **state)
{
    (void)state;
    begin();
    (void)create(AT(0), SECONDS(10));
    (void)order(AT(12), TIMEOUT_HEARTBEAT);
    pulse(AT(12));
    pulse(AT(22));
    struct asking *late = order(AT(23), TIMEOUT_COMPLETE);
    answer(late, TIMEOUT_ALREADY_FIRED);
    assert_true(holds());
    assert_int_equal(expected.note_count, 1);
    assert_int_equal(expected.notes[0].place.ordinal, 2);
    assert_int_equal(expected.counts.races_lost, 1);
    late->results->outcome = TIMEOUT_CHANGED;
    assert_false(holds());
}

static void an_answer_must_be_what_the_log_makes_of_the_command(void **state)
{
    (void)state;
    begin();
    struct asking *asking = create(AT(0), SECONDS(10));
    answer(asking, TIMEOUT_CREATED);
    assert_true(holds());
    asking->results->object.deadline++;
    assert_false(holds());
    asking->results->object.deadline--;
    asking->as_of++;
    assert_false(holds());
}

static void commands_must_have_been_sent_and_not_refused(void **state)
{
    (void)state;
    begin();
    struct asking *asking = create(AT(0), SECONDS(10));
    assert_true(holds());
    asking->outcome = OUTCOME_REFUSED;
    assert_false(holds());
    fixture->history.asking_count = 0;
    assert_false(holds());
}

static void a_tombstone_completes_what_is_created_later(void **state)
{
    (void)state;
    begin();
    (void)order(AT(0), TIMEOUT_COMPLETE);
    (void)create(AT(1), SECONDS(10));
    pulse(AT(20));
    assert_true(holds());
    assert_int_equal(expected.note_count, 0);
    assert_int_equal(expected.by_state[TIMEOUT_COMPLETED], 1);
    assert_int_equal(expected.counts.tombstones_met, 1);
}

static bool feed_holds(void)
{
    assert_true(holds());
    finding.text[0] = '\0';
    return oracle_feed_holds(&fixture->history, &expected, &finding);
}

/* One fired at pulse 1, and was read in a page that is the last; both are read twice. */
static void read_one(void)
{
    begin();
    (void)create(AT(0), SECONDS(10));
    pulse(AT(10));
    assert_true(holds());
    notes[0] = expected.notes[0];
    notes[0].place.number = 1;
    notes[1] = notes[0];
    pages[0] = (struct heard_page){.count = 1, .last = true, .ordinal = 1};
    pages[1] = (struct heard_page){.first = 1, .count = 1, .last = true, .ordinal = 1};
    fixture->history.page_count = 2;
}

static void a_page_holds_each_note_that_fired_at_one_place_for_ever(void **state)
{
    (void)state;
    read_one();
    assert_true(feed_holds());
    notes[1].place.number = 2;
    assert_false(feed_holds());
    notes[1].place = (struct feed_place){2, notes[0].place.partition, 1};
    assert_false(feed_holds());
    notes[1] = notes[0];
    notes[1].deadline++;
    assert_false(feed_holds());
}

static void a_page_leaves_nothing_out(void **state)
{
    (void)state;
    read_one();
    pages[0].count = 0;
    assert_false(feed_holds()); /* it says that there is nothing up to pulse 1 */
    pages[0].last = false;
    assert_true(feed_holds());
    pages[0].count = 1;
    pages[0].forgotten = notes[0].place; /* too soon: it is to be kept for a day */
    assert_false(feed_holds());
}

static void a_sight_is_what_was_there_at_one_moment_between_two(void **state)
{
    (void)state;
    begin();
    (void)create(AT(0), SECONDS(10));
    uint64_t created_end = fixture->history.frames[1].end;
    pulse(AT(10));
    uint64_t end = fixture->history.frames[2].end;
    assert_true(holds());
    fixture->history.sight_count = 1;
    const struct expected_change *changes = expected.timers[1].changes;
    sights[0] = (struct sight){.key = 1,
                               .object = changes[0].object,
                               .data_digest = changes[0].data_digest,
                               .at_most = end};
    assert_true(oracle_sights_hold(&fixture->history, &expected, &finding));
    sights[0].at_least = changes[1].position + 1; /* its reader knew that it had fired */
    assert_false(oracle_sights_hold(&fixture->history, &expected, &finding));
    finding.text[0] = '\0';
    sights[0].object = changes[1].object;
    assert_true(oracle_sights_hold(&fixture->history, &expected, &finding));
    sights[0].at_least = 0;
    sights[0].at_most = created_end; /* shown before it was durable */
    assert_false(oracle_sights_hold(&fixture->history, &expected, &finding));
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_pending_fires_at_the_first_pulse_at_its_deadline),
        TEST(a_command_before_the_pulse_wins_and_one_behind_it_loses),
        TEST(an_answer_must_be_what_the_log_makes_of_the_command),
        TEST(commands_must_have_been_sent_and_not_refused),
        TEST(a_tombstone_completes_what_is_created_later),
        TEST(a_page_holds_each_note_that_fired_at_one_place_for_ever),
        TEST(a_page_leaves_nothing_out),
        TEST(a_sight_is_what_was_there_at_one_moment_between_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
