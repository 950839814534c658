/* Slow readers: see readers.h.
 *
 *     RESTS ──choose──► READS: [probe] page, pause, page, pause, ... ──last page──► RESTS
 *                         │  not answered, 429, 503: the same page again
 *                         └─ 404 (the metric is not there), or enough pages: as far as it came
 *
 *  1. A cursor is sent as it was got, with the same parameters; so it is never refused.
 *  2. A reading that is over is kept until the run is judged, unless it was forgotten.
 *  3. A settled reading asks for `final=true` and for windows that start before W - lateness - size
 *     alone, W being what a page told before: those are final, and no others become so. */
#include "sim/readers.h"

#include "base/check.h"
#include "base/text.h"
#include "sim/log_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_MAX    150
#define LIMIT_MAX    200
#define RETRY_MS_MAX 3000
#define HURRY_US     10000
#define TICK_US      US_PER_SECOND

void readers_init(struct readers *readers,
                  const struct plan *plan,
                  struct choice *choice,
                  const struct journal *journal)
{
    *readers = (struct readers){.plan = plan, .choice = choice, .journal = journal};
}

static void drop_reading(struct reading *reading)
{
    free(reading->rows);
    *reading = (struct reading){0};
}

static void drop_listing(struct listing *listing)
{
    free(listing->pages);
    free(listing->events);
    *listing = (struct listing){0};
}

static void rest(struct reader_client *reader)
{
    web_reset(&reader->exchange);
    drop_reading(&reader->reading);
    drop_listing(&reader->listing);
    reader->state = READER_RESTS;
    reader->asked = false;
}

void readers_forget(struct readers *readers)
{
    for (uint32_t n = 0; n < PLAN_READERS_MAX; n++) {
        rest(&readers->list[n]);
    }
    for (size_t n = 0; n < readers->reading_count; n++) {
        drop_reading(&readers->readings[n]);
    }
    for (size_t n = 0; n < readers->listing_count; n++) {
        drop_listing(&readers->listings[n]);
    }
    readers->reading_count = 0;
    readers->listing_count = 0;
}

void readers_free(struct readers *readers)
{
    readers_forget(readers);
}

void readers_bereaved(struct readers *readers)
{
    web_bereaved(&readers->web);
    readers->life++;
    for (uint32_t n = 0; n < PLAN_READERS_MAX; n++) {
        web_reset(&readers->list[n].exchange);
        readers->list[n].asked = false;
    }
}

static uint32_t pick(struct readers *readers, uint32_t end)
{
    return choose(readers->choice, CHOICE_READERS, end);
}

static uint64_t durable_end(const struct readers *readers)
{
    size_t count = readers->journal->frame_count;
    return count == 0 ? 0 : readers->journal->frames[count - 1].end;
}

static void take_time(struct readers *readers, struct reader_client *reader, int64_t now_us)
{
    uint32_t pause_ms =
        choose_magnitude(readers->choice, CHOICE_READERS, 1, readers->plan->reader_pause_ms);
    reader->next_at = now_us + (readers->hurried ? HURRY_US : (int64_t)pause_ms * 1000);
}

/* --- which list, and how --- */

static const struct recipe *recipe_of(const struct readers *readers,
                                      const struct reader_client *reader)
{
    return &readers->plan->recipes[reader->reading.recipe];
}

/* The metric may be dropped, or created anew without what it had counted. */
static bool comes_and_goes(const struct plan *plan, uint32_t recipe)
{
    return plan->commands && plan_droppable(recipe);
}

static void begin_values(struct readers *readers, struct reader_client *reader)
{
    static const char *const orders[] = {"window_start", "-window_start", "n", "-n"};
    const struct plan *plan = readers->plan;
    struct reading *reading = &reader->reading;
    bool settled = pick(readers, 3) > 0;
    reading->recipe = pick(readers, (uint32_t)plan->recipe_count);
    reading->order = (enum page_order)pick(readers, 4);
    reading->flags_hold = !plan->lanes;
    reading->settled = settled && reading->flags_hold && !comes_and_goes(plan, reading->recipe);
    reader->probes = reading->settled;
    (void)snprintf(reader->exchange.path,
                   WEB_PATH_BYTES,
                   "/v1/metrics/%s/values",
                   recipe_of(readers, reader)->name);
    (void)snprintf(reader->filters, sizeof(reader->filters), "order_by=%s", orders[reading->order]);
}

static void begin_events(struct readers *readers, struct reader_client *reader)
{
    struct listing *listing = &reader->listing;
    listing->of_type = pick(readers, 3) == 1;
    listing->type = pick(readers, 3);
    (void)snprintf(reader->exchange.path, WEB_PATH_BYTES, "/v1/events");
    if (listing->of_type) {
        (void)snprintf(
            reader->filters, sizeof(reader->filters), "type=t%u", (unsigned)listing->type);
    }
}

