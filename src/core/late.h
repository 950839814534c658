/* The late stream: events that came too late for at least one metric, kept whole so that they can
 * be looked at, up to a budget; the oldest go first.
 *
 * Entries form a queue in the order of the log. An entry is self-contained bytes:
 *     u64 frame position, u32 record offset, u32 row, i64 watermark, u16 n, n x u32 metric id,
 *     the event (event_put) */
#pragma once

#include "base/heap.h"
#include "base/stream.h"
#include "model/event.h"

struct late_entry {
    struct late_entry *next;
    uint32_t len;
    uint8_t bytes[];
};

struct late {
    struct heap *heap;
    size_t budget_bytes;
    size_t bytes;
    uint64_t count;
    uint64_t forgotten;
    struct late_entry *first;
    struct late_entry *last;
};

/* Where an event stands in the log. */
struct log_place {
    uint64_t frame;
    uint32_t record;
    uint32_t row;
};

void late_init(struct late *late, struct heap *heap, size_t budget_bytes);

/* Remembers the event; forgets the oldest ones when the budget is used up. */
void late_add(struct late *late,
              const struct log_place *place,
              int64_t watermark,
              const uint32_t *metrics,
              uint16_t metric_count,
              const struct event *event);

void late_save(const struct late *late, struct writer *out);
bool late_load(struct late *late, struct loader *in);
