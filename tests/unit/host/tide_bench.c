#include "tide_bench.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

#define FRAME_BYTES ((size_t)16 << 20)
#define SEED        7u

/* Large, and needed by one batch at a time. */
static struct batch_writer writer;

void bench_init(struct bench *bench)
{
    *bench = (struct bench){0};
    CHECK(tide_init(&bench->tide, 7));
    bench->frame = buf_of(malloc(FRAME_BYTES), FRAME_BYTES);
    CHECK(bench->frame.data != NULL);
    batch_writer_init(&writer, SEED, 4);
}

void bench_deinit(struct bench *bench)
{
    tide_deinit(&bench->tide);
    free(bench->frame.data);
}

static void read_stamps(struct bench *bench, size_t body_start)
{
    struct batch batch;
    struct batch_row row;
    struct batch_cursor cursor;
    CHECK(batch_open(bytes_of(bench->frame.data + body_start, bench->frame.len - body_start),
                     &batch));
    batch_cursor_init(&cursor, &batch);
    bench->stamp_count = 0;
    while (batch_next_row(&cursor, &row)) {
        CHECK(bench->stamp_count < BENCH_ROWS_MAX);
        bench->stamps[bench->stamp_count++] = cursor.watermark;
    }
    CHECK(bench->stamp_count == batch.count);
}

void bench_say(struct bench *bench, int64_t arrival_us, const struct said *rows, uint32_t count)
{
    static uint8_t memory[1 << 16];
    CHECK(count >= 1 && count <= BENCH_ROWS_MAX);
    batch_writer_reset(&writer, memory, sizeof(memory));
    batch_begin(&writer, (struct clock_time){arrival_us}, (struct event_time){rows[0].time_us});
    for (uint32_t n = 0; n < count; n++) {
        char id[24];
        (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)bench->event_count++);
        struct event event = {.id = bytes_of_string(id),
                              .source = bytes_of_string(rows[n].source),
                              .type = BYTES("t"),
                              .time = {rows[n].time_us}};
        CHECK(batch_add(&writer, &event));
    }
    batch_end(&writer);
    size_t start = bench->frame.len;
    buf_put_bytes(&bench->frame, buf_bytes(&writer.out));
    tide_stamp(&bench->tide, &bench->frame, start + RECORD_HEADER_BYTES);
    CHECK(!bench->frame.overflow);
    read_stamps(bench, start + RECORD_HEADER_BYTES);
}

void bench_say_one(struct bench *bench, int64_t arrival_us, const char *source, int64_t time_us)
{
    bench_say(bench, arrival_us, &(struct said){source, time_us}, 1);
}

static void apply_from(struct bench *bench, size_t start)
{
    struct bytes whole = bytes_of(bench->frame.data + start, bench->frame.len - start);
    struct reader reader = reader_of(whole);
    struct record record;
    CHECK(record_next(&reader, whole.data, &record));
    tide_apply(&bench->tide, &record);
    CHECK(reader_left(&reader) == 0);
}

void bench_declare_as(struct bench *bench, const struct source *source)
{
    size_t start = bench->frame.len;
    source_put(&bench->frame, source);
    apply_from(bench, start);
}

uint32_t bench_declare(struct bench *bench, int64_t now_us, const char *name, enum lane_kind kind)
{
    struct source source = {
        .lane = tide_lane_of(&bench->tide, bytes_of_string(name)),
        .kind = kind,
        .disorder_us = TIDE_DISORDER_US,
        .idle_after_us = TIDE_IDLE_AFTER_US,
        .max_future_skew_us = TIDE_FUTURE_SKEW_US,
        .declared = {now_us},
        .name = bytes_of_string(name),
    };
    if (source.lane == LANE_DEFAULT) {
        source.lane = tide_free_lane(&bench->tide);
    }
    bench_declare_as(bench, &source);
    return source.lane;
}

void bench_forget(struct bench *bench, const char *name)
{
    size_t start = bench->frame.len;
    forget_put(&bench->frame, tide_lane_of(&bench->tide, bytes_of_string(name)));
    apply_from(bench, start);
}

void bench_command(struct bench *bench,
                   int64_t now_us,
                   const char *name,
                   enum lane_command_kind kind,
                   int64_t time_us)
{
    struct lane_command command = {
        .lane = tide_lane_of(&bench->tide, bytes_of_string(name)),
        .kind = kind,
        .time = time_us,
        .clock = {now_us},
    };
    size_t start = bench->frame.len;
    lane_command_put(&bench->frame, &command);
    apply_from(bench, start);
}

struct pulse bench_pulse(struct bench *bench, int64_t now_us)
{
    size_t start = bench->frame.len;
    tide_pulse(&bench->tide, &bench->frame, ++bench->pulse_count, (struct clock_time){now_us}, 0);
    struct bytes whole = bytes_of(bench->frame.data + start, bench->frame.len - start);
    struct reader reader = reader_of(whole);
    struct record record;
    struct pulse pulse;
    CHECK(record_next(&reader, whole.data, &record));
    CHECK(record.kind == RECORD_PULSE);
    CHECK(pulse_read(record.body, &pulse));
    return pulse;
}

void bench_replay(const struct bench *bench, struct tide *copy)
{
    CHECK(tide_init(copy, 7));
    struct reader reader = reader_of(buf_bytes(&bench->frame));
    struct record record;
    while (record_next(&reader, bench->frame.data, &record)) {
        tide_replay(copy, &record);
    }
    CHECK(!reader.bad);
}

struct lane_info bench_lane(const struct bench *bench, const char *name)
{
    struct lane_info info;
    tide_lane_info(&bench->tide, tide_lane_of(&bench->tide, bytes_of_string(name)), &info);
    return info;
}
