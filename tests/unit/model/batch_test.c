/* Batches of events: what is written comes back whole, what was damaged is refused. */
#include "../base/support.h"

#include "base/hash.h"
#include "model/batch.h"

#define SEED       0x5eedULL
#define PARTITIONS 16
#define MEMORY_MAX ((size_t)8 << 20)

static struct batch_writer writer;
static struct batch_word words[BATCH_WORDS_MAX];
static uint8_t memory[MEMORY_MAX];

static void start(size_t cap)
{
    batch_writer_init(&writer, SEED, PARTITIONS);
    batch_writer_reset(&writer, memory, cap);
}

static void begin(void)
{
    batch_begin(&writer, (struct clock_time){1000}, (struct event_time){5000});
}

static struct event plain_event(struct bytes id)
{
    return (struct event){
        .id = id,
        .source = BYTES("/s"),
        .type = BYTES("t"),
        .data = BYTES("{\"x\":1}"),
        .time = {6000},
        .flags = EVENT_HAS_DATA | EVENT_HAS_TIME,
    };
}

/* The body of the nth record in the writer's memory. */
static struct bytes body_at(uint32_t nth)
{
    struct reader frame = reader_of(buf_bytes(&writer.out));
    struct record record;
    for (uint32_t n = 0; n <= nth; n++) {
        assert_true(record_next(&frame, memory, &record));
        assert_int_equal(record.kind, RECORD_EVENTS);
    }
    return record.body;
}

static uint32_t record_count(void)
{
    struct reader frame = reader_of(buf_bytes(&writer.out));
    struct record record;
    uint32_t count = 0;
    while (record_next(&frame, memory, &record)) {
        count++;
    }
    assert_false(frame.bad);
    return count;
}

static void assert_same(struct bytes actual, struct bytes expected)
{
    assert_int_equal(actual.len, expected.len);
    if (actual.len > 0) {
        assert_memory_equal(actual.data, expected.data, actual.len);
    }
}

/* What can be seen of `expected` through its flags is in `actual`. */
static void assert_event(const struct event *actual, const struct event *expected)
{
    assert_int_equal(actual->flags, expected->flags);
    assert_int_equal(actual->time.us, expected->time.us);
    assert_same(actual->id, expected->id);
    assert_same(actual->source, expected->source);
    assert_same(actual->type, expected->type);
    struct bytes none = {0};
    uint8_t flags = expected->flags;
    assert_same(actual->subject, (flags & EVENT_HAS_SUBJECT) != 0 ? expected->subject : none);
    assert_same(actual->content_type,
                (flags & EVENT_HAS_CONTENT_TYPE) != 0 ? expected->content_type : none);
    assert_same(actual->extensions,
                (flags & EVENT_HAS_EXTENSIONS) != 0 ? expected->extensions : none);
    assert_same(actual->data, (flags & EVENT_HAS_DATA) != 0 ? expected->data : none);
}

/* Reads the whole batch and compares it with what was given. */
static void assert_batch(struct bytes body, const struct event *events, uint32_t count)
{
    struct batch batch;
    uint32_t word_count;
    assert_true(batch_open(body, &batch));
    assert_int_equal(batch.count, count);
    assert_int_equal(batch.arrival.us, 1000);
    assert_int_equal(batch.base_time, 5000);
    assert_true(batch_read_words(&batch, words, &word_count));
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, &batch);
    struct batch_row row;
    uint32_t rows = 0;
    while (batch_next_row(&cursor, &row)) {
        struct event event;
        int64_t time;
        uint32_t source;
        assert_true(rows < count);
        assert_int_equal(row.index, rows);
        assert_true(batch_row_event(&batch, words, word_count, &row, &event));
        assert_event(&event, &events[rows]);
        assert_int_equal(event.arrival.us, 1000);
        assert_true(batch_row_time(&batch, &row, &time, &source));
        assert_int_equal(time, event.time.us);
        assert_int_equal(source, event.source_index);
        uint64_t hash = event_source_hash(event.source, SEED);
        assert_int_equal(row.partition,
                         event_partition(event_fingerprint(hash, event.id, SEED), PARTITIONS));
        rows++;
    }
    assert_int_equal(rows, count);
}

