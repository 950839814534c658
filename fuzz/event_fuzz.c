/* Any bytes as one structured CloudEvent (JSON format 1.0.2). Checked beside memory safety:
 *
 *  1. The text is broken for the reader of events exactly when it is for the scanner of JSON, in
 *     the same way; else the reader stands behind the event, be it taken or refused.
 *  2. A taken event has what it must have, all of it valid: lengths, UTF-8, extension names, data.
 *  3. It is the same after event_put and event_read, after a batch, and when it is written as JSON
 *     and read again. */
#include "fuzz.h"

#include "api/event_json.h"
#include "base/check.h"
#include "base/text.h"
#include "model/batch.h"

#include <stdlib.h>
#include <string.h>

#define BYTES_MAX  ((size_t)64 * 1024)
#define NOW_US     1700000000000000
#define PARTITIONS 16

static bool same(const struct event *one, const struct event *other)
{
    return bytes_equal(one->id, other->id) && bytes_equal(one->source, other->source) &&
           bytes_equal(one->type, other->type) && bytes_equal(one->subject, other->subject) &&
           bytes_equal(one->content_type, other->content_type) &&
           bytes_equal(one->extensions, other->extensions) && bytes_equal(one->data, other->data) &&
           one->time.us == other->time.us && one->arrival.us == other->arrival.us &&
           one->flags == other->flags;
}

static void check_text(struct bytes text)
{
    CHECK(text.len > 0);
    CHECK(text.len <= EVENT_TEXT_MAX);
    CHECK(utf8_valid(text));
    for (size_t i = 0; i < text.len; i++) {
        CHECK(text.data[i] >= 0x20);
    }
}

static void check_optional(const struct event *event, enum event_flags flag, struct bytes text)
{
    if ((event->flags & flag) != 0) {
        check_text(text);
    } else {
        CHECK(text.len == 0);
    }
}

/* One whole JSON text and nothing else. */
static enum json_kind check_json(struct bytes text)
{
    struct json_scanner scanner = json_scanner_of(text);
    struct json_value value;
    CHECK(json_value(&scanner, &value) == OK);
    CHECK(json_end(&scanner) == OK);
    CHECK(value.text.len == text.len);
    return value.kind;
}

static void check_extensions(const struct event *event)
{
    struct reader in = reader_of(event->extensions);
    size_t count = 0;
    CHECK((event->extensions.len > 0) == ((event->flags & EVENT_HAS_EXTENSIONS) != 0));
    while (reader_left(&in) > 0) {
        struct bytes name = read_string(&in);
        enum json_kind kind = check_json(read_string(&in));
        CHECK(!in.bad);
        CHECK(extension_name_valid(name));
        CHECK(kind != JSON_NULL && kind != JSON_OBJECT && kind != JSON_ARRAY);
        struct reader before = reader_of(event->extensions);
        for (size_t i = 0; i < count; i++) {
            CHECK(!bytes_equal(read_string(&before), name));
            (void)read_string(&before);
        }
        count++;
    }
    CHECK(count <= EVENT_EXTENSIONS_MAX);
}

static void check_event(const struct event *event)
{
    check_text(event->id);
    check_text(event->source);
    check_text(event->type);
    check_optional(event, EVENT_HAS_SUBJECT, event->subject);
    check_optional(event, EVENT_HAS_CONTENT_TYPE, event->content_type);
    check_extensions(event);
    CHECK(event->time.us >= TIMESTAMP_MIN_US);
    CHECK(event->time.us < TIMESTAMP_END_US);
    CHECK(event->arrival.us == NOW_US);
    CHECK((event->flags & EVENT_HAS_TIME) != 0 || event->time.us == NOW_US);
    if ((event->flags & EVENT_HAS_DATA) == 0) {
        CHECK(event->data.len == 0);
        return;
    }
    enum json_kind kind = check_json(event->data);
    CHECK((event->flags & EVENT_DATA_BASE64) == 0 || kind == JSON_STRING);
}

