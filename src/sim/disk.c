/* The simulated disk: its nodes, and what befalls all of them at once.
 *
 *     handle ──► node ◄── name (seen, durable, or in a change that is neither yet)
 *                 │
 *                 ├── file (disk_file.c)   content: sectors, sizes
 *                 └── folder (disk_folder.c)   names
 *
 *  1. Node 0 is the root directory, and so is handle 0.
 *  2. A node lives as long as something leads to it: an unlinked file until it is closed and its
 *     removal is durable.
 *  3. What is decided depends on the choices and the operations alone: nodes are walked by number,
 *     numbers are given out in order.
 *
 * The operations of the port are in disk_port.c. */
#include "sim/disk.h"

#include "sim/disk_memory.h"
#include "sim/disk_state.h"

#define NODES_MAX   (1U << 20)
#define BLOCK_BYTES ((uint64_t)4096)

static const char *const fault_names[FAULT_KINDS] = {
    [FAULT_TORN_WRITE] = "torn write",
    [FAULT_LOST_WRITE] = "lost write",
    [FAULT_GARBAGE] = "garbage",
    [FAULT_LOST_NAME] = "lost name",
    [FAULT_LOST_SIZE] = "lost size",
    [FAULT_SHORT_WRITE] = "short write",
    [FAULT_SHORT_READ] = "short read",
    [FAULT_INTERRUPTED] = "interrupted",
    [FAULT_NO_SPACE] = "no space",
    [FAULT_WRITE_ERROR] = "write error",
    [FAULT_SYNC_ERROR] = "sync error",
    [FAULT_READ_ERROR] = "read error",
    [FAULT_SLOW] = "slow",
    [FAULT_ROT] = "rot",
    [FAULT_MISDIRECTED] = "misdirected write",
    [FAULT_LYING_SYNC] = "lying sync",
};

const char *disk_fault_name(enum disk_fault fault)
{
    CHECK(fault < FAULT_KINDS);
    return fault_names[fault];
}

/* --- nodes --- */

uint32_t sim_disk_new_node(struct sim_disk *disk, bool is_folder, const char *name)
{
    uint32_t number = 0;
    while (number < disk->node_count && disk->nodes[number].used) {
        number++;
    }
    CHECK(number < NODES_MAX);
    if (number == disk->node_capacity) {
        uint32_t capacity = disk->node_capacity == 0 ? 16 : 2 * disk->node_capacity;
        disk->nodes = sim_longer(disk->nodes,
                                 disk->node_capacity * sizeof(*disk->nodes),
                                 capacity * sizeof(*disk->nodes));
        disk->node_capacity = capacity;
    }
    disk->node_count = number == disk->node_count ? number + 1 : disk->node_count;
    struct sim_node *node = &disk->nodes[number];
    *node = (struct sim_node){.used = true, .is_folder = is_folder};
    CHECK(text_len(name) < SIM_NAME_BYTES);
    memcpy(node->name, name, text_len(name));
    node->written_us = disk->hooks.wall_us(disk->hooks.ctx);
    sim_file_init(&node->file);
    return number;
}

static void free_node(struct sim_node *node)
{
    sim_file_free(&node->file);
    sim_folder_free(&node->folder);
    *node = (struct sim_node){.used = false};
}

/* Marks what a directory leads to; true when something of it was not marked before. */
static bool mark_folder(const struct sim_folder *folder, bool *marks)
{
    bool more = false;
    for (uint32_t n = 0; n < folder->cache.count; n++) {
        more = more || !marks[folder->cache.list[n].node];
        marks[folder->cache.list[n].node] = true;
    }
    for (uint32_t n = 0; n < folder->durable.count; n++) {
        more = more || !marks[folder->durable.list[n].node];
        marks[folder->durable.list[n].node] = true;
    }
    for (uint32_t n = 0; n < folder->change_count; n++) {
        more = more || !marks[folder->changes[n].node];
        marks[folder->changes[n].node] = true;
    }
    return more;
}

