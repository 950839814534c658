/* The naive timeouts: see timer_model.h.
 *
 *     create      nothing there: pending, generation 1; a tombstone: completed; pending with the same
 *                 parameters: unchanged; else as on_exists says
 *     complete,   pending: ends; ended so: unchanged; ended otherwise: refused; nothing there: a
 *     cancel      tombstone
 *     heartbeat   pending: a new deadline; else refused
 *
 * What a deadline counts from: the event's time if the command tells one and the timeout goes by
 * events, else the clock that the log gave the command. A heartbeat that does not say how far asks for
 * as much as the create did. By events, one that tells an older event than was told already changes no
 * deadline: the newest counts, whatever the order in which they came. */
#include "sim/timer_model.h"

#include "base/check.h"
#include "base/hash.h"
#include "core/timeouts.h"

#include <stdlib.h>
#include <string.h>

#define OVERDUE_US US_PER_SECOND

static void *grown(void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return list;
    }
    *capacity = *capacity == 0 ? 64 : 2 * *capacity;
    void *more = realloc(list, *capacity * size);
    CHECK(more != NULL);
    return more;
}

/* --- the sorted lists --- */

/* The first entry that is due later. */
size_t pending_place(const struct pending_list *list, int64_t deadline)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->entries[middle].deadline <= deadline) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void list_add(struct pending_list *list, int64_t deadline, uint32_t key)
{
    list->entries = grown(list->entries, list->count, &list->capacity, sizeof(*list->entries));
    size_t at = pending_place(list, deadline);
    memmove(
        list->entries + at + 1, list->entries + at, (list->count - at) * sizeof(*list->entries));
    list->entries[at] = (struct pending_entry){.deadline = deadline, .key = key};
    list->count++;
}

static void list_remove(struct pending_list *list, int64_t deadline, uint32_t key)
{
    size_t at = pending_place(list, deadline);
    CHECK(at > 0);
    do {
        at--;
    } while (list->entries[at].key != key && at > 0);
    CHECK(list->entries[at].key == key && list->entries[at].deadline == deadline);
    list->count--;
    memmove(
        list->entries + at, list->entries + at + 1, (list->count - at) * sizeof(*list->entries));
}

/* --- what is there --- */

static void note_change(struct timer_model *model, uint32_t key)
{
    struct expected_timer *timer = &model->expected->timers[key];
    const struct live_timer *live = &model->live[key];
    timer->changes = grown(
        timer->changes, timer->change_count, &timer->change_capacity, sizeof(*timer->changes));
    timer->changes[timer->change_count++] = (struct expected_change){
        .position = model->position, .object = live->object, .data_digest = hash64(live->data, 0)};
}

static bool is_ended(enum timeout_state state)
{
    return state != TIMEOUT_ABSENT && state != TIMEOUT_PENDING;
}

static void forget_oldest(struct timer_model *model, struct shelf *shelf)
{
    struct ended_entry entry = shelf->queue[shelf->first++];
    struct live_timer *live = &model->live[entry.key];
    if (live->turn != entry.turn || !is_ended(live->object.state)) {
        return; /* it is there again */
    }
    live->object = (struct timeout_object){0};
    live->data = bytes_of(NULL, 0);
    shelf->ended--;
    model->expected->counts.forgotten++;
    note_change(model, entry.key);
}

static void shelve(struct timer_model *model, uint32_t key)
{
    struct live_timer *live = &model->live[key];
    struct shelf *shelf = &model->shelves[live->partition];
    shelf->queue = grown(shelf->queue, shelf->count, &shelf->capacity, sizeof(*shelf->queue));
    live->turn = ++model->turns;
    shelf->queue[shelf->count++] = (struct ended_entry){live->turn, key};
    shelf->ended++;
    note_change(model, key);
    while (shelf->ended > model->history->timers_ended) {
        forget_oldest(model, shelf);
    }
}

