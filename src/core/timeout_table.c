/* The table of timers: see timeout_table.h.
 *
 * The slots are probed one after the other; what is taken out is closed up by moving back those
 * behind it, so there are no gravestones and a table never has to be cleaned. It doubles above three
 * quarters; where the memory for that is missing, it fills up to fifteen sixteenths.
 *
 *   slot, of a table of 2^n:  | upper 32 - n bits of the hash | place + 1, n bits |
 *
 * A place is smaller than the table, since places are used again before new ones are made. So beside it
 * there is room for most of the hash, and probing looks at no timer but the one that is wanted.
 *
 * Which states a timer may go through, one row for each it is in:
 *
 *   from \ to   absent pending fired completed cancelled early
 *   absent               x                               x
 *   pending        x     x       x       x         x            (absent: the undoing of an add)
 *   fired          x     x
 *   completed      x     x
 *   cancelled      x     x
 *   early          x             .       x
 *   retracted: only those of rules */
#include "core/timeout_table.h"

#include "base/check.h"

#define SLOTS_MIN       64u
#define SLOT_PAGE       8192u /* slots: as large as a page of timers */
#define PREFETCH_PLACES 16u

/* Besides the cold part: the timer, its slot at the worst load, two items of a calendar. */
#define TIMER_HOT_BYTES (sizeof(struct timer) + 16 + 2 * sizeof(struct calendar_item))

#define TO(state) (1u << (state))

static const uint8_t allowed[TIMEOUT_STATES] = {
    [TIMEOUT_ABSENT] = TO(TIMEOUT_PENDING) | TO(TIMEOUT_COMPLETED_EARLY),
    [TIMEOUT_PENDING] = TO(TIMEOUT_PENDING) | TO(TIMEOUT_FIRED) | TO(TIMEOUT_COMPLETED) |
                        TO(TIMEOUT_CANCELLED) | TO(TIMEOUT_ABSENT),
    [TIMEOUT_FIRED] = TO(TIMEOUT_PENDING) | TO(TIMEOUT_ABSENT),
    [TIMEOUT_COMPLETED] = TO(TIMEOUT_PENDING) | TO(TIMEOUT_ABSENT),
    [TIMEOUT_CANCELLED] = TO(TIMEOUT_PENDING) | TO(TIMEOUT_ABSENT),
    [TIMEOUT_COMPLETED_EARLY] = TO(TIMEOUT_COMPLETED) | TO(TIMEOUT_ABSENT),
};

/* --- cold parts --- */

static size_t cold_size(size_t key_len, size_t data_len)
{
    return offsetof(struct timer_cold, bytes) + key_len + data_len;
}

struct timer_cost timer_cost(const struct timeouts *timeouts, size_t key_len, size_t data_len)
{
    uint64_t cold = heap_class_size(cold_size(key_len, data_len));
    bool apart = timeouts->limits.cold_max > 0;
    return (struct timer_cost){
        .bytes = TIMER_HOT_BYTES + (apart ? 0 : cold),
        .cold = apart ? cold : 0,
    };
}

static struct timer_cost cost_of(const struct timeouts *timeouts, const struct timer *timer)
{
    return timer_cost(timeouts, timer->cold->key_len, timer->cold->data_len);
}

struct timer_cold *timer_cold_new(struct timeouts *timeouts, struct bytes key, size_t data_len)
{
    CHECK(key.len >= 1 && key.len <= TIMEOUT_KEY_MAX);
    CHECK(data_len <= TIMEOUT_DATA_MAX);
    struct timer_cold *cold = heap_alloc_zero(timeouts->cold, cold_size(key.len, data_len));
    if (cold != NULL) {
        cold->key_len = (uint16_t)key.len;
        cold->data_len = (uint32_t)data_len;
        memcpy(cold->bytes, key.data, key.len);
    }
    return cold;
}

void timer_cold_free(struct timeouts *timeouts, struct timer_cold *cold)
{
    heap_free(timeouts->cold, cold, cold_size(cold->key_len, cold->data_len));
}

