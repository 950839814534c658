/* Due: see due.h. */
#include "core/due.h"

#include "base/check.h"

#define CHILDREN  4
#define CAP_FIRST 16

void due_init(struct due *due, struct heap *heap, due_order order)
{
    *due = (struct due){.heap = heap, .order = order};
}

void due_deinit(struct due *due)
{
    heap_free(due->heap, due->entries, due->cap * sizeof(struct due_entry));
    due_init(due, due->heap, due->order);
}

bool due_reserve(struct due *due)
{
    if (due->count < due->cap) {
        return true;
    }
    if (due->cap > UINT32_MAX / 2) {
        return false;
    }
    uint32_t cap = due->cap == 0 ? CAP_FIRST : due->cap * 2;
    struct due_entry *entries = heap_alloc(due->heap, cap * sizeof(struct due_entry));
    if (entries == NULL) {
        return false;
    }
    if (due->count > 0) {
        memcpy(entries, due->entries, due->count * sizeof(struct due_entry));
    }
    heap_free(due->heap, due->entries, due->cap * sizeof(struct due_entry));
    due->entries = entries;
    due->cap = cap;
    return true;
}

static bool comes_before(const struct due *due, struct due_entry a, struct due_entry b)
{
    return a.time < b.time || (a.time == b.time && due->order(a.node, b.node) < 0);
}

static void put(struct due *due, uint32_t at, struct due_entry entry)
{
    due->entries[at] = entry;
    entry.node->at = at + 1;
}

/* Finds the entry its place from `at` on towards the root; true when that is another one. */
static bool rise(struct due *due, uint32_t at, struct due_entry entry)
{
    uint32_t from = at;
    while (at > 0 && comes_before(due, entry, due->entries[(at - 1) / CHILDREN])) {
        uint32_t parent = (at - 1) / CHILDREN;
        put(due, at, due->entries[parent]);
        at = parent;
    }
    put(due, at, entry);
    return at != from;
}

static void sink(struct due *due, uint32_t at, struct due_entry entry)
{
    for (;;) {
        uint64_t first = (uint64_t)at * CHILDREN + 1;
        uint64_t end = first + CHILDREN < due->count ? first + CHILDREN : due->count;
        if (first >= end) {
            break;
        }
        uint32_t least = (uint32_t)first;
        for (uint32_t n = least + 1; n < end; n++) {
            least = comes_before(due, due->entries[n], due->entries[least]) ? n : least;
        }
        if (!comes_before(due, due->entries[least], entry)) {
            break;
        }
        put(due, at, due->entries[least]);
        at = least;
    }
    put(due, at, entry);
}

void due_add(struct due *due, struct due_node *node, int64_t time)
{
    CHECK(node->at == 0);
    CHECK(due->count < due->cap);
    (void)rise(due, due->count++, (struct due_entry){time, node});
}

void due_move(struct due *due, struct due_node *node, int64_t time)
{
    CHECK(node->at != 0 && due->entries[node->at - 1].node == node);
    uint32_t at = node->at - 1;
    if (!rise(due, at, (struct due_entry){time, node})) {
        sink(due, at, (struct due_entry){time, node});
    }
}

void due_remove(struct due *due, struct due_node *node)
{
    CHECK(node->at != 0 && due->entries[node->at - 1].node == node);
    uint32_t at = node->at - 1;
    struct due_entry last = due->entries[--due->count];
    node->at = 0;
    if (last.node != node && !rise(due, at, last)) {
        sink(due, at, last);
    }
}

struct due_node *due_first(const struct due *due)
{
    return due->count == 0 ? NULL : due->entries[0].node;
}

int64_t due_time(const struct due *due)
{
    return due->count == 0 ? INT64_MAX : due->entries[0].time;
}

void due_validate(const struct due *due)
{
    CHECK(due->count <= due->cap);
    for (uint32_t n = 0; n < due->count; n++) {
        CHECK(due->entries[n].node->at == n + 1);
        CHECK(n == 0 || !comes_before(due, due->entries[n], due->entries[(n - 1) / CHILDREN]));
    }
}
