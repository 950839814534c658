/* The calendar against a naive sorted list: whatever is added when, the least of all comes out. */
#include "../base/support.h"

#include "core/calendar.h"
#include "model/clock.h"

#define REGION_BYTES ((size_t)16 << 20)
#define NAIVE_MAX    4096

static struct calendar calendar;
static struct heap heap;
static void *region;

/* All items there are, sorted. */
static struct calendar_item naive[NAIVE_MAX];
static uint32_t naive_count;

static int open_heap(void **state)
{
    (void)state;
    region = aligned_alloc(64, REGION_BYTES);
    if (region == NULL) {
        return -1;
    }
    heap_init(&heap, region, REGION_BYTES);
    naive_count = 0;
    return 0;
}

static int close_heap(void **state)
{
    (void)state;
    free(region);
    return 0;
}

static int compare(struct calendar_item a, struct calendar_item b)
{
    if (a.time != b.time) {
        return a.time < b.time ? -1 : 1;
    }
    if (a.arming != b.arming) {
        return a.arming < b.arming ? -1 : 1;
    }
    return a.timer < b.timer ? -1 : a.timer > b.timer;
}

static void naive_add(struct calendar_item item)
{
    assert_true(naive_count < NAIVE_MAX);
    uint32_t at = naive_count++;
    for (; at > 0 && compare(item, naive[at - 1]) < 0; at--) {
        naive[at] = naive[at - 1];
    }
    naive[at] = item;
}

static void add_both(struct calendar_item item)
{
    naive_add(item);
    assert_true(calendar_add(&calendar, item));
}

/* Takes one out of both; false when both say that nothing is due. */
static bool take_both(int64_t until)
{
    struct calendar_item item;
    bool due = naive_count > 0 && naive[0].time <= until;
    assert_int_equal(calendar_take(&calendar, until, &item), due);
    if (due) {
        assert_int_equal(compare(item, naive[0]), 0);
        naive_count--;
        memmove(naive, naive + 1, naive_count * sizeof(naive[0]));
    }
    return due;
}

static void check_both(void)
{
    calendar_validate(&calendar);
    assert_int_equal(calendar.count, naive_count);
    assert_true(calendar_next_due(&calendar) == (naive_count > 0 ? naive[0].time : INT64_MAX));
}

/* A time as the round's kind has them: near and far, all over int64, or few different ones. */
static int64_t random_time(uint64_t *random, uint32_t kind, int64_t around)
{
    switch (kind % 4) {
    case 0:
        return time_add(around, (int64_t)(random_next(random) >> (1 + random_below(random, 63))));
    case 1:
        return (int64_t)random_next(random);
    case 2:
        return (int64_t)random_below(random, 5) * 100;
    default: {
        int64_t distance = (int64_t)(random_next(random) >> (1 + random_below(random, 63)));
        return time_add(around, random_below(random, 2) == 0 ? distance : -distance);
    }
    }
}

static void the_least_of_all_comes_out_whatever_was_added_when(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("against a sorted list");
    uint32_t rounds = is_long_run() ? 2000 : 200;
    for (uint32_t round = 0; round < rounds; round++) {
        int64_t around =
            round % 2 == 0 ? 1700000000 * US_PER_SECOND : (int64_t)random_next(&random);
        calendar_init(&calendar, &heap, around);
        uint32_t density = 1 + (uint32_t)random_below(&random, 200);
        uint32_t serial = 0;
        for (uint32_t step = 0; step < 60; step++) {
            uint32_t adds = (uint32_t)random_below(&random, density);
            for (uint32_t n = 0; n < adds && naive_count < NAIVE_MAX; n++) {
                add_both((struct calendar_item){
                    .time = random_time(&random, round / 2, around),
                    .timer = (uint32_t)random_below(&random, 3),
                    .arming = random_below(&random, 2) == 0 ? serial++
                                                            : (uint32_t)random_below(&random, 9)});
            }
            check_both();
            around = random_time(&random, round / 2, around);
            for (uint64_t n = random_below(&random, density); n > 0 && take_both(around); n--) {
                /* Now and then something comes in between, as an extended timer does. */
                if (random_below(&random, 4) == 0 && naive_count < NAIVE_MAX) {
                    add_both((struct calendar_item){.time = random_time(&random, round / 2, around),
                                                    .arming = serial++});
                }
            }
            check_both();
        }
        while (take_both(INT64_MAX)) {
        }
        check_both();
        calendar_clear(&calendar);
        assert_int_equal(heap.used_bytes, 0);
    }
}

