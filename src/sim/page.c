/* Pages: see page.h. Members that a judge has no use for are passed over; those it needs must be
 * there, each once. */
#include "sim/page.h"

#include "base/json.h"
#include "base/text.h"
#include "sim/log_reader.h"

#include <string.h>

/* What is wanted of an item, as bits of what was seen. */
enum seen {
    SEEN_WINDOW = 1,
    SEEN_N = 2,
    SEEN_C = 4,
    SEEN_S = 8,
    SEEN_LO = 16,
    SEEN_HI = 32,
    SEEN_CLOSED = 64,
    SEEN_FINAL = 128,
    SEEN_ALL = 255,
};

typedef bool (*read_member)(void *item, struct bytes name, const struct json_value *value);

static bool named(struct bytes name, const char *text)
{
    return bytes_equal(name, bytes_of_string(text));
}

/* A whole object, member by member. */
static bool read_object(struct json_scanner *scanner, read_member read, void *item)
{
    struct json_value name;
    struct json_value value;
    bool more = false;
    if (json_object_begin(scanner) != OK) {
        return false;
    }
    while (json_object_next(scanner, &name, &more) == OK) {
        if (!more) {
            return true;
        }
        if (json_value(scanner, &value) != OK || !read(item, name.content, &value)) {
            return false;
        }
    }
    return false;
}

/* A number, or null as 0. */
static bool read_number(const struct json_value *value, int64_t *number)
{
    *number = 0;
    return value->kind == JSON_NULL ||
           (value->kind == JSON_NUMBER && i64_parse(value->text, number));
}

/* Of a group: "s3", "t2", "k17", or null (0). */
static bool read_group(const struct json_value *value, char prefix, uint32_t *number)
{
    *number = 0;
    return value->kind == JSON_NULL ||
           (value->kind == JSON_STRING && text_number(value->content, prefix, number));
}

/* --- values --- */

struct row_reading {
    struct expected_row *row;
    unsigned int seen;
};

static bool see(struct row_reading *reading, unsigned int member, bool good)
{
    bool again = (reading->seen & member) != 0;
    reading->seen |= member;
    return good && !again;
}

static bool read_count(const struct json_value *value, uint64_t *count)
{
    int64_t number = 0;
    bool good = read_number(value, &number) && number >= 0;
    *count = (uint64_t)number;
    return good;
}

static bool read_sum(const struct json_value *value, int128 *sum)
{
    int64_t number = 0;
    bool good = read_number(value, &number);
    *sum = number;
    return good;
}

static bool read_row_member(void *item, struct bytes name, const struct json_value *value)
{
    struct row_reading *reading = item;
    struct expected_row *row = reading->row;
    if (named(name, "window_start")) {
        return see(reading, SEEN_WINDOW, timestamp_parse(value->content, &row->window_start) == OK);
    }
    if (named(name, "source")) {
        return read_group(value, 's', &row->source);
    }
    if (named(name, "type")) {
        return read_group(value, 't', &row->type);
    }
    if (named(name, "subject")) {
        return read_group(value, 'k', &row->subject);
    }
    if (named(name, "n")) {
        return see(reading, SEEN_N, read_count(value, &row->count));
    }
    if (named(name, "c")) {
        return see(reading, SEEN_C, read_count(value, &row->x_count));
    }
    if (named(name, "s")) {
        return see(reading, SEEN_S, read_sum(value, &row->x_sum));
    }
    if (named(name, "lo")) {
        return see(reading, SEEN_LO, read_number(value, &row->x_min));
    }
    if (named(name, "hi")) {
        return see(reading, SEEN_HI, read_number(value, &row->x_max));
    }
    if (named(name, "closed")) {
        row->closed = value->kind == JSON_TRUE;
        return see(reading, SEEN_CLOSED, value->kind == JSON_TRUE || value->kind == JSON_FALSE);
    }
    if (named(name, "final")) {
        row->final = value->kind == JSON_TRUE;
        return see(reading, SEEN_FINAL, value->kind == JSON_TRUE || value->kind == JSON_FALSE);
    }
    return true;
}

