/* The librarian: see librarian.h. A scan walks frames, batches and rows from a place on, and stops
 * at its limit of items or at its deadline; the place where it stopped goes back as the cursor.
 *
 *     letters --> queue --> at work (SEARCHES_MAX, a slice each in turn) --> back
 *
 * So a short question waits for slices of long ones, never for their ends.
 *
 * Invariants:
 *  1. Each scan that was taken is in the queue or at work, once, until it goes back.
 *  2. A scan goes back by its deadline, but for one slice and the queue's other deadlines. A list then
 *     has what was found so far, and goes on where it stopped; a fate, which can't, is refused. */
#include "host/librarian.h"

#include "base/check.h"
#include "base/json.h"
#include "host/fate.h"
#include "host/grow.h"
#include "host/result.h"

#include <stdio.h>
#include <stdlib.h>

#define ITEM_BYTES_FIRST 16384
#define ITEM_BYTES_MAX   ((size_t)16 * 1024 * 1024)

#define SEARCHES_MAX 8
#define SLICE_US     5000

/* One scan at work. */
struct search {
    struct librarian *librarian;
    struct scan *scan; /* NULL: a free place */
    void *reader;
    bool begun;      /* a frame was read */
    uint32_t record; /* where in the first frame it shall begin */
    uint32_t row;
    bool full;
    uint64_t next_position;   /* behind the last frame that was searched */
    struct fate_search *fate; /* FATE only, as copies: how often the event is in the log */
    uint32_t copies;
};

struct librarian {
    struct post *post;
    struct log_reader_port log;
    struct clock_port clock;
    struct scan *first; /* queue */
    struct scan *last;
    struct search searches[SEARCHES_MAX];
    uint32_t turn; /* whose slice is next */
    struct batch_word words[BATCH_WORDS_MAX];
};

struct librarian *
librarian_create(struct post *post, struct log_reader_port log, struct clock_port clock)
{
    struct librarian *librarian = calloc(1, sizeof(*librarian));
    if (librarian != NULL) {
        librarian->post = post;
        librarian->log = log;
        librarian->clock = clock;
    }
    return librarian;
}

static struct buf *items_room(struct scan *scan, size_t need)
{
    enum err err = buf_grow(&scan->items, need, ITEM_BYTES_FIRST, SIZE_MAX);
    if (err != OK) {
        scan->err = err;
        return NULL;
    }
    return &scan->items;
}

static bool wanted_text(struct bytes filter, struct bytes text)
{
    return filter.data == NULL || bytes_equal(filter, text);
}

/* JSON text of an event is at most this: every byte of an attribute may become \u00XX. */
static size_t json_bytes_max(const struct event *event)
{
    return 6 * (event_put_max(event) - event->data.len) + event->data.len + 512;
}

static void list_event(struct search *search, const struct event *event)
{
    struct scan *scan = search->scan;
    struct buf *items = items_room(scan, json_bytes_max(event) + 1);
    if (items == NULL) {
        return;
    }
    if (scan->item_count > 0) {
        buf_put_u8(items, ',');
    }
    event_put_json(items, event);
    CHECK(!items->overflow);
    scan->item_count++;
}

/* --- fate --- */

static void tell_metric(void *ctx, struct bytes name, const char *fate, int64_t window_start)
{
    struct scan *scan = ctx;
    struct buf *out = items_room(scan, 256);
    if (out == NULL) {
        return;
    }
    if (scan->item_count > 0) {
        buf_put_u8(out, ',');
    }
    buf_put_text(out, "{\"name\":");
    json_put_string(out, name);
    buf_put_text(out, ",\"fate\":\"");
    buf_put_text(out, fate);
    buf_put_text(out, "\",\"window_start\":\"");
    timestamp_put(out, window_start);
    buf_put_text(out, "\"}");
    CHECK(!out->overflow);
    scan->item_count++;
}

static void tell_fate(struct search *search, const struct event *event, int64_t watermark)
{
    search->copies++;
    if (search->copies == 1) { /* the first copy is the one that counts */
        fate_tell(search->fate, event, watermark, tell_metric, search->scan);
    }
}

/* --- the walk --- */

static void stop_at(struct search *search, uint64_t position, uint32_t record, uint32_t row)
{
    search->full = true;
    search->scan->more = true;
    search->scan->at_position = position;
    search->scan->at_record = record;
    search->scan->at_row = row;
}

static void search_batch(struct search *search, const struct record *record, uint64_t position)
{
    struct scan *scan = search->scan;
    struct librarian *librarian = search->librarian;
    struct batch batch;
    uint32_t word_count;
    CHECK(batch_open(record->body, &batch));
    CHECK(batch_read_words(&batch, librarian->words, &word_count));
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, &batch);
    struct batch_row row;
    while (!search->full && batch_next_row(&cursor, &row)) {
        struct event event;
        bool before = position == scan->at_position && record->offset == scan->at_record &&
                      row.index < scan->at_row;
        CHECK(batch_row_event(&batch, librarian->words, word_count, &row, &event));
        if (before || event.time.us < scan->from || event.time.us >= scan->to ||
            !wanted_text(scan->type, event.type) || !wanted_text(scan->source, event.source) ||
            !wanted_text(scan->subject, event.subject) || !wanted_text(scan->id, event.id)) {
            continue;
        }
        if (scan->kind == SCAN_FATE) {
            tell_fate(search, &event, cursor.watermark);
        } else if (scan->item_count == scan->limit || scan->items.len > ITEM_BYTES_MAX) {
            stop_at(search, position, record->offset, row.index);
        } else {
            list_event(search, &event);
        }
    }
}

