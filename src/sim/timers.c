#include "sim/timers.h"

#include "base/check.h"
#include "base/hash.h"
#include "host/timeout_rows.h"
#include "sim/journal.h"
#include "sim/log_reader.h"
#include "sim/memory.h"
#include "sim/told_lanes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_BYTES   160
#define TEXT_BYTES      16
#define DATA_BYTES      24
#define BACK_OFF_MAX_MS 2000
#define LOOK_PATIENT_US (2 * US_PER_SECOND)
#define BATCH_MAX       300

#define WATERMARKS_AHEAD 50

/* Under way: in the process's memory, as the API would keep it. */
struct timer_request {
    struct proposal proposal;
    struct query query;
    bool answered;
    uint32_t key; /* looked at */
    uint64_t at_least;
    char text[TEXT_BYTES];
    struct timeout_result *results; /* behind the record */
    uint8_t record[];
};

static uint32_t pick(struct timers *timers, uint32_t end)
{
    return choose(timers->choice, CHOICE_TIMERS, end);
}

static bool once_in(struct timers *timers, uint32_t times)
{
    return choose_once_in(timers->choice, CHOICE_TIMERS, times);
}

static int64_t magnitude(struct timers *timers, uint32_t low, uint32_t high)
{
    return choose_magnitude(timers->choice, CHOICE_TIMERS, low, high);
}

/* --- keys --- */

static uint32_t partition_of(const struct plan *plan, uint32_t number)
{
    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "t%u", number);
    uint64_t hash = timeout_hash(bytes_of_string(text), plan->process.hash_seed);
    return timeout_partition(hash, plan->process.partitions);
}

bool timers_init(struct timers *timers,
                 const struct plan *plan,
                 struct choice *choice,
                 const struct journal *journal)
{
    *timers = (struct timers){.plan = plan, .choice = choice, .journal = journal};
    uint32_t count = plan->timers.client_count == 0 ? 0 : plan->timers.key_count;
    timers->keys = calloc(count + 1, sizeof(*timers->keys));
    if (timers->keys == NULL) {
        return false;
    }
    for (uint32_t n = 0; n < count; n++) {
        while (plan->timers.crowd && partition_of(plan, timers->key_end) != 0) {
            timers->key_end++;
        }
        timers->keys[n] = timers->key_end++;
    }
    timers->known = calloc(timers->key_end + 1, sizeof(*timers->known));
    return timers->known != NULL;
}

void timers_free(struct timers *timers)
{
    timer_book_free(&timers->book);
    free(timers->keys);
    free(timers->known);
    timers->keys = NULL;
    timers->known = NULL;
}

static uint32_t draw_key(struct timers *timers)
{
    uint32_t count = timers->plan->timers.key_count;
    uint32_t hot = count < 8 ? count : 8;
    bool is_hot = !timers->plan->timers.crowd && pick(timers, 3) == 0;
    return timers->keys[pick(timers, is_hot ? hot : count)];
}

/* --- commands --- */

/* Soon, later, or much later. */
static int64_t draw_span(struct timers *timers)
{
    switch (pick(timers, 8)) {
    case 0:
    case 1:
        return magnitude(timers, 1, 5000) * 1000;
    case 2:
        return magnitude(timers, 1, 200) * US_PER_DAY;
    case 3:
        return magnitude(timers, 1, 30) * US_PER_HOUR;
    default:
        return magnitude(timers, 1, 3600) * US_PER_SECOND;
    }
}

static int64_t to_grain(const struct timers *timers, int64_t time)
{
    int64_t grain = timers->plan->timers.grain_us;
    return (time / grain + (timers->plan->timers.crowd ? 1 : 0)) * grain;
}

/* Where the watermark will stand when one of the next events has come, if nobody is slower. */
static int64_t draw_watermark(struct timers *timers, int64_t wall_us)
{
    const struct plan *plan = timers->plan;
    int64_t due_us = wall_us - MACHINE_EPOCH_US;
    size_t first = 0;
    while (first + 1 < plan->event_count && plan->due_us[first] <= due_us) {
        first++;
    }
    size_t left = plan->event_count - first;
    size_t ahead = pick(timers, left < WATERMARKS_AHEAD ? (uint32_t)left : WATERMARKS_AHEAD);
    return plan->events[first + ahead].time.us - DISORDER_DEFAULT_US;
}