static void times_at_the_ends_of_int64_are_times_like_others(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MAX, INT64_MIN, -1, 0, 1, INT64_MAX - 1, INT64_MIN + 1};
    for (uint32_t start = 0; start < 7; start++) {
        calendar_init(&calendar, &heap, times[start]);
        assert_false(take_both(INT64_MAX));
        for (uint32_t n = 0; n < 14; n++) {
            add_both((struct calendar_item){.time = times[n % 7], .arming = n});
            check_both();
        }
        assert_true(take_both(INT64_MIN));
        assert_true(take_both(INT64_MIN));
        assert_false(take_both(INT64_MIN));
        while (take_both(INT64_MAX - 1)) {
            check_both();
        }
        assert_int_equal(naive_count, 2);
        /* Everything may be at its end; earlier ones still come first. */
        assert_true(take_both(INT64_MAX));
        add_both((struct calendar_item){.time = INT64_MAX, .arming = 1});
        add_both((struct calendar_item){.time = INT64_MIN, .arming = 2});
        check_both();
        while (take_both(INT64_MAX)) {
        }
        check_both();
        assert_int_equal(naive_count, 0);
        calendar_clear(&calendar);
    }
}

static void nothing_comes_out_before_its_time(void **state)
{
    (void)state;
    calendar_init(&calendar, &heap, 0);
    for (int64_t distance = 1; distance > 0 && distance < INT64_MAX / 3; distance *= 3) {
        struct calendar_item item;
        assert_true(calendar_add(&calendar, (struct calendar_item){.time = distance}));
        assert_false(calendar_take(&calendar, distance - 1, &item));
        assert_true(calendar_next_due(&calendar) == distance);
        assert_true(calendar_take(&calendar, distance, &item));
        assert_true(item.time == distance);
        assert_true(calendar_next_due(&calendar) == INT64_MAX);
        calendar_validate(&calendar);
    }
}

#define CROWD 100000

/* As many timers for the same microsecond as a round deadline has, in any order of arming. */
static void equal_times_come_out_by_arming_whatever_the_crowd(void **state)
{
    (void)state;
    static uint32_t armings[CROWD];
    uint64_t random = seed_of_run("a crowd");
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t n = 0; n < CROWD; n++) {
            armings[n] = n;
        }
        for (uint32_t n = CROWD - 1; n > 0 && round > 0; n--) {
            uint32_t other = (uint32_t)random_below(&random, n + 1);
            uint32_t kept = armings[n];
            armings[n] = armings[other];
            armings[other] = kept;
        }
        /* In the last round all of them are near from the beginning. */
        calendar_init(&calendar, &heap, round == 2 ? 1000 : 0);
        for (uint32_t n = 0; n < CROWD; n++) {
            assert_true(calendar_add(
                &calendar, (struct calendar_item){.time = 1000, .timer = n, .arming = armings[n]}));
        }
        for (uint32_t n = 0; n < CROWD; n++) {
            struct calendar_item item;
            assert_true(calendar_take(&calendar, 1000, &item));
            assert_int_equal(item.arming, n);
            assert_int_equal(armings[item.timer], n);
            if (n % 10000 == 0) {
                calendar_validate(&calendar);
            }
        }
        assert_int_equal(calendar.count, 0);
        calendar_clear(&calendar);
    }
}

