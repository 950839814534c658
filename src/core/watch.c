/* Watch: see watch.h. Here: a pulse's way, from the signals to the notes. */
#include "core/watch.h"

#include "base/check.h"
#include "core/watch_keys.h"

/* What is done many times is done for so many at once, so that their misses of the cache overlap. */
#define RUN 16

int watch_signal_order(const struct due_node *a, const struct due_node *b)
{
    const struct watch_signal *left = (const struct watch_signal *)(const void *)a;
    const struct watch_signal *right = (const struct watch_signal *)(const void *)b;
    if (left->kept != right->kept) {
        return left->kept ? 1 : -1;
    }
    if (left->kind != right->kind) {
        return left->kind < right->kind ? -1 : 1;
    }
    return signal_place_compare(&left->place, &right->place);
}

/* By the engine's clock: as the log has them. */
static int order_by_place(const struct due_node *a, const struct due_node *b)
{
    const struct watch_signal *left = (const struct watch_signal *)(const void *)a;
    const struct watch_signal *right = (const struct watch_signal *)(const void *)b;
    int order = signal_place_compare(&left->place, &right->place);
    return order != 0 ? order : (left->kind > right->kind) - (left->kind < right->kind);
}

void watch_init(struct watch *watch, struct heap *heap, struct watch_limits limits)
{
    *watch = (struct watch){.heap = heap, .limits = limits, .free_first = WATCH_PLACE_NONE};
}

void watch_add_rule(struct watch *watch, uint32_t place, const struct rule *rule)
{
    CHECK(place < RULES_MAX && watch->parts[place] == NULL);
    struct watch_part *part = heap_alloc_zero(watch->heap, sizeof(*part));
    CHECK(part != NULL);
    part->silence = rule->kind == RULE_SILENCE;
    bool by_events = rule->clock == TIMEOUT_BY_EVENTS;
    due_init(&part->signals, watch->heap, by_events ? watch_signal_order : order_by_place);
    due_init(&part->deadlines, watch->heap, watch_instance_order);
    watch->parts[place] = part;
}

/* Frees a signal that is out of its heap. */
static void signal_free(struct watch *watch, struct watch_signal *signal)
{
    struct watch_key *key = signal->key;
    CHECK(signal->node.at == 0);
    if (signal->kept) {
        CHECK(key->kept == signal); /* they go in the order in which they stand */
        key->kept = signal->next;
        key->kept_last = key->kept == NULL ? NULL : key->kept_last;
        key->kept_count--;
    }
    key->signal_count--;
    watch_free(watch, signal, sizeof(*signal));
    watch_key_settle(watch, key);
}

/* All instances of a key of this rule, and with the last one the key. */
static void forget_key(struct watch *watch, uint32_t rule_place, const struct watch_key *key)
{
    uint32_t left = 0;
    if (key != NULL && key->rule == rule_place) {
        left = key->open_count + key->ended_count;
    }
    for (; left > 0; left--) {
        watch_forget(watch, key->open_first != NULL ? key->open_first : key->ended_first);
    }
}

/* Keys go in the order of their places: which places are free next is part of the state, and where an
 * instance stands in `deadlines` is not the same after a restoration. */
void watch_drop_rule(struct watch *watch, uint32_t place)
{
    struct watch_part *part = watch->parts[place];
    CHECK(part != NULL);
    for (struct due_node *node; (node = due_first(&part->signals)) != NULL;) {
        due_remove(&part->signals, node);
        signal_free(watch, watch_signal_of(node));
    }
    for (uint32_t at = 0; at < watch->place_count; at++) {
        forget_key(watch, place, watch->places[at].key);
    }
    due_deinit(&part->signals);
    due_deinit(&part->deadlines);
    heap_free(watch->heap, part, sizeof(*part));
    watch->parts[place] = NULL;
}

/* The key that a signal speaks of. What is under way holds it: its signal_count is raised. */
static struct watch_key *key_of(struct watch *watch, const struct signal *signal)
{
    struct watch_key *key = watch_key_find(watch, signal->rule, signal->hash, signal->key);
    key = key != NULL ? key : watch_key_add(watch, signal->rule, signal->hash, signal->key);
    if (key != NULL) {
        key->signal_count++;
    }
    return key;
}

