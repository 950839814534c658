/* The embeddable library through its public header: every promise of tidemark.h, and its refusals.
 */
#include <tidemark.h>

#include "../base/support.h"

#define WINDOWS_MAX 64
#define EVENTS_MAX  64

/* What a callback saw. */
struct seen {
    size_t window_count;
    size_t event_count;
    int64_t starts[WINDOWS_MAX];
    int64_t ends[WINDOWS_MAX];
    size_t counts[WINDOWS_MAX];
    struct tidemark_event events[EVENTS_MAX]; /* copies: next and data are not to be followed */
    char firsts[EVENTS_MAX];                  /* the first byte of each event's data */
    size_t stop_after;                        /* 0 = never */
};

static int see(const struct tidemark_window *window, void *context)
{
    struct seen *seen = context;
    assert_true(seen->window_count < WINDOWS_MAX);
    seen->starts[seen->window_count] = window->start;
    seen->ends[seen->window_count] = window->end;
    seen->counts[seen->window_count] = window->event_count;
    seen->window_count++;
    size_t count = 0;
    for (const struct tidemark_event *event = window->first; event != NULL; event = event->next) {
        assert_true(seen->event_count < EVENTS_MAX);
        assert_non_null(event->data);
        assert_int_equal((uintptr_t)event->data % 8, 0);
        seen->firsts[seen->event_count] = event->len > 0 ? *(const char *)event->data : '\0';
        seen->events[seen->event_count++] = *event;
        count++;
    }
    assert_int_equal(count, window->event_count);
    return seen->window_count == seen->stop_after;
}

static struct tidemark_ingestor *
made(size_t partition_count, int64_t window_size, const struct tidemark_options *options)
{
    static const uint32_t ids[] = {0, 1, 2, 3};
    enum tidemark_result result = TIDEMARK_INVALID;
    struct tidemark_ingestor *ingestor =
        tidemark_ingestor_create(ids, partition_count, window_size, options, &result);
    assert_int_equal(result, TIDEMARK_OK);
    assert_non_null(ingestor);
    return ingestor;
}

static void
put(struct tidemark_ingestor *ingestor, uint32_t partition, int64_t timestamp, const char *text)
{
    assert_int_equal(tidemark_ingestor_ingest(ingestor, partition, timestamp, text, strlen(text)),
                     TIDEMARK_OK);
}

static void advance(struct tidemark_ingestor *ingestor, uint32_t partition, int64_t timestamp)
{
    assert_int_equal(tidemark_ingestor_advance_watermark(ingestor, partition, timestamp),
                     TIDEMARK_OK);
}

static void assert_window(const struct seen *seen, size_t n, int64_t start, int64_t end)
{
    assert_true(n < seen->window_count);
    assert_true(seen->starts[n] == start);
    assert_true(seen->ends[n] == end);
}

