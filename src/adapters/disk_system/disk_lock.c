/* The lock of a data directory: an flock on data_dir/LOCK, gone with the process that holds it.
 *
 * It is no part of the disk port: between processes of one machine only the machine can judge.
 *
 * A process that writes snapshots is forked now and then, and the copy holds the lock as well until
 * it closed what is not its own, or saw that its parent is gone. So when the owner that LOCK names
 * does not exist any more, what is left of it is given a moment to end: who starts a killed process
 * again at once must not hear that it runs.
 *
 * LOCK may also name nobody (its owner's disk refused the note), or a process that ended but is not
 * waited for yet, or one that has got a former owner's id: then, too, there is a moment, a shorter
 * one where the process that is named exists. */
#include "adapters/disk_system/disk_system.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define OWNER_BYTES   16
#define LEFT_TURNS    200 /* of LEFT_PAUSE_MS: how long what is left of an owner may take to end */
#define NAMED_TURNS   20  /* the same, while a process with the owner's id exists */
#define LEFT_PAUSE_MS 10

static void read_owner(int fd, char owner[OWNER_BYTES])
{
    ssize_t n = pread(fd, owner, OWNER_BYTES - 1, 0);
    owner[n > 0 ? n : 0] = '\0';
    for (char *at = owner; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            *at = '\0';
            break;
        }
    }
}

/* Always as many bytes, over the former owner's: there is no moment without any. */
static bool write_owner(int fd)
{
    char owner[OWNER_BYTES];
    int len = snprintf(owner, sizeof owner, "%-*d\n", OWNER_BYTES - 2, (int)getpid());
    return pwrite(fd, owner, (size_t)len, 0) == len;
}

/* Whether a process has the id that the file names. */
static bool owner_exists(int fd)
{
    char owner[OWNER_BYTES];
    read_owner(fd, owner);
    long pid = strtol(owner, NULL, 10);
    return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

static bool take(int fd)
{
    bool taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
    for (int turn = 0; !taken && turn < (owner_exists(fd) ? NAMED_TURNS : LEFT_TURNS); turn++) {
        (void)poll(NULL, 0, LEFT_PAUSE_MS);
        taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
    }
    return taken;
}

enum err disk_system_lock(const struct disk_folder *folder, int *lock, struct error *error)
{
    int fd = openat(folder->handle, "LOCK", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        *error = (struct error){.code = ERR_UNAVAILABLE};
        (void)snprintf(error->text,
                       sizeof error->text,
                       "can't open %.100s/LOCK: %s",
                       folder->path,
                       strerrordesc_np(errno));
        return error->code;
    }
    if (!take(fd)) {
        char owner[OWNER_BYTES];
        read_owner(fd, owner);
        *error = (struct error){.code = ERR_CONFLICT};
        (void)snprintf(
            error->text, sizeof error->text, "%.100s is in use by pid %s", folder->path, owner);
        (void)close(fd);
        return error->code;
    }
    (void)write_owner(fd); /* a courtesy: on a bad disk the lock still holds */
    *lock = fd;
    return OK;
}
