/* Oracle of pages: what a list may tell that is read page by page, by a cursor, while the engine goes
 * on, restarts or dies between two pages. */
#pragma once

#include "sim/oracle_windows.h"
#include "sim/page.h"

enum page_order {
    ORDER_WINDOW, /* the default: oldest first */
    ORDER_WINDOW_DOWN,
    ORDER_COUNT, /* by n, then window */
    ORDER_COUNT_DOWN,
};

/* The values of one metric as they were read, all pages after each other. */
struct reading {
    uint32_t recipe;
    enum page_order order;
    bool flags_hold; /* nobody reopens lanes: closed and final, once told, stay true */
    bool settled;    /* only windows were asked for that start before `to`, and all those were final
                        before the first page was asked for */
    int64_t to;
    bool complete;             /* the last page said that nothing follows */
    struct expected_row *rows; /* malloc'ed; as page_read_values fills them */
    size_t row_count;
    size_t row_capacity;
    uint32_t page_count;
};

/* Whether one page can be an answer of its own. */
bool oracle_page_holds(const struct reading *reading,
                       const struct expected_row *rows,
                       size_t count,
                       struct finding *finding);

/* Whether all that was told can have been so, given what the metric must answer in the end. */
bool oracle_reading_holds(const struct reading *reading,
                          const struct expected_metric *expected,
                          struct finding *finding);

/* A page of the log's events. */
struct listed_page {
    uint64_t oldest;      /* position of the oldest frame kept when the answer was there */
    uint64_t durable_end; /* of the log when it was asked for */
    size_t event_count;
    bool last; /* it said that nothing follows */
};

/* The log's events as they were read. */
struct listing {
    bool of_type; /* of one type only */
    uint32_t type;
    struct listed_page *pages; /* malloc'ed */
    size_t page_count;
    size_t page_capacity;
    struct page_event *events; /* malloc'ed; of all pages */
    size_t event_count;
    size_t event_capacity;
};

bool oracle_listing_holds(const struct history *history,
                          const struct listing *listing,
                          struct finding *finding);