/* What was pending or new is ended now. */
static void end(struct timer_model *model, uint32_t key, enum timeout_state state)
{
    struct live_timer *live = &model->live[key];
    if (live->object.state == TIMEOUT_PENDING) {
        list_remove(&model->lists[live->object.clock], live->object.deadline, key);
        model->shelves[live->partition].pending--;
    } else if (is_ended(live->object.state)) {
        model->shelves[live->partition].ended--; /* a tombstone that was met */
    }
    live->object.state = state;
    live->object.version++;
    live->object.ended = model->clock;
    live->object.decided_at = model->position;
    shelve(model, key);
}

void timer_model_expire(struct timer_model *model)
{
    for (uint32_t n = 0; n < model->history->partitions; n++) {
        struct shelf *shelf = &model->shelves[n];
        while (shelf->first < shelf->count) {
            struct ended_entry entry = shelf->queue[shelf->first];
            const struct live_timer *live = &model->live[entry.key];
            bool stale = live->turn != entry.turn || !is_ended(live->object.state);
            if (!stale && model->clock.us - live->object.ended.us < TIMEOUTS_ENDED_US) {
                break;
            }
            forget_oldest(model, shelf);
        }
    }
}

/* --- commands --- */

static int64_t sum(int64_t time, int64_t more)
{
    int64_t result = 0;
    if (__builtin_add_overflow(time, more, &result)) {
        return more > 0 ? INT64_MAX : INT64_MIN;
    }
    return result;
}

/* The moment of a command, as the timeout's clock tells it. */
static int64_t moment_of(const struct timer_model *model,
                         const struct timeout_command *command,
                         enum timeout_clock clock)
{
    bool told = clock == TIMEOUT_BY_EVENTS && command->has_event_time;
    return told ? command->event_time.us : model->clock.us;
}

bool timer_model_holds(const struct timer_model *model, const struct timeout_object *object)
{
    return object->state == TIMEOUT_PENDING && object->clock == TIMEOUT_BY_EVENTS && model->hold &&
           object->deadline <= model->clock.us;
}

static bool same_create(const struct live_timer *live, const struct timeout_command *command)
{
    const struct timeout_object *object = &live->object;
    return live->has_deadline == command->has_deadline &&
           (command->has_deadline ? live->given_deadline == command->deadline
                                  : object->within_us == command->within_us) &&
           object->clock == command->clock && object->has_event_time == command->has_event_time &&
           (!command->has_event_time || object->event_time.us == command->event_time.us) &&
           bytes_equal(live->data, command->data);
}

static enum timeout_outcome
arm(struct timer_model *model, uint32_t key, const struct timeout_command *command)
{
    struct live_timer *live = &model->live[key];
    struct shelf *shelf = &model->shelves[live->partition];
    enum timeout_state before = live->object.state;
    if (before != TIMEOUT_PENDING && before != TIMEOUT_COMPLETED_EARLY &&
        shelf->pending >= model->history->timers_pending) {
        model->expected->counts.no_room++;
        return TIMEOUT_NO_ROOM;
    }
    int64_t moment = moment_of(model, command, command->clock);
    int64_t deadline = command->has_deadline ? command->deadline : sum(moment, command->within_us);
    bool past = command->clock == TIMEOUT_BY_PROCESSING
                    ? deadline <= model->clock.us
                    : model->stamped == WATERMARK_FINAL || model->stamped > deadline;
    if (before == TIMEOUT_PENDING) {
        list_remove(&model->lists[live->object.clock], live->object.deadline, key);
        shelf->pending--;
    } else if (is_ended(before) && before != TIMEOUT_COMPLETED_EARLY) {
        shelf->ended--;
    }
    bool early = before == TIMEOUT_COMPLETED_EARLY;
    live->has_deadline = command->has_deadline;
    live->given_deadline = command->deadline;
    live->moment = moment;
    live->latest_event = command->has_event_time ? command->event_time.us : INT64_MIN;
    live->data = command->data;
    live->object = (struct timeout_object){
        .state = early ? before : TIMEOUT_PENDING,
        .clock = command->clock,
        .generation = live->object.generation + (early ? 0 : 1),
        .version = live->object.version,
        .born_late = past,
        .has_within = !command->has_deadline,
        .has_event_time = command->has_event_time,
        .within_us = command->has_deadline ? 0 : command->within_us,
        .deadline = deadline,
        .event_time = command->has_event_time ? command->event_time : (struct event_time){0},
        .created = model->clock,
        .last_seen = model->clock,
        .decided_at = model->position};
    if (early) {
        model->expected->counts.tombstones_met++;
        end(model, key, TIMEOUT_COMPLETED);
        return TIMEOUT_CREATED;
    }
    live->object.version++;
    model->expected->counts.replaced += live->object.generation > 1;
    shelf->pending++;
    list_add(&model->lists[command->clock], deadline, key);
    note_change(model, key);
    return TIMEOUT_CREATED;
}