static void every_set_of_optional_members_comes_back(void **state)
{
    (void)state;
    static struct event events[64];
    start(MEMORY_MAX);
    begin();
    for (uint8_t flags = 0; flags < 64; flags++) {
        events[flags] = plain_event(BYTES("id"));
        events[flags].flags = flags;
        events[flags].subject = BYTES("subject");
        events[flags].content_type = BYTES("application/json");
        events[flags].extensions = BYTES(
            "\1a\1"
            "1");
        assert_true(batch_add(&writer, &events[flags]));
    }
    batch_end(&writer);
    assert_batch(body_at(0), events, 64);
}

static void empty_members_are_not_absent_ones(void **state)
{
    (void)state;
    struct event event = {.flags = EVENT_HAS_SUBJECT | EVENT_HAS_CONTENT_TYPE |
                                   EVENT_HAS_EXTENSIONS | EVENT_HAS_DATA};
    start(MEMORY_MAX);
    begin();
    assert_true(batch_add(&writer, &event));
    batch_end(&writer);
    assert_batch(body_at(0), &event, 1);
}

static void rows_of_all_length_widths_come_back(void **state)
{
    (void)state;
    static uint8_t data[3 << 20];
    static const size_t lengths[] = {0,
                                     100,
                                     110,
                                     111,
                                     112,
                                     113,
                                     114,
                                     115,
                                     116,
                                     117,
                                     118,
                                     127,
                                     128,
                                     16000,
                                     16366,
                                     16367,
                                     16368,
                                     16369,
                                     16370,
                                     16371,
                                     16372,
                                     16373,
                                     16384,
                                     1 << 20,
                                     (2 << 20) - 20,
                                     (2 << 20) + 1};
    memset(data, '7', sizeof(data));
    for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
        struct event events[3] = {
            plain_event(BYTES("a")), plain_event(BYTES("b")), plain_event(BYTES("c"))};
        events[1].data = bytes_of(data, lengths[n]);
        start(MEMORY_MAX);
        begin();
        for (int i = 0; i < 3; i++) {
            assert_true(batch_add(&writer, &events[i]));
        }
        batch_end(&writer);
        assert_batch(body_at(0), events, 3);
    }
}

static void times_far_from_the_base_come_back(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MIN, -1, 0, 4999, 5000, 5001, INT64_MAX};
    for (size_t n = 0; n < sizeof(times) / sizeof(times[0]); n++) {
        struct event event = plain_event(BYTES("far"));
        event.time.us = times[n];
        start(MEMORY_MAX);
        begin();
        assert_true(batch_add(&writer, &event));
        batch_end(&writer);
        assert_batch(body_at(0), &event, 1);
    }
}

static void an_empty_batch_is_taken_back(void **state)
{
    (void)state;
    struct event event = plain_event(BYTES("x"));
    start(MEMORY_MAX);
    begin();
    batch_end(&writer);
    assert_int_equal(writer.out.len, 0);
    begin();
    assert_true(batch_add(&writer, &event));
    batch_end(&writer);
    size_t len = writer.out.len;
    begin();
    batch_end(&writer);
    assert_int_equal(writer.out.len, len);
    assert_int_equal(record_count(), 1);
    assert_batch(body_at(0), &event, 1);
}

static void several_batches_stand_in_one_memory(void **state)
{
    (void)state;
    static char ids[40][8];
    static struct event events[40];
    start(MEMORY_MAX);
    for (uint32_t n = 0; n < 40; n++) {
        (void)snprintf(ids[n], sizeof(ids[n]), "i%u", n);
        events[n] = plain_event(bytes_of_string(ids[n]));
        events[n].source = bytes_of_string(ids[n / 3]);
    }
    for (uint32_t n = 0; n < 10; n++) {
        begin();
        for (uint32_t i = 0; i < 4; i++) {
            assert_true(batch_add(&writer, &events[n * 4 + i]));
        }
        batch_end(&writer);
    }
    assert_int_equal(record_count(), 10);
    for (uint32_t n = 0; n < 10; n++) {
        assert_batch(body_at(n), events + (size_t)n * 4, 4);
    }
}