/* It waits for the watermark, or for the others of this pulse. */
static void enqueue(const struct watch_act *act, const struct signal *given, bool late)
{
    struct watch *watch = act->watch;
    struct watch_signal *signal = NULL;
    if (due_reserve(&act->part->signals)) {
        signal = watch_alloc(watch, sizeof(*signal));
    }
    struct watch_key *key = signal == NULL ? NULL : key_of(watch, given);
    if (key == NULL) {
        watch_free(watch, signal, sizeof(*signal));
        act->part->lost++;
        return;
    }
    signal->kind = (uint8_t)given->kind;
    signal->late = late;
    signal->key = key;
    signal->time = given->time;
    signal->within_us = given->within_us;
    signal->place = given->place;
    due_add(&act->part->signals, &signal->node, watch_by_events(act) ? given->time : 0);
}

/* An event of a silence that is not late: no order matters, so it acts at once. */
static void see_event(const struct watch_act *act, const struct signal *given)
{
    struct watch_key *key = key_of(act->watch, given);
    if (key == NULL) {
        act->part->lost++;
        return;
    }
    watch_silence_event(act, key, given->time);
    key->signal_count--;
    watch_key_settle(act->watch, key);
}

static void take(struct watch *watch, const struct watch_turn *turn, const struct signal *signal)
{
    CHECK(signal->rule < turn->rule_end && watch->parts[signal->rule] != NULL);
    struct watch_act act = {watch, watch->parts[signal->rule], &turn->rules[signal->rule], turn};
    bool late = watch_by_events(&act) && signal->time < act.rule->horizon;
    if (act.part->silence && !late) {
        see_event(&act, signal);
    } else {
        enqueue(&act, signal, late);
    }
}

/* The next signals, their keys on the way into the cache. */
static uint32_t read_run(const struct watch *watch, struct reader *in, struct signal run[RUN])
{
    const struct watch_place *places[RUN];
    uint32_t count = 0;
    while (count < RUN && signal_next(in, &run[count])) {
        watch_slot_prefetch(watch, run[count].hash);
        count++;
    }
    for (uint32_t n = 0; n < count; n++) {
        places[n] = watch_place_prefetch(watch, run[n].hash);
    }
    for (uint32_t n = 0; n < count; n++) {
        if (places[n] != NULL) {
            watch_key_prefetch(places[n]->key);
        }
    }
    return count;
}

void watch_take(struct watch *watch, const struct watch_turn *turn, struct bytes signals)
{
    struct reader in = reader_of(signals);
    struct signal run[RUN];
    uint32_t count;
    while ((count = read_run(watch, &in, run)) > 0) {
        for (uint32_t n = 0; n < count; n++) {
            take(watch, turn, &run[n]);
        }
    }
    CHECK(!in.bad);
}

/* --- signals act --- */

static bool keeps_signals(const struct watch_act *act)
{
    return watch_by_events(act) && !act->part->silence && act->rule->rule.grace_us > 0;
}

static bool is_kept(const struct watch_act *act, const struct watch_signal *signal)
{
    return keeps_signals(act) && signal->kind != SIGNAL_START;
}

void watch_list_kept(struct watch_signal *signal)
{
    struct watch_key *key = signal->key;
    struct watch_signal *last = key->kept_last;
    bool at_end = last != NULL && watch_acts_before(last, signal); /* nearly always */
    struct watch_signal **at = at_end ? &last->next : &key->kept;
    while (*at != NULL && watch_acts_before(*at, signal)) {
        at = &(*at)->next;
    }
    signal->next = *at;
    *at = signal;
    key->kept_last = signal->next == NULL ? signal : last;
    key->kept_count++;
}

