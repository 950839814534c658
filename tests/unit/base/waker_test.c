#include "support.h"

#include "base/mailbox.h"

#include <poll.h>
#include <pthread.h>

static int64_t now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool fd_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static void a_sleep_ends_at_its_timeout(void **state)
{
    (void)state;
    struct waker waker;
    assert_true(waker_open(&waker));
    int64_t begin = now_us();
    waker_prepare(&waker);
    waker_wait(&waker, 2000);
    waker_awake(&waker);
    assert_true(now_us() - begin >= 2000);
    waker_close(&waker);
}

static void a_wake_before_the_wait_is_not_lost(void **state)
{
    (void)state;
    struct waker waker;
    assert_true(waker_open(&waker));
    for (int i = 0; i < 10; i++) {
        waker_prepare(&waker);
        waker_wake(&waker);
        waker_wait(&waker, -1);
        waker_awake(&waker);
        assert_false(fd_readable(waker.event_fd));
    }
    waker_close(&waker);
}

static void who_is_awake_is_not_woken(void **state)
{
    (void)state;
    struct waker waker;
    assert_true(waker_open(&waker));
    waker_wake(&waker);
    assert_false(fd_readable(waker.event_fd));
    waker_prepare(&waker);
    waker_awake(&waker);
    waker_wake(&waker);
    assert_false(fd_readable(waker.event_fd));
    waker_close(&waker);
}

static void *wake_soon(void *argument)
{
    (void)usleep(500);
    waker_wake(argument);
    return NULL;
}

static void another_thread_ends_the_sleep(void **state)
{
    (void)state;
    struct waker waker;
    pthread_t thread;
    assert_true(waker_open(&waker));
    waker_prepare(&waker);
    assert_int_equal(pthread_create(&thread, NULL, wake_soon, &waker), 0);
    waker_wait(&waker, -1);
    waker_awake(&waker);
    assert_int_equal(pthread_join(thread, NULL), 0);
    waker_close(&waker);
}

static void closing_twice_is_harmless(void **state)
{
    (void)state;
    struct waker waker;
    assert_true(waker_open(&waker));
    waker_close(&waker);
    assert_int_equal(waker.event_fd, -1);
    waker_close(&waker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sleep_ends_at_its_timeout),
        cmocka_unit_test(a_wake_before_the_wait_is_not_lost),
        cmocka_unit_test(who_is_awake_is_not_woken),
        cmocka_unit_test(another_thread_ends_the_sleep),
        cmocka_unit_test(closing_twice_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
