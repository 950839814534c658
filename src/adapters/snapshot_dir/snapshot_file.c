/* Writing and reading one snapshot file.
 *
 * The writer syncs every few MiB: one large sync at the end would fill the disk's queue and stall
 * the log's commits for as long as it takes. */
#include "adapters/snapshot_dir/snapshot_file.h"

#include "base/check.h"
#include "base/failpoint.h"

#include <errno.h>
#include <string.h>

#define SYNC_EVERY_BYTES (4u * 1024u * 1024u)

static bool again(void)
{
    return errno == EINTR || errno == EAGAIN;
}

static bool
write_all(const struct snapshot_file *file, const uint8_t *data, size_t len, uint64_t offset)
{
    const struct disk_port *disk = file->disk;
    size_t done = 0;
    while (done < len) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)(data + done), .iov_len = len - done};
        ssize_t n = disk->files->write(disk->ctx, file->handle, &part, 1, offset + done);
        if (n < 0 && again()) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static bool read_all(const struct snapshot_file *file, uint8_t *into, size_t len, uint64_t offset)
{
    const struct disk_port *disk = file->disk;
    size_t done = 0;
    while (done < len) {
        ssize_t n =
            disk->files->read(disk->ctx, file->handle, into + done, len - done, offset + done);
        if (n < 0 && again()) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static bool sync_file(const struct snapshot_file *file)
{
    return file->disk->files->sync(file->disk->ctx, file->handle);
}

void snapshot_writer_init(struct snapshot_writer *writer,
                          const struct snapshot_file *file,
                          uint8_t *buffer,
                          uint64_t position)
{
    CHECK(file->handle >= 0 && buffer != NULL);
    *writer = (struct snapshot_writer){.file = *file, .buffer = buffer, .position = position};
}

static void flush_block(struct snapshot_writer *writer)
{
    CHECK(writer->len > 0 && writer->len <= SNAPSHOT_BLOCK_BYTES);
    struct bytes content = bytes_of(writer->buffer + SNAPSHOT_HEADER_BYTES, writer->len);
    uint64_t hash = snapshot_block_hash(content, writer->position, writer->block_count);
    snapshot_header_encode(writer->buffer, (uint32_t)content.len, hash);
    size_t size = SNAPSHOT_HEADER_BYTES + content.len;
    bool kept = write_all(&writer->file, writer->buffer, size, writer->offset);
    FAILPOINT(SNAPSHOT_BLOCK_WRITTEN);
    writer->offset += size;
    writer->unsynced += size;
    if (kept && writer->unsynced >= SYNC_EVERY_BYTES) {
        kept = sync_file(&writer->file);
        writer->unsynced = 0;
    }
    writer->failed = writer->failed || !kept;
    writer->hash = snapshot_hash_add(writer->hash, hash);
    writer->content_bytes += content.len;
    writer->block_count++;
    writer->len = 0;
}

void snapshot_writer_put(struct snapshot_writer *writer, struct bytes part)
{
    while (part.len > 0 && !writer->failed) {
        size_t room = SNAPSHOT_BLOCK_BYTES - writer->len;
        size_t len = part.len < room ? part.len : room;
        memcpy(writer->buffer + SNAPSHOT_HEADER_BYTES + writer->len, part.data, len);
        writer->len += len;
        part = bytes_of(part.data + len, part.len - len);
        if (writer->len == SNAPSHOT_BLOCK_BYTES) {
            flush_block(writer);
        }
    }
}

bool snapshot_writer_finish(struct snapshot_writer *writer)
{
    if (!writer->failed && writer->len > 0) {
        flush_block(writer);
    }
    if (writer->failed) {
        return false;
    }
    uint8_t footer[SNAPSHOT_FOOTER_BYTES];
    snapshot_footer_encode(footer,
                           &(struct snapshot_footer){.version = SNAPSHOT_VERSION,
                                                     .block_count = writer->block_count,
                                                     .position = writer->position,
                                                     .content_bytes = writer->content_bytes,
                                                     .hash = writer->hash});
    return write_all(&writer->file, footer, sizeof footer, writer->offset) &&
           sync_file(&writer->file);
}

static void rewind_reader(struct snapshot_reader *reader)
{
    reader->next_block = 0;
    reader->offset = 0;
    reader->len = 0;
    reader->used = 0;
    reader->hash = 0;
    reader->content_bytes = 0;
}

/* Reads the next block into the buffer; false: it can't be proved. */
static bool read_block(struct snapshot_reader *reader)
{
    uint8_t header[SNAPSHOT_HEADER_BYTES];
    uint32_t len = 0;
    uint64_t hash = 0;
    bool last = reader->next_block + 1 == reader->footer.block_count;
    if (!read_all(&reader->file, header, sizeof header, reader->offset) ||
        !snapshot_header_decode(header, &len, &hash) || (!last && len != SNAPSHOT_BLOCK_BYTES) ||
        !read_all(&reader->file, reader->buffer, len, reader->offset + sizeof header)) {
        return false;
    }
    struct bytes content = bytes_of(reader->buffer, len);
    if (snapshot_block_hash(content, reader->footer.position, reader->next_block) != hash) {
        return false;
    }
    reader->hash = snapshot_hash_add(reader->hash, hash);
    reader->offset += sizeof header + len;
    reader->content_bytes += len;
    reader->next_block++;
    reader->len = len;
    reader->used = 0;
    return true;
}

/* All blocks have been read: together they are what the footer says. */
static bool is_whole(const struct snapshot_reader *reader)
{
    return reader->hash == reader->footer.hash &&
           reader->content_bytes == reader->footer.content_bytes;
}

/* The next block into the buffer, proved, the last one together with all; false at the end or on damage. */
static bool next_block(struct snapshot_reader *reader)
{
    uint32_t count = reader->footer.block_count;
    if (reader->damaged || reader->next_block == count) {
        return false;
    }
    reader->damaged = !read_block(reader) || (reader->next_block == count && !is_whole(reader));
    return !reader->damaged;
}

static bool read_footer(struct snapshot_reader *reader, uint64_t position)
{
    uint8_t footer[SNAPSHOT_FOOTER_BYTES];
    uint64_t size = reader->file.bytes;
    if (size < sizeof footer ||
        !read_all(&reader->file, footer, sizeof footer, size - sizeof footer) ||
        !snapshot_footer_decode(footer, &reader->footer)) {
        return false;
    }
    uint64_t blocks = (uint64_t)reader->footer.block_count * SNAPSHOT_HEADER_BYTES;
    return reader->footer.position == position && reader->footer.content_bytes <= size &&
           blocks + reader->footer.content_bytes + sizeof footer == size;
}

bool snapshot_reader_begin(struct snapshot_reader *reader,
                           const struct snapshot_file *file,
                           uint8_t *buffer,
                           uint64_t position)
{
    *reader = (struct snapshot_reader){.file = *file, .buffer = buffer};
    return read_footer(reader, position) && (reader->footer.block_count > 0 || is_whole(reader));
}

bool snapshot_reader_prove(struct snapshot_reader *reader)
{
    CHECK(reader->next_block == 0);
    while (next_block(reader)) {
    }
    rewind_reader(reader);
    return !reader->damaged;
}

bool snapshot_reader_read(struct snapshot_reader *reader, void *into, size_t len)
{
    uint8_t *at = into;
    while (len > 0) {
        if (reader->used == reader->len && !next_block(reader)) {
            return false;
        }
        size_t left = reader->len - reader->used;
        size_t take = len < left ? len : left;
        memcpy(at, reader->buffer + reader->used, take);
        reader->used += take;
        at += take;
        len -= take;
    }
    return true;
}
