/* Explicit timeouts against a naive list: random commands, pulses, jumps of both clocks, saves and
 * loads. The list is looked through from end to end each time, and knows no table and no calendar. */
#include "timeouts_rig.h"

#define KEYS       60
#define STEPS      20000
#define STEPS_LONG 1000000
#define DATA_KINDS 3

struct naive {
    enum timeout_state state;
    bool by_events;
    bool has_within;
    bool has_event_time;
    bool born_late;
    uint32_t generation;
    uint64_t version;
    int64_t given;
    int64_t deadline;
    int64_t event_time;
    int64_t created;
    int64_t last_seen;
    int64_t latest_event;
    int64_t ended;
    uint64_t decided_at;
    uint64_t turn; /* pending: order among equal deadlines; ended: which came first */
    uint32_t data;
};

struct model {
    struct naive list[KEYS];
    uint64_t turns;
    uint32_t pending_max;
    uint32_t ended_max;
    int64_t clock;
    int64_t watermark;
};

static struct timeouts_rig rig;
static struct model model;
static uint64_t dice;

static const char *const data_texts[DATA_KINDS] = {"", "{}", "{\"a\":[1,2,3]}"};

static uint32_t chance(uint32_t of)
{
    return (uint32_t)random_below(&dice, of);
}

static bool is_ended(const struct naive *one)
{
    return one->state != TIMEOUT_ABSENT && one->state != TIMEOUT_PENDING;
}

static uint32_t count_of(bool ended)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < KEYS; n++) {
        const struct naive *one = &model.list[n];
        count += ended ? is_ended(one) : one->state == TIMEOUT_PENDING;
    }
    return count;
}

static struct naive *oldest_ended(void)
{
    struct naive *oldest = NULL;
    for (uint32_t n = 0; n < KEYS; n++) {
        struct naive *one = &model.list[n];
        if (is_ended(one) && (oldest == NULL || one->turn < oldest->turn)) {
            oldest = one;
        }
    }
    return oldest;
}

static void end(struct naive *one, enum timeout_state state)
{
    one->state = state;
    one->ended = model.clock;
    one->version++;
    one->decided_at = rig.position;
    one->turn = ++model.turns;
    while (count_of(true) > model.ended_max) {
        *oldest_ended() = (struct naive){0};
    }
}

static bool is_due(const struct naive *one)
{
    if (!one->by_events) {
        return one->deadline <= model.clock;
    }
    return model.watermark == WATERMARK_FINAL || model.watermark > one->deadline;
}

static uint32_t data_kind(struct bytes data)
{
    uint32_t kind = 0;
    while (!bytes_equal(data, bytes_of_string(data_texts[kind]))) {
        kind++;
    }
    return kind;
}

/* All that a create sets. */
static void begin(struct naive *one, const struct timeout_command *command)
{
    bool by_event_time = command->clock == TIMEOUT_BY_EVENTS && command->has_event_time;
    one->by_events = command->clock == TIMEOUT_BY_EVENTS;
    one->has_within = !command->has_deadline;
    one->has_event_time = command->has_event_time;
    one->event_time = command->event_time.us;
    one->latest_event = command->has_event_time ? command->event_time.us : INT64_MIN;
    one->given = command->has_deadline ? command->deadline : command->within_us;
    one->deadline = command->has_deadline ? command->deadline
                                          : (by_event_time ? command->event_time.us : model.clock) +
                                                command->within_us;
    one->created = model.clock;
    one->last_seen = model.clock;
    one->ended = 0;
    one->born_late = is_due(one);
    one->data = data_kind(command->data);
}

static bool is_same(const struct naive *one, const struct timeout_command *command)
{
    return one->by_events == (command->clock == TIMEOUT_BY_EVENTS) &&
           one->has_within == !command->has_deadline &&
           one->given == (command->has_deadline ? command->deadline : command->within_us) &&
           one->has_event_time == command->has_event_time &&
           one->event_time == command->event_time.us && one->data == data_kind(command->data);
}