/* A timer that was extended is added again while others are taken. */
static void items_added_between_two_takes_are_seen_at_once(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("between takes");
    calendar_init(&calendar, &heap, 0);
    for (uint32_t n = 0; n < 2000; n++) {
        add_both(
            (struct calendar_item){.time = (int64_t)random_below(&random, 100000), .timer = n});
    }
    for (uint32_t n = 0; n < 20000; n++) {
        int64_t now = naive[0].time;
        assert_true(take_both(INT64_MAX));
        int64_t apart = (int64_t)random_below(&random, n % 3 == 0 ? 10 : 100000);
        add_both((struct calendar_item){.time = n % 7 == 0 ? now - apart : now + apart,
                                        .timer = n,
                                        .arming = (uint32_t)random_below(&random, 4)});
        if (n % 1000 == 0) {
            check_both();
        }
    }
    assert_int_equal(naive_count, 2000);
}

/* What is near may be all there is, and large: a backlog of deadlines that have passed. */
static void a_backlog_of_the_past_comes_out_in_order(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("a backlog");
    calendar_init(&calendar, &heap, INT64_MAX);
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t n = 0; n < 100; n++) {
            add_both((struct calendar_item){
                .time = (int64_t)random_below(&random, 1000000), .timer = n, .arming = round});
        }
        check_both();
        for (uint32_t n = 0; n < 30; n++) {
            assert_true(take_both(INT64_MAX));
            add_both((struct calendar_item){.time = naive[0].time + n, .timer = n, .arming = n});
            assert_true(take_both(INT64_MAX));
        }
        check_both();
        assert_true(calendar.run_count < 16);
    }
}

/* --- no memory --- */

static void without_memory_nothing_is_added_and_nothing_changes(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("no memory");
    for (size_t limit = 0; limit < 16384; limit += 256) {
        struct heap own;
        heap_init(&own, region, limit);
        calendar_init(&calendar, &own, 0);
        naive_count = 0;
        uint32_t refused = 0;
        for (uint32_t n = 0; n < 1500; n++) {
            struct calendar_item item = {.time = (int64_t)random_below(&random, 1 << 20),
                                         .timer = n};
            if (random_below(&random, 3) == 0) {
                (void)take_both((int64_t)random_below(&random, 1 << 19));
            } else if (calendar_add(&calendar, item)) {
                naive_add(item);
            } else {
                refused++;
            }
            check_both();
        }
        assert_true(refused > 0 || limit >= 8192);
        while (take_both(INT64_MAX)) {
            check_both();
        }
        calendar_clear(&calendar);
        assert_int_equal(own.used_bytes, 0);
        heap_validate(&own);
    }
}

/* Whatever is left of the memory, down to nothing, what is in comes out. */
static void taking_needs_no_memory(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("taking without memory");
    for (uint32_t left = 0; left < 140; left += 1 + left / 16) {
        for (uint32_t kind = 0; kind < 4; kind++) {
            struct heap own;
            heap_init(&own, region, (size_t)1 << 20);
            calendar_init(&calendar, &own, 0);
            for (uint32_t n = 0; n < 3000; n++) {
                add_both((struct calendar_item){
                    .time = random_time(&random, kind, 1000), .timer = n, .arming = n % 13});
            }
            static void *blocks[4096];
            uint32_t count = 0;
            while ((blocks[count] = heap_alloc(&own, CALENDAR_CHUNK_BYTES)) != NULL) {
                count++;
            }
            assert_true(count > left);
            for (uint32_t n = 0; n < left; n++) {
                heap_free(&own, blocks[--count], CALENDAR_CHUNK_BYTES);
            }
            while (take_both(INT64_MAX)) {
                if (naive_count % 100 == 0) {
                    check_both();
                }
                /* What comes free is wanted by others. */
                blocks[count] = left % 2 == 0 ? heap_alloc(&own, CALENDAR_CHUNK_BYTES) : NULL;
                count += blocks[count] != NULL;
            }
            assert_int_equal(calendar.count, 0);
            assert_int_equal(naive_count, 0);
        }
    }
}