static bool read_row(void *items, size_t index, struct json_scanner *scanner)
{
    struct expected_row *row = (struct expected_row *)items + index;
    *row = (struct expected_row){0};
    struct row_reading reading = {.row = row};
    return read_object(scanner, read_row_member, &reading) && reading.seen == SEEN_ALL;
}

/* --- events --- */

struct event_reading {
    struct page_event *event;
    bool has_source;
    bool has_id;
};

static bool read_event_member(void *item, struct bytes name, const struct json_value *value)
{
    struct event_reading *reading = item;
    if (named(name, "source")) {
        reading->has_source = text_number(value->content, 's', &reading->event->source);
        return reading->has_source;
    }
    if (named(name, "id")) {
        reading->has_id = text_number(value->content, 0, &reading->event->id);
        return reading->has_id;
    }
    return true;
}

static bool read_event(void *items, size_t index, struct json_scanner *scanner)
{
    struct page_event *event = (struct page_event *)items + index;
    struct event_reading reading = {.event = event};
    *event = (struct page_event){0};
    return read_object(scanner, read_event_member, &reading) && reading.has_source &&
           reading.has_id;
}

/* --- the page --- */

struct page_reading {
    struct page_head *head;
    bool (*read_item)(void *items, size_t index, struct json_scanner *scanner);
    void *items;
    size_t items_max;
    bool has_items;
    bool has_cursor;
};

static bool read_items(struct page_reading *page, struct bytes text)
{
    struct json_scanner scanner = json_scanner_of(text);
    bool more = false;
    if (json_array_begin(&scanner) != OK) {
        return false;
    }
    while (json_array_next(&scanner, &more) == OK) {
        if (!more) {
            return true;
        }
        if (page->head->item_count == page->items_max ||
            !page->read_item(page->items, page->head->item_count, &scanner)) {
            return false;
        }
        page->head->item_count++;
    }
    return false;
}

static bool read_cursor(struct page_head *head, const struct json_value *value)
{
    bool fits = value->kind == JSON_STRING && !value->escaped && value->content.len > 0 &&
                value->content.len < sizeof(head->cursor);
    if (fits) {
        memcpy(head->cursor, value->content.data, value->content.len);
    }
    return fits || value->kind == JSON_NULL;
}

static bool read_page_member(void *item, struct bytes name, const struct json_value *value)
{
    struct page_reading *page = item;
    if (named(name, "watermark")) {
        page->head->has_watermark = value->kind == JSON_STRING;
        return value->kind == JSON_NULL ||
               timestamp_parse(value->content, &page->head->watermark) == OK;
    }
    if (named(name, "items")) {
        page->has_items = true;
        return read_items(page, value->text);
    }
    if (named(name, "next_cursor")) {
        page->has_cursor = true;
        return read_cursor(page->head, value);
    }
    return true;
}

static bool read_page(struct bytes text, struct page_reading *page)
{
    struct json_scanner scanner = json_scanner_of(text);
    *page->head = (struct page_head){0};
    return read_object(&scanner, read_page_member, page) && json_end(&scanner) == OK &&
           page->has_items && page->has_cursor;
}

static bool pass_item(void *items, size_t index, struct json_scanner *scanner)
{
    struct json_value value;
    (void)items;
    (void)index;
    return json_value(scanner, &value) == OK;
}

bool page_read_head(struct bytes text, struct page_head *head)
{
    struct page_reading page = {.head = head, .read_item = pass_item, .items_max = SIZE_MAX};
    return read_page(text, &page);
}

bool page_read_values(struct bytes text,
                      struct page_head *head,
                      struct expected_row *rows,
                      size_t rows_max)
{
    struct page_reading page = {
        .head = head, .read_item = read_row, .items = rows, .items_max = rows_max};
    return read_page(text, &page);
}

bool page_read_events(struct bytes text,
                      struct page_head *head,
                      struct page_event *events,
                      size_t events_max)
{
    struct page_reading page = {
        .head = head, .read_item = read_event, .items = events, .items_max = events_max};
    return read_page(text, &page);
}
