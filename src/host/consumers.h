/* The consumers: named readers of the feed, and how far each says it is. The sequencer owns them and
 * decides in the order of the log; each change is a record, and a replay builds the same table. The
 * core doesn't know of them: notes are kept by their age and size, not for anyone. */
#pragma once

#include "base/stream.h"
#include "host/inspection.h"
#include "host/proposal.h"

#define CONSUMERS_MAX 1000

struct consumer_entry {
    char name[CONSUMER_NAME_MAX];
    struct consumer_info info; /* its name is the one above */
};

struct consumers {
    uint32_t count;
    struct consumer_entry entries[CONSUMERS_MAX]; /* by name */
};

void consumers_init(struct consumers *consumers);

/* Decides about a PROPOSE_CONSUMER and writes the record that it takes into `out` (none:
 * proposal->changed stays false). Back is allowed: who wants to read again may. O(count). */
void consumers_propose(const struct consumers *consumers,
                       struct proposal *proposal,
                       struct clock_time now,
                       struct buf *out);

/* Takes a RECORD_CONSUMER in, live and in replay; others are nothing to it. O(count). */
void consumers_apply(struct consumers *consumers, const struct record *record);

void consumers_save(const struct consumers *consumers, struct writer *out);
bool consumers_load(struct consumers *consumers, struct loader *in);