/* --- the rest --- */

static void a_cleared_calendar_is_empty_and_goes_on(void **state)
{
    (void)state;
    struct calendar_item item;
    calendar_init(&calendar, &heap, 0);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t n = 0; n < 1000; n++) {
            assert_true(calendar_add(
                &calendar, (struct calendar_item){.time = (int64_t)n * n * n * 1000, .timer = n}));
        }
        for (uint32_t n = 0; n < 10; n++) {
            assert_true(calendar_take(&calendar, INT64_MAX, &item));
        }
        assert_true(calendar_add(&calendar, (struct calendar_item){.time = -1}));
        calendar_clear(&calendar);
        calendar_validate(&calendar);
        assert_int_equal(calendar.count, 0);
        assert_int_equal(heap.used_bytes, 0);
        assert_false(calendar_take(&calendar, INT64_MAX, &item));
        assert_true(calendar_next_due(&calendar) == INT64_MAX);
    }
    heap_validate(&heap);
}

static void an_item_costs_little_more_than_its_16_bytes(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("memory");
    calendar_init(&calendar, &heap, 0);
    for (uint32_t n = 0; n < 500000; n++) {
        assert_true(
            calendar_add(&calendar,
                         (struct calendar_item){.time = (int64_t)random_below(&random, US_PER_HOUR),
                                                .timer = n}));
    }
    uint64_t before = calendar.chunks;
    assert_true(before * CALENDAR_CHUNK_BYTES < 500000 * 17);
    assert_int_equal(heap.used_bytes, before * CALENDAR_CHUNK_BYTES);
    struct calendar_item item;
    uint64_t taken = 0;
    while (calendar_take(&calendar, US_PER_HOUR, &item)) {
        taken++;
        /* At any time no more than a chunk begun in each bucket is added to that. */
        assert_true(calendar.chunks <= before + 64 * 6);
    }
    assert_int_equal(taken, 500000);
    assert_true(calendar.chunks <= 2);
}

static void fill_a_little(void)
{
    calendar_init(&calendar, &heap, 0);
    for (uint32_t n = 0; n < 100; n++) {
        assert_true(calendar_add(&calendar, (struct calendar_item){.time = 1000 + n}));
    }
    struct calendar_item item;
    assert_true(calendar_take(&calendar, 1000, &item));
}

static void miscounted(void)
{
    fill_a_little();
    calendar.count++;
    calendar_validate(&calendar);
}

static void misplaced(void)
{
    fill_a_little();
    calendar.origin += 70; /* behind some of what is far */
    calendar_validate(&calendar);
}

static void unmarked(void)
{
    fill_a_little();
    memset(calendar.occupied, 0, sizeof(calendar.occupied));
    calendar_validate(&calendar);
}

static void leaked(void)
{
    fill_a_little();
    calendar.chunks++;
    calendar_validate(&calendar);
}

static void validation_sees_what_is_wrong(void **state)
{
    (void)state;
    fill_a_little();
    calendar_validate(&calendar);
    calendar_clear(&calendar);
    assert_true(dies(miscounted));
    assert_true(dies(misplaced));
    assert_true(dies(unmarked));
    assert_true(dies(leaked));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_least_of_all_comes_out_whatever_was_added_when, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            times_at_the_ends_of_int64_are_times_like_others, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(nothing_comes_out_before_its_time, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            equal_times_come_out_by_arming_whatever_the_crowd, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            items_added_between_two_takes_are_seen_at_once, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_backlog_of_the_past_comes_out_in_order, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            without_memory_nothing_is_added_and_nothing_changes, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(taking_needs_no_memory, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_cleared_calendar_is_empty_and_goes_on, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            an_item_costs_little_more_than_its_16_bytes, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(validation_sees_what_is_wrong, open_heap, close_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
