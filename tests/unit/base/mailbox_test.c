#include "support.h"

#include "base/mailbox.h"

#include <poll.h>
#include <pthread.h>

static bool fd_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static void items_leave_in_the_order_they_came(void **state)
{
    (void)state;
    struct waker waker;
    struct mailbox box;
    int items[4];
    assert_true(waker_open(&waker));
    assert_true(mailbox_init(&box, 4, &waker));
    assert_null(mailbox_take(&box));
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3; i++) {
            assert_true(mailbox_put(&box, &items[i]));
        }
        assert_false(mailbox_empty(&box));
        for (int i = 0; i < 3; i++) {
            assert_ptr_equal(mailbox_take(&box), &items[i]);
        }
        assert_true(mailbox_empty(&box));
    }
    mailbox_deinit(&box);
    waker_close(&waker);
}

static void a_full_box_refuses_and_takes_again_after_a_take(void **state)
{
    (void)state;
    struct waker waker;
    struct mailbox box;
    int item = 0;
    assert_true(waker_open(&waker));
    assert_true(mailbox_init(&box, 2, &waker));
    /* Also across the wrap of the counters. */
    atomic_store(&box.head, UINT32_MAX - 1);
    atomic_store(&box.tail, UINT32_MAX - 1);
    box.cached_tail = UINT32_MAX - 1;
    for (int round = 0; round < 5; round++) {
        assert_true(mailbox_put(&box, &item));
        assert_true(mailbox_put(&box, &item));
        assert_false(mailbox_put(&box, &item));
        assert_non_null(mailbox_take(&box));
        assert_true(mailbox_put(&box, &item));
        assert_non_null(mailbox_take(&box));
        assert_non_null(mailbox_take(&box));
        assert_null(mailbox_take(&box));
    }
    mailbox_deinit(&box);
    waker_close(&waker);
}

static void only_a_flush_wakes_and_only_a_sleeper(void **state)
{
    (void)state;
    struct waker waker;
    struct mailbox box;
    int item = 0;
    assert_true(waker_open(&waker));
    assert_true(mailbox_init(&box, 8, &waker));
    assert_true(mailbox_put(&box, &item));
    mailbox_flush(&box);
    assert_false(fd_readable(waker.event_fd)); /* nobody slept */
    waker_prepare(&waker);
    assert_true(mailbox_put(&box, &item));
    assert_false(fd_readable(waker.event_fd)); /* not flushed */
    mailbox_flush(&box);
    assert_true(fd_readable(waker.event_fd));
    waker_awake(&waker);
    assert_false(fd_readable(waker.event_fd));
    waker_prepare(&waker);
    mailbox_flush(&box); /* nothing new */
    assert_false(fd_readable(waker.event_fd));
    waker_awake(&waker);
    mailbox_deinit(&box);
    waker_close(&waker);
}

static void a_full_box_wakes_who_could_empty_it(void **state)
{
    (void)state;
    struct waker waker;
    struct mailbox box;
    int item = 0;
    assert_true(waker_open(&waker));
    assert_true(mailbox_init(&box, 1, &waker));
    waker_prepare(&waker);
    assert_true(mailbox_put(&box, &item));
    assert_false(mailbox_put(&box, &item));
    assert_true(fd_readable(waker.event_fd));
    mailbox_deinit(&box);
    waker_close(&waker);
}

enum { PRODUCERS = 3, ITEMS = 20000 };

struct producer {
    struct mailbox box;
    uint64_t seed;
    uintptr_t items[ITEMS];
};

static void *produce(void *argument)
{
    struct producer *producer = argument;
    uint64_t random = producer->seed;
    for (size_t i = 0; i < ITEMS; i++) {
        while (!mailbox_put(&producer->box, &producer->items[i])) {
            (void)sched_yield();
        }
        if (random_below(&random, 4) == 0) {
            mailbox_flush(&producer->box);
        }
        if (random_below(&random, 1000) == 0) {
            (void)usleep(50); /* lets the consumer fall asleep */
        }
    }
    mailbox_flush(&producer->box);
    return NULL;
}

/* Takes all that is there; the items of one producer must come in order. */
static size_t drain(struct producer *producer, size_t *next)
{
    size_t taken = 0;
    for (uintptr_t *item = mailbox_take(&producer->box); item != NULL;
         item = mailbox_take(&producer->box)) {
        assert_ptr_equal(item, &producer->items[*next]);
        (*next)++;
        taken++;
    }
    return taken;
}

static void nothing_is_lost_between_threads_and_no_wake_up_either(void **state)
{
    (void)state;
    struct waker waker;
    static struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    uint64_t seed = seed_of_run("mailbox");
    size_t next[PRODUCERS] = {0};
    assert_true(waker_open(&waker));
    for (size_t i = 0; i < PRODUCERS; i++) {
        producers[i].seed = seed + i;
        assert_true(mailbox_init(&producers[i].box, 16, &waker));
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    size_t total = 0;
    while (total < (size_t)PRODUCERS * ITEMS) {
        size_t taken = 0;
        for (size_t i = 0; i < PRODUCERS; i++) {
            taken += drain(&producers[i], &next[i]);
        }
        total += taken;
        if (taken > 0) {
            continue;
        }
        waker_prepare(&waker);
        bool empty = true;
        for (size_t i = 0; i < PRODUCERS; i++) {
            empty = empty && mailbox_empty(&producers[i].box);
        }
        if (empty) {
            waker_wait(&waker, -1); /* a lost wake-up would hang here */
        }
        waker_awake(&waker);
    }
    for (size_t i = 0; i < PRODUCERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(next[i], ITEMS);
        mailbox_deinit(&producers[i].box);
    }
    waker_close(&waker);
}

static void init_with_odd_capacity(void)
{
    struct waker waker = {.event_fd = -1};
    struct mailbox box;
    (void)mailbox_init(&box, 3, &waker);
}

static void a_capacity_that_is_no_power_of_two_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(init_with_odd_capacity));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_leave_in_the_order_they_came),
        cmocka_unit_test(a_full_box_refuses_and_takes_again_after_a_take),
        cmocka_unit_test(only_a_flush_wakes_and_only_a_sleeper),
        cmocka_unit_test(a_full_box_wakes_who_could_empty_it),
        cmocka_unit_test(nothing_is_lost_between_threads_and_no_wake_up_either),
        cmocka_unit_test(a_capacity_that_is_no_power_of_two_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
