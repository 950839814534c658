/* Verify and dump, from outside. */
#include "log_fixture.h"

#include "adapters/log_file/log_verify.h"

struct findings {
    struct log_segment_report reports[FIXTURE_FILES];
    size_t count;
};

static void collect(void *ctx, const struct log_segment_report *report)
{
    struct findings *findings = ctx;
    assert_true(findings->count < FIXTURE_FILES);
    findings->reports[findings->count++] = *report;
}

static void make_log(struct fixture *fixture, uint64_t count, size_t body_len)
{
    fixture_make(fixture);
    assert_int_equal(fixture_open(fixture), OK);
    for (uint64_t n = 0; n < count; n++) {
        fixture_append(fixture, n, body_len);
    }
}

static void a_good_log_is_found_good_and_counted_while_it_is_open(void **state)
{
    (void)state;
    struct fixture fixture;
    struct findings findings = {.count = 0};
    struct log_verify_result result;
    make_log(&fixture, 30, 9000);
    enum err err = log_verify(&fixture.options.data, collect, &findings, &result, &fixture.error);
    assert_int_equal(err, OK);
    assert_int_equal(result.frame_count, 30);
    assert_int_equal(result.record_count, 30 * 31 / 2);
    assert_int_equal(result.damaged_count, 0);
    assert_int_equal(result.segment_count, findings.count);
    assert_int_equal(result.end, fixture.last_end);
    assert_int_equal(result.oldest, 0);
    for (size_t i = 0; i < findings.count; i++) {
        assert_int_equal(findings.reports[i].state, LOG_SEGMENT_GOOD);
        assert_null(findings.reports[i].problem);
    }
    fixture_end(&fixture);
}

static void damage_is_found_with_its_place_and_the_rest_is_looked_at(void **state)
{
    (void)state;
    struct fixture fixture;
    struct findings findings = {.count = 0};
    struct log_verify_result result;
    make_log(&fixture, 30, 9000);
    fixture_close(&fixture, true);
    fixture_save(&fixture);
    struct fixture_file *file = fixture_segment(&fixture, 1);
    file->data[LOG_BLOCK + 3 * LOG_BLOCK + 100] ^= 1;
    fixture_restore(&fixture);
    enum err err = log_verify(&fixture.options.data, collect, &findings, &result, &fixture.error);
    assert_int_equal(err, ERR_UNPROCESSABLE);
    assert_int_equal(result.damaged_count, 1);
    assert_int_equal(findings.count, 8);
    const struct log_segment_report *report = &findings.reports[1];
    assert_int_equal(report->state, LOG_SEGMENT_DAMAGED);
    assert_string_equal(report->file, file->name);
    assert_int_equal(report->problem_offset, 4 * LOG_BLOCK);
    assert_int_equal(report->problem_position, report->base + 3 * LOG_BLOCK);
    assert_int_equal(result.end, report->problem_position);
    assert_int_equal(findings.reports[7].state, LOG_SEGMENT_GOOD);
    fixture_end(&fixture);
}

static void a_torn_end_is_no_damage_but_a_missing_segment_is(void **state)
{
    (void)state;
    struct fixture fixture;
    struct findings findings = {.count = 0};
    struct log_verify_result result;
    make_log(&fixture, 6, 9000);
    fixture_close(&fixture, false);
    fixture_save(&fixture);
    struct fixture_file *file = fixture_segment(&fixture, 1);
    file->data[LOG_BLOCK + 3 * LOG_BLOCK + 100] ^= 1;
    fixture_restore(&fixture);
    assert_int_equal(log_verify(&fixture.options.data, collect, &findings, &result, &fixture.error),
                     OK);
    assert_int_equal(findings.reports[1].state, LOG_SEGMENT_TORN);
    assert_int_equal(result.frame_count, 5);
    fixture_remove_one(&fixture, file->name);
    findings.count = 0;
    assert_int_equal(log_verify(&fixture.options.data, collect, &findings, &result, &fixture.error),
                     ERR_UNPROCESSABLE);
    assert_non_null(findings.reports[0].problem);
    fixture_end(&fixture);
}

static void a_directory_without_a_log_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    struct findings findings = {.count = 0};
    struct log_verify_result result;
    struct log_dump *dump = NULL;
    fixture_make(&fixture);
    const struct disk_folder *data = &fixture.options.data;
    assert_int_equal(log_verify(data, collect, &findings, &result, &fixture.error),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(fixture.error.text, fixture.root));
    assert_int_equal(log_dump_open(data, 0, &dump, &fixture.error), ERR_UNAVAILABLE);
    fixture_end(&fixture);
}

static void a_dump_shows_every_frame_and_seal_from_any_position(void **state)
{
    (void)state;
    struct fixture fixture;
    make_log(&fixture, 20, 9000);
    fixture_close(&fixture, true);
    for (uint64_t from = 0; from < fixture.last_end; from += 7000) {
        struct log_dump *dump = NULL;
        struct log_dump_frame frame;
        assert_int_equal(log_dump_open(&fixture.options.data, from, &dump, &fixture.error), OK);
        uint64_t position = UINT64_MAX;
        uint64_t last_record = 0;
        uint16_t flags = 0;
        while (log_dump_next(dump, &frame, &fixture.error) == OK) {
            assert_true(frame.header.position >= from);
            assert_true(position == UINT64_MAX || frame.header.position == position);
            assert_int_equal(frame.offset, LOG_BLOCK + frame.header.position - frame.segment);
            position = frame.end;
            flags = frame.header.flags;
            last_record = frame.header.record_count > 0 ? frame.header.record_count : last_record;
        }
        assert_int_equal(flags, LOG_FLAG_SEAL | LOG_FLAG_CLEAN);
        assert_true(last_record == 20 || from > fixture.frame.position);
        assert_int_equal(log_dump_next(dump, &frame, &fixture.error), ERR_NOT_FOUND);
        log_dump_close(dump);
    }
    fixture_end(&fixture);
}

static void a_dump_stops_at_damage_and_says_where(void **state)
{
    (void)state;
    struct fixture fixture;
    make_log(&fixture, 20, 9000);
    fixture_close(&fixture, true);
    fixture_save(&fixture);
    fixture_segment(&fixture, 1)->data[LOG_BLOCK + 100] ^= 1;
    fixture_restore(&fixture);
    struct log_dump *dump = NULL;
    struct log_dump_frame frame;
    assert_int_equal(log_dump_open(&fixture.options.data, 0, &dump, &fixture.error), OK);
    enum err err = OK;
    size_t count = 0;
    while ((err = log_dump_next(dump, &frame, &fixture.error)) == OK) {
        count++;
    }
    assert_int_equal(err, ERR_UNPROCESSABLE);
    assert_int_equal(count, 5);
    assert_non_null(strstr(fixture.error.text, "offset 4096"));
    log_dump_close(dump);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_log_is_found_good_and_counted_while_it_is_open),
        cmocka_unit_test(damage_is_found_with_its_place_and_the_rest_is_looked_at),
        cmocka_unit_test(a_torn_end_is_no_damage_but_a_missing_segment_is),
        cmocka_unit_test(a_directory_without_a_log_is_refused),
        cmocka_unit_test(a_dump_shows_every_frame_and_seal_from_any_position),
        cmocka_unit_test(a_dump_stops_at_damage_and_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