static void the_dictionary_takes_its_many_words_and_no_more(void **state)
{
    (void)state;
    static char texts[BATCH_WORDS_MAX + 1][8];
    static struct event events[BATCH_WORDS_MAX];
    start(MEMORY_MAX);
    begin();
    uint32_t taken = 0;
    for (uint32_t n = 0; n <= BATCH_WORDS_MAX; n++) {
        (void)snprintf(texts[n], sizeof(texts[n]), "w%u", n);
        struct event event = plain_event(bytes_of_string(texts[n]));
        event.source = bytes_of_string(texts[n]);
        if (!batch_add(&writer, &event)) {
            break;
        }
        events[taken++] = event;
    }
    assert_int_equal(taken, BATCH_WORDS_MAX - 1); /* the type is a word, too */
    struct event known = events[17];
    assert_true(batch_add(&writer, &known));
    events[taken++] = known;
    batch_end(&writer);
    assert_batch(body_at(0), events, taken);
    assert_int_equal(writer.word_count, BATCH_WORDS_MAX);
}

/* Fills memory of every size up to one that takes all; whatever was taken must come back. */
static void a_full_memory_refuses_an_event_and_keeps_the_others(void **state)
{
    (void)state;
    static char sources[20][64];
    static struct event events[20];
    for (uint32_t n = 0; n < 20; n++) {
        (void)snprintf(sources[n], sizeof(sources[n]), "/source/%0*u", (int)(n * 2 + 1), n);
        events[n] = plain_event(bytes_of_string(sources[n]));
        events[n].source = bytes_of_string(sources[n]);
        events[n].type = bytes_of_string(sources[(n + 7) % 20]);
    }
    uint32_t most = 0;
    for (size_t cap = BATCH_HEADER_BYTES + RECORD_HEADER_BYTES; cap < 4000; cap++) {
        uint32_t taken = 0;
        start(cap);
        begin();
        while (taken < 20 && batch_add(&writer, &events[taken])) {
            taken++;
        }
        batch_end(&writer);
        assert_false(writer.out.overflow);
        assert_int_equal(record_count(), taken > 0);
        if (taken > 0) {
            assert_batch(body_at(0), events, taken);
        }
        assert_true(taken >= most);
        most = taken;
    }
    assert_int_equal(most, 20);
}

/* The refused event's long source must not need room in the batch that goes without it. */
static void a_refused_event_leaves_no_word_behind(void **state)
{
    (void)state;
    static char source[2048];
    memset(source, 's', sizeof(source));
    struct event small = plain_event(BYTES("small"));
    struct event large = plain_event(BYTES("large"));
    large.source = bytes_of(source, sizeof(source));
    large.type = bytes_of(source, sizeof(source) - 1);
    start(512);
    begin();
    assert_true(batch_add(&writer, &small));
    assert_false(batch_add(&writer, &large));
    assert_true(batch_add(&writer, &small));
    batch_end(&writer);
    assert_int_equal(writer.word_count, 2);
    struct event both[2] = {small, small};
    assert_batch(body_at(0), both, 2);
}

static void a_batch_begun_without_room_takes_nothing_of_the_one_before(void **state)
{
    (void)state;
    struct event event = plain_event(BYTES("x"));
    start(MEMORY_MAX);
    begin();
    assert_true(batch_add(&writer, &event));
    batch_end(&writer);
    size_t len = writer.out.len;
    for (size_t cap = len; cap < len + 160; cap++) {
        start(cap + 80); /* a row's bound is more than the row takes */
        begin();
        assert_true(batch_add(&writer, &event));
        batch_end(&writer);
        assert_int_equal(writer.out.len, len);
        writer.out.cap = cap;
        begin();
        bool taken = batch_add(&writer, &event);
        batch_end(&writer);
        assert_int_equal(record_count(), taken ? 2 : 1);
        assert_int_equal(writer.out.len, taken ? 2 * len : len);
        assert_batch(body_at(0), &event, 1);
    }
}

/* --- stamping --- */

#define STAMPED 50

static void write_stampable(void)
{
    static char ids[STAMPED][8];
    start(MEMORY_MAX);
    begin();
    for (uint32_t n = 0; n < STAMPED; n++) {
        (void)snprintf(ids[n], sizeof(ids[n]), "%u", n);
        struct event event = plain_event(bytes_of_string(ids[n]));
        assert_true(batch_add(&writer, &event));
    }
    batch_end(&writer);
}

