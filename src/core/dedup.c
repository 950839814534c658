/* Deduplication: see dedup.h for the picture and the invariants. */
#include "core/dedup.h"

#include "base/check.h"
#include "base/hash.h"
#include "model/clock.h"

#define SLOTS_MIN 16

void dedup_init(struct dedup *dedup, struct heap *heap, struct dedup_limits limits)
{
    CHECK(limits.budget_bytes > 0);
    CHECK(limits.horizon_us > 0);
    *dedup = (struct dedup){
        .heap = heap, .limits = limits, .keep_us = limits.horizon_us, .floor = INT64_MIN};
}

/* The partition was chosen by the fingerprint's top bits, the slot by its lowest: take others. */
static uint32_t table_of(uint64_t fingerprint)
{
    return (uint32_t)(fingerprint >> 32) % DEDUP_TABLES;
}

static bool table_has(const struct dedup_table *table, uint64_t fingerprint)
{
    if (table->slot_count == 0) {
        return false;
    }
    uint32_t mask = table->slot_count - 1;
    for (uint32_t at = (uint32_t)fingerprint & mask; table->slots[at] != 0; at = (at + 1) & mask) {
        if (table->slots[at] == fingerprint) {
            return true;
        }
    }
    return false;
}

static void slot_put(uint64_t *slots, uint32_t mask, uint64_t fingerprint)
{
    uint32_t at = (uint32_t)fingerprint & mask;
    while (slots[at] != 0) {
        at = (at + 1) & mask;
    }
    slots[at] = fingerprint;
}

static bool table_grow(struct dedup *dedup, struct dedup_table *table, uint32_t count)
{
    uint64_t *slots = heap_alloc_zero(dedup->heap, count * sizeof(uint64_t));
    if (slots == NULL) {
        return false;
    }
    for (uint32_t n = 0; n < table->slot_count; n++) {
        if (table->slots[n] != 0) {
            slot_put(slots, count - 1, table->slots[n]);
        }
    }
    heap_free(dedup->heap, table->slots, table->slot_count * sizeof(uint64_t));
    dedup->bytes += (count - table->slot_count) * sizeof(uint64_t);
    table->slots = slots;
    table->slot_count = count;
    return true;
}

static void generation_free(struct dedup *dedup, struct dedup_generation *generation)
{
    for (uint32_t n = 0; n < DEDUP_TABLES; n++) {
        const struct dedup_table *table = &generation->tables[n];
        for (uint32_t slot = 0; slot < table->slot_count; slot++) {
            if (table->slots[slot] != 0) {
                dedup->sum -= hash64_mix(table->slots[slot], 1);
            }
        }
        dedup->bytes -= table->slot_count * sizeof(uint64_t);
        heap_free(dedup->heap, table->slots, table->slot_count * sizeof(uint64_t));
    }
    heap_free(dedup->heap, generation, sizeof(*generation));
}

static void drop_oldest(struct dedup *dedup)
{
    CHECK(dedup->generation_count > 1);
    CHECK(dedup->generations[0]->end > dedup->floor);
    dedup->floor = dedup->generations[0]->end;
    generation_free(dedup, dedup->generations[0]);
    dedup->generation_count--;
    memmove(dedup->generations,
            dedup->generations + 1,
            dedup->generation_count * sizeof(struct dedup_generation *));
}

static bool generation_add(struct dedup *dedup, int64_t start)
{
    CHECK(dedup->generation_count < DEDUP_GENERATIONS_MAX);
    struct dedup_generation *generation = heap_alloc_zero(dedup->heap, sizeof(*generation));
    if (generation == NULL) {
        return false;
    }
    generation->start = start;
    generation->end = INT64_MAX;
    generation->min_time = INT64_MAX;
    generation->max_time = INT64_MIN;
    if (dedup->generation_count > 0) {
        dedup->generations[dedup->generation_count - 1]->end = start;
    }
    dedup->generations[dedup->generation_count++] = generation;
    return true;
}

