/* Explicit timeouts: what commands and pulses do to them. See timeouts.h for the states.
 *
 * Whatever needs memory is got before anything is changed, so a command either happens or not. A
 * heartbeat that moves the deadline away touches no calendar: the item comes out at the old deadline
 * and is filed again then. One that brings it nearer arms anew, and the old item is a dead one; when
 * there are more dead items than pending timers, the calendars are made anew. */
#include "core/timeouts.h"

#include "base/check.h"
#include "core/timeout_table.h"

#define DEAD_ITEMS_SLACK 1024

void timeouts_init(struct timeouts *timeouts,
                   struct heap *heap,
                   struct heap *cold,
                   const struct timeouts_limits *limits)
{
    CHECK(limits->partitions >= 1 && limits->partitions <= PARTITIONS_MAX);
    CHECK(limits->ended_max >= 1);
    CHECK(limits->pending_max <= TIMERS_MAX / 2 && limits->ended_max <= TIMERS_MAX / 2);
    *timeouts = (struct timeouts){
        .heap = heap,
        .cold = cold,
        .limits = *limits,
        .free_first = TIMER_NONE,
        .ended_first = TIMER_NONE,
        .ended_last = TIMER_NONE,
        .unfiled_first = TIMER_NONE,
        .unfiled_last = TIMER_NONE,
        .now = {.clock = {INT64_MIN}, .watermark = WATERMARK_NONE},
    };
    calendar_init(&timeouts->by_clock, heap, INT64_MIN);
    calendar_init(&timeouts->by_events, heap, INT64_MIN);
}

/* --- the calendars --- */

static struct calendar *calendar_of(struct timeouts *timeouts, const struct timer *timer)
{
    return (timer->flags & TIMER_BY_EVENTS) != 0 ? &timeouts->by_events : &timeouts->by_clock;
}

/* An event exactly at the deadline is in time: by events it takes a watermark beyond. */
static int64_t due_until(const struct timeouts_time *time, bool by_events)
{
    if (!by_events || time->watermark == WATERMARK_FINAL || time->watermark == WATERMARK_NONE) {
        return by_events ? time->watermark : time->clock.us;
    }
    return time->watermark - 1;
}

static bool is_due(const struct timer *timer, const struct timeouts_time *time)
{
    bool by_events = (timer->flags & TIMER_BY_EVENTS) != 0;
    bool nothing_heard = by_events && time->watermark == WATERMARK_NONE;
    return !nothing_heard && timer->deadline <= due_until(time, by_events);
}

/* Both calendars anew, without the items that stand for nothing any more. */
static void sweep_dead_items(struct timeouts *timeouts)
{
    uint64_t items = timeouts->by_clock.count + timeouts->by_events.count;
    if (items <= 2 * timeouts->counts[TIMEOUT_PENDING] + DEAD_ITEMS_SLACK) {
        return;
    }
    calendar_clear(&timeouts->by_clock);
    calendar_clear(&timeouts->by_events);
    for (uint32_t place = 0; place < timeouts->timer_count; place++) {
        const struct timer *timer = timer_at(timeouts, place);
        bool filed = timer->state == TIMEOUT_PENDING && (timer->flags & TIMER_UNFILED) == 0;
        if (filed && !timer_file(timeouts, place)) {
            timer_unfile(timeouts, place);
        }
    }
}

/* --- what is shown --- */

static void object_of(const struct timer *timer,
                      const struct timeouts_time *now,
                      struct timeout_object *object)
{
    const struct timer_cold *cold = timer->cold;
    bool by_events = (timer->flags & TIMER_BY_EVENTS) != 0;
    bool has_within = (timer->flags & TIMER_HAS_WITHIN) != 0;
    *object = (struct timeout_object){
        .state = (enum timeout_state)timer->state,
        .clock = by_events ? TIMEOUT_BY_EVENTS : TIMEOUT_BY_PROCESSING,
        .generation = cold->generation,
        .version = cold->version,
        .born_late = (timer->flags & TIMER_BORN_LATE) != 0,
        .held = timer->state == TIMEOUT_PENDING && by_events && now->hold &&
                timer->deadline <= now->clock.us,
        .has_within = has_within,
        .has_event_time = (timer->flags & TIMER_HAS_EVENT_TIME) != 0,
        .within_us = has_within ? cold->given : 0,
        .deadline = timer->deadline,
        .event_time = {cold->event_time},
        .created = {cold->created_us},
        .last_seen = {cold->last_seen_us},
        .ended = {cold->ended_us},
        .decided_at = cold->decided_at,
    };
}

