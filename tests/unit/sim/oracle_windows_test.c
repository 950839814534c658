/* The windows' judge: rows and fates counted out of small logs, and answers that are not those.
 *
 * Windows of a minute; events 0 ... 15 of source s1 at T0 + 0 ... 15 s with x = 10 * i. The oracle
 * follows the watermarks it finds, so the tests choose them as they need them. */
#include "history_fixture.h"

#include "host/result.h"
#include "model/value.h"
#include "sim/oracle_windows.h"

#define AT(seconds) (T0 + SECONDS(seconds))
#define NANO        1000000000LL

static struct expected_metric expected;
static struct finding finding;

static const struct expected_metric *count_out(const struct fixture *fixture)
{
    oracle_windows_free(&expected);
    if (!oracle_windows(&fixture->history, &fixture->recipe, &expected, &finding)) {
        fail_msg("%s", finding.text);
    }
    return &expected;
}

static void event(struct fixture *fixture, uint32_t number, int64_t watermark)
{
    fixture_frame(fixture);
    fixture_events(fixture, AT(0), (struct stamped[]){{number, watermark}}, 1);
    fixture_frame_end(fixture);
}

static void pulse(struct fixture *fixture, int64_t watermark)
{
    fixture_frame(fixture);
    fixture_pulse(fixture, AT(0), watermark, NULL, 0);
    fixture_frame_end(fixture);
}

static void define(struct fixture *fixture, uint32_t metric)
{
    fixture_frame(fixture);
    fixture_define(fixture, metric, "m");
    fixture_frame_end(fixture);
}

static void drop(struct fixture *fixture, uint32_t metric)
{
    fixture_frame(fixture);
    fixture_drop(fixture, metric);
    fixture_frame_end(fixture);
}

static struct fixture *defined(void)
{
    struct fixture *fixture = fixture_new();
    define(fixture, 1);
    return fixture;
}

static void assert_fates(const uint64_t wanted[5])
{
    const struct expected_fates *fates = &expected.fates;
    assert_int_equal(fates->counted, wanted[0]);
    assert_int_equal(fates->filtered, wanted[1]);
    assert_int_equal(fates->late_corrected, wanted[2]);
    assert_int_equal(fates->late_dropped, wanted[3]);
    assert_int_equal(fates->open, wanted[4]);
}

static void a_row_adds_up_its_events(void **state)
{
    (void)state;
    struct fixture *fixture = defined();
    fixture->universe[2].has_x = false;
    fixture->universe[3].x = -7;
    fixture->universe[4].time.us = AT(60); /* the next window's first moment */
    for (uint32_t i = 1; i <= 4; i++) {
        event(fixture, i, NONE);
    }
    pulse(fixture, AT(59));
    count_out(fixture);
    assert_int_equal(expected.row_count, 2);
    const struct expected_row *row = &expected.rows[0];
    assert_int_equal(row->window_start, T0);
    assert_int_equal(row->count, 3);
    assert_int_equal(row->x_count, 2);
    assert_int_equal((int64_t)row->x_sum, 3);
    assert_int_equal(row->x_min, -7);
    assert_int_equal(row->x_max, 10);
    assert_false(row->closed);
    assert_int_equal(expected.rows[1].window_start, AT(60));
    assert_int_equal(expected.rows[1].count, 1);
    assert_fates((uint64_t[]){4, 0, 0, 0, 0});
}

static void the_watermark_before_an_event_judges_it(void **state)
{
    (void)state;
    struct fixture *fixture = defined();
    fixture->recipe.lateness_us = SECONDS(10);
    event(fixture, 1, AT(60) - 1);
    event(fixture, 2, AT(60));
    event(fixture, 3, AT(70) - 1);
    event(fixture, 4, AT(70));
    pulse(fixture, AT(70));
    count_out(fixture);
    assert_int_equal(expected.row_count, 1);
    assert_int_equal(expected.rows[0].count, 3);
    assert_int_equal(expected.rows[0].late, 2);
    assert_true(expected.rows[0].corrected);
    assert_fates((uint64_t[]){1, 0, 2, 1, 0});
}

