/* Timeouts as bytes and back (docs/formats/snapshot.md has the layout), and their validation.
 *
 * Places and lists are kept as they are, since later answers depend on them; the table and the
 * calendars are made anew: what comes out of them does not depend on how they came about. */
#include "base/check.h"
#include "core/timeout_table.h"

static void save_timer(const struct timer *timer, struct writer *out)
{
    write_u32(out, timer->state | (uint32_t)timer->flags << 8);
    write_u32(out, timer->next);
    if (timer->state == TIMEOUT_ABSENT) {
        return;
    }
    const struct timer_cold *cold = timer->cold;
    write_u32(out, timer_is_ended(timer) ? 0 : timer->arming);
    write_u32(out, cold->generation);
    write_i64(out, timer->deadline);
    write_u64(out, cold->version);
    write_u64(out, cold->decided_at);
    write_i64(out, cold->given);
    write_i64(out, cold->event_time);
    write_i64(out, cold->created_us);
    write_i64(out, cold->last_seen_us);
    write_i64(out, cold->latest_event);
    write_i64(out, cold->ended_us);
    write_string(out, timer_key(timer));
    write_string(out, timer_data(timer));
}

void timeouts_save(const struct timeouts *timeouts, struct writer *out)
{
    write_i64(out, timeouts->now.clock.us);
    write_i64(out, timeouts->now.watermark);
    write_u32(out, timeouts->now.hold ? 1 : 0);
    write_u32(out, timeouts->arming);
    write_u64(out, timeouts->fired_total);
    write_u64(out, timeouts->no_room_total);
    write_u32(out, timeouts->free_first);
    write_u32(out, timeouts->ended_first);
    write_u32(out, timeouts->timer_count);
    for (uint32_t place = 0; place < timeouts->timer_count; place++) {
        save_timer(timer_at(timeouts, place), out);
    }
}

/* Both texts, read into the cold part that has room for them: the data's length follows the key. */
static struct timer_cold *load_texts(struct timeouts *timeouts, uint32_t key_len, struct loader *in)
{
    uint8_t key[TIMEOUT_KEY_MAX + sizeof(uint32_t)];
    if (in->bad || key_len < 1 || key_len > TIMEOUT_KEY_MAX) {
        return NULL;
    }
    load_bytes(in, key, key_len + sizeof(uint32_t));
    struct reader behind = reader_of(bytes_of(key + key_len, sizeof(uint32_t)));
    uint32_t data_len = read_u32(&behind);
    if (in->bad || data_len > TIMEOUT_DATA_MAX) {
        return NULL;
    }
    struct timer_cold *cold = timer_cold_new(timeouts, bytes_of(key, key_len), data_len);
    if (cold != NULL) {
        load_bytes(in, cold->bytes + key_len, data_len);
    }
    return cold;
}

/* Numbers of one length, taken together: there are millions of them. */
#define TIMER_NUMBERS_BYTES (2 * sizeof(uint32_t) + 9 * sizeof(int64_t) + sizeof(uint32_t))

static bool load_rest(struct timeouts *timeouts, struct timer *timer, struct loader *in)
{
    uint8_t numbers[TIMER_NUMBERS_BYTES];
    load_bytes(in, numbers, sizeof(numbers));
    struct reader reader = reader_of(bytes_of(numbers, sizeof(numbers)));
    timer->arming = read_u32(&reader);
    struct timer_cold cold = {.generation = read_u32(&reader)};
    timer->deadline = read_i64(&reader);
    cold.version = read_u64(&reader);
    cold.decided_at = read_u64(&reader);
    cold.given = read_i64(&reader);
    cold.event_time = read_i64(&reader);
    cold.created_us = read_i64(&reader);
    cold.last_seen_us = read_i64(&reader);
    cold.latest_event = read_i64(&reader);
    cold.ended_us = read_i64(&reader);
    timer->cold = load_texts(timeouts, read_u32(&reader), in);
    if (timer->cold == NULL || in->bad) {
        return false;
    }
    cold.key_len = timer->cold->key_len;
    cold.data_len = timer->cold->data_len;
    memcpy(timer->cold, &cold, offsetof(struct timer_cold, bytes));
    struct timer_cost cost = timer_cost(timeouts, cold.key_len, cold.data_len);
    timeouts->used = cost_sum(timeouts->used, cost);
    timer->hash = (uint32_t)timeout_hash(timer_key(timer), timeouts->limits.seed);
    return true;
}

