/* Metrics as they are shown. */
#pragma once

#include "api/call.h"
#include "model/definition.h"

struct metric_entry {
    const struct metric_info *info;
    struct definition definition;
};

/* All metrics of an inspection, ordered by name, in the call's memory. */
struct metric_list {
    const struct metric_entry **items;
    size_t count;
};

/* False: answered. */
bool metric_list_make(struct call *call,
                      const struct inspection *inspection,
                      struct metric_list *list);

/* "sources": the names, or null for all. */
void source_names_put(struct out *out, const struct bytes *sources, size_t count);

/* The object. stats: the runners' counters, or NULL to leave them out. */
void metric_put(struct out *out, const struct metric_entry *metric, const struct query *stats);
