/* The names in one simulated directory: the durable ones, those that are seen, and the changes that
 * lead from the ones to the others. */
#pragma once

#include "sim/disk_luck.h"

#define SIM_NAME_BYTES 128 /* with the 0 at its end */
#define SIM_NAMES_MAX  65536

struct sim_name {
    char text[SIM_NAME_BYTES];
    uint32_t node;
};

struct sim_names {
    struct sim_name *list;
    uint32_t count;
    uint32_t capacity;
};

enum name_change_kind { NAME_MADE, NAME_MOVED, NAME_REMOVED };

struct sim_name_change {
    enum name_change_kind kind;
    uint32_t node;
    char name[SIM_NAME_BYTES];
    char to[SIM_NAME_BYTES]; /* NAME_MOVED */
};

struct sim_folder {
    struct sim_names cache;
    struct sim_names durable;
    struct sim_name_change *changes; /* oldest first */
    uint32_t change_count;
};

void sim_folder_free(struct sim_folder *folder);
void sim_folder_copy(struct sim_folder *to, const struct sim_folder *from);

/* The entry, or NULL. */
const struct sim_name *sim_names_find(const struct sim_names *names, const char *text);

/* The name must not be there (make), must be there (move, remove); `to` is replaced. */
void sim_folder_make(struct sim_folder *folder, const char *name, uint32_t node);
void sim_folder_move(struct sim_folder *folder, const char *from, const char *to);
void sim_folder_remove(struct sim_folder *folder, const char *name);

void sim_folder_sync(struct sim_folder *folder);
void sim_folder_power_cut(struct sim_folder *folder, struct sim_luck *luck);

/* CHECKs that all changes lead from the durable names to those that are seen. */
void sim_folder_validate(const struct sim_folder *folder);