static void a_jump_from_0_to_121_emits_two_windows_and_keeps_the_third(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(1, 60, NULL);
    advance(ingestor, 0, 0);
    put(ingestor, 0, 0, "a");
    put(ingestor, 0, 59, "b");
    put(ingestor, 0, 60, "c");
    put(ingestor, 0, 119, "d");
    put(ingestor, 0, 120, "e");
    struct seen seen = {0};
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 0);
    advance(ingestor, 0, 121);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 2);
    assert_window(&seen, 0, 0, 60);
    assert_window(&seen, 1, 60, 120);
    assert_memory_equal(seen.firsts, "abcd", 4);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 2);
    put(ingestor, 0, 121, "f");
    advance(ingestor, 0, 180);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 3);
    assert_window(&seen, 2, 120, 180);
    assert_memory_equal(seen.firsts, "abcdef", 6);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void the_slowest_partition_holds_all_windows_back(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(3, 10, NULL);
    struct seen seen = {0};
    for (uint32_t n = 0; n < 3; n++) {
        put(ingestor, n, 5, "x");
    }
    assert_true(tidemark_ingestor_watermark(ingestor) == INT64_MIN);
    advance(ingestor, 0, 100);
    advance(ingestor, 1, 50);
    assert_true(tidemark_ingestor_watermark(ingestor) == INT64_MIN);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 0);
    advance(ingestor, 2, 9);
    assert_true(tidemark_ingestor_watermark(ingestor) == 9);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 0);
    advance(ingestor, 2, 10); /* the end is not above the watermark */
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 1);
    assert_int_equal(seen.event_count, 3);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void events_are_ordered_by_time_and_then_by_arrival(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(2, 100, NULL);
    put(ingestor, 1, 30, "d");
    put(ingestor, 0, 10, "a");
    put(ingestor, 1, 10, "b");
    put(ingestor, 0, 99, "f");
    put(ingestor, 0, 10, "c");
    put(ingestor, 0, 30, "e");
    advance(ingestor, 0, 100);
    advance(ingestor, 1, 100);
    struct seen seen = {0};
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.event_count, 6);
    assert_memory_equal(seen.firsts, "abcdef", 6);
    assert_int_equal(seen.events[1].partition, 1);
    assert_int_equal(seen.events[5].timestamp, 99);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void a_late_event_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(2, 60, NULL);
    advance(ingestor, 0, 100);
    advance(ingestor, 1, 70);
    uint64_t used_bytes = tidemark_ingestor_used_bytes(ingestor);
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 0, 99, "x", 1), TIDEMARK_LATE);
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 1, 69, "x", 1), TIDEMARK_LATE);
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 1, INT64_MIN, "x", 1), TIDEMARK_LATE);
    assert_true(tidemark_ingestor_used_bytes(ingestor) == used_bytes);
    put(ingestor, 0, 100, "a"); /* equal to the watermark is in time */
    put(ingestor, 1, 70, "b");
    put(ingestor, 1, 99, "c"); /* only its own partition's watermark and the global one count */
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 0, 99, "x", 1), TIDEMARK_LATE);
    advance(ingestor, 0, 120);
    advance(ingestor, 1, 120);
    struct seen seen = {0};
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 1);
    assert_memory_equal(seen.firsts, "bca", 3);
    assert_int_equal(seen.event_count, 3);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void a_watermark_never_goes_back(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(1, 60, NULL);
    advance(ingestor, 0, 50);
    assert_int_equal(tidemark_ingestor_advance_watermark(ingestor, 0, 49), TIDEMARK_BACKWARDS);
    assert_int_equal(tidemark_ingestor_advance_watermark(ingestor, 0, INT64_MIN),
                     TIDEMARK_BACKWARDS);
    assert_true(tidemark_ingestor_watermark(ingestor) == 50);
    advance(ingestor, 0, 50); /* the same again is fine */
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 0, 49, "x", 1), TIDEMARK_LATE);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void empty_windows_are_skipped(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(1, 10, NULL);
    put(ingestor, 0, 5, "a");
    put(ingestor, 0, INT64_C(4000000000000000005), "b");
    advance(ingestor, 0, INT64_MAX);
    struct seen seen = {0};
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 2);
    assert_window(&seen, 1, INT64_C(4000000000000000000), INT64_C(4000000000000000010));
    (void)tidemark_ingestor_destroy(ingestor);
}

static void empty_windows_are_reported_when_asked_for(void **state)
{
    (void)state;
    const struct tidemark_options options = {.report_empty_windows = true};
    struct tidemark_ingestor *ingestor = made(1, 60, &options);
    struct seen seen = {0};
    advance(ingestor, 0, 0);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 0);
    advance(ingestor, 0, 121);
    put(ingestor, 0, 250, "a");
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 2);
    assert_window(&seen, 0, 0, 60);
    assert_window(&seen, 1, 60, 120);
    advance(ingestor, 0, 359);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 5);
    assert_window(&seen, 2, 120, 180);
    assert_window(&seen, 4, 240, 300);
    assert_int_equal(seen.counts[3], 0);
    assert_int_equal(seen.counts[4], 1);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void reporting_begins_with_the_earliest_event_if_that_is_before_the_watermark(void **state)
{
    (void)state;
    const struct tidemark_options options = {.report_empty_windows = true};
    struct tidemark_ingestor *ingestor = made(1, 60, &options);
    struct seen seen = {0};
    put(ingestor, 0, -61, "a");
    advance(ingestor, 0, 60);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 3);
    assert_window(&seen, 0, -120, -60);
    assert_window(&seen, 1, -60, 0);
    assert_window(&seen, 2, 0, 60);
    (void)tidemark_ingestor_destroy(ingestor);
}