/* --- commands --- */

/* One command on its way. */
struct order {
    struct timeouts *timeouts;
    const struct timeout_command *command;
    struct clock_time clock;
    uint64_t position;
    uint32_t hash;
    uint32_t place; /* TIMER_NONE: the key is not there */
};

static struct timer *timer_of(const struct order *order)
{
    return timer_at(order->timeouts, order->place);
}

static void touch(const struct order *order)
{
    struct timer_cold *cold = timer_of(order)->cold;
    cold->version++;
    cold->decided_at = order->position;
}

/* The time that a deadline counts from: that of the event, for one by events that has been told it. */
static int64_t base_time(const struct order *order, bool by_events)
{
    const struct timeout_command *command = order->command;
    return by_events && command->has_event_time ? command->event_time.us : order->clock.us;
}

static void end(const struct order *order, enum timeout_state state)
{
    struct timeouts *timeouts = order->timeouts;
    timer_of(order)->cold->ended_us = order->clock.us;
    touch(order);
    timer_set_state(timeouts, order->place, state);
    if (timeouts->ended_count > timeouts->limits.ended_max) {
        timer_forget_oldest(timeouts);
    }
}

/* Room in the budget for `more` bytes beside the timer at `kept`, by forgetting what has ended. */
static bool make_room(struct timeouts *timeouts, uint64_t more, uint32_t kept)
{
    uint64_t max = timeouts->limits.bytes_max;
    bool kept_ended = kept != TIMER_NONE && timer_is_ended(timer_at(timeouts, kept));
    uint64_t least = timeouts->bytes - timeouts->ended_bytes;
    if (kept_ended) {
        const struct timer_cold *cold = timer_at(timeouts, kept)->cold;
        least += timer_bytes(cold->key_len, cold->data_len);
    }
    if (least > max || more > max - least) {
        return false;
    }
    while (timeouts->bytes > max - more) {
        uint32_t oldest = timeouts->ended_first;
        oldest = oldest == kept ? timer_at(timeouts, oldest)->next : oldest;
        CHECK(oldest != TIMER_NONE);
        timer_set_state(timeouts, oldest, TIMEOUT_ABSENT);
        timer_remove(timeouts, oldest);
    }
    return true;
}

/* The cold part for what the command makes, when the budget has room for it; else NULL. */
static struct timer_cold *cold_for(const struct order *order, struct bytes data)
{
    struct bytes key = order->command->key;
    if (!make_room(order->timeouts, timer_bytes(key.len, data.len), order->place)) {
        return NULL;
    }
    struct timer_cold *cold = timer_cold_new(order->timeouts, key, data.len);
    if (cold != NULL && data.len > 0) {
        memcpy(cold->bytes + key.len, data.data, data.len);
    }
    return cold;
}

/* Takes the cold part, in the place of an older one or as a new timer. */
static bool place_timer(struct order *order, struct timer_cold *cold)
{
    struct timeouts *timeouts = order->timeouts;
    if (order->place == TIMER_NONE) {
        cold->generation = 1;
        order->place = timer_add(timeouts, order->hash, cold);
        return order->place != TIMER_NONE;
    }
    const struct timer_cold *old = timer_of(order)->cold;
    cold->version = old->version;
    cold->generation = old->generation;
    timer_exchange(timeouts, order->place, cold);
    return true;
}

/* What a create asks for. */
struct arming {
    int64_t deadline;
    int64_t given;
    uint8_t flags;
};

static struct arming arming_of(const struct order *order)
{
    const struct timeout_command *command = order->command;
    bool by_events = command->clock == TIMEOUT_BY_EVENTS;
    struct arming arming = {.deadline = command->deadline, .given = command->deadline};
    arming.flags = (uint8_t)((by_events ? TIMER_BY_EVENTS : 0) |
                             (command->has_event_time ? TIMER_HAS_EVENT_TIME : 0));
    if (!command->has_deadline) {
        arming.flags |= TIMER_HAS_WITHIN;
        arming.given = command->within_us;
        arming.deadline = time_add(base_time(order, by_events), command->within_us);
    }
    struct timer timer = {.deadline = arming.deadline, .flags = arming.flags};
    struct timeouts_time now = order->timeouts->now;
    now.clock = order->clock;
    arming.flags |= is_due(&timer, &now) ? TIMER_BORN_LATE : 0;
    return arming;
}

