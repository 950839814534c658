/* The records of the log: each kind comes back as it was, and what no encoder writes is refused. */
#include "../base/support.h"

#include "model/record.h"

static uint8_t memory[1 << 16];

static struct buf fresh(void)
{
    memset(memory, 0xee, sizeof(memory));
    return buf_of(memory, sizeof(memory));
}

/* The only record in `out`. */
static struct record only_record(const struct buf *out, enum record_kind kind)
{
    struct record record = {0};
    assert_false(out->overflow);
    struct reader frame = reader_of(buf_bytes(out));
    assert_true(record_next(&frame, out->data, &record));
    assert_int_equal(record.kind, kind);
    assert_int_equal(record.offset, 0);
    struct record next;
    assert_false(record_next(&frame, out->data, &next));
    assert_false(frame.bad);
    return record;
}

static bool reads(enum record_kind kind, struct bytes body)
{
    struct genesis genesis;
    struct pulse pulse;
    struct define define;
    struct source source;
    struct lane_command command;
    uint32_t number;
    switch (kind) {
    case RECORD_GENESIS:
        return genesis_read(body, &genesis);
    case RECORD_PULSE:
        return pulse_read(body, &pulse);
    case RECORD_DEFINE:
        return define_read(body, &define);
    case RECORD_DROP:
        return drop_read(body, &number);
    case RECORD_SOURCE:
        return source_read(body, &source);
    case RECORD_FORGET:
        return forget_read(body, &number);
    case RECORD_LANE:
        return lane_command_read(body, &command);
    case RECORD_RULE:
        return define_read(body, &define);
    case RECORD_RULE_DROP:
        return drop_read(body, &number);
    case RECORD_EVENTS:
    case RECORD_TIMEOUTS:
    case RECORD_CONSUMER:
    case RECORD_ANSWER:
        break;
    }
    return false;
}

/* The body is read as it is, but not one byte shorter or longer. */
static void assert_exact(enum record_kind kind, struct bytes body)
{
    assert_true(reads(kind, body));
    for (size_t len = 0; len <= body.len + 1; len++) {
        uint8_t *copy = calloc(1, len + 1);
        assert_non_null(copy);
        memcpy(copy, body.data, len < body.len ? len : body.len);
        assert_int_equal(reads(kind, bytes_of(copy, len)), len == body.len);
        free(copy);
    }
}

/* Any single byte may change: nothing is read beyond the body, whatever is made of it. */
static void assert_survives(enum record_kind kind, struct bytes body)
{
    uint8_t *copy = malloc(body.len);
    assert_non_null(copy);
    for (size_t at = 0; at < body.len; at++) {
        for (uint32_t value = 0; value < 256; value++) {
            memcpy(copy, body.data, body.len);
            copy[at] = (uint8_t)value;
            (void)reads(kind, bytes_of(copy, body.len));
        }
    }
    free(copy);
}

static void a_genesis_comes_back(void **state)
{
    (void)state;
    struct buf out = fresh();
    struct genesis given = {
        .partitions = 64, .seed = UINT64_MAX - 5, .instance = "sixteen bytes..", .created = {-1}};
    genesis_put(&out, &given);
    struct record record = only_record(&out, RECORD_GENESIS);
    struct genesis back;
    assert_true(genesis_read(record.body, &back));
    assert_int_equal(back.partitions, given.partitions);
    assert_true(back.seed == given.seed);
    assert_memory_equal(back.instance, given.instance, sizeof(given.instance));
    assert_int_equal(back.created.us, -1);
    assert_exact(RECORD_GENESIS, record.body);
    assert_survives(RECORD_GENESIS, record.body);
}

static void a_genesis_without_or_with_too_many_partitions_is_refused(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, PARTITIONS_MAX + 1, UINT32_MAX};
    for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        struct buf out = fresh();
        struct genesis given = {.partitions = counts[n]};
        genesis_put(&out, &given);
        assert_false(genesis_read(only_record(&out, RECORD_GENESIS).body, &given));
    }
}

static void a_definition_comes_back(void **state)
{
    (void)state;
    struct buf out = fresh();
    struct define given = {.metric = UINT32_MAX,
                           .version = 7,
                           .created = {INT64_MIN},
                           .definition = BYTES("whatever it is")};
    define_put(&out, &given);
    struct record record = only_record(&out, RECORD_DEFINE);
    struct define back;
    assert_true(define_read(record.body, &back));
    assert_int_equal(back.metric, given.metric);
    assert_int_equal(back.version, 7);
    assert_true(back.created.us == INT64_MIN);
    assert_bytes(back.definition, "whatever it is");
    assert_exact(RECORD_DEFINE, record.body);
    assert_survives(RECORD_DEFINE, record.body);
}

