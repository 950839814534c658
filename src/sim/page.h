/* Pages of lists as the API answers them, taken apart into the terms of the judges. */
#pragma once

#include "sim/oracle_windows.h"

#define PAGE_CURSOR_BYTES 80

/* What stands around the items. */
struct page_head {
    bool has_watermark;
    int64_t watermark;
    char cursor[PAGE_CURSOR_BYTES]; /* empty: this was the last page */
    size_t item_count;
};

/* An event of GET /v1/events. */
struct page_event {
    uint32_t source;
    uint32_t id;
};

/* Of either list. */
bool page_read_head(struct bytes text, struct page_head *head);

/* Each fills as many items as there are, at most items_max; false when the text is not such a page,
 * or holds more. Of a row window, group, count, x_* and closed, final are set. */
bool page_read_values(struct bytes text,
                      struct page_head *head,
                      struct expected_row *rows,
                      size_t rows_max);
bool page_read_events(struct bytes text,
                      struct page_head *head,
                      struct page_event *events,
                      size_t events_max);
