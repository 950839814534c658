/* What the log holds: any bytes as the body of a frame. Checked beside memory safety:
 *
 *  1. It is read to its end or called bad, never beyond.
 *  2. What was read and is written again reads as the same, and is written as the same bytes.
 *  3. An event out of a batch has an encoding of its own that reads back. */
#include "fuzz.h"

#include "base/check.h"
#include "model/answer.h"
#include "model/batch.h"
#include "model/definition.h"
#include "model/record.h"
#include "model/rule.h"
#include "model/timeout.h"

#include <string.h>

#define ROWS_MAX  65536
#define BYTES_MAX ((size_t)64 * 1024)

/* The event on its own, and back. */
static void try_event(const struct event *event)
{
    static uint8_t memory[2 * BYTES_MAX];
    static uint8_t again[2 * BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    struct buf second = buf_of(again, sizeof(again));
    struct event back;
    event_put(&out, event);
    CHECK(!out.overflow);
    CHECK(out.len <= event_put_max(event));
    struct reader in = reader_of(buf_bytes(&out));
    CHECK(event_read(&in, &back));
    CHECK(reader_left(&in) == 0);
    event_put(&second, &back);
    CHECK(bytes_equal(buf_bytes(&out), buf_bytes(&second)));
}

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
            try_event(&event);
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

static void try_definition(struct bytes encoded)
{
    static struct definition definition;
    static uint8_t memory[2 * BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    if (!definition_read(encoded, &definition)) {
        return;
    }
    CHECK(definition_valid(&definition));
    definition_put(&out, &definition);
    CHECK(!out.overflow);
    CHECK(bytes_equal(buf_bytes(&out), encoded));
}

static bool rewrite_timeouts(struct bytes body, struct buf *out)
{
    struct timeouts_reader reader;
    struct timeout_command command;
    if (!timeouts_open(body, &reader)) {
        return false;
    }
    size_t start = timeouts_begin(out, reader.count);
    timeouts_stamp(out, start, reader.clock, reader.watermark);
    while (timeouts_next(&reader)) {
        uint32_t partition = reader.partition;
        if (!timeout_command_read(&reader, &command)) {
            return false;
        }
        timeout_command_put(out, &command, partition);
    }
    record_end(out, start);
    return !reader.commands.bad;
}

static void try_rule(struct bytes encoded)
{
    static struct rule rule;
    static uint8_t memory[2 * BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    if (!rule_read(encoded, &rule)) {
        return;
    }
    CHECK(rule_valid(&rule));
    rule_put(&out, &rule);
    CHECK(!out.overflow);
    CHECK(bytes_equal(buf_bytes(&out), encoded));
}

/* Reads a command's body and writes it again; false when it is none. */
static bool rewrite(enum record_kind kind, struct bytes body, struct buf *out)
{
    struct genesis genesis;
    struct define define;
    struct source source;
    struct lane_command command;
    struct consumer consumer;
    struct kept_answer answer;
    uint32_t id = 0;
    bool good = false;
    switch (kind) {
    case RECORD_GENESIS:
        good = genesis_read(body, &genesis);
        if (good) {
            genesis_put(out, &genesis);
        }
        break;
    case RECORD_DEFINE:
        good = define_read(body, &define);
        if (good) {
            define_put(out, &define);
            try_definition(define.definition);
        }
        break;
    case RECORD_DROP:
        good = drop_read(body, &id);
        if (good) {
            drop_put(out, id);
        }
        break;
    case RECORD_SOURCE:
        good = source_read(body, &source);
        if (good) {
            source_put(out, &source);
        }
        break;
    case RECORD_FORGET:
        good = forget_read(body, &id);
        if (good) {
            forget_put(out, id);
        }
        break;
    case RECORD_LANE:
        good = lane_command_read(body, &command);
        if (good) {
            lane_command_put(out, &command);
        }
        break;
    case RECORD_TIMEOUTS:
        good = rewrite_timeouts(body, out);
        break;
    case RECORD_RULE:
        good = define_read(body, &define);
        if (good) {
            rule_define_put(out, &define);
            try_rule(define.definition);
        }
        break;
    case RECORD_RULE_DROP:
        good = drop_read(body, &id);
        if (good) {
            rule_drop_put(out, id);
        }
        break;
    case RECORD_EVENTS:
    case RECORD_PULSE:
        break;
    case RECORD_ANSWER:
        good = kept_answer_read(body, &answer);
        if (good) {
            kept_answer_put(out, &answer);
        }
        break;
    case RECORD_CONSUMER:
        good = consumer_read(body, &consumer);
        if (good) {
            consumer_put(out, &consumer);
        }
        break;
    }
    return good;
}

static void try_command(const struct record *record)
{
    static uint8_t memory[2 * BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    struct record back;
    if (!rewrite(record->kind, record->body, &out)) {
        return;
    }
    CHECK(!out.overflow);
    struct reader frame = reader_of(buf_bytes(&out));
    CHECK(record_next(&frame, memory, &back));
    CHECK(reader_left(&frame) == 0);
    CHECK(back.kind == record->kind);
    CHECK(bytes_equal(back.body, record->body));
}

static void read_body(const struct record *record)
{
    if (record->kind == RECORD_EVENTS) {
        read_batch(record->body);
    } else if (record->kind == RECORD_PULSE) {
        read_pulse(record->body);
    } else {
        try_command(record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader frame = reader_of(bytes_of(data, size));
    struct record record;
    if (size > BYTES_MAX) {
        return 0;
    }
    while (record_next(&frame, data, &record)) {
        CHECK(record.body.len <= size);
        read_body(&record);
    }
    return 0;
}
