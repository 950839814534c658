/* What the log holds: a frame's body of any bytes is read to its end or called bad, never beyond.
 */
#include "fuzz.h"

#include "base/check.h"
#include "model/batch.h"
#include "model/definition.h"
#include "model/record.h"

#define ROWS_MAX 65536

static void read_batch(struct bytes body)
{
    static struct batch_word words[BATCH_WORDS_MAX];
    struct batch batch;
    struct batch_cursor cursor;
    struct batch_row row;
    uint32_t count = 0;
    if (!batch_open(body, &batch) || !batch_read_words(&batch, words, &count)) {
        return;
    }
    CHECK(count <= BATCH_WORDS_MAX);
    batch_cursor_init(&cursor, &batch);
    for (int i = 0; i < ROWS_MAX && batch_next_row(&cursor, &row); i++) {
        struct event event;
        if (batch_row_event(&batch, words, count, &row, &event)) {
            CHECK(event.id.len <= body.len);
            CHECK(event.data.len <= body.len);
        }
    }
}

static void read_pulse(struct bytes body)
{
    struct pulse pulse;
    struct lane_state lane;
    if (!pulse_read(body, &pulse)) {
        return;
    }
    struct reader lanes = reader_of(pulse.lanes);
    while (pulse_next_lane(&lanes, &lane)) {
        CHECK(reader_left(&lanes) <= pulse.lanes.len);
    }
}

static void read_define(struct bytes body)
{
    struct define define;
    struct definition definition;
    if (define_read(body, &define) && definition_read(define.definition, &definition)) {
        CHECK(definition_valid(&definition));
    }
}

static void read_body(const struct record *record)
{
    struct genesis genesis;
    struct source source;
    struct lane_command command;
    uint32_t id = 0;
    switch (record->kind) {
    case RECORD_GENESIS:
        (void)genesis_read(record->body, &genesis);
        break;
    case RECORD_EVENTS:
        read_batch(record->body);
        break;
    case RECORD_PULSE:
        read_pulse(record->body);
        break;
    case RECORD_DEFINE:
        read_define(record->body);
        break;
    case RECORD_DROP:
        (void)drop_read(record->body, &id);
        break;
    case RECORD_SOURCE:
        (void)source_read(record->body, &source);
        break;
    case RECORD_FORGET:
        (void)forget_read(record->body, &id);
        break;
    case RECORD_LANE:
        (void)lane_command_read(record->body, &command);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader frame = reader_of(bytes_of(data, size));
    struct record record;
    while (record_next(&frame, data, &record)) {
        CHECK(record.body.len <= size);
        read_body(&record);
    }
    return 0;
}
