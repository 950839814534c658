/* Rows and events as they cross threads (host/result.h), and as they are shown. */
#include "host/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct event whole_event(struct buf *extensions)
{
    buf_put_string(extensions, BYTES("trace"));
    buf_put_string(extensions, BYTES("\"x\\\"y\""));
    buf_put_string(extensions, BYTES("n"));
    buf_put_string(extensions, BYTES("7"));
    return (struct event){
        .id = BYTES("i\""),
        .source = BYTES("/s"),
        .type = BYTES("t"),
        .subject = BYTES("sub"),
        .content_type = BYTES("application/json"),
        .extensions = buf_bytes(extensions),
        .data = BYTES("{\"a\":1}"),
        .time = {1356998400000001},
        .arrival = {1700000000000000},
        .flags = EVENT_HAS_SUBJECT | EVENT_HAS_CONTENT_TYPE | EVENT_HAS_EXTENSIONS |
                 EVENT_HAS_DATA | EVENT_HAS_TIME,
    };
}

static void an_event_survives_the_journey(void **state)
{
    (void)state;
    uint8_t memory[64];
    uint8_t text[512];
    struct buf extensions = buf_of(memory, sizeof(memory));
    struct buf out = buf_of(text, sizeof(text));
    struct event event = whole_event(&extensions);
    struct event back;
    event_put(&out, &event);
    struct reader in = reader_of(buf_bytes(&out));
    assert_true(event_read(&in, &back));
    assert_int_equal(reader_left(&in), 0);
    assert_true(bytes_equal(back.id, event.id));
    assert_true(bytes_equal(back.source, event.source));
    assert_true(bytes_equal(back.type, event.type));
    assert_true(bytes_equal(back.subject, event.subject));
    assert_true(bytes_equal(back.content_type, event.content_type));
    assert_true(bytes_equal(back.extensions, event.extensions));
    assert_true(bytes_equal(back.data, event.data));
    assert_int_equal(back.time.us, event.time.us);
    assert_int_equal(back.arrival.us, event.arrival.us);
    assert_int_equal(back.flags, event.flags);
    for (size_t len = 0; len < out.len; len++) {
        struct reader cut = reader_of(bytes_of(text, len));
        assert_false(event_read(&cut, &back));
    }
}

static void an_event_is_shown_as_a_structured_cloudevent(void **state)
{
    (void)state;
    uint8_t memory[64];
    uint8_t text[1024];
    struct buf extensions = buf_of(memory, sizeof(memory));
    struct buf out = buf_of(text, sizeof(text));
    struct event event = whole_event(&extensions);
    event_put_json(&out, &event);
    assert_true(bytes_equal(
        buf_bytes(&out),
        BYTES("{\"specversion\":\"1.0\",\"id\":\"i\\\"\",\"source\":\"/s\",\"type\":\"t\","
              "\"time\":\"2013-01-01T00:00:00.000001Z\",\"subject\":\"sub\","
              "\"datacontenttype\":\"application/json\",\"trace\":\"x\\\"y\",\"n\":7,"
              "\"data\":{\"a\":1}}")));
    out.len = 0;
    event.flags = EVENT_HAS_DATA | EVENT_DATA_BASE64;
    event.data = BYTES("\"AAA=\"");
    event_put_json(&out, &event);
    assert_true(bytes_equal(
        buf_bytes(&out),
        BYTES("{\"specversion\":\"1.0\",\"id\":\"i\\\"\",\"source\":\"/s\",\"type\":\"t\","
              "\"time\":\"2013-01-01T00:00:00.000001Z\",\"data_base64\":\"AAA=\"}")));
}

static void put_row(struct buf *out, int64_t start)
{
    size_t at = out->len;
    buf_put_u32(out, 0);
    buf_put_i64(out, start);
    buf_put_i64(out, start + 60);
    buf_put_u8(out, RESULT_CLOSED);
    buf_put_u32(out, 3);
    buf_put_string(out, BYTES("key"));
    value_put(out, value_of_bool(true));
    struct buf length = buf_of(out->data + at, 4);
    buf_put_u32(&length, (uint32_t)(out->len - at - 4));
}

static void rows_are_read_one_by_one(void **state)
{
    (void)state;
    uint8_t memory[256];
    struct buf out = buf_of(memory, sizeof(memory));
    struct result_row row;
    put_row(&out, 100);
    size_t first_len = out.len;
    put_row(&out, 200);
    struct reader in = reader_of(buf_bytes(&out));
    assert_true(result_next(&in, &row));
    assert_int_equal(row.window_start, 100);
    assert_int_equal(row.window_end, 160);
    assert_int_equal(row.flags, RESULT_CLOSED);
    assert_int_equal(row.revision, 3);
    assert_true(bytes_equal(row.group_key, BYTES("key")));
    assert_int_equal(row.raw.len, first_len);
    struct reader results = reader_of(row.results);
    struct value value;
    assert_true(value_read(&results, &value));
    assert_true(value.kind == VALUE_BOOL && value.boolean);
    assert_true(result_next(&in, &row));
    assert_int_equal(row.window_start, 200);
    assert_false(result_next(&in, &row));
    assert_false(in.bad);
}

static void a_row_that_is_cut_is_bad(void **state)
{
    (void)state;
    uint8_t memory[256];
    struct buf out = buf_of(memory, sizeof(memory));
    put_row(&out, 100);
    for (size_t len = 1; len < out.len; len++) {
        struct reader in = reader_of(bytes_of(memory, len));
        struct result_row row;
        assert_false(result_next(&in, &row));
        assert_true(in.bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_survives_the_journey),
        cmocka_unit_test(an_event_is_shown_as_a_structured_cloudevent),
        cmocka_unit_test(rows_are_read_one_by_one),
        cmocka_unit_test(a_row_that_is_cut_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