static void begin(struct readers *readers, struct reader_client *reader)
{
    rest(reader);
    reader->state = READER_READS;
    reader->filters[0] = '\0';
    reader->cursor[0] = '\0';
    reader->probes = false;
    reader->lives = 0;
    reader->limit = choose_magnitude(readers->choice, CHOICE_READERS, 1, LIMIT_MAX);
    reader->lists = pick(readers, 3) == 1;
    if (reader->lists) {
        begin_events(readers, reader);
    } else {
        begin_values(readers, reader);
    }
}

/* --- asking --- */

static void ask(struct readers *readers, struct reader_client *reader, struct process *process)
{
    const char *and = reader->filters[0] == '\0' ? "" : "&";
    char query[WEB_QUERY_BYTES];
    (void)snprintf(query,
                   sizeof(query),
                   "limit=%u%s%s%s%s",
                   reader->probes ? 1 : (unsigned)reader->limit,
                   and,
                   reader->filters,
                   reader->cursor[0] == '\0' ? "" : "&cursor=",
                   reader->cursor);
    memcpy(reader->exchange.query, query, sizeof(query));
    reader->durable_end = durable_end(readers);
    reader->asked = web_ask(&readers->web, process, &reader->exchange);
    reader->next_at = process->machine->now_us + TICK_US;
}

/* --- answers --- */

static void complain(struct readers *readers, const struct reader_client *reader, const char *what)
{
    (void)finding_say(&readers->finding,
                      "GET %s?%s: %s: %d %.200s",
                      reader->exchange.path,
                      reader->exchange.query,
                      what,
                      reader->exchange.status,
                      (const char *)reader->exchange.body);
}

static void grow(void **items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count > *capacity) {
        *capacity = 2 * count;
        *items = realloc(*items, *capacity * item_bytes);
        CHECK(*items != NULL);
    }
}

static void end(struct readers *readers, struct reader_client *reader, bool complete)
{
    size_t pages = reader->lists ? reader->listing.page_count : reader->reading.page_count;
    readers->slow += complete && pages >= 2;
    readers->over_lives += complete && pages >= 2 && reader->lives >= 2;
    reader->reading.complete = complete;
    if (reader->lists && pages > 0) {
        CHECK(readers->listing_count < READINGS_MAX + PLAN_READERS_MAX);
        readers->listings[readers->listing_count++] = reader->listing;
        reader->listing = (struct listing){0};
    } else if (pages > 0) {
        CHECK(readers->reading_count < READINGS_MAX + PLAN_READERS_MAX);
        readers->readings[readers->reading_count++] = reader->reading;
        reader->reading = (struct reading){0};
    }
    rest(reader);
}

/* The next page follows, or that was all. */
static void
turn_page(struct readers *readers, struct reader_client *reader, const struct page_head *head)
{
    size_t pages = reader->lists ? reader->listing.page_count : reader->reading.page_count;
    reader->lives += reader->lives == 0 || reader->life != readers->life;
    reader->life = readers->life;
    memcpy(reader->cursor, head->cursor, sizeof(reader->cursor));
    if (head->cursor[0] == '\0' || pages >= PAGES_MAX) {
        end(readers, reader, head->cursor[0] == '\0');
    }
}

static struct bytes body_of(const struct reader_client *reader)
{
    return bytes_of(reader->exchange.body, reader->exchange.body_len);
}

static void take_probe(struct readers *readers, struct reader_client *reader)
{
    struct expected_row row;
    struct page_head head;
    char to[40];
    struct buf text = buf_of((uint8_t *)to, sizeof(to) - 1);
    const struct recipe *recipe = recipe_of(readers, reader);
    if (!page_read_values(body_of(reader), &head, &row, 1)) {
        complain(readers, reader, "not a page of values");
        return;
    }
    if (!head.has_watermark) {
        rest(reader);
        return;
    }
    reader->probes = false;
    reader->reading.to = head.watermark - recipe->lateness_us - recipe->window_us;
    timestamp_put(&text, reader->reading.to);
    to[text.len] = '\0';
    size_t len = strlen(reader->filters);
    (void)snprintf(reader->filters + len, sizeof(reader->filters) - len, "&final=true&to=%s", to);
}

static void take_values(struct readers *readers, struct reader_client *reader)
{
    struct reading *reading = &reader->reading;
    struct page_head head;
    void *rows = reading->rows;
    grow(&rows, &reading->row_capacity, reading->row_count + reader->limit, sizeof(*reading->rows));
    reading->rows = rows;
    struct expected_row *page = reading->rows + reading->row_count;
    if (!page_read_values(body_of(reader), &head, page, reader->limit)) {
        complain(readers, reader, "not a page of so many values");
        return;
    }
    if (head.cursor[0] != '\0' && head.item_count < reader->limit) {
        complain(readers, reader, "a page before the last is full");
    }
    (void)oracle_page_holds(reading, page, head.item_count, &readers->finding);
    reading->row_count += head.item_count;
    reading->page_count++;
    turn_page(readers, reader, &head);
}

