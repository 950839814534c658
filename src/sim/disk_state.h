/* What the simulated disk holds; known to disk.c and disk_port.c only. */
#pragma once

#include "sim/disk_file.h"
#include "sim/disk_folder.h"

#define SIM_HANDLES_MAX 256
#define SIM_ROOT        0 /* the root directory: its node, and its handle */

/* A file or a directory, under however many names. */
struct sim_node {
    bool used;
    bool is_folder;
    char name[SIM_NAME_BYTES]; /* the last it had, for the hooks */
    int64_t written_us;
    struct sim_file file;
    struct sim_folder folder;
};

struct sim_handle {
    bool open;
    unsigned int mode; /* enum disk_open */
    uint32_t node;
};

struct sim_disk {
    struct sim_luck luck;
    struct sim_disk_hooks hooks;
    uint64_t capacity;
    uint64_t random_count;
    bool has_garbage; /* there may be a node that nothing leads to */
    struct sim_node *nodes;
    uint32_t node_count; /* with the unused */
    uint32_t node_capacity;
    struct sim_handle handles[SIM_HANDLES_MAX];
};

/* A new node, under no name yet. Pointers to nodes end here. */
uint32_t sim_disk_new_node(struct sim_disk *disk, bool is_folder, const char *name);

/* Frees the nodes that no name, no change of names and no handle leads to. */
void sim_disk_collect_garbage(struct sim_disk *disk);

/* What all files take: their sizes, holes too, in blocks of 4 KiB. */
uint64_t sim_disk_used_bytes(const struct sim_disk *disk);