void timer_exchange(struct timeouts *timeouts, uint32_t place, struct timer_cold *cold)
{
    struct timer *timer = timer_at(timeouts, place);
    CHECK(timer->state == TIMEOUT_PENDING || timer_is_ended(timer));
    CHECK(bytes_equal(timer_key(timer), bytes_of(cold->bytes, cold->key_len)));
    struct timer_cost before = cost_of(timeouts, timer);
    timer_cold_free(timeouts, timer->cold);
    timer->cold = cold;
    struct timer_cost after = cost_of(timeouts, timer);
    timeouts->used = cost_sum(cost_rest(timeouts->used, before), after);
    if (timer_is_ended(timer)) {
        timeouts->ended = cost_sum(cost_rest(timeouts->ended, before), after);
    }
}

/* --- slots --- */

/* A slot: 0, or place + 1 in the low bits and the hash's upper ones above them. */
static uint32_t *slot_at(const struct timeouts *timeouts, uint32_t number)
{
    return &timeouts->slots[number / SLOT_PAGE][number % SLOT_PAGE];
}

static uint32_t slot_after(const struct timeouts *timeouts, uint32_t number)
{
    return (number + 1) & (timeouts->slot_count - 1);
}

static uint32_t home_of(const struct timeouts *timeouts, uint32_t hash)
{
    return hash & (timeouts->slot_count - 1);
}

static uint32_t place_in(const struct timeouts *timeouts, uint32_t slot)
{
    return (slot & (timeouts->slot_count - 1)) - 1;
}

/* Whether the timer in this slot may have that hash: nearly always right. */
static bool may_be(const struct timeouts *timeouts, uint32_t slot, uint32_t hash)
{
    return ((slot ^ hash) & ~(timeouts->slot_count - 1)) == 0;
}

uint32_t timer_find(const struct timeouts *timeouts, struct bytes key, uint32_t hash)
{
    if (timeouts->slot_count == 0) {
        return TIMER_NONE;
    }
    uint32_t number = home_of(timeouts, hash);
    for (uint32_t slot; (slot = *slot_at(timeouts, number)) != 0;
         number = slot_after(timeouts, number)) {
        uint32_t place = place_in(timeouts, slot);
        if (may_be(timeouts, slot, hash) && timer_at(timeouts, place)->hash == hash &&
            bytes_equal(timer_key(timer_at(timeouts, place)), key)) {
            return place;
        }
    }
    return TIMER_NONE;
}

uint32_t timeouts_approach_slot(const struct timeouts *timeouts, struct bytes key)
{
    uint32_t hash = (uint32_t)timeout_hash(key, timeouts->limits.seed);
    if (timeouts->slot_count > 0) {
        __builtin_prefetch(slot_at(timeouts, home_of(timeouts, hash)));
    }
    return hash;
}

void timeouts_approach_timer(const struct timeouts *timeouts, uint32_t hash)
{
    if (timeouts->slot_count == 0) {
        return;
    }
    uint32_t number = home_of(timeouts, hash);
    for (uint32_t slot; (slot = *slot_at(timeouts, number)) != 0;
         number = slot_after(timeouts, number)) {
        if (may_be(timeouts, slot, hash)) {
            __builtin_prefetch(timer_at(timeouts, place_in(timeouts, slot)));
            return;
        }
    }
}

static void slot_put(struct timeouts *timeouts, uint32_t place)
{
    uint32_t hash = timer_at(timeouts, place)->hash;
    uint32_t number = home_of(timeouts, hash);
    while (*slot_at(timeouts, number) != 0) {
        number = slot_after(timeouts, number);
    }
    CHECK(place + 1 < timeouts->slot_count);
    *slot_at(timeouts, number) = (hash & ~(timeouts->slot_count - 1)) | (place + 1);
}

/* Closes the gap: whatever stands behind it and would be looked for from before it, moves into it. */
static void slot_take(struct timeouts *timeouts, uint32_t place)
{
    uint32_t mask = timeouts->slot_count - 1;
    uint32_t gap = home_of(timeouts, timer_at(timeouts, place)->hash);
    while (place_in(timeouts, *slot_at(timeouts, gap)) != place) {
        CHECK(*slot_at(timeouts, gap) != 0);
        gap = slot_after(timeouts, gap);
    }
    uint32_t number = slot_after(timeouts, gap);
    for (uint32_t slot; (slot = *slot_at(timeouts, number)) != 0;
         number = slot_after(timeouts, number)) {
        uint32_t home = home_of(timeouts, timer_at(timeouts, place_in(timeouts, slot))->hash);
        if (((number - home) & mask) >= ((number - gap) & mask)) {
            *slot_at(timeouts, gap) = slot;
            gap = number;
        }
    }
    *slot_at(timeouts, gap) = 0;
    timeouts->slots_used--;
}

