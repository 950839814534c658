/* Commands on timeouts as bytes: each comes back as it was, and what no encoder writes is refused. */
#include "../base/support.h"

#include "model/timeout.h"

#include <stdlib.h>

static uint8_t memory[1 << 20];

static struct buf fresh(void)
{
    memset(memory, 0xee, sizeof(memory));
    return buf_of(memory, sizeof(memory));
}

static struct bytes long_text(size_t len)
{
    static uint8_t text[TIMEOUT_DATA_MAX + 1];
    memset(text, 'k', sizeof(text));
    return bytes_of(text, len);
}

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

/* One of each kind, and the ends of each range. */
static const struct timeout_command samples[] = {
    {.op = TIMEOUT_CREATE, .key = TEXT("a"), .within_us = 1},
    {.op = TIMEOUT_CREATE,
     .key = TEXT("order-17"),
     .within_us = TIMEOUT_WITHIN_MAX_US,
     .clock = TIMEOUT_BY_EVENTS,
     .has_event_time = true,
     .event_time = {INT64_MIN},
     .on_exists = TIMEOUT_REPLACE,
     .data = TEXT("{\"n\":1}")},
    {.op = TIMEOUT_CREATE,
     .key = TEXT("b"),
     .has_deadline = true,
     .deadline = INT64_MAX,
     .on_exists = TIMEOUT_RETURN,
     .has_version = true},
    {.op = TIMEOUT_COMPLETE,
     .key = TEXT("order-17"),
     .generation = UINT32_MAX,
     .has_version = true,
     .version = UINT64_MAX,
     .has_event_time = true,
     .event_time = {INT64_MAX}},
    {.op = TIMEOUT_COMPLETE, .key = TEXT("c")},
    {.op = TIMEOUT_COMPLETE, .rule = 1, .key = TEXT("")},
    {.op = TIMEOUT_CANCEL, .rule = UINT32_MAX, .key = TEXT("c")},
    {.op = TIMEOUT_HEARTBEAT,
     .rule = 128,
     .key = TEXT("c"),
     .within_us = TIMEOUT_WITHIN_MAX_US,
     .has_event_time = true,
     .event_time = {-1}},
    {.op = TIMEOUT_CANCEL, .key = TEXT("\xc3\xa9\0z"), .generation = 1},
    {.op = TIMEOUT_HEARTBEAT, .key = TEXT("d")},
    {.op = TIMEOUT_HEARTBEAT, .key = TEXT("d"), .within_us = 5, .generation = 128},
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static struct bytes body_of(struct buf *out, const struct timeout_command *commands, uint32_t count)
{
    *out = fresh();
    size_t start = timeouts_begin(out, count);
    for (uint32_t n = 0; n < count; n++) {
        size_t before = out->len;
        timeout_command_put(out, &commands[n], n % PARTITIONS_MAX);
        assert_true(out->len - before <= timeout_command_bytes_max(&commands[n]));
    }
    record_end(out, start);
    timeouts_stamp(out, start, (struct clock_time){1234567}, -7654321);
    assert_false(out->overflow);
    struct reader frame = reader_of(buf_bytes(out));
    struct record record;
    assert_true(record_next(&frame, out->data, &record));
    assert_int_equal(record.kind, RECORD_TIMEOUTS);
    return record.body;
}

static void assert_same(const struct timeout_command *a, const struct timeout_command *b)
{
    assert_int_equal(a->op, b->op);
    assert_int_equal(a->rule, b->rule);
    assert_true(bytes_equal(a->key, b->key));
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->has_version, b->has_version);
    assert_true(a->version == b->version);
    assert_int_equal(a->has_deadline, b->has_deadline);
    assert_true(a->deadline == b->deadline);
    assert_true(a->within_us == b->within_us);
    assert_int_equal(a->has_event_time, b->has_event_time);
    assert_true(a->event_time.us == b->event_time.us);
    assert_int_equal(a->clock, b->clock);
    assert_int_equal(a->on_exists, b->on_exists);
    assert_true(bytes_equal(a->data, b->data));
}

/* Whether the body is a record of `count` good commands. */
static bool reads(struct bytes body)
{
    struct timeouts_reader reader;
    struct timeout_command command;
    if (!timeouts_open(body, &reader)) {
        return false;
    }
    while (timeouts_next(&reader)) {
        if (!timeout_command_read(&reader, &command)) {
            assert_true(reader.commands.bad);
            assert_false(timeouts_next(&reader));
            return false;
        }
    }
    return !reader.commands.bad;
}

