/* Rules as they are shown. */
#pragma once

#include "api/call.h"
#include "model/rule.h"

struct rule_entry {
    const struct metric_info *info;
    struct rule rule;
};

/* The rules of an inspection, ordered by name, in the call's memory. */
struct rule_list {
    const struct rule_entry **items;
    size_t count;
};

/* Those of one kind, or of both (kind 0). False: answered. */
bool rule_list_make(struct call *call,
                    const struct inspection *inspection,
                    enum rule_kind kind,
                    struct rule_list *list);

/* The object. */
void rule_show(struct out *out, const struct rule_entry *entry);