static size_t slot_page_bytes(uint32_t count)
{
    return (count < SLOT_PAGE ? count : SLOT_PAGE) * sizeof(uint32_t);
}

static uint32_t slot_pages(uint32_t count)
{
    return (count + SLOT_PAGE - 1) / SLOT_PAGE;
}

static void slots_free(struct heap *heap, uint32_t **pages, uint32_t count, uint32_t made)
{
    for (uint32_t n = 0; n < made; n++) {
        heap_free(heap, pages[n], slot_page_bytes(count));
    }
    heap_free(heap, pages, slot_pages(count) * sizeof(uint32_t *));
}

/* Empty; NULL: no memory. In pages of one size, so that those of an old table serve the next, or timers. */
static uint32_t **slots_new(struct heap *heap, uint32_t count)
{
    uint32_t page_count = slot_pages(count);
    uint32_t **pages = heap_alloc(heap, page_count * sizeof(uint32_t *));
    for (uint32_t n = 0; pages != NULL && n < page_count; n++) {
        pages[n] = heap_alloc_zero(heap, slot_page_bytes(count));
        if (pages[n] == NULL) {
            slots_free(heap, pages, count, n);
            return NULL;
        }
    }
    return pages;
}

/* An empty table in the place of the one there is; false: there is no memory for it, and the old one goes
 * on. */
static bool slots_make(struct timeouts *timeouts, uint32_t count)
{
    uint32_t before = timeouts->slot_count;
    uint32_t **old = timeouts->slots;
    uint32_t **slots = slots_new(timeouts->heap, count);
    if (slots == NULL) {
        return false;
    }
    timeouts->slots = slots;
    timeouts->slot_count = count;
    if (before > 0) {
        slots_free(timeouts->heap, old, before, slot_pages(before));
    }
    return true;
}

/* A table of twice the size, with all timers; false: no memory. */
static bool slots_double(struct timeouts *timeouts)
{
    uint32_t before = timeouts->slot_count;
    if (!slots_make(timeouts, before == 0 ? SLOTS_MIN : 2 * before)) {
        return false;
    }
    for (uint32_t place = 0; place < timeouts->timer_count; place++) {
        if (timer_at(timeouts, place)->cold != NULL) {
            slot_put(timeouts, place);
        }
    }
    return true;
}

static bool slots_have_room(struct timeouts *timeouts)
{
    uint64_t used = (uint64_t)timeouts->slots_used + 1;
    return used * 4 <= (uint64_t)timeouts->slot_count * 3 || slots_double(timeouts) ||
           used * 16 <= (uint64_t)timeouts->slot_count * 15;
}

/* --- places --- */

static bool pages_have_room(struct timeouts *timeouts)
{
    uint32_t count = timeouts->page_count;
    if (count < timeouts->page_cap) {
        return true;
    }
    uint32_t cap = count == 0 ? 16 : 2 * count;
    struct timer **pages = heap_alloc(timeouts->heap, cap * sizeof(struct timer *));
    if (pages == NULL) {
        return false;
    }
    if (count > 0) {
        memcpy(pages, timeouts->pages, count * sizeof(struct timer *));
    }
    heap_free(timeouts->heap, timeouts->pages, timeouts->page_cap * sizeof(struct timer *));
    timeouts->pages = pages;
    timeouts->page_cap = cap;
    return true;
}

bool timers_reach(struct timeouts *timeouts, uint32_t count)
{
    if (count > TIMERS_MAX) {
        return false;
    }
    while ((uint64_t)timeouts->page_count * TIMER_PAGE < count) {
        struct timer *page = NULL;
        if (pages_have_room(timeouts)) {
            page = heap_alloc_zero(timeouts->heap, TIMER_PAGE * sizeof(struct timer));
        }
        if (page == NULL) {
            return false;
        }
        timeouts->pages[timeouts->page_count++] = page;
    }
    if (timeouts->timer_count < count) {
        timeouts->timer_count = count;
    }
    return true;
}

static void enter(struct timeouts *timeouts, uint32_t place)
{
    slot_put(timeouts, place);
    timeouts->slots_used++;
}

