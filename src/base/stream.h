/* Bytes going out and coming in, in pieces: what snapshots and digests are written through.
 *
 * A writer gathers small writes in a buffer of its owner's and flushes whole pieces; a loader reads
 * exact lengths and remembers the first failure, so that a decoder reads straight on and checks
 * once. */
#pragma once

#include "base/bytes.h"

struct writer {
    struct buf buf;
    void (*flush)(void *ctx, struct bytes part);
    void *ctx;
    bool digest; /* only a digest is wanted: order-free sums may stand for unordered sets */
};

/* The buffer with room for at least `need` bytes (need <= its capacity). */
struct buf *writer_room(struct writer *writer, size_t need);

/* Any length. */
void writer_put(struct writer *writer, struct bytes part);
void writer_flush(struct writer *writer);

void write_u32(struct writer *writer, uint32_t value);
void write_u64(struct writer *writer, uint64_t value);
void write_i64(struct writer *writer, int64_t value);
void write_string(struct writer *writer, struct bytes text); /* u32 length, bytes */

struct loader {
    bool (*read)(void *ctx, void *into, size_t len);
    void *ctx;
    bool bad;
};

/* Zeros (and bad) when the input ends. */
void load_bytes(struct loader *loader, void *into, size_t len);
uint8_t load_u8(struct loader *loader);
uint32_t load_u32(struct loader *loader);
uint64_t load_u64(struct loader *loader);
int64_t load_i64(struct loader *loader);
