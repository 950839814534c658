/* The feed: what a partition has to tell, kept in the order in which it was decided, so that anybody
 * may read on from where they were. A part of the state: a replay or a snapshot gives the same feed.
 *
 *   place of a note:  (pulse ordinal, partition, number within that pulse), which orders the notes of
 *                     all partitions; a cursor is such a place and means "all up to here".
 *
 * Notes are kept up to a budget of bytes and for `keep_us` of the engine's clock; the oldest go first,
 * and `forgotten` says up to where, so that a reader who comes too late is told. Every 64th entry is a
 * mark; marks are a list of their own, so that a reader's place is found in a few steps.
 *
 *   note:  u8 kind, i64 clock of the pulse, u64 position of the pulse, u8 flags, u32 rule (id; 0: an
 *          explicit timeout), u32 generation, i64 deadline, i64 started, i64 last seen, i64 fired
 *          (retracted and completed late only), string rule name, string key, string data
 *
 * Invariants:
 *  1. Places rise strictly from `first` to `last`; forgotten < first, last <= newest; no place is given
 *     twice, even if its note was forgotten within the same pulse.
 *  2. bytes = what the entries take of the heap <= budget, but for a single note larger than it.
 *  3. The first entry's mark or the next one behind it is `first_mark`; no 64 entries follow each other
 *     without a mark. */
#pragma once

#include "base/heap.h"
#include "base/stream.h"
#include "model/clock.h"

enum note_kind {
    NOTE_TIMEOUT_FIRED = 1,
    NOTE_TIMEOUT_RETRACTED = 2,
    NOTE_TIMEOUT_COMPLETED_LATE = 3,
    NOTE_ENGINE_LAGGING = 4, /* the engine can't conclude anything from silence, or can again */
};

enum note_flags {
    NOTE_BORN_LATE = 1, /* the deadline had passed when it was armed */
    NOTE_BY_EVENTS = 2, /* deadline and started are event times, else of the engine's clock */
    NOTE_SILENCE = 4,   /* of a SILENCE rule */
    NOTE_HOLDING = 8,   /* of the engine: it began; else it is over */
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
    uint32_t generation; /* of a rule's instance: 0; of the engine: why, as pulse flags */
    int64_t deadline;
    int64_t started;
    int64_t last_seen;
    struct clock_time fired; /* retracted, completed late: the firing that it is about */
    struct bytes rule_name;
    struct bytes key;
    struct bytes data; /* JSON text or empty */
};

struct feed_entry {
    struct feed_entry *next;
    struct feed_entry *next_mark; /* of a mark: the one behind it */
    uint64_t ordinal;
    uint32_t number; /* 1, 2, 3, ... within the pulse */
    uint32_t len;
    int64_t clock_us;
    uint8_t bytes[]; /* the note */
};

#define FEED_READ 8

struct feed_options {
    uint32_t partition;
    size_t budget_bytes;
    int64_t keep_us;
};

struct feed {
    struct heap *heap;
    struct feed_options options;
    size_t bytes;
    uint64_t count;
    uint64_t forgotten_count;    /* ever */
    uint64_t lost;               /* no memory even after forgetting: should stay 0 */
    struct feed_place newest;    /* the last one that was given, kept or not; ordinal 0: none */
    struct feed_place forgotten; /* the last one that was given up; ordinal 0: none */
    struct feed_entry *first;
    struct feed_entry *last;
    struct feed_entry *first_mark;
    struct feed_entry *last_mark;
    uint32_t since_mark; /* entries behind the last mark */
    const struct feed_entry
        *read[FEED_READ]; /* marks that readers came to: most go on from there */
    uint32_t read_next;   /* of them: which is given up next */
};

void feed_init(struct feed *feed, struct heap *heap, struct feed_options options);

/* Adds a note decided at this pulse (ordinal >= 1, never less than before). */
void feed_add(struct feed *feed, uint64_t ordinal, const struct note *note);

/* Gives up what is older than keep_us. */
void feed_expire(struct feed *feed, struct clock_time now);

/* The first entry behind a place; NULL: none. Its `next` lead on, until the feed changes.
 * O(entries / 64), and O(1) for one of few readers that go on where they were. A reader whose place is
 * before `forgotten` has missed something. */
const struct feed_entry *feed_after(struct feed *feed, struct feed_place place);

/* Where an entry stands, as a cursor. */
struct feed_place feed_place_of(const struct feed *feed, const struct feed_entry *entry);

static inline struct bytes feed_entry_bytes(const struct feed_entry *entry)
{
    return bytes_of(entry->bytes, entry->len);
}

/* Slices of the note point into `encoded`. False when the bytes are no note. */
bool note_read(struct bytes encoded, struct note *note);

void feed_save(const struct feed *feed, struct writer *out);
/* Into a feed that was just initialised; with a smaller budget the oldest notes are forgotten. */
bool feed_load(struct feed *feed, struct loader *in);

/* CHECKs the invariants; O(entries). For tests and the simulator. */
void feed_validate(const struct feed *feed);