static void prefetch_slot(const struct timeouts *timeouts, uint32_t place)
{
    if (place < timeouts->timer_count) {
        uint32_t hash = timer_at(timeouts, place)->hash;
        __builtin_prefetch(slot_at(timeouts, home_of(timeouts, hash)));
    }
}

bool timers_enter_all(struct timeouts *timeouts, uint32_t count)
{
    CHECK(timeouts->slot_count == 0 && count <= timeouts->timer_count);
    uint32_t slots = SLOTS_MIN;
    while ((uint64_t)count * 4 > (uint64_t)slots * 3 || timeouts->timer_count >= slots) {
        slots *= 2;
    }
    bool made = timeouts->timer_count == 0 || slots_make(timeouts, slots);
    slots /= 2; /* as full as it may get where memory is short */
    bool half = slots > timeouts->timer_count && (uint64_t)count * 16 <= (uint64_t)slots * 15;
    if (!made && !(half && slots_make(timeouts, slots))) {
        return false;
    }
    for (uint32_t place = 0; place < timeouts->timer_count; place++) {
        const struct timer *timer = timer_at(timeouts, place);
        prefetch_slot(timeouts, place + PREFETCH_PLACES);
        if (timer->cold == NULL) {
            continue;
        }
        CHECK(timeouts->slots_used < count);
        if (timer_find(timeouts, timer_key(timer), timer->hash) != TIMER_NONE) {
            return false;
        }
        enter(timeouts, place);
    }
    return true;
}

uint32_t timer_add(struct timeouts *timeouts, uint32_t hash, struct timer_cold *cold)
{
    uint32_t place = timeouts->free_first;
    if (!slots_have_room(timeouts)) {
        return TIMER_NONE;
    }
    if (place != TIMER_NONE) {
        timeouts->free_first = timer_at(timeouts, place)->next;
    } else {
        place = timeouts->timer_count;
        if (!timers_reach(timeouts, place + 1)) {
            return TIMER_NONE;
        }
    }
    *timer_at(timeouts, place) =
        (struct timer){.cold = cold, .hash = hash, .next = TIMER_NONE, .state = TIMEOUT_ABSENT};
    enter(timeouts, place);
    timeouts->used = cost_sum(timeouts->used, cost_of(timeouts, timer_at(timeouts, place)));
    return place;
}

void timer_remove(struct timeouts *timeouts, uint32_t place)
{
    struct timer *timer = timer_at(timeouts, place);
    CHECK(timer->state == TIMEOUT_ABSENT && timer->cold != NULL);
    slot_take(timeouts, place);
    timeouts->used = cost_rest(timeouts->used, cost_of(timeouts, timer));
    timer_cold_free(timeouts, timer->cold);
    *timer = (struct timer){.next = timeouts->free_first};
    timeouts->free_first = place;
}

/* --- states and lists --- */

void timer_link_ended(struct timeouts *timeouts, uint32_t place)
{
    struct timer *timer = timer_at(timeouts, place);
    timer->next = TIMER_NONE;
    timer->previous = timeouts->ended_last;
    if (timeouts->ended_last == TIMER_NONE) {
        timeouts->ended_first = place;
    } else {
        timer_at(timeouts, timeouts->ended_last)->next = place;
    }
    timeouts->ended_last = place;
    timeouts->ended_count++;
    timeouts->ended = cost_sum(timeouts->ended, cost_of(timeouts, timer));
}

static void ended_take(struct timeouts *timeouts, uint32_t place)
{
    struct timer *timer = timer_at(timeouts, place);
    if (timer->previous == TIMER_NONE) {
        timeouts->ended_first = timer->next;
    } else {
        timer_at(timeouts, timer->previous)->next = timer->next;
    }
    if (timer->next == TIMER_NONE) {
        timeouts->ended_last = timer->previous;
    } else {
        timer_at(timeouts, timer->next)->previous = timer->previous;
    }
    timer->next = TIMER_NONE;
    timer->previous = 0;
    timeouts->ended_count--;
    timeouts->ended = cost_rest(timeouts->ended, cost_of(timeouts, timer));
}

