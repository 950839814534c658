/* Batches: see batch.h for the bytes.
 *
 * Invariants:
 *  1. A word number in a row is below the dictionary's count.
 *  2. Rows stand in arrival order; steps name rows in rising order, and W only rises within a
 * batch.
 *  3. A writer's slots are all free between batches (batch_end frees just the used ones). */
#include "model/batch.h"

#include "base/check.h"
#include "base/hash.h"

#define SLOT_COUNT        (2 * BATCH_WORDS_MAX)
#define STEPS_OFFSET      36
#define EVENT_FLAGS_ALL   (2 * EVENT_HAS_TIME - 1)
#define ROW_TIME_IN_MS    64  /* the time is a whole number of milliseconds from the base */
#define ROW_IS_JSON       128 /* content type application/json, not in the dictionary */
#define US_PER_MS         1000
#define JSON_CONTENT_TYPE BYTES("application/json")

_Static_assert(BATCH_HEADER_BYTES == STEPS_OFFSET + 4, "the header is as drawn in batch.h");
_Static_assert((SLOT_COUNT & (SLOT_COUNT - 1)) == 0, "slots are found by mask");

uint64_t event_source_hash(struct bytes source, uint64_t seed)
{
    return hash64(source, seed);
}

/* The mix is symmetric: under one seed, (a, b) would be (b, a), and every (a, a) the same event. */
#define ID_SEED 0xd1b54a32d192ed03u

uint64_t event_fingerprint(uint64_t source_hash, struct bytes id, uint64_t seed)
{
    return hash64_mix(source_hash, hash64(id, seed ^ ID_SEED));
}

void batch_writer_init(struct batch_writer *writer, uint64_t seed, uint32_t partitions)
{
    CHECK(partitions >= 1 && partitions <= PARTITIONS_MAX);
    memset(writer, 0, sizeof(*writer));
    writer->seed = seed;
    writer->partitions = partitions;
}

void batch_writer_reset(struct batch_writer *writer, void *memory, size_t cap)
{
    CHECK(writer->body_start == 0);
    writer->out = buf_of(memory, cap);
}

void batch_begin(struct batch_writer *writer, struct clock_time arrival, struct event_time base)
{
    CHECK(writer->body_start == 0);
    /* Also when not even the header fits, so that batch_end takes back just that. */
    writer->body_start = writer->out.len + RECORD_HEADER_BYTES;
    (void)record_begin(&writer->out, RECORD_EVENTS);
    writer->base_time = base.us;
    writer->count = 0;
    writer->word_count = 0;
    writer->words_bytes = sizeof(uint16_t);
    buf_put_i64(&writer->out, arrival.us);
    buf_put_i64(&writer->out, base.us);
    buf_put_i64(&writer->out, WATERMARK_NONE);
    (void)buf_reserve(&writer->out, BATCH_HEADER_BYTES - 24);
}

/* The word's number, added if it is new; BATCH_WORDS_MAX when the dictionary is full. */
static uint32_t word_number(struct batch_writer *writer, struct bytes text)
{
    uint64_t hash = event_source_hash(text, writer->seed);
    uint32_t slot = (uint32_t)hash & (SLOT_COUNT - 1);
    while (writer->slots[slot] != 0) {
        uint32_t number = writer->slots[slot] - 1u;
        if (writer->words[number].hash == hash && bytes_equal(writer->words[number].text, text)) {
            return number;
        }
        slot = (slot + 1) & (SLOT_COUNT - 1);
    }
    if (writer->word_count == BATCH_WORDS_MAX) {
        return BATCH_WORDS_MAX;
    }
    uint32_t number = writer->word_count++;
    writer->words[number] = (struct batch_word){.text = text, .hash = hash};
    writer->word_slots[number] = (uint16_t)slot;
    writer->slots[slot] = (uint16_t)(number + 1);
    writer->words_bytes += text.len + 5;
    return number;
}