static int count_only(const struct tidemark_window *window, void *context)
{
    (void)window;
    (*(uint64_t *)context)++;
    return 0;
}

static void a_far_jump_reports_a_bounded_number_of_empty_windows_per_call(void **state)
{
    (void)state;
    const struct tidemark_options options = {.report_empty_windows = true};
    struct tidemark_ingestor *ingestor = made(1, 1, &options);
    advance(ingestor, 0, 0);
    advance(ingestor, 0, 2 * TIDEMARK_EMPTY_PER_CALL_MAX + 5);
    uint64_t count = 0;
    assert_int_equal(tidemark_ingestor_emit(ingestor, count_only, &count), TIDEMARK_MORE);
    assert_int_equal(count, TIDEMARK_EMPTY_PER_CALL_MAX);
    assert_int_equal(tidemark_ingestor_emit(ingestor, count_only, &count), TIDEMARK_MORE);
    assert_int_equal(tidemark_ingestor_emit(ingestor, count_only, &count), TIDEMARK_OK);
    assert_int_equal(count, 2 * TIDEMARK_EMPTY_PER_CALL_MAX + 5);
    advance(ingestor, 0, INT64_MAX);
    assert_int_equal(tidemark_ingestor_emit(ingestor, count_only, &count), TIDEMARK_MORE);
    assert_int_equal(count, 3 * TIDEMARK_EMPTY_PER_CALL_MAX + 5);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void one_window_per_call_gives_the_oldest_first(void **state)
{
    (void)state;
    const struct tidemark_options options = {.one_window_per_call = true};
    struct tidemark_ingestor *ingestor = made(1, 60, &options);
    put(ingestor, 0, 130, "c");
    put(ingestor, 0, 10, "a");
    put(ingestor, 0, 70, "b");
    advance(ingestor, 0, 180);
    struct seen seen = {0};
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_MORE);
    assert_int_equal(seen.window_count, 1);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_MORE);
    assert_int_equal(seen.window_count, 2);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 3);
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 3);
    assert_memory_equal(seen.firsts, "abc", 3);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void a_callback_that_stops_has_had_its_window(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(1, 60, NULL);
    put(ingestor, 0, 10, "a");
    put(ingestor, 0, 70, "b");
    advance(ingestor, 0, 120);
    struct seen seen = {.stop_after = 1};
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_MORE);
    assert_int_equal(seen.window_count, 1);
    seen.stop_after = 2;
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 2);
    assert_memory_equal(seen.firsts, "ab", 2);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void times_below_zero_fall_into_the_window_below(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(1, 60, NULL);
    put(ingestor, 0, -1, "c");
    put(ingestor, 0, -60, "b");
    put(ingestor, 0, -61, "a");
    put(ingestor, 0, 0, "d");
    advance(ingestor, 0, 60);
    struct seen seen = {0};
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.window_count, 3);
    assert_window(&seen, 0, -120, -60);
    assert_window(&seen, 1, -60, 0);
    assert_window(&seen, 2, 0, 60);
    assert_memory_equal(seen.firsts, "abcd", 4);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void extreme_times_overflow_nowhere(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 60, INT64_C(1) << 62, INT64_MAX - 1, INT64_MAX};
    for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
        struct tidemark_ingestor *ingestor = made(1, sizes[n], NULL);
        put(ingestor, 0, INT64_MAX, "z");
        put(ingestor, 0, INT64_MIN, "a");
        put(ingestor, 0, -1, "b");
        put(ingestor, 0, 0, "c");
        advance(ingestor, 0, INT64_MIN);
        advance(ingestor, 0, INT64_MAX);
        struct seen seen = {0};
        assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
        assert_true(seen.event_count >= 3 || sizes[n] > INT64_MAX / 2);
        assert_memory_equal(seen.firsts, "abc", seen.event_count);
        assert_true(seen.starts[0] == INT64_MIN || seen.starts[0] % sizes[n] == 0);
        assert_true(seen.ends[0] > INT64_MIN && seen.ends[0] <= 0);
        for (size_t event = 0; event < seen.event_count; event++) {
            assert_true(seen.events[event].timestamp < INT64_MAX);
        }
        assert_int_equal(tidemark_ingestor_ingest(ingestor, 0, INT64_MAX - 1, "x", 1),
                         TIDEMARK_LATE);
        put(ingestor, 0, INT64_MAX, "y");
        assert_int_equal(tidemark_ingestor_destroy(ingestor), TIDEMARK_OK);
    }
}

