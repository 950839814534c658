/* Explicit timeouts: what pulses do to them, and how they are looked at. See timeouts.h for the states,
 * timeout_commands.c for what commands do.
 *
 * A calendar's item only says when to look. A timer that a heartbeat has moved on is filed again when
 * its item comes out; an item whose timer was armed anew since, or has ended, is dead. When there are
 * more dead items than pending timers, the calendars are made anew. */
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
    CHECK((heap != cold) == (limits->cold_max > 0));
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

/* --- pulses --- */

static void
fire(struct timeouts *timeouts, uint32_t place, const struct timeouts_time *time, struct feed *feed)
{
    struct timer *timer = timer_at(timeouts, place);
    struct timer_cold *cold = timer->cold;
    uint32_t told = TIMER_BY_EVENTS | TIMER_HAS_EVENT_TIME;
    CHECK(timer_is_due(timer, time));
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
    timer_end(timeouts, place, TIMEOUT_FIRED, time->clock, time->position);
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
        bool may_fire = *slice > 0 && timer_is_due(timer, time) &&
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

static bool
is_live(const struct timeouts *timeouts, const struct calendar_item *item, bool by_events)
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
    int64_t until = timers_due_until(time, by_events);
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

static void
view_of(const struct timer *timer, const struct timeouts_time *now, struct timeout_view *view)
{
    timer_object(timer, now, &view->object);
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
