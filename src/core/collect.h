/* Tumbling windows over partitions: the state machine behind the embeddable library.
 *
 *     collect_ingest            collect_advance            collect_take, collect_release
 *          |                          |                              ^
 *          v                          v                              | lowest index first
 *     window [k*size, (k+1)*size) --- watermark >= end: ready -------+
 *
 * The watermark of the whole is the lowest of its partitions'. A window is ready when its end is
 * not above it. Timestamps have no unit here; a window is known by its index k = floor(time /
 * size), so that no time, however extreme, overflows.
 *
 * Invariants (collect_validate):
 *  1. The watermark is the minimum of all partitions' watermarks; none of them ever falls.
 *  2. No event was older than its partition's watermark when it came. So no window that is ready
 *     changes, and none is taken twice.
 *  3. used_bytes = the sum of what was asked of the memory <= limit_bytes.
 *  4. What is refused changes nothing. Taking a window needs no memory, so it can't fail.
 *  5. When empty windows are reported: no window held has an index below next_index. */
#pragma once

#include <stdbool.h>

#include "core/collect_event.h"

#define COLLECT_PARTITIONS_MAX ((size_t)1 << 20)

enum collect_outcome {
    COLLECT_OK,
    COLLECT_LATE,
    COLLECT_BACKWARDS,
    COLLECT_UNKNOWN_PARTITION,
    COLLECT_FULL,      /* the limit is reached */
    COLLECT_NO_MEMORY, /* the memory gave none, below the limit */
    COLLECT_INVALID,
};

/* Where memory comes from. `allocate` returns at least 16-byte aligned memory, or NULL; `release`
 * is told the size that was asked for. */
struct collect_memory {
    void *(*allocate)(void *ctx, size_t size_bytes);
    void (*release)(void *ctx, void *block, size_t size_bytes);
    void *ctx;
};

struct collect_settings {
    const uint32_t *partitions; /* ids, each once; borrowed */
    size_t partition_count;     /* 1 to COLLECT_PARTITIONS_MAX */
    int64_t window_size;        /* > 0 */
    size_t limit_bytes;
    bool report_empty;
};

struct collect_window {
    int64_t start;                     /* INT64_MIN when it would lie below */
    int64_t end;                       /* exclusive */
    const struct collect_event *first; /* by timestamp, then arrival; NULL when empty */
    size_t event_count;
};

struct collect;

/* No partition has a watermark yet: each is INT64_MIN. INVALID: the settings are out of range or
 * name a partition twice. *collect is set on OK only. */
enum collect_outcome collect_create(struct collect **collect,
                                    const struct collect_settings *settings,
                                    struct collect_memory memory);

/* Gives all memory back, also of a window that is taken. NULL is ignored. */
void collect_destroy(struct collect *collect);

/* Takes an event in; its data is copied. LATE: older than the partition's watermark. No window may
 * be taken. O(log windows + log partitions). */
enum collect_outcome collect_ingest(
    struct collect *collect, uint32_t partition, int64_t timestamp, const void *data, size_t len);

/* Nothing older than `timestamp` will come in this partition. BACKWARDS: it has gone further; the
 * same again is OK. No window may be taken. O(log partitions), however far it goes. */
enum collect_outcome
collect_advance(struct collect *collect, uint32_t partition, int64_t timestamp);

/* The lowest of all partitions'. */
int64_t collect_watermark(const struct collect *collect);

size_t collect_used_bytes(const struct collect *collect);

/* Whether collect_take would give a window. */
bool collect_ready(const struct collect *collect);

/* Takes the oldest window that is ready, or returns false. Its events are the caller's to read
 * until collect_release, which must come before anything else is asked of collect. */
bool collect_take(struct collect *collect, struct collect_window *window);
void collect_release(struct collect *collect);

/* CHECKs the invariants; O(everything held). No window may be taken. */
void collect_validate(const struct collect *collect);