static void partitions_may_have_any_numbers(void **state)
{
    (void)state;
    static const uint32_t ids[] = {UINT32_MAX, 0, 77, 2147483648U};
    struct tidemark_ingestor *ingestor = tidemark_ingestor_create(ids, 4, 60, NULL, NULL);
    assert_non_null(ingestor);
    for (size_t n = 0; n < 4; n++) {
        put(ingestor, ids[n], (int64_t)n, "x");
        advance(ingestor, ids[n], 60);
    }
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 1, 100, "x", 1),
                     TIDEMARK_UNKNOWN_PARTITION);
    assert_int_equal(tidemark_ingestor_advance_watermark(ingestor, 78, 100),
                     TIDEMARK_UNKNOWN_PARTITION);
    struct seen seen = {0};
    assert_int_equal(tidemark_ingestor_emit(ingestor, see, &seen), TIDEMARK_OK);
    assert_int_equal(seen.event_count, 4);
    for (size_t n = 0; n < 4; n++) {
        assert_int_equal(seen.events[n].partition, ids[n]);
    }
    (void)tidemark_ingestor_destroy(ingestor);
}

static void create_refuses_what_is_never_right(void **state)
{
    (void)state;
    static const uint32_t ids[] = {5, 6, 5};
    const struct tidemark_options reserved = {.reserved = {0, 0, 0, 1}};
    const struct tidemark_options tiny = {.memory_limit_bytes = 8};
    enum tidemark_result result = TIDEMARK_OK;
    assert_null(tidemark_ingestor_create(NULL, 1, 60, NULL, &result));
    assert_int_equal(result, TIDEMARK_INVALID);
    assert_null(tidemark_ingestor_create(ids, 0, 60, NULL, NULL));
    assert_null(tidemark_ingestor_create(ids, 2, 0, NULL, NULL));
    assert_null(tidemark_ingestor_create(ids, 2, -60, NULL, NULL));
    assert_null(tidemark_ingestor_create(ids, SIZE_MAX, 60, NULL, NULL));
    result = TIDEMARK_OK;
    assert_null(tidemark_ingestor_create(ids, 3, 60, NULL, &result));
    assert_int_equal(result, TIDEMARK_INVALID);
    result = TIDEMARK_OK;
    assert_null(tidemark_ingestor_create(ids, 2, 60, &reserved, &result));
    assert_int_equal(result, TIDEMARK_INVALID);
    assert_null(tidemark_ingestor_create(ids, 2, 60, &tiny, &result));
    assert_int_equal(result, TIDEMARK_FULL);
}

static void the_other_calls_refuse_null(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(1, 60, NULL);
    assert_int_equal(tidemark_ingestor_ingest(NULL, 0, 0, "x", 1), TIDEMARK_INVALID);
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 0, 0, NULL, 1), TIDEMARK_INVALID);
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 0, 0, NULL, 0), TIDEMARK_OK);
    assert_int_equal(tidemark_ingestor_advance_watermark(NULL, 0, 0), TIDEMARK_INVALID);
    assert_int_equal(tidemark_ingestor_emit(NULL, see, NULL), TIDEMARK_INVALID);
    assert_int_equal(tidemark_ingestor_emit(ingestor, NULL, NULL), TIDEMARK_INVALID);
    assert_int_equal(tidemark_ingestor_destroy(NULL), TIDEMARK_OK);
    assert_int_equal(tidemark_ingestor_destroy(ingestor), TIDEMARK_OK);
}

static int call_back(const struct tidemark_window *window, void *context)
{
    struct tidemark_ingestor *ingestor = context;
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 0, 1000, "x", 1), TIDEMARK_BUSY);
    assert_int_equal(tidemark_ingestor_advance_watermark(ingestor, 0, 1000), TIDEMARK_BUSY);
    assert_int_equal(tidemark_ingestor_emit(ingestor, call_back, ingestor), TIDEMARK_BUSY);
    assert_int_equal(tidemark_ingestor_destroy(ingestor), TIDEMARK_BUSY);
    assert_true(tidemark_ingestor_watermark(ingestor) == 60);
    assert_true(tidemark_ingestor_used_bytes(ingestor) > 0);
    assert_int_equal(window->event_count, 1);
    assert_memory_equal(window->first->data, "a", 1);
    return 0;
}