static void cold_begin(const struct order *order, const struct arming *arming)
{
    struct timer_cold *cold = timer_of(order)->cold;
    cold->given = arming->given;
    cold->event_time = order->command->event_time.us;
    cold->created_us = order->clock.us;
    cold->last_seen_us = order->clock.us;
}

/* Whether what is there was created with the same parameters. */
static bool is_same(const struct order *order)
{
    const struct timer *timer = timer_of(order);
    struct arming arming = arming_of(order);
    uint32_t telling = TIMER_BY_EVENTS | TIMER_HAS_WITHIN | TIMER_HAS_EVENT_TIME;
    return ((timer->flags ^ arming.flags) & telling) == 0 && timer->cold->given == arming.given &&
           timer->cold->event_time == order->command->event_time.us &&
           bytes_equal(timer_data(timer), order->command->data);
}

/* Pending from now on: a new key, or a new generation of one that is there. */
static enum timeout_outcome arm(struct order *order)
{
    struct timeouts *timeouts = order->timeouts;
    bool is_new = order->place == TIMER_NONE;
    bool pending = !is_new && timer_of(order)->state == TIMEOUT_PENDING;
    if (!pending && timeouts->counts[TIMEOUT_PENDING] >= timeouts->limits.pending_max) {
        return TIMEOUT_NO_ROOM;
    }
    struct timer_cold *cold = cold_for(order, order->command->data);
    if (cold == NULL) {
        return TIMEOUT_NO_ROOM;
    }
    /* The calendar may have no memory, so a new timer is made first, and undone then. */
    if (is_new && !place_timer(order, cold)) {
        timer_cold_free(timeouts, cold);
        return TIMEOUT_NO_ROOM;
    }
    struct arming arming = arming_of(order);
    bool by_events = (arming.flags & TIMER_BY_EVENTS) != 0;
    struct calendar_item item = {arming.deadline, order->place, timeouts->arming + 1};
    if (!calendar_add(by_events ? &timeouts->by_events : &timeouts->by_clock, item)) {
        if (is_new) {
            timer_remove(timeouts, order->place);
            order->place = TIMER_NONE;
        } else {
            timer_cold_free(timeouts, cold);
        }
        return TIMEOUT_NO_ROOM;
    }
    if (!is_new) {
        CHECK(place_timer(order, cold));
        cold->generation++;
    }
    timer_set_state(timeouts, order->place, TIMEOUT_PENDING);
    struct timer *timer = timer_of(order);
    timer->deadline = arming.deadline;
    timer->arming = ++timeouts->arming;
    timer->flags = arming.flags;
    cold_begin(order, &arming);
    touch(order);
    return TIMEOUT_CREATED;
}

/* The end came before the beginning: what is created now is completed at once. */
static enum timeout_outcome meet_tombstone(struct order *order)
{
    struct timer_cold *cold = cold_for(order, order->command->data);
    if (cold == NULL) {
        return TIMEOUT_NO_ROOM;
    }
    CHECK(place_timer(order, cold));
    struct arming arming = arming_of(order);
    struct timer *timer = timer_of(order);
    timer->deadline = arming.deadline;
    timer->flags = arming.flags;
    cold_begin(order, &arming);
    end(order, TIMEOUT_COMPLETED);
    return TIMEOUT_CREATED;
}

static enum timeout_outcome create(struct order *order)
{
    if (order->place == TIMER_NONE) {
        return arm(order);
    }
    enum timeout_state state = (enum timeout_state)timer_of(order)->state;
    if (state == TIMEOUT_COMPLETED_EARLY) {
        return meet_tombstone(order);
    }
    if (state == TIMEOUT_PENDING && is_same(order)) {
        return TIMEOUT_UNCHANGED;
    }
    if (order->command->on_exists == TIMEOUT_REPLACE) {
        return arm(order);
    }
    if (order->command->on_exists == TIMEOUT_RETURN) {
        return TIMEOUT_UNCHANGED;
    }
    if (state == TIMEOUT_PENDING) {
        return TIMEOUT_DIFFERS;
    }
    return state == TIMEOUT_FIRED ? TIMEOUT_ALREADY_FIRED : TIMEOUT_ENDED;
}

