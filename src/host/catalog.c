/* The catalogue: see catalog.h.
 *
 * Invariants:
 *  1. Names are unique over both lists; ids rise and are never used twice.
 *  2. It changes only by catalog_apply: what was proposed and what is replayed take one way. */
#include "host/catalog.h"

#include "base/check.h"
#include "host/need.h"

#include <stdio.h>
#include <stdlib.h>

void catalog_init(struct catalog *catalog)
{
    memset(catalog, 0, sizeof(*catalog));
    catalog->next_id = 1;
}

static void list_deinit(struct catalog_list *list)
{
    for (uint32_t n = 0; n < list->count; n++) {
        free(list->entries[n].definition);
    }
    list->count = 0;
}

void catalog_deinit(struct catalog *catalog)
{
    list_deinit(&catalog->metrics);
    list_deinit(&catalog->rules);
    free(catalog->reserved);
    catalog->reserved = NULL;
}

struct catalog_entry *catalog_find(struct catalog_list *list, struct bytes name)
{
    for (uint32_t n = 0; n < list->count; n++) {
        if (bytes_equal(list->entries[n].name, name)) {
            return &list->entries[n];
        }
    }
    return NULL;
}

static void refuse(struct proposal *proposal, enum err err, const char *text)
{
    proposal->err = err;
    (void)snprintf(proposal->detail,
                   sizeof(proposal->detail),
                   "%s: %.*s",
                   text,
                   (int)(proposal->name.len < 64 ? proposal->name.len : 64),
                   (const char *)proposal->name.data);
}

static bool precondition_holds(struct proposal *proposal, const struct catalog_entry *entry)
{
    uint32_t version = entry == NULL ? 0 : entry->info.version;
    if (!condition_holds(&proposal->condition, version)) {
        refuse(proposal, ERR_PRECONDITION, "not at a version of If-Match");
        return false;
    }
    return true;
}

/* Whether the name may be taken for something new of this list. */
static bool room_for(struct catalog *catalog, struct proposal *proposal, bool rule)
{
    struct catalog_list *list = rule ? &catalog->rules : &catalog->metrics;
    struct catalog_list *others = rule ? &catalog->metrics : &catalog->rules;
    if (catalog_find(others, proposal->name) != NULL) {
        refuse(proposal, ERR_CONFLICT, rule ? "a metric has this name" : "a rule has this name");
        return false;
    }
    if (list->count == CATALOG_LIST_MAX) {
        refuse(proposal,
               ERR_LIMIT,
               rule ? "more than the 256 rules that one server runs"
                    : "more than the 256 metrics that one server runs");
        return false;
    }
    return true;
}

/* The definition's place is found before the record is written: what is in the log is applied. */
static bool reserve(struct catalog *catalog, struct proposal *proposal)
{
    free(catalog->reserved);
    catalog->reserved = malloc(proposal->definition.len + 1);
    if (catalog->reserved == NULL) {
        refuse(proposal, ERR_UNAVAILABLE, "there is no memory for another definition");
    }
    return catalog->reserved != NULL;
}

/* What a name that is there already means for the proposal; true: go on and write a new version. */
static bool replaces(struct proposal *proposal, const struct catalog_entry *entry)
{
    bool same = bytes_equal(entry->info.definition, proposal->definition);
    proposal->version = entry->info.version;
    if (same || proposal->mode == DEFINE_IF_NOT_EXISTS) {
        return false;
    }
    if (proposal->mode == DEFINE_CREATE) {
        refuse(proposal,
               ERR_CONFLICT,
               "it exists with another definition; drop it first, "
               "or PUT the new one under its name");
        return false;
    }
    return true;
}

static void
define(struct catalog *catalog, struct proposal *proposal, struct clock_time now, struct buf *out)
{
    bool rule = proposal->kind == PROPOSE_RULE_DEFINE;
    struct catalog_entry *entry =
        catalog_find(rule ? &catalog->rules : &catalog->metrics, proposal->name);
    if (!precondition_holds(proposal, entry) ||
        (entry != NULL ? !replaces(proposal, entry) : !room_for(catalog, proposal, rule)) ||
        !reserve(catalog, proposal)) {
        return;
    }
    struct define record = {
        .metric = catalog->next_id,
        .version = entry == NULL ? 1 : entry->info.version + 1,
        .created = now,
        .definition = proposal->definition,
    };
    if (entry != NULL) {
        (rule ? rule_drop_put : drop_put)(out, entry->info.metric);
    }
    (rule ? rule_define_put : define_put)(out, &record);
    proposal->version = record.version;
    proposal->created = entry == NULL;
    proposal->changed = true;
}

static void drop(struct catalog *catalog, struct proposal *proposal, struct buf *out)
{
    const struct catalog_entry *entry = catalog_find(&catalog->metrics, proposal->name);
    if (entry == NULL) {
        refuse(proposal, ERR_UNKNOWN_METRIC, "there is no such metric");
        return;
    }
    if (precondition_holds(proposal, entry)) {
        drop_put(out, entry->info.metric);
        proposal->changed = true;
    }
}

