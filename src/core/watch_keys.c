/* The keys of a watch, and the memory under all of it.
 *
 * Keys stand at places, which saved bytes keep, so that walks by place go on over a restart and are the
 * same in a replay; a table of places finds them by (rule, key):
 *
 *   slots[hash] ---> places[place] ---> key, text         three misses of the cache, one after the other:
 *                                                          whoever has many keys to find asks for all of
 *                                                          one step before the first of the next
 */
#include "core/watch_keys.h"

#include "base/check.h"

#define SLOTS_FIRST      64
#define PLACES_FIRST     64
#define GIVEN_UP_AT_ONCE 64 /* ended instances, for one block: its size may not be theirs */

void *watch_alloc(struct watch *watch, size_t size)
{
    size_t bytes = heap_class_size(size);
    for (uint32_t n = 0; n <= GIVEN_UP_AT_ONCE; n++) {
        bool fits = bytes <= watch->limits.bytes_max - watch->bytes;
        void *block = fits ? heap_alloc_zero(watch->heap, size) : NULL;
        if (block != NULL) {
            watch->bytes += bytes;
            return block;
        }
        if (watch->ended_first == NULL) {
            return NULL;
        }
        watch_forget(watch, watch->ended_first);
    }
    return NULL;
}

void watch_free(struct watch *watch, void *block, size_t size)
{
    if (block != NULL) {
        CHECK(watch->bytes >= heap_class_size(size));
        watch->bytes -= heap_class_size(size);
        heap_free(watch->heap, block, size);
    }
}

static uint32_t next_slot(const struct watch *watch, uint32_t slot)
{
    return (slot + 1) & (watch->slot_count - 1);
}

/* The first slot that may be of a key with this hash, or the free one behind those that are not. */
static uint32_t slot_tagged(const struct watch *watch, uint64_t hash)
{
    uint32_t slot = (uint32_t)hash & (watch->slot_count - 1);
    while (watch->slots[slot].next_place != 0 && watch->slots[slot].tag != (uint32_t)hash) {
        slot = next_slot(watch, slot);
    }
    return slot;
}

/* The slot where the key is, or would be. */
static uint32_t
slot_of(const struct watch *watch, uint32_t rule_place, uint64_t hash, struct bytes text)
{
    uint32_t slot = slot_tagged(watch, hash);
    for (; watch->slots[slot].next_place != 0; slot = next_slot(watch, slot)) {
        if (watch->slots[slot].tag != (uint32_t)hash) {
            continue;
        }
        const struct watch_key *key = watch->places[watch->slots[slot].next_place - 1].key;
        if (key->hash == hash && key->rule == rule_place &&
            bytes_equal(watch_key_text(key), text)) {
            break;
        }
    }
    return slot;
}

struct watch_key *
watch_key_find(const struct watch *watch, uint32_t rule_place, uint64_t hash, struct bytes text)
{
    if (watch->slot_count == 0) {
        return NULL;
    }
    uint32_t slot = slot_of(watch, rule_place, hash, text);
    uint32_t next_place = watch->slots[slot].next_place;
    return next_place == 0 ? NULL : watch->places[next_place - 1].key;
}

void watch_slot_prefetch(const struct watch *watch, uint64_t hash)
{
    if (watch->slot_count > 0) {
        __builtin_prefetch(&watch->slots[(uint32_t)hash & (watch->slot_count - 1)]);
    }
}

const struct watch_place *watch_place_prefetch(const struct watch *watch, uint64_t hash)
{
    uint32_t next_place =
        watch->slot_count == 0 ? 0 : watch->slots[slot_tagged(watch, hash)].next_place;
    if (next_place == 0) {
        return NULL;
    }
    __builtin_prefetch(&watch->places[next_place - 1]);
    return &watch->places[next_place - 1];
}