static enum timeout_outcome create(struct naive *one, const struct timeout_command *command)
{
    if (one->state == TIMEOUT_COMPLETED_EARLY) {
        begin(one, command);
        end(one, TIMEOUT_COMPLETED);
        return TIMEOUT_CREATED;
    }
    if (one->state == TIMEOUT_PENDING && is_same(one, command)) {
        return TIMEOUT_UNCHANGED;
    }
    if (one->state != TIMEOUT_ABSENT && command->on_exists == TIMEOUT_RETURN) {
        return TIMEOUT_UNCHANGED;
    }
    if (one->state != TIMEOUT_ABSENT && command->on_exists == TIMEOUT_REJECT) {
        return one->state == TIMEOUT_PENDING ? TIMEOUT_DIFFERS
               : one->state == TIMEOUT_FIRED ? TIMEOUT_ALREADY_FIRED
                                             : TIMEOUT_ENDED;
    }
    if (one->state != TIMEOUT_PENDING && count_of(false) >= model.pending_max) {
        return TIMEOUT_NO_ROOM;
    }
    begin(one, command);
    one->state = TIMEOUT_PENDING;
    one->generation++;
    one->version++;
    one->decided_at = rig.position;
    one->turn = ++model.turns;
    return TIMEOUT_CREATED;
}

static enum timeout_outcome finish(struct naive *one, enum timeout_state wanted)
{
    if (one->state == TIMEOUT_ABSENT) {
        one->generation = 1;
        one->created = model.clock;
        one->last_seen = model.clock;
        end(one, TIMEOUT_COMPLETED_EARLY);
        return TIMEOUT_EARLY;
    }
    if (one->state == TIMEOUT_PENDING) {
        end(one, wanted);
        return TIMEOUT_CHANGED;
    }
    return one->state == wanted                    ? TIMEOUT_UNCHANGED
           : one->state == TIMEOUT_COMPLETED_EARLY ? TIMEOUT_EARLY
           : one->state == TIMEOUT_FIRED           ? TIMEOUT_ALREADY_FIRED
                                                   : TIMEOUT_ENDED;
}

static enum timeout_outcome beat(struct naive *one, const struct timeout_command *command)
{
    if (one->state != TIMEOUT_PENDING) {
        return one->state == TIMEOUT_ABSENT  ? TIMEOUT_UNKNOWN
               : one->state == TIMEOUT_FIRED ? TIMEOUT_ALREADY_FIRED
                                             : TIMEOUT_ENDED;
    }
    bool by_event_time = one->by_events && one->has_event_time;
    int64_t started = by_event_time ? one->event_time : one->created;
    int64_t reach = command->within_us > 0 ? command->within_us
                    : one->has_within      ? one->given
                                           : one->given - started;
    bool told = one->by_events && command->has_event_time;
    int64_t deadline = (told ? command->event_time.us : model.clock) + reach;
    if (told && command->event_time.us < one->latest_event) {
        deadline = one->deadline; /* overtaken by a later one */
    } else if (told) {
        one->latest_event = command->event_time.us;
    }
    one->turn = deadline < one->deadline ? ++model.turns : one->turn;
    one->deadline = deadline;
    one->last_seen = model.clock;
    one->version++;
    one->decided_at = rig.position;
    return TIMEOUT_CHANGED;
}

static enum timeout_outcome decide(struct naive *one, const struct timeout_command *command)
{
    bool there = one->state != TIMEOUT_ABSENT;
    if (command->has_version && command->version != one->version) {
        return TIMEOUT_OTHER_VERSION;
    }
    if (there && command->generation > 0 && command->generation != one->generation) {
        return TIMEOUT_OTHER_GENERATION;
    }
    if (!there && command->generation > 1 && command->op != TIMEOUT_HEARTBEAT) {
        return TIMEOUT_OTHER_GENERATION;
    }
    switch (command->op) {
    case TIMEOUT_CREATE:
        return create(one, command);
    case TIMEOUT_COMPLETE:
        return finish(one, TIMEOUT_COMPLETED);
    case TIMEOUT_CANCEL:
        return finish(one, TIMEOUT_CANCELLED);
    case TIMEOUT_HEARTBEAT:
        return beat(one, command);
    }
    fail();
    return TIMEOUT_UNANSWERED;
}

static void assert_same(const struct naive *one, const struct timeout_object *object)
{
    assert_int_equal(object->state, one->state);
    if (one->state == TIMEOUT_ABSENT) {
        return;
    }
    assert_int_equal(object->clock, one->by_events ? TIMEOUT_BY_EVENTS : TIMEOUT_BY_PROCESSING);
    assert_int_equal(object->generation, one->generation);
    assert_int_equal(object->version, one->version);
    assert_int_equal(object->born_late, one->born_late);
    assert_int_equal(object->has_within, one->has_within);
    assert_int_equal(object->within_us, one->has_within ? one->given : 0);
    assert_int_equal(object->deadline, one->deadline);
    assert_int_equal(object->has_event_time, one->has_event_time);
    assert_int_equal(object->event_time.us, one->event_time);
    assert_int_equal(object->created.us, one->created);
    assert_int_equal(object->last_seen.us, one->last_seen);
    assert_int_equal(object->ended.us, one->ended);
    assert_int_equal(object->decided_at, one->decided_at);
    bool due = one->state == TIMEOUT_PENDING && one->by_events && one->deadline <= model.clock;
    assert_int_equal(object->held, due && rig.hold);
}

