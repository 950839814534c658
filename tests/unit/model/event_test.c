/* The self-contained encoding of an event. */
#include "../base/support.h"

#include "model/event.h"

static struct event sample(void)
{
    return (struct event){
        .id = BYTES("id-1"),
        .source = BYTES("/carriers/UA"),
        .type = BYTES("flight.departed"),
        .subject = BYTES("UA1545"),
        .content_type = BYTES("application/json"),
        .extensions = BYTES("\1k\3\"v\""),
        .data = BYTES("{\"x\":1}"),
        .time = {-5},
        .arrival = {INT64_MAX},
        .source_index = 3,
        .type_index = 4,
        .flags = 63,
    };
}

static void assert_same(struct bytes actual, struct bytes expected)
{
    assert_int_equal(actual.len, expected.len);
    if (actual.len > 0) {
        assert_memory_equal(actual.data, expected.data, actual.len);
    }
}

static void assert_event(const struct event *actual, const struct event *expected)
{
    assert_int_equal(actual->flags, expected->flags);
    assert_int_equal(actual->time.us, expected->time.us);
    assert_true(actual->arrival.us == expected->arrival.us);
    assert_same(actual->id, expected->id);
    assert_same(actual->source, expected->source);
    assert_same(actual->type, expected->type);
    assert_same(actual->subject, expected->subject);
    assert_same(actual->content_type, expected->content_type);
    assert_same(actual->extensions, expected->extensions);
    assert_same(actual->data, expected->data);
}

static void an_event_comes_back_within_its_bound(void **state)
{
    (void)state;
    static uint8_t data[300000];
    uint8_t *memory = malloc(2 * sizeof(data));
    assert_non_null(memory);
    static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, sizeof(data)};
    memset(data, 'd', sizeof(data));
    for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
        struct event given = sample();
        given.data = bytes_of(data, lengths[n]);
        struct buf out = buf_of(memory, 2 * sizeof(data));
        event_put(&out, &given);
        assert_false(out.overflow);
        assert_true(out.len <= event_put_max(&given));
        struct event back;
        struct reader in = reader_of(buf_bytes(&out));
        assert_true(event_read(&in, &back));
        assert_int_equal(reader_left(&in), 0);
        assert_event(&back, &given);
    }
    free(memory);
}

static void an_event_of_nothing_comes_back(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct event given = {.time = {INT64_MIN}};
    struct buf out = buf_of(memory, sizeof(memory));
    event_put(&out, &given);
    assert_false(out.overflow);
    assert_true(out.len <= event_put_max(&given));
    struct event back;
    struct reader in = reader_of(buf_bytes(&out));
    assert_true(event_read(&in, &back));
    assert_event(&back, &given);
}

static void events_follow_each_other(void **state)
{
    (void)state;
    uint8_t memory[512];
    struct event given = sample();
    struct buf out = buf_of(memory, sizeof(memory));
    event_put(&out, &given);
    given.id = BYTES("id-2");
    event_put(&out, &given);
    struct event back;
    struct reader in = reader_of(buf_bytes(&out));
    assert_true(event_read(&in, &back));
    assert_bytes(back.id, "id-1");
    assert_true(event_read(&in, &back));
    assert_bytes(back.id, "id-2");
    assert_false(event_read(&in, &back));
}

static void a_truncated_event_is_refused(void **state)
{
    (void)state;
    uint8_t memory[512];
    struct event given = sample();
    struct buf out = buf_of(memory, sizeof(memory));
    event_put(&out, &given);
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, memory, len);
        struct reader in = reader_of(bytes_of(copy, len));
        struct event back;
        assert_false(event_read(&in, &back));
        assert_true(in.bad);
        free(copy);
    }
}

static void damage_to_any_byte_is_survived(void **state)
{
    (void)state;
    uint8_t memory[512];
    struct event given = sample();
    struct buf out = buf_of(memory, sizeof(memory));
    event_put(&out, &given);
    uint8_t *copy = malloc(out.len);
    assert_non_null(copy);
    for (size_t at = 0; at < out.len; at++) {
        for (uint32_t value = 0; value < 256; value++) {
            memcpy(copy, memory, out.len);
            copy[at] = (uint8_t)value;
            struct reader in = reader_of(bytes_of(copy, out.len));
            struct event back;
            if (event_read(&in, &back)) {
                assert_true(back.data.len == 0 || back.data.data + back.data.len <= in.end);
            }
        }
    }
    free(copy);
}

static void an_unknown_flag_is_refused(void **state)
{
    (void)state;
    uint8_t memory[512];
    struct event given = sample();
    for (uint32_t flags = 0; flags < 256; flags++) {
        given.flags = (uint8_t)flags;
        struct buf out = buf_of(memory, sizeof(memory));
        event_put(&out, &given);
        struct reader in = reader_of(buf_bytes(&out));
        struct event back;
        assert_int_equal(event_read(&in, &back), flags < 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_comes_back_within_its_bound),
        cmocka_unit_test(an_event_of_nothing_comes_back),
        cmocka_unit_test(events_follow_each_other),
        cmocka_unit_test(a_truncated_event_is_refused),
        cmocka_unit_test(damage_to_any_byte_is_survived),
        cmocka_unit_test(an_unknown_flag_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