static void a_drop_and_a_forget_come_back(void **state)
{
    (void)state;
    uint32_t number = 0;
    struct buf out = fresh();
    drop_put(&out, 0xfedcba98);
    struct record record = only_record(&out, RECORD_DROP);
    assert_true(drop_read(record.body, &number));
    assert_int_equal(number, 0xfedcba98);
    assert_exact(RECORD_DROP, record.body);
    out = fresh();
    forget_put(&out, LANES_MAX - 1);
    record = only_record(&out, RECORD_FORGET);
    assert_true(forget_read(record.body, &number));
    assert_int_equal(number, LANES_MAX - 1);
    assert_exact(RECORD_FORGET, record.body);
    out = fresh();
    forget_put(&out, LANES_MAX);
    assert_false(forget_read(only_record(&out, RECORD_FORGET).body, &number));
}

static struct source sample_source(void)
{
    return (struct source){.lane = LANES_MAX - 1,
                           .kind = LANE_EXPLICIT,
                           .disorder_us = 5,
                           .idle_after_us = INT64_MAX,
                           .max_future_skew_us = -7,
                           .declared = {9},
                           .name = BYTES("/carriers/UA")};
}

static void a_source_comes_back(void **state)
{
    (void)state;
    for (int kind = LANE_BOUNDED; kind <= LANE_EXPLICIT; kind++) {
        struct buf out = fresh();
        struct source given = sample_source();
        given.kind = (enum lane_kind)kind;
        source_put(&out, &given);
        struct record record = only_record(&out, RECORD_SOURCE);
        struct source back;
        assert_true(source_read(record.body, &back));
        assert_int_equal(back.lane, given.lane);
        assert_int_equal(back.kind, kind);
        assert_int_equal(back.disorder_us, 5);
        assert_true(back.idle_after_us == INT64_MAX);
        assert_int_equal(back.max_future_skew_us, -7);
        assert_int_equal(back.declared.us, 9);
        assert_bytes(back.name, "/carriers/UA");
        assert_exact(RECORD_SOURCE, record.body);
        assert_survives(RECORD_SOURCE, record.body);
    }
}

static void a_source_beyond_its_limits_is_refused(void **state)
{
    (void)state;
    static uint8_t name[SOURCE_NAME_MAX + 1];
    struct source given = sample_source();
    struct buf out = fresh();
    given.lane = LANES_MAX;
    source_put(&out, &given);
    assert_false(source_read(only_record(&out, RECORD_SOURCE).body, &given));

    given = sample_source();
    given.name = bytes_of(name, SOURCE_NAME_MAX);
    out = fresh();
    source_put(&out, &given);
    assert_true(source_read(only_record(&out, RECORD_SOURCE).body, &given));

    given = sample_source();
    given.name = bytes_of(name, SOURCE_NAME_MAX + 1);
    out = fresh();
    source_put(&out, &given);
    assert_false(source_read(only_record(&out, RECORD_SOURCE).body, &given));

    out = fresh();
    given = sample_source();
    source_put(&out, &given);
    out.data[RECORD_HEADER_BYTES + 4] = LANE_EXPLICIT + 1; /* a kind of a later version */
    assert_false(source_read(only_record(&out, RECORD_SOURCE).body, &given));
}

static void a_lane_command_comes_back(void **state)
{
    (void)state;
    for (int kind = LANE_ADVANCE; kind <= LANE_REOPEN; kind++) {
        struct buf out = fresh();
        struct lane_command given = {
            .lane = 3, .kind = (enum lane_command_kind)kind, .time = INT64_MAX, .clock = {1}};
        lane_command_put(&out, &given);
        struct record record = only_record(&out, RECORD_LANE);
        struct lane_command back;
        assert_true(lane_command_read(record.body, &back));
        assert_int_equal(back.lane, 3);
        assert_int_equal(back.kind, kind);
        assert_true(back.time == INT64_MAX);
        assert_int_equal(back.clock.us, 1);
        assert_exact(RECORD_LANE, record.body);
        assert_survives(RECORD_LANE, record.body);
        out.data[RECORD_HEADER_BYTES + 4] = LANE_REOPEN + 1;
        assert_false(lane_command_read(record.body, &back));
        out.data[RECORD_HEADER_BYTES + 4] = LANE_ADVANCE;
        out.data[RECORD_HEADER_BYTES + 1] = LANES_MAX >> 8;
        assert_false(lane_command_read(record.body, &back));
    }
}

