/* Due: see due.h. */
#include "core/due.h"

#include "base/check.h"

#define CHILDREN    4
#define LEAD        (CHILDREN - 1) /* entries: the children of n then begin at a multiple of four */
#define BLOCK_FIRST 16             /* entries, with the lead */

_Static_assert(CHILDREN * sizeof(struct due_entry) == 64, "four children fill a line of the cache");

static size_t block_bytes(uint32_t cap)
{
    return ((size_t)cap + LEAD) * sizeof(struct due_entry);
}

static void block_free(struct due *due)
{
    if (due->entries != NULL) {
        heap_free(due->heap, due->entries - LEAD, block_bytes(due->cap));
    }
}

void due_init(struct due *due, struct heap *heap, due_order order)
{
    *due = (struct due){.heap = heap, .order = order};
}

void due_deinit(struct due *due)
{
    block_free(due);
    due_init(due, due->heap, due->order);
}

bool due_reserve(struct due *due)
{
    if (due->count < due->cap) {
        return true;
    }
    if (due->cap > UINT32_MAX / 2 - LEAD) {
        return false;
    }
    uint32_t cap = (due->cap == 0 ? BLOCK_FIRST : (due->cap + LEAD) * 2) - LEAD;
    struct due_entry *entries = heap_alloc(due->heap, block_bytes(cap));
    if (entries == NULL) {
        return false;
    }
    entries += LEAD;
    if (due->count > 0) {
        memcpy(entries, due->entries, due->count * sizeof(struct due_entry));
    }
    block_free(due);
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

static uint32_t least_of(const struct due *due, uint32_t first, uint32_t end)
{
    uint32_t least = first;
    for (uint32_t n = first + 1; n < end; n++) {
        least = comes_before(due, due->entries[n], due->entries[least]) ? n : least;
    }
    return least;
}

/* The same of four, without a jump that depends on which it is: that can't be guessed. */
static uint32_t least_of_four(const struct due *due, uint32_t first)
{
    const struct due_entry *four = &due->entries[first];
    uint32_t low = four[1].time < four[0].time;
    uint32_t high = 2 + (four[3].time < four[2].time);
    int64_t low_time = four[low].time;
    int64_t high_time = four[high].time;
    bool tie = four[0].time == four[1].time || four[2].time == four[3].time;
    if (tie || low_time == high_time) {
        return least_of(due, first, first + CHILDREN);
    }
    uint32_t take_high = 0u - (uint32_t)(high_time < low_time); /* all ones, or none */
    return first + (low ^ ((low ^ high) & take_high));
}

/* The children of four siblings lie in a row as well: whichever is the least, its are on the way. */
static void prefetch_children(const struct due *due, uint64_t first)
{
    uint64_t child = first * CHILDREN + 1;
    for (uint32_t n = 0; n < CHILDREN && child < due->count; n++, child += CHILDREN) {
        __builtin_prefetch(&due->entries[child], 1);
    }
}

/* Finds the entry, which does not come before the parent of `at`, its place from there on: the gap goes
 * down to a leaf first, then the entry rises. It came from a leaf, and mostly stays at one. */
static void sink(struct due *due, uint32_t at, struct due_entry entry)
{
    for (;;) {
        uint64_t first = (uint64_t)at * CHILDREN + 1;
        if (first >= due->count) {
            break;
        }
        prefetch_children(due, first);
        uint32_t least = first + CHILDREN <= due->count
                             ? least_of_four(due, (uint32_t)first)
                             : least_of(due, (uint32_t)first, due->count);
        put(due, at, due->entries[least]);
        at = least;
    }
    (void)rise(due, at, entry);
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