static void the_last_pulse_closes_windows(void **state)
{
    (void)state;
    int64_t watermarks[] = {AT(60) - 1, AT(60), AT(70) - 1, AT(70), WATERMARK_FINAL};
    bool closed[] = {false, true, true, true, true};
    bool final[] = {false, false, false, true, true};
    for (size_t i = 0; i < 5; i++) {
        struct fixture *fixture = defined();
        fixture->recipe.lateness_us = SECONDS(10);
        event(fixture, 1, NONE);
        pulse(fixture, watermarks[i]);
        count_out(fixture);
        assert_int_equal(expected.rows[0].closed, closed[i]);
        assert_int_equal(expected.rows[0].final, final[i]);
        assert_false(expected.rows[0].time_open);
        assert_false(expected.rows[0].may_be_gone);
    }
}

static void an_event_counts_once_in_the_whole_log(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new();
    event(fixture, 1, NONE);
    define(fixture, 1);
    event(fixture, 1, NONE); /* was there before the metric */
    event(fixture, 2, NONE);
    event(fixture, 2, NONE);
    pulse(fixture, AT(1));
    count_out(fixture);
    assert_int_equal(expected.rows[0].count, 1);
    assert_fates((uint64_t[]){1, 0, 0, 0, 0});
}

static void a_metric_lives_from_its_definition_to_its_drop(void **state)
{
    (void)state;
    struct fixture *fixture = defined();
    event(fixture, 1, NONE);
    pulse(fixture, AT(1));
    drop(fixture, 1);
    assert_false(count_out(fixture)->exists);
    assert_int_equal(expected.row_count, 0);
    define(fixture, 2);
    event(fixture, 2, AT(1));
    event(fixture, 1, AT(1));
    pulse(fixture, AT(2));
    count_out(fixture);
    assert_true(expected.exists);
    assert_int_equal(expected.id, 2);
    assert_int_equal(expected.rows[0].count, 1);
    assert_int_equal((int64_t)expected.rows[0].x_sum, 20);
    drop(fixture, 7); /* another one */
    assert_true(count_out(fixture)->exists);
    assert_false(count_out(fixture_new())->exists);
}

static void where_passes_what_is_above(void **state)
{
    (void)state;
    struct fixture *fixture = defined();
    fixture->recipe.filtered = true;
    fixture->recipe.x_above = 20;
    fixture->universe[4].has_x = false;
    for (uint32_t i = 1; i <= 4; i++) {
        event(fixture, i, i == 1 ? NONE : AT(60)); /* filtered, though late as well */
    }
    pulse(fixture, AT(60));
    count_out(fixture);
    assert_fates((uint64_t[]){0, 3, 0, 1, 0});
    assert_int_equal(expected.row_count, 0);
}

static void groups_keep_rows_apart(void **state)
{
    (void)state;
    struct fixture *fixture = defined();
    fixture->universe[1].source = 2;
    fixture->universe[2].type = 2;
    fixture->universe[3].subject = 0;
    for (uint32_t i = 1; i <= 4; i++) {
        event(fixture, i, NONE);
    }
    pulse(fixture, AT(0));
    size_t rows[] = {1, 2, 2, 2, 3};
    for (uint32_t group = BY_NOTHING; group <= BY_SOURCE_AND_TYPE; group++) {
        fixture->recipe.group = (enum recipe_group)group;
        assert_int_equal(count_out(fixture)->row_count, rows[group]);
    }
    assert_int_equal(expected.rows[0].source, 1);
    assert_int_equal(expected.rows[0].type, 1);
    assert_int_equal(expected.rows[0].count, 2);
    fixture->recipe.group = BY_SUBJECT;
    assert_int_equal(count_out(fixture)->rows[0].subject, 0);
    assert_int_equal(expected.rows[0].count, 1);
}

static void what_is_behind_the_last_pulse_is_perhaps_to_be_seen(void **state)
{
    (void)state;
    struct fixture *fixture = defined();
    event(fixture, 1, NONE);
    pulse(fixture, AT(0));
    event(fixture, 2, AT(0));
    count_out(fixture);
    assert_int_equal(expected.rows[0].count, 1);
    assert_int_equal(expected.rows[0].maybe, 1);
    assert_fates((uint64_t[]){1, 0, 0, 0, 1});
}

