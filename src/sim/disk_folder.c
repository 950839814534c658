/* Names in a simulated directory.
 *
 *     make, move, remove ──► cache, changes ──sync──► durable
 *                                          power cut: each change kept or not; cache = durable
 *
 *  1. All changes, carried out in order on the durable names, make those of the cache.
 *  2. A change is carried out only where it can be: what is moved or removed must be there and be
 *     the same file, what is made must not be there. So a change that needs one that was lost is
 *     lost with it, and whatever a power cut leaves is a state that real operations lead to.
 *  3. A move over another name is one step: the old file or the new one, never none.
 *
 * The order of names means nothing, as in a real directory. */
#include "sim/disk_folder.h"

#include "sim/disk_memory.h"

#define CHANGES_MAX 1024 /* more, and the oldest becomes durable */

static struct sim_names names_copy(const struct sim_names *from)
{
    return (struct sim_names){.list = sim_copy_of(from->list, from->count * sizeof(*from->list)),
                              .count = from->count,
                              .capacity = from->count};
}

static void names_assign(struct sim_names *to, const struct sim_names *from)
{
    free(to->list);
    *to = names_copy(from);
}

void sim_folder_free(struct sim_folder *folder)
{
    free(folder->cache.list);
    free(folder->durable.list);
    free(folder->changes);
    *folder = (struct sim_folder){.change_count = 0};
}

void sim_folder_copy(struct sim_folder *to, const struct sim_folder *from)
{
    *to = (struct sim_folder){.cache = names_copy(&from->cache),
                              .durable = names_copy(&from->durable),
                              .change_count = from->change_count};
    if (from->changes != NULL) {
        to->changes = sim_copy_of(from->changes, CHANGES_MAX * sizeof(*to->changes));
    }
}

/* --- one table --- */

const struct sim_name *sim_names_find(const struct sim_names *names, const char *text)
{
    for (uint32_t n = 0; n < names->count; n++) {
        if (strcmp(names->list[n].text, text) == 0) {
            return &names->list[n];
        }
    }
    return NULL;
}

static bool names_holds(const struct sim_names *names, const char *text, uint32_t node)
{
    const struct sim_name *found = sim_names_find(names, text);
    return found != NULL && found->node == node;
}

static void names_add(struct sim_names *names, const char *text, uint32_t node)
{
    CHECK(names->count < SIM_NAMES_MAX);
    size_t len = text_len(text);
    CHECK(len < SIM_NAME_BYTES);
    if (names->count == names->capacity) {
        uint32_t capacity = names->capacity == 0 ? 8 : 2 * names->capacity;
        names->list = sim_longer(
            names->list, names->capacity * sizeof(*names->list), capacity * sizeof(*names->list));
        names->capacity = capacity;
    }
    struct sim_name *name = &names->list[names->count++];
    *name = (struct sim_name){.node = node};
    memcpy(name->text, text, len);
}

static void names_take(struct sim_names *names, const char *text)
{
    for (uint32_t n = 0; n < names->count; n++) {
        if (strcmp(names->list[n].text, text) == 0) {
            names->list[n] = names->list[--names->count];
            return;
        }
    }
}

/* --- changes --- */

/* Carries the change out where it can be. */
static bool carry_out(struct sim_names *names, const struct sim_name_change *change)
{
    switch (change->kind) {
    case NAME_MADE:
        if (sim_names_find(names, change->name) != NULL) {
            return false;
        }
        names_add(names, change->name, change->node);
        return true;
    case NAME_MOVED:
        if (!names_holds(names, change->name, change->node)) {
            return false;
        }
        names_take(names, change->to);
        names_take(names, change->name);
        names_add(names, change->to, change->node);
        return true;
    case NAME_REMOVED:
        if (!names_holds(names, change->name, change->node)) {
            return false;
        }
        names_take(names, change->name);
        return true;
    }
    UNREACHABLE("a change of no kind");
}

static void record(struct sim_folder *folder,
                   enum name_change_kind kind,
                   const char *name,
                   const char *to,
                   uint32_t node)
{
    if (folder->changes == NULL) {
        folder->changes = malloc(CHANGES_MAX * sizeof(*folder->changes));
        CHECK(folder->changes != NULL);
    }
    if (folder->change_count == CHANGES_MAX) {
        CHECK(carry_out(&folder->durable, &folder->changes[0]));
        folder->change_count--;
        memmove(
            folder->changes, folder->changes + 1, folder->change_count * sizeof(*folder->changes));
    }
    struct sim_name_change *change = &folder->changes[folder->change_count++];
    *change = (struct sim_name_change){.kind = kind, .node = node};
    CHECK(text_len(name) < SIM_NAME_BYTES);
    CHECK(text_len(to) < SIM_NAME_BYTES);
    memcpy(change->name, name, text_len(name));
    memcpy(change->to, to, text_len(to));
    CHECK(carry_out(&folder->cache, change));
}

void sim_folder_make(struct sim_folder *folder, const char *name, uint32_t node)
{
    record(folder, NAME_MADE, name, "", node);
}

void sim_folder_move(struct sim_folder *folder, const char *from, const char *to)
{
    const struct sim_name *found = sim_names_find(&folder->cache, from);
    CHECK(found != NULL);
    CHECK(strcmp(from, to) != 0);
    record(folder, NAME_MOVED, from, to, found->node);
}

void sim_folder_remove(struct sim_folder *folder, const char *name)
{
    const struct sim_name *found = sim_names_find(&folder->cache, name);
    CHECK(found != NULL);
    record(folder, NAME_REMOVED, name, "", found->node);
}

void sim_folder_sync(struct sim_folder *folder)
{
    if (folder->change_count > 0) {
        names_assign(&folder->durable, &folder->cache);
        folder->change_count = 0;
    }
}

static bool names_equal(const struct sim_names *a, const struct sim_names *b)
{
    bool equal = a->count == b->count;
    for (uint32_t n = 0; equal && n < a->count; n++) {
        equal = names_holds(b, a->list[n].text, a->list[n].node);
    }
    return equal;
}

void sim_folder_power_cut(struct sim_folder *folder, struct sim_luck *luck)
{
    uint64_t lost = 0;
    for (uint32_t n = 0; n < folder->change_count; n++) {
        if (luck_strikes(luck, CHOICE_CRASH, FAULT_LOST_NAME)) {
            lost++;
        } else {
            (void)carry_out(&folder->durable, &folder->changes[n]);
        }
    }
    folder->change_count = 0;
    if (!names_equal(&folder->cache, &folder->durable)) {
        luck->counts[FAULT_LOST_NAME] += lost;
        names_assign(&folder->cache, &folder->durable);
    }
}

void sim_folder_validate(const struct sim_folder *folder)
{
    CHECK(folder->change_count <= CHANGES_MAX);
    struct sim_names names = names_copy(&folder->durable);
    for (uint32_t n = 0; n < folder->change_count; n++) {
        CHECK(carry_out(&names, &folder->changes[n]));
    }
    CHECK(names_equal(&names, &folder->cache));
    free(names.list);
}
