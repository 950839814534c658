/* Memory that leaves for the disk when there is too much of it: a few regions of address space, each
 * with a budget, over one scratch file of the data directory.
 *
 *   region (address space)                 file: each chunk has its place, whether it was written or not
 *   | chunk 0 | chunk 1 | chunk 2 | ...     | 0 | 1 | 2 | ...
 *
 *                 written, and mapped from the file
 *     IN MEMORY ------------------------------------> ON DISK --+   looked at: the kernel reads it back;
 *     (anonymous)                                        ^      |   changed: a page of our own, which is
 *                                                        +------+   written again when the chunk's turn comes
 *
 * Who uses a region sees memory, nothing else: an address stays what it is, and what was written there is
 * there. The file is no part of what is durable: it has no name while it is open, and nobody reads it again.
 *
 * A copy of the process made by fork (a snapshot's writer) sees the regions as they were at the fork, as
 * long as it is told to spill_relieve: what was on disk then is not written anew before the copy ended.
 *
 * Invariants:
 *  1. A page is dropped only after its bytes are in the file; a write that fails leaves it in memory. When the
 *     kernel says later that it could not write what it had taken, the process ends: the log has all.
 *  2. Beyond `used_bytes` and in the chunk that they end in nothing is written. */
#pragma once

#include "base/err.h"
#include "ports/payloads.h"

#define SPILL_CHUNK_BYTES ((size_t)1 << 20)

struct spill;

struct spill_options {
    int folder; /* a descriptor of the data directory, only used in spill_open */
    uint32_t region_count;
    size_t region_bytes; /* address space of each; whole chunks */
    size_t budget_bytes; /* of memory, of each */
};

/* Regions of zeros. ERR_INTERNAL with *error when the file can't be made, or there is no address space
 * (errno ENOMEM). */
enum err spill_open(const struct spill_options *options,
                    struct spill **spill,
                    struct error *error) MUST_CHECK;
void spill_close(struct spill *spill);

/* Page-aligned. */
void *spill_region(const struct spill *spill, uint32_t number);

/* Takes a step towards the region's budget: at most one chunk is written. True: there are more steps to
 * take. `used_bytes`: how much of the region is in use, from its beginning. By the only thread that changes
 * the region; other threads may look at it meanwhile. `copied`: a copy of the process still reads it. Up to
 * a millisecond, when there is something to write. */
bool spill_relieve(struct spill *spill, uint32_t number, size_t used_bytes, bool copied);

/* There is too much, or something was ever written, which may come back by being looked at: spill_relieve is
 * to be called for a while when the work is done. Any thread. */
bool spill_is_needed(const struct spill *spill);

/* Sums over all regions. */
struct payload_port spill_port(const struct spill *spill);