static void beyond_the_horizon_nothing_is_certain(void **state)
{
    (void)state;
    struct fixture *fixture = defined();
    fixture->history.dedup_horizon_us = SECONDS(30);
    event(fixture, 1, AT(31) - 1);
    event(fixture, 2, AT(32));
    event(fixture, 2, AT(32));
    pulse(fixture, AT(32));
    count_out(fixture);
    assert_int_equal(expected.rows[0].count, 1);
    assert_int_equal(expected.rows[0].maybe, 1);
    assert_fates((uint64_t[]){1, 0, 0, 0, 2});
    fixture->history.dedup_horizon_us = 0; /* a day */
    count_out(fixture);
    assert_fates((uint64_t[]){2, 0, 0, 0, 0});
}

static void command(struct fixture *fixture, enum lane_command_kind kind)
{
    fixture_frame(fixture);
    fixture_lane(fixture, LANE_DEFAULT, kind, 0);
    fixture_frame_end(fixture);
}

static void a_final_lane_drops_and_its_pulse_seals(void **state)
{
    (void)state;
    struct lane_state told = {.flags = LANE_FINAL, .watermark = AT(-4), .max_time = AT(1)};
    struct fixture *fixture = defined();
    event(fixture, 1, NONE);
    command(fixture, LANE_FINISH);
    event(fixture, 2, WATERMARK_FINAL);
    command(fixture, LANE_REOPEN);
    event(fixture, 3, AT(-4)); /* no pulse told it: nothing was sealed */
    told.flags = 0;
    fixture_frame(fixture);
    fixture_pulse(fixture, AT(3), AT(-2), &told, 1);
    fixture_frame_end(fixture);
    count_out(fixture);
    assert_int_equal(expected.rows[0].count, 2);
    assert_false(expected.rows[0].final);
    assert_fates((uint64_t[]){2, 0, 0, 1, 0});

    command(fixture, LANE_FINISH);
    told.flags = LANE_FINAL;
    fixture_frame(fixture);
    fixture_pulse(fixture, AT(4), WATERMARK_FINAL, &told, 1);
    fixture_frame_end(fixture);
    command(fixture, LANE_REOPEN);
    event(fixture, 4, AT(-4)); /* in time by W; but that window was final */
    pulse(fixture, AT(0));
    count_out(fixture);
    assert_int_equal(expected.rows[0].count, 2);
    assert_int_equal(expected.rows[0].maybe, 0);
    assert_true(expected.rows[0].final && !expected.rows[0].time_open);
    assert_fates((uint64_t[]){2, 0, 0, 2, 0});
}

static struct lane_state lane(uint32_t number, int64_t watermark)
{
    return (struct lane_state){.lane = number, .watermark = watermark, .max_time = watermark};
}

static void chosen_sources_have_the_watermark_of_their_lanes(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new();
    fixture->recipe.source_count = 2;
    fixture->recipe.sources[0] = 2;
    fixture->recipe.sources[1] = 3;
    fixture_frame(fixture);
    fixture_define(fixture, 1, "m");
    fixture_source(fixture, 1, "s2", LANE_BOUNDED, T0);
    fixture_source(fixture, 2, "s3", LANE_BOUNDED, T0);
    struct lane_state lanes[] = {lane(0, AT(500)), lane(1, AT(61)), lane(2, AT(59))};
    fixture_pulse(fixture, T0, AT(59), lanes, 3);
    fixture_frame_end(fixture);
    event(fixture, 1, AT(500)); /* whatever is stamped: 59 s, by the pulse */
    lanes[2] = lane(2, AT(60));
    fixture_frame(fixture);
    fixture_pulse(fixture, T0, AT(60), &lanes[2], 1);
    fixture_frame_end(fixture);
    event(fixture, 2, AT(59)); /* 60 s, by the pulse */
    pulse(fixture, AT(60));
    count_out(fixture);
    assert_int_equal(expected.rows[0].count, 1);
    assert_true(expected.rows[0].closed);
    assert_fates((uint64_t[]){1, 0, 0, 1, 0});
}

/* --- answers --- */

static uint8_t answer_memory[4096];