static void draw_create(struct timers *timers, int64_t wall_us, struct timeout_command *command)
{
    bool crowd = timers->plan->timers.crowd;
    bool by_events = timers->plan->timers.by_events && pick(timers, crowd ? 4 : 2) == 1;
    command->clock = by_events ? TIMEOUT_BY_EVENTS : TIMEOUT_BY_PROCESSING;
    command->has_deadline = pick(timers, 3) == 1 || crowd;
    if (command->has_deadline) {
        int64_t ahead = pick(timers, 4) == 1 && !crowd ? -magnitude(timers, 1, 3600) * US_PER_SECOND
                                                       : draw_span(timers);
        command->deadline = to_grain(timers, wall_us + (crowd ? 0 : ahead));
        if (by_events && !crowd && pick(timers, 3) == 1) {
            command->deadline = draw_watermark(timers, wall_us);
        }
    } else {
        command->within_us = draw_span(timers);
    }
    uint32_t on_exists = crowd ? 4 : pick(timers, 5);
    command->on_exists = on_exists < 3    ? TIMEOUT_REJECT
                         : on_exists == 3 ? TIMEOUT_RETURN
                                          : TIMEOUT_REPLACE;
    if (pick(timers, 4) == 1) {
        static char texts[BATCH_MAX][DATA_BYTES];
        static uint32_t at;
        at = (at + 1) % BATCH_MAX;
        (void)snprintf(texts[at], DATA_BYTES, "{\"n\":%u}", pick(timers, 1000));
        command->data = bytes_of_string(texts[at]);
    }
}

/* What was read before, or a guess. */
static void draw_condition(struct timers *timers, uint32_t key, struct timeout_command *command)
{
    const struct known_timer *known = &timers->known[key];
    bool guess = pick(timers, 4) == 1;
    if (command->op != TIMEOUT_CREATE && pick(timers, 6) == 1) {
        command->generation =
            guess || known->generation == 0 ? 1 + pick(timers, 3) : known->generation;
    }
    if (pick(timers, 8) == 1) {
        command->has_version = true;
        command->version = guess ? pick(timers, 6) : known->version;
    }
}

static void
draw_command(struct timers *timers, int64_t wall_us, uint32_t key, struct timeout_command *command)
{
    uint32_t what = pick(timers, 12);
    command->op = what < 6    ? TIMEOUT_CREATE
                  : what < 8  ? TIMEOUT_COMPLETE
                  : what == 8 ? TIMEOUT_CANCEL
                              : TIMEOUT_HEARTBEAT;
    command->op = timers->plan->timers.crowd && what < 10 ? TIMEOUT_CREATE : command->op;
    if (command->op == TIMEOUT_CREATE) {
        draw_create(timers, wall_us, command);
    } else if (command->op == TIMEOUT_HEARTBEAT && pick(timers, 2) == 1) {
        command->within_us = draw_span(timers);
    }
    if (pick(timers, 3) == 1) {
        command->has_event_time = true;
        command->event_time.us = wall_us - ((int64_t)pick(timers, 120) - 20) * US_PER_SECOND;
    }
    draw_condition(timers, key, command);
}

/* Draws a batch and writes it into the book. */
static size_t draw_batch(struct timers *timers, const struct process *process)
{
    static uint8_t memory[BATCH_MAX * COMMAND_BYTES];
    const struct timer_plan *plan = &timers->plan->timers;
    int64_t wall_us = machine_wall_us(process->machine);
    uint32_t least = plan->crowd ? plan->batch_max / 2 : 1;
    bool one = least == 1 && pick(timers, 3) == 0;
    uint32_t count = one ? 1 : least + pick(timers, plan->batch_max - least + 1);
    bool pings = !one && !plan->crowd && pick(timers, 4) == 1;
    struct buf out = buf_of(memory, sizeof(memory));
    size_t start = timeouts_begin(&out, count);
    for (uint32_t n = 0; n < count; n++) {
        char text[TEXT_BYTES];
        uint32_t key = draw_key(timers);
        (void)snprintf(text, sizeof(text), "t%u", key);
        struct timeout_command command = {.op = TIMEOUT_HEARTBEAT, .key = bytes_of_string(text)};
        if (!pings) {
            draw_command(timers, wall_us, key, &command);
        }
        timeout_command_put(&out, &command, partition_of(timers->plan, key));
    }
    record_end(&out, start);
    CHECK(!out.overflow);
    return timer_book_ask(&timers->book, buf_bytes(&out), count);
}

/* --- sending --- */

static void answered(struct letter *letter)
{
    struct timer_request *request = letter->user;
    CHECK(!request->answered);
    request->answered = true;
}