/* The watermark that the cursor shows before each row is `expected`. */
static void assert_watermarks(const int64_t *expected)
{
    struct batch batch;
    struct batch_cursor cursor;
    struct batch_row row;
    assert_true(batch_open(body_at(0), &batch));
    batch_cursor_init(&cursor, &batch);
    for (uint32_t n = 0; n < STAMPED; n++) {
        assert_true(batch_next_row(&cursor, &row));
        assert_int_equal(cursor.watermark, expected[n]);
    }
    assert_false(batch_next_row(&cursor, &row));
    assert_int_equal(record_count(), 1);
}

static void stamp(const int64_t *expected)
{
    struct batch_stamp own;
    batch_stamp_begin(&own, &writer.out, RECORD_HEADER_BYTES, expected[0]);
    for (uint32_t n = 1; n < STAMPED; n++) {
        if (expected[n] > own.watermark) {
            batch_stamp_step(&own, n, expected[n]);
        }
    }
    batch_stamp_end(&own);
}

static void an_unstamped_batch_has_no_watermark(void **state)
{
    (void)state;
    int64_t expected[STAMPED];
    for (uint32_t n = 0; n < STAMPED; n++) {
        expected[n] = WATERMARK_NONE;
    }
    write_stampable();
    assert_watermarks(expected);
}

static void each_row_sees_the_watermark_before_it(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("stamping");
    for (uint32_t round = 0; round < 200; round++) {
        int64_t expected[STAMPED];
        int64_t watermark = round % 2 == 0 ? WATERMARK_NONE : -100;
        for (uint32_t n = 0; n < STAMPED; n++) {
            if (n > 0 && random_below(&random, 3) == 0) {
                watermark = watermark == WATERMARK_NONE
                                ? (int64_t)random_below(&random, 1000) - 500
                                : watermark + (int64_t)random_below(&random, UINT64_C(1) << 40);
            }
            expected[n] = watermark;
        }
        write_stampable();
        stamp(expected);
        assert_watermarks(expected);
    }
}

static void the_watermark_may_rise_over_the_whole_range(void **state)
{
    (void)state;
    int64_t expected[STAMPED];
    for (uint32_t n = 0; n < STAMPED; n++) {
        expected[n] = n == 0 ? WATERMARK_NONE : n < 40 ? 0 : WATERMARK_FINAL;
    }
    write_stampable();
    stamp(expected);
    assert_watermarks(expected);
    expected[1] = expected[2] = WATERMARK_NONE;
    for (uint32_t n = 3; n < STAMPED; n++) {
        expected[n] = WATERMARK_FINAL;
    }
    write_stampable();
    stamp(expected);
    assert_watermarks(expected);
}

static void a_step_takes_no_more_than_its_bound(void **state)
{
    (void)state;
    write_stampable();
    size_t before = writer.out.len;
    struct batch_stamp own;
    batch_stamp_begin(&own, &writer.out, RECORD_HEADER_BYTES, WATERMARK_NONE);
    batch_stamp_step(&own, UINT32_MAX - 1, WATERMARK_FINAL);
    batch_stamp_end(&own);
    assert_true(writer.out.len - before <= BATCH_STEP_BYTES_MAX);
}

static void two_steps_before_one_row_add_up(void **state)
{
    (void)state;
    int64_t expected[STAMPED];
    for (uint32_t n = 0; n < STAMPED; n++) {
        expected[n] = n < 7 ? 10 : 30;
    }
    write_stampable();
    struct batch_stamp own;
    batch_stamp_begin(&own, &writer.out, RECORD_HEADER_BYTES, 10);
    batch_stamp_step(&own, 7, 20);
    batch_stamp_step(&own, 7, 30);
    batch_stamp_end(&own);
    assert_watermarks(expected);
}

static void step_backwards(void)
{
    struct batch_stamp own;
    batch_stamp_begin(&own, &writer.out, RECORD_HEADER_BYTES, 10);
    batch_stamp_step(&own, 3, 10);
}

static void a_watermark_that_does_not_rise_is_no_step(void **state)
{
    (void)state;
    write_stampable();
    assert_true(dies(step_backwards));
}

/* --- damage --- */

