/* The catalogue: which metrics there are now. The sequencer owns it and decides by it, in the order
 * of the log; each change is a record, and a replay builds the same catalogue from them. */
#pragma once

#include "base/stream.h"
#include "host/inspection.h"
#include "host/proposal.h"
#include "model/definition.h"

#define CATALOG_METRICS_MAX 256

struct catalog_entry {
    struct bytes name; /* inside `definition` */
    struct metric_info info;
    uint8_t *definition; /* malloc'ed */
};

struct catalog {
    uint32_t next_id;
    uint32_t count;
    uint8_t *reserved; /* for the definition of a DEFINE that was taken and is applied next */
    struct catalog_entry entries[CATALOG_METRICS_MAX]; /* in order of creation */
};

void catalog_init(struct catalog *catalog);
void catalog_deinit(struct catalog *catalog);

struct catalog_entry *catalog_find(struct catalog *catalog, struct bytes name);

/* Decides about a proposal of DEFINE or DROP and writes the records that it takes into `out` (none:
 * proposal->changed stays false). The outcome is in the proposal. */
void catalog_propose(struct catalog *catalog,
                     struct proposal *proposal,
                     struct clock_time now,
                     struct buf *out);

/* Takes a DEFINE or DROP record in, in the order of the log, live and in replay. */
void catalog_apply(struct catalog *catalog, const struct record *record, uint64_t frame_position);

void catalog_save(const struct catalog *catalog, struct writer *out);
bool catalog_load(struct catalog *catalog, struct loader *in);
