/* The catalogue: see catalog.h.
 *
 * Invariants:
 *  1. Names are unique; ids rise and are never used twice.
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

void catalog_deinit(struct catalog *catalog)
{
    for (uint32_t n = 0; n < catalog->count; n++) {
        free(catalog->entries[n].definition);
    }
    catalog->count = 0;
    free(catalog->reserved);
    catalog->reserved = NULL;
}

struct catalog_entry *catalog_find(struct catalog *catalog, struct bytes name)
{
    for (uint32_t n = 0; n < catalog->count; n++) {
        if (bytes_equal(catalog->entries[n].name, name)) {
            return &catalog->entries[n];
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
    if (proposal->has_if_match && proposal->if_match != version) {
        refuse(proposal, ERR_PRECONDITION, "not at the version of If-Match");
        return false;
    }
    return true;
}

static void
define(struct catalog *catalog, struct proposal *proposal, struct clock_time now, struct buf *out)
{
    struct catalog_entry *entry = catalog_find(catalog, proposal->name);
    if (!precondition_holds(proposal, entry)) {
        return;
    }
    if (entry != NULL) {
        bool same = bytes_equal(entry->info.definition, proposal->definition);
        proposal->version = entry->info.version;
        if (same || proposal->mode == DEFINE_IF_NOT_EXISTS) {
            return;
        }
        if (proposal->mode == DEFINE_CREATE) {
            refuse(proposal,
                   ERR_CONFLICT,
                   "it exists with another definition; drop it first, "
                   "or PUT the new one under its name");
            return;
        }
    } else if (catalog->count == CATALOG_METRICS_MAX) {
        refuse(proposal, ERR_LIMIT, "more than the 256 metrics that one server runs");
        return;
    }
    struct define record = {
        .metric = catalog->next_id,
        .version = entry == NULL ? 1 : entry->info.version + 1,
        .created = now,
        .definition = proposal->definition,
    };
    free(catalog->reserved);
    catalog->reserved = malloc(proposal->definition.len + 1);
    if (catalog->reserved == NULL) {
        refuse(proposal, ERR_UNAVAILABLE, "there is no memory for another metric");
        return;
    }
    if (entry != NULL) {
        drop_put(out, entry->info.metric);
    }
    define_put(out, &record);
    proposal->version = record.version;
    proposal->created = entry == NULL;
    proposal->changed = true;
}

static void drop(struct catalog *catalog, struct proposal *proposal, struct buf *out)
{
    const struct catalog_entry *entry = catalog_find(catalog, proposal->name);
    if (entry == NULL) {
        refuse(proposal, ERR_UNKNOWN_METRIC, "there is no such metric");
        return;
    }
    if (precondition_holds(proposal, entry)) {
        drop_put(out, entry->info.metric);
        proposal->changed = true;
    }
}

void catalog_propose(struct catalog *catalog,
                     struct proposal *proposal,
                     struct clock_time now,
                     struct buf *out)
{
    if (proposal->kind == PROPOSE_DEFINE) {
        define(catalog, proposal, now, out);
    } else {
        CHECK(proposal->kind == PROPOSE_DROP);
        drop(catalog, proposal, out);
    }
}

static void add(struct catalog *catalog, const struct define *define, uint64_t position)
{
    CHECK(catalog->count < CATALOG_METRICS_MAX);
    CHECK(define->metric >= catalog->next_id);
    struct catalog_entry *entry = &catalog->entries[catalog->count];
    *entry = (struct catalog_entry){.definition = catalog->reserved};
    catalog->reserved = NULL;
    if (entry->definition == NULL) {
        entry->definition = memory_needed(define->definition.len + 1, "a metric's definition");
    }
    memcpy(entry->definition, define->definition.data, define->definition.len);
    entry->info = (struct metric_info){
        .metric = define->metric,
        .version = define->version,
        .created = define->created,
        .position = position,
        .definition = bytes_of(entry->definition, define->definition.len),
    };
    struct definition definition;
    CHECK(definition_read(entry->info.definition, &definition));
    entry->name = definition.name;
    catalog->count++;
    catalog->next_id = define->metric + 1;
}

static void forget(struct catalog *catalog, uint32_t metric)
{
    for (uint32_t n = 0; n < catalog->count; n++) {
        if (catalog->entries[n].info.metric == metric) {
            free(catalog->entries[n].definition);
            catalog->count--;
            memmove(catalog->entries + n,
                    catalog->entries + n + 1,
                    (catalog->count - n) * sizeof(struct catalog_entry));
            return;
        }
    }
    UNREACHABLE("a metric of the catalogue");
}

void catalog_apply(struct catalog *catalog, const struct record *record, uint64_t frame_position)
{
    struct define define;
    uint32_t metric;
    if (record->kind == RECORD_DEFINE) {
        CHECK(define_read(record->body, &define));
        add(catalog, &define, frame_position);
    } else if (record->kind == RECORD_DROP) {
        CHECK(drop_read(record->body, &metric));
        forget(catalog, metric);
    }
}

void catalog_save(const struct catalog *catalog, struct writer *out)
{
    write_u32(out, catalog->next_id);
    write_u32(out, catalog->count);
    for (uint32_t n = 0; n < catalog->count; n++) {
        const struct metric_info *info = &catalog->entries[n].info;
        write_u32(out, info->metric);
        write_u32(out, info->version);
        write_i64(out, info->created.us);
        write_u64(out, info->position);
        write_string(out, info->definition);
    }
}

bool catalog_load(struct catalog *catalog, struct loader *in)
{
    uint32_t next_id = load_u32(in);
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
        uint8_t *memory = memory_needed(len + 1, "a metric's definition");
        load_bytes(in, memory, len);
        define.definition = bytes_of(memory, len);
        if (!in->bad) {
            add(catalog, &define, position);
        }
        free(memory);
    }
    catalog->next_id = next_id;
    return !in->bad;
}
