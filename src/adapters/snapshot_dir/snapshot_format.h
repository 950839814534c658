/* The bytes of a snapshot file (docs/formats/snapshot.md). Pure functions. */
#pragma once

#include "base/err.h"

#define SNAPSHOT_BLOCK_BYTES  (1024u * 1024u) /* content of a full block */
#define SNAPSHOT_HEADER_BYTES 16u             /* before each block */
#define SNAPSHOT_FOOTER_BYTES 64u
#define SNAPSHOT_NAME_BYTES   32
#define SNAPSHOT_VERSION      4u

struct snapshot_footer {
    uint32_t version;
    uint32_t block_count;
    uint64_t position;
    uint64_t content_bytes;
    uint64_t hash; /* over the hashes of all blocks, in order */
};

/* The hash of one block: bound to its snapshot and its place in it. */
uint64_t snapshot_block_hash(struct bytes content, uint64_t position, uint32_t index);

/* The footer's hash, one block further. Begin with 0. */
uint64_t snapshot_hash_add(uint64_t hash, uint64_t block_hash);

void snapshot_header_encode(uint8_t out[SNAPSHOT_HEADER_BYTES], uint32_t len, uint64_t hash);

/* False when the length is impossible or reserved bytes are set. */
bool snapshot_header_decode(const uint8_t in[SNAPSHOT_HEADER_BYTES], uint32_t *len, uint64_t *hash);

void snapshot_footer_encode(uint8_t out[SNAPSHOT_FOOTER_BYTES],
                            const struct snapshot_footer *footer);

/* False when it is no footer, damaged, or of another version: footer->version says which then, and
 * is 0 in the other cases. */
bool snapshot_footer_decode(const uint8_t in[SNAPSHOT_FOOTER_BYTES],
                            struct snapshot_footer *footer);

/* "snap-00000000000000065536" */
void snapshot_name(char name[SNAPSHOT_NAME_BYTES], uint64_t position);
bool snapshot_parse_name(const char *name, uint64_t *position);
