#include "adapters/http_server/http_deadline.h"

#include "model/clock.h"

static const int64_t delays_us[HTTP_DEADLINE_KINDS] = {
    [HTTP_DEADLINE_IDLE] = 60 * US_PER_SECOND,
    [HTTP_DEADLINE_HEADER] = 10 * US_PER_SECOND,
    [HTTP_DEADLINE_BODY] = 10 * US_PER_SECOND,
    [HTTP_DEADLINE_STALL] = 30 * US_PER_SECOND,
    [HTTP_DEADLINE_LINGER] = 2 * US_PER_SECOND,
};

static struct http_deadline *deadline_first(const struct http_link *list)
{
    struct http_link *link = http_list_first(list);
    return link == NULL ? NULL : HTTP_LIST_ENTRY(link, struct http_deadline, link);
}

void http_deadlines_init(struct http_deadlines *deadlines)
{
    for (size_t kind = 0; kind < HTTP_DEADLINE_KINDS; kind++) {
        http_list_init(&deadlines->lists[kind]);
    }
}

void http_deadline_arm(struct http_deadlines *deadlines,
                       struct http_deadline *deadline,
                       enum http_deadline_kind kind,
                       int64_t now_us)
{
    CHECK(kind > HTTP_DEADLINE_NONE);
    CHECK(kind < HTTP_DEADLINE_KINDS);
    http_deadline_disarm(deadline);
    deadline->kind = kind;
    deadline->due_us = now_us + delays_us[kind];
    http_list_append(&deadlines->lists[kind], &deadline->link);
}

void http_deadline_disarm(struct http_deadline *deadline)
{
    http_list_remove(&deadline->link);
    deadline->kind = HTTP_DEADLINE_NONE;
}

struct http_deadline *http_deadlines_first(const struct http_deadlines *deadlines,
                                           enum http_deadline_kind kind)
{
    return deadline_first(&deadlines->lists[kind]);
}

int64_t http_deadline_age_us(const struct http_deadline *deadline, int64_t now_us)
{
    CHECK(deadline->kind != HTTP_DEADLINE_NONE);
    return now_us - (deadline->due_us - delays_us[deadline->kind]);
}

int64_t http_deadlines_next_us(const struct http_deadlines *deadlines)
{
    int64_t next_us = INT64_MAX;
    for (size_t kind = 0; kind < HTTP_DEADLINE_KINDS; kind++) {
        const struct http_deadline *first = deadline_first(&deadlines->lists[kind]);
        if (first != NULL && first->due_us < next_us) {
            next_us = first->due_us;
        }
    }
    return next_us;
}

struct http_deadline *http_deadlines_expire(struct http_deadlines *deadlines,
                                            int64_t now_us,
                                            enum http_deadline_kind *kind)
{
    for (size_t i = 0; i < HTTP_DEADLINE_KINDS; i++) {
        struct http_deadline *first = deadline_first(&deadlines->lists[i]);
        if (first != NULL && first->due_us <= now_us) {
            *kind = first->kind;
            http_deadline_disarm(first);
            return first;
        }
    }
    return NULL;
}
