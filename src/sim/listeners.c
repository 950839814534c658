/* Listeners: see listeners.h.
 *
 *     read ──► page ──► (rest) ──► read ...      a page may be acknowledged before the next
 *     crash ──► read on from the own cursor, or ask where the engine thinks it is
 *
 * Whoever sent an acknowledgement and never heard of it asks. */
#include "sim/listeners.h"

#include "base/check.h"
#include "host/feed_merge.h"
#include "sim/journal.h"
#include "sim/log_reader.h"
#include "sim/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES   16
#define PATIENT_US   (2 * US_PER_SECOND)
#define HURRY_US     20000
#define RETRY_MS_MAX 1000
#define ACK_ONCE_IN  3
#define HURRIED_PAGE 1000

enum feed_request_kind { REQUEST_PAGE, REQUEST_ACK, REQUEST_WHERE };

struct feed_request {
    enum feed_request_kind kind;
    bool answered;
    struct query query;
    struct proposal proposal;
    struct inspection inspection;
    char name[NAME_BYTES];
};

void listeners_init(struct listeners *listeners,
                    const struct plan *plan,
                    struct choice *choice,
                    const struct journal *journal,
                    struct timer_book *book)
{
    *listeners = (struct listeners){
        .plan = plan, .choice = choice, .journal = journal, .book = book, .life = 1};
}

/* --- asking --- */

static void request_done(struct letter *letter)
{
    struct feed_request *request = letter->user;
    CHECK(!request->answered);
    request->answered = true;
}

static struct feed_request *request_create(enum feed_request_kind kind)
{
    bool side = memory_switch(true);
    struct feed_request *request = calloc(1, sizeof(*request));
    memory_switch(side);
    CHECK(request != NULL);
    request->kind = kind;
    struct letter letter = {.done = request_done, .user = request};
    request->query.letter = letter;
    request->proposal.letter = letter;
    request->inspection.letter = letter;
    return request;
}

static void request_free(struct feed_request *request)
{
    bool side = memory_switch(true);
    query_free(&request->query);
    inspection_free(&request->inspection);
    free(request);
    memory_switch(side);
}

/* NULL: the gateway didn't take it. */
static struct feed_request *go(struct process *process, struct feed_request *request)
{
    struct gateway *gateway = process->gateways[0];
    enum err err = OK;
    bool side = memory_switch(true);
    switch (request->kind) {
    case REQUEST_PAGE:
        err = gateway_query(gateway, &request->query);
        break;
    case REQUEST_ACK:
        err = gateway_propose(gateway, &request->proposal);
        break;
    case REQUEST_WHERE:
        err = gateway_inspect(gateway, &request->inspection);
        break;
    }
    memory_switch(side);
    if (err != OK) {
        request_free(request);
        return NULL;
    }
    return request;
}

struct feed_request *feed_ask(struct process *process, struct feed_place after, uint32_t limit)
{
    struct feed_request *request = request_create(REQUEST_PAGE);
    request->query.kind = QUERY_FEED;
    request->query.feed_place = after;
    request->query.limit = limit;
    request->query.deadline.us = machine_wall_us(process->machine) + PATIENT_US;
    return go(process, request);
}

bool feed_answered(const struct feed_request *request)
{
    return request->answered;
}

static void
name_request(const struct listeners *listeners, const struct listener *who, struct feed_request *r)
{
    (void)snprintf(r->name, sizeof(r->name), "listener-%d", (int)(who - listeners->list));
    r->proposal.name = bytes_of_string(r->name);
    r->inspection.name = bytes_of_string(r->name);
}

static struct feed_request *
acknowledge(struct listeners *listeners, struct listener *listener, struct process *process)
{
    struct feed_request *request = request_create(REQUEST_ACK);
    name_request(listeners, listener, request);
    request->proposal.kind = PROPOSE_CONSUMER;
    request->proposal.feed_place = listener->cursor;
    struct feed_request *sent = go(process, request);
    listener->tried = sent == NULL ? listener->tried : listener->cursor;
    return sent;
}

