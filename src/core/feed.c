/* The feed: see feed.h for the picture and the invariants.
 *
 *   first --> e --> e --> ... --> e --> ... --> e --> ... <-- last
 *             |  first_mark       |             |  last_mark
 *             +------next_mark----+--next_mark--+
 *
 * Saved: u64 newest ordinal, u32 newest number, u64 forgotten ordinal, u32 forgotten number,
 * u64 notes forgotten, u64 lost, u64 count, then each entry: u64 ordinal, u32 number, i64 clock, u32 length, the note. */
#include "core/feed.h"

#include "base/check.h"

#define MARK_EVERY     64
#define NOTE_FLAGS_ALL (NOTE_BORN_LATE | NOTE_BY_EVENTS | NOTE_SILENCE | NOTE_HOLDING)
#define VARINT_MAX     10
#define NOTE_FIXED     (1 + 8 + 8 + 1 + 4 + 4 + 8 + 8 + 8)

int feed_place_compare(struct feed_place a, struct feed_place b)
{
    if (a.ordinal != b.ordinal) {
        return a.ordinal < b.ordinal ? -1 : 1;
    }
    if (a.partition != b.partition) {
        return a.partition < b.partition ? -1 : 1;
    }
    return a.number < b.number ? -1 : a.number > b.number;
}

/* --- notes as bytes --- */

static size_t varint_len(uint64_t value)
{
    size_t len = 1;
    while (value >= 0x80) {
        value >>= 7;
        len++;
    }
    CHECK(len <= VARINT_MAX);
    return len;
}

static size_t string_len(struct bytes text)
{
    return varint_len(text.len) + text.len;
}

/* It tells of a firing that was told before. */
static bool is_about_firing(enum note_kind kind)
{
    return kind == NOTE_TIMEOUT_RETRACTED || kind == NOTE_TIMEOUT_COMPLETED_LATE;
}

static size_t note_len(const struct note *note)
{
    return NOTE_FIXED + (is_about_firing(note->kind) ? sizeof(int64_t) : 0) +
           string_len(note->rule_name) + string_len(note->key) + string_len(note->data);
}

static void note_write(const struct note *note, struct buf *out)
{
    buf_put_u8(out, (uint8_t)note->kind);
    buf_put_i64(out, note->clock.us);
    buf_put_u64(out, note->position);
    buf_put_u8(out, note->flags);
    buf_put_u32(out, note->rule);
    buf_put_u32(out, note->generation);
    buf_put_i64(out, note->deadline);
    buf_put_i64(out, note->started);
    buf_put_i64(out, note->last_seen);
    if (is_about_firing(note->kind)) {
        buf_put_i64(out, note->fired.us);
    }
    buf_put_string(out, note->rule_name);
    buf_put_string(out, note->key);
    buf_put_string(out, note->data);
}

bool note_read(struct bytes encoded, struct note *note)
{
    struct reader in = reader_of(encoded);
    uint8_t kind = read_u8(&in);
    *note = (struct note){.kind = (enum note_kind)kind};
    note->clock.us = read_i64(&in);
    note->position = read_u64(&in);
    note->flags = read_u8(&in);
    note->rule = read_u32(&in);
    note->generation = read_u32(&in);
    note->deadline = read_i64(&in);
    note->started = read_i64(&in);
    note->last_seen = read_i64(&in);
    note->fired.us = is_about_firing(note->kind) ? read_i64(&in) : 0;
    note->rule_name = read_string(&in);
    note->key = read_string(&in);
    note->data = read_string(&in);
    bool holding = (note->flags & NOTE_HOLDING) != 0;
    return !in.bad && reader_left(&in) == 0 && kind >= NOTE_TIMEOUT_FIRED &&
           kind <= NOTE_ENGINE_LAGGING && (note->flags & ~NOTE_FLAGS_ALL) == 0 &&
           (!holding || kind == NOTE_ENGINE_LAGGING);
}

/* --- entries --- */

void feed_init(struct feed *feed, struct heap *heap, struct feed_options options)
{
    CHECK(options.budget_bytes > 0);
    CHECK(options.keep_us > 0);
    *feed = (struct feed){.heap = heap, .options = options};
}

struct feed_place feed_place_of(const struct feed *feed, const struct feed_entry *entry)
{
    return (struct feed_place){
        .ordinal = entry->ordinal, .partition = feed->options.partition, .number = entry->number};
}