/* Takes back the words beyond `count`, the last one first, so that no probe ends too early. */
static void words_forget(struct batch_writer *writer, uint32_t count)
{
    while (writer->word_count > count) {
        writer->word_count--;
        writer->words_bytes -= writer->words[writer->word_count].text.len + 5;
        writer->slots[writer->word_slots[writer->word_count]] = 0;
    }
}

/* The row's own flags beside the event's: what nearly all rows have in common costs a bit. */
static uint8_t row_flags(const struct batch_writer *writer, const struct event *event)
{
    uint64_t distance = (uint64_t)event->time.us - (uint64_t)writer->base_time;
    bool is_ms = (int64_t)distance % US_PER_MS == 0;
    bool is_json = (event->flags & EVENT_HAS_CONTENT_TYPE) != 0 &&
                   bytes_equal(event->content_type, JSON_CONTENT_TYPE);
    return (uint8_t)(event->flags | (is_ms ? ROW_TIME_IN_MS : 0) | (is_json ? ROW_IS_JSON : 0));
}

static void row_put_time(struct buf *out, uint8_t flags, int64_t time, int64_t base_time)
{
    int64_t distance = (int64_t)((uint64_t)time - (uint64_t)base_time);
    buf_put_zigzag(out, (flags & ROW_TIME_IN_MS) != 0 ? distance / US_PER_MS : distance);
}

static int64_t row_read_time(struct reader *in, uint8_t flags, int64_t base_time)
{
    uint64_t distance = (uint64_t)read_zigzag(in);
    uint64_t unit = (flags & ROW_TIME_IN_MS) != 0 ? US_PER_MS : 1;
    return (int64_t)((uint64_t)base_time + distance * unit);
}

static size_t row_bytes_max(const struct event *event)
{
    return event->id.len + event->subject.len + event->extensions.len + event->data.len +
           BATCH_ROW_OVERHEAD;
}

bool batch_add(struct batch_writer *writer, const struct event *event)
{
    struct buf *out = &writer->out;
    CHECK(writer->body_start != 0);
    uint32_t words_before = writer->word_count;
    uint32_t source = word_number(writer, event->source);
    uint32_t type = source == BATCH_WORDS_MAX ? source : word_number(writer, event->type);
    uint32_t content_type = 0;
    uint8_t flags = row_flags(writer, event);
    bool names_content_type =
        (flags & (EVENT_HAS_CONTENT_TYPE | ROW_IS_JSON)) == EVENT_HAS_CONTENT_TYPE;
    if (type != BATCH_WORDS_MAX && names_content_type) {
        content_type = word_number(writer, event->content_type);
    }
    if (source == BATCH_WORDS_MAX || type == BATCH_WORDS_MAX || content_type == BATCH_WORDS_MAX) {
        words_forget(writer, words_before);
        return false;
    }
    size_t need = row_bytes_max(event) + writer->words_bytes;
    if (out->overflow || need > out->cap - out->len) {
        words_forget(writer, words_before);
        return false;
    }
    uint64_t fingerprint = event_fingerprint(writer->words[source].hash, event->id, writer->seed);
    /* The length comes first but is known last: leave one byte, and move the row when that is not
     * enough (rows up to 127 bytes have a length of one byte). */
    size_t start = out->len;
    out->len += 1;
    buf_put_u8(out, (uint8_t)event_partition(fingerprint, writer->partitions));
    buf_put_u8(out, flags);
    row_put_time(out, flags, event->time.us, writer->base_time);
    buf_put_varint(out, source);
    buf_put_varint(out, type);
    buf_put_string(out, event->id);
    if (names_content_type) {
        buf_put_varint(out, content_type);
    }
    if ((event->flags & EVENT_HAS_SUBJECT) != 0) {
        buf_put_string(out, event->subject);
    }
    if ((event->flags & EVENT_HAS_EXTENSIONS) != 0) {
        buf_put_string(out, event->extensions);
    }
    if ((event->flags & EVENT_HAS_DATA) != 0) {
        buf_put_bytes(out, event->data);
    }
    size_t len = out->len - start - 1;
    if (len < 128) {
        out->data[start] = (uint8_t)len;
    } else {
        uint8_t bytes[10];
        struct buf varint = buf_of(bytes, sizeof(bytes));
        buf_put_varint(&varint, len);
        memmove(out->data + start + varint.len, out->data + start + 1, len);
        memcpy(out->data + start, bytes, varint.len);
        out->len = start + varint.len + len;
    }
    CHECK(!out->overflow);
    writer->count++;
    return true;
}