void timer_count(struct timeouts *timeouts, const struct timer *timer, int by)
{
    if (timer->state == TIMEOUT_ABSENT) {
        return;
    }
    bool waits = timer->state == TIMEOUT_PENDING && (timer->flags & TIMER_BY_EVENTS) != 0;
    timeouts->counts[timer->state] += (uint64_t)(int64_t)by;
    timeouts->pending_by_events += waits ? (uint64_t)(int64_t)by : 0;
}

void timer_set_state(struct timeouts *timeouts, uint32_t place, enum timeout_state state)
{
    struct timer *timer = timer_at(timeouts, place);
    CHECK((allowed[timer->state] >> state & 1) != 0);
    if (timer_is_ended(timer)) {
        ended_take(timeouts, place);
    } else if ((timer->flags & TIMER_UNFILED) != 0) {
        timer_unlink(timeouts, place);
    }
    timer_count(timeouts, timer, -1);
    timer->state = (uint8_t)state;
    timer_count(timeouts, timer, 1);
    if (timer_is_ended(timer)) {
        timer_link_ended(timeouts, place);
    }
}

void timer_set_flags(struct timeouts *timeouts, uint32_t place, uint8_t flags)
{
    struct timer *timer = timer_at(timeouts, place);
    timer_count(timeouts, timer, -1);
    timer->flags = flags;
    timer_count(timeouts, timer, 1);
}

void timer_forget_oldest(struct timeouts *timeouts)
{
    uint32_t place = timeouts->ended_first;
    CHECK(place != TIMER_NONE);
    timer_set_state(timeouts, place, TIMEOUT_ABSENT);
    timer_remove(timeouts, place);
}

/* An empty calendar begins where time is now, so that what is far is filed as such: millions of items that
 * stand in one bucket would be spread in one go, when the first of them is due. */
bool timer_add_item(struct timeouts *timeouts, bool by_events, struct calendar_item item)
{
    struct calendar *calendar = by_events ? &timeouts->by_events : &timeouts->by_clock;
    if (calendar->count == 0 && by_events) {
        int64_t watermark = timeouts->now.watermark;
        bool known = watermark != WATERMARK_NONE && watermark != WATERMARK_FINAL;
        calendar_begin(calendar, known ? watermark : time_add(item.time, -1));
    } else if (calendar->count == 0) {
        calendar_begin(calendar, timeouts->now.clock.us);
    }
    return calendar_add(calendar, item);
}

bool timer_file(struct timeouts *timeouts, uint32_t place)
{
    const struct timer *timer = timer_at(timeouts, place);
    struct calendar_item item = {.time = timer->deadline, .timer = place, .arming = timer->arming};
    return timer_add_item(timeouts, (timer->flags & TIMER_BY_EVENTS) != 0, item);
}

void timer_unfile(struct timeouts *timeouts, uint32_t place)
{
    struct timer *timer = timer_at(timeouts, place);
    CHECK(timer->state == TIMEOUT_PENDING && (timer->flags & TIMER_UNFILED) == 0);
    timer->flags |= TIMER_UNFILED;
    timer->next = TIMER_NONE;
    if (timeouts->unfiled_last == TIMER_NONE) {
        timeouts->unfiled_first = place;
    } else {
        timer_at(timeouts, timeouts->unfiled_last)->next = place;
    }
    timeouts->unfiled_last = place;
    timeouts->unfiled_count++;
}

void timer_unlink(struct timeouts *timeouts, uint32_t place)
{
    uint32_t previous = TIMER_NONE;
    uint32_t at = timeouts->unfiled_first;
    for (; at != place; at = timer_at(timeouts, at)->next) {
        CHECK(at != TIMER_NONE);
        previous = at;
    }
    struct timer *timer = timer_at(timeouts, place);
    if (previous == TIMER_NONE) {
        timeouts->unfiled_first = timer->next;
    } else {
        timer_at(timeouts, previous)->next = timer->next;
    }
    if (timeouts->unfiled_last == place) {
        timeouts->unfiled_last = previous;
    }
    timer->flags &= (uint8_t)~TIMER_UNFILED;
    timer->next = TIMER_NONE;
    timeouts->unfiled_count--;
}

/* --- time --- */

int64_t timers_due_until(const struct timeouts_time *time, bool by_events)
{
    if (!by_events || time->watermark == WATERMARK_FINAL || time->watermark == WATERMARK_NONE) {
        return by_events ? time->watermark : time->clock.us;
    }
    return time->watermark - 1;
}