static enum timeout_outcome ended_outcome(enum timeout_state state)
{
    return state == TIMEOUT_FIRED ? TIMEOUT_ALREADY_FIRED : TIMEOUT_ENDED;
}

static enum timeout_outcome
create(struct timer_model *model, uint32_t key, const struct timeout_command *command)
{
    struct live_timer *live = &model->live[key];
    enum timeout_state state = live->object.state;
    if (state == TIMEOUT_ABSENT || state == TIMEOUT_COMPLETED_EARLY) {
        return arm(model, key, command);
    }
    if (state == TIMEOUT_PENDING && same_create(live, command)) {
        return TIMEOUT_UNCHANGED;
    }
    switch (command->on_exists) {
    case TIMEOUT_RETURN:
        return TIMEOUT_UNCHANGED;
    case TIMEOUT_REPLACE:
        return arm(model, key, command);
    case TIMEOUT_REJECT:
        break;
    }
    return state == TIMEOUT_PENDING ? TIMEOUT_DIFFERS : ended_outcome(state);
}

static enum timeout_outcome
finish(struct timer_model *model, uint32_t key, const struct timeout_command *command)
{
    struct live_timer *live = &model->live[key];
    enum timeout_state wanted =
        command->op == TIMEOUT_COMPLETE ? TIMEOUT_COMPLETED : TIMEOUT_CANCELLED;
    switch (live->object.state) {
    case TIMEOUT_ABSENT:
        live->object = (struct timeout_object){
            .generation = 1, .created = model->clock, .last_seen = model->clock};
        live->data = bytes_of(NULL, 0);
        live->has_deadline = false;
        end(model, key, TIMEOUT_COMPLETED_EARLY);
        model->expected->counts.tombstones++;
        return TIMEOUT_EARLY;
    case TIMEOUT_COMPLETED_EARLY:
        return TIMEOUT_EARLY;
    case TIMEOUT_PENDING:
        end(model, key, wanted);
        return TIMEOUT_CHANGED;
    case TIMEOUT_FIRED:
    case TIMEOUT_COMPLETED:
    case TIMEOUT_CANCELLED:
    case TIMEOUT_RETRACTED:
        break;
    }
    return live->object.state == wanted ? TIMEOUT_UNCHANGED : ended_outcome(live->object.state);
}

static enum timeout_outcome
extend(struct timer_model *model, uint32_t key, const struct timeout_command *command)
{
    struct live_timer *live = &model->live[key];
    struct timeout_object *object = &live->object;
    if (object->state == TIMEOUT_ABSENT) {
        return TIMEOUT_UNKNOWN;
    }
    if (object->state != TIMEOUT_PENDING) {
        return ended_outcome(object->state);
    }
    list_remove(&model->lists[object->clock], object->deadline, key);
    int64_t more = command->within_us > 0 ? command->within_us
                   : live->has_deadline   ? live->given_deadline - live->moment
                                          : object->within_us;
    bool told = object->clock == TIMEOUT_BY_EVENTS && command->has_event_time;
    if (!told || command->event_time.us >= live->latest_event) {
        object->deadline = sum(moment_of(model, command, object->clock), more);
    }
    if (told && command->event_time.us > live->latest_event) {
        live->latest_event = command->event_time.us;
    }
    object->last_seen = model->clock;
    object->version++;
    object->decided_at = model->position;
    list_add(&model->lists[object->clock], object->deadline, key);
    model->expected->counts.extended++;
    note_change(model, key);
    return TIMEOUT_CHANGED;
}

