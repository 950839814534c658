/* The consumers: see consumers.h.
 *
 * Invariants:
 *  1. Names rise strictly, each valid; there are at most CONSUMERS_MAX.
 *  2. The table changes only by consumers_apply: what was proposed and what is replayed take one way. */
#include "host/consumers.h"

#include "base/check.h"

#include <stdio.h>

void consumers_init(struct consumers *consumers)
{
    consumers->count = 0;
}

static int compare_names(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static struct bytes name_of(const struct consumer_entry *entry)
{
    return bytes_of(entry->name, entry->info.name.len);
}

/* The first entry whose name is not below this one, or the end. */
static uint32_t place_of(const struct consumers *consumers, struct bytes name)
{
    uint32_t low = 0;
    uint32_t high = consumers->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_names(name_of(&consumers->entries[middle]), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool stands_at(const struct consumers *consumers, uint32_t place, struct bytes name)
{
    return place < consumers->count && bytes_equal(name_of(&consumers->entries[place]), name);
}

static void refuse(struct proposal *proposal, enum err err, const char *text)
{
    proposal->err = err;
    (void)snprintf(proposal->detail, sizeof(proposal->detail), "%s", text);
}

void consumers_propose(const struct consumers *consumers,
                       struct proposal *proposal,
                       struct clock_time now,
                       struct buf *out)
{
    if (!consumer_name_valid(proposal->name)) {
        refuse(proposal,
               ERR_UNPROCESSABLE,
               "a consumer's name is 1 to 64 of the characters a-z, 0-9, _ and -");
        return;
    }
    uint32_t place = place_of(consumers, proposal->name);
    bool exists = stands_at(consumers, place, proposal->name);
    bool forget = proposal->feed_place.ordinal == 0;
    if (forget && !exists) {
        refuse(proposal, ERR_NOT_FOUND, "there is no consumer of that name");
        return;
    }
    if (proposal->feed_place.partition >= PARTITIONS_MAX) {
        refuse(proposal, ERR_UNPROCESSABLE, "the cursor is not one of this server's");
        return;
    }
    if (!exists && consumers->count == CONSUMERS_MAX) {
        refuse(proposal, ERR_LIMIT, "there are 1000 consumers already; DELETE one first");
        return;
    }
    if (exists &&
        feed_place_compare(consumers->entries[place].info.place, proposal->feed_place) == 0) {
        return;
    }
    struct consumer consumer = {
        .name = proposal->name,
        .ordinal = proposal->feed_place.ordinal,
        .partition = proposal->feed_place.partition,
        .number = proposal->feed_place.number,
        .acked = now,
    };
    consumer_put(out, &consumer);
    proposal->created = !exists;
    proposal->changed = true;
}

static void forget(struct consumers *consumers, uint32_t place)
{
    consumers->count--;
    memmove(consumers->entries + place,
            consumers->entries + place + 1,
            (consumers->count - place) * sizeof(struct consumer_entry));
}

static void add(struct consumers *consumers, uint32_t place, struct bytes name)
{
    CHECK(consumers->count < CONSUMERS_MAX);
    struct consumer_entry *entry = &consumers->entries[place];
    memmove(entry + 1, entry, (consumers->count - place) * sizeof(struct consumer_entry));
    consumers->count++;
    *entry = (struct consumer_entry){.info.name.len = name.len};
    memcpy(entry->name, name.data, name.len);
}

static void take(struct consumers *consumers, const struct consumer *consumer)
{
    uint32_t place = place_of(consumers, consumer->name);
    bool exists = stands_at(consumers, place, consumer->name);
    if (consumer->ordinal == 0) {
        CHECK(exists);
        forget(consumers, place);
        return;
    }
    if (!exists) {
        add(consumers, place, consumer->name);
    }
    struct consumer_info *info = &consumers->entries[place].info;
    info->place = (struct feed_place){consumer->ordinal, consumer->partition, consumer->number};
    info->acked = consumer->acked;
}

void consumers_apply(struct consumers *consumers, const struct record *record)
{
    struct consumer consumer;
    if (record->kind == RECORD_CONSUMER) {
        CHECK(consumer_read(record->body, &consumer));
        take(consumers, &consumer);
    }
}

void consumers_save(const struct consumers *consumers, struct writer *out)
{
    write_u32(out, consumers->count);
    for (uint32_t n = 0; n < consumers->count; n++) {
        const struct consumer_entry *entry = &consumers->entries[n];
        write_string(out, name_of(entry));
        write_u64(out, entry->info.place.ordinal);
        write_u32(out, entry->info.place.partition);
        write_u32(out, entry->info.place.number);
        write_i64(out, entry->info.acked.us);
    }
}

bool consumers_load(struct consumers *consumers, struct loader *in)
{
    uint32_t count = load_u32(in);
    if (in->bad || count > CONSUMERS_MAX) {
        return false;
    }
    for (uint32_t n = 0; n < count; n++) {
        char name[CONSUMER_NAME_MAX];
        uint32_t len = load_u32(in);
        if (in->bad || len > sizeof(name)) {
            return false;
        }
        load_bytes(in, name, len);
        struct consumer consumer = {.name = bytes_of(name, len), .ordinal = load_u64(in)};
        consumer.partition = load_u32(in);
        consumer.number = load_u32(in);
        consumer.acked.us = load_i64(in);
        bool good = !in->bad && consumer.ordinal > 0 && consumer_name_valid(consumer.name) &&
                    place_of(consumers, consumer.name) == n;
        if (!good) {
            return false;
        }
        take(consumers, &consumer);
    }
    return consumers->count == count;
}
