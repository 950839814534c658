/* Rows between threads: see result.h for the bytes.
 *
 *   event:  u8 flags, i64 time, i64 arrival, strings id, source, type,
 *           [string content type] [string subject] [string extensions] [string data]
 *
 * Invariants:
 *  1. A row's length covers everything behind it, so a reader can skip what it does not want.
 *  2. What was put is what is read: slices point into the row's own bytes. */
#include "host/result.h"

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"

#define ROW_LENGTH_BYTES 4

/* Cuts the next row off; raw includes its length. */
static bool row_cut(struct reader *rows, struct bytes *raw, struct reader *inside)
{
    if (rows->bad || reader_left(rows) == 0) {
        return false;
    }
    const uint8_t *start = rows->at;
    uint32_t len = read_u32(rows);
    struct bytes rest = read_bytes(rows, len);
    if (rows->bad) {
        return false;
    }
    *raw = bytes_of(start, ROW_LENGTH_BYTES + rest.len);
    *inside = reader_of(rest);
    return true;
}

bool result_next(struct reader *rows, struct result_row *row)
{
    struct reader in;
    *row = (struct result_row){0};
    if (!row_cut(rows, &row->raw, &in)) {
        return false;
    }
    row->window_start = read_i64(&in);
    row->window_end = read_i64(&in);
    row->flags = read_u8(&in);
    row->revision = read_u32(&in);
    row->group_key = read_string(&in);
    row->results = bytes_of(in.at, reader_left(&in));
    rows->bad = in.bad;
    return !in.bad;
}

bool late_next(struct reader *rows, struct late_row *row)
{
    struct reader in;
    *row = (struct late_row){0};
    if (!row_cut(rows, &row->raw, &in)) {
        return false;
    }
    row->position = read_u64(&in);
    row->record = read_u32(&in);
    row->row = read_u32(&in);
    row->watermark = read_i64(&in);
    size_t metric_count = read_u16(&in);
    (void)read_bytes(&in, metric_count * sizeof(uint32_t));
    row->metrics = read_string(&in);
    bool good = event_read(&in, &row->event) && reader_left(&in) == 0;
    rows->bad = !good;
    return good;
}

static void put_member(struct buf *out, const char *name, struct bytes text)
{
    buf_put_text(out, ",\"");
    buf_put_text(out, name);
    buf_put_text(out, "\":");
    json_put_string(out, text);
}

static void put_extensions(struct buf *out, struct bytes extensions)
{
    struct reader in = reader_of(extensions);
    while (reader_left(&in) > 0) {
        struct bytes name = read_string(&in);
        struct bytes value = read_string(&in);
        CHECK(!in.bad); /* the API wrote them */
        buf_put_u8(out, ',');
        json_put_string(out, name);
        buf_put_u8(out, ':');
        buf_put_bytes(out, value);
    }
}

void event_put_json(struct buf *out, const struct event *event)
{
    buf_put_text(out, "{\"specversion\":\"1.0\"");
    put_member(out, "id", event->id);
    put_member(out, "source", event->source);
    put_member(out, "type", event->type);
    buf_put_text(out, ",\"time\":\"");
    timestamp_put(out, event->time.us);
    buf_put_u8(out, '"');
    if ((event->flags & EVENT_HAS_SUBJECT) != 0) {
        put_member(out, "subject", event->subject);
    }
    if ((event->flags & EVENT_HAS_CONTENT_TYPE) != 0) {
        put_member(out, "datacontenttype", event->content_type);
    }
    if ((event->flags & EVENT_HAS_EXTENSIONS) != 0) {
        put_extensions(out, event->extensions);
    }
    if ((event->flags & EVENT_HAS_DATA) != 0) {
        bool base64 = (event->flags & EVENT_DATA_BASE64) != 0;
        buf_put_text(out, base64 ? ",\"data_base64\":" : ",\"data\":");
        buf_put_bytes(out, event->data);
    }
    buf_put_u8(out, '}');
}