static bool slots_grow(struct watch *watch)
{
    uint32_t count = watch->slot_count == 0 ? SLOTS_FIRST : watch->slot_count * 2;
    struct watch_slot *slots = heap_alloc_zero(watch->heap, count * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    for (uint32_t n = 0; n < watch->slot_count; n++) {
        if (watch->slots[n].next_place != 0) {
            uint32_t slot = watch->slots[n].tag & (count - 1);
            while (slots[slot].next_place != 0) {
                slot = (slot + 1) & (count - 1);
            }
            slots[slot] = watch->slots[n];
        }
    }
    heap_free(watch->heap, watch->slots, watch->slot_count * sizeof(*slots));
    watch->slots = slots;
    watch->slot_count = count;
    return true;
}

static bool places_grow(struct watch *watch)
{
    uint32_t cap = watch->place_cap == 0 ? PLACES_FIRST : watch->place_cap * 2;
    struct watch_place *places = heap_alloc(watch->heap, cap * sizeof(struct watch_place));
    if (places == NULL) {
        return false;
    }
    if (watch->place_count > 0) {
        memcpy(places, watch->places, watch->place_count * sizeof(struct watch_place));
    }
    heap_free(watch->heap, watch->places, watch->place_cap * sizeof(struct watch_place));
    watch->places = places;
    watch->place_cap = cap;
    return true;
}

bool watch_reserve_place(struct watch *watch)
{
    if (watch->key_count + 1 > watch->slot_count / 4 * 3 && !slots_grow(watch)) {
        return false;
    }
    return watch->free_first != WATCH_PLACE_NONE || watch->place_count < watch->place_cap ||
           places_grow(watch);
}

void watch_key_file(struct watch *watch, struct watch_key *key)
{
    uint32_t slot = (uint32_t)key->hash & (watch->slot_count - 1);
    while (watch->slots[slot].next_place != 0) {
        slot = next_slot(watch, slot);
    }
    watch->places[key->place].key = key;
    watch->slots[slot] = (struct watch_slot){key->place + 1, (uint32_t)key->hash};
    watch->key_count++;
}

struct watch_key *watch_key_new(struct watch *watch, uint32_t rule_place, uint64_t hash, size_t len)
{
    CHECK(len <= WATCH_KEY_MAX);
    struct watch_key *key = watch_alloc(watch, sizeof(*key) + len);
    if (key != NULL) {
        key->hash = hash;
        key->rule = (uint16_t)rule_place;
        key->len = (uint16_t)len;
    }
    return key;
}

struct watch_key *
watch_key_add(struct watch *watch, uint32_t rule_place, uint64_t hash, struct bytes text)
{
    struct watch_key *key = watch_key_new(watch, rule_place, hash, text.len);
    if (key == NULL || !watch_reserve_place(watch)) {
        watch_free(watch, key, sizeof(*key) + text.len);
        return NULL;
    }
    if (text.len > 0) {
        memcpy(key->text, text.data, text.len);
    }
    key->place = watch->free_first;
    if (key->place == WATCH_PLACE_NONE) {
        key->place = watch->place_count++;
    } else {
        watch->free_first = watch->places[key->place].next_free;
    }
    watch_key_file(watch, key);
    return key;
}

/* Closes the gap: whatever stands behind it up to the next free slot, and may stand nearer to where its
 * search begins, moves up. */
static void slot_empty(struct watch *watch, uint32_t gap)
{
    uint32_t mask = watch->slot_count - 1;
    for (uint32_t n = (gap + 1) & mask; watch->slots[n].next_place != 0; n = (n + 1) & mask) {
        uint32_t home = watch->slots[n].tag & mask;
        if (((n - home) & mask) >= ((n - gap) & mask)) {
            watch->slots[gap] = watch->slots[n];
            gap = n;
        }
    }
    watch->slots[gap] = (struct watch_slot){0};
}

static uint32_t slot_of_place(const struct watch *watch, const struct watch_key *key)
{
    uint32_t slot = (uint32_t)key->hash & (watch->slot_count - 1);
    while (watch->slots[slot].next_place != key->place + 1) {
        CHECK(watch->slots[slot].next_place != 0);
        slot = next_slot(watch, slot);
    }
    return slot;
}

void watch_key_settle(struct watch *watch, struct watch_key *key)
{
    if (key->signal_count > 0 || key->open_count > 0 || key->ended_count > 0) {
        return;
    }
    slot_empty(watch, slot_of_place(watch, key));
    watch->places[key->place] = (struct watch_place){.next_free = watch->free_first};
    watch->free_first = key->place;
    watch->key_count--;
    watch_free(watch, key, sizeof(*key) + key->len);
}