/* --- pulses --- */

static const struct lane_state lanes[] = {
    {.lane = 0, .watermark = WATERMARK_NONE, .max_time = WATERMARK_NONE},
    {.lane = 127, .flags = LANE_FINAL, .watermark = WATERMARK_FINAL, .max_time = 5},
    {.lane = 128, .flags = LANE_GONE, .watermark = -1, .max_time = 0},
    {.lane = LANES_MAX - 1, .flags = LANE_FINAL | LANE_GONE, .watermark = 1, .max_time = 2},
};

#define LANES_GIVEN (sizeof(lanes) / sizeof(lanes[0]))

static struct bytes pulse_body(struct buf *out, uint32_t lane_count, uint32_t lanes_put)
{
    struct pulse pulse = {.ordinal = UINT64_MAX,
                          .clock = {12},
                          .watermark = 34,
                          .flags = PULSE_HOLD | PULSE_SNAPSHOT,
                          .lane_count = lane_count};
    *out = fresh();
    size_t start = pulse_begin(out, &pulse);
    for (uint32_t n = 0; n < lanes_put; n++) {
        pulse_put_lane(out, &lanes[n]);
    }
    record_end(out, start);
    return only_record(out, RECORD_PULSE).body;
}

static void a_pulse_and_its_lanes_come_back(void **state)
{
    (void)state;
    for (uint32_t count = 0; count <= LANES_GIVEN; count++) {
        struct buf out;
        struct pulse pulse;
        struct bytes body = pulse_body(&out, count, count);
        assert_true(pulse_read(body, &pulse));
        assert_true(pulse.ordinal == UINT64_MAX);
        assert_int_equal(pulse.clock.us, 12);
        assert_int_equal(pulse.watermark, 34);
        assert_int_equal(pulse.flags, PULSE_HOLD | PULSE_SNAPSHOT);
        assert_int_equal(pulse.lane_count, count);
        struct reader in = reader_of(pulse.lanes);
        struct lane_state lane;
        for (uint32_t n = 0; n < count; n++) {
            assert_true(pulse_next_lane(&in, &lane));
            assert_int_equal(lane.lane, lanes[n].lane);
            assert_int_equal(lane.flags, lanes[n].flags);
            assert_true(lane.watermark == lanes[n].watermark);
            assert_true(lane.max_time == lanes[n].max_time);
        }
        assert_false(pulse_next_lane(&in, &lane));
        assert_false(in.bad);
        assert_exact(RECORD_PULSE, body);
        assert_survives(RECORD_PULSE, body);
    }
}

static void a_pulse_with_fewer_or_more_lanes_than_it_says_is_refused(void **state)
{
    (void)state;
    struct buf out;
    struct pulse pulse;
    assert_false(pulse_read(pulse_body(&out, 3, 2), &pulse));
    assert_false(pulse_read(pulse_body(&out, 2, 3), &pulse));
    assert_false(pulse_read(pulse_body(&out, LANES_MAX + 1, 4), &pulse));
    assert_false(pulse_read(pulse_body(&out, UINT32_MAX, 4), &pulse));
}

static void a_pulse_with_a_lane_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct buf out = fresh();
    struct pulse pulse = {.ordinal = 1, .lane_count = 1};
    size_t start = pulse_begin(&out, &pulse);
    pulse_put_lane(&out, &(struct lane_state){.lane = LANES_MAX});
    record_end(&out, start);
    assert_false(pulse_read(only_record(&out, RECORD_PULSE).body, &pulse));

    out = fresh();
    start = pulse_begin(&out, &(struct pulse){.ordinal = 1, .lane_count = 1});
    buf_put_varint(&out, UINT64_C(1) << 32); /* 0, if it were cut to 32 bits */
    buf_put_u8(&out, 0);
    buf_put_i64(&out, 0);
    buf_put_i64(&out, 0);
    record_end(&out, start);
    assert_false(pulse_read(only_record(&out, RECORD_PULSE).body, &pulse));

    out = fresh();
    start = pulse_begin(&out, &(struct pulse){.ordinal = 1, .flags = 4});
    record_end(&out, start);
    assert_false(pulse_read(only_record(&out, RECORD_PULSE).body, &pulse));
}

