/* The machine's disk behind ports/disk.h, and the lock that makes a data directory one process's. */
#pragma once

#include "base/err.h"
#include "ports/disk.h"

struct disk_port disk_system_port(void);

/* Opens the data directory `path` (borrowed). `create`: its last component is made when it is
 * missing, durably. On failure error->text names the path, and nothing is open. */
enum err disk_system_open(const char *path,
                          bool create,
                          struct disk_folder *folder,
                          struct error *error) MUST_CHECK;

/* Nothing happens when it is closed already (handle -1). */
void disk_system_close(struct disk_folder *folder);

/* Takes the directory for this process by flock on its file LOCK, which then holds the process's
 * id. ERR_CONFLICT with "in use by pid N" when another has it, after a moment (200 ms; 2 s when that
 * one is gone, and only a forked copy of it is left) in which it may end. It lasts until *lock, a
 * file descriptor, is closed. */
enum err
disk_system_lock(const struct disk_folder *folder, int *lock, struct error *error) MUST_CHECK;
