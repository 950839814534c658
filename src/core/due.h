/* Due: timers by time. The earliest is first; any one may be moved or taken out at once.
 *
 *   entries   | 0 | 1 2 3 4 | 5 ... 8 | 9 ... 12 | ...     a heap of four: the parent of n is (n - 1) / 4
 *               |
 *               v
 *             the owner's node, which knows its entry
 *
 * Times lie in the entries, so that most steps look at nothing else; the four children of an entry lie in
 * one line of the cache, since the block begins three entries before the first. Of equal times the owner says which
 * comes first; if it tells all of them apart, the order in which they come out depends on nothing but
 * them: not on the order in which they came in, nor on what was in between.
 *
 * Invariants:
 *  1. No entry comes before its parent.
 *  2. entries[n].node->at = n + 1; a node that is in no heap has at = 0. */
#pragma once

#include "base/heap.h"

struct due_node {
    uint32_t at;
};

struct due_entry {
    int64_t time;
    struct due_node *node;
};

/* Order of two nodes of equal time: < 0, 0, > 0. */
typedef int (*due_order)(const struct due_node *a, const struct due_node *b);

struct due {
    struct heap *heap;
    due_order order;
    struct due_entry *entries;
    uint32_t count;
    uint32_t cap;
};

void due_init(struct due *due, struct heap *heap, due_order order);

/* Gives the memory back; the nodes are the owner's. */
void due_deinit(struct due *due);

/* Makes sure that one more fits; false when there is no memory. */
bool due_reserve(struct due *due);

/* Room was reserved. O(log n). */
void due_add(struct due *due, struct due_node *node, int64_t time);
void due_move(struct due *due, struct due_node *node, int64_t time);
void due_remove(struct due *due, struct due_node *node);

/* The earliest; NULL: none. O(1). */
struct due_node *due_first(const struct due *due);

/* Its time; INT64_MAX: none. */
int64_t due_time(const struct due *due);

/* CHECKs the invariants. */
void due_validate(const struct due *due);