/* Marks what names lead to from what is marked. */
static void mark_named(const struct sim_disk *disk, bool *marks)
{
    for (bool more = true; more;) {
        more = false;
        for (uint32_t n = 0; n < disk->node_count; n++) {
            if (marks[n] && disk->nodes[n].is_folder) {
                more = mark_folder(&disk->nodes[n].folder, marks) || more;
            }
        }
    }
}

/* Marks what is open; true when only its handle keeps something, which will be garbage then. */
static bool mark_open(const struct sim_disk *disk, bool *marks)
{
    bool only_open = false;
    for (uint32_t n = 0; n < SIM_HANDLES_MAX; n++) {
        if (disk->handles[n].open) {
            only_open = only_open || !marks[disk->handles[n].node];
            marks[disk->handles[n].node] = true;
        }
    }
    return only_open;
}

void sim_disk_collect_garbage(struct sim_disk *disk)
{
    if (!disk->has_garbage) {
        return;
    }
    bool *marks = calloc(disk->node_count, sizeof(*marks));
    CHECK(marks != NULL);
    marks[SIM_ROOT] = true;
    mark_named(disk, marks);
    disk->has_garbage = mark_open(disk, marks);
    mark_named(disk, marks);
    for (uint32_t n = 0; n < disk->node_count; n++) {
        if (disk->nodes[n].used && !marks[n]) {
            free_node(&disk->nodes[n]);
        }
    }
    free(marks);
}

uint64_t sim_disk_used_bytes(const struct sim_disk *disk)
{
    uint64_t used = 0;
    for (uint32_t n = 0; n < disk->node_count; n++) {
        uint64_t blocks = (disk->nodes[n].file.cache_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
        used += blocks * BLOCK_BYTES;
    }
    return used;
}

/* --- life --- */

struct sim_disk *
sim_disk_create(struct choice *choice, uint64_t capacity, const struct sim_disk_hooks *hooks)
{
    CHECK(hooks->wall_us != NULL);
    CHECK(hooks->die != NULL);
    struct sim_disk *disk = calloc(1, sizeof(*disk));
    if (disk == NULL) {
        return NULL;
    }
    disk->luck.choice = choice;
    disk->hooks = *hooks;
    sim_disk_set_capacity(disk, capacity);
    CHECK(sim_disk_new_node(disk, true, "") == SIM_ROOT);
    disk->handles[SIM_ROOT] = (struct sim_handle){.open = true, .mode = DISK_FOLDER};
    return disk;
}

void sim_disk_destroy(struct sim_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    for (uint32_t n = 0; n < disk->node_count; n++) {
        free_node(&disk->nodes[n]);
    }
    free(disk->nodes);
    free(disk);
}

struct sim_disk *sim_disk_copy(const struct sim_disk *disk,
                               struct choice *choice,
                               const struct sim_disk_hooks *hooks)
{
    struct sim_disk *copy = sim_copy_of(disk, sizeof(*disk));
    copy->luck.choice = choice;
    copy->hooks = *hooks;
    copy->nodes = sim_copy_of(disk->nodes, disk->node_capacity * sizeof(*disk->nodes));
    for (uint32_t n = 0; n < disk->node_count; n++) {
        sim_file_copy(&copy->nodes[n].file, &disk->nodes[n].file);
        sim_folder_copy(&copy->nodes[n].folder, &disk->nodes[n].folder);
    }
    return copy;
}

int sim_disk_root(struct sim_disk *disk)
{
    CHECK(disk->handles[SIM_ROOT].open);
    return SIM_ROOT;
}

void sim_disk_set_weather(struct sim_disk *disk, const struct sim_disk_weather *weather)
{
    disk->luck.weather = *weather;
}

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t capacity)
{
    CHECK(capacity <= SIM_FILE_BYTES_MAX);
    disk->capacity = capacity;
}

void sim_disk_process_died(struct sim_disk *disk)
{
    for (uint32_t n = 0; n < SIM_HANDLES_MAX; n++) {
        disk->handles[n].open = n == SIM_ROOT;
    }
    disk->has_garbage = true;
    sim_disk_collect_garbage(disk);
}

