/* Explicit timeouts: what commands do to them. See timeouts.h for the states.
 *
 * Whatever needs memory is got before anything is changed, so a command either happens or not. A
 * heartbeat that moves the deadline away touches no calendar: the item comes out at the old deadline
 * and is filed again then. One that brings it nearer arms anew, and the old item is a dead one. */
#include "base/check.h"
#include "core/timeout_table.h"

/* One command on its way. */
struct order {
    struct timeouts *timeouts;
    const struct timeout_command *command;
    struct clock_time clock;
    int64_t watermark;
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

static void end_here(const struct order *order, enum timeout_state state)
{
    timer_end(order->timeouts, order->place, state, order->clock, order->position);
}

static bool is_within(struct timer_cost cost, const struct timeouts_limits *limits)
{
    return cost.bytes <= limits->bytes_max && cost.cold <= limits->cold_max;
}

/* Room in the budgets for `more` beside the timer at `kept`, by forgetting what has ended. */
static bool make_room(struct timeouts *timeouts, struct timer_cost more, uint32_t kept)
{
    bool kept_ended = kept != TIMER_NONE && timer_is_ended(timer_at(timeouts, kept));
    struct timer_cost least = cost_rest(timeouts->used, timeouts->ended);
    if (kept_ended) {
        const struct timer_cold *cold = timer_at(timeouts, kept)->cold;
        least = cost_sum(least, timer_cost(timeouts, cold->key_len, cold->data_len));
    }
    if (!is_within(cost_sum(least, more), &timeouts->limits)) {
        return false;
    }
    while (!is_within(cost_sum(timeouts->used, more), &timeouts->limits)) {
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
    if (!make_room(order->timeouts, timer_cost(order->timeouts, key.len, data.len), order->place)) {
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
    now.watermark = order->watermark;
    arming.flags |= timer_is_due(&timer, &now) ? TIMER_BORN_LATE : 0;
    return arming;
}

static void cold_begin(const struct order *order, const struct arming *arming)
{
    struct timer_cold *cold = timer_of(order)->cold;
    cold->given = arming->given;
    bool told = (arming->flags & TIMER_HAS_EVENT_TIME) != 0;
    cold->event_time = told ? order->command->event_time.us : 0;
    cold->created_us = order->clock.us;
    cold->last_seen_us = order->clock.us;
    cold->latest_event = told ? cold->event_time : INT64_MIN;
}

/* Whether what is there was created with the same parameters. */
static bool is_same(const struct order *order)
{
    const struct timer *timer = timer_of(order);
    struct arming arming = arming_of(order);
    uint32_t telling = TIMER_BY_EVENTS | TIMER_HAS_WITHIN | TIMER_HAS_EVENT_TIME;
    return ((timer->flags ^ arming.flags) & telling) == 0 && timer->cold->given == arming.given &&
           (!order->command->has_event_time ||
            timer->cold->event_time == order->command->event_time.us) &&
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
    if (!timer_add_item(timeouts, by_events, item)) {
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
    timer_set_flags(timeouts, order->place, arming.flags);
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
    end_here(order, TIMEOUT_COMPLETED);
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
    end_here(order, TIMEOUT_COMPLETED_EARLY);
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
        end_here(order, wanted);
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
    bool told = by_events && order->command->has_event_time;
    int64_t event = told ? order->command->event_time.us : INT64_MIN;
    if (told && event < timer->cold->latest_event) {
        deadline = timer->deadline; /* a later one overtook it on its way here */
    }
    if (deadline < timer->deadline && (timer->flags & TIMER_UNFILED) == 0) {
        struct calendar_item item = {deadline, order->place, timeouts->arming + 1};
        if (!timer_add_item(timeouts, by_events, item)) {
            return TIMEOUT_NO_ROOM;
        }
        timer->arming = ++timeouts->arming;
    }
    timer->deadline = deadline;
    timer->cold->last_seen_us = order->clock.us;
    if (event > timer->cold->latest_event) {
        timer->cold->latest_event = event;
    }
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
    bool other =
        there ? command->generation != 0 && command->generation != cold->generation : first;
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
                      uint32_t hash,
                      const struct timeouts_moment *moment,
                      struct timeout_result *result)
{
    if (moment->clock.us > timeouts->now.clock.us) {
        timeouts->now.clock = moment->clock;
    }
    struct order order = {
        .timeouts = timeouts,
        .command = command,
        .clock = timeouts->now.clock,
        .watermark = moment->watermark,
        .position = moment->position,
        .hash = hash,
        .place = timer_find(timeouts, command->key, hash),
    };
    *result = (struct timeout_result){.outcome = decide(&order)};
    timeouts->no_room_total += result->outcome == TIMEOUT_NO_ROOM;
    if (order.place != TIMER_NONE) {
        timer_object(timer_of(&order), &timeouts->now, &result->object);
    }
}