static bool load_timer(struct timeouts *timeouts, uint32_t place, struct loader *in)
{
    struct timer *timer = timer_at(timeouts, place);
    uint8_t numbers[2 * sizeof(uint32_t)];
    load_bytes(in, numbers, sizeof(numbers));
    struct reader reader = reader_of(bytes_of(numbers, sizeof(numbers)));
    uint32_t state_and_flags = read_u32(&reader);
    uint32_t state = state_and_flags & 0xff;
    uint32_t flags = state_and_flags >> 8;
    *timer =
        (struct timer){.next = read_u32(&reader), .state = (uint8_t)state, .flags = (uint8_t)flags};
    bool known = state < TIMEOUT_STATES && state != TIMEOUT_RETRACTED; /* which is for rules */
    if (in->bad || !known || flags > TIMER_FLAGS_ALL) {
        return false;
    }
    timer_count(timeouts, timer, 1);
    if (state == TIMEOUT_ABSENT) {
        return flags == 0;
    }
    return load_rest(timeouts, timer, in);
}

/* The list must hold every ended timer once, and end. */
static bool link_ended(struct timeouts *timeouts, uint32_t first, uint64_t count)
{
    uint32_t place = first;
    for (uint64_t n = 0; n < count; n++) {
        if (place >= timeouts->timer_count || place == timeouts->ended_last ||
            !timer_is_ended(timer_at(timeouts, place))) {
            return false;
        }
        uint32_t next = timer_at(timeouts, place)->next;
        timer_link_ended(timeouts, place);
        place = next;
    }
    return place == TIMER_NONE;
}

static bool walk_free(const struct timeouts *timeouts, uint64_t count)
{
    uint32_t place = timeouts->free_first;
    for (uint64_t n = 0; n < count; n++) {
        if (place >= timeouts->timer_count || timer_at(timeouts, place)->state != TIMEOUT_ABSENT) {
            return false;
        }
        place = timer_at(timeouts, place)->next;
    }
    return place == TIMER_NONE;
}

/* Unfiled ones get a new chance; which of them find no memory has no say in what fires. */
static void file_all(struct timeouts *timeouts)
{
    for (uint32_t place = 0; place < timeouts->timer_count; place++) {
        struct timer *timer = timer_at(timeouts, place);
        timer->flags &= (uint8_t)~TIMER_UNFILED;
        if (timer->state == TIMEOUT_PENDING && !timer_file(timeouts, place)) {
            timer_unfile(timeouts, place);
        }
    }
}

bool timeouts_load(struct timeouts *timeouts, struct loader *in)
{
    CHECK(timeouts->timer_count == 0);
    timeouts->now.clock.us = load_i64(in);
    timeouts->now.watermark = load_i64(in);
    timeouts->now.hold = load_u32(in) != 0;
    timeouts->arming = load_u32(in);
    timeouts->fired_total = load_u64(in);
    timeouts->no_room_total = load_u64(in);
    uint32_t free_first = load_u32(in);
    uint32_t ended_first = load_u32(in);
    uint32_t count = load_u32(in);
    if (in->bad || count > TIMERS_MAX) {
        return false;
    }
    for (uint32_t place = 0; place < count; place++) {
        if (!timers_reach(timeouts, place + 1) || !load_timer(timeouts, place, in)) {
            return false;
        }
    }
    uint64_t there = 0;
    for (uint32_t state = TIMEOUT_PENDING; state < TIMEOUT_STATES; state++) {
        there += timeouts->counts[state];
    }
    timeouts->free_first = free_first;
    if (!timers_enter_all(timeouts, (uint32_t)there) || !walk_free(timeouts, count - there) ||
        !link_ended(timeouts, ended_first, there - timeouts->counts[TIMEOUT_PENDING])) {
        return false;
    }
    file_all(timeouts);
    return !in->bad;
}

void timeouts_validate(const struct timeouts *timeouts)
{
    timers_validate(timeouts);
    calendar_validate(&timeouts->by_clock);
    calendar_validate(&timeouts->by_events);
    uint64_t items = timeouts->by_clock.count + timeouts->by_events.count;
    CHECK(items + timeouts->unfiled_count >= timeouts->counts[TIMEOUT_PENDING]);
    CHECK(timeouts->ended_count <= timeouts->limits.ended_max);
    for (uint32_t place = 0; place < timeouts->timer_count; place++) {
        const struct timer *timer = timer_at(timeouts, place);
        if (timer->state == TIMEOUT_ABSENT) {
            continue;
        }
        CHECK(timer->cold->generation >= 1);
        CHECK(timer->cold->version >= 1);
        CHECK(timer->cold->created_us <= timer->cold->last_seen_us);
        CHECK(timer->state != TIMEOUT_PENDING || timer->arming <= timeouts->arming);
        CHECK(timer->state != TIMEOUT_PENDING || timer->cold->ended_us == 0);
    }
}