static void drop_rule(struct catalog *catalog, struct proposal *proposal, struct buf *out)
{
    const struct catalog_entry *entry = catalog_find(&catalog->rules, proposal->name);
    int wanted = (int)proposal->rule_kind;
    if (entry == NULL || (wanted != 0 && wanted != (int)entry->rule_kind)) {
        refuse(proposal,
               ERR_UNKNOWN_RULE,
               wanted == RULE_TIMEOUT   ? "there is no such timeout"
               : wanted == RULE_SILENCE ? "there is no such silence"
                                        : "there is no such rule");
        return;
    }
    if (precondition_holds(proposal, entry)) {
        rule_drop_put(out, entry->info.metric);
        proposal->changed = true;
    }
}

void catalog_propose(struct catalog *catalog,
                     struct proposal *proposal,
                     struct clock_time now,
                     struct buf *out)
{
    if (proposal->kind == PROPOSE_DEFINE || proposal->kind == PROPOSE_RULE_DEFINE) {
        define(catalog, proposal, now, out);
    } else if (proposal->kind == PROPOSE_RULE_DROP) {
        drop_rule(catalog, proposal, out);
    } else {
        CHECK(proposal->kind == PROPOSE_DROP);
        drop(catalog, proposal, out);
    }
}

/* The name that lies in the entry's definition. */
static void name_metric(struct catalog_entry *entry)
{
    struct definition definition;
    CHECK(definition_read(entry->info.definition, &definition));
    entry->name = definition.name;
}

static void name_rule(struct catalog_entry *entry)
{
    struct rule rule;
    CHECK(rule_read(entry->info.definition, &rule));
    entry->name = rule.name;
    entry->rule_kind = rule.kind;
}

static void add(struct catalog *catalog, const struct define *define, uint64_t position, bool rule)
{
    struct catalog_list *list = rule ? &catalog->rules : &catalog->metrics;
    CHECK(list->count < CATALOG_LIST_MAX);
    struct catalog_entry *entry = &list->entries[list->count];
    *entry = (struct catalog_entry){.definition = catalog->reserved};
    catalog->reserved = NULL;
    if (entry->definition == NULL) {
        entry->definition = memory_needed(define->definition.len + 1, "a definition");
    }
    memcpy(entry->definition, define->definition.data, define->definition.len);
    entry->info = (struct metric_info){
        .metric = define->metric,
        .version = define->version,
        .created = define->created,
        .position = position,
        .definition = bytes_of(entry->definition, define->definition.len),
    };
    (rule ? name_rule : name_metric)(entry);
    list->count++;
}

/* One that is new: its id has never been used. */
static void
add_new(struct catalog *catalog, const struct record *record, uint64_t position, bool rule)
{
    struct define define;
    CHECK(define_read(record->body, &define));
    CHECK(define.metric >= catalog->next_id);
    add(catalog, &define, position, rule);
    catalog->next_id = define.metric + 1;
}

static void forget(struct catalog_list *list, const struct record *record)
{
    uint32_t id = 0;
    CHECK(drop_read(record->body, &id));
    for (uint32_t n = 0; n < list->count; n++) {
        if (list->entries[n].info.metric == id) {
            free(list->entries[n].definition);
            list->count--;
            memmove(list->entries + n,
                    list->entries + n + 1,
                    (list->count - n) * sizeof(struct catalog_entry));
            return;
        }
    }
    UNREACHABLE("one of the catalogue");
}

void catalog_apply(struct catalog *catalog, const struct record *record, uint64_t frame_position)
{
    if (record->kind == RECORD_DEFINE) {
        add_new(catalog, record, frame_position, false);
    } else if (record->kind == RECORD_DROP) {
        forget(&catalog->metrics, record);
    } else if (record->kind == RECORD_RULE) {
        add_new(catalog, record, frame_position, true);
    } else if (record->kind == RECORD_RULE_DROP) {
        forget(&catalog->rules, record);
    }
}

static void save_list(const struct catalog_list *list, struct writer *out)
{
    write_u32(out, list->count);
    for (uint32_t n = 0; n < list->count; n++) {
        const struct metric_info *info = &list->entries[n].info;
        write_u32(out, info->metric);
        write_u32(out, info->version);
        write_i64(out, info->created.us);
        write_u64(out, info->position);
        write_string(out, info->definition);
    }
}

void catalog_save(const struct catalog *catalog, struct writer *out)
{
    write_u32(out, catalog->next_id);
    save_list(&catalog->metrics, out);
    save_list(&catalog->rules, out);
}

static bool load_list(struct catalog *catalog, struct loader *in, bool rule)
{
    uint32_t count = load_u32(in);
    for (uint32_t n = 0; n < count && !in->bad; n++) {
        struct define define = {.metric = load_u32(in)};
        define.version = load_u32(in);
        define.created.us = load_i64(in);
        uint64_t position = load_u64(in);
        uint32_t len = load_u32(in);
        if (in->bad || len > DEFINITION_BYTES_MAX) {
            return false;
        }
        uint8_t *memory = memory_needed(len + 1, "a definition");
        load_bytes(in, memory, len);
        define.definition = bytes_of(memory, len);
        if (!in->bad) {
            add(catalog, &define, position, rule);
        }
        free(memory);
    }
    return !in->bad;
}

bool catalog_load(struct catalog *catalog, struct loader *in)
{
    catalog->next_id = load_u32(in);
    return load_list(catalog, in, false) && load_list(catalog, in, true);
}