/* --- frames --- */

static void records_follow_each_other_in_a_frame(void **state)
{
    (void)state;
    struct buf out = fresh();
    size_t offsets[40];
    for (uint32_t n = 0; n < 40; n++) {
        offsets[n] = out.len;
        size_t start = record_begin(&out, RECORD_EVENTS);
        for (uint32_t i = 0; i < n * n; i++) {
            buf_put_u8(&out, (uint8_t)n);
        }
        record_end(&out, start);
    }
    struct reader frame = reader_of(buf_bytes(&out));
    struct record record;
    for (uint32_t n = 0; n < 40; n++) {
        assert_true(record_next(&frame, out.data, &record));
        assert_int_equal(record.offset, offsets[n]);
        assert_int_equal(record.body.len, n * n);
        for (uint32_t i = 0; i < n * n; i++) {
            assert_int_equal(record.body.data[i], n);
        }
    }
    assert_false(record_next(&frame, out.data, &record));
    assert_false(frame.bad);
}

static void a_frame_cut_inside_a_record_is_bad(void **state)
{
    (void)state;
    struct buf out = fresh();
    drop_put(&out, 1);
    size_t first = out.len;
    drop_put(&out, 2);
    for (size_t len = 0; len <= out.len; len++) {
        uint8_t *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, out.data, len);
        struct reader frame = reader_of(bytes_of(copy, len));
        struct record record;
        uint32_t count = 0;
        while (record_next(&frame, copy, &record)) {
            count++;
        }
        assert_int_equal(count, len / first);
        assert_int_equal(frame.bad, len % first != 0);
        assert_false(record_next(&frame, copy, &record));
        free(copy);
    }
}

static void a_record_of_an_unknown_kind_makes_the_frame_bad(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 256; kind++) {
        struct buf out = fresh();
        drop_put(&out, 1);
        out.data[4] = (uint8_t)kind;
        struct reader frame = reader_of(buf_bytes(&out));
        struct record record;
        bool known = kind >= RECORD_GENESIS && kind <= RECORD_ANSWER;
        assert_int_equal(record_next(&frame, out.data, &record), known);
        assert_int_equal(frame.bad, !known);
    }
}

static void a_record_with_reserved_bytes_makes_the_frame_bad(void **state)
{
    (void)state;
    for (size_t at = 5; at < RECORD_HEADER_BYTES; at++) {
        struct buf out = fresh();
        drop_put(&out, 1);
        out.data[at] = 1;
        struct reader frame = reader_of(buf_bytes(&out));
        struct record record;
        assert_false(record_next(&frame, out.data, &record));
        assert_true(frame.bad);
    }
}

static void what_does_not_fit_overflows_and_nothing_else(void **state)
{
    (void)state;
    struct source given = sample_source();
    struct buf whole = fresh();
    source_put(&whole, &given);
    for (size_t cap = 0; cap < whole.len; cap++) {
        uint8_t *exact = malloc(cap + 1);
        assert_non_null(exact);
        struct buf out = buf_of(exact, cap);
        source_put(&out, &given);
        assert_true(out.overflow);
        assert_true(out.len <= cap);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_genesis_comes_back),
        cmocka_unit_test(a_genesis_without_or_with_too_many_partitions_is_refused),
        cmocka_unit_test(a_definition_comes_back),
        cmocka_unit_test(a_drop_and_a_forget_come_back),
        cmocka_unit_test(a_source_comes_back),
        cmocka_unit_test(a_source_beyond_its_limits_is_refused),
        cmocka_unit_test(a_lane_command_comes_back),
        cmocka_unit_test(a_pulse_and_its_lanes_come_back),
        cmocka_unit_test(a_pulse_with_fewer_or_more_lanes_than_it_says_is_refused),
        cmocka_unit_test(a_pulse_with_a_lane_that_cannot_be_is_refused),
        cmocka_unit_test(records_follow_each_other_in_a_frame),
        cmocka_unit_test(a_frame_cut_inside_a_record_is_bad),
        cmocka_unit_test(a_record_of_an_unknown_kind_makes_the_frame_bad),
        cmocka_unit_test(a_record_with_reserved_bytes_makes_the_frame_bad),
        cmocka_unit_test(what_does_not_fit_overflows_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
