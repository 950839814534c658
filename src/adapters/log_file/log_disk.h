/* The few system calls of the log, with their retries. */
#pragma once

#include "base/bytes.h"

#include <sys/types.h>
#include <sys/uio.h>

/* Reads len bytes at the offset, fewer only at the end of the file; -1 on a read error. */
ssize_t disk_read(int fd, void *into, size_t len, uint64_t offset);

/* Writes all parts (at most 4; changed on the way), retrying EINTR, EAGAIN and short writes. False
 * with errno set on any other failure, or when a write makes no progress. */
bool disk_write(int fd, struct iovec *parts, int part_count, uint64_t offset);

/* fdatasync; a failure of it is final, never retried. */
bool disk_sync(int fd);

/* The log can no longer promise anything: one line on stderr, and the process ends (exit 74). */
_Noreturn void disk_failed(const char *what, const char *file);

/* Acknowledged bytes can't be read back while running: one line, and the process ends (exit 75). */
_Noreturn void disk_damaged(const char *what, const char *file, uint64_t position);

/* Creates a directory (mode 0700) unless it exists, and syncs its parent. */
bool disk_make_directory(int parent_fd, const char *name);

/* Salt and the like. Ends the process when the system has none. */
void disk_random(void *into, size_t len);