static void search_frame(struct search *search, const struct log_view *view)
{
    struct reader reader = reader_of(view->body);
    struct record record;
    while (!search->full && record_next(&reader, view->body.data, &record)) {
        bool before =
            view->position == search->scan->at_position && record.offset < search->scan->at_record;
        if (search->fate != NULL) {
            fate_follow(search->fate, &record, view->position);
        }
        if (record.kind == RECORD_EVENTS && !before) {
            search_batch(search, &record, view->position);
        }
    }
    CHECK(!reader.bad);
}

/* --- slices --- */

static void search_begin(struct librarian *librarian, struct search *search, struct scan *scan)
{
    *search = (struct search){
        .librarian = librarian,
        .scan = scan,
        .reader = librarian->log.ops->open(librarian->log.ctx, scan->at_position),
        .next_position = scan->at_position,
        .record = scan->at_record,
        .row = scan->at_row,
    };
    if (search->reader == NULL) { /* memory or descriptors are short just now */
        scan->err = ERR_UNAVAILABLE;
    }
}

static void search_end(struct search *search)
{
    struct librarian *librarian = search->librarian;
    struct scan *scan = search->scan;
    if (search->reader != NULL) {
        librarian->log.ops->close(search->reader);
    }
    fate_end(search->fate);
    if (scan->kind == SCAN_FATE) {
        scan->limit = search->copies;
    }
    *search = (struct search){0};
    post_return(librarian->post, POST_LIBRARIAN, &scan->letter);
}

/* Searches one frame; false when the search is over. */
static bool search_next(struct search *search)
{
    struct scan *scan = search->scan;
    const struct log_reader_port *log = &search->librarian->log;
    struct log_view view;
    enum err err = log->ops->next(search->reader, &view);
    if (err == OK && !search->begun && scan->kind == SCAN_FATE) {
        search->fate = fate_begin(scan->metrics, scan->metric_count, view.position);
        scan->err = search->fate == NULL ? ERR_UNAVAILABLE : OK;
    }
    if (err == OK && scan->err == OK) {
        search->begun = true;
        search_frame(search, &view);
        search->next_position = view.end;
    } else if (err == ERR_OVERLOADED) {
        scan->err = ERR_UNAVAILABLE; /* as above */
    }
    return err != ERR_NOT_FOUND && !search->full && scan->err == OK;
}

static bool is_overdue(const struct librarian *librarian, const struct scan *scan)
{
    struct clock_time now = librarian->clock.ops->wall(librarian->clock.ctx);
    return now.us > scan->deadline.us;
}

/* Time is up: a list is cut here, a fate can't be told. */
static void give_up(struct search *search)
{
    struct scan *scan = search->scan;
    if (scan->kind == SCAN_FATE) {
        scan->err = ERR_UNAVAILABLE;
        (void)snprintf(
            scan->detail,
            sizeof(scan->detail),
            "the log is too long to be searched in time; read it back by GET /v1/events");
        return;
    }
    stop_at(search, search->next_position, 0, 0);
    if (!search->begun) { /* not a frame: go on where this one was to begin */
        scan->at_record = search->record;
        scan->at_row = search->row;
    }
}

/* Works for a slice of time, at least a frame; the search may be over then. */
static void search_slice(struct search *search)
{
    struct librarian *librarian = search->librarian;
    const struct clock_port *clock = &librarian->clock;
    int64_t until_us = clock->ops->boot_us(clock->ctx) + SLICE_US;
    bool more = search->scan->err == OK;
    while (more && !is_overdue(librarian, search->scan)) {
        more = search_next(search);
        if (more && clock->ops->boot_us(clock->ctx) >= until_us) {
            return;
        }
    }
    if (more) {
        give_up(search);
    }
    search_end(search);
}

static void queue_scan(struct librarian *librarian, struct scan *scan)
{
    scan->next = NULL;
    if (librarian->last == NULL) {
        librarian->first = scan;
    } else {
        librarian->last->next = scan;
    }
    librarian->last = scan;
}

/* Gives free places to those who wait. */
static void seat(struct librarian *librarian)
{
    for (uint32_t n = 0; n < SEARCHES_MAX && librarian->first != NULL; n++) {
        if (librarian->searches[n].scan == NULL) {
            struct scan *scan = librarian->first;
            librarian->first = scan->next;
            librarian->last = scan->next == NULL ? NULL : librarian->last;
            search_begin(librarian, &librarian->searches[n], scan);
        }
    }
}

/* The search whose turn it is; NULL when none is at work. */
static struct search *next_search(struct librarian *librarian)
{
    for (uint32_t n = 0; n < SEARCHES_MAX; n++) {
        struct search *search = &librarian->searches[(librarian->turn + n) % SEARCHES_MAX];
        if (search->scan != NULL) {
            librarian->turn = (librarian->turn + n + 1) % SEARCHES_MAX;
            return search;
        }
    }
    return NULL;
}

void librarian_destroy(struct librarian *librarian)
{
    for (uint32_t n = 0; librarian != NULL && n < SEARCHES_MAX; n++) {
        if (librarian->searches[n].reader != NULL) { /* nobody waits for it any more */
            librarian->log.ops->close(librarian->searches[n].reader);
        }
        fate_end(librarian->searches[n].fate);
    }
    free(librarian);
}

bool librarian_step(struct librarian *librarian)
{
    for (struct letter *letter; (letter = post_take(librarian->post, POST_LIBRARIAN)) != NULL;) {
        CHECK(letter->kind == LETTER_SCAN);
        queue_scan(librarian, (struct scan *)(void *)letter);
    }
    seat(librarian);
    struct search *search = next_search(librarian);
    if (search == NULL) {
        return false;
    }
    search_slice(search);
    post_flush(librarian->post, POST_LIBRARIAN);
    return true;
}