static void a_callback_that_calls_back_is_told_busy(void **state)
{
    (void)state;
    struct tidemark_ingestor *ingestor = made(1, 60, NULL);
    put(ingestor, 0, 10, "a");
    advance(ingestor, 0, 60);
    assert_int_equal(tidemark_ingestor_emit(ingestor, call_back, ingestor), TIDEMARK_OK);
    advance(ingestor, 0, 61); /* and not after it */
    (void)tidemark_ingestor_destroy(ingestor);
}

static void the_memory_limit_refuses_and_emitting_makes_room(void **state)
{
    (void)state;
    const struct tidemark_options options = {.memory_limit_bytes = 65536};
    struct tidemark_ingestor *ingestor = made(1, 60, &options);
    uint64_t empty_bytes = tidemark_ingestor_used_bytes(ingestor);
    static char data[1000];
    uint64_t count = 0;
    enum tidemark_result result = TIDEMARK_OK;
    while (result == TIDEMARK_OK) {
        result = tidemark_ingestor_ingest(ingestor, 0, (int64_t)count, data, sizeof(data));
        count += result == TIDEMARK_OK;
        assert_true(tidemark_ingestor_used_bytes(ingestor) <= 65536);
    }
    assert_int_equal(result, TIDEMARK_FULL);
    assert_true(count >= 30);
    advance(ingestor, 0, 120);
    uint64_t windows = 0;
    assert_int_equal(tidemark_ingestor_emit(ingestor, count_only, &windows), TIDEMARK_OK);
    assert_int_equal(windows, 1);
    assert_true(tidemark_ingestor_used_bytes(ingestor) == empty_bytes);
    assert_int_equal(tidemark_ingestor_ingest(ingestor, 0, 120, data, sizeof(data)), TIDEMARK_OK);
    (void)tidemark_ingestor_destroy(ingestor);
}

static void every_result_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int a = TIDEMARK_INVALID; a <= TIDEMARK_MORE; a++) {
        assert_true(strlen(tidemark_error_text((enum tidemark_result)a)) > 0);
        for (int b = TIDEMARK_INVALID; b < a; b++) {
            assert_string_not_equal(tidemark_error_text((enum tidemark_result)a),
                                    tidemark_error_text((enum tidemark_result)b));
        }
    }
    assert_string_equal(tidemark_error_text(TIDEMARK_OK), "done");
    assert_true(strlen(tidemark_version()) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jump_from_0_to_121_emits_two_windows_and_keeps_the_third),
        cmocka_unit_test(the_slowest_partition_holds_all_windows_back),
        cmocka_unit_test(events_are_ordered_by_time_and_then_by_arrival),
        cmocka_unit_test(a_late_event_is_refused_and_changes_nothing),
        cmocka_unit_test(a_watermark_never_goes_back),
        cmocka_unit_test(empty_windows_are_skipped),
        cmocka_unit_test(empty_windows_are_reported_when_asked_for),
        cmocka_unit_test(reporting_begins_with_the_earliest_event_if_that_is_before_the_watermark),
        cmocka_unit_test(a_far_jump_reports_a_bounded_number_of_empty_windows_per_call),
        cmocka_unit_test(one_window_per_call_gives_the_oldest_first),
        cmocka_unit_test(a_callback_that_stops_has_had_its_window),
        cmocka_unit_test(times_below_zero_fall_into_the_window_below),
        cmocka_unit_test(extreme_times_overflow_nowhere),
        cmocka_unit_test(partitions_may_have_any_numbers),
        cmocka_unit_test(create_refuses_what_is_never_right),
        cmocka_unit_test(the_other_calls_refuse_null),
        cmocka_unit_test(a_callback_that_calls_back_is_told_busy),
        cmocka_unit_test(the_memory_limit_refuses_and_emitting_makes_room),
        cmocka_unit_test(every_result_has_a_text_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
