/* A bounded single-producer, single-consumer ring of pointers: the only place where threads meet.
 *
 * The producer puts any number of items, then flushes once; only the flush wakes the consumer, and
 * only if it sleeps. Waking goes through a wake function, so that a consumer that sleeps in epoll
 * and one that sleeps on a futex are the same to the producer.
 *
 * Invariants:
 *  1. head - tail <= capacity; both only grow.
 *  2. An item is owned by the producer until mailbox_put returns true, then by the consumer.
 *  3. If an item was flushed, a consumer about to sleep either sees it or is woken. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One per consumer thread: what its producers wake. */
struct waker {
    _Atomic uint32_t sleeping; /* 1 while the consumer is about to sleep or sleeps */
    int event_fd;              /* written to wake; the consumer polls or reads it */
};

struct mailbox {
    void **items; /* capacity is a power of two */
    uint32_t mask;
    struct waker *waker;
    uint32_t unflushed;                 /* producer only */
    uint32_t cached_tail;               /* producer only */
    _Alignas(64) _Atomic uint32_t head; /* written by the producer */
    _Alignas(64) _Atomic uint32_t tail; /* written by the consumer */
};

/* Opens the event fd; false when the system has none left. */
bool waker_open(struct waker *waker);
void waker_close(struct waker *waker);

/* Consumer: announce sleep. After it, look into all mailboxes once more, and only when all are
 * empty block until event_fd is readable (or a deadline). waker_awake() ends it and drains the fd.
 */
void waker_prepare(struct waker *waker);
void waker_awake(struct waker *waker);

/* Consumer: prepare must have been called. Blocks until woken or timeout_us passed (-1: no end). */
void waker_wait(struct waker *waker, int64_t timeout_us);

/* Any thread: wakes the consumer if it sleeps. */
void waker_wake(struct waker *waker);

/* capacity: a power of two. The waker is borrowed for the mailbox's life. */
bool mailbox_init(struct mailbox *box, uint32_t capacity, struct waker *waker);
void mailbox_deinit(struct mailbox *box);

/* Producer: false when full (nothing happened). */
bool mailbox_put(struct mailbox *box, void *item);
void mailbox_flush(struct mailbox *box);

/* Consumer: NULL when empty. */
void *mailbox_take(struct mailbox *box);
bool mailbox_empty(const struct mailbox *box);
