/* A tide on the bench: batches go in as sentences ("a" speaks of second 100), the stamps come out
 * as a list. Times are seconds, counted from EPOCH_S. */
#pragma once

#include "host/tide.h"

#define EPOCH_S        1700000000LL
#define BENCH_ROWS_MAX 64

/* A second of the bench as microseconds since 1970. */
#define S(second) ((EPOCH_S + (second)) * US_PER_SECOND)

struct said {
    const char *source;
    int64_t time_us;
};

struct bench {
    struct tide tide;
    struct buf frame;               /* every record of this bench, in order */
    int64_t stamps[BENCH_ROWS_MAX]; /* W before each row of the last batch */
    uint32_t stamp_count;
    uint64_t pulse_count;
    uint64_t event_count;
};

void bench_init(struct bench *bench);
void bench_deinit(struct bench *bench);

/* One batch that arrives at `arrival_us`, stamped. */
void bench_say(struct bench *bench, int64_t arrival_us, const struct said *rows, uint32_t count);

/* The same with a single event. */
void bench_say_one(struct bench *bench, int64_t arrival_us, const char *source, int64_t time_us);

/* Records, applied and kept. */
uint32_t bench_declare(struct bench *bench, int64_t now_us, const char *name, enum lane_kind kind);
void bench_declare_as(struct bench *bench, const struct source *source);
void bench_forget(struct bench *bench, const char *name);
void bench_command(struct bench *bench,
                   int64_t now_us,
                   const char *name,
                   enum lane_command_kind kind,
                   int64_t time_us);

/* A pulse; its decoded form. Lanes borrow from the bench's frame. */
struct pulse bench_pulse(struct bench *bench, int64_t now_us);

/* A new tide that has replayed everything the bench kept. */
void bench_replay(const struct bench *bench, struct tide *copy);

struct lane_info bench_lane(const struct bench *bench, const char *name);