static enum timeout_outcome make_tombstone(struct order *order)
{
    struct timer_cold *cold = cold_for(order, (struct bytes){0});
    if (cold == NULL) {
        return TIMEOUT_NO_ROOM;
    }
    if (!place_timer(order, cold)) {
        timer_cold_free(order->timeouts, cold);
        return TIMEOUT_NO_ROOM;
    }
    cold_begin(order, &(struct arming){0});
    end(order, TIMEOUT_COMPLETED_EARLY);
    return TIMEOUT_EARLY;
}

/* Complete and cancel. */
static enum timeout_outcome finish(struct order *order, enum timeout_state wanted)
{
    if (order->place == TIMER_NONE) {
        return make_tombstone(order);
    }
    enum timeout_state state = (enum timeout_state)timer_of(order)->state;
    switch (state) {
    case TIMEOUT_PENDING:
        end(order, wanted);
        return TIMEOUT_CHANGED;
    case TIMEOUT_FIRED:
        return TIMEOUT_ALREADY_FIRED;
    case TIMEOUT_COMPLETED_EARLY:
        return TIMEOUT_EARLY;
    case TIMEOUT_COMPLETED:
    case TIMEOUT_CANCELLED:
    case TIMEOUT_RETRACTED:
        return state == wanted ? TIMEOUT_UNCHANGED : TIMEOUT_ENDED;
    case TIMEOUT_ABSENT:
        break;
    }
    UNREACHABLE("what is absent has no place");
}

/* a - b, held at the ends of int64 instead of overflowing. */
static int64_t distance(int64_t a, int64_t b)
{
    int64_t result;
    if (__builtin_sub_overflow(a, b, &result)) {
        return a > b ? INT64_MAX : INT64_MIN;
    }
    return result;
}

/* How far behind a heartbeat the deadline is: as asked, else as it was created. */
static int64_t reach_of(const struct order *order)
{
    const struct timer *timer = timer_of(order);
    const struct timer_cold *cold = timer->cold;
    uint32_t told = TIMER_BY_EVENTS | TIMER_HAS_EVENT_TIME;
    if (order->command->within_us > 0) {
        return order->command->within_us;
    }
    if ((timer->flags & TIMER_HAS_WITHIN) != 0) {
        return cold->given;
    }
    bool by_event_time = (timer->flags & told) == told;
    return distance(cold->given, by_event_time ? cold->event_time : cold->created_us);
}

static enum timeout_outcome heartbeat(struct order *order)
{
    if (order->place == TIMER_NONE) {
        return TIMEOUT_UNKNOWN;
    }
    struct timeouts *timeouts = order->timeouts;
    struct timer *timer = timer_of(order);
    if (timer->state != TIMEOUT_PENDING) {
        return timer->state == TIMEOUT_FIRED ? TIMEOUT_ALREADY_FIRED : TIMEOUT_ENDED;
    }
    bool by_events = (timer->flags & TIMER_BY_EVENTS) != 0;
    int64_t deadline = time_add(base_time(order, by_events), reach_of(order));
    if (deadline < timer->deadline && (timer->flags & TIMER_UNFILED) == 0) {
        struct calendar_item item = {deadline, order->place, timeouts->arming + 1};
        if (!calendar_add(calendar_of(timeouts, timer), item)) {
            return TIMEOUT_NO_ROOM;
        }
        timer->arming = ++timeouts->arming;
    }
    timer->deadline = deadline;
    timer->cold->last_seen_us = order->clock.us;
    touch(order);
    return TIMEOUT_CHANGED;
}

/* What the command says about what it expects to find; CHANGED: nothing against it. */
static enum timeout_outcome preconditions(const struct order *order)
{
    const struct timeout_command *command = order->command;
    bool there = order->place != TIMER_NONE;
    const struct timer_cold *cold = there ? timer_of(order)->cold : NULL;
    if (command->has_version && command->version != (there ? cold->version : 0)) {
        return TIMEOUT_OTHER_VERSION;
    }
    /* Of a key that is not there the next generation is the first. */
    bool first = command->op != TIMEOUT_HEARTBEAT && command->generation > 1;
    bool other = there ? command->generation != 0 && command->generation != cold->generation : first;
    return other ? TIMEOUT_OTHER_GENERATION : TIMEOUT_CHANGED;
}