static void forget_first(struct feed *feed)
{
    struct feed_entry *entry = feed->first;
    size_t size = sizeof(*entry) + entry->len;
    feed->forgotten = feed_place_of(feed, entry);
    feed->first = entry->next;
    if (feed->first == NULL) {
        feed->last = NULL;
    }
    if (feed->first_mark == entry) {
        feed->first_mark = entry->next_mark;
        feed->last_mark = feed->first_mark == NULL ? NULL : feed->last_mark;
    }
    for (uint32_t n = 0; n < FEED_READ; n++) {
        feed->read[n] = feed->read[n] == entry ? NULL : feed->read[n];
    }
    feed->count--;
    feed->forgotten_count++;
    feed->bytes -= heap_class_size(size);
    heap_free(feed->heap, entry, size);
}

/* Room for a note, at the cost of the oldest ones; NULL when there is no memory at all. */
static struct feed_entry *entry_new(struct feed *feed, uint32_t len)
{
    size_t size = sizeof(struct feed_entry) + len;
    size_t taken = heap_class_size(size);
    while (feed->first != NULL && feed->bytes + taken > feed->options.budget_bytes) {
        forget_first(feed);
    }
    struct feed_entry *entry = heap_alloc(feed->heap, size);
    while (entry == NULL && feed->first != NULL) {
        forget_first(feed);
        entry = heap_alloc(feed->heap, size);
    }
    if (entry != NULL) {
        *entry = (struct feed_entry){.len = len};
        feed->bytes += taken;
    }
    return entry;
}

static void mark(struct feed *feed, struct feed_entry *entry)
{
    if (feed->last_mark != NULL) {
        feed->last_mark->next_mark = entry;
    } else {
        feed->first_mark = entry;
    }
    feed->last_mark = entry;
    feed->since_mark = 0;
}

static void append(struct feed *feed, struct feed_entry *entry)
{
    if (feed->last != NULL) {
        feed->last->next = entry;
    } else {
        feed->first = entry;
    }
    feed->last = entry;
    feed->count++;
    feed->since_mark++;
    if (feed->last_mark == NULL || feed->since_mark == MARK_EVERY) {
        mark(feed, entry);
    }
}

void feed_add(struct feed *feed, uint64_t ordinal, const struct note *note)
{
    CHECK(ordinal > 0);
    CHECK(ordinal >= feed->newest.ordinal);
    uint32_t number = ordinal == feed->newest.ordinal ? feed->newest.number + 1 : 1;
    CHECK(number > 0);
    feed->newest = (struct feed_place){
        .ordinal = ordinal, .partition = feed->options.partition, .number = number};
    size_t len = note_len(note);
    CHECK(len <= UINT32_MAX);
    struct feed_entry *entry = entry_new(feed, (uint32_t)len);
    if (entry == NULL) {
        feed->forgotten = feed->newest;
        feed->lost++;
        return;
    }
    entry->ordinal = ordinal;
    entry->number = number;
    entry->clock_us = note->clock.us;
    struct buf out = buf_of(entry->bytes, len);
    note_write(note, &out);
    CHECK(!out.overflow);
    CHECK(out.len == len);
    append(feed, entry);
}

void feed_expire(struct feed *feed, struct clock_time now)
{
    while (feed->first != NULL && time_add(feed->first->clock_us, feed->options.keep_us) < now.us) {
        forget_first(feed);
    }
}

static bool
is_behind(const struct feed *feed, const struct feed_entry *entry, struct feed_place place)
{
    return feed_place_compare(feed_place_of(feed, entry), place) > 0;
}

/* The last mark at or before a place; NULL: there is none. */
static const struct feed_entry *mark_before(struct feed *feed, struct feed_place place)
{
    const struct feed_entry *mark = feed->first_mark;
    uint32_t best = FEED_READ;
    if (mark == NULL || is_behind(feed, mark, place)) {
        return NULL;
    }
    for (uint32_t n = 0; n < FEED_READ; n++) {
        const struct feed_entry *read = feed->read[n];
        bool nearer = read != NULL && !is_behind(feed, read, place) &&
                      is_behind(feed, read, feed_place_of(feed, mark));
        best = nearer ? n : best;
        mark = nearer ? read : mark;
    }
    while (mark->next_mark != NULL && !is_behind(feed, mark->next_mark, place)) {
        mark = mark->next_mark;
    }
    if (best == FEED_READ) {
        best = feed->read_next;
        feed->read_next = (feed->read_next + 1) % FEED_READ;
    }
    feed->read[best] = mark;
    return mark;
}