/* It has acted, and may act on more instances; the oldest goes when there are too many. */
static void keep(const struct watch_act *act, struct watch_signal *signal)
{
    signal->kept = true;
    watch_list_kept(signal);
    due_add(&act->part->signals, &signal->node, time_add(signal->time, act->rule->rule.grace_us));
    if (signal->key->kept_count > WATCH_PER_KEY_MAX) {
        struct watch_signal *oldest = signal->key->kept;
        due_remove(&act->part->signals, &oldest->node);
        signal_free(act->watch, oldest);
    }
}

static void signal_act(const struct watch_act *act, struct watch_signal *signal)
{
    if (!signal->kept && act->part->silence) {
        watch_silence_event(act, signal->key, signal->time);
    } else if (!signal->kept) {
        watch_timeout_signal(act, signal);
    }
    if (!signal->kept && is_kept(act, signal)) {
        keep(act, signal);
    } else {
        signal_free(act->watch, signal);
    }
}

/* The next signals that act, out of their heap, what they act on on the way into the cache. One by one
 * where they go back into the heap: the next one may be among those. */
static uint32_t pop_run(const struct watch_act *act, struct watch_signal *run[RUN])
{
    struct due *signals = &act->part->signals;
    int64_t below = watch_by_events(act) ? act->rule->watermark : INT64_MAX;
    uint32_t most = keeps_signals(act) ? 1 : RUN;
    uint32_t count = 0;
    while (count < most && due_first(signals) != NULL && due_time(signals) < below) {
        run[count] = watch_signal_of(due_first(signals));
        due_remove(signals, &run[count]->node);
        count++;
    }
    for (uint32_t n = 0; n < count; n++) {
        watch_key_prefetch(run[n]->key);
    }
    for (uint32_t n = 0; n < count; n++) {
        const struct watch_key *key = run[n]->key;
        const struct watch_instance *instance =
            run[n]->kind == SIGNAL_START ? key->ended_last : key->open_first;
        if (instance != NULL) {
            __builtin_prefetch(instance);
        }
    }
    return count;
}

static void signals_act(const struct watch_act *act)
{
    struct watch_signal *run[RUN];
    uint32_t count;
    while ((count = pop_run(act, run)) > 0) {
        for (uint32_t n = 0; n < count; n++) {
            signal_act(act, run[n]);
        }
    }
}

/* --- what is due fires --- */

/* Entries with a time below this are due; INT64_MIN: none is. */
static int64_t due_below(const struct watch_rule *rule, struct clock_time clock)
{
    if (rule->rule.clock == TIMEOUT_BY_PROCESSING) {
        return time_add(clock.us, 1);
    }
    if (rule->watermark != WATERMARK_FINAL || rule->rule.kind != RULE_SILENCE) {
        return rule->watermark;
    }
    /* A source that is through is not silent: only what was so before the last event. */
    return rule->max_time == WATERMARK_NONE ? INT64_MIN
                                            : time_add(rule->max_time, rule->rule.grace_us);
}

static uint32_t fire(const struct watch_act *act, uint32_t budget)
{
    int64_t below = due_below(act->rule, act->turn->clock);
    struct due *deadlines = &act->part->deadlines;
    uint32_t fired = 0;
    while (due_first(deadlines) != NULL && due_time(deadlines) < below) {
        struct watch_instance *instance = watch_instance_of(due_first(deadlines));
        int64_t fires_at = watch_fires_at(act, instance);
        if (fires_at > due_time(deadlines)) {
            due_move(deadlines, &instance->node, fires_at);
            continue;
        }
        if (fired == budget) {
            act->watch->more_due = true;
            break;
        }
        fired++;
        if (act->part->silence) {
            watch_silence_fire(act, instance);
        } else {
            watch_end(act, instance, TIMEOUT_FIRED);
            watch_tell(act, instance, NOTE_TIMEOUT_FIRED);
        }
    }
    return fired;
}

static void expire(struct watch *watch, struct clock_time clock)
{
    while (watch->ended_first != NULL &&
           (watch->ended_count > watch->limits.ended_max ||
            time_add(watch->ended_first->ended.us, WATCH_ENDED_US) <= clock.us)) {
        watch_forget(watch, watch->ended_first);
    }
}