/* A row as a runner answers it; x_count 0: no sum and no ends. */
static struct bytes answer(const struct expected_row *row, uint8_t flags, uint32_t revision)
{
    struct buf out = buf_of(answer_memory, sizeof(answer_memory));
    uint8_t key_memory[64];
    struct buf key = buf_of(key_memory, sizeof(key_memory));
    if (row->subject == 0) {
        value_put(&key, value_null());
    } else {
        value_put(&key, value_of_text(BYTES("k1")));
    }
    buf_put_u32(&out, 0);
    buf_put_i64(&out, row->window_start);
    buf_put_i64(&out, row->window_start + US_PER_MINUTE);
    buf_put_u8(&out, flags);
    buf_put_u32(&out, revision);
    buf_put_string(&out, buf_bytes(&key));
    bool any = row->x_count > 0;
    value_put(&out, value_of_nano((int128)row->count * NANO));
    value_put(&out, value_of_nano((int128)row->x_count * NANO));
    value_put(&out, any ? value_of_nano(row->x_sum * NANO) : value_null());
    value_put(&out, any ? value_of_nano((int128)row->x_min * NANO) : value_null());
    value_put(&out, any ? value_of_nano((int128)row->x_max * NANO) : value_null());
    buf_set_length(&out, 0);
    return buf_bytes(&out);
}

/* Events 1 and 2 on time and event 3 as a correction, by subject; closed, not final. */
static struct fixture *corrected(void)
{
    struct fixture *fixture = defined();
    fixture->recipe.lateness_us = SECONDS(10);
    fixture->recipe.group = BY_SUBJECT;
    event(fixture, 1, NONE);
    event(fixture, 2, NONE);
    event(fixture, 3, AT(60));
    pulse(fixture, AT(60));
    count_out(fixture);
    return fixture;
}

static bool matches(const struct fixture *fixture, struct bytes part)
{
    return oracle_windows_match(&fixture->recipe, &expected, &part, 1, &finding);
}

static void the_right_answer_matches(void **state)
{
    (void)state;
    struct fixture *fixture = corrected();
    assert_true(matches(fixture, answer(&expected.rows[0], RESULT_CLOSED, 1)));
    struct bytes parts[] = {{0}, answer(&expected.rows[0], RESULT_CLOSED, 1), {0}};
    assert_true(oracle_windows_match(&fixture->recipe, &expected, parts, 3, &finding));
    fixture->universe[1].has_x = false;
    fixture->universe[2].has_x = false;
    fixture->universe[3].has_x = false;
    count_out(fixture);
    assert_true(matches(fixture, answer(&expected.rows[0], RESULT_CLOSED, 1)));
}

static void a_row_that_differs_is_found(void **state)
{
    (void)state;
    struct fixture *fixture = corrected();
    struct expected_row right = expected.rows[0];
    struct expected_row rows[8];
    for (size_t i = 0; i < 8; i++) {
        rows[i] = right;
    }
    rows[0].count++;
    rows[1].count--;
    rows[2].x_count--;
    rows[3].x_sum++;
    rows[4].x_min--;
    rows[5].x_max++;
    rows[6].window_start += US_PER_MINUTE;
    rows[7].subject = 0;
    for (size_t i = 0; i < 8; i++) {
        assert_false(matches(fixture, answer(&rows[i], RESULT_CLOSED, 1)));
        assert_string_not_equal(finding.text, "");
    }
    rows[0] = right;
    rows[0].x_count = 0; /* as if there were no x */
    assert_false(matches(fixture, answer(&rows[0], RESULT_CLOSED, 1)));
}

static void flags_and_revisions_that_differ_are_found(void **state)
{
    (void)state;
    struct fixture *fixture = corrected();
    const struct expected_row *row = &expected.rows[0];
    assert_false(matches(fixture, answer(row, 0, 1)));
    assert_false(matches(fixture, answer(row, RESULT_CLOSED | RESULT_FINAL, 1)));
    assert_false(matches(fixture, answer(row, RESULT_CLOSED | RESULT_OVERFLOW, 1)));
    assert_false(matches(fixture, answer(row, RESULT_FINAL, 1)));
    assert_false(matches(fixture, answer(row, RESULT_CLOSED, 0)));
    assert_false(matches(fixture, answer(row, RESULT_CLOSED, 2)));
    expected.rows[0].time_open = true; /* even then what is final is closed */
    assert_true(matches(fixture, answer(row, RESULT_CLOSED | RESULT_FINAL, 2)));
    assert_false(matches(fixture, answer(row, RESULT_FINAL, 1)));
}

