/* The log's judge: a history that is right, and for each claim one in which just that is wrong. */
#include "history_fixture.h"

#include "sim/oracle_log.h"

/* Frames: genesis and metric; events 0 and 1; event 0 again; a pulse. */
static struct fixture *good_log(void)
{
    struct fixture *fixture = fixture_new();
    fixture_frame(fixture);
    fixture_genesis(fixture);
    fixture_define(fixture, 1, "m");
    fixture_frame_end(fixture);
    fixture_frame(fixture);
    fixture_events(fixture, T0, (struct stamped[]){{0, NONE}, {1, T0}}, 2);
    fixture_frame_end(fixture);
    fixture_frame(fixture);
    fixture_events(fixture, T0, (struct stamped[]){{0, T0}}, 1);
    fixture_frame_end(fixture);
    fixture_frame(fixture);
    fixture_pulse(fixture, T0, T0, NULL, 0);
    fixture_frame_end(fixture);
    fixture_sent(fixture, 0, OUTCOME_ACKED, 8192);
    fixture_sent(fixture, 1, OUTCOME_UNKNOWN, 0);
    fixture_sent(fixture, 0, OUTCOME_ACKED, 12288);
    fixture_sent(fixture, 2, OUTCOME_REFUSED, 0);
    return fixture;
}

static void holds(const struct fixture *fixture)
{
    struct finding finding;
    if (!oracle_log_holds(&fixture->history, &finding)) {
        fail_msg("%s", finding.text);
    }
    assert_string_equal(finding.text, "");
}