/* --- steps --- */

static int64_t some_span(void)
{
    static const int64_t spans[] = {3, 100, 5000, US_PER_SECOND, US_PER_HOUR, 3 * US_PER_DAY};
    return 1 + (int64_t)random_below(&dice, (uint64_t)spans[chance(6)]);
}

static void some_key(char *key, size_t size, uint32_t n)
{
    (void)snprintf(key, size, "key-%u", n);
}

static void step_command(void)
{
    char key[16];
    uint32_t n = chance(KEYS);
    some_key(key, sizeof(key), n);
    struct timeout_command command = {.key = bytes_of_string(key)};
    static const enum timeout_op ops[] = {
        TIMEOUT_CREATE, TIMEOUT_CREATE, TIMEOUT_COMPLETE, TIMEOUT_CANCEL, TIMEOUT_HEARTBEAT};
    command.op = ops[chance(5)];
    command.has_event_time = chance(3) == 0;
    command.event_time.us = command.has_event_time ? model.clock + some_span() - some_span() : 0;
    if (command.op == TIMEOUT_CREATE) {
        command.clock = chance(2) == 0 ? TIMEOUT_BY_EVENTS : TIMEOUT_BY_PROCESSING;
        command.on_exists = (enum timeout_on_exists)chance(3);
        command.data = bytes_of_string(data_texts[chance(DATA_KINDS)]);
        command.has_deadline = chance(3) == 0;
        command.deadline = command.has_deadline ? model.clock + some_span() - some_span() / 2 : 0;
        command.within_us = command.has_deadline ? 0 : some_span();
    } else {
        command.generation = chance(4) == 0 ? chance(4) : 0;
        command.within_us = command.op == TIMEOUT_HEARTBEAT && chance(2) == 0 ? some_span() : 0;
    }
    command.has_version = chance(10) == 0;
    command.version = command.has_version ? chance(4) : 0;
    rig.clock = model.clock;
    struct timeout_result result = timeouts_rig_do(&rig, &command);
    struct naive *one = &model.list[n];
    assert_int_equal(result.outcome, decide(one, &command));
    assert_same(one, &result.object);
}

/* The naive one that fires next by this clock; NULL: none is due. */
static struct naive *next_due(bool by_events)
{
    struct naive *least = NULL;
    for (uint32_t n = 0; n < KEYS; n++) {
        struct naive *one = &model.list[n];
        if (one->state != TIMEOUT_PENDING || one->by_events != by_events || !is_due(one)) {
            continue;
        }
        if (least == NULL || one->deadline < least->deadline ||
            (one->deadline == least->deadline && one->turn < least->turn)) {
            least = one;
        }
    }
    return least;
}

static void expect_fired(bool by_events, uint32_t *told)
{
    for (struct naive *one; (one = next_due(by_events)) != NULL;) {
        if (by_events && rig.hold) {
            return;
        }
        char key[16];
        some_key(key, sizeof(key), (uint32_t)(one - model.list));
        assert_true(*told < rig.told_count);
        const struct told *note = &rig.told[(*told)++];
        assert_string_equal(note->key, key);
        assert_string_equal(note->data, data_texts[one->data]);
        assert_int_equal(note->generation, one->generation);
        assert_int_equal(note->deadline, one->deadline);
        assert_int_equal(note->started,
                         by_events && one->has_event_time ? one->event_time : one->created);
        assert_int_equal(note->last_seen, one->last_seen);
        assert_int_equal(note->flags,
                         (one->born_late ? NOTE_BORN_LATE : 0) | (by_events ? NOTE_BY_EVENTS : 0));
        end(one, TIMEOUT_FIRED);
    }
}

static void move_watermark(void)
{
    switch (chance(20)) {
    case 0:
        model.watermark = WATERMARK_FINAL;
        break;
    case 1:
        model.watermark = model.clock - some_span(); /* reopened: it may fall */
        break;
    default:
        if (model.watermark != WATERMARK_FINAL && model.watermark < model.clock) {
            model.watermark = model.watermark == WATERMARK_NONE
                                  ? model.clock - some_span()
                                  : model.watermark + some_span() % 100000;
        }
        break;
    }
}