enum timeout_outcome
timer_model_decide(struct timer_model *model, uint32_t key, const struct timeout_command *command)
{
    const struct timeout_object *object = &model->live[key].object;
    if (command->has_version && command->version != object->version) {
        model->expected->counts.other_version++;
        return TIMEOUT_OTHER_VERSION;
    }
    if (command->op == TIMEOUT_HEARTBEAT && object->state == TIMEOUT_ABSENT) {
        return TIMEOUT_UNKNOWN;
    }
    uint32_t generation = object->state == TIMEOUT_ABSENT ? 1 : object->generation;
    if (command->generation != 0 && command->generation != generation) {
        model->expected->counts.other_generation++;
        return TIMEOUT_OTHER_GENERATION;
    }
    switch (command->op) {
    case TIMEOUT_CREATE:
        return create(model, key, command);
    case TIMEOUT_COMPLETE:
    case TIMEOUT_CANCEL:
        return finish(model, key, command);
    case TIMEOUT_HEARTBEAT:
        return extend(model, key, command);
    }
    UNREACHABLE("an operation of the enumeration");
}

void timer_model_fire(struct timer_model *model, uint32_t key, const struct pulse *pulse)
{
    struct live_timer *live = &model->live[key];
    const struct timeout_object *object = &live->object;
    struct expected_timeouts *expected = model->expected;
    bool by_events = object->clock == TIMEOUT_BY_EVENTS;
    struct timer_counts *counts = &expected->counts;
    counts->fired++;
    counts->fired_by_events += by_events;
    counts->born_late += object->born_late;
    counts->overdue +=
        !by_events && !object->born_late && pulse->clock.us - object->deadline > OVERDUE_US;
    expected->notes = grown(
        expected->notes, expected->note_count, &expected->note_capacity, sizeof(*expected->notes));
    expected->notes[expected->note_count++] = (struct heard_note){
        .place = {pulse->ordinal, live->partition, 0},
        .kind = NOTE_TIMEOUT_FIRED,
        .flags =
            (uint8_t)((object->born_late ? NOTE_BORN_LATE : 0) | (by_events ? NOTE_BY_EVENTS : 0)),
        .key = key,
        .generation = object->generation,
        .clock = pulse->clock,
        .position = model->position,
        .deadline = object->deadline,
        .started = by_events && object->has_event_time ? object->event_time.us : object->created.us,
        .last_seen = object->last_seen.us,
        .data_digest = hash64(live->data, 0)};
    end(model, key, TIMEOUT_FIRED);
}

bool timer_model_init(struct timer_model *model,
                      const struct history *history,
                      struct expected_timeouts *expected)
{
    *model =
        (struct timer_model){.history = history, .expected = expected, .watermark = WATERMARK_NONE};
    model->live = calloc(history->timer_keys + 1, sizeof(*model->live));
    model->shelves = calloc(history->partitions, sizeof(*model->shelves));
    expected->timers = calloc(history->timer_keys + 1, sizeof(*expected->timers));
    expected->timer_count = history->timer_keys;
    return model->live != NULL && model->shelves != NULL && expected->timers != NULL;
}

void timer_model_free(struct timer_model *model)
{
    for (uint32_t n = 0; model->shelves != NULL && n < model->history->partitions; n++) {
        free(model->shelves[n].queue);
    }
    free(model->lists[0].entries);
    free(model->lists[1].entries);
    free(model->live);
    free(model->shelves);
}
