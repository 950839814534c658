/* One snapshot file: written in blocks, verified, read back.
 *
 * Nothing here asks for more than files of the disk, and its buffer comes from the caller, because it
 * runs in a forked copy of a process with threads: only async-signal-safe calls may be made. */
#pragma once

#include "adapters/snapshot_dir/snapshot_format.h"
#include "ports/disk.h"

#define SNAPSHOT_BUFFER_BYTES (SNAPSHOT_HEADER_BYTES + SNAPSHOT_BLOCK_BYTES)

/* An open file; borrowed. */
struct snapshot_file {
    const struct disk_port *disk;
    int handle;
    uint64_t bytes; /* its size; not used by writers */
};

struct snapshot_writer {
    struct snapshot_file file;
    uint8_t *buffer; /* SNAPSHOT_BUFFER_BYTES */
    size_t len;      /* content gathered for the next block */
    uint64_t position;
    uint64_t offset;   /* in the file */
    uint64_t unsynced; /* bytes */
    uint64_t content_bytes;
    uint64_t hash;
    uint32_t block_count;
    bool failed;
};

void snapshot_writer_init(struct snapshot_writer *writer,
                          const struct snapshot_file *file,
                          uint8_t *buffer,
                          uint64_t position);
void snapshot_writer_put(struct snapshot_writer *writer, struct bytes part);

/* Writes the footer and syncs; false when this or anything before failed. */
bool snapshot_writer_finish(struct snapshot_writer *writer);

struct snapshot_reader {
    struct snapshot_file file;
    uint8_t *buffer; /* SNAPSHOT_BUFFER_BYTES */
    struct snapshot_footer footer;
    uint32_t next_block;
    uint64_t offset; /* of the next block in the file */
    size_t len;      /* content in the buffer ... */
    size_t used;     /* ... and how much of it was handed out */
    uint64_t hash;
    uint64_t content_bytes;
    bool damaged; /* a block could not be proved, or all together aren't what the footer says */
};

/* Proves the footer and the position, and stands at the beginning. False: reader->footer.version is not
 * SNAPSHOT_VERSION and not 0 when it is whole, but of that version. */
bool snapshot_reader_begin(struct snapshot_reader *reader,
                           const struct snapshot_file *file,
                           uint8_t *buffer,
                           uint64_t position);

/* Proves all blocks, and goes back to the beginning. */
bool snapshot_reader_prove(struct snapshot_reader *reader);

/* Exactly len bytes, proved; false at the end, or on damage: reader->damaged. */
bool snapshot_reader_read(struct snapshot_reader *reader, void *into, size_t len);
