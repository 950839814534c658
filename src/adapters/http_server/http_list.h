/* Intrusive doubly linked lists. A link that stands in no list has next == NULL. */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>

struct http_link {
    struct http_link *previous;
    struct http_link *next;
};

/* The struct of `type` whose member `member` is the link. */
#define HTTP_LIST_ENTRY(link, type, member)                                                        \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* A list is a link of its own, in a ring with its entries. */
static inline void http_list_init(struct http_link *list)
{
    list->previous = list;
    list->next = list;
}

static inline bool http_list_empty(const struct http_link *list)
{
    return list->next == list;
}

static inline bool http_link_listed(const struct http_link *link)
{
    return link->next != NULL;
}

static inline void http_list_append(struct http_link *list, struct http_link *link)
{
    CHECK(!http_link_listed(link));
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

/* Does nothing when the link stands in no list. */
static inline void http_list_remove(struct http_link *link)
{
    if (http_link_listed(link)) {
        link->previous->next = link->next;
        link->next->previous = link->previous;
        *link = (struct http_link){0};
    }
}

/* The first entry, or NULL. */
static inline struct http_link *http_list_first(const struct http_link *list)
{
    return http_list_empty(list) ? NULL : list->next;
}

/* Moves all entries to the empty list `to`. */
static inline void http_list_move(struct http_link *from, struct http_link *to)
{
    CHECK(http_list_empty(to));
    if (!http_list_empty(from)) {
        *to = *from;
        to->next->previous = to;
        to->previous->next = to;
        http_list_init(from);
    }
}
