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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_least_of_all_comes_out_whatever_was_added_when, open_heap, close_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
