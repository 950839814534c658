/* The frame walk and the frontier scan.
 *
 * Invariants of a walk:
 *  1. Bytes [from, from + filled) of the log are in the buffer; none at or above a limit ever is.
 *  2. A frame is returned only if its header is valid under the salt, stands at its own position,
 *     continues the chain, and its body has the hash that the header names.
 *  3. After LOG_WALK_BAD the walk stands where it stood; calling again looks again. */
#include "adapters/log_file/log_walk.h"

#include "adapters/log_file/log_disk.h"
#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (1024u * 1024u)

void log_walk_init(struct log_walk *walk, const struct disk_port *disk)
{
    *walk = (struct log_walk){.disk = disk, .file = -1};
}

void log_walk_deinit(struct log_walk *walk)
{
    free(walk->buffer);
    *walk = (struct log_walk){.file = -1};
}

void log_walk_enter(struct log_walk *walk, int file, const struct log_segment_header *header)
{
    CHECK(file >= 0);
    CHECK(header->base % LOG_BLOCK == 0);
    walk->file = file;
    walk->base = header->base;
    walk->salt = header->salt;
    walk->position = header->base;
    walk->seq = header->first_seq;
    walk->prev_hash = header->prev_hash;
    walk->chained = true;
    walk->filled = 0;
    walk->problem = NULL;
}

void log_walk_seek(struct log_walk *walk, uint64_t position)
{
    CHECK(position >= walk->base && position % LOG_BLOCK == 0);
    walk->position = position;
    walk->chained = position == walk->base;
    CHECK(!walk->chained || walk->file >= 0);
}

void log_walk_reread(struct log_walk *walk, int file)
{
    CHECK(file >= 0);
    walk->file = file;
    walk->filled = 0;
}

static bool grow(struct log_walk *walk, size_t need)
{
    if (need <= walk->capacity) {
        return true;
    }
    size_t capacity = walk->capacity < PIECE_BYTES ? PIECE_BYTES : walk->capacity;
    while (capacity < need) {
        capacity *= 2;
    }
    uint8_t *buffer = aligned_alloc(LOG_BLOCK, capacity);
    if (buffer == NULL) {
        return false;
    }
    free(walk->buffer);
    walk->buffer = buffer;
    walk->capacity = capacity;
    walk->filled = 0;
    return true;
}

/* Sees to it that `len` bytes at walk->position are buffered. */
static enum log_walk_result fill(struct log_walk *walk, size_t len, uint64_t limit)
{
    if (limit - walk->position < len) {
        walk->problem = "the frame is cut off";
        return LOG_WALK_BAD;
    }
    if (walk->filled > 0 && walk->position >= walk->from &&
        walk->position + len <= walk->from + walk->filled) {
        return LOG_WALK_FRAME;
    }
    if (!grow(walk, len)) {
        walk->problem = "there is no memory to read it";
        return LOG_WALK_NO_MEMORY;
    }
    size_t want = walk->capacity;
    if (limit - walk->position < want) {
        want = (size_t)(limit - walk->position);
    }
    walk->filled = 0;
    walk->from = walk->position;
    ssize_t n = disk_read(
        walk->disk, walk->file, walk->buffer, want, LOG_BLOCK + walk->position - walk->base);
    if (n < 0) {
        walk->problem = "the file can't be read";
        return LOG_WALK_FAILED;
    }
    walk->filled = (size_t)n;
    if (walk->filled < len) {
        walk->problem = "the file ends here";
        return LOG_WALK_BAD;
    }
    return LOG_WALK_FRAME;
}

static const char *header_problem(const struct log_walk *walk,
                                  const struct log_frame_header *header)
{
    if (header->position != walk->position) {
        return "a frame of another position stands here";
    }
    if (walk->chained && header->seq != walk->seq) {
        return "a frame is missing before this one";
    }
    if (walk->chained && header->prev_hash != walk->prev_hash) {
        return "the frame before this one is not the one it followed";
    }
    return NULL;
}