/* Reads as much as can be read; says whether all of it was a batch of events. */
static bool read_all(struct bytes body)
{
    struct batch batch;
    uint32_t word_count;
    if (!batch_open(body, &batch) || !batch_read_words(&batch, words, &word_count)) {
        return false;
    }
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, &batch);
    struct batch_row row;
    uint32_t rows = 0;
    uint64_t sum = 0;
    while (batch_next_row(&cursor, &row)) {
        struct event event;
        int64_t time;
        uint32_t source;
        if (!batch_row_event(&batch, words, word_count, &row, &event) ||
            !batch_row_time(&batch, &row, &time, &source) || time != event.time.us) {
            return false;
        }
        /* Reaches every byte that the event points to. */
        sum += hash64(event.id, 0) + hash64(event.source, 0) + hash64(event.type, 0);
        sum += hash64(event.subject, 0) + hash64(event.data, 0) + hash64(event.extensions, 0);
        sum += hash64(event.content_type, 0);
        rows++;
    }
    return rows == batch.count && sum != 1;
}

static struct bytes small_body(void)
{
    struct event event = plain_event(BYTES("id-1"));
    event.flags |= EVENT_HAS_SUBJECT | EVENT_HAS_CONTENT_TYPE | EVENT_HAS_EXTENSIONS;
    event.subject = BYTES("subject");
    event.content_type = BYTES("text/json");
    event.extensions = BYTES("\1k\3\"v\"");
    start(MEMORY_MAX);
    begin();
    for (int64_t n = 0; n < 4; n++) {
        event.time.us += n * 1000;
        assert_true(batch_add(&writer, &event));
    }
    batch_end(&writer);
    struct batch_stamp own;
    batch_stamp_begin(&own, &writer.out, RECORD_HEADER_BYTES, WATERMARK_NONE);
    batch_stamp_step(&own, 1, 3000);
    batch_stamp_step(&own, 3, 5000);
    batch_stamp_end(&own);
    return body_at(0);
}

static void a_truncated_body_is_refused(void **state)
{
    (void)state;
    struct bytes body = small_body();
    assert_true(read_all(body));
    for (size_t len = 0; len < body.len; len++) {
        /* In memory of its own length, so that a read beyond it is seen. */
        uint8_t *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, body.data, len);
        struct batch batch;
        assert_false(batch_open(bytes_of(copy, len), &batch));
        free(copy);
    }
}

static void a_longer_body_is_refused(void **state)
{
    (void)state;
    struct bytes body = small_body();
    struct batch batch;
    buf_put_u8(&writer.out, 0);
    assert_false(batch_open(bytes_of(body.data, body.len + 1), &batch));
}

static void damage_to_any_byte_is_survived(void **state)
{
    (void)state;
    struct bytes body = small_body();
    uint8_t *copy = malloc(body.len);
    assert_non_null(copy);
    uint32_t refused = 0;
    for (size_t at = 0; at < body.len; at++) {
        for (uint32_t value = 0; value < 256; value++) {
            memcpy(copy, body.data, body.len);
            copy[at] = (uint8_t)value;
            refused += !read_all(bytes_of(copy, body.len));
        }
    }
    free(copy);
    /* Nothing hides in counts, lengths and word numbers; texts and times may be anything. */
    assert_true(refused > 256 * 16);
}

static void random_bytes_are_survived(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("random bytes");
    for (uint32_t round = 0; round < 20000; round++) {
        struct bytes body = small_body();
        uint8_t *copy = malloc(body.len);
        assert_non_null(copy);
        memcpy(copy, body.data, body.len);
        for (uint64_t n = random_below(&random, 6); n > 0; n--) {
            copy[random_below(&random, body.len)] = (uint8_t)random_next(&random);
        }
        (void)read_all(bytes_of(copy, body.len));
        free(copy);
    }
}

/* A body made by hand: one row and one word. */
static struct bytes hand_made(struct bytes row, struct bytes steps)
{
    static uint8_t made[256];
    struct buf out = buf_of(made, sizeof(made));
    buf_put_i64(&out, 1);
    buf_put_i64(&out, 2);
    buf_put_i64(&out, 3);
    buf_put_u32(&out, 1);
    buf_put_u32(&out, (uint32_t)row.len + 1);
    buf_put_u32(&out, 4);
    buf_put_u32(&out, (uint32_t)steps.len);
    buf_put_string(&out, row);
    buf_put_u16(&out, 1);
    buf_put_string(&out, BYTES("w"));
    buf_put_bytes(&out, steps);
    return buf_bytes(&out);
}