/* Ends the open generation after the latest time it holds, when it is large or long enough. */
static bool cut_if_due(struct dedup *dedup, int64_t time)
{
    if (dedup->generation_count == 0) {
        return generation_add(dedup, INT64_MIN);
    }
    const struct dedup_generation *open = dedup->generations[dedup->generation_count - 1];
    if (open->count == 0 || time <= open->max_time ||
        dedup->generation_count == DEDUP_GENERATIONS_MAX) {
        return true; /* with all generations in use, the open one just grows */
    }
    /* Slots are 3/8 to 3/4 full: 16 bytes an entry is the mean. */
    bool large = open->count >= dedup->limits.budget_bytes / 16 / 4;
    bool is_long = time_add(open->min_time, dedup->keep_us / 4) < time;
    if (large || is_long) {
        /* Without memory for another one the open generation goes on: nothing is lost by that. */
        (void)generation_add(dedup, open->max_time + 1);
    }
    return true;
}

static struct dedup_generation *generation_of(struct dedup *dedup, int64_t time)
{
    for (uint32_t n = dedup->generation_count; n-- > 0;) {
        if (time >= dedup->generations[n]->start) {
            return dedup->generations[n];
        }
    }
    return NULL; /* older than the floor */
}

static bool insert(struct dedup *dedup, struct dedup_generation *generation, uint64_t fingerprint)
{
    struct dedup_table *table = &generation->tables[table_of(fingerprint)];
    if ((table->used + 1) * 4 > table->slot_count * 3) {
        uint32_t count = table->slot_count == 0 ? SLOTS_MIN : table->slot_count * 2;
        if (!table_grow(dedup, table, count)) {
            return false;
        }
    }
    slot_put(table->slots, table->slot_count - 1, fingerprint);
    table->used++;
    generation->count++;
    dedup->sum += hash64_mix(fingerprint, 1);
    return true;
}

enum dedup_outcome dedup_admit(struct dedup *dedup, uint64_t fingerprint, int64_t time)
{
    fingerprint += fingerprint == 0;
    uint32_t table = table_of(fingerprint);
    for (uint32_t n = dedup->generation_count; n-- > 0;) {
        if (table_has(&dedup->generations[n]->tables[table], fingerprint)) {
            return DEDUP_SEEN;
        }
    }
    /* With times that never rise the open generation is never cut: then twice the budget is the
     * end. */
    bool full = dedup->bytes > 2 * dedup->limits.budget_bytes;
    if (time < dedup->floor || full || !cut_if_due(dedup, time)) {
        return DEDUP_UNVERIFIABLE;
    }
    struct dedup_generation *generation = generation_of(dedup, time);
    CHECK(generation != NULL);
    while (!insert(dedup, generation, fingerprint)) {
        if (dedup->generation_count < 2 || dedup->generations[0] == generation) {
            return DEDUP_UNVERIFIABLE; /* no memory to remember it: it must not be counted */
        }
        drop_oldest(dedup);
        dedup->evicted++;
    }
    generation->min_time = time < generation->min_time ? time : generation->min_time;
    generation->max_time = time > generation->max_time ? time : generation->max_time;
    while (dedup->bytes > dedup->limits.budget_bytes && dedup->generation_count > 1) {
        drop_oldest(dedup);
        dedup->evicted++;
    }
    return DEDUP_NEW;
}

void dedup_prefetch(const struct dedup *dedup, uint64_t fingerprint)
{
    uint32_t number = table_of(fingerprint);
    for (uint32_t n = 0; n < dedup->generation_count; n++) {
        const struct dedup_table *table = &dedup->generations[n]->tables[number];
        if (table->slot_count > 0) {
            __builtin_prefetch(&table->slots[(uint32_t)fingerprint & (table->slot_count - 1)]);
        }
    }
}

void dedup_expire(struct dedup *dedup, int64_t watermark, int64_t keep_us)
{
    CHECK(watermark != WATERMARK_FINAL);
    dedup->keep_us = keep_us > dedup->limits.horizon_us ? keep_us : dedup->limits.horizon_us;
    while (dedup->generation_count > 1 &&
           time_add(dedup->generations[0]->end, dedup->keep_us) < watermark) {
        drop_oldest(dedup);
    }
}

uint64_t dedup_count(const struct dedup *dedup)
{
    uint64_t count = 0;
    for (uint32_t n = 0; n < dedup->generation_count; n++) {
        count += dedup->generations[n]->count;
    }
    return count;
}