static struct feed_request *
ask_where(struct listeners *listeners, struct listener *listener, struct process *process)
{
    struct feed_request *request = request_create(REQUEST_WHERE);
    name_request(listeners, listener, request);
    request->inspection.kind = INSPECT_CONSUMERS;
    return go(process, request);
}

/* --- answers --- */

const struct heard_page *feed_take(struct timer_book *book,
                                   const struct journal *journal,
                                   struct feed_request *request,
                                   struct finding *finding)
{
    const struct query *query = &request->query;
    size_t frames = journal->frame_count;
    struct heard_page page = {.after = query->feed_place,
                              .last = true,
                              .at_most = frames == 0 ? 0 : journal->frames[frames - 1].end};
    bool good = true;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        good = good && query->answers[n].err == OK;
        page.last = page.last && query->answers[n].next_place == UINT32_MAX;
    }
    struct heard_page *kept = NULL;
    if (good) {
        struct feed_merge merge;
        struct feed_row row;
        page.forgotten = feed_forgotten(query);
        feed_merge_init(&merge, query);
        page.ordinal = merge.ordinal;
        kept = timer_book_page(book, &page);
        while (kept->count < query->limit && feed_merge_next(&merge, &row)) {
            struct heard_note note;
            if (!heard_note_of(&row, &note)) {
                (void)finding_say(finding, "the feed holds a key that nobody used");
                break;
            }
            timer_book_hear(book, &note);
        }
        kept->last = kept->last && kept->count < query->limit;
    }
    request_free(request);
    return kept;
}

static void rest(struct listeners *listeners, struct listener *listener, int64_t now_us)
{
    uint32_t most = listeners->plan->timers.pause_ms;
    uint32_t ms = listeners->hurried ? 1 : 1 + choose(listeners->choice, CHOICE_TIMERS, most);
    listener->next_at = now_us + (int64_t)ms * 1000;
}

static void take_page(struct listeners *listeners, struct listener *listener)
{
    const struct heard_page *page =
        feed_take(listeners->book, listeners->journal, listener->pending, &listeners->finding);
    if (page == NULL) {
        return;
    }
    listener->at_end = page->last;
    bool late = feed_place_compare(page->forgotten, page->after) > 0;
    listeners->gaps += late;
    if (page->count > 0) {
        bool goes_on = listener->life != 0 && listener->life != listeners->life;
        listeners->pages++;
        listeners->over_lives += goes_on;
        listener->life = listeners->life;
        listener->cursor = listeners->book->notes[page->first + page->count - 1].place;
    } else if (late) {
        listener->cursor = page->forgotten;
    }
}

static bool same_place(struct feed_place a, struct feed_place b)
{
    return feed_place_compare(a, b) == 0;
}

static void take_where(struct listeners *listeners, struct listener *listener)
{
    const struct inspection *inspection = &listener->pending->inspection;
    if (inspection->err != OK) {
        return;
    }
    struct feed_place place = {0};
    if (inspection->consumer_count > 0) {
        place = inspection->consumers[0].place;
    }
    bool unheard = listener->tried.ordinal != 0;
    if (!listener->unsure && !same_place(place, listener->acked) &&
        !(unheard && same_place(place, listener->tried))) {
        (void)finding_say(&listeners->finding,
                          "a listener is remembered at pulse %llu, number %u; it had said %llu, %u",
                          (unsigned long long)place.ordinal,
                          (unsigned)place.number,
                          (unsigned long long)listener->acked.ordinal,
                          (unsigned)listener->acked.number);
    }
    listener->acked = place;
    listener->tried = (struct feed_place){0};
    listener->cursor = place;
    listener->asks_where = false;
    listener->unsure = false;
    listeners->resumed++;
}

