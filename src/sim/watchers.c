#include "sim/watchers.h"

#include "base/check.h"
#include "host/timeout_rows.h"
#include "sim/journal.h"
#include "sim/log_reader.h"
#include "sim/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES 16
#define PATIENT_US (2 * US_PER_SECOND)
#define RECENT     40

struct watch_request {
    struct query query;
    bool answered;
    struct watch_sight sight;
    char rule[TEXT_BYTES];
    char key[TEXT_BYTES];
};

void watcher_init(struct watcher *watcher,
                  const struct plan *plan,
                  struct choice *choice,
                  const struct journal *journal,
                  struct timer_book *book)
{
    *watcher = (struct watcher){.plan = plan, .choice = choice, .journal = journal, .book = book};
}

static uint32_t pick(struct watcher *watcher, uint32_t end)
{
    return choose(watcher->choice, CHOICE_RULES, end);
}

static uint64_t log_end(const struct watcher *watcher)
{
    size_t frames = watcher->journal->frame_count;
    return frames == 0 ? 0 : watcher->journal->frames[frames - 1].end;
}

/* One of the events that were to be sent last. */
static const struct planned_event *recent_event(struct watcher *watcher, int64_t now_us)
{
    const struct plan *plan = watcher->plan;
    size_t low = 0;
    size_t high = plan->event_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (plan->due_us[middle] <= now_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t back = pick(watcher, RECENT);
    return &plan->events[low > back ? low - 1 - back : 0];
}

static void answered(struct letter *letter)
{
    struct watch_request *request = letter->user;
    CHECK(!request->answered);
    request->answered = true;
}

static void request_free(struct watch_request *request)
{
    memory_switch(true);
    query_free(&request->query);
    free(request);
    memory_switch(false);
}

static void look(struct watcher *watcher, struct process *process)
{
    const struct plan *plan = watcher->plan;
    uint32_t rule = pick(watcher, plan->rule_count);
    const struct planned_event *event = recent_event(watcher, process->machine->now_us);
    bool silence = plan->rules[rule].silence;
    uint64_t as_of = pick(watcher, 2) == 1 ? log_end(watcher) : 0;
    memory_switch(true);
    struct watch_request *request = calloc(1, sizeof(*request));
    memory_switch(false);
    CHECK(request != NULL);
    request->sight =
        (struct watch_sight){.rule = rule, .key = silence ? event->source : event->subject};
    (void)snprintf(request->rule, TEXT_BYTES, "r%u", rule);
    (void)snprintf(request->key, TEXT_BYTES, silence ? "s%u" : "k%u", request->sight.key);
    request->query = (struct query){
        .letter = {.done = answered, .user = request},
        .kind = QUERY_WATCH,
        .metric = bytes_of_string(request->rule),
        .key = bytes_of_string(request->key),
        .min_as_of = as_of,
        .deadline = {machine_wall_us(process->machine) + PATIENT_US},
    };
    struct gateway *gateway = process->gateways[pick(watcher, plan->process.gateways)];
    memory_switch(true);
    enum err err = gateway_query(gateway, &request->query);
    memory_switch(false);
    if (err != OK) {
        request_free(request);
        return;
    }
    watcher->pending = request;
    watcher->patience_ends = process->machine->now_us + 2 * PATIENT_US;
}

static void take_answer(struct watcher *watcher, struct watch_request *request)
{
    const struct query *query = &request->query;
    struct watch_sight sight = request->sight;
    sight.at_most = log_end(watcher);
    sight.at_least = UINT64_MAX;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        const struct query_answer *answer = &query->answers[n];
        if (answer->err != OK) {
            return;
        }
        sight.at_least = answer->as_of < sight.at_least ? answer->as_of : sight.at_least;
    }
    timer_book_watch(watcher->book, &sight);
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[n].rows));
        struct timeout_row row;
        while (timeout_row_next(&rows, &row)) {
            if (!timer_book_watched(watcher->book, &row)) {
                (void)finding_say(&watcher->finding, "an instance has a key that nobody used");
            }
        }
    }
    watcher->looks++;
}

void watcher_act(struct watcher *watcher, struct process *process)
{
    int64_t now_us = process->machine->now_us;
    if (watcher->pending != NULL && watcher->pending->answered) {
        take_answer(watcher, watcher->pending);
        request_free(watcher->pending);
        watcher->pending = NULL;
    }
    bool waits = watcher->pending != NULL && now_us < watcher->patience_ends;
    if (!watcher->plan->rules_looked_at || watcher->hurried || waits || now_us < watcher->next_at) {
        return;
    }
    watcher->pending = NULL; /* given up: it stays with the process */
    uint32_t mean_ms = watcher->plan->rules_look_ms;
    watcher->next_at = now_us + (int64_t)(2 * mean_ms - pick(watcher, 2 * mean_ms)) * 1000;
    if (process->state == PROCESS_READY && gateway_ready(process->gateways[0])) {
        look(watcher, process);
    }
}

int64_t watcher_next(const struct watcher *watcher)
{
    bool idle = !watcher->plan->rules_looked_at || watcher->hurried;
    bool heard = watcher->pending != NULL && watcher->pending->answered;
    return heard ? 0 : idle ? INT64_MAX : watcher->next_at;
}

void watcher_bereaved(struct watcher *watcher)
{
    watcher->pending = NULL;
}