static void table_save(const struct dedup_table *table, struct writer *out)
{
    write_u32(out, table->slot_count);
    write_u32(out, table->used);
    for (uint32_t slot = 0; slot < table->slot_count; slot++) {
        if (table->slots[slot] != 0) {
            write_u64(out, table->slots[slot]);
        }
    }
}

void dedup_save(const struct dedup *dedup, struct writer *out)
{
    write_i64(out, dedup->floor);
    write_i64(out, dedup->keep_us);
    write_u64(out, dedup->evicted);
    write_u64(out, dedup->sum);
    write_u32(out, dedup->generation_count);
    for (uint32_t n = 0; n < dedup->generation_count; n++) {
        const struct dedup_generation *generation = dedup->generations[n];
        write_i64(out, generation->start);
        write_i64(out, generation->end);
        write_i64(out, generation->min_time);
        write_i64(out, generation->max_time);
        write_u64(out, generation->count);
        for (uint32_t table = 0; table < DEDUP_TABLES && !out->digest; table++) {
            table_save(&generation->tables[table], out);
        }
    }
}

#define LOAD_AT_ONCE 256

static bool table_load(struct dedup *dedup, struct dedup_table *table, struct loader *in)
{
    uint32_t slot_count = load_u32(in);
    uint32_t used = load_u32(in);
    bool sane = slot_count == 0 ? used == 0 : (slot_count & (slot_count - 1)) == 0;
    if (in->bad || !sane || (uint64_t)used * 4 > (uint64_t)slot_count * 3 ||
        (slot_count > 0 && !table_grow(dedup, table, slot_count))) {
        return false;
    }
    uint8_t raw[LOAD_AT_ONCE * sizeof(uint64_t)];
    for (uint32_t done = 0; done < used;) {
        uint32_t count = used - done < LOAD_AT_ONCE ? used - done : LOAD_AT_ONCE;
        load_bytes(in, raw, count * sizeof(uint64_t));
        struct reader reader = reader_of(bytes_of(raw, count * sizeof(uint64_t)));
        for (uint32_t n = 0; n < count; n++) {
            uint64_t fingerprint = read_u64(&reader);
            if (in->bad || fingerprint == 0) {
                return false;
            }
            slot_put(table->slots, slot_count - 1, fingerprint);
            dedup->sum += hash64_mix(fingerprint, 1);
        }
        done += count;
    }
    table->used = used;
    return true;
}

bool dedup_load(struct dedup *dedup, struct loader *in)
{
    CHECK(dedup->generation_count == 0);
    dedup->floor = load_i64(in);
    dedup->keep_us = load_i64(in);
    dedup->evicted = load_u64(in);
    uint64_t sum = load_u64(in);
    uint32_t generation_count = load_u32(in);
    if (in->bad || generation_count > DEDUP_GENERATIONS_MAX) {
        return false;
    }
    for (uint32_t n = 0; n < generation_count; n++) {
        if (!generation_add(dedup, load_i64(in))) {
            return false;
        }
        struct dedup_generation *generation = dedup->generations[n];
        generation->end = load_i64(in);
        generation->min_time = load_i64(in);
        generation->max_time = load_i64(in);
        generation->count = load_u64(in);
        for (uint32_t table = 0; table < DEDUP_TABLES; table++) {
            if (!table_load(dedup, &generation->tables[table], in)) {
                return false;
            }
        }
    }
    return !in->bad && dedup->sum == sum;
}

void dedup_validate(const struct dedup *dedup)
{
    uint64_t sum = 0;
    for (uint32_t n = 0; n < dedup->generation_count; n++) {
        const struct dedup_generation *generation = dedup->generations[n];
        bool last = n + 1 == dedup->generation_count;
        CHECK(generation->end == (last ? INT64_MAX : dedup->generations[n + 1]->start));
        CHECK(n > 0 || generation->start >= dedup->floor || dedup->floor == INT64_MIN);
        uint64_t count = 0;
        for (uint32_t table = 0; table < DEDUP_TABLES; table++) {
            for (uint32_t slot = 0; slot < generation->tables[table].slot_count; slot++) {
                uint64_t fingerprint = generation->tables[table].slots[slot];
                sum += fingerprint == 0 ? 0 : hash64_mix(fingerprint, 1);
                count += fingerprint != 0;
            }
        }
        CHECK(count == generation->count);
    }
    CHECK(sum == dedup->sum);
}
