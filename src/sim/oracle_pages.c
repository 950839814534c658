/* Pages, read slowly.
 *
 * The API's cursors are places in a list, not snapshots of it: rows may move from page to page while
 * windows change. What holds all the same, of values:
 *
 *  1. A page is in the order that was asked for, and has no row twice.
 *  2. Each row of it is one that the metric has in the end, with no larger count: counts never fall,
 *     whatever happens between two pages. What was told to be closed is; what was told to be final has
 *     the very counts that it has in the end.
 *  3. Windows that were final before the first page don't change. So when nothing else is asked for,
 *     all pages together are those windows' rows, each once, and in one order over all pages.
 *
 * And of events, whose cursors are places in the log, which only grows:
 *
 *  4. The pages together are what the log holds, in its order, each as often as it is there, from
 *     its oldest frame on. Only what is no longer kept may be left out.
 *  5. When a page says that it is the last, nothing follows that was durable when it was asked for.
 *
 * An event may be in the log more than once, so it need not be clear where in the log a page was read;
 * claim 4 follows all places at once where the reader may stand. */
#include "sim/oracle_pages.h"

#include "base/check.h"
#include "sim/log_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool wrong(struct finding *finding, const struct expected_row *row, const char *what)
{
    return finding_say(finding,
                       "a page tells of window %lld, source %u, type %u, subject %u, n %" PRIu64
                       ": %s",
                       (long long)row->window_start,
                       (unsigned)row->source,
                       (unsigned)row->type,
                       (unsigned)row->subject,
                       row->count,
                       what);
}

/* --- values --- */

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* < 0: a comes first; 0: the order of their groups decides. */
static int
compare_in_order(enum page_order order, const struct expected_row *a, const struct expected_row *b)
{
    int windows = compare_i64(a->window_start, b->window_start);
    int counts = compare_i64((int64_t)a->count, (int64_t)b->count);
    switch (order) {
    case ORDER_WINDOW:
        return windows;
    case ORDER_WINDOW_DOWN:
        return -windows;
    case ORDER_COUNT:
        return counts != 0 ? counts : windows;
    case ORDER_COUNT_DOWN:
        return counts != 0 ? -counts : windows;
    }
    UNREACHABLE("an order that is none");
}

static bool in_order(const struct reading *reading,
                     const struct expected_row *rows,
                     size_t count,
                     struct finding *finding)
{
    for (size_t n = 1; n < count; n++) {
        if (compare_in_order(reading->order, &rows[n - 1], &rows[n]) > 0) {
            return wrong(finding, &rows[n], "it comes after one that belongs behind it");
        }
    }
    return true;
}

bool oracle_page_holds(const struct reading *reading,
                       const struct expected_row *rows,
                       size_t count,
                       struct finding *finding)
{
    for (size_t n = 0; n < count; n++) {
        for (size_t m = 0; m < n; m++) {
            if (expected_row_compare(&rows[n], &rows[m]) == 0) {
                return wrong(finding, &rows[n], "it is twice on one page");
            }
        }
        if (reading->settled && (!rows[n].final || rows[n].window_start >= reading->to)) {
            return wrong(finding, &rows[n], "only final windows before another were asked for");
        }
        if (rows[n].final && !rows[n].closed) {
            return wrong(finding, &rows[n], "it is final, but not closed");
        }
    }
    return in_order(reading, rows, count, finding);
}