static enum timeout_outcome decide(struct order *order)
{
    enum timeout_outcome outcome = preconditions(order);
    if (outcome != TIMEOUT_CHANGED) {
        return outcome;
    }
    switch (order->command->op) {
    case TIMEOUT_CREATE:
        return create(order);
    case TIMEOUT_COMPLETE:
        return finish(order, TIMEOUT_COMPLETED);
    case TIMEOUT_CANCEL:
        return finish(order, TIMEOUT_CANCELLED);
    case TIMEOUT_HEARTBEAT:
        return heartbeat(order);
    }
    UNREACHABLE("a decoded command has one of these ops");
}

void timeouts_command(struct timeouts *timeouts,
                      const struct timeout_command *command,
                      struct clock_time clock,
                      uint64_t position,
                      struct timeout_result *result)
{
    if (clock.us > timeouts->now.clock.us) {
        timeouts->now.clock = clock;
    }
    uint32_t hash = (uint32_t)timeout_hash(command->key, timeouts->limits.seed);
    struct order order = {
        .timeouts = timeouts,
        .command = command,
        .clock = timeouts->now.clock,
        .position = position,
        .hash = hash,
        .place = timer_find(timeouts, command->key, hash),
    };
    *result = (struct timeout_result){.outcome = decide(&order)};
    timeouts->no_room_total += result->outcome == TIMEOUT_NO_ROOM;
    if (order.place != TIMER_NONE) {
        object_of(timer_of(&order), &timeouts->now, &result->object);
    }
}

/* --- pulses --- */

static void fire(struct timeouts *timeouts,
                 uint32_t place,
                 const struct timeouts_time *time,
                 struct feed *feed)
{
    struct timer *timer = timer_at(timeouts, place);
    struct timer_cold *cold = timer->cold;
    uint32_t told = TIMER_BY_EVENTS | TIMER_HAS_EVENT_TIME;
    CHECK(is_due(timer, time));
    struct note note = {
        .kind = NOTE_TIMEOUT_FIRED,
        .clock = time->clock,
        .position = time->position,
        .generation = cold->generation,
        .deadline = timer->deadline,
        .started = (timer->flags & told) == told ? cold->event_time : cold->created_us,
        .last_seen = cold->last_seen_us,
        .key = timer_key(timer),
        .data = timer_data(timer),
    };
    note.flags = (uint8_t)(((timer->flags & TIMER_BORN_LATE) != 0 ? NOTE_BORN_LATE : 0) |
                           ((timer->flags & TIMER_BY_EVENTS) != 0 ? NOTE_BY_EVENTS : 0));
    feed_add(feed, time->ordinal, &note);
    timeouts->fired_total++;
    struct order order = {.timeouts = timeouts,
                          .clock = time->clock,
                          .position = time->position,
                          .place = place};
    end(&order, TIMEOUT_FIRED);
}

/* Those that no memory was found for: into their calendar, or, when due, out without it. */
static void file_unfiled(struct timeouts *timeouts,
                         const struct timeouts_time *time,
                         uint32_t *slice,
                         struct feed *feed)
{
    for (uint32_t left = timeouts->unfiled_count; left > 0; left--) {
        uint32_t place = timeouts->unfiled_first;
        const struct timer *timer = timer_at(timeouts, place);
        bool may_fire = *slice > 0 && is_due(timer, time) &&
                        !((timer->flags & TIMER_BY_EVENTS) != 0 && time->hold);
        timer_unlink(timeouts, place);
        if (timer_file(timeouts, place)) {
            continue;
        }
        if (may_fire) {
            *slice -= 1;
            fire(timeouts, place, time, feed);
        } else {
            timer_unfile(timeouts, place); /* at the end: each is looked at once */
        }
    }
}

static bool is_live(const struct timeouts *timeouts,
                    const struct calendar_item *item,
                    bool by_events)
{
    const struct timer *timer = timer_at(timeouts, item->timer);
    return timer->state == TIMEOUT_PENDING && timer->arming == item->arming &&
           ((timer->flags & TIMER_BY_EVENTS) != 0) == by_events &&
           (timer->flags & TIMER_UNFILED) == 0;
}

/* Fires what is due by one of the clocks, the earliest deadline first, as far as the slice goes. */
static void fire_due(struct timeouts *timeouts,
                     bool by_events,
                     const struct timeouts_time *time,
                     uint32_t *slice,
                     struct feed *feed)
{
    if (by_events && (time->hold || time->watermark == WATERMARK_NONE)) {
        return;
    }
    struct calendar *calendar = by_events ? &timeouts->by_events : &timeouts->by_clock;
    int64_t until = due_until(time, by_events);
    struct calendar_item item;
    while (*slice > 0 && calendar_take(calendar, until, &item)) {
        if (!is_live(timeouts, &item, by_events)) {
            continue;
        }
        if (timer_at(timeouts, item.timer)->deadline == item.time) {
            *slice -= 1;
            fire(timeouts, item.timer, time, feed);
        } else if (!timer_file(timeouts, item.timer)) {
            timer_unfile(timeouts, item.timer);
        }
    }
}

