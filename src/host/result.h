/* Rows on their way from a runner to the API: encoded, so that they cross threads by value.
 *
 *   VALUES row: u32 length of the rest, i64 window start, i64 window end, u8 flags (RESULT_*),
 *               u32 revision, string group key (value_put of each group), then value_put of each
 *               aggregate's result, in the definition's order
 *   TIMEOUT row: u32 length of the rest, u8 state, u8 clock, u32 generation, u64 version, u8 flags
 *               (RESULT_TIMEOUT_*), i64 within, i64 deadline, i64 event time, i64 created, i64 last seen,
 *               i64 ended, i64 fired, u64 decided at, string key, string data
 *   FEED row:   u32 length of the rest, u64 ordinal, u32 partition, u32 number, string note (core/feed.h)
 *   COUNT row (TIMEOUT_COUNTS: one per state; TIMEOUTS_DUE: one per span): u32 length of the rest,
 *               u32 state or span, u64 count
 *   LATE row:   u32 length of the rest, u64 frame position, u32 record offset, u32 row,
 *               i64 watermark, u16 metric count, u32 metric id each, string names (comma
 * separated), then the event: event_put STATS row:  u32 length of the rest, string counter
 * name, string metric name (or a rule's, a state's, or empty), i64 value */
#pragma once

#include "model/event.h"
#include "model/value.h"

enum result_flags {
    RESULT_CLOSED = 1,
    RESULT_FINAL = 2,
    RESULT_OVERFLOW = 4, /* the row stands for all groups beyond the metric's groups_max */
};

struct result_row {
    struct bytes raw; /* the whole row, its length included */
    int64_t window_start;
    int64_t window_end;
    uint8_t flags;
    uint32_t revision;
    struct bytes group_key; /* value_put of each group */
    struct bytes results;   /* value_put of each aggregate's result */
};

/* The next row; false at the end. */
bool result_next(struct reader *rows, struct result_row *row);

struct late_row {
    struct bytes raw;
    uint64_t position;
    uint32_t record;
    uint32_t row;
    int64_t watermark;
    struct bytes metrics; /* names, comma separated */
    struct event event;
};

bool late_next(struct reader *rows, struct late_row *row);

/* The event as the JSON text of a structured CloudEvent, as GET /v1/events shows it. */
void event_put_json(struct buf *out, const struct event *event);
