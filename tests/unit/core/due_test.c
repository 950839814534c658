/* Timers by time: in order, moved, taken out of the middle, at equal times, and without memory. */
#include "../base/support.h"

#include "core/due.h"

#define TIMERS_MAX 500

struct timer {
    struct due_node node;
    uint32_t number;
    int64_t time;
    bool in;
};

static uint8_t region[1 << 20] __attribute__((aligned(64)));
static struct heap heap;
static struct due due;
static struct timer timers[TIMERS_MAX];

static int by_number(const struct due_node *a, const struct due_node *b)
{
    const struct timer *left = (const struct timer *)(const void *)a;
    const struct timer *right = (const struct timer *)(const void *)b;
    return left->number < right->number ? -1 : left->number > right->number;
}

static void start(size_t bytes)
{
    heap_init(&heap, region, bytes);
    due_init(&due, &heap, by_number);
    memset(timers, 0, sizeof(timers));
    for (uint32_t n = 0; n < TIMERS_MAX; n++) {
        timers[n].number = n;
    }
}

static void add(uint32_t n, int64_t time)
{
    assert_true(due_reserve(&due));
    due_add(&due, &timers[n].node, time);
    timers[n].time = time;
    timers[n].in = true;
}

static struct timer *least(void)
{
    struct timer *first = NULL;
    for (uint32_t n = 0; n < TIMERS_MAX; n++) {
        bool earlier = timers[n].in && (first == NULL || timers[n].time < first->time);
        first = earlier ? &timers[n] : first;
    }
    return first;
}

static void of_equal_times_the_owner_says_which_comes_first(void **state)
{
    (void)state;
    start(sizeof(region));
    add(7, 5);
    add(3, 5);
    add(9, 4);
    add(1, 5);
    static const uint32_t order[] = {9, 1, 3, 7};
    for (uint32_t n = 0; n < 4; n++) {
        struct due_node *first = due_first(&due);
        assert_ptr_equal(first, &timers[order[n]].node);
        assert_true(due_time(&due) == timers[order[n]].time);
        due_remove(&due, first);
        assert_int_equal(first->at, 0);
    }
    assert_null(due_first(&due));
    assert_true(due_time(&due) == INT64_MAX);
    due_deinit(&due);
    assert_int_equal(heap.used_bytes, 0);
}

static void any_sequence_agrees_with_a_list(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("due_test");
    start(sizeof(region));
    uint32_t steps = is_long_run() ? 200000 : 10000;
    for (uint32_t step = 0; step < steps; step++) {
        struct timer *timer = &timers[random_below(&random, TIMERS_MAX)];
        int64_t time = (int64_t)random_below(&random, 100) - 50;
        if (!timer->in) {
            add(timer->number, time);
        } else if (random_below(&random, 2) == 0) {
            due_move(&due, &timer->node, time);
            timer->time = time;
        } else {
            struct timer *gone = random_below(&random, 2) == 0 ? timer : least();
            due_remove(&due, &gone->node);
            gone->in = false;
        }
        if (step % 16 == 0) {
            due_validate(&due);
        }
        struct timer *first = least();
        assert_ptr_equal(due_first(&due), first == NULL ? NULL : &first->node);
    }
}

/* A heap of four in its plainest form, by numbers of timers: what sinks stops where it belongs. */
struct plain {
    uint32_t numbers[TIMERS_MAX];
    uint32_t count;
};

static bool plainly_before(uint32_t a, uint32_t b)
{
    return timers[a].time < timers[b].time || (timers[a].time == timers[b].time && a < b);
}

static void plain_place(struct plain *plain, uint32_t at, uint32_t number)
{
    while (at > 0 && plainly_before(number, plain->numbers[(at - 1) / 4])) {
        plain->numbers[at] = plain->numbers[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    for (;;) {
        uint32_t least = at * 4 + 1;
        for (uint32_t n = least; n < plain->count && n < at * 4 + 5; n++) {
            least = plainly_before(plain->numbers[n], plain->numbers[least]) ? n : least;
        }
        if (least >= plain->count || !plainly_before(plain->numbers[least], number)) {
            break;
        }
        plain->numbers[at] = plain->numbers[least];
        at = least;
    }
    plain->numbers[at] = number;
}

static void plain_remove(struct plain *plain, uint32_t number)
{
    uint32_t at = 0;
    while (plain->numbers[at] != number) {
        at++;
    }
    uint32_t last = plain->numbers[--plain->count];
    if (at < plain->count) {
        plain_place(plain, at, last);
    }
}

static void entries_stand_where_a_plain_heap_has_them_since_owners_save_them_so(void **state)
{
    (void)state;
    struct plain plain = {.count = 0};
    uint64_t random = seed_of_run("due_test");
    start(sizeof(region));
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t number = (uint32_t)random_below(&random, TIMERS_MAX);
        bool first = plain.count > 0 && random_below(&random, 3) == 0;
        number = first ? plain.numbers[0] : number;
        if (timers[number].in) {
            due_remove(&due, &timers[number].node);
            timers[number].in = false;
            plain_remove(&plain, number);
        } else {
            add(number, (int64_t)random_below(&random, 300));
            plain_place(&plain, plain.count++, number);
        }
        assert_int_equal(due.count, plain.count);
        for (uint32_t n = 0; n < plain.count; n++) {
            assert_ptr_equal(due.entries[n].node, &timers[plain.numbers[n]].node);
        }
    }
}

static void without_memory_nothing_is_reserved_and_nothing_lost(void **state)
{
    (void)state;
    start(1024); /* blocks of 16 and 32 entries, but none of 64; three of each lead */
    uint32_t count = 0;
    while (due_reserve(&due)) {
        add(count, (int64_t)count);
        count++;
    }
    assert_int_equal(count, 29);
    due_validate(&due);
    assert_int_equal(due.count, count);
    assert_true(due_time(&due) == 0);
}

static struct timer twice;

static void add_twice(void)
{
    add(0, 1);
    due_add(&due, &timers[0].node, 2);
}

static void remove_what_is_not_in(void)
{
    due_remove(&due, &twice.node);
}

static void misuse_is_a_failed_check(void **state)
{
    (void)state;
    start(sizeof(region));
    assert_true(dies(add_twice));
    assert_true(dies(remove_what_is_not_in));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_equal_times_the_owner_says_which_comes_first),
        cmocka_unit_test(any_sequence_agrees_with_a_list),
        cmocka_unit_test(entries_stand_where_a_plain_heap_has_them_since_owners_save_them_so),
        cmocka_unit_test(without_memory_nothing_is_reserved_and_nothing_lost),
        cmocka_unit_test(misuse_is_a_failed_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