static void forget_ended(struct timeouts *timeouts, uint32_t slice)
{
    int64_t before = time_add(timeouts->now.clock.us, -TIMEOUTS_ENDED_US);
    while (slice > 0 && timeouts->ended_first != TIMER_NONE &&
           timer_at(timeouts, timeouts->ended_first)->cold->ended_us <= before) {
        timer_forget_oldest(timeouts);
        slice--;
    }
}

void timeouts_move(struct timeouts *timeouts, const struct timeouts_time *time, struct feed *feed)
{
    struct timeouts_time now = *time;
    if (timeouts->now.clock.us > now.clock.us) {
        now.clock = timeouts->now.clock;
    }
    timeouts->now = now;
    uint32_t slice = TIMEOUTS_SLICE / timeouts->limits.partitions;
    forget_ended(timeouts, 2 * slice);
    file_unfiled(timeouts, &now, &slice, feed);
    /* Turn by turn, so that neither clock's crowd keeps the other one's waiting for ever. */
    bool events_first = now.ordinal % 2 == 1;
    fire_due(timeouts, events_first, &now, &slice, feed);
    fire_due(timeouts, !events_first, &now, &slice, feed);
    sweep_dead_items(timeouts);
}

struct timeouts_due timeouts_next_due(const struct timeouts *timeouts)
{
    struct timeouts_due due = {
        .clock = calendar_next_due(&timeouts->by_clock),
        .watermark = time_add(calendar_next_due(&timeouts->by_events), 1),
    };
    for (uint32_t place = timeouts->unfiled_first; place != TIMER_NONE;
         place = timer_at(timeouts, place)->next) {
        const struct timer *timer = timer_at(timeouts, place);
        bool by_events = (timer->flags & TIMER_BY_EVENTS) != 0;
        int64_t *least = by_events ? &due.watermark : &due.clock;
        int64_t at = time_add(timer->deadline, by_events ? 1 : 0);
        *least = at < *least ? at : *least;
    }
    return due;
}

/* --- looking --- */

static void view_of(const struct timer *timer,
                    const struct timeouts_time *now,
                    struct timeout_view *view)
{
    object_of(timer, now, &view->object);
    view->key = timer_key(timer);
    view->data = timer_data(timer);
}

void timeouts_look(const struct timeouts *timeouts,
                   struct bytes key,
                   const struct timeouts_time *now,
                   struct timeout_view *view)
{
    uint32_t hash = (uint32_t)timeout_hash(key, timeouts->limits.seed);
    uint32_t place = timer_find(timeouts, key, hash);
    *view = (struct timeout_view){.key = key};
    if (place != TIMER_NONE) {
        view_of(timer_at(timeouts, place), now, view);
    }
}

bool timeouts_walk(const struct timeouts *timeouts,
                   uint32_t *place,
                   const struct timeouts_time *now,
                   struct timeout_view *view)
{
    for (; *place < timeouts->timer_count; *place += 1) {
        const struct timer *timer = timer_at(timeouts, *place);
        if (timer->state != TIMEOUT_ABSENT) {
            view_of(timer, now, view);
            *place += 1;
            return true;
        }
    }
    return false;
}

void timeouts_histogram(const struct timeouts *timeouts,
                        enum timeout_clock clock,
                        int64_t from,
                        int64_t span_us,
                        uint64_t *counts,
                        uint32_t count)
{
    CHECK(span_us > 0);
    CHECK(count > 0);
    bool by_events = clock == TIMEOUT_BY_EVENTS;
    for (uint32_t place = 0; place < timeouts->timer_count; place++) {
        const struct timer *timer = timer_at(timeouts, place);
        if (timer->state != TIMEOUT_PENDING ||
            ((timer->flags & TIMER_BY_EVENTS) != 0) != by_events) {
            continue;
        }
        uint64_t behind = (uint64_t)timer->deadline - (uint64_t)from;
        uint64_t span = timer->deadline < from ? 0 : behind / (uint64_t)span_us;
        counts[span < count ? span : count - 1]++;
    }
}
