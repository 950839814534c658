/* The feed: what a partition has to tell, kept in the order in which it was decided, so that anybody
 * may read on from where they were. A part of the state: a replay or a snapshot gives the same feed.
 *
 *   place of a note:  (pulse ordinal, partition, number within that pulse), which orders the notes of
 *                     all partitions; a cursor is such a place and means "all up to here".
 *
 * Notes are kept up to a budget of bytes and for `keep_us` of the engine's clock; the oldest go first,
 * and `forgotten` says up to where, so that a reader who comes too late is told.
 *
 *   note:  u8 kind, i64 clock of the pulse, u64 position of the pulse, u8 flags, u32 rule (id; 0: an
 *          explicit timeout), u32 generation, i64 deadline, i64 started, i64 last seen,
 *          string rule name, string key, string data
 *
 * Invariants:
 *  1. Places rise strictly from `first` to `last`.
 *  2. bytes = sum of the entries' lengths and heads <= budget, but for a single note larger than it. */
#pragma once

#include "base/heap.h"
#include "base/stream.h"
#include "model/clock.h"

enum note_kind {
    NOTE_TIMEOUT_FIRED = 1,
    NOTE_TIMEOUT_RETRACTED = 2,
    NOTE_TIMEOUT_COMPLETED_LATE = 3,
    NOTE_ENGINE_LAGGING = 4, /* the engine can't conclude anything from silence now */
};

enum note_flags {
    NOTE_BORN_LATE = 1,   /* the deadline had passed when it was armed */
    NOTE_BY_EVENTS = 2,   /* deadline and started are event times, else of the engine's clock */
    NOTE_SILENCE = 4,     /* of a SILENCE rule */
};

struct feed_place {
    uint64_t ordinal;
    uint32_t partition;
    uint32_t number;
};

/* <0, 0, >0 */
int feed_place_compare(struct feed_place a, struct feed_place b);

struct note {
    enum note_kind kind;
    uint8_t flags;
    struct clock_time clock;
    uint64_t position;
    uint32_t rule;
    uint32_t generation; /* of a rule's instance: 0 */
    int64_t deadline;
    int64_t started;
    int64_t last_seen;
    struct bytes rule_name;
    struct bytes key;
    struct bytes data; /* JSON text or empty */
};

struct feed_entry {
    struct feed_entry *next;
    uint64_t ordinal;
    uint32_t number;
    uint32_t len;
    int64_t clock_us;
    uint8_t bytes[]; /* the note */
};

struct feed {
    struct heap *heap;
    size_t budget_bytes;
    int64_t keep_us;
    size_t bytes;
    uint64_t count;
    uint64_t lost;                    /* no memory even after forgetting: should stay 0 */
    struct feed_place forgotten;      /* the last one that was given up; ordinal 0: none */
    struct feed_entry *first;
    struct feed_entry *last;
    struct feed_entry *looked_up;     /* where the last read ended: the next goes on there */
};

void feed_init(struct feed *feed, struct heap *heap, size_t budget_bytes, int64_t keep_us);

/* Adds a note decided at this pulse. */
void feed_add(struct feed *feed, uint64_t ordinal, const struct note *note);

/* Gives up what is older than keep_us. */
void feed_expire(struct feed *feed, struct clock_time now);

/* The first entry behind a place; NULL: none. O(entries behind the place), O(1) when reading on. */
const struct feed_entry *feed_after(struct feed *feed, uint32_t partition, struct feed_place place);

bool note_read(struct bytes encoded, struct note *note);

void feed_save(const struct feed *feed, struct writer *out);
bool feed_load(struct feed *feed, uint32_t partition, struct loader *in);
void feed_validate(const struct feed *feed);