static void commands_come_back_with_their_partition_and_the_clock(void **state)
{
    (void)state;
    struct buf out;
    struct timeouts_reader reader;
    assert_true(timeouts_open(body_of(&out, samples, SAMPLES), &reader));
    assert_int_equal(reader.clock.us, 1234567);
    assert_int_equal(reader.watermark, -7654321);
    assert_int_equal(reader.count, SAMPLES);
    for (uint32_t n = 0; n < SAMPLES; n++) {
        struct timeout_command command;
        assert_true(timeouts_next(&reader));
        assert_int_equal(reader.index, n);
        assert_int_equal(reader.partition, n);
        assert_true(timeout_command_read(&reader, &command));
        assert_same(&command, &samples[n]);
    }
    assert_false(timeouts_next(&reader));
    assert_false(timeouts_next(&reader));
    assert_false(reader.commands.bad);
}

static void the_longest_key_and_data_fit_and_may_be_skipped(void **state)
{
    (void)state;
    struct timeout_command commands[2] = {{.op = TIMEOUT_CREATE,
                                           .key = long_text(TIMEOUT_KEY_MAX),
                                           .within_us = 1,
                                           .data = long_text(TIMEOUT_DATA_MAX)},
                                          samples[0]};
    struct buf out;
    struct timeouts_reader reader;
    struct timeout_command command;
    assert_true(timeouts_open(body_of(&out, commands, 2), &reader));
    assert_true(timeouts_next(&reader)); /* another's partition: not decoded */
    assert_true(timeouts_next(&reader));
    assert_true(timeout_command_read(&reader, &command));
    assert_same(&command, &samples[0]);
    assert_true(reads(body_of(&out, commands, 2)));
}

static void a_body_that_is_cut_or_longer_is_refused(void **state)
{
    (void)state;
    struct buf out;
    struct bytes body = body_of(&out, samples, SAMPLES);
    for (size_t len = 0; len <= body.len + 1; len++) {
        uint8_t *copy = calloc(1, len + 1);
        assert_non_null(copy);
        memcpy(copy, body.data, len < body.len ? len : body.len);
        assert_int_equal(reads(bytes_of(copy, len)), len == body.len);
        free(copy);
    }
}

static void no_command_and_too_many_are_refused(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, TIMEOUT_COMMANDS_MAX + 1, UINT32_MAX};
    for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        struct buf out = fresh();
        struct timeouts_reader reader;
        buf_put_i64(&out, 0);
        buf_put_i64(&out, WATERMARK_NONE);
        buf_put_u32(&out, counts[n]);
        assert_false(timeouts_open(buf_bytes(&out), &reader));
    }
}

/* A record of one command of these bytes, the length in front. */
static bool command_reads(const void *bytes, size_t len)
{
    struct buf out = fresh();
    buf_put_i64(&out, 0);
    buf_put_i64(&out, WATERMARK_NONE);
    buf_put_u32(&out, 1);
    buf_put_string(&out, bytes_of(bytes, len));
    return reads(buf_bytes(&out));
}