void batch_end(struct batch_writer *writer)
{
    struct buf *out = &writer->out;
    CHECK(writer->body_start != 0);
    for (uint32_t n = 0; n < writer->word_count; n++) {
        writer->slots[writer->word_slots[n]] = 0;
    }
    if (writer->count == 0) {
        out->len = writer->body_start - RECORD_HEADER_BYTES;
        out->overflow = false; /* only the header can have found no room */
        writer->body_start = 0;
        return;
    }
    size_t rows_start = writer->body_start + BATCH_HEADER_BYTES;
    size_t words_start = out->len;
    buf_put_u16(out, (uint16_t)writer->word_count);
    for (uint32_t n = 0; n < writer->word_count; n++) {
        buf_put_string(out, writer->words[n].text);
    }
    struct buf header = buf_of(out->data + writer->body_start + 24, BATCH_HEADER_BYTES - 24);
    buf_put_u32(&header, writer->count);
    buf_put_u32(&header, (uint32_t)(words_start - rows_start));
    buf_put_u32(&header, (uint32_t)(out->len - words_start));
    buf_put_u32(&header, 0);
    record_end(out, writer->body_start);
    writer->body_start = 0;
    CHECK(!out->overflow);
}

bool batch_open(struct bytes body, struct batch *batch)
{
    struct reader in = reader_of(body);
    *batch = (struct batch){.arrival = {read_i64(&in)}};
    batch->base_time = read_i64(&in);
    batch->watermark_before = read_i64(&in);
    batch->count = read_u32(&in);
    uint32_t rows_len = read_u32(&in);
    uint32_t words_len = read_u32(&in);
    uint32_t steps_len = read_u32(&in);
    batch->rows = read_bytes(&in, rows_len);
    batch->dictionary = read_bytes(&in, words_len);
    batch->steps = read_bytes(&in, steps_len);
    return !in.bad && reader_left(&in) == 0 && batch->count > 0;
}

bool batch_read_words(const struct batch *batch, struct batch_word *words, uint32_t *count)
{
    struct reader in = reader_of(batch->dictionary);
    *count = read_u16(&in);
    if (*count > BATCH_WORDS_MAX) {
        return false;
    }
    for (uint32_t n = 0; n < *count; n++) {
        words[n] = (struct batch_word){.text = read_string(&in)};
    }
    return !in.bad && reader_left(&in) == 0;
}

static uint32_t step_row(struct reader *steps, uint32_t from)
{
    if (reader_left(steps) == 0) {
        return UINT32_MAX;
    }
    return from + (uint32_t)read_varint(steps);
}

void batch_cursor_init(struct batch_cursor *cursor, const struct batch *batch)
{
    *cursor = (struct batch_cursor){
        .rows = reader_of(batch->rows),
        .steps = reader_of(batch->steps),
        .watermark = batch->watermark_before,
        .base_time = batch->base_time,
    };
    cursor->next_step = step_row(&cursor->steps, 0);
}

bool batch_next_row(struct batch_cursor *cursor, struct batch_row *row)
{
    if (reader_left(&cursor->rows) == 0) {
        return false;
    }
    while (cursor->row == cursor->next_step && !cursor->steps.bad) {
        uint64_t rise = read_varint(&cursor->steps);
        cursor->watermark = (int64_t)((uint64_t)cursor->watermark + rise);
        cursor->next_step = step_row(&cursor->steps, cursor->row);
    }
    struct bytes whole = read_string(&cursor->rows);
    row->rest = reader_of(whole);
    row->partition = read_u8(&row->rest);
    row->index = cursor->row++;
    return !cursor->rows.bad && !row->rest.bad && !cursor->steps.bad;
}