void sim_disk_power_cut(struct sim_disk *disk)
{
    for (uint32_t n = 0; n < disk->node_count; n++) {
        struct sim_node *node = &disk->nodes[n];
        if (node->used && node->is_folder) {
            sim_folder_power_cut(&node->folder, &disk->luck);
        } else if (node->used) {
            sim_file_power_cut(&node->file, &disk->luck);
        }
    }
    sim_disk_process_died(disk);
}

uint64_t sim_disk_fault_count(const struct sim_disk *disk, enum disk_fault fault)
{
    CHECK(fault < FAULT_KINDS);
    return disk->luck.counts[fault];
}

size_t sim_disk_open_count(const struct sim_disk *disk)
{
    size_t count = 0;
    for (uint32_t n = 0; n < SIM_HANDLES_MAX; n++) {
        count += disk->handles[n].open && n != SIM_ROOT;
    }
    return count;
}

void sim_disk_validate(const struct sim_disk *disk)
{
    CHECK(disk->handles[SIM_ROOT].open);
    CHECK(disk->handles[SIM_ROOT].node == SIM_ROOT);
    for (uint32_t n = 0; n < SIM_HANDLES_MAX; n++) {
        CHECK(!disk->handles[n].open || disk->handles[n].node < disk->node_count);
        CHECK(!disk->handles[n].open || disk->nodes[disk->handles[n].node].used);
    }
    for (uint32_t n = 0; n < disk->node_count; n++) {
        const struct sim_node *node = &disk->nodes[n];
        CHECK(node->used || node->file.room_bytes == 0);
        CHECK(!node->is_folder || node->file.room_bytes == 0);
        CHECK(node->is_folder || node->folder.cache.count == 0);
        sim_file_validate(&node->file);
        sim_folder_validate(&node->folder);
        for (uint32_t i = 0; i < node->folder.cache.count; i++) {
            CHECK(disk->nodes[node->folder.cache.list[i].node].used);
        }
    }
}

/* --- for tests and damage on purpose --- */

/* The names below "" (the root) or a directory of it; NULL: there is no such directory. */
static const struct sim_names *names_of(const struct sim_disk *disk, const char *folder)
{
    const struct sim_names *root = &disk->nodes[SIM_ROOT].folder.cache;
    if (folder[0] == '\0') {
        return root;
    }
    const struct sim_name *found = sim_names_find(root, folder);
    bool is_folder = found != NULL && disk->nodes[found->node].is_folder;
    return is_folder ? &disk->nodes[found->node].folder.cache : NULL;
}

static struct sim_file *file_of(const struct sim_disk *disk, const char *folder, const char *name)
{
    const struct sim_names *names = names_of(disk, folder);
    const struct sim_name *found = names == NULL ? NULL : sim_names_find(names, name);
    bool is_file = found != NULL && !disk->nodes[found->node].is_folder;
    return is_file ? &disk->nodes[found->node].file : NULL;
}

size_t sim_disk_name_count(const struct sim_disk *disk, const char *folder)
{
    const struct sim_names *names = names_of(disk, folder);
    return names == NULL ? 0 : names->count;
}

const char *sim_disk_name(const struct sim_disk *disk, const char *folder, size_t index)
{
    const struct sim_names *names = names_of(disk, folder);
    CHECK(names != NULL);
    CHECK(index < names->count);
    return names->list[index].text;
}

const uint8_t *
sim_disk_content(const struct sim_disk *disk, const char *folder, const char *name, uint64_t *bytes)
{
    static const uint8_t nothing[1];
    const struct sim_file *file = file_of(disk, folder, name);
    *bytes = file == NULL ? 0 : file->cache_bytes;
    if (file == NULL) {
        return NULL;
    }
    return file->cache == NULL ? nothing : file->cache;
}

void sim_disk_rot(struct sim_disk *disk,
                  const char *folder,
                  const char *name,
                  uint64_t offset,
                  struct bytes bytes)
{
    struct sim_file *file = file_of(disk, folder, name);
    CHECK(file != NULL);
    if (sim_file_damage(file, offset, bytes)) {
        luck_count(&disk->luck, FAULT_ROT);
    }
}

void sim_disk_restore_pristine(struct sim_disk *disk)
{
    for (uint32_t n = 0; n < disk->node_count; n++) {
        sim_file_restore(&disk->nodes[n].file);
    }
}
