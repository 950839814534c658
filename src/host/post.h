/* The post: a mailbox from every thread to every other, and a waker for each.
 *
 *   addresses:  0 sequencer | 1 librarian | 2.. runners | then network threads
 *
 * Every box is large enough for all letters that can be under way (each kind is bounded at its
 * source), so sending never fails. */
#pragma once

#include "base/mailbox.h"
#include "host/letter.h"

#define POST_SEQUENCER   0
#define POST_LIBRARIAN   1
#define POST_RUNNERS     2
#define POST_MAX         (POST_RUNNERS + 2 * RUNNERS_MAX)
#define POST_LETTERS_MAX 8192 /* per box */

struct post {
    uint32_t runner_count;
    uint32_t network_count;
    uint32_t address_count;
    struct waker wakers[POST_MAX];
    struct mailbox *boxes;             /* [from * address_count + to] */
    _Atomic bool refusal;              /* since the sequencer looked last */
    _Atomic uint64_t feed_pulse;       /* the last at which the feed grew on any runner */
    _Atomic bool feed_grown[POST_MAX]; /* since this network thread looked last */
};

/* False when the system has no memory or descriptors left. */
bool post_init(struct post *post, uint32_t runner_count, uint32_t network_count);
void post_deinit(struct post *post);

static inline uint32_t post_runner(uint32_t runner)
{
    return POST_RUNNERS + runner;
}

static inline uint32_t post_network(const struct post *post, uint32_t thread)
{
    return POST_RUNNERS + post->runner_count + thread;
}

/* Hands a letter over; it wakes nobody before post_flush. A question: `from` is noted in it. */
void post_send(struct post *post, uint32_t from, uint32_t to, struct letter *letter);

/* The same without touching letter->from: an answer on its way back. */
void post_return(struct post *post, uint32_t from, struct letter *letter);

void post_flush(struct post *post, uint32_t from);

/* The next letter for this address, from any sender in turn; NULL when there is none. */
struct letter *post_take(struct post *post, uint32_t address);
bool post_waiting(struct post *post, uint32_t address);

/* A runner has passed this pulse, and its part of the feed grew there or not. Once each runner on which
 * it grew, and the last one of all, have passed it, the network threads are told and those that sleep
 * are woken: whoever asks all runners then gets all. No letter: however often it is told before somebody
 * looks, there is one thing to know. */
void post_tell_feed(struct post *post, uint64_t pulse_ordinal, bool grew);

/* True once after it was told. As long as it waits to be asked, post_waiting is true. */
bool post_feed_grown(struct post *post, uint32_t address);

/* A network thread turned somebody away who may have had an event to tell: until the sequencer knows
 * more, silence proves nothing. It sees this at its next turn, at a tick at the latest. */
void post_tell_refusal(struct post *post);

/* True once after it was told. */
bool post_refused(struct post *post);