static void a_row_is_answered_once_and_no_other(void **state)
{
    (void)state;
    struct fixture *fixture = corrected();
    struct bytes none = {0};
    struct bytes right = answer(&expected.rows[0], RESULT_CLOSED, 1);
    struct bytes twice[] = {right, right};
    assert_false(matches(fixture, none));
    assert_non_null(strstr(finding.text, "missing"));
    assert_false(oracle_windows_match(&fixture->recipe, &expected, twice, 2, &finding));
    right.len--;
    assert_false(matches(fixture, right));
    right.len++;
    drop(fixture, 1);
    count_out(fixture);
    assert_false(matches(fixture, right));
    assert_true(matches(fixture, none));
}

static void an_open_event_may_be_in_the_row_or_not(void **state)
{
    (void)state;
    struct fixture *fixture = corrected();
    event(fixture, 4, AT(60)); /* behind the last pulse */
    count_out(fixture);
    struct expected_row row = expected.rows[0];
    assert_true(matches(fixture, answer(&row, RESULT_CLOSED, 1)));
    row.count++;
    assert_true(matches(fixture, answer(&row, RESULT_CLOSED, 2)));
    row.count++;
    assert_false(matches(fixture, answer(&row, RESULT_CLOSED, 2)));
    row.count -= 3;
    assert_false(matches(fixture, answer(&row, RESULT_CLOSED, 1)));
}

static void fates_add_up(void **state)
{
    (void)state;
    struct fixture *fixture = corrected();
    struct expected_fates fates = {.counted = 2, .late_corrected = 1};
    assert_true(oracle_fates_match(&fixture->recipe, &expected, &fates, &finding));
    fates.late_dropped = 1;
    assert_false(oracle_fates_match(&fixture->recipe, &expected, &fates, &finding));
    fates = (struct expected_fates){.counted = 3};
    assert_false(oracle_fates_match(&fixture->recipe, &expected, &fates, &finding));
    fates = (struct expected_fates){.counted = 1, .late_corrected = 1};
    assert_false(oracle_fates_match(&fixture->recipe, &expected, &fates, &finding));
    event(fixture, 4, AT(60));
    count_out(fixture);
    fates = (struct expected_fates){.counted = 2, .late_corrected = 2};
    assert_true(oracle_fates_match(&fixture->recipe, &expected, &fates, &finding));
    fates.late_corrected = 3;
    assert_false(oracle_fates_match(&fixture->recipe, &expected, &fates, &finding));
}

static void a_log_that_cannot_be_followed_is_said(void **state)
{
    (void)state;
    struct fixture *fixture = corrected();
    fixture->universe[1].id = 99;
    oracle_windows_free(&expected);
    assert_false(oracle_windows(&fixture->history, &fixture->recipe, &expected, &finding));
    assert_non_null(strstr(finding.text, "not of the universe"));
    assert_null(expected.rows);
}

static int free_expected(void **state)
{
    (void)state;
    oracle_windows_free(&expected);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_adds_up_its_events),
        cmocka_unit_test(the_watermark_before_an_event_judges_it),
        cmocka_unit_test(the_last_pulse_closes_windows),
        cmocka_unit_test(an_event_counts_once_in_the_whole_log),
        cmocka_unit_test(a_metric_lives_from_its_definition_to_its_drop),
        cmocka_unit_test(where_passes_what_is_above),
        cmocka_unit_test(groups_keep_rows_apart),
        cmocka_unit_test(what_is_behind_the_last_pulse_is_perhaps_to_be_seen),
        cmocka_unit_test(beyond_the_horizon_nothing_is_certain),
        cmocka_unit_test(a_final_lane_drops_and_its_pulse_seals),
        cmocka_unit_test(chosen_sources_have_the_watermark_of_their_lanes),
        cmocka_unit_test(the_right_answer_matches),
        cmocka_unit_test(a_row_that_differs_is_found),
        cmocka_unit_test(flags_and_revisions_that_differ_are_found),
        cmocka_unit_test(a_row_is_answered_once_and_no_other),
        cmocka_unit_test(an_open_event_may_be_in_the_row_or_not),
        cmocka_unit_test(fates_add_up),
        cmocka_unit_test(a_log_that_cannot_be_followed_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, free_expected);
}
