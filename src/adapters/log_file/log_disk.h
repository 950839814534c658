/* Reads and writes of the log that end only when all is done or all is lost, and the log's two bad
 * ends. All else of the disk (ports/disk.h) is called as it is. */
#pragma once

#include "ports/disk.h"

/* Reads len bytes at the offset, fewer only at the end of the file; -1 on a read error. */
ssize_t disk_read(const struct disk_port *disk, int file, void *into, size_t len, uint64_t offset);

/* Writes all parts (at most 4; changed on the way), retrying EINTR, EAGAIN and short writes. False
 * with errno set on any other failure, or when a write makes no progress. */
bool disk_write(
    const struct disk_port *disk, int file, struct iovec *parts, int part_count, uint64_t offset);

/* A failure is final, never retried. */
bool disk_sync(const struct disk_port *disk, int file);

void disk_close(const struct disk_port *disk, int file);

/* The log can no longer promise anything: one line on stderr, and the process ends (exit 74). */
_Noreturn void disk_failed(const struct disk_port *disk, const char *what, const char *file);

/* Acknowledged bytes can't be read back while running: one line, and the process ends (exit 75). */
_Noreturn void
disk_damaged(const struct disk_port *disk, const char *what, const char *file, uint64_t position);
