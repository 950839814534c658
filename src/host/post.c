/* The post: see post.h. Each box has one sender and one receiver, so no lock is needed. */
#include "host/post.h"

#include "base/check.h"

#include <stdlib.h>

static struct mailbox *box(struct post *post, uint32_t from, uint32_t to)
{
    CHECK(from < post->address_count);
    CHECK(to < post->address_count);
    return &post->boxes[from * post->address_count + to];
}

bool post_init(struct post *post, uint32_t runner_count, uint32_t network_count)
{
    CHECK(runner_count >= 1 && runner_count <= RUNNERS_MAX);
    CHECK(network_count <= RUNNERS_MAX);
    *post = (struct post){
        .runner_count = runner_count,
        .network_count = network_count,
        .address_count = POST_RUNNERS + runner_count + network_count,
    };
    uint32_t count = post->address_count;
    post->boxes = aligned_alloc(64, (size_t)count * count * sizeof(struct mailbox));
    if (post->boxes == NULL) {
        return false;
    }
    for (uint32_t n = 0; n < count; n++) {
        if (!waker_open(&post->wakers[n])) {
            return false;
        }
    }
    for (uint32_t from = 0; from < count; from++) {
        for (uint32_t to = 0; to < count; to++) {
            if (!mailbox_init(box(post, from, to), POST_LETTERS_MAX, &post->wakers[to])) {
                return false;
            }
        }
    }
    return true;
}

void post_deinit(struct post *post)
{
    for (uint32_t n = 0; n < post->address_count * post->address_count; n++) {
        mailbox_deinit(&post->boxes[n]);
    }
    for (uint32_t n = 0; n < post->address_count; n++) {
        waker_close(&post->wakers[n]);
    }
    free(post->boxes);
}

static void put(struct post *post, uint32_t from, uint32_t to, struct letter *letter)
{
    bool taken = mailbox_put(box(post, from, to), letter);
    CHECK(taken);
}

void post_send(struct post *post, uint32_t from, uint32_t to, struct letter *letter)
{
    if (letter->from != from) { /* a letter to several threads is written by none of its sends */
        letter->from = from;
    }
    put(post, from, to, letter);
}

void post_return(struct post *post, uint32_t from, struct letter *letter)
{
    put(post, from, letter->from, letter);
}

void post_flush(struct post *post, uint32_t from)
{
    for (uint32_t to = 0; to < post->address_count; to++) {
        mailbox_flush(box(post, from, to));
    }
}

struct letter *post_take(struct post *post, uint32_t address)
{
    for (uint32_t from = 0; from < post->address_count; from++) {
        struct letter *letter = mailbox_take(box(post, from, address));
        if (letter != NULL) {
            return letter;
        }
    }
    return NULL;
}

void post_tell_feed(struct post *post, uint64_t pulse_ordinal, bool grew)
{
    /* Each runner exchanges here when it has passed the pulse, so of two the later one sees what the
     * earlier one said. */
    uint64_t last = atomic_fetch_add_explicit(&post->feed_pulse, 0, memory_order_acq_rel);
    while (
        grew && last < pulse_ordinal &&
        !atomic_compare_exchange_weak_explicit(
            &post->feed_pulse, &last, pulse_ordinal, memory_order_acq_rel, memory_order_acquire)) {
    }
    if (!grew && last < pulse_ordinal) {
        return;
    }
    for (uint32_t thread = 0; thread < post->network_count; thread++) {
        uint32_t address = post_network(post, thread);
        atomic_store_explicit(&post->feed_grown[address], true, memory_order_release);
        waker_wake(&post->wakers[address]);
    }
}

bool post_feed_grown(struct post *post, uint32_t address)
{
    return atomic_load_explicit(&post->feed_grown[address], memory_order_relaxed) &&
           atomic_exchange_explicit(&post->feed_grown[address], false, memory_order_acquire);
}

void post_tell_refusal(struct post *post)
{
    atomic_store_explicit(&post->refusal, true, memory_order_release);
}

bool post_refused(struct post *post)
{
    return atomic_load_explicit(&post->refusal, memory_order_relaxed) &&
           atomic_exchange_explicit(&post->refusal, false, memory_order_acquire);
}

bool post_waiting(struct post *post, uint32_t address)
{
    if (atomic_load_explicit(&post->feed_grown[address], memory_order_acquire)) {
        return true;
    }
    for (uint32_t from = 0; from < post->address_count; from++) {
        if (!mailbox_empty(box(post, from, address))) {
            return true;
        }
    }
    return false;
}