static void rows_that_no_writer_makes_are_refused(void **state)
{
    (void)state;
    struct bytes none = {0};
    /* partition, flags, time, source, type, id */
    assert_true(read_all(hand_made(BYTES("\0\0\0\0\0\1i"), none)));
    assert_false(read_all(hand_made(BYTES("\0\0\0\1\0\1i"), none))); /* there is no word 1 */
    assert_false(read_all(hand_made(BYTES("\0\0\0\0\1\1i"), none)));
    assert_false(read_all(hand_made(BYTES("\0\2\0\0\0\1i\1"), none))); /* content type */
    assert_false(read_all(hand_made(BYTES("\0\0\0\0\0\2i"), none)));   /* id too short */
    assert_false(read_all(hand_made(BYTES("\0\1\0\0\0\1i"), none)));   /* no subject */
    assert_false(read_all(hand_made(BYTES("\0\0\0\0\0\1ix"), none)));  /* data without its flag */
    assert_true(read_all(hand_made(BYTES("\0\100\0\0\0\1i"), none)));  /* time in ms */
    assert_false(
        read_all(hand_made(BYTES("\0\200\0\0\0\1i"), none))); /* JSON, but no content type */
    assert_false(read_all(hand_made(BYTES(""), none)));
    assert_true(read_all(hand_made(BYTES("\0\0\0\0\0\1i"), BYTES("\0\5"))));
    assert_false(read_all(hand_made(BYTES("\0\0\0\0\0\1i"), BYTES("\0"))));     /* no rise */
    assert_false(read_all(hand_made(BYTES("\0\0\0\0\0\1i"), BYTES("\0\200")))); /* half a rise */
}

/* --- partitions --- */

static void events_spread_evenly_over_partitions(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 16, 64};
    uint64_t source = event_source_hash(BYTES("/carriers/UA"), SEED);
    for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        uint32_t hits[PARTITIONS_MAX] = {0};
        uint32_t per_partition = 1000;
        for (uint32_t id = 0; id < counts[n] * per_partition; id++) {
            char text[16];
            (void)snprintf(text, sizeof(text), "%u", id);
            uint64_t fingerprint = event_fingerprint(source, bytes_of_string(text), SEED);
            uint32_t partition = event_partition(fingerprint, counts[n]);
            assert_true(partition < counts[n]);
            hits[partition]++;
        }
        for (uint32_t partition = 0; partition < counts[n]; partition++) {
            assert_in_range(hits[partition], 800, 1200); /* six standard deviations */
        }
    }
}

static void identity_is_source_and_id_under_a_seed(void **state)
{
    (void)state;
    uint64_t a = event_source_hash(BYTES("a"), 1);
    uint64_t b = event_source_hash(BYTES("b"), 1);
    assert_true(event_fingerprint(a, BYTES("1"), 1) == event_fingerprint(a, BYTES("1"), 1));
    assert_true(event_fingerprint(a, BYTES("1"), 1) != event_fingerprint(b, BYTES("1"), 1));
    assert_true(event_fingerprint(a, BYTES("1"), 1) != event_fingerprint(a, BYTES("2"), 1));
    assert_true(event_fingerprint(a, BYTES("b"), 1) != event_fingerprint(b, BYTES("a"), 1));
    assert_true(event_source_hash(BYTES("a"), 2) != a);
    assert_true(event_fingerprint(a, BYTES("1"), 2) != event_fingerprint(a, BYTES("1"), 1));
}

