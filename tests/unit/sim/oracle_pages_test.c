/* The pages' judge: readings that can have been, and such that can't. */
#include "history_fixture.h"

#include "sim/oracle_pages.h"

#define AT(seconds) (T0 + SECONDS(seconds))
#define ROWS        4

static struct expected_row metric_rows[ROWS];
static struct expected_metric metric;
static struct expected_row told_rows[ROWS + 1];
static struct reading reading;
static struct finding finding;

static struct expected_row row(int64_t window_start, uint32_t source, uint64_t count)
{
    return (struct expected_row){.window_start = window_start,
                                 .source = source,
                                 .count = count,
                                 .closed = true,
                                 .final = true};
}

/* Three final rows in two windows, and one of a window that is still open; the reading has told the
 * first three. */
static void begin(void)
{
    metric_rows[0] = row(AT(0), 1, 5);
    metric_rows[1] = row(AT(0), 2, 7);
    metric_rows[2] = row(AT(60), 1, 3);
    metric_rows[3] = row(AT(120), 1, 4);
    metric_rows[3].closed = false;
    metric_rows[3].final = false;
    metric = (struct expected_metric){.exists = true, .rows = metric_rows, .row_count = ROWS};
    memcpy(told_rows, metric_rows, sizeof(metric_rows));
    reading = (struct reading){.flags_hold = true,
                               .settled = true,
                               .to = AT(120),
                               .complete = true,
                               .rows = told_rows,
                               .row_count = 3,
                               .page_count = 2};
    finding.text[0] = '\0';
}

static bool page_holds(void)
{
    finding.text[0] = '\0';
    return oracle_page_holds(&reading, told_rows, reading.row_count, &finding);
}

static bool reading_holds(void)
{
    finding.text[0] = '\0';
    return oracle_reading_holds(&reading, &metric, &finding);
}

static void all_rows_of_settled_windows_each_once_are_a_reading(void **state)
{
    (void)state;
    begin();
    assert_true(page_holds());
    assert_true(reading_holds());
    struct expected_row first = told_rows[0];
    told_rows[0] = told_rows[1]; /* groups have an order of their own */
    told_rows[1] = first;
    assert_true(reading_holds());
}

static void a_settled_row_that_is_skipped_is_found(void **state)
{
    (void)state;
    for (size_t skipped = 0; skipped < 3; skipped++) {
        begin();
        memmove(told_rows + skipped, told_rows + skipped + 1, (2 - skipped) * sizeof(told_rows[0]));
        reading.row_count = 2;
        assert_false(reading_holds());
        reading.complete = false; /* it may come yet */
        assert_true(reading_holds());
        reading.complete = true;
        metric_rows[skipped].may_be_gone = true;
        assert_true(reading_holds());
    }
}

static void a_settled_row_that_is_told_twice_is_found(void **state)
{
    (void)state;
    begin();
    told_rows[3] = told_rows[2];
    reading.row_count = 4;
    assert_false(page_holds());
    assert_false(reading_holds());
    reading.settled = false; /* rows of changing windows may move from page to page */
    assert_true(reading_holds());
    assert_false(page_holds()); /* but not within one */
}

static void rows_stand_in_the_order_that_was_asked_for(void **state)
{
    (void)state;
    begin();
    reading.order = ORDER_WINDOW_DOWN;
    assert_false(page_holds());
    assert_false(reading_holds());
    reading.order = ORDER_COUNT;
    assert_false(page_holds());
    struct expected_row last = told_rows[2];
    memmove(told_rows + 1, told_rows, 2 * sizeof(told_rows[0]));
    told_rows[0] = last;
    assert_true(page_holds());
    reading.order = ORDER_COUNT_DOWN;
    assert_false(page_holds());
}