static void step_pulse(void)
{
    move_watermark();
    rig.watermark = model.watermark;
    rig.hold = chance(5) == 0;
    rig.told_count = 0;
    timeouts_rig_pulse(&rig, model.clock);
    for (struct naive *one; (one = oldest_ended()) != NULL;) {
        if (one->ended > model.clock - TIMEOUTS_ENDED_US) {
            break;
        }
        *one = (struct naive){0};
    }
    uint32_t told = 0;
    bool events_first = rig.ordinal % 2 == 1;
    expect_fired(events_first, &told);
    expect_fired(!events_first, &told);
    assert_int_equal(told, rig.told_count);
}

/* Nothing is due before next_due says so. */
static void check_next_due(void)
{
    struct timeouts_due due = timeouts_next_due(&rig.timeouts);
    int64_t clock = INT64_MAX;
    int64_t watermark = INT64_MAX;
    for (uint32_t n = 0; n < KEYS; n++) {
        const struct naive *one = &model.list[n];
        if (one->state == TIMEOUT_PENDING && one->by_events) {
            watermark = one->deadline + 1 < watermark ? one->deadline + 1 : watermark;
        } else if (one->state == TIMEOUT_PENDING) {
            clock = one->deadline < clock ? one->deadline : clock;
        }
    }
    assert_true(due.clock <= clock);
    assert_true(due.watermark <= watermark);
}

static void check_all(void)
{
    uint64_t counts[TIMEOUT_STATES] = {0};
    for (uint32_t n = 0; n < KEYS; n++) {
        char key[16];
        struct timeout_view view;
        some_key(key, sizeof(key), n);
        timeouts_look(&rig.timeouts, bytes_of_string(key), &rig.timeouts.now, &view);
        assert_same(&model.list[n], &view.object);
        assert_true(bytes_equal(view.data, bytes_of_string(data_texts[model.list[n].data])));
        counts[model.list[n].state]++;
    }
    for (uint32_t state = TIMEOUT_PENDING; state < TIMEOUT_STATES; state++) {
        assert_int_equal(rig.timeouts.counts[state], counts[state]);
    }
    timeouts_validate(&rig.timeouts);
    check_next_due();
}

/* The engine goes on from its own saved bytes, and would save the same again. */
static void step_reload(void)
{
    struct bytes saved = timeouts_rig_save(&rig);
    uint8_t *first = malloc(saved.len);
    assert_non_null(first);
    memcpy(first, saved.data, saved.len);
    assert_true(timeouts_rig_load(&rig, bytes_of(first, saved.len)));
    struct bytes again = timeouts_rig_save(&rig);
    assert_true(bytes_equal(bytes_of(first, saved.len), again));
    free(first);
}

static void run(uint32_t pending_max, uint32_t ended_max, uint32_t steps)
{
    bool apart = chance(2) == 0; /* cold parts in a heap of their own, which changes nothing */
    timeouts_rig_open(&rig,
                      (struct timeouts_limits){.pending_max = pending_max,
                                               .ended_max = ended_max,
                                               .cold_max = apart ? (size_t)16 << 20 : 0});
    model = (struct model){.pending_max = pending_max, .ended_max = ended_max};
    model.watermark = WATERMARK_NONE;
    rig.watermark = WATERMARK_NONE;
    model.clock = 1000;
    for (uint32_t n = 0; n < steps; n++) {
        uint32_t what = chance(1000);
        if (what < 700) {
            step_command();
        } else if (what < 980) {
            model.clock += chance(50) == 0 ? some_span() : chance(2000);
            step_pulse();
        } else if (what < 990) {
            check_all();
        } else {
            step_reload();
        }
    }
    check_all();
    assert_true(rig.timeouts.fired_total > steps / 100);
    timeouts_rig_close(&rig);
}

static uint32_t steps(void)
{
    return is_long_run() ? STEPS_LONG : STEPS;
}

static void random_commands_and_pulses_agree_with_a_naive_list(void **state)
{
    (void)state;
    run(KEYS, KEYS, steps());
}

static void they_agree_when_little_is_remembered_and_room_is_short(void **state)
{
    (void)state;
    run(20, 7, steps());
    run(KEYS, 1, steps());
}

int main(void)
{
    dice = seed_of_run("core/timeouts_random_test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_commands_and_pulses_agree_with_a_naive_list),
        cmocka_unit_test(they_agree_when_little_is_remembered_and_room_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