static size_t find_row(const struct expected_metric *expected, const struct expected_row *row)
{
    size_t low = 0;
    size_t high = expected->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (expected_row_compare(&expected->rows[middle], row) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < expected->row_count && expected_row_compare(&expected->rows[low], row) == 0;
    return found ? low : SIZE_MAX;
}

static bool same_results(const struct expected_row *row, const struct expected_row *is)
{
    bool extremes = row->x_count == 0 || (row->x_min == is->x_min && row->x_max == is->x_max);
    return row->count == is->count && row->x_count == is->x_count && row->x_sum == is->x_sum &&
           extremes;
}

/* Claim 2. */
static bool may_be_told(const struct reading *reading,
                        const struct expected_row *row,
                        const struct expected_row *is,
                        struct finding *finding)
{
    bool certain = is->maybe == 0;
    if (row->count > is->count + is->maybe) {
        return wrong(finding, row, "so many there never were");
    }
    if (row->count == 0) {
        return wrong(finding, row, "a row of no event");
    }
    if (!reading->flags_hold) {
        return true;
    }
    if (row->closed && !is->closed && !is->time_open && certain) {
        return wrong(finding, row, "its window was not closed, nor is it in the end");
    }
    if (row->final && (certain ? !same_results(row, is) : row->count < is->count)) {
        return wrong(finding, row, "it was final, and is another in the end");
    }
    return true;
}

/* Claim 3, what is missing. */
static bool all_told(const struct reading *reading,
                     const struct expected_metric *expected,
                     const bool *told,
                     struct finding *finding)
{
    for (size_t n = 0; n < expected->row_count; n++) {
        const struct expected_row *is = &expected->rows[n];
        if (is->window_start < reading->to && is->count > 0 && !is->may_be_gone && !told[n]) {
            return finding_say(
                finding,
                "%u pages were all of the windows before %lld, and on none is window "
                "%lld, source %u, type %u, subject %u, n %" PRIu64,
                (unsigned)reading->page_count,
                (long long)reading->to,
                (long long)is->window_start,
                (unsigned)is->source,
                (unsigned)is->type,
                (unsigned)is->subject,
                is->count);
        }
    }
    return true;
}

bool oracle_reading_holds(const struct reading *reading,
                          const struct expected_metric *expected,
                          struct finding *finding)
{
    bool *told = calloc(expected->row_count + 1, sizeof(bool));
    bool good = told != NULL || finding_say(finding, "no memory");
    for (size_t n = 0; good && n < reading->row_count; n++) {
        const struct expected_row *row = &reading->rows[n];
        size_t at = find_row(expected, row);
        if (at == SIZE_MAX) {
            good = wrong(finding, row, "there never was such a row");
        } else if (reading->settled && told[at]) {
            good = wrong(finding, row, "it is on two pages, and did not change");
        } else {
            good = may_be_told(reading, row, &expected->rows[at], finding);
            told[at] = true;
        }
    }
    if (good && reading->settled) {
        good = in_order(reading, reading->rows, reading->row_count, finding) &&
               (!reading->complete || all_told(reading, expected, told, finding));
    }
    free(told);
    return good;
}

/* --- events --- */

struct log_event {
    uint64_t position; /* of its frame */
    struct page_event event;
};

struct log_events {
    struct log_event *items;
    size_t count;
    size_t capacity;
};

static bool
add_event(struct log_events *events, const struct listing *listing, const struct log_reader *reader)
{
    struct log_event item = {.position = reader->frame->position};
    uint32_t type = 0;
    if (!text_number(reader->event.source, 's', &item.event.source) ||
        !text_number(reader->event.id, 0, &item.event.id) ||
        !text_number(reader->event.type, 't', &type)) {
        return false;
    }
    if (listing->of_type && type != listing->type) {
        return true;
    }
    if (events->count == events->capacity) {
        size_t capacity = events->capacity == 0 ? 1024 : 2 * events->capacity;
        struct log_event *grown = realloc(events->items, capacity * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        events->items = grown;
        events->capacity = capacity;
    }
    events->items[events->count++] = item;
    return true;
}

static bool gather(const struct history *history,
                   const struct listing *listing,
                   struct log_events *events,
                   struct finding *finding)
{
    struct log_reader reader;
    bool good = log_reader_init(&reader, history, finding);
    while (good && log_next_record(&reader)) {
        while (good && reader.record.kind == RECORD_EVENTS && log_next_event(&reader)) {
            good = add_event(events, listing, &reader) ||
                   finding_say(finding, "an event that nobody sent, or no memory");
        }
    }
    good = good && !reader.bad;
    log_reader_free(&reader);
    return good;
}

/* The places in the log where the reader may stand: ascending. */
struct places {
    size_t *at;
    size_t count;
};

static size_t first_kept(const struct log_events *events, uint64_t oldest)
{
    size_t low = 0;
    size_t high = events->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (events->items[middle].position < oldest) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t stand_behind(const struct log_events *events,
                           size_t at,
                           const struct page_event *event,
                           size_t *after)
{
    const struct page_event *is = at < events->count ? &events->items[at].event : NULL;
    bool stood = is != NULL && is->source == event->source && is->id == event->id;
    *after = at + 1;
    return stood ? 1 : 0;
}

/* Reads one event: who stands before it now stands behind it. What lies before `kept` may be passed
 * over. False: nobody stood before it. */
static bool step(struct places *places,
                 const struct log_events *events,
                 size_t kept,
                 const struct page_event *event)
{
    size_t found = 0;
    size_t *after = places->at + events->count + 1; /* new ones are made there */
    for (size_t at = places->at[0]; at <= kept && at < events->count; at++) {
        found += stand_behind(events, at, event, &after[found]);
    }
    for (size_t n = 0; n < places->count; n++) {
        if (places->at[n] > kept) {
            found += stand_behind(events, places->at[n], event, &after[found]);
        }
    }
    memcpy(places->at, after, found * sizeof(*after));
    places->count = found;
    return found > 0;
}

/* Claim 5: from one of the places on there is nothing that had to be told. */
static bool
at_end(const struct places *places, const struct log_events *events, const struct listed_page *page)
{
    size_t last = places->at[places->count - 1];
    size_t kept = first_kept(events, page->oldest);
    last = last > kept ? last : kept;
    return last >= events->count || events->items[last].position >= page->durable_end;
}

static bool follow(const struct listing *listing,
                   const struct log_events *events,
                   struct places *places,
                   struct finding *finding)
{
    size_t told = 0;
    for (size_t n = 0; n < listing->page_count; n++) {
        const struct listed_page *page = &listing->pages[n];
        size_t kept = first_kept(events, page->oldest);
        for (size_t m = 0; m < page->event_count; m++, told++) {
            const struct page_event *event = &listing->events[told];
            if (!step(places, events, kept, event)) {
                return finding_say(finding,
                                   "page %zu of the events, item %zu: source %u, id %u is not what "
                                   "follows in the log",
                                   n,
                                   m,
                                   (unsigned)event->source,
                                   (unsigned)event->id);
            }
        }
        if (page->last && !at_end(places, events, page)) {
            return finding_say(
                finding, "page %zu of the events says it is the last, but the log goes on", n);
        }
    }
    return true;
}

bool oracle_listing_holds(const struct history *history,
                          const struct listing *listing,
                          struct finding *finding)
{
    struct log_events events = {0};
    bool good = gather(history, listing, &events, finding);
    /* The places, and as many to make new ones in. */
    struct places places = {.at = calloc(2 * (events.count + 2), sizeof(size_t)), .count = 1};
    good = good && (places.at != NULL || finding_say(finding, "no memory"));
    good = good && follow(listing, &events, &places, finding);
    free(places.at);
    free(events.items);
    return good;
}
