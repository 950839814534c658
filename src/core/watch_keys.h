/* The keys of a watch and the memory of all its parts, private to core/watch*.c: a table by hash, whose
 * slots lead to places, whose places hold the keys. A place is a key's name in snapshots and for readers:
 * it stays while the key is there. */
#pragma once

#include "core/watch_parts.h"

/* Of the table of keys. The tag tells nearly all others apart without a look at the key. */
struct watch_slot {
    uint32_t next_place; /* place + 1; 0 = free */
    uint32_t tag;        /* the lower half of the key's hash: where its search begins */
};

/* Within the budget, giving up the oldest ended instances for it; NULL: no room. */
void *watch_alloc(struct watch *watch, size_t size);
void watch_free(struct watch *watch, void *block, size_t size);
struct watch_key *
watch_key_find(const struct watch *watch, uint32_t rule_place, uint64_t hash, struct bytes text);

/* The way to a key in two steps, those of many at once: its slot, then its place, a guess or NULL. */
void watch_slot_prefetch(const struct watch *watch, uint64_t hash);
const struct watch_place *watch_place_prefetch(const struct watch *watch, uint64_t hash);

/* Both lines of a key with a short text. */
static inline void watch_key_prefetch(const struct watch_key *key)
{
    __builtin_prefetch(key);
    __builtin_prefetch((const uint8_t *)key + 64);
}

/* Makes a key that watch_key_find did not find; NULL: no room. */
struct watch_key *
watch_key_add(struct watch *watch, uint32_t rule_place, uint64_t hash, struct bytes text);

/* The parts of that, for loading: a key without its text and place; room for it; it enters the table. */
struct watch_key *
watch_key_new(struct watch *watch, uint32_t rule_place, uint64_t hash, size_t len);
bool watch_reserve_place(struct watch *watch);
void watch_key_file(struct watch *watch, struct watch_key *key);

/* Frees a key that has nothing any more. */
void watch_key_settle(struct watch *watch, struct watch_key *key);
