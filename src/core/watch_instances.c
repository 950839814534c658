/* The instances of a watch: opening, ending, telling and forgetting them.
 *
 * The one place that moves an instance between its lists, so that counts, `deadlines` and `ended` agree
 * with its state. */
#include "core/watch_keys.h"

#include "base/check.h"

static int sign_of(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int watch_instance_order(const struct due_node *a, const struct due_node *b)
{
    const struct watch_instance *left = (const struct watch_instance *)(const void *)a;
    const struct watch_instance *right = (const struct watch_instance *)(const void *)b;
    int order = left->key == right->key
                    ? 0
                    : bytes_compare(watch_key_text(left->key), watch_key_text(right->key));
    return order != 0 ? order : sign_of(left->start, right->start);
}

size_t watch_instance_bytes(const struct rule *rule)
{
    return rule->kind == RULE_SILENCE ? sizeof(struct watch_silence)
                                      : sizeof(struct watch_instance);
}

int64_t watch_fires_at(const struct watch_act *act, const struct watch_instance *instance)
{
    return time_add(instance->deadline, act->rule->rule.grace_us);
}

/* Behind the last one that starts before it: nearly always at the end. */
static void link_in(struct watch_instance **first,
                    struct watch_instance **last,
                    struct watch_instance *instance)
{
    struct watch_instance *before = *last;
    while (before != NULL && before->start > instance->start) {
        before = before->previous;
    }
    instance->previous = before;
    instance->next = before == NULL ? *first : before->next;
    *(before == NULL ? first : &before->next) = instance;
    *(instance->next == NULL ? last : &instance->next->previous) = instance;
}

static void link_out(struct watch_instance **first,
                     struct watch_instance **last,
                     struct watch_instance *instance)
{
    *(instance->previous == NULL ? first : &instance->previous->next) = instance->next;
    *(instance->next == NULL ? last : &instance->next->previous) = instance->previous;
    instance->next = NULL;
    instance->previous = NULL;
}

void watch_list_open(struct watch_instance *instance)
{
    struct watch_key *key = instance->key;
    link_in(&key->open_first, &key->open_last, instance);
    key->open_count++;
}

static void unlist_open(struct watch_instance *instance)
{
    struct watch_key *key = instance->key;
    link_out(&key->open_first, &key->open_last, instance);
    key->open_count--;
}

static bool is_silence(const struct watch_act *act)
{
    return act->rule->rule.kind == RULE_SILENCE;
}

void watch_list_ended(struct watch *watch, struct watch_instance *instance)
{
    instance->older = watch->ended_last;
    instance->newer = NULL;
    *(instance->older == NULL ? &watch->ended_first : &instance->older->newer) = instance;
    watch->ended_last = instance;
    watch->ended_count++;
}

void watch_list_ended_of_key(struct watch_instance *instance)
{
    struct watch_key *key = instance->key;
    link_in(&key->ended_first, &key->ended_last, instance);
    key->ended_count++;
}

static void unlist_ended(struct watch *watch, struct watch_instance *instance)
{
    *(instance->older == NULL ? &watch->ended_first : &instance->older->newer) = instance->newer;
    *(instance->newer == NULL ? &watch->ended_last : &instance->newer->older) = instance->older;
    instance->older = NULL;
    instance->newer = NULL;
    watch->ended_count--;
}

struct watch_instance *
watch_open(const struct watch_act *act, struct watch_key *key, int64_t start, int64_t deadline)
{
    struct watch_instance *instance = NULL;
    if (key->open_count < WATCH_PER_KEY_MAX && due_reserve(&act->part->deadlines)) {
        instance = watch_alloc(act->watch, watch_instance_bytes(&act->rule->rule));
    }
    if (instance == NULL) {
        act->part->lost++;
        return NULL;
    }
    instance->state = TIMEOUT_PENDING;
    instance->key = key;
    instance->start = start;
    instance->last_seen = start;
    instance->deadline = deadline;
    instance->created = act->turn->clock;
    instance->decided_at = act->turn->position;
    watch_list_open(instance);
    act->part->counts[TIMEOUT_PENDING]++;
    due_add(&act->part->deadlines, &instance->node, watch_fires_at(act, instance));
    return instance;
}

static void
set_state(const struct watch_act *act, struct watch_instance *instance, enum timeout_state to)
{
    act->part->counts[instance->state]--;
    act->part->counts[to]++;
    instance->state = (uint8_t)to;
    instance->decided_at = act->turn->position;
}

/* An ended one among too many of its key gives way: the one that started first. */
static void make_room_for_ended(const struct watch_act *act, struct watch_key *key)
{
    if (key->ended_count == WATCH_PER_KEY_MAX) {
        watch_forget(act->watch, key->ended_first);
    }
}

void watch_end(const struct watch_act *act, struct watch_instance *instance, enum timeout_state to)
{
    CHECK(instance->state == TIMEOUT_PENDING && to != TIMEOUT_RETRACTED);
    set_state(act, instance, to);
    act->part->fired += to == TIMEOUT_FIRED;
    instance->ended = act->turn->clock;
    due_remove(&act->part->deadlines, &instance->node);
    if (!is_silence(act)) {
        make_room_for_ended(act, instance->key); /* the key stays: this one is still open */
        unlist_open(instance);
        watch_list_ended_of_key(instance);
    }
    watch_list_ended(act->watch, instance);
}

void watch_retract(const struct watch_act *act, struct watch_instance *instance)
{
    CHECK(instance->state == TIMEOUT_FIRED && !is_silence(act));
    set_state(act, instance, TIMEOUT_RETRACTED);
    act->part->retracted++;
    instance->fired = instance->ended; /* nothing asks any more which event started it */
    instance->ended = act->turn->clock;
    unlist_ended(act->watch, instance);
    watch_list_ended(act->watch, instance);
    watch_tell(act, instance, NOTE_TIMEOUT_RETRACTED);
}

static void unlist_ended_of_key(struct watch_instance *instance)
{
    struct watch_key *key = instance->key;
    link_out(&key->ended_first, &key->ended_last, instance);
    key->ended_count--;
}

bool watch_reopen(const struct watch_act *act, struct watch_instance *instance)
{
    CHECK(instance->state != TIMEOUT_PENDING);
    bool fits = is_silence(act) || instance->key->open_count < WATCH_PER_KEY_MAX;
    if (!fits || !due_reserve(&act->part->deadlines)) {
        act->part->lost++;
        return false;
    }
    set_state(act, instance, TIMEOUT_PENDING);
    unlist_ended(act->watch, instance);
    if (!is_silence(act)) {
        unlist_ended_of_key(instance);
        watch_list_open(instance);
    }
    due_add(&act->part->deadlines, &instance->node, watch_fires_at(act, instance));
    return true;
}

bool watch_keeps_firing(const struct watch_instance *instance, bool silence)
{
    return silence || instance->state == TIMEOUT_RETRACTED;
}

struct clock_time watch_fired(const struct watch_instance *instance, bool silence)
{
    return watch_keeps_firing(instance, silence) ? instance->fired : instance->ended;
}

void watch_tell(const struct watch_act *act,
                const struct watch_instance *instance,
                enum note_kind kind)
{
    uint8_t flags = 0;
    flags |= instance->born_late ? NOTE_BORN_LATE : 0;
    flags |= watch_by_events(act) ? NOTE_BY_EVENTS : 0;
    flags |= is_silence(act) ? NOTE_SILENCE : 0;
    struct note note = {
        .kind = kind,
        .flags = flags,
        .clock = act->turn->clock,
        .position = act->turn->position,
        .rule = act->rule->id,
        .generation = instance->generation,
        .deadline = instance->deadline,
        .started = instance->start,
        .last_seen = instance->last_seen,
        .fired = watch_fired(instance, is_silence(act)),
        .rule_name = act->rule->rule.name,
        .key = watch_key_text(instance->key),
    };
    feed_add(act->turn->feed, act->turn->ordinal, &note);
}

static void free_runs(struct watch *watch, struct watch_silence *silence)
{
    while (silence->runs != NULL) {
        struct watch_run *run = silence->runs;
        silence->runs = run->next;
        watch_free(watch, run, sizeof(*run));
    }
}

void watch_forget(struct watch *watch, struct watch_instance *instance)
{
    struct watch_key *key = instance->key;
    struct watch_part *part = watch->parts[key->rule];
    bool pending = instance->state == TIMEOUT_PENDING;
    part->counts[instance->state]--;
    if (pending) {
        due_remove(&part->deadlines, &instance->node);
    } else {
        unlist_ended(watch, instance);
    }
    if (pending || part->silence) {
        unlist_open(instance);
    } else {
        unlist_ended_of_key(instance);
    }
    if (part->silence) {
        free_runs(watch, watch_silence_of(instance));
    }
    watch_free(watch,
               instance,
               part->silence ? sizeof(struct watch_silence) : sizeof(struct watch_instance));
    watch_key_settle(watch, key);
}