bool timer_is_due(const struct timer *timer, const struct timeouts_time *time)
{
    bool by_events = (timer->flags & TIMER_BY_EVENTS) != 0;
    bool nothing_heard = by_events && time->watermark == WATERMARK_NONE;
    return !nothing_heard && timer->deadline <= timers_due_until(time, by_events);
}

void timer_end(struct timeouts *timeouts,
               uint32_t place,
               enum timeout_state state,
               struct clock_time clock,
               uint64_t position)
{
    struct timer_cold *cold = timer_at(timeouts, place)->cold;
    cold->ended_us = clock.us;
    cold->version++;
    cold->decided_at = position;
    timer_set_state(timeouts, place, state);
    if (timeouts->ended_count > timeouts->limits.ended_max) {
        timer_forget_oldest(timeouts);
    }
}

/* --- what is shown --- */

void timer_object(const struct timer *timer,
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
        .has_data = cold->data_len > 0,
        .within_us = has_within ? cold->given : 0,
        .deadline = timer->deadline,
        .event_time = {cold->event_time},
        .created = {cold->created_us},
        .last_seen = {cold->last_seen_us},
        .ended = {cold->ended_us},
        .decided_at = cold->decided_at,
    };
}

/* --- validation --- */

static void lists_validate(const struct timeouts *timeouts, uint32_t free_count)
{
    uint32_t previous = TIMER_NONE;
    uint32_t count = 0;
    for (uint32_t at = timeouts->ended_first; at != TIMER_NONE; count++) {
        const struct timer *timer = timer_at(timeouts, at);
        CHECK(count < timeouts->ended_count);
        CHECK(timer_is_ended(timer));
        CHECK(timer->previous == previous);
        CHECK(previous == TIMER_NONE ||
              timer_at(timeouts, previous)->cold->ended_us <= timer->cold->ended_us);
        previous = at;
        at = timer->next;
    }
    CHECK(count == timeouts->ended_count);
    CHECK(timeouts->ended_last == previous);
    count = 0;
    for (uint32_t at = timeouts->unfiled_first; at != TIMER_NONE; count++) {
        CHECK((timer_at(timeouts, at)->flags & TIMER_UNFILED) != 0);
        CHECK(count < timeouts->unfiled_count);
        at = timer_at(timeouts, at)->next;
    }
    CHECK(count == timeouts->unfiled_count);
    count = 0;
    for (uint32_t at = timeouts->free_first; at != TIMER_NONE; count++) {
        CHECK(count < free_count);
        at = timer_at(timeouts, at)->next;
    }
    CHECK(count == free_count);
}

void timers_validate(const struct timeouts *timeouts)
{
    uint64_t counts[TIMEOUT_STATES] = {0};
    struct timer_cost used = {0};
    struct timer_cost ended = {0};
    uint64_t by_events = 0;
    for (uint32_t place = 0; place < timeouts->timer_count; place++) {
        const struct timer *timer = timer_at(timeouts, place);
        counts[timer->state]++;
        by_events +=
            timer->state == TIMEOUT_PENDING && (timer->flags & TIMER_BY_EVENTS) != 0 ? 1 : 0;
        CHECK((timer->cold == NULL) == (timer->state == TIMEOUT_ABSENT));
        if (timer->cold != NULL) {
            CHECK(timer_find(timeouts, timer_key(timer), timer->hash) == place);
            struct timer_cost cost = cost_of(timeouts, timer);
            used = cost_sum(used, cost);
            ended = timer_is_ended(timer) ? cost_sum(ended, cost) : ended;
        }
    }
    for (uint32_t state = TIMEOUT_PENDING; state < TIMEOUT_STATES; state++) {
        CHECK(counts[state] == timeouts->counts[state]);
    }
    CHECK(by_events == timeouts->pending_by_events);
    CHECK(timeouts->slots_used + counts[TIMEOUT_ABSENT] == timeouts->timer_count);
    CHECK(timeouts->used.bytes == used.bytes && timeouts->used.cold == used.cold);
    CHECK(timeouts->ended.bytes == ended.bytes && timeouts->ended.cold == ended.cold);
    lists_validate(timeouts, (uint32_t)counts[TIMEOUT_ABSENT]);
}