static void
take_answer(struct listeners *listeners, struct listener *listener, struct process *process)
{
    struct feed_request *request = listener->pending;
    rest(listeners, listener, process->machine->now_us);
    switch (request->kind) {
    case REQUEST_PAGE:
        take_page(listeners, listener);
        break;
    case REQUEST_ACK:
        if (request->proposal.err == OK) {
            listener->acked = listener->tried;
        }
        listener->tried = (struct feed_place){0};
        request_free(request);
        break;
    case REQUEST_WHERE:
        take_where(listeners, listener);
        request_free(request);
        break;
    }
    listener->pending = NULL;
}

/* --- turns --- */

static struct feed_request *
ask(struct listeners *listeners, struct listener *listener, struct process *process)
{
    if (listener->asks_where) {
        return ask_where(listeners, listener, process);
    }
    bool news = feed_place_compare(listener->cursor, listener->acked) > 0;
    if (news && choose_once_in(listeners->choice, CHOICE_TIMERS, ACK_ONCE_IN)) {
        return acknowledge(listeners, listener, process);
    }
    uint32_t page = listeners->plan->timers.page_max;
    return feed_ask(process, listener->cursor, listeners->hurried ? HURRIED_PAGE : page);
}

static void act(struct listeners *listeners, struct listener *listener, struct process *process)
{
    int64_t now_us = process->machine->now_us;
    if (listener->pending != NULL && listener->pending->answered) {
        take_answer(listeners, listener, process);
    }
    if (listeners->hurried && listener->next_at > now_us + HURRY_US) {
        listener->next_at = now_us + HURRY_US;
    }
    if (listener->pending != NULL || listener->next_at > now_us) {
        return;
    }
    if (process->state != PROCESS_READY || !gateway_ready(process->gateways[0])) {
        listener->next_at = now_us + 100000;
        return;
    }
    listener->pending = ask(listeners, listener, process);
    if (listener->pending == NULL) {
        listener->next_at =
            now_us + (int64_t)(1 + choose(listeners->choice, CHOICE_TIMERS, RETRY_MS_MAX)) * 1000;
    }
}

static bool is_done(const struct listeners *listeners, const struct listener *listener)
{
    return listeners->hurried && listener->at_end && listener->pending == NULL;
}

void listeners_act(struct listeners *listeners, struct process *process)
{
    for (uint32_t n = 0; n < listeners->plan->timers.listener_count; n++) {
        if (!is_done(listeners, &listeners->list[n])) {
            act(listeners, &listeners->list[n], process);
        }
    }
}

int64_t listeners_next(const struct listeners *listeners)
{
    int64_t next = INT64_MAX;
    for (uint32_t n = 0; n < listeners->plan->timers.listener_count; n++) {
        const struct listener *listener = &listeners->list[n];
        bool waits = listener->pending != NULL && !listener->pending->answered;
        if (!waits && !is_done(listeners, listener)) {
            int64_t at = listener->pending != NULL ? 0 : listener->next_at;
            next = at < next ? at : next;
        }
    }
    return next;
}

void listeners_bereaved(struct listeners *listeners, int64_t now_us)
{
    listeners->life++;
    for (uint32_t n = 0; n < listeners->plan->timers.listener_count; n++) {
        struct listener *listener = &listeners->list[n];
        bool unheard = listener->tried.ordinal != 0;
        listener->pending = NULL;
        listener->at_end = false;
        listener->next_at = now_us + 1000;
        listener->asks_where =
            listener->asks_where || unheard || choose(listeners->choice, CHOICE_TIMERS, 2) == 1;
    }
}

void listeners_forget(struct listeners *listeners)
{
    for (uint32_t n = 0; n < PLAN_LISTENERS_MAX; n++) {
        struct listener *listener = &listeners->list[n];
        listener->cursor = (struct feed_place){0};
        listener->acked = (struct feed_place){0};
        listener->tried = (struct feed_place){0};
        listener->unsure = true;
        listener->asks_where = true;
    }
}

bool listeners_content(const struct listeners *listeners)
{
    for (uint32_t n = 0; n < listeners->plan->timers.listener_count; n++) {
        if (!is_done(listeners, &listeners->list[n])) {
            return false;
        }
    }
    return true;
}