/* Fingerprints are in snapshots and partitions in the log: they are part of the format. */
static void identity_and_bytes_are_those_of_the_format(void **state)
{
    (void)state;
    uint64_t source = event_source_hash(BYTES("/s"), SEED);
    assert_true(event_fingerprint(source, BYTES("id-1"), SEED) == UINT64_C(0xc84564e8c7d7eb27));
    static const uint8_t expected[] = {
        0xe8, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x88, 0x13, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x04, 0x00, 0x00, 0x00, 0x88, 0x00,
        0x00, 0x00, 0x11, 0x00, 0x00, 0x00, 0x0e, 0x00, 0x00, 0x00, 0x21, 0x0c, 0x6f, 0x02, 0x00,
        0x01, 0x04, 0x69, 0x64, 0x2d, 0x31, 0x02, 0x07, 0x73, 0x75, 0x62, 0x6a, 0x65, 0x63, 0x74,
        0x06, 0x01, 0x6b, 0x03, 0x22, 0x76, 0x22, 0x7b, 0x22, 0x78, 0x22, 0x3a, 0x31, 0x7d, 0x21,
        0x0c, 0x6f, 0x04, 0x00, 0x01, 0x04, 0x69, 0x64, 0x2d, 0x31, 0x02, 0x07, 0x73, 0x75, 0x62,
        0x6a, 0x65, 0x63, 0x74, 0x06, 0x01, 0x6b, 0x03, 0x22, 0x76, 0x22, 0x7b, 0x22, 0x78, 0x22,
        0x3a, 0x31, 0x7d, 0x21, 0x0c, 0x6f, 0x08, 0x00, 0x01, 0x04, 0x69, 0x64, 0x2d, 0x31, 0x02,
        0x07, 0x73, 0x75, 0x62, 0x6a, 0x65, 0x63, 0x74, 0x06, 0x01, 0x6b, 0x03, 0x22, 0x76, 0x22,
        0x7b, 0x22, 0x78, 0x22, 0x3a, 0x31, 0x7d, 0x21, 0x0c, 0x6f, 0x0e, 0x00, 0x01, 0x04, 0x69,
        0x64, 0x2d, 0x31, 0x02, 0x07, 0x73, 0x75, 0x62, 0x6a, 0x65, 0x63, 0x74, 0x06, 0x01, 0x6b,
        0x03, 0x22, 0x76, 0x22, 0x7b, 0x22, 0x78, 0x22, 0x3a, 0x31, 0x7d, 0x03, 0x00, 0x02, 0x2f,
        0x73, 0x01, 0x74, 0x09, 0x74, 0x65, 0x78, 0x74, 0x2f, 0x6a, 0x73, 0x6f, 0x6e, 0x01, 0xb8,
        0x97, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x02, 0xd0, 0x0f,
    };
    struct bytes body = small_body();
    assert_int_equal(body.len, sizeof(expected));
    assert_memory_equal(body.data, expected, sizeof(expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_of_optional_members_comes_back),
        cmocka_unit_test(empty_members_are_not_absent_ones),
        cmocka_unit_test(rows_of_all_length_widths_come_back),
        cmocka_unit_test(times_far_from_the_base_come_back),
        cmocka_unit_test(an_empty_batch_is_taken_back),
        cmocka_unit_test(several_batches_stand_in_one_memory),
        cmocka_unit_test(the_dictionary_takes_its_many_words_and_no_more),
        cmocka_unit_test(a_full_memory_refuses_an_event_and_keeps_the_others),
        cmocka_unit_test(a_refused_event_leaves_no_word_behind),
        cmocka_unit_test(a_batch_begun_without_room_takes_nothing_of_the_one_before),
        cmocka_unit_test(an_unstamped_batch_has_no_watermark),
        cmocka_unit_test(each_row_sees_the_watermark_before_it),
        cmocka_unit_test(the_watermark_may_rise_over_the_whole_range),
        cmocka_unit_test(a_step_takes_no_more_than_its_bound),
        cmocka_unit_test(two_steps_before_one_row_add_up),
        cmocka_unit_test(a_watermark_that_does_not_rise_is_no_step),
        cmocka_unit_test(a_truncated_body_is_refused),
        cmocka_unit_test(a_longer_body_is_refused),
        cmocka_unit_test(damage_to_any_byte_is_survived),
        cmocka_unit_test(random_bytes_are_survived),
        cmocka_unit_test(rows_that_no_writer_makes_are_refused),
        cmocka_unit_test(events_spread_evenly_over_partitions),
        cmocka_unit_test(identity_is_source_and_id_under_a_seed),
        cmocka_unit_test(identity_and_bytes_are_those_of_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