#define COMMAND_READS(literal) command_reads(literal, sizeof(literal) - 1)

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    /* partition, op, flags, key, then the parts */
    assert_true(COMMAND_READS("\x3f\x01\x00\x01k\x02"));      /* create, within 1 */
    assert_false(COMMAND_READS("\x40\x01\x00\x01k\x02"));     /* partition 64 */
    assert_false(COMMAND_READS("\x00\x00\x00\x01k\x02"));     /* no op */
    assert_false(COMMAND_READS("\x00\x05\x00\x01k\x02"));     /* no such op */
    assert_false(COMMAND_READS("\x00\x01\x00\x00\x02"));      /* no key */
    assert_false(COMMAND_READS("\x00\x01\x00\x01k\x00"));     /* create, within 0 */
    assert_false(COMMAND_READS("\x00\x01\x00\x01k\x01"));     /* create, within -1 */
    assert_false(COMMAND_READS("\x00\x01\x00\x01k\x02\x00")); /* a byte left over */
    assert_false(COMMAND_READS("\x00\x01\x01\x01k\x01\x02")); /* create with a generation */
    assert_false(COMMAND_READS("\x00\x01\x60\x01k\x02"));     /* no such on_exists */
    assert_true(COMMAND_READS("\x00\x01\x40\x01k\x02"));      /* replace */
    assert_false(COMMAND_READS("\x00\x01\x80\x01k\x02\x00")); /* empty data have no flag */
    assert_true(COMMAND_READS("\x00\x01\x80\x01k\x02\x01\x31"));
    assert_true(COMMAND_READS("\x00\x02\x00\x01k"));      /* complete */
    assert_false(COMMAND_READS("\x00\x02\x10\x01k"));     /* complete by events */
    assert_false(COMMAND_READS("\x00\x02\x01\x01k\x00")); /* generation 0 has no flag */
    assert_false(COMMAND_READS("\x00\x02\x01\x01k\x80\x80\x80\x80\x10")); /* beyond 32 bits */
    assert_false(COMMAND_READS("\x00\x03\x20\x01k"));                     /* cancel, on_exists */
    assert_true(COMMAND_READS("\x00\x04\x00\x01k\x00"));                  /* heartbeat */
    assert_false(COMMAND_READS("\x00\x04\x00\x01k\x01"));                 /* heartbeat, extend -1 */
    assert_false(COMMAND_READS("\x00\x04\x04\x01k\0\0\0\0\0\0\0\0\x00")); /* with a deadline */
    assert_false(COMMAND_READS("\x00\x02\x00\x81\x00k")); /* a length not in its shortest form */
    uint8_t bytes[5 + TIMEOUT_KEY_MAX + 1] = {0, TIMEOUT_COMPLETE, 0, 0x81, 0x02};
    assert_false(command_reads(bytes, sizeof(bytes))); /* key of 257 bytes */
}

static void any_bytes_are_read_to_their_end_or_refused(void **state)
{
    (void)state;
    uint64_t random = 20261122;
    print_message("seed %llu\n", (unsigned long long)random);
    struct buf out;
    struct bytes body = body_of(&out, samples, SAMPLES);
    uint8_t *copy = malloc(body.len);
    assert_non_null(copy);
    uint32_t good = 0;
    for (uint32_t n = 0; n < 200000; n++) {
        memcpy(copy, body.data, body.len);
        for (uint32_t flips = 0; flips <= n % 3; flips++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            copy[(random >> 33) % body.len] = (uint8_t)(random >> 25);
        }
        good += reads(bytes_of(copy, body.len));
    }
    assert_true(good > 0 && good < 200000);
    free(copy);
}

static void partitions_share_the_keys_evenly_whatever_the_seed(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        uint32_t counts[16] = {0};
        for (uint32_t n = 0; n < 16000; n++) {
            uint64_t hash = timeout_hash(bytes_of(&n, sizeof(n)), seed);
            counts[timeout_partition(hash, 16)]++;
            assert_true(timeout_partition(hash, PARTITIONS_MAX) < PARTITIONS_MAX);
            assert_int_equal(timeout_partition(hash, 1), 0);
        }
        for (uint32_t n = 0; n < 16; n++) {
            assert_in_range(counts[n], 800, 1200);
        }
    }
}

static void what_does_not_fit_overflows_and_nothing_else(void **state)
{
    (void)state;
    uint8_t small[64];
    for (size_t cap = 0; cap < sizeof(small); cap++) {
        struct buf out = buf_of(small, cap);
        size_t start = timeouts_begin(&out, 1);
        timeout_command_put(&out, &samples[1], 0);
        record_end(&out, start);
        timeouts_stamp(&out, start, (struct clock_time){1}, 1);
        assert_true(out.overflow == (cap < 8 + 20 + 1 + 3 + 9 + 8 + 8 + 8));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_come_back_with_their_partition_and_the_clock),
        cmocka_unit_test(the_longest_key_and_data_fit_and_may_be_skipped),
        cmocka_unit_test(a_body_that_is_cut_or_longer_is_refused),
        cmocka_unit_test(no_command_and_too_many_are_refused),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(any_bytes_are_read_to_their_end_or_refused),
        cmocka_unit_test(partitions_share_the_keys_evenly_whatever_the_seed),
        cmocka_unit_test(what_does_not_fit_overflows_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
