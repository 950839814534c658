/* The catalogue: which metrics and rules there are now. The sequencer owns it and decides by it, in
 * the order of the log; each change is a record, and a replay builds the same catalogue from them.
 *
 * Metrics and rules are two lists with one counter of ids and one space of names: what is named in an
 * answer, a filter or a file means one thing. */
#pragma once

#include "base/stream.h"
#include "host/inspection.h"
#include "host/proposal.h"
#include "model/rule.h"

#define CATALOG_LIST_MAX RULES_MAX /* metrics, and as many rules */

struct catalog_entry {
    struct bytes name;        /* inside `definition` */
    enum rule_kind rule_kind; /* of a rule; of a metric 0 */
    struct metric_info info;  /* `metric` is the rule's id too */
    uint8_t *definition;      /* malloc'ed */
};

struct catalog_list {
    uint32_t count;
    struct catalog_entry entries[CATALOG_LIST_MAX]; /* in order of creation */
};

struct catalog {
    uint32_t next_id;
    uint8_t
        *reserved; /* for the definition of a DEFINE or RULE that was taken and is applied next */
    struct catalog_list metrics;
    struct catalog_list rules;
};

void catalog_init(struct catalog *catalog);
void catalog_deinit(struct catalog *catalog);

struct catalog_entry *catalog_find(struct catalog_list *list, struct bytes name);

/* Decides about a proposal of DEFINE, DROP, RULE_DEFINE or RULE_DROP and writes the records that it takes into `out` (none:
 * proposal->changed stays false). The outcome is in the proposal. */
void catalog_propose(struct catalog *catalog,
                     struct proposal *proposal,
                     struct clock_time now,
                     struct buf *out);

/* Takes a record about a metric or a rule in, in the order of the log, live and in replay. */
void catalog_apply(struct catalog *catalog, const struct record *record, uint64_t frame_position);

void catalog_save(const struct catalog *catalog, struct writer *out);
bool catalog_load(struct catalog *catalog, struct loader *in);
