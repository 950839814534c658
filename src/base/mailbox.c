/* The ring behind base/mailbox.h.
 *
 *        tail                head
 *     ...  | x  x  x  x  x  x | .  .  .        x: owned by the consumer, '.': free for the producer
 *
 * head and tail count up for ever and wrap at 2^32; item i lives at items[i & mask]. The producer's
 * release store of head publishes the item before it, the consumer's release store of tail gives
 * the place back. The producer keeps the tail it saw last and looks again only when the ring seems
 * full, so that both sides seldom touch the other's cache line.
 *
 * Sleeping is in waker.c; what makes invariant 3 of the header true is told there. */
#include "base/mailbox.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

bool mailbox_init(struct mailbox *box, uint32_t capacity, struct waker *waker)
{
    CHECK(capacity > 0);
    CHECK((capacity & (capacity - 1)) == 0);
    CHECK(waker != NULL);
    memset(box, 0, sizeof(*box));
    box->items = calloc(capacity, sizeof(*box->items));
    if (box->items == NULL) {
        return false;
    }
    box->mask = capacity - 1;
    box->waker = waker;
    atomic_init(&box->head, 0);
    atomic_init(&box->tail, 0);
    return true;
}

void mailbox_deinit(struct mailbox *box)
{
    free(box->items);
    box->items = NULL;
}

bool mailbox_put(struct mailbox *box, void *item)
{
    CHECK(item != NULL);
    uint32_t head = atomic_load_explicit(&box->head, memory_order_relaxed);
    if (head - box->cached_tail > box->mask) {
        box->cached_tail = atomic_load_explicit(&box->tail, memory_order_acquire);
        CHECK(head - box->cached_tail <= box->mask + 1);
        if (head - box->cached_tail > box->mask) {
            /* Whoever retries must find a consumer that is awake. */
            mailbox_flush(box);
            return false;
        }
    }
    box->items[head & box->mask] = item;
    atomic_store_explicit(&box->head, head + 1, memory_order_release);
    box->unflushed++;
    return true;
}

void mailbox_flush(struct mailbox *box)
{
    if (box->unflushed > 0) {
        box->unflushed = 0;
        waker_wake(box->waker);
    }
}

void *mailbox_take(struct mailbox *box)
{
    uint32_t tail = atomic_load_explicit(&box->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&box->head, memory_order_acquire);
    if (head == tail) {
        return NULL;
    }
    CHECK(head - tail <= box->mask + 1);
    void *item = box->items[tail & box->mask];
    atomic_store_explicit(&box->tail, tail + 1, memory_order_release);
    return item;
}

bool mailbox_empty(const struct mailbox *box)
{
    uint32_t tail = atomic_load_explicit(&box->tail, memory_order_relaxed);
    return atomic_load_explicit(&box->head, memory_order_acquire) == tail;
}
