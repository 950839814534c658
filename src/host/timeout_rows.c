/* Rows about timeouts: what was put is what is read.
 *
 * Invariants:
 *  1. A row's length covers everything behind it; a row that is shorter or longer is bad.
 *  2. Slices point into the row's own bytes. */
#include "host/timeout_rows.h"

static size_t row_begin(struct buf *out)
{
    size_t at = out->len;
    buf_put_u32(out, 0);
    return at;
}

static void row_end(struct buf *out, size_t at)
{
    if (!out->overflow) {
        buf_set_length(out, at);
    }
}

static bool row_cut(struct reader *rows, struct reader *inside)
{
    if (rows->bad || reader_left(rows) == 0) {
        return false;
    }
    uint32_t len = read_u32(rows);
    *inside = reader_of(read_bytes(rows, len));
    return !rows->bad;
}

static bool row_whole(struct reader *rows, const struct reader *inside)
{
    rows->bad = inside->bad || reader_left(inside) > 0;
    return !rows->bad;
}

void timeout_row_put(struct buf *out, const struct timeout_row *row)
{
    const struct timeout_object *object = &row->object;
    unsigned flags = (object->born_late ? RESULT_TIMEOUT_BORN_LATE : 0u) |
                     (object->held ? RESULT_TIMEOUT_HELD : 0u) |
                     (object->has_within ? RESULT_TIMEOUT_HAS_WITHIN : 0u) |
                     (object->has_event_time ? RESULT_TIMEOUT_HAS_EVENT_TIME : 0u);
    size_t at = row_begin(out);
    buf_put_u8(out, (uint8_t)object->state);
    buf_put_u8(out, (uint8_t)object->clock);
    buf_put_u32(out, object->generation);
    buf_put_u64(out, object->version);
    buf_put_u8(out, (uint8_t)flags);
    buf_put_i64(out, object->within_us);
    buf_put_i64(out, object->deadline);
    buf_put_i64(out, object->event_time.us);
    buf_put_i64(out, object->created.us);
    buf_put_i64(out, object->last_seen.us);
    buf_put_i64(out, object->ended.us);
    buf_put_i64(out, object->fired.us);
    buf_put_u64(out, object->decided_at);
    buf_put_string(out, row->key);
    buf_put_string(out, row->data);
    row_end(out, at);
}

bool timeout_row_next(struct reader *rows, struct timeout_row *row)
{
    struct reader in;
    *row = (struct timeout_row){0};
    if (!row_cut(rows, &in)) {
        return false;
    }
    struct timeout_object *object = &row->object;
    uint8_t state = read_u8(&in);
    uint8_t clock = read_u8(&in);
    object->generation = read_u32(&in);
    object->version = read_u64(&in);
    uint8_t flags = read_u8(&in);
    object->within_us = read_i64(&in);
    object->deadline = read_i64(&in);
    object->event_time.us = read_i64(&in);
    object->created.us = read_i64(&in);
    object->last_seen.us = read_i64(&in);
    object->ended.us = read_i64(&in);
    object->fired.us = read_i64(&in);
    object->decided_at = read_u64(&in);
    row->key = read_string(&in);
    row->data = read_string(&in);
    object->has_data = row->data.len > 0;
    object->state = (enum timeout_state)state;
    object->clock = (enum timeout_clock)clock;
    object->born_late = (flags & RESULT_TIMEOUT_BORN_LATE) != 0;
    object->held = (flags & RESULT_TIMEOUT_HELD) != 0;
    object->has_within = (flags & RESULT_TIMEOUT_HAS_WITHIN) != 0;
    object->has_event_time = (flags & RESULT_TIMEOUT_HAS_EVENT_TIME) != 0;
    in.bad = in.bad || state > TIMEOUT_RETRACTED || clock > TIMEOUT_BY_EVENTS;
    return row_whole(rows, &in);
}

void feed_row_put(struct buf *out, struct feed_place place, struct bytes note)
{
    size_t at = row_begin(out);
    buf_put_u64(out, place.ordinal);
    buf_put_u32(out, place.partition);
    buf_put_u32(out, place.number);
    buf_put_string(out, note);
    row_end(out, at);
}

bool feed_row_next(struct reader *rows, struct feed_row *row)
{
    struct reader in;
    *row = (struct feed_row){0};
    if (!row_cut(rows, &in)) {
        return false;
    }
    row->place.ordinal = read_u64(&in);
    row->place.partition = read_u32(&in);
    row->place.number = read_u32(&in);
    struct bytes note = read_string(&in);
    in.bad = in.bad || !note_read(note, &row->note);
    return row_whole(rows, &in);
}

void count_row_put(struct buf *out, struct count_row row)
{
    size_t at = row_begin(out);
    buf_put_u32(out, row.index);
    buf_put_u64(out, row.count);
    row_end(out, at);
}

bool count_row_next(struct reader *rows, struct count_row *row)
{
    struct reader in;
    *row = (struct count_row){0};
    if (!row_cut(rows, &in)) {
        return false;
    }
    row->index = read_u32(&in);
    row->count = read_u64(&in);
    return row_whole(rows, &in);
}
