/* The judge of instances of rules as they were shown.
 *
 * What is claimed: a reader is shown a rule's instances as they were at one pulse, not before what he
 * knew, not after what was durable. Then
 *  1. each timeout that had started is there, with its deadline, its last sign of life and its state,
 *     and when it fired; and no other is;
 *  2. of a silence nothing is shown but what began with an event of its key.
 *
 * By events a start is shown when W has passed it, and changes when W passes what changes it: whether W
 * at a time has passed that time itself is left open. So is how long after a day an ended one is kept;
 * what deadline one has that evidence behind W ended, and what state one that was taken back and has
 * ended; and a reading over a definition or a drop. */
#include "sim/log_reader.h"
#include "sim/oracle_rules_parts.h"

struct shown {
    const struct history *history;
    const struct watch_sight *sight;
    const struct rule_key *key;
};

/* The instance of a start, as it was shown; NULL: it was not. */
static const struct timeout_object *find_shown(const struct shown *shown, int64_t start)
{
    for (size_t n = 0; n < shown->sight->count; n++) {
        const struct seen_instance *seen = &shown->history->instances[shown->sight->first + n];
        if (seen->key == shown->key->key && seen->object.event_time.us == start) {
            return &seen->object;
        }
    }
    return NULL;
}

static bool state_fits(const struct rule_fate *fate, enum timeout_state state)
{
    return state == fate->state || (fate->taken && state == TIMEOUT_RETRACTED);
}

/* By evidence that came behind W: what had acted before stays as it was. */
static bool ended_late(const struct rule_life *life, const struct rule_fate *fate)
{
    bool ended = fate->state == TIMEOUT_COMPLETED || fate->state == TIMEOUT_CANCELLED;
    return ended && !life->rule->by_clock && fate->ended_at > 0 &&
           fate->end <= life->pulses[fate->ended_at - 1].watermark;
}

/* What fired, or was taken back, says when it fired. */
static bool firing_is(const struct rule_life *life,
                      const struct rule_fate *fate,
                      const struct timeout_object *object)
{
    bool back = object->state == TIMEOUT_RETRACTED;
    if (!back && object->state != TIMEOUT_FIRED) {
        return true;
    }
    size_t pulse = fate->note_count == 0 ? NO_PULSE : fate->notes[fate->note_count - 1].fired;
    int64_t fired = back ? object->fired.us : object->ended.us;
    return pulse != NO_PULSE && fired == life->pulses[pulse].clock;
}

static bool instance_is(const struct shown *shown,
                        const struct sign *start,
                        size_t pulse,
                        int64_t slack_us,
                        const struct timeout_object *object)
{
    const struct rule_life *life = &shown->key->life;
    struct rule_fate fate;
    rule_follow(life, start, pulse, slack_us, &fate);
    if (fate.open || rule_start_is_open(life, start)) {
        return true;
    }
    if (object == NULL) {
        bool waits =
            !life->rule->by_clock && start->time > life->pulses[pulse].watermark - slack_us;
        return waits ||
               (fate.state != TIMEOUT_PENDING && fate.ended_at < life->pulse_end &&
                life->pulses[pulse].clock - life->pulses[fate.ended_at].clock >= US_PER_DAY);
    }
    enum timeout_clock clock = life->rule->by_clock ? TIMEOUT_BY_PROCESSING : TIMEOUT_BY_EVENTS;
    bool may_hold = !life->rule->by_clock && object->state == TIMEOUT_PENDING;
    bool same = ended_late(life, &fate) || fate.taken ||
                (object->deadline == fate.deadline && object->last_seen.us == fate.last_seen);
    return object->clock == clock && state_fits(&fate, object->state) && same &&
           firing_is(life, &fate, object) && (!object->held || may_hold);
}

/* All of the key's were as they were shown, at this pulse. */
static bool timeouts_are(const struct shown *shown, size_t pulse, size_t *known)
{
    const struct rule_life *life = &shown->key->life;
    size_t at = 0;
    *known = 0;
    for (const struct sign *start; (start = rule_next_start(life, &at)) != NULL;) {
        const struct timeout_object *object = find_shown(shown, start->time);
        if (start->pulse > pulse) {
            if (object != NULL) {
                return false;
            }
            continue;
        }
        *known += object != NULL;
        if (!instance_is(shown, start, pulse, 0, object) &&
            !instance_is(shown, start, pulse, 1, object)) {
            return false;
        }
    }
    return true;
}

/* How many of the key were shown. */
static size_t count_shown(const struct shown *shown)
{
    size_t count = 0;
    for (size_t n = 0; n < shown->sight->count; n++) {
        count += shown->history->instances[shown->sight->first + n].key == shown->key->key;
    }
    return count;
}

static bool silences_are(const struct shown *shown, size_t pulse, size_t *known)
{
    const struct rule_life *life = &shown->key->life;
    size_t at = 0;
    *known = 0;
    for (const struct sign *start; (start = rule_next_start(life, &at)) != NULL;) {
        const struct timeout_object *object = find_shown(shown, start->time);
        if (object != NULL && start->pulse <= pulse) {
            (*known)++;
            if (object->deadline != start->time + start->span_us) {
                return false;
            }
        }
    }
    return true;
}

/* The last pulse of the rule before a position of the log, behind its first one. */
static size_t pulse_before(const struct rule_key *key, uint64_t position)
{
    size_t low = key->first_pulse;
    size_t high = key->life.pulse_end;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (key->life.pulses[middle].position < position) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool sight_holds(const struct shown *shown, struct timer_counts *counts)
{
    const struct rule_key *key = shown->key;
    size_t first = pulse_before(key, shown->sight->at_least);
    size_t last = pulse_before(key, shown->sight->at_most);
    size_t count = count_shown(shown);
    for (size_t pulse = first; pulse <= last; pulse++) {
        size_t known = 0;
        bool good = key->life.rule->silence ? silences_are(shown, pulse, &known)
                                            : timeouts_are(shown, pulse, &known);
        if (good && known == count) {
            counts->instances_seen += count;
            return true;
        }
    }
    return false;
}

/* Whether the reading lies within the rule's life. */
static bool concerns(const struct rule_key *key, const struct watch_sight *sight, bool gone)
{
    bool own = sight->rule == key->rule && (sight->whole || sight->key == key->key);
    const struct told_pulse *pulses = key->life.pulses;
    return own && sight->at_least > pulses[key->first_pulse].position &&
           (!gone || sight->at_most <= pulses[key->life.pulse_end - 1].position);
}

bool oracle_instances_hold(const struct history *history,
                           const struct rule_key *key,
                           bool gone,
                           struct timer_counts *counts,
                           struct finding *finding)
{
    for (size_t n = 0; n < history->watch_sight_count; n++) {
        const struct shown shown = {history, &history->watch_sights[n], key};
        if (concerns(key, shown.sight, gone) && !sight_holds(&shown, counts)) {
            return finding_say(finding,
                               "rule r%u: the instances of key %u were shown between %llu and %llu "
                               "as they never were then: %zu",
                               (unsigned)key->rule,
                               (unsigned)key->key,
                               (unsigned long long)shown.sight->at_least,
                               (unsigned long long)shown.sight->at_most,
                               count_shown(&shown));
        }
    }
    return true;
}
