/* A stable merge sort on a chain, made for events that are nearly in order.
 *
 * The chain is cut into its rising runs. Pending runs are kept like the bits of a counter: level n
 * holds the merge of 2^n runs or nothing, and a new run carries through the full levels.
 *
 *     level   3          2      1    0
 *          earliest ..........  ..  latest       the new run comes after all of them
 *
 * Invariants:
 *  1. All events of a higher level arrived before those of a lower one, so "first argument wins a
 *     tie" is stability.
 *  2. Two runs that don't overlap in time are joined without a walk. */
#include "core/collect_event.h"

#include "base/check.h"

#define LEVELS 64 /* 2^64 runs don't fit into memory */

struct run {
    struct collect_event *first; /* NULL = no run */
    struct collect_event *last;
};

/* Takes the longest rising run from the front of the rest. */
static struct run cut_run(struct collect_event **rest)
{
    struct run run = {.first = *rest, .last = *rest};
    while (run.last->next != NULL && run.last->timestamp <= run.last->next->timestamp) {
        run.last = run.last->next;
    }
    *rest = run.last->next;
    run.last->next = NULL;
    return run;
}

static struct run join(struct run front, struct run back)
{
    front.last->next = back.first;
    return (struct run){.first = front.first, .last = back.last};
}

/* Both are in order, and `earlier` arrived first. */
static struct run merge(struct run earlier, struct run later)
{
    if (earlier.last->timestamp <= later.first->timestamp) {
        return join(earlier, later);
    }
    if (later.last->timestamp < earlier.first->timestamp) {
        return join(later, earlier);
    }
    struct run merged = {.first = NULL, .last = NULL};
    struct collect_event **link = &merged.first;
    while (earlier.first != NULL && later.first != NULL) {
        struct run *from = later.first->timestamp < earlier.first->timestamp ? &later : &earlier;
        *link = from->first;
        link = &from->first->next;
        from->first = from->first->next;
    }
    struct run rest = earlier.first != NULL ? earlier : later;
    *link = rest.first;
    merged.last = rest.last;
    return merged;
}

/* Counts one run up: it carries through the levels that are full. */
static void add_run(struct run pending[LEVELS], struct run run)
{
    uint32_t level = 0;
    while (pending[level].first != NULL) {
        run = merge(pending[level], run);
        pending[level] = (struct run){.first = NULL};
        level++;
        CHECK(level < LEVELS);
    }
    pending[level] = run;
}

struct collect_event *collect_event_sort(struct collect_event *first)
{
    struct run pending[LEVELS] = {{.first = NULL}};
    struct collect_event *rest = first;
    while (rest != NULL) {
        add_run(pending, cut_run(&rest));
    }
    struct run sorted = {.first = NULL};
    for (uint32_t level = 0; level < LEVELS; level++) {
        if (pending[level].first != NULL) {
            sorted = sorted.first == NULL ? pending[level] : merge(pending[level], sorted);
        }
    }
    return sorted.first;
}