static void check_encoding(const struct event *event)
{
    static uint8_t memory[2 * BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    struct event back;
    event_put(&out, event);
    CHECK(!out.overflow);
    CHECK(out.len <= event_put_max(event));
    struct reader in = reader_of(buf_bytes(&out));
    CHECK(event_read(&in, &back));
    CHECK(reader_left(&in) == 0);
    CHECK(same(event, &back));
    /* Cut short anywhere it is no event, or a shorter one was meant: never more than there is. */
    in = reader_of(bytes_of(memory, out.len - 1));
    CHECK(!event_read(&in, &back) || reader_left(&in) == 0);
}

static void check_batch(const struct event *event)
{
    static struct batch_writer writer;
    static struct batch_word words[BATCH_WORDS_MAX];
    static uint8_t memory[3 * BYTES_MAX];
    static bool begun;
    struct record record;
    struct batch batch;
    struct batch_cursor cursor;
    struct batch_row row;
    struct event back;
    uint32_t count = 0;
    if (!begun) {
        batch_writer_init(&writer, 42, PARTITIONS);
        begun = true;
    }
    batch_writer_reset(&writer, memory, sizeof(memory));
    batch_begin(&writer, event->arrival, event->time);
    CHECK(batch_add(&writer, event));
    batch_end(&writer);
    struct reader frame = reader_of(buf_bytes(&writer.out));
    CHECK(record_next(&frame, memory, &record));
    CHECK(record.kind == RECORD_EVENTS);
    CHECK(batch_open(record.body, &batch));
    CHECK(batch_read_words(&batch, words, &count));
    batch_cursor_init(&cursor, &batch);
    CHECK(batch_next_row(&cursor, &row));
    CHECK(row.partition < PARTITIONS);
    CHECK(batch_row_event(&batch, words, count, &row, &back));
    CHECK(same(event, &back));
    CHECK(!batch_next_row(&cursor, &row));
}

static void put_member(struct buf *out, const char *name, struct bytes text)
{
    buf_put_text(out, ",\"");
    buf_put_text(out, name);
    buf_put_text(out, "\":");
    json_put_string(out, text);
}

/* The event as JSON: every member, each in its plainest form. */
static void put_event(struct buf *out, const struct event *event)
{
    buf_put_text(out, "{\"specversion\":\"1.0\"");
    put_member(out, "id", event->id);
    put_member(out, "source", event->source);
    put_member(out, "type", event->type);
    if ((event->flags & EVENT_HAS_SUBJECT) != 0) {
        put_member(out, "subject", event->subject);
    }
    if ((event->flags & EVENT_HAS_CONTENT_TYPE) != 0) {
        put_member(out, "datacontenttype", event->content_type);
    }
    if ((event->flags & EVENT_HAS_TIME) != 0) {
        buf_put_text(out, ",\"time\":\"");
        timestamp_put(out, event->time.us);
        buf_put_text(out, "\"");
    }
    struct reader extensions = reader_of(event->extensions);
    while (reader_left(&extensions) > 0) {
        buf_put_text(out, ",");
        json_put_string(out, read_string(&extensions));
        buf_put_text(out, ":");
        buf_put_bytes(out, read_string(&extensions));
    }
    if ((event->flags & EVENT_HAS_DATA) != 0) {
        bool base64 = (event->flags & EVENT_DATA_BASE64) != 0;
        buf_put_text(out, base64 ? ",\"data_base64\":" : ",\"data\":");
        buf_put_bytes(out, event->data);
    }
    buf_put_text(out, "}");
}

/* Reads one event of a text; the extensions lie in `extensions`, other decoded texts in `memory`. */
static enum err read_event(struct json_scanner *scanner,
                           struct memory *memory,
                           struct buf extensions,
                           struct event *event,
                           struct refusal *refusal)
{
    struct event_reader reader = {
        .memory = memory, .extensions = extensions, .now = {.us = NOW_US}};
    return event_read_json(&reader, scanner, event, refusal);
}

static void check_rewriting(const struct event *event)
{
    static uint8_t memory[8 * BYTES_MAX];
    static uint8_t extensions[BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    struct memory texts = {0};
    struct event back;
    struct refusal refusal;
    put_event(&out, event);
    CHECK(!out.overflow);
    struct json_scanner scanner = json_scanner_of(buf_bytes(&out));
    CHECK(read_event(&scanner, &texts, buf_of(extensions, BYTES_MAX), &back, &refusal) == OK);
    CHECK(refusal.err == OK);
    CHECK(same(event, &back));
    memory_free(&texts);
}

static void check_refusal(const struct refusal *refusal)
{
    /* Words of its own, or the member at fault, or both; never a text that is not whole. */
    CHECK(refusal->member.len == 0 || utf8_valid(refusal->member));
    CHECK(refusal->id.len <= EVENT_TEXT_MAX);
    CHECK(refusal->err != ERR_JSON && refusal->err != ERR_UTF8 && refusal->err != ERR_DEPTH);
    CHECK(refusal->err != ERR_INTERNAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t extensions[BYTES_MAX];
    if (size > BYTES_MAX) {
        return 0;
    }
    struct bytes text = bytes_of(data, size);
    struct json_scanner scanner = json_scanner_of(text);
    struct json_scanner plain = scanner;
    struct json_value value;
    struct memory texts = {0};
    struct event event;
    struct refusal refusal;
    enum err err = read_event(&scanner, &texts, buf_of(extensions, BYTES_MAX), &event, &refusal);
    CHECK(json_value(&plain, &value) == err);
    CHECK(scanner.at == plain.at);
    if (err == OK && refusal.err == OK) {
        CHECK(value.kind == JSON_OBJECT);
        check_event(&event);
        check_encoding(&event);
        check_batch(&event);
        check_rewriting(&event);
    } else if (err == OK) {
        check_refusal(&refusal);
    }
    memory_free(&texts);
    return 0;
}