static uint64_t oldest_kept(struct process *process)
{
    struct log_status status;
    struct log_port log = log_file_port(process->log);
    log.ops->status(log.ctx, &status);
    return status.oldest;
}

static void
take_events(struct readers *readers, struct reader_client *reader, struct process *process)
{
    struct listing *listing = &reader->listing;
    struct page_head head;
    void *events = listing->events;
    void *pages = listing->pages;
    grow(&events,
         &listing->event_capacity,
         listing->event_count + reader->limit,
         sizeof(*listing->events));
    grow(&pages, &listing->page_capacity, listing->page_count + 1, sizeof(*listing->pages));
    listing->events = events;
    listing->pages = pages;
    struct page_event *page = listing->events + listing->event_count;
    if (!page_read_events(body_of(reader), &head, page, reader->limit)) {
        complain(readers, reader, "not a page of so many events");
        return;
    }
    listing->event_count += head.item_count;
    listing->pages[listing->page_count++] = (struct listed_page){.oldest = oldest_kept(process),
                                                                 .durable_end = reader->durable_end,
                                                                 .event_count = head.item_count,
                                                                 .last = head.cursor[0] == '\0'};
    turn_page(readers, reader, &head);
}

/* There is no such metric: not yet, or not any more. */
static void take_absence(struct readers *readers, struct reader_client *reader)
{
    if (reader->lists || (reader->reading.page_count > 0 &&
                          !comes_and_goes(readers->plan, reader->reading.recipe))) {
        complain(readers, reader, "what was read is gone");
    }
    end(readers, reader, false);
}

static void
take_answer(struct readers *readers, struct reader_client *reader, struct process *process)
{
    int64_t now_us = process->machine->now_us;
    reader->asked = false;
    take_time(readers, reader, now_us);
    switch (reader->exchange.status) {
    case 200:
        if (reader->lists) {
            take_events(readers, reader, process);
        } else if (reader->probes) {
            take_probe(readers, reader);
        } else {
            take_values(readers, reader);
        }
        break;
    case 404:
        take_absence(readers, reader);
        break;
    case 429:
    case 503:
        reader->next_at = now_us + (int64_t)(1 + pick(readers, RETRY_MS_MAX)) * 1000;
        break;
    default:
        complain(readers, reader, "no documented answer");
        break;
    }
}

/* --- turns --- */

static bool may_begin(const struct readers *readers)
{
    return !readers->hurried && readers->reading_count < READINGS_MAX &&
           readers->listing_count < READINGS_MAX;
}

static void act(struct readers *readers, struct reader_client *reader, struct process *process)
{
    int64_t now_us = process->machine->now_us;
    if (reader->asked && !reader->exchange.open) {
        take_answer(readers, reader, process);
    }
    if (readers->hurried && reader->next_at > now_us + HURRY_US) {
        reader->next_at = now_us + HURRY_US;
    }
    if (reader->next_at > now_us) {
        return;
    }
    if (reader->asked) { /* patiently */
        web_tick(&readers->web);
        reader->next_at = now_us + TICK_US;
        return;
    }
    if (reader->state == READER_RESTS && may_begin(readers)) {
        begin(readers, reader);
        take_time(readers, reader, now_us);
    } else if (reader->state == READER_READS) {
        ask(readers, reader, process);
    }
}

void readers_act(struct readers *readers, struct process *process)
{
    for (uint32_t n = 0; n < readers->plan->reader_count; n++) {
        act(readers, &readers->list[n], process);
    }
}

int64_t readers_next(const struct readers *readers)
{
    int64_t next = INT64_MAX;
    for (uint32_t n = 0; n < readers->plan->reader_count; n++) {
        const struct reader_client *reader = &readers->list[n];
        bool idle = reader->state == READER_RESTS && !may_begin(readers);
        bool heard = reader->asked && !reader->exchange.open;
        int64_t at = heard ? 0 : reader->next_at;
        next = !idle && at < next ? at : next;
    }
    return next;
}

bool readers_content(const struct readers *readers)
{
    for (uint32_t n = 0; n < readers->plan->reader_count; n++) {
        if (readers->list[n].state != READER_RESTS) {
            return false;
        }
    }
    return true;
}

/* --- judgement --- */

bool readers_judge_values(const struct readers *readers,
                          uint32_t recipe,
                          const struct expected_metric *expected,
                          struct finding *finding)
{
    bool good = true;
    for (size_t n = 0; good && n < readers->reading_count; n++) {
        const struct reading *reading = &readers->readings[n];
        bool known = reading->recipe == recipe && !comes_and_goes(readers->plan, recipe);
        good = !known || oracle_reading_holds(reading, expected, finding);
    }
    return good;
}

bool readers_judge_listings(const struct readers *readers,
                            const struct history *history,
                            struct finding *finding)
{
    bool good = true;
    for (size_t n = 0; good && n < readers->listing_count; n++) {
        good = oracle_listing_holds(history, &readers->listings[n], finding);
    }
    return good;
}
