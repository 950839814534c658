/* What the signals of a TIMEOUT do: see watch.h.
 *
 * By events the conditions on times decide, and signals come in the order of their times, but for late
 * ones. By the engine's clock the order of the log has decided already: whatever comes while an instance
 * is open concerns it. An event never satisfies, cancels or keeps alive the instance that it starts
 * itself, so that AFTER and EXPECT may be the same condition. */
#include "core/watch_parts.h"

#include "base/check.h"

static bool same_event(const struct watch_instance *instance, const struct watch_signal *signal)
{
    return instance->place.frame == signal->place.frame &&
           instance->place.record == signal->place.record &&
           instance->place.row == signal->place.row;
}

static bool concerns(const struct watch_act *act,
                     const struct watch_instance *instance,
                     const struct watch_signal *signal)
{
    bool in_reach = instance->start <= signal->time && signal->time <= instance->deadline;
    return (in_reach || !watch_by_events(act)) && !same_event(instance, signal);
}

/* Instances stand by their start: behind this one no other can be concerned. */
static bool is_beyond(const struct watch_act *act,
                      const struct watch_instance *instance,
                      const struct watch_signal *signal)
{
    return watch_by_events(act) && instance->start > signal->time;
}

static bool starts_at(const struct watch_instance *last, int64_t start)
{
    const struct watch_instance *instance = last;
    while (instance != NULL && instance->start > start) {
        instance = instance->previous;
    }
    return instance != NULL && instance->start == start;
}

static void see(struct watch_instance *instance, int64_t time)
{
    int64_t deadline = time_add(time, instance->within_us);
    instance->last_seen = time > instance->last_seen ? time : instance->last_seen;
    instance->deadline = deadline > instance->deadline ? deadline : instance->deadline;
}

static enum timeout_state ends_as(const struct watch_signal *signal)
{
    return signal->kind == SIGNAL_EXPECT ? TIMEOUT_COMPLETED : TIMEOUT_CANCELLED;
}

void watch_catch_up(const struct watch_act *act,
                    struct watch_instance *instance,
                    const struct watch_signal *late)
{
    for (const struct watch_signal *kept = instance->key->kept;
         kept != NULL && kept->time <= instance->deadline;
         kept = kept->next) {
        bool behind = late == NULL || watch_acts_before(late, kept);
        if (!behind || !concerns(act, instance, kept)) {
            continue;
        }
        if (kept->kind != SIGNAL_HEARTBEAT) {
            watch_end(act, instance, ends_as(kept));
            return;
        }
        see(instance, kept->time);
    }
}

static void start(const struct watch_act *act, const struct watch_signal *signal)
{
    struct watch_key *key = signal->key;
    if (starts_at(key->open_last, signal->time) || starts_at(key->ended_last, signal->time)) {
        return; /* (rule, key, start) is there, or was */
    }
    int64_t deadline = time_add(signal->time, signal->within_us);
    struct watch_instance *instance = watch_open(act, key, signal->time, deadline);
    if (instance == NULL) {
        return;
    }
    instance->within_us = signal->within_us;
    instance->place = signal->place;
    instance->born_late =
        watch_by_events(act) && watch_fires_at(act, instance) < act->rule->horizon;
    if (signal->late) {
        watch_catch_up(act, instance, signal);
    }
}

static bool retracts(const struct watch_act *act)
{
    return act->rule->rule.late == RULE_LATE_RETRACT;
}

static void tell_late_once(const struct watch_act *act, struct watch_instance *instance)
{
    if (!instance->told_late) {
        instance->told_late = true;
        instance->decided_at = act->turn->position;
        watch_tell(act, instance, NOTE_TIMEOUT_COMPLETED_LATE);
    }
}

/* EXPECT or CANCEL. */
static void satisfy(const struct watch_act *act, const struct watch_signal *signal)
{
    struct watch_instance *next;
    for (struct watch_instance *open = signal->key->open_first; open != NULL; open = next) {
        next = open->next;
        if (is_beyond(act, open, signal)) {
            break;
        }
        if (concerns(act, open, signal)) {
            watch_end(act, open, ends_as(signal));
        }
    }
}

static void satisfy_fired(const struct watch_act *act, const struct watch_signal *signal)
{
    for (struct watch_instance *ended = signal->key->ended_first; ended != NULL;
         ended = ended->next) {
        if (is_beyond(act, ended, signal)) {
            break;
        }
        if (ended->state != TIMEOUT_FIRED || !concerns(act, ended, signal)) {
            continue;
        }
        if (retracts(act)) {
            watch_retract(act, ended);
        } else {
            tell_late_once(act, ended);
        }
    }
}

/* Its entry in `deadlines` stays where it is, and is looked at again when it comes out. */
static void keep_alive(const struct watch_act *act, const struct watch_signal *signal)
{
    struct watch_instance *next;
    for (struct watch_instance *open = signal->key->open_first; open != NULL; open = next) {
        next = open->next;
        if (is_beyond(act, open, signal)) {
            break;
        }
        if (!concerns(act, open, signal)) {
            continue;
        }
        int64_t before = open->deadline;
        see(open, signal->time);
        if (signal->late && open->deadline > before) {
            watch_catch_up(act, open, signal);
        }
    }
}

/* A sign of life that was in time, but comes after the firing: the instance lives on if its rule takes
 * firings back. Its next firing is another one, told by its generation. */
static void keep_alive_fired(const struct watch_act *act, const struct watch_signal *signal)
{
    struct watch_instance *next;
    for (struct watch_instance *ended = signal->key->ended_first; ended != NULL; ended = next) {
        next = ended->next;
        if (is_beyond(act, ended, signal)) {
            break;
        }
        bool extends = time_add(signal->time, ended->within_us) > ended->deadline;
        if (ended->state != TIMEOUT_FIRED || !extends || !concerns(act, ended, signal)) {
            continue;
        }
        if (!retracts(act)) {
            tell_late_once(act, ended);
            continue;
        }
        struct log_place place = ended->place; /* which it needs to live on */
        watch_retract(act, ended);
        see(ended, signal->time);
        if (watch_reopen(act, ended)) {
            ended->place = place;
            ended->generation++;
            watch_catch_up(act, ended, signal);
        }
    }
}

/* Behind a late one instances may have ended, although its time was in their reach. */
void watch_timeout_signal(const struct watch_act *act, const struct watch_signal *signal)
{
    switch ((enum signal_kind)signal->kind) {
    case SIGNAL_START:
        start(act, signal);
        break;
    case SIGNAL_HEARTBEAT:
        keep_alive(act, signal);
        if (signal->late) {
            keep_alive_fired(act, signal);
        }
        break;
    case SIGNAL_EXPECT:
    case SIGNAL_CANCEL:
        satisfy(act, signal);
        if (signal->late) {
            satisfy_fired(act, signal);
        }
        break;
    }
}