static struct timer_request *make_request(size_t record_bytes, uint32_t count)
{
    size_t results = (record_bytes + 15) / 16 * 16;
    memory_switch(true);
    struct timer_request *request =
        calloc(1, sizeof(*request) + results + 16 + count * sizeof(struct timeout_result));
    memory_switch(false);
    CHECK(request != NULL);
    uintptr_t behind = (uintptr_t)request->record + results;
    request->results = (struct timeout_result *)((behind + 15) / 16 * 16);
    return request;
}

static struct gateway *gateway_for(struct timers *timers, struct process *process)
{
    return process->gateways[pick(timers, timers->plan->process.gateways)];
}

static void
send_commands(struct timers *timers, struct timer_client *client, struct process *process)
{
    struct bytes record = timer_book_record(&timers->book, client->asking);
    uint32_t count = timers->book.askings[client->asking].count;
    struct gateway *gateway = gateway_for(timers, process);
    struct timer_request *request = make_request(record.len, count);
    memcpy(request->record, record.data, record.len);
    request->proposal = (struct proposal){
        .letter = {.done = answered, .user = request},
        .kind = PROPOSE_TIMEOUTS,
        .records = bytes_of(request->record, record.len),
        .event_count = count,
        .results = request->results,
    };
    memory_switch(true);
    enum err err = gateway_propose(gateway, &request->proposal);
    memory_switch(false);
    if (err != OK) {
        request->proposal.err = err;
        request->answered = true;
    }
    client->looks = false;
    client->pending = request;
}

static void look(struct timers *timers, struct timer_client *client, struct process *process)
{
    struct gateway *gateway = gateway_for(timers, process);
    struct timer_request *request = make_request(0, 0);
    request->key = draw_key(timers);
    uint64_t behind = timers->known[request->key].behind;
    request->at_least = behind == 0 ? 0 : behind + 1;
    (void)snprintf(request->text, TEXT_BYTES, "t%u", request->key);
    request->query = (struct query){
        .letter = {.done = answered, .user = request},
        .kind = QUERY_TIMEOUT,
        .key = bytes_of_string(request->text),
        .deadline = {machine_wall_us(process->machine) + LOOK_PATIENT_US},
    };
    memory_switch(true);
    enum err err = gateway_query(gateway, &request->query);
    memory_switch(false);
    if (err != OK) {
        request->query.runner_count = 1;
        request->query.answers[0].err = err;
        request->answered = true;
    }
    client->looks = true;
    client->pending = request;
}

/* --- answers --- */

static void know(struct timers *timers, uint32_t key, const struct timeout_object *object)
{
    struct known_timer *known = &timers->known[key];
    if (object->decided_at >= known->behind) {
        known->generation = object->generation;
        known->version = object->version;
        known->behind = object->decided_at;
    }
}

static void know_results(struct timers *timers, size_t asking, const struct timeout_result *results)
{
    struct timeouts_reader reader;
    CHECK(timeouts_open(timers->book.askings[asking].body, &reader));
    while (timeouts_next(&reader)) {
        struct timeout_command command;
        uint32_t key = 0;
        CHECK(timeout_command_read(&reader, &command));
        CHECK(text_number(command.key, 't', &key));
        if (results[reader.index].object.state != TIMEOUT_ABSENT) {
            know(timers, key, &results[reader.index].object);
        }
    }
}

static void take_sight(struct timers *timers, struct timer_request *request)
{
    const struct plan *plan = timers->plan;
    const struct query *query = &request->query;
    uint32_t owner = partition_of(plan, request->key) % query->runner_count;
    struct sight sight = {.key = request->key, .at_least = request->at_least};
    size_t frames = timers->journal->frame_count;
    sight.at_most = frames == 0 ? 0 : timers->journal->frames[frames - 1].end;
    uint32_t rows_seen = 0;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        const struct query_answer *answer = &query->answers[n];
        struct reader rows = reader_of(buf_bytes(&answer->rows));
        struct timeout_row row;
        if (answer->err != OK) {
            return;
        }
        if (n == owner && answer->as_of > sight.at_least) {
            sight.at_least = answer->as_of;
        }
        while (timeout_row_next(&rows, &row)) {
            sight.object = row.object;
            sight.data_digest = hash64(row.data, 0);
            rows_seen++;
        }
    }
    if (rows_seen > 1) {
        (void)finding_say(&timers->finding, "t%u was shown twice", request->key);
    }
    if (sight.object.state != TIMEOUT_ABSENT) {
        know(timers, sight.key, &sight.object);
    }
    timer_book_see(&timers->book, &sight);
    timers->looks++;
}

