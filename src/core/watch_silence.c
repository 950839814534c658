/* What the events of a SILENCE do: see watch.h.
 *
 * Invariants:
 *  1. The current run and `runs` rise in time; between two neighbours there is more than EVERY, within
 *     a run never.
 *  2. A fired silence has no runs behind the current one. */
#include "core/watch_keys.h"

#include "base/check.h"

#define RUNS_MAX WATCH_PER_KEY_MAX

static int64_t every_us(const struct watch_act *act)
{
    return act->rule->rule.within_us;
}

static void set_current(const struct watch_act *act, struct watch_silence *silence, int64_t hi)
{
    struct watch_instance *instance = &silence->instance;
    instance->start = hi;
    instance->last_seen = hi;
    instance->deadline = time_add(hi, every_us(act));
    instance->decided_at = act->turn->position;
}

static void begin(const struct watch_act *act, struct watch_key *key, int64_t time)
{
    struct watch_instance *instance = watch_open(act, key, time, time_add(time, every_us(act)));
    if (instance != NULL) {
        instance->within_us = every_us(act);
        instance->born_late =
            watch_by_events(act) && watch_fires_at(act, instance) < act->rule->horizon;
        watch_silence_of(instance)->lo = time;
    }
}

/* There was an event within reach of the last firing: that is told once. */
static void evidence(const struct watch_act *act, struct watch_silence *silence, int64_t time)
{
    int64_t deadline = time_add(silence->told_start, every_us(act));
    if (!silence->told || time <= silence->told_start || time > deadline) {
        return;
    }
    struct watch_instance told = silence->instance;
    told.start = silence->told_start;
    told.last_seen = silence->told_start;
    told.deadline = deadline;
    silence->told = false;
    watch_tell(act, &told, NOTE_TIMEOUT_COMPLETED_LATE);
}

/* The next event after the firing. */
static void rearm(const struct watch_act *act, struct watch_silence *silence, int64_t time)
{
    struct watch_instance *instance = &silence->instance;
    if (time <= instance->start) {
        return;
    }
    silence->lo = time <= instance->deadline ? silence->lo : time;
    set_current(act, silence, time);
    instance->born_late =
        watch_by_events(act) && watch_fires_at(act, instance) < act->rule->horizon;
    (void)watch_reopen(act, instance); /* no room: it stays fired, and that is counted */
}

/* NULL, and the event counted as lost: no room. */
static struct watch_run *
run_new(const struct watch_act *act, struct watch_silence *silence, int64_t lo, int64_t hi)
{
    struct watch_run *run = NULL;
    if (silence->run_count < RUNS_MAX) {
        run = watch_alloc(act->watch, sizeof(*run));
    }
    if (run == NULL) {
        act->part->lost++;
        return NULL;
    }
    run->lo = lo;
    run->hi = hi;
    silence->run_count++;
    return run;
}

static void
run_free(const struct watch_act *act, struct watch_silence *silence, struct watch_run *run)
{
    watch_free(act->watch, run, sizeof(*run));
    silence->run_count--;
}

/* A run reaches up to hi now: those that it touches become part of it. */
static int64_t absorb(const struct watch_act *act,
                      struct watch_silence *silence,
                      struct watch_run **next,
                      int64_t hi)
{
    while (*next != NULL && (*next)->lo <= time_add(hi, every_us(act))) {
        struct watch_run *run = *next;
        hi = run->hi > hi ? run->hi : hi;
        *next = run->next;
        run_free(act, silence, run);
    }
    return hi;
}

/* An event before the current run that does not touch it. */
static void put_before(const struct watch_act *act, struct watch_silence *silence, int64_t time)
{
    struct watch_instance *instance = &silence->instance;
    struct watch_run *run = run_new(act, silence, silence->lo, instance->start);
    if (run != NULL) {
        run->next = silence->runs;
        silence->runs = run;
        silence->lo = time;
        set_current(act, silence, time);
        due_move(&act->part->deadlines, &instance->node, watch_fires_at(act, instance));
    }
}

/* An event behind the current run that does not touch it. */
static void put_behind(const struct watch_act *act, struct watch_silence *silence, int64_t time)
{
    struct watch_run **at = &silence->runs;
    while (*at != NULL && time > time_add((*at)->hi, every_us(act))) {
        at = &(*at)->next;
    }
    struct watch_run *run = *at;
    if (run == NULL || time < time_add(run->lo, -every_us(act))) {
        run = run_new(act, silence, time, time);
        if (run != NULL) {
            run->next = *at;
            *at = run;
        }
        return;
    }
    run->lo = time < run->lo ? time : run->lo;
    run->hi = absorb(act, silence, &run->next, time > run->hi ? time : run->hi);
}

static void see(const struct watch_act *act, struct watch_silence *silence, int64_t time)
{
    struct watch_instance *instance = &silence->instance;
    if (time < time_add(silence->lo, -every_us(act))) {
        /* A silence that was over before anybody knew of its beginning is not told. */
        if (time >= act->rule->horizon) {
            put_before(act, silence, time);
        }
        return;
    }
    if (time > instance->deadline) {
        put_behind(act, silence, time);
        return;
    }
    silence->lo = time < silence->lo ? time : silence->lo;
    int64_t hi = time > instance->start ? time : instance->start;
    hi = absorb(act, silence, &silence->runs, hi);
    if (hi != instance->start) {
        set_current(act, silence, hi); /* its entry in `deadlines` is looked at when it comes out */
    }
}

void watch_silence_event(const struct watch_act *act, struct watch_key *key, int64_t time)
{
    if (key->open_first == NULL) {
        begin(act, key, time);
        return;
    }
    struct watch_silence *silence = watch_silence_of(key->open_first);
    if (watch_by_events(act)) {
        evidence(act, silence, time);
    }
    if (silence->instance.state == TIMEOUT_FIRED) {
        rearm(act, silence, time);
    } else if (watch_by_events(act)) {
        see(act, silence, time);
    } else if (time > silence->instance.start) {
        set_current(act, silence, time);
    }
}

void watch_silence_fire(const struct watch_act *act, struct watch_instance *instance)
{
    struct watch_silence *silence = watch_silence_of(instance);
    watch_tell(act, instance, NOTE_TIMEOUT_FIRED);
    silence->told = true;
    silence->told_start = instance->start;
    instance->fired = act->turn->clock;
    struct watch_run *next = silence->runs;
    if (next == NULL) {
        watch_end(act, instance, TIMEOUT_FIRED);
        return;
    }
    act->part->fired++;
    silence->lo = next->lo;
    silence->runs = next->next;
    set_current(act, silence, next->hi);
    due_move(&act->part->deadlines, &instance->node, watch_fires_at(act, instance));
    run_free(act, silence, next);
}
