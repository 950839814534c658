/* An event as a window keeps it, and the order in which a window is handed over. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Followed in memory by its data. include/tidemark.h shows users the same layout. */
struct collect_event {
    struct collect_event *next;
    const void *data; /* aligned to 8 bytes */
    size_t len;
    int64_t timestamp;
    uint32_t partition; /* its id */
};

/* Orders a chain by timestamp; events with equal ones keep their order. Returns the new first.
 * O(n log n) steps at most, O(n) when the chain rises or falls; no memory but the chain. */
struct collect_event *collect_event_sort(struct collect_event *first);
