/* Deadlines of few kinds, each with one fixed delay.
 *
 * As all deadlines of a kind are equally long, the order of arming is the order of expiry: one list
 * per kind, everything O(1).
 *
 * Invariant: due_us never decreases along a list (now_us never goes back). */
#pragma once

#include "adapters/http_server/http_list.h"

#include <stdint.h>

enum http_deadline_kind {
    HTTP_DEADLINE_NONE,   /* not armed */
    HTTP_DEADLINE_IDLE,   /* no request on an open connection */
    HTTP_DEADLINE_HEADER, /* the head began but did not end */
    HTTP_DEADLINE_BODY,   /* the next look at the body's rate */
    HTTP_DEADLINE_STALL,  /* the next look at how fast the peer takes what waits for it */
    HTTP_DEADLINE_LINGER, /* the peer does not close after us */
    HTTP_DEADLINE_KINDS,
};

struct http_deadline {
    struct http_link link;
    int64_t due_us;
    enum http_deadline_kind kind;
};

struct http_deadlines {
    struct http_link lists[HTTP_DEADLINE_KINDS];
};

void http_deadlines_init(struct http_deadlines *deadlines);

/* Armed again: the old one is forgotten. */
void http_deadline_arm(struct http_deadlines *deadlines,
                       struct http_deadline *deadline,
                       enum http_deadline_kind kind,
                       int64_t now_us);
void http_deadline_disarm(struct http_deadline *deadline);

/* The one of that kind that was armed first, or NULL; and how long ago. */
struct http_deadline *http_deadlines_first(const struct http_deadlines *deadlines,
                                           enum http_deadline_kind kind);
int64_t http_deadline_age_us(const struct http_deadline *deadline, int64_t now_us);

/* INT64_MAX when none is armed. */
int64_t http_deadlines_next_us(const struct http_deadlines *deadlines);

/* Disarms and returns one that is due, its kind in *kind; NULL when none is. */
struct http_deadline *http_deadlines_expire(struct http_deadlines *deadlines,
                                            int64_t now_us,
                                            enum http_deadline_kind *kind);