static void a_count_never_falls_behind_a_reader(void **state)
{
    (void)state;
    begin();
    reading.settled = false;
    reading.row_count = 4;
    told_rows[3].count = 2; /* more came since */
    assert_true(reading_holds());
    told_rows[3].count = 5;
    assert_false(reading_holds());
    metric_rows[3].maybe = 1;
    assert_true(reading_holds());
    told_rows[3].count = 0;
    assert_false(reading_holds());
    told_rows[3] = row(AT(120), 2, 1);
    assert_false(reading_holds()); /* there is no such row */
}

static void what_was_told_to_be_closed_or_final_is(void **state)
{
    (void)state;
    begin();
    reading.settled = false;
    reading.row_count = 4;
    told_rows[0].x_sum = 1;
    assert_false(reading_holds());
    told_rows[0].x_sum = 0;
    told_rows[3].closed = true;
    assert_false(reading_holds());
    reading.flags_hold = false; /* lanes may be reopened */
    assert_true(reading_holds());
    begin();
    reading.settled = false;
    told_rows[0].closed = false;
    assert_false(page_holds());
}

/* --- events --- */

static struct page_event told_events[FIXTURE_EVENTS];
static struct listed_page pages[2];
static struct listing listing;
static struct fixture *fixture;

static void frame_of(uint32_t event)
{
    fixture_frame(fixture);
    fixture_events(fixture, AT(0), (struct stamped[]){{event, NONE}}, 1);
    fixture_frame_end(fixture);
}

/* A log of the events 1, 2, 1, 3, each in a frame of its own, and a reader who has read them all on
 * two pages. */
static void begin_listing(void)
{
    static const uint32_t ids[] = {1, 2, 1, 3};
    fixture = fixture_new();
    for (size_t n = 0; n < 4; n++) {
        frame_of(ids[n]);
        told_events[n] = (struct page_event){.source = 1, .id = ids[n]};
    }
    pages[0] = (struct listed_page){.event_count = 2, .durable_end = fixture->position};
    pages[1] =
        (struct listed_page){.event_count = 2, .durable_end = fixture->position, .last = true};
    listing =
        (struct listing){.pages = pages, .page_count = 2, .events = told_events, .event_count = 4};
}

static bool listing_holds(void)
{
    finding.text[0] = '\0';
    return oracle_listing_holds(&fixture->history, &listing, &finding);
}

static void the_logs_events_in_its_order_are_a_listing(void **state)
{
    (void)state;
    begin_listing();
    assert_true(listing_holds());
    frame_of(4); /* behind what was durable when the last page was asked for */
    assert_true(listing_holds());
    pages[1].durable_end = fixture->position;
    assert_false(listing_holds());
    pages[1].last = false;
    assert_true(listing_holds());
}

static void an_event_skipped_or_told_twice_between_pages_is_found(void **state)
{
    (void)state;
    begin_listing();
    told_events[2] = told_events[3];
    pages[1].event_count = 1;
    assert_false(listing_holds());
    begin_listing();
    told_events[2] = told_events[1];
    assert_false(listing_holds());
}

static void what_is_no_longer_kept_may_be_left_out_and_nothing_else(void **state)
{
    (void)state;
    begin_listing();
    pages[0].event_count = 1; /* 1, then 3: the frames between went meanwhile */
    pages[1].event_count = 1;
    told_events[1] = told_events[3];
    assert_false(listing_holds());
    pages[1].oldest = fixture->frames[2].position;
    assert_false(listing_holds());
    pages[1].oldest = fixture->frames[3].position;
    assert_true(listing_holds());
}

static void an_event_that_is_twice_in_the_log_may_be_either(void **state)
{
    (void)state;
    begin_listing();
    pages[0].oldest = fixture->frames[2].position; /* the list began at the second 1 */
    pages[0].event_count = 1;
    pages[1].event_count = 1;
    pages[1].oldest = pages[0].oldest;
    told_events[1] = told_events[3];
    assert_true(listing_holds());
    told_events[1] = told_events[0]; /* from one 1 to the other, past a 2 that is still kept */
    pages[0].oldest = 0;
    pages[1].oldest = 0;
    pages[1].last = false;
    assert_false(listing_holds());
    pages[1].oldest = fixture->frames[2].position;
    assert_true(listing_holds());
}

