/* A rule as JSON: its definition in words. Every rule has every member, so that a list of them is a
 * table; what its kind has not is null, and so is a span that each start gives. */
#include "api/rule_text.h"

#include "api/metric_text.h"
#include "api/problem.h"
#include "api/sort.h"
#include "base/check.h"

static int by_name(const void *a, const void *b, const void *ctx)
{
    (void)ctx;
    const struct rule_entry *left = a;
    const struct rule_entry *right = b;
    return bytes_compare(left->rule.name, right->rule.name);
}

bool rule_list_make(struct call *call,
                    const struct inspection *inspection,
                    enum rule_kind kind,
                    struct rule_list *list)
{
    size_t room = inspection->rule_count + 1;
    struct memory *memory = &call->memory;
    struct rule_entry *entries = memory_take(memory, room * sizeof(*entries));
    const void **items = memory_take(memory, room * sizeof(*items));
    const void **scratch = memory_take(memory, room * sizeof(*scratch));
    *list = (struct rule_list){.items = memory_take(memory, room * sizeof(*list->items))};
    if (entries == NULL || list->items == NULL || items == NULL || scratch == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for the list of rules");
        return false;
    }
    for (size_t i = 0; i < inspection->rule_count; i++) {
        struct rule_entry *entry = &entries[i];
        entry->info = &inspection->rules[i];
        bool readable = rule_read(entry->info->definition, &entry->rule);
        CHECK(readable); /* the catalogue has read it */
        if ((int)kind == 0 || entry->rule.kind == kind) {
            items[list->count++] = entry;
        }
    }
    sort_stable(items, scratch, list->count, by_name, NULL);
    for (size_t i = 0; i < list->count; i++) {
        list->items[i] = items[i];
    }
    return true;
}

static void put_span(struct out *out, const char *name, bool given, int64_t us)
{
    out_member(out, name);
    if (given) {
        out_duration(out, us);
    } else {
        out_text(out, "null");
    }
}

void rule_show(struct out *out, const struct rule_entry *entry)
{
    const struct rule *rule = &entry->rule;
    bool timeout = rule->kind == RULE_TIMEOUT;
    out_text(out, "{\"name\":");
    out_string(out, rule->name);
    out_member(out, "kind");
    out_string_text(out, timeout ? "timeout" : "silence");
    out_member(out, "version");
    out_u64(out, entry->info->version);
    out_member(out, "sql");
    out_string(out, rule->text);
    out_member(out, "created");
    out_time(out, entry->info->created.us);
    out_member(out, "position");
    out_u64(out, entry->info->position);
    put_span(out, "within", timeout && rule->within.len == 0, rule->within_us);
    put_span(out, "every", !timeout, rule->within_us);
    out_member(out, "clock");
    out_string_text(out, rule->clock == TIMEOUT_BY_EVENTS ? "event" : "processing");
    put_span(out, "grace", true, rule->grace_us);
    out_member(out, "late");
    if (timeout) {
        out_string_text(out, rule->late == RULE_LATE_RETRACT ? "retract" : "ignore");
    } else {
        out_text(out, "null");
    }
    source_names_put(out, rule->sources, rule->source_count);
    out_char(out, '}');
}