const struct feed_entry *feed_after(struct feed *feed, struct feed_place place)
{
    if (feed->last == NULL || !is_behind(feed, feed->last, place)) {
        return NULL;
    }
    const struct feed_entry *mark = mark_before(feed, place);
    const struct feed_entry *at = mark == NULL ? feed->first : mark;
    while (!is_behind(feed, at, place)) {
        at = at->next;
    }
    return at;
}

/* --- saved --- */

void feed_save(const struct feed *feed, struct writer *out)
{
    write_u64(out, feed->newest.ordinal);
    write_u32(out, feed->newest.number);
    write_u64(out, feed->forgotten.ordinal);
    write_u32(out, feed->forgotten.number);
    write_u64(out, feed->forgotten_count);
    write_u64(out, feed->lost);
    write_u64(out, feed->count);
    for (const struct feed_entry *entry = feed->first; entry != NULL; entry = entry->next) {
        write_u64(out, entry->ordinal);
        write_u32(out, entry->number);
        write_i64(out, entry->clock_us);
        write_string(out, feed_entry_bytes(entry));
    }
}

static struct feed_place load_place(const struct feed *feed, struct loader *in)
{
    struct feed_place place = {.partition = feed->options.partition};
    place.ordinal = load_u64(in);
    place.number = load_u32(in);
    return place;
}

/* One entry, which must stand behind `before`. */
static bool load_entry(struct feed *feed, struct feed_place before, struct loader *in)
{
    struct feed_place place = load_place(feed, in);
    int64_t clock_us = load_i64(in);
    uint32_t len = load_u32(in);
    if (in->bad || len > feed->heap->limit_bytes || place.ordinal == 0 || place.number == 0 ||
        feed_place_compare(place, before) <= 0 || feed_place_compare(place, feed->newest) > 0) {
        return false;
    }
    struct feed_entry *entry = entry_new(feed, len);
    if (entry == NULL) {
        return false;
    }
    entry->ordinal = place.ordinal;
    entry->number = place.number;
    entry->clock_us = clock_us;
    load_bytes(in, entry->bytes, len);
    append(feed, entry);
    struct note note;
    return !in->bad && note_read(feed_entry_bytes(entry), &note) && note.clock.us == clock_us;
}

bool feed_load(struct feed *feed, struct loader *in)
{
    CHECK(feed->newest.ordinal == 0);
    feed->newest = load_place(feed, in);
    feed->forgotten = load_place(feed, in);
    feed->forgotten_count = load_u64(in);
    feed->lost = load_u64(in);
    uint64_t count = load_u64(in);
    if (in->bad || feed_place_compare(feed->forgotten, feed->newest) > 0) {
        return false;
    }
    for (uint64_t n = 0; n < count; n++) {
        struct feed_place before =
            feed->last == NULL ? feed->forgotten : feed_place_of(feed, feed->last);
        if (!load_entry(feed, before, in)) {
            return false;
        }
    }
    return true;
}

/* --- validation --- */

static void validate_entry(const struct feed *feed, const struct feed_entry *entry)
{
    struct feed_place place = feed_place_of(feed, entry);
    struct note note;
    CHECK(feed_place_compare(place, feed->forgotten) > 0);
    CHECK(feed_place_compare(place, feed->newest) <= 0);
    CHECK(entry->next == NULL || feed_place_compare(place, feed_place_of(feed, entry->next)) < 0);
    CHECK(note_read(feed_entry_bytes(entry), &note));
    CHECK(note.clock.us == entry->clock_us);
}

void feed_validate(const struct feed *feed)
{
    size_t bytes = 0;
    uint64_t count = 0;
    uint32_t unmarked = 0;
    const struct feed_entry *last = NULL;
    const struct feed_entry *next_mark = feed->first_mark;
    const struct feed_entry *last_mark = NULL;
    for (const struct feed_entry *entry = feed->first; entry != NULL; entry = entry->next) {
        validate_entry(feed, entry);
        bytes += heap_class_size(sizeof(*entry) + entry->len);
        count++;
        unmarked++;
        if (entry == next_mark) {
            last_mark = entry;
            next_mark = entry->next_mark;
            unmarked = 0;
        }
        CHECK(unmarked < MARK_EVERY);
        last = entry;
    }
    CHECK(next_mark == NULL);
    CHECK(last_mark == feed->last_mark);
    CHECK(last == feed->last);
    CHECK(bytes == feed->bytes);
    CHECK(count == feed->count);
    CHECK(bytes <= feed->options.budget_bytes || count == 1);
}