/* --- pages as text --- */

#define TEXT(literal) bytes_of_string(literal)

static void pages_of_values_are_read(void **state)
{
    (void)state;
    struct page_head head;
    struct expected_row rows[2];
    assert_true(page_read_values(
        TEXT(
            "{\"metric\":\"m0\",\"watermark\":\"2024-01-01T00:01:00Z\",\"as_of\":\"00\",\"items\":["
            "{\"window_start\":\"2024-01-01T00:00:00Z\",\"window_end\":\"2024-01-01T00:00:10Z\","
            "\"source\":\"s3\",\"subject\":null,\"n\":4,\"c\":2,\"s\":-7,\"lo\":-9,\"hi\":2,"
            "\"closed\":true,\"final\":false,\"revision\":0}],\"next_cursor\":\"abc\"}"),
        &head,
        rows,
        2));
    assert_true(head.has_watermark);
    assert_int_equal(head.item_count, 1);
    assert_string_equal(head.cursor, "abc");
    assert_int_equal(head.watermark - rows[0].window_start, US_PER_MINUTE);
    assert_int_equal(rows[0].source, 3);
    assert_int_equal(rows[0].subject, 0);
    assert_int_equal(rows[0].count, 4);
    assert_int_equal(rows[0].x_count, 2);
    assert_int_equal((int64_t)rows[0].x_sum, -7);
    assert_int_equal(rows[0].x_min, -9);
    assert_int_equal(rows[0].x_max, 2);
    assert_true(rows[0].closed);
    assert_false(rows[0].final);
}

static void what_is_not_a_page_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"items\":[]}",
        "{\"next_cursor\":null}",
        "{\"items\":[{\"source\":\"s1\"}],\"next_cursor\":null}",
        "{\"items\":[{\"source\":\"t1\",\"id\":\"1\"}],\"next_cursor\":null}",
        "{\"items\":[],\"next_cursor\":\"\"}",
        "{\"items\":[],\"next_cursor\":null} x",
    };
    struct page_head head;
    struct page_event event;
    for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
        assert_false(page_read_events(TEXT(bad[n]), &head, &event, 1));
    }
    static const char two[] =
        "{\"items\":[{\"source\":\"s1\",\"id\":\"1\"},"
        "{\"source\":\"s1\",\"id\":\"2\"}],\"next_cursor\":null}";
    assert_false(page_read_events(TEXT(two), &head, &event, 1)); /* more than was asked for */
    assert_true(page_read_events(
        TEXT("{\"items\":[{\"source\":\"s1\",\"id\":\"12\"}],\"next_cursor\":null}"),
        &head,
        &event,
        1));
    assert_int_equal(event.id, 12);
    assert_string_equal(head.cursor, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_rows_of_settled_windows_each_once_are_a_reading),
        cmocka_unit_test(a_settled_row_that_is_skipped_is_found),
        cmocka_unit_test(a_settled_row_that_is_told_twice_is_found),
        cmocka_unit_test(rows_stand_in_the_order_that_was_asked_for),
        cmocka_unit_test(a_count_never_falls_behind_a_reader),
        cmocka_unit_test(what_was_told_to_be_closed_or_final_is),
        cmocka_unit_test(the_logs_events_in_its_order_are_a_listing),
        cmocka_unit_test(an_event_skipped_or_told_twice_between_pages_is_found),
        cmocka_unit_test(what_is_no_longer_kept_may_be_left_out_and_nothing_else),
        cmocka_unit_test(an_event_that_is_twice_in_the_log_may_be_either),
        cmocka_unit_test(pages_of_values_are_read),
        cmocka_unit_test(what_is_not_a_page_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