static int64_t rest_us(struct timers *timers)
{
    uint32_t mean_ms = timers->plan->timers.every_ms;
    return (int64_t)(2 * mean_ms - pick(timers, 2 * mean_ms)) * 1000;
}

static void take_answer(struct timers *timers, struct timer_client *client, int64_t now_us)
{
    struct timer_request *request = client->pending;
    client->next_at = now_us + rest_us(timers);
    if (client->looks) {
        take_sight(timers, request);
    } else if (request->proposal.err == OK) {
        timer_book_acked(&timers->book, client->asking, request->proposal.as_of, request->results);
        know_results(timers, client->asking, request->results);
    } else {
        timer_book_refused(&timers->book, client->asking);
        client->owes = true;
        client->next_at = now_us + (int64_t)(1 + pick(timers, BACK_OFF_MAX_MS)) * 1000;
    }
    memory_switch(true);
    query_free(&request->query);
    free(request);
    memory_switch(false);
    client->pending = NULL;
}

/* Nothing was heard: what was asked is asked again. The request stays with the process. */
static void give_up(struct timer_client *client)
{
    client->owes = client->owes || !client->looks;
    client->pending = NULL;
}

/* --- turns --- */

/* The same commands once more, in a sending of their own. */
static size_t again(struct timers *timers, size_t asking)
{
    struct bytes record = timer_book_record(&timers->book, asking);
    return timer_book_ask(&timers->book, record, timers->book.askings[asking].count);
}

static void begin(struct timers *timers, struct timer_client *client, struct process *process)
{
    const struct timer_plan *plan = &timers->plan->timers;
    size_t askings = timers->book.asking_count;
    if (client->owes) {
        client->owes = false;
        client->asking = again(timers, client->asking);
    } else if (pick(timers, 4) == 1) {
        look(timers, client, process);
        return;
    } else if (askings > 0 && once_in(timers, plan->repeat_once_in)) {
        size_t recent = askings < 20 ? askings : 20;
        client->asking = again(timers, askings - 1 - pick(timers, (uint32_t)recent));
    } else {
        client->asking = draw_batch(timers, process);
    }
    send_commands(timers, client, process);
}

static void act(struct timers *timers, struct timer_client *client, struct process *process)
{
    int64_t now_us = process->machine->now_us;
    if (client->pending != NULL && client->pending->answered) {
        take_answer(timers, client, now_us);
    }
    if (client->pending != NULL) {
        if (now_us < client->patience_ends || timers->hurried) {
            client->next_at = timers->hurried ? INT64_MAX : client->patience_ends;
            return;
        }
        give_up(client);
        client->next_at = now_us;
    }
    if (timers->hurried && !client->owes) {
        client->next_at = INT64_MAX;
        return;
    }
    if (client->next_at > now_us) {
        return;
    }
    if (process->state != PROCESS_READY || !gateway_ready(process->gateways[0])) {
        client->next_at = now_us + 100000;
        return;
    }
    begin(timers, client, process);
    client->patience_ends = now_us + (int64_t)timers->plan->impatience_ms * 1000;
    client->next_at = client->patience_ends;
}

void timers_act(struct timers *timers, struct process *process)
{
    for (uint32_t n = 0; n < timers->plan->timers.client_count; n++) {
        act(timers, &timers->list[n], process);
    }
}

int64_t timers_next(const struct timers *timers)
{
    int64_t next = INT64_MAX;
    for (uint32_t n = 0; n < timers->plan->timers.client_count; n++) {
        const struct timer_client *client = &timers->list[n];
        bool heard = client->pending != NULL && client->pending->answered;
        int64_t at = heard ? 0 : client->next_at;
        next = at < next ? at : next;
    }
    return next;
}

void timers_bereaved(struct timers *timers, int64_t now_us)
{
    for (uint32_t n = 0; n < timers->plan->timers.client_count; n++) {
        struct timer_client *client = &timers->list[n];
        if (client->pending != NULL) {
            give_up(client);
        }
        client->next_at = now_us + 1000;
    }
}

void timers_forgive(struct timers *timers, uint64_t end)
{
    timer_book_forgive(&timers->book, end);
    memset(timers->known, 0, timers->key_end * sizeof(*timers->known));
}

bool timers_content(const struct timers *timers)
{
    for (uint32_t n = 0; n < timers->plan->timers.client_count; n++) {
        if (timers->list[n].pending != NULL || timers->list[n].owes) {
            return false;
        }
    }
    return true;
}