enum log_walk_result log_walk_next(struct log_walk *walk, uint64_t limit)
{
    CHECK(walk->position <= limit);
    if (walk->position == limit) {
        return LOG_WALK_END;
    }
    enum log_walk_result result = fill(walk, LOG_BLOCK, limit);
    if (result != LOG_WALK_FRAME) {
        return result;
    }
    struct log_frame_header header;
    if (!log_frame_decode(walk->buffer + (walk->position - walk->from), walk->salt, &header)) {
        walk->problem = "no valid frame header";
        return LOG_WALK_BAD;
    }
    walk->problem = header_problem(walk, &header);
    if (walk->problem != NULL) {
        return LOG_WALK_BAD;
    }
    uint64_t size = log_frame_bytes(header.body_len);
    result = fill(walk, (size_t)size, limit);
    if (result != LOG_WALK_FRAME) {
        return result;
    }
    const uint8_t *at = walk->buffer + (walk->position - walk->from);
    struct bytes body = bytes_of(at + LOG_FRAME_HEADER, header.body_len);
    if (log_body_hash(body, walk->salt) != header.body_hash) {
        walk->problem = "the body does not have its hash";
        return LOG_WALK_BAD;
    }
    walk->frame = header;
    walk->body = body;
    walk->position += size;
    walk->seq = header.seq + 1;
    walk->prev_hash = log_frame_hash(at, walk->salt);
    walk->chained = true;
    return LOG_WALK_FRAME;
}

static bool block_is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, LOG_BLOCK - 1) == 0;
}

static void scan_blocks(struct log_frontier *found,
                        const uint8_t *blocks,
                        size_t block_count,
                        uint64_t position,
                        uint64_t salt)
{
    for (size_t i = 0; i < block_count; i++, position += LOG_BLOCK) {
        const uint8_t *block = blocks + i * LOG_BLOCK;
        struct log_frame_header header;
        if (log_frame_decode(block, salt, &header) && header.position == position) {
            found->durable_to =
                header.durable_to > found->durable_to ? header.durable_to : found->durable_to;
            found->first_valid = position < found->first_valid ? position : found->first_valid;
        }
        if (!block_is_zero(block)) {
            found->data_end = position + LOG_BLOCK;
        }
    }
}

/* The next block that may hold data; holes and unwritten extents read as zeros and are skipped.
 * False: nothing but zeros is left. */
static bool skip_hole(const struct disk_port *disk, int file, uint64_t *offset)
{
    int64_t data = disk->files->next_data(disk->ctx, file, *offset);
    if (data < 0) {
        return errno != ENXIO; /* else it is not known here: reading finds out */
    }
    *offset = (uint64_t)data / LOG_BLOCK * LOG_BLOCK;
    return true;
}

struct log_frontier log_scan_frontier(const struct disk_port *disk,
                                      int file,
                                      const struct log_segment_header *header,
                                      uint64_t position)
{
    CHECK(position >= header->base && position % LOG_BLOCK == 0);
    struct log_frontier found = {.first_valid = UINT64_MAX, .data_end = position};
    uint8_t *piece = aligned_alloc(LOG_BLOCK, PIECE_BYTES);
    uint64_t offset = LOG_BLOCK + position - header->base;
    found.read_failed = piece == NULL;
    while (!found.read_failed && skip_hole(disk, file, &offset)) {
        ssize_t n = disk_read(disk, file, piece, PIECE_BYTES, offset);
        found.read_failed = n < 0;
        if (n < (ssize_t)LOG_BLOCK) {
            break; /* what is no whole block is no part of the log */
        }
        size_t blocks = (size_t)n / LOG_BLOCK;
        scan_blocks(&found, piece, blocks, header->base + offset - LOG_BLOCK, header->salt);
        offset += blocks * LOG_BLOCK;
    }
    free(piece);
    return found;
}