static void breaks(const struct fixture *fixture, const char *text)
{
    struct finding finding;
    assert_false(oracle_log_holds(&fixture->history, &finding));
    if (strstr(finding.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", finding.text, text);
    }
}

static void a_log_that_is_right_holds(void **state)
{
    (void)state;
    holds(good_log());
    holds(fixture_new());
}

static void frames_may_leave_gaps_but_not_overlap(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture->frames[3].position += 4096;
    fixture->frames[3].end += 4096;
    holds(fixture);
    fixture = good_log();
    fixture->frames[3].position -= 1;
    breaks(fixture, "comes after one that ends");
    fixture = good_log();
    fixture->frames[3].end = fixture->frames[3].position;
    breaks(fixture, "comes after one that ends");
}

static void a_frame_has_as_many_records_as_it_says(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture->frames[1].record_count = 2;
    breaks(fixture, "record_count");
    fixture = good_log();
    fixture->frames[0].record_count = 1;
    breaks(fixture, "record_count");
}

static void records_decode_to_the_last_byte(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture->frames[1].body.len--;
    breaks(fixture, "no record");
    for (size_t frame = 0; frame < 4; frame++) {
        fixture = good_log();
        struct bytes body = fixture->frames[frame].body;
        size_t offset = (size_t)(body.data - fixture->memory.data);
        fixture->memory.data[offset + 4] = 99; /* the kind */
        breaks(fixture, "no record");
    }
    fixture = good_log();
    size_t at = (size_t)(fixture->frames[1].body.data - fixture->memory.data);
    fixture->memory.data[at + RECORD_HEADER_BYTES + 24] = 3; /* of two events */
    breaks(fixture, "as many rows");
    fixture = good_log();
    fixture->memory.data[at + RECORD_HEADER_BYTES + BATCH_HEADER_BYTES] = 120; /* a row's length */
    breaks(fixture, "can't be read");
}

static void the_genesis_comes_first_and_says_what_is_so(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture->history.hash_seed++;
    breaks(fixture, "another seed");
    fixture = good_log();
    fixture->history.partitions = 8;
    breaks(fixture, "another number of partitions");
    fixture = good_log();
    fixture_frame(fixture);
    fixture_genesis(fixture);
    fixture_frame_end(fixture);
    breaks(fixture, "not the first record");
}

static void pulses_are_numbered_and_their_clock_never_falls(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture_frame(fixture);
    fixture_pulse(fixture, T0, T0, NULL, 0);
    fixture_frame_end(fixture);
    holds(fixture);
    fixture_frame(fixture);
    fixture_pulse(fixture, T0 - 1, T0, NULL, 0);
    fixture_frame_end(fixture);
    breaks(fixture, "the clock fell");
    fixture = good_log();
    fixture->ordinal++;
    fixture_frame(fixture);
    fixture_pulse(fixture, T0, T0, NULL, 0);
    fixture_frame_end(fixture);
    breaks(fixture, "out of turn");
}

static void a_pulse_is_the_last_of_its_frame(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture_frame(fixture);
    fixture_pulse(fixture, T0, T0, NULL, 0);
    fixture_define(fixture, 2, "other");
    fixture_frame_end(fixture);
    breaks(fixture, "not the last record");
}

static void metrics_are_defined_once_for_ever(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture_frame(fixture);
    fixture_drop(fixture, 1);
    fixture_define(fixture, 2, "m");
    fixture_frame_end(fixture);
    holds(fixture);
    fixture_frame(fixture);
    fixture_define(fixture, 1, "other");
    fixture_frame_end(fixture);
    breaks(fixture, "id used again");
    fixture = good_log();
    fixture_frame(fixture);
    fixture_define(fixture, 2, "m");
    fixture_frame_end(fixture);
    breaks(fixture, "while it is taken");
    fixture = good_log();
    fixture_frame(fixture);
    fixture_drop(fixture, 2);
    fixture_frame_end(fixture);
    breaks(fixture, "does not exist");
}

static void an_event_is_what_was_sent(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture->universe[1].time.us++;
    breaks(fixture, "another time");
    fixture = good_log();
    fixture->universe[1].type = 2;
    breaks(fixture, "another type");
    fixture = good_log();
    fixture->universe[1].subject = 0;
    breaks(fixture, "another subject");
    fixture = good_log();
    fixture->universe[1].subject = 11;
    breaks(fixture, "another subject");
    fixture = good_log();
    fixture->universe[1].x = 11;
    breaks(fixture, "another data");
    fixture = good_log();
    fixture->universe[1].has_x = false;
    breaks(fixture, "another data");
    fixture = good_log();
    fixture->universe[1].source = 7;
    breaks(fixture, "no event that anybody could send");
    fixture = good_log();
    fixture->universe[1].id = 77;
    breaks(fixture, "no event that anybody could send");
}

static void an_event_lies_in_the_partition_of_its_identity(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    size_t at = (size_t)(fixture->frames[1].body.data - fixture->memory.data);
    fixture->memory.data[at + RECORD_HEADER_BYTES + BATCH_HEADER_BYTES + 1] ^= 1;
    breaks(fixture, "wrong partition");
}

static void what_nobody_sent_or_was_refused_is_not_in_the_log(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture->submissions[1].outcome = OUTCOME_REFUSED;
    breaks(fixture, "more often in the log");
    fixture = good_log();
    fixture->submissions[1].event = 5;
    breaks(fixture, "more often in the log");
    fixture = good_log();
    fixture->submissions[2].outcome = OUTCOME_REFUSED; /* sent twice, one of them refused */
    breaks(fixture, "more often in the log");
}

static void what_was_acknowledged_is_in_the_log(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture_sent(fixture, 3, OUTCOME_ACKED, 16384);
    breaks(fixture, "the log lacks it");
    fixture = good_log();
    fixture_sent(fixture, 0, OUTCOME_ACKED, 16384); /* a third copy of it */
    breaks(fixture, "the log lacks it");
    fixture = good_log();
    fixture_sent(fixture, 3, OUTCOME_UNKNOWN, 0);
    holds(fixture);
}

static void an_acknowledged_event_is_below_its_as_of(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    fixture->submissions[0].as_of = 16384; /* more than it needs */
    holds(fixture);
    fixture->submissions[0].as_of = 8191;
    breaks(fixture, "its frame ends at 8192");
    fixture = good_log();
    fixture->submissions[2].as_of = 8192; /* two promises, one copy by then */
    breaks(fixture, "its frame ends at 12288");
}

static void a_recovered_log_keeps_what_was_durable(void **state)
{
    (void)state;
    struct fixture *fixture = good_log();
    struct history before = fixture->history;
    struct history_frame kept[FIXTURE_FRAMES];
    memcpy(kept, fixture->frames, sizeof(kept));
    struct history after = before;
    after.frames = kept;
    struct finding finding;
    assert_true(oracle_log_kept(&before, &after, 16384, &finding));
    after.frame_count = 2;
    assert_true(oracle_log_kept(&before, &after, 12287, &finding));
    assert_false(oracle_log_kept(&before, &after, 12288, &finding));
    assert_non_null(strstr(finding.text, "8192 to 12288"));
    after.frame_count = 4;
    kept[1].body.len--;
    assert_false(oracle_log_kept(&before, &after, 12288, &finding));
    kept[1].body.len++;
    kept[1].end++;
    assert_false(oracle_log_kept(&before, &after, 12288, &finding));
    kept[1].end--;
    uint8_t other[4096];
    memcpy(other, kept[1].body.data, kept[1].body.len);
    other[kept[1].body.len - 1] ^= 1;
    kept[1].body.data = other;
    assert_false(oracle_log_kept(&before, &after, 12288, &finding));
    assert_true(oracle_log_kept(&before, &after, 4096, &finding));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_that_is_right_holds),
        cmocka_unit_test(frames_may_leave_gaps_but_not_overlap),
        cmocka_unit_test(a_frame_has_as_many_records_as_it_says),
        cmocka_unit_test(records_decode_to_the_last_byte),
        cmocka_unit_test(the_genesis_comes_first_and_says_what_is_so),
        cmocka_unit_test(pulses_are_numbered_and_their_clock_never_falls),
        cmocka_unit_test(a_pulse_is_the_last_of_its_frame),
        cmocka_unit_test(metrics_are_defined_once_for_ever),
        cmocka_unit_test(an_event_is_what_was_sent),
        cmocka_unit_test(an_event_lies_in_the_partition_of_its_identity),
        cmocka_unit_test(what_nobody_sent_or_was_refused_is_not_in_the_log),
        cmocka_unit_test(what_was_acknowledged_is_in_the_log),
        cmocka_unit_test(an_acknowledged_event_is_below_its_as_of),
        cmocka_unit_test(a_recovered_log_keeps_what_was_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
