/* A batch of events as one record: what a request's events become, once, on their way to the log,
 * and what live work and replay both read (docs/formats/records.md).
 *
 *   body:  0         8       16         24      28      32      36        40
 *          | arrival | base  | W before | count | rows  | words | steps   | rows | dictionary |
 * steps | | i64     | i64   | i64      | u32   | u32 B | u32 B | u32 B   |
 *
 *   row:        varint length of the rest, u8 partition, u8 flags (enum event_flags; 64: the time
 * is in ms; 128: content type application/json), zigzag time - base in us or ms, varint source
 * word, varint type word, string id, [varint content type word] [string subject] [string
 * extensions] data = the rest dictionary: u16 count, then strings: sources, types and content types
 * of this batch ("words") steps:      varint rows since the last step, varint how far W rises there
 *
 * The rows and the dictionary are written by the thread that parsed the request; `W before` and the
 * steps by the one that orders the log: they tell each row the watermark over all lanes that was in
 * force just before it, so lateness is decided per event whatever the batching.
 *
 * The partition of an event is a function of (source, id) and the directory's seed; it is stored,
 * so that a thread skips the rows of other threads' partitions without hashing. */
#pragma once

#include "model/event.h"
#include "model/record.h"

#define BATCH_HEADER_BYTES 40
#define BATCH_WORDS_MAX    4096
#define BATCH_ROW_OVERHEAD 64 /* a row is at most its texts plus this */

/* Identity of an event, 64 bits: equal for equal (source, id). Its source part is computed once per
 * word of a batch. */
uint64_t event_source_hash(struct bytes source, uint64_t seed);
uint64_t event_fingerprint(uint64_t source_hash, struct bytes id, uint64_t seed);

static inline uint32_t event_partition(uint64_t fingerprint, uint32_t partitions)
{
    return (uint32_t)(((fingerprint >> 32) * partitions) >> 32);
}

struct batch_word {
    struct bytes text; /* inside the batch's own memory */
    uint64_t hash;
};

/* Writes batches into caller's memory, one after the other. About 210 KiB: pool it. */
struct batch_writer {
    struct buf out;
    uint64_t seed;
    uint32_t partitions;
    size_t body_start; /* of the open batch; 0 = none open */
    int64_t base_time;
    uint32_t count;
    uint32_t word_count;
    size_t words_bytes;
    uint16_t slots[2 * BATCH_WORDS_MAX]; /* word number + 1, by hash; 0 = free */
    struct batch_word words[BATCH_WORDS_MAX];
    uint16_t word_slots[BATCH_WORDS_MAX]; /* where each word sits in slots */
};

/* Once per writer. */
void batch_writer_init(struct batch_writer *writer, uint64_t seed, uint32_t partitions);

/* The memory that the next records go to. A batch's texts (words) must stay readable until
 * batch_end: they are slices of the request. */
void batch_writer_reset(struct batch_writer *writer, void *memory, size_t cap);

void batch_begin(struct batch_writer *writer, struct clock_time arrival, struct event_time base);

/* Adds one event (its *_index members are ignored). False: the dictionary or the memory is full and
 * nothing was added; end this batch and begin another. */
bool batch_add(struct batch_writer *writer, const struct event *event);

/* Ends the open batch: a whole record stands in writer->out now. An empty batch is taken back. */
void batch_end(struct batch_writer *writer);

/* A batch being read. */
struct batch {
    struct clock_time arrival;
    int64_t base_time;
    int64_t watermark_before;
    uint32_t count;
    struct bytes rows;
    struct bytes dictionary;
    struct bytes steps;
};

/* False when the body is no batch. */
bool batch_open(struct bytes body, struct batch *batch);

/* Fills words[0..*count) with the dictionary; their hashes are 0: not known yet. */
bool batch_read_words(const struct batch *batch, struct batch_word *words, uint32_t *count);

/* Walks the rows with the watermark in force before each. */
struct batch_cursor {
    struct reader rows;
    struct reader steps;
    uint32_t row;       /* index of the next row */
    uint32_t next_step; /* row index at which W rises next; UINT32_MAX: never again */
    int64_t watermark;  /* before the row that was returned last */
    int64_t base_time;
};

void batch_cursor_init(struct batch_cursor *cursor, const struct batch *batch);

/* A row in its raw form; batch_row_event decodes the rest of it when it is wanted. */
struct batch_row {
    struct reader rest; /* after partition */
    uint32_t index;
    uint8_t partition;
};

bool batch_next_row(struct batch_cursor *cursor, struct batch_row *row);

/* The whole event; words as filled by batch_read_words. False when the row is damaged. */
bool batch_row_event(const struct batch *batch,
                     const struct batch_word *words,
                     uint32_t word_count,
                     const struct batch_row *row,
                     struct event *event);

/* Only the event time and the source's word, for tide. */
bool batch_row_time(const struct batch *batch,
                    const struct batch_row *row,
                    int64_t *time,
                    uint32_t *source_word);

/* How many bytes stamping may add to a batch of `count` rows, and the stamping itself, in place at
 * the end of `record` (a whole record with `steps` empty, as batch_end left it). */
struct batch_stamp {
    struct buf *out;   /* the frame: the record was just copied to its end */
    size_t body_start; /* of this record in out */
    uint32_t last_row;
    int64_t watermark;
};

#define BATCH_STEP_BYTES_MAX 15
void batch_stamp_begin(struct batch_stamp *stamp,
                       struct buf *out,
                       size_t body_start,
                       int64_t watermark_before);
void batch_stamp_step(struct batch_stamp *stamp, uint32_t row, int64_t watermark);
void batch_stamp_end(struct batch_stamp *stamp);