bool batch_row_time(const struct batch *batch,
                    const struct batch_row *row,
                    int64_t *time,
                    uint32_t *source_word)
{
    struct reader in = row->rest;
    uint8_t flags = read_u8(&in);
    *time = row_read_time(&in, flags, batch->base_time);
    *source_word = (uint32_t)read_varint(&in);
    return !in.bad;
}

bool batch_row_event(const struct batch *batch,
                     const struct batch_word *words,
                     uint32_t word_count,
                     const struct batch_row *row,
                     struct event *event)
{
    struct reader in = row->rest;
    uint8_t flags = read_u8(&in);
    *event = (struct event){.flags = flags & EVENT_FLAGS_ALL, .arrival = batch->arrival};
    event->time.us = row_read_time(&in, flags, batch->base_time);
    event->source_index = (uint32_t)read_varint(&in);
    event->type_index = (uint32_t)read_varint(&in);
    event->id = read_string(&in);
    if (event->source_index >= word_count || event->type_index >= word_count) {
        return false;
    }
    event->source = words[event->source_index].text;
    event->type = words[event->type_index].text;
    if ((flags & ROW_IS_JSON) != 0) {
        event->content_type = JSON_CONTENT_TYPE;
    } else if ((flags & EVENT_HAS_CONTENT_TYPE) != 0) {
        uint32_t content_type = (uint32_t)read_varint(&in);
        if (content_type >= word_count) {
            return false;
        }
        event->content_type = words[content_type].text;
    }
    if ((event->flags & EVENT_HAS_SUBJECT) != 0) {
        event->subject = read_string(&in);
    }
    if ((event->flags & EVENT_HAS_EXTENSIONS) != 0) {
        event->extensions = read_string(&in);
    }
    event->data = bytes_of(in.at, reader_left(&in));
    bool has_data = (flags & EVENT_HAS_DATA) != 0;
    bool sane = (flags & ROW_IS_JSON) == 0 || (flags & EVENT_HAS_CONTENT_TYPE) != 0;
    return !in.bad && sane && (has_data || event->data.len == 0);
}

void batch_stamp_begin(struct batch_stamp *stamp,
                       struct buf *out,
                       size_t body_start,
                       int64_t watermark_before)
{
    CHECK(body_start + BATCH_HEADER_BYTES <= out->len);
    *stamp =
        (struct batch_stamp){.out = out, .body_start = body_start, .watermark = watermark_before};
    struct buf field = buf_of(out->data + body_start + 16, sizeof(int64_t));
    buf_put_i64(&field, watermark_before);
}

void batch_stamp_step(struct batch_stamp *stamp, uint32_t row, int64_t watermark)
{
    CHECK(row >= stamp->last_row);
    CHECK(watermark > stamp->watermark);
    buf_put_varint(stamp->out, row - stamp->last_row);
    buf_put_varint(stamp->out, (uint64_t)watermark - (uint64_t)stamp->watermark);
    stamp->last_row = row;
    stamp->watermark = watermark;
}

void batch_stamp_end(struct batch_stamp *stamp)
{
    struct buf *out = stamp->out;
    CHECK(!out->overflow);
    struct reader header = reader_of(bytes_of(out->data + stamp->body_start, BATCH_HEADER_BYTES));
    (void)read_bytes(&header, 28);
    size_t rows_len = read_u32(&header);
    size_t words_len = read_u32(&header);
    size_t before = BATCH_HEADER_BYTES + rows_len + words_len;
    CHECK(out->len - stamp->body_start >= before);
    struct buf field = buf_of(out->data + stamp->body_start + STEPS_OFFSET, sizeof(uint32_t));
    buf_put_u32(&field, (uint32_t)(out->len - stamp->body_start - before));
    record_end(out, stamp->body_start);
}
