#include "sim/recut.h"

#include "base/check.h"

#include <stdlib.h>

#define SHARED_BYTES    ((size_t)32 << 20)
#define PARTITION_BYTES ((size_t)16 << 20)
#define ROWS_MAX        512
#define RECORD_BYTES    (ROWS_MAX * 512)

/* A batch under construction. */
struct cut {
    struct recut *recut;
    struct batch_writer writer;
    struct batch_word words[BATCH_WORDS_MAX];
    int64_t watermarks[ROWS_MAX]; /* in force before each row */
    uint32_t rows;
    uint64_t position;
    uint8_t written[RECORD_BYTES];
    uint8_t stamped[RECORD_BYTES];
};

static void *region(struct recut *recut, size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(memory != NULL);
    recut->regions[recut->region_count++] = memory;
    return memory;
}

static void make_engine(struct recut *recut, const struct engine_limits *limits)
{
    recut->engine = region(recut, sizeof(struct engine));
    engine_init(recut->engine, limits, region(recut, SHARED_BYTES), SHARED_BYTES);
    for (uint32_t n = 0; n < limits->partitions; n++) {
        engine_own(recut->engine, n, region(recut, PARTITION_BYTES), PARTITION_BYTES);
        if (limits->timeouts_cold > 0) {
            engine_own_cold(recut->engine, n, region(recut, PARTITION_BYTES), PARTITION_BYTES);
        }
        recut->owners[n] = recut->engine;
    }
}

static void apply_record(struct recut *recut, const struct record *record, uint64_t position)
{
    struct applied applied = {0};
    struct pulse pulse;
    if (record->kind != RECORD_PULSE) {
        engine_apply(recut->engine, record, position, &applied);
        return;
    }
    CHECK(pulse_read(record->body, &pulse));
    pulse.position = position + record->offset;
    engine_flush(recut->engine, &pulse);
    engine_pulse(recut->engine, &pulse, recut->owners);
}

/* Ends the batch, stamps it as the sequencer does, and applies it: each at a place of its own, so that
 * events stand in the order of the log. */
static void apply_cut(struct cut *cut)
{
    if (cut->rows == 0) {
        return;
    }
    batch_end(&cut->writer);
    struct buf out = buf_of(cut->stamped, sizeof(cut->stamped));
    buf_put_bytes(&out, buf_bytes(&cut->writer.out));
    struct batch_stamp stamp;
    batch_stamp_begin(&stamp, &out, RECORD_HEADER_BYTES, cut->watermarks[0]);
    for (uint32_t n = 1; n < cut->rows; n++) {
        if (cut->watermarks[n] > cut->watermarks[n - 1]) {
            batch_stamp_step(&stamp, n, cut->watermarks[n]);
        }
    }
    batch_stamp_end(&stamp);
    CHECK(!out.overflow);
    struct reader reader = reader_of(buf_bytes(&out));
    struct record record;
    CHECK(record_next(&reader, out.data, &record));
    apply_record(cut->recut, &record, cut->position++);
    cut->rows = 0;
}

static void cut_batch(struct cut *cut, const struct record *record, uint32_t batch_rows)
{
    struct batch batch;
    struct batch_cursor cursor;
    struct batch_row row;
    uint32_t word_count = 0;
    CHECK(batch_open(record->body, &batch));
    CHECK(batch_read_words(&batch, cut->words, &word_count));
    batch_cursor_init(&cursor, &batch);
    while (batch_next_row(&cursor, &row)) {
        struct event event;
        CHECK(batch_row_event(&batch, cut->words, word_count, &row, &event));
        if (cut->rows == 0) {
            batch_writer_reset(&cut->writer, cut->written, sizeof(cut->written));
            batch_begin(&cut->writer, batch.arrival, (struct event_time){batch.base_time});
        }
        CHECK(batch_add(&cut->writer, &event));
        cut->watermarks[cut->rows++] = cursor.watermark;
        if (cut->rows == batch_rows) {
            apply_cut(cut);
        }
    }
    apply_cut(cut);
}

void recut_apply(struct recut *recut,
                 const struct history *history,
                 const struct engine_limits *limits,
                 uint32_t batch_rows)
{
    CHECK(batch_rows >= 1 && batch_rows <= ROWS_MAX);
    *recut = (struct recut){0};
    make_engine(recut, limits);
    struct cut *cut = malloc(sizeof(*cut));
    CHECK(cut != NULL);
    cut->recut = recut;
    cut->rows = 0;
    batch_writer_init(&cut->writer, limits->seed, limits->partitions);
    for (size_t n = 0; n < history->frame_count; n++) {
        const struct history_frame *frame = &history->frames[n];
        struct reader reader = reader_of(frame->body);
        struct record record;
        cut->position = frame->position;
        while (record_next(&reader, frame->body.data, &record)) {
            if (record.kind == RECORD_EVENTS) {
                cut_batch(cut, &record, batch_rows);
            } else {
                apply_record(recut, &record, frame->position);
            }
        }
        CHECK(!reader.bad);
    }
    free(cut);
}

void recut_free(struct recut *recut)
{
    for (uint32_t n = 0; n < recut->region_count; n++) {
        free(recut->regions[n]);
    }
}