void watch_move(struct watch *watch, const struct watch_turn *turn)
{
    uint32_t slice = WATCH_SLICE / watch->limits.partitions;
    uint32_t budget = slice > 0 ? slice : 1;
    watch->more_due = false;
    for (uint32_t place = 0; place < turn->rule_end; place++) {
        if (turn->rules[place].id == 0) {
            continue;
        }
        struct watch_act act = {watch, watch->parts[place], &turn->rules[place], turn};
        signals_act(&act);
        if (!turn->hold || !watch_by_events(&act)) {
            budget -= fire(&act, budget);
        }
    }
    expire(watch, turn->clock);
}

void watch_next_due(const struct watch *watch,
                    const struct watch_rule *rules,
                    uint32_t rule_end,
                    struct watch_due *due)
{
    if (watch->more_due) {
        due->clock = INT64_MIN;
    }
    for (uint32_t place = 0; place < rule_end; place++) {
        const struct watch_rule *rule = &rules[place];
        if (rule->id == 0) {
            continue;
        }
        const struct watch_part *part = watch->parts[place];
        int64_t next = due_time(&part->deadlines);
        int64_t *least = &due->clock;
        if (rule->rule.clock == TIMEOUT_BY_EVENTS) {
            int64_t acts = due_time(&part->signals);
            next = acts < next ? acts : next;
            next = rule->watermark == WATERMARK_FINAL ? INT64_MAX : time_add(next, 1);
            bool chosen = rule->rule.source_count > 0;
            if (chosen && !rule->by_clock) {
                continue; /* chosen lanes that speak move by their events */
            }
            least = chosen ? &due->by_clock : &due->all_lanes;
        }
        *least = next < *least ? next : *least;
    }
}

/* --- reading --- */

const struct watch_key *
watch_look(const struct watch *watch, uint32_t rule_place, uint64_t hash, struct bytes key)
{
    return watch_key_find(watch, rule_place, hash, key);
}

const struct watch_key *
watch_next(const struct watch *watch, uint32_t rule_place, uint32_t end, uint32_t *place)
{
    end = end < watch->place_count ? end : watch->place_count;
    while (*place < end) {
        const struct watch_key *key = watch->places[(*place)++].key;
        if (key != NULL && key->rule == rule_place) {
            return key;
        }
    }
    return NULL;
}

struct bytes watch_text(const struct watch_key *key)
{
    return watch_key_text(key);
}

void watch_show(const struct watch_turn *now,
                const struct watch_instance *instance,
                struct timeout_object *object)
{
    const struct rule *rule = &now->rules[instance->key->rule].rule;
    bool pending = instance->state == TIMEOUT_PENDING;
    bool overdue = time_add(instance->deadline, rule->grace_us) <= now->clock.us;
    *object = (struct timeout_object){
        .state = (enum timeout_state)instance->state,
        .clock = rule->clock,
        .generation = instance->generation,
        .born_late = instance->born_late,
        .held = pending && rule->clock == TIMEOUT_BY_EVENTS && now->hold && overdue,
        .has_within = true,
        .has_event_time = rule->clock == TIMEOUT_BY_EVENTS,
        .event_time = {instance->start},
        .last_seen = {instance->last_seen},
        .within_us = instance->within_us,
        .deadline = instance->deadline,
        .created = instance->created,
        .ended = instance->ended,
        .fired = watch_fired(instance, rule->kind == RULE_SILENCE),
        .decided_at = instance->decided_at,
    };
}

bool watch_view_next(const struct watch_key *key,
                     const struct watch_turn *now,
                     const struct watch_instance **at,
                     struct watch_view *view)
{
    const struct watch_instance *instance = *at == NULL ? key->open_first : (*at)->next;
    bool open_done = *at == NULL || *at == key->open_last;
    if (instance == NULL && open_done) {
        instance = key->ended_first;
    }
    if (instance == NULL) {
        return false;
    }
    *at = instance;
    watch_show(now, instance, &view->object);
    view->key = watch_key_text(key);
    return true;
}
