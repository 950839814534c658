/* The librarian: see librarian.h. A scan walks frames, batches and rows from a place on, and stops
 * at its limit of items or of work; the place where it stopped goes back as the cursor. */
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

struct librarian {
    struct post *post;
    struct log_reader_port log;
    struct batch_word words[BATCH_WORDS_MAX];
};

/* One scan at work. */
struct search {
    struct librarian *librarian;
    struct scan *scan;
    bool full;
    struct fate_search *fate; /* FATE only, as copies: how often the event is in the log */
    uint32_t copies;
};

struct librarian *librarian_create(struct post *post, struct log_reader_port log)
{
    struct librarian *librarian = calloc(1, sizeof(*librarian));
    if (librarian != NULL) {
        librarian->post = post;
        librarian->log = log;
    }
    return librarian;
}

void librarian_destroy(struct librarian *librarian)
{
    free(librarian);
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

static void answer(struct librarian *librarian, struct scan *scan)
{
    struct search search = {.librarian = librarian, .scan = scan};
    void *reader = librarian->log.ops->open(librarian->log.ctx, scan->at_position);
    if (reader == NULL) {
        scan->err = ERR_UNAVAILABLE;
        return;
    }
    enum err err = OK;
    bool first = true;
    while (err != ERR_NOT_FOUND && !search.full && scan->err == OK) {
        struct log_view view;
        err = librarian->log.ops->next(reader, &view);
        if (err == OK && first && scan->kind == SCAN_FATE) {
            search.fate = fate_begin(scan->metrics, scan->metric_count, view.position);
            scan->err = search.fate == NULL ? ERR_UNAVAILABLE : OK;
            first = false;
        }
        if (err == OK && scan->err == OK) {
            search_frame(&search, &view);
        } else if (err == ERR_OVERLOADED) {
            scan->err = ERR_UNAVAILABLE; /* memory or descriptors are short just now */
        }
    }
    librarian->log.ops->close(reader);
    fate_end(search.fate);
    if (scan->kind == SCAN_FATE) {
        scan->limit = search.copies;
    }
}

bool librarian_step(struct librarian *librarian)
{
    struct letter *letter = post_take(librarian->post, POST_LIBRARIAN);
    if (letter == NULL) {
        return false;
    }
    CHECK(letter->kind == LETTER_SCAN);
    answer(librarian, (struct scan *)(void *)letter);
    post_return(librarian->post, POST_LIBRARIAN, letter);
    post_flush(librarian->post, POST_LIBRARIAN);
    return true;
}
