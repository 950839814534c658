/* Sleeping without lost wake-ups.
 *
 *     consumer                          producer
 *     --------                          --------
 *     sleeping := 1   (exchange)        publish the item
 *     look into every mailbox           old := sleeping, sleeping := 0   (exchange)
 *     all empty: poll(event_fd)         old == 1: write(event_fd)
 *     sleeping := 0   (exchange), drain
 *
 * Invariants:
 *  1. `sleeping` is only touched by exchanges with acquire and release order, so any two of them
 * are ordered, and the later one sees all that was written before the earlier one.
 *  2. If the producer's exchange comes first, the consumer's look that follows sees the item. If
 * the consumer's comes first, the producer reads 1 and writes. There is no third case.
 *  3. The event fd may be readable without need (a producer that writes after the drain). That
 * costs one turn of the consumer's loop and nothing else. */
#include "base/mailbox.h"

#include "base/check.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

bool waker_open(struct waker *waker)
{
    atomic_init(&waker->sleeping, 0);
    waker->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return waker->event_fd >= 0;
}

void waker_close(struct waker *waker)
{
    if (waker->event_fd >= 0) {
        (void)close(waker->event_fd);
    }
    waker->event_fd = -1;
}

void waker_prepare(struct waker *waker)
{
    (void)atomic_exchange_explicit(&waker->sleeping, 1, memory_order_acq_rel);
}

void waker_awake(struct waker *waker)
{
    (void)atomic_exchange_explicit(&waker->sleeping, 0, memory_order_acq_rel);
    uint64_t count = 0;
    ssize_t got = 0;
    do {
        got = read(waker->event_fd, &count, sizeof(count));
    } while (got < 0 && errno == EINTR);
    /* One read takes the whole count; EAGAIN: nobody had written. */
    CHECK(got == (ssize_t)sizeof(count) || errno == EAGAIN);
}

void waker_wait(struct waker *waker, int64_t timeout_us)
{
    CHECK(timeout_us >= -1);
    struct pollfd poll_fd = {.fd = waker->event_fd, .events = POLLIN};
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_us / 1000000),
        .tv_nsec = (long)(timeout_us % 1000000) * 1000,
    };
    /* A signal ends the sleep early: the caller looks and sleeps again. */
    int ready = ppoll(&poll_fd, 1, timeout_us < 0 ? NULL : &timeout, NULL);
    CHECK(ready >= 0 || errno == EINTR);
}

void waker_wake(struct waker *waker)
{
    if (atomic_exchange_explicit(&waker->sleeping, 0, memory_order_acq_rel) == 0) {
        return;
    }
    uint64_t one = 1;
    ssize_t put = 0;
    do {
        put = write(waker->event_fd, &one, sizeof(one));
    } while (put < 0 && errno == EINTR);
    /* EAGAIN: the count is at its maximum, so the fd is readable already. */
    CHECK(put == (ssize_t)sizeof(one) || errno == EAGAIN);
}
