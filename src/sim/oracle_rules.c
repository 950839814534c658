/* The judge of rules over the stream, for rules by the event clock over all lanes, while there is only
 * the default one (so the watermark W never falls and is never final).
 *
 *     TIMEOUT   each start of a key is an instance; its deadline is the start's time and the span. It is
 *               met by an expected event of its key from its start to its deadline.
 *     SILENCE   each event of a key has a deadline; the next one up to then meets it.
 *
 * What is claimed of each that was in time, that is, not behind W when it came:
 *  1. At the first pulse that does not say HOLD, and whose W is behind the deadline, it fires, if
 *     nothing that meets it stands in the log before; and never else. Once.
 *  2. Of a timeout that fired the first event in the log that would have met it is told, at the next
 *     pulse: as a retraction or as completed late, as the rule says. Nothing else is.
 *  3. No note is without an event that it is about.
 *
 * Left open: what came behind W itself, also behind a silence; keys with so many instances that the engine may give some up;
 * in which order the notes of a pulse come. Notes that hold join the expected ones of the feed. */
#include "sim/oracle_timeouts.h"

#include "base/check.h"
#include "model/rule.h"
#include "sim/log_reader.h"

#include <stdlib.h>
#include <string.h>

#define PER_KEY_MAX 1000
#define NO_PULSE    SIZE_MAX

/* A unique event that a rule of this kind looks at. */
struct sign {
    int64_t time;
    uint32_t key;
    bool starts;   /* of a silence: all do */
    bool expected; /* likewise */
    bool late;     /* it came behind W */
    size_t pulse;  /* the first one behind it in the log */
};

struct told_pulse {
    uint64_t ordinal;
    int64_t watermark;
    bool hold;
};

struct judge {
    const struct history *history;
    struct log_reader reader;
    struct expected_timeouts *expected;
    const struct heard_note *told;
    size_t told_count;
    bool *judged; /* of the told ones */
    struct universe_index index;
    bool *seen;     /* of the universe */
    size_t *active; /* per rule: signs from here on count; SIZE_MAX: not defined */
    const struct planned_event **events; /* unique ones, in the order of the log */
    bool *late;
    size_t *pulse_of;
    size_t event_count;
    struct told_pulse *pulses;
    size_t pulse_count;
    size_t pulse_capacity;
    struct sign *signs; /* of the rule that is judged, by its rows */
    size_t sign_count;
};

static bool wrong(struct judge *judge, const char *what, uint32_t rule, const struct sign *sign)
{
    return finding_say(judge->reader.finding,
                       "rule r%u: %s: key %u, time %lld, before pulse %llu",
                       (unsigned)rule,
                       what,
                       (unsigned)sign->key,
                       (long long)sign->time,
                       sign->pulse < judge->pulse_count
                           ? (unsigned long long)judge->pulses[sign->pulse].ordinal
                           : 0);
}

/* --- the log --- */

static void take_event(struct judge *judge)
{
    size_t number = universe_find(&judge->index, &judge->reader.event);
    if (number == EVENT_UNKNOWN || judge->seen[number]) {
        return;
    }
    judge->seen[number] = true;
    size_t at = judge->event_count++;
    int64_t w =
        judge->pulse_count == 0 ? INT64_MIN : judge->pulses[judge->pulse_count - 1].watermark;
    judge->events[at] = &judge->history->universe[number];
    judge->late[at] = judge->events[at]->time.us <= w;
    judge->pulse_of[at] = judge->pulse_count;
}

static bool take_pulse(struct judge *judge)
{
    struct pulse pulse;
    if (!pulse_read(judge->reader.record.body, &pulse)) {
        return finding_say(judge->reader.finding, "rules: a pulse can't be read");
    }
    if (judge->pulse_count == judge->pulse_capacity) {
        judge->pulse_capacity = judge->pulse_capacity == 0 ? 1024 : 2 * judge->pulse_capacity;
        judge->pulses = realloc(judge->pulses, judge->pulse_capacity * sizeof(*judge->pulses));
        CHECK(judge->pulses != NULL);
    }
    judge->pulses[judge->pulse_count++] =
        (struct told_pulse){.ordinal = pulse.ordinal,
                            .watermark = pulse.watermark,
                            .hold = (pulse.flags & PULSE_HOLD) != 0};
    return true;
}

static bool take_rule(struct judge *judge)
{
    struct define define;
    struct rule rule;
    uint32_t number = 0;
    if (!define_read(judge->reader.record.body, &define) || !rule_read(define.definition, &rule) ||
        !text_number(rule.name, 'r', &number) || number >= judge->history->rule_count ||
        judge->active[number] != SIZE_MAX) {
        return finding_say(judge->reader.finding, "a rule that nobody defined, or twice");
    }
    judge->active[number] = judge->event_count;
    return true;
}

static bool follow(struct judge *judge)
{
    bool good = true;
    while (good && log_next_record(&judge->reader)) {
        if (judge->reader.record.kind == RECORD_PULSE) {
            good = take_pulse(judge);
        } else if (judge->reader.record.kind == RECORD_RULE) {
            good = take_rule(judge);
        } else if (judge->reader.record.kind == RECORD_EVENTS) {
            while (log_next_event(&judge->reader)) {
                take_event(judge);
            }
        }
    }
    return good && !judge->reader.bad;
}

/* --- a rule --- */

static void gather(struct judge *judge, uint32_t number)
{
    const struct rule_recipe *rule = &judge->history->rules[number];
    judge->sign_count = 0;
    for (size_t n = judge->active[number]; n < judge->event_count; n++) {
        const struct planned_event *event = judge->events[n];
        bool starts = event->type == 0;
        bool expected = rule->silence ? starts : event->type == 1;
        bool has_key = rule->silence || event->subject != 0;
        if (has_key && (starts || expected)) {
            judge->signs[judge->sign_count++] =
                (struct sign){.time = event->time.us,
                              .key = rule->silence ? event->source : event->subject,
                              .starts = starts,
                              .expected = expected,
                              .late = judge->late[n],
                              .pulse = judge->pulse_of[n]};
        }
    }
}

/* What meets it: the first such event of the log; NULL: there is none. */
static const struct sign *
find_met(const struct judge *judge, const struct sign *start, const struct rule_recipe *rule)
{
    for (size_t n = 0; n < judge->sign_count; n++) {
        const struct sign *sign = &judge->signs[n];
        bool behind = rule->silence ? sign->time > start->time : sign->time >= start->time;
        if (sign->expected && sign->key == start->key && behind &&
            sign->time - start->time <= rule->span_us) {
            return sign;
        }
    }
    return NULL;
}

/* The first pulse behind it in the log that may fire it. */
static size_t find_due(const struct judge *judge, const struct sign *start, int64_t deadline)
{
    for (size_t n = start->pulse; n < judge->pulse_count; n++) {
        if (!judge->pulses[n].hold && judge->pulses[n].watermark > deadline) {
            return n;
        }
    }
    return NO_PULSE;
}

/* The note about it; told_count: there is none. Takes it for judged. */
static size_t
find_note(struct judge *judge, uint32_t number, const struct sign *start, bool fired, size_t *more)
{
    int64_t deadline = start->time + judge->history->rules[number].span_us;
    size_t found = judge->told_count;
    *more = 0;
    for (size_t n = 0; n < judge->told_count; n++) {
        const struct heard_note *note = &judge->told[n];
        if (note->rule == number + 1 && note->key == start->key && note->deadline == deadline &&
            (note->kind == NOTE_TIMEOUT_FIRED) == fired) {
            *more += found != judge->told_count;
            found = found == judge->told_count ? n : found;
            judge->judged[n] = true;
        }
    }
    return found;
}

static bool is_crowded(const struct judge *judge, uint32_t key)
{
    size_t count = 0;
    for (size_t n = 0; n < judge->sign_count; n++) {
        count += judge->signs[n].key == key;
    }
    return count > PER_KEY_MAX;
}

/* The evidence that came behind the firing at pulse `due`. */
static bool
judge_evidence(struct judge *judge, uint32_t number, const struct sign *start, size_t due)
{
    const struct rule_recipe *rule = &judge->history->rules[number];
    const struct sign *met = due == NO_PULSE ? NULL : find_met(judge, start, rule);
    size_t more = 0;
    size_t note = find_note(judge, number, start, false, &more);
    bool told = note < judge->told_count;
    if (met == NULL || met->pulse >= judge->pulse_count) {
        return !told || wrong(judge, "evidence is told that never came", number, start);
    }
    enum note_kind kind = rule->retracts ? NOTE_TIMEOUT_RETRACTED : NOTE_TIMEOUT_COMPLETED_LATE;
    judge->expected->counts.rules_late++;
    if (!told || more > 0 || judge->told[note].kind != kind ||
        judge->told[note].place.ordinal != judge->pulses[met->pulse].ordinal) {
        return wrong(judge, "late evidence is not told, or not as it must be", number, start);
    }
    return true;
}

static bool judge_start(struct judge *judge, uint32_t number, const struct sign *start)
{
    const struct rule_recipe *rule = &judge->history->rules[number];
    size_t due = find_due(judge, start, start->time + rule->span_us);
    const struct sign *met = find_met(judge, start, rule);
    bool in_time = met != NULL && (due == NO_PULSE || met->pulse <= due);
    size_t more = 0;
    size_t note = find_note(judge, number, start, true, &more);
    bool fired = note < judge->told_count;
    if (more > 0) {
        return wrong(judge, "it fired twice", number, start);
    }
    if (start->late) {
        (void)find_note(judge, number, start, false, &more);
        return true;
    }
    if (in_time || due == NO_PULSE) {
        judge->expected->counts.rules_met += in_time;
        if (fired) {
            return wrong(judge, "it fired, and was met or not due", number, start);
        }
        return rule->silence || judge_evidence(judge, number, start, NO_PULSE);
    }
    if (!fired || judge->told[note].place.ordinal != judge->pulses[due].ordinal) {
        return wrong(judge, fired ? "it fired at another pulse" : "it did not fire", number, start);
    }
    judge->expected->counts.rules_fired += !rule->silence;
    judge->expected->counts.silences += rule->silence;
    return rule->silence || judge_evidence(judge, number, start, due);
}

static bool judge_rule(struct judge *judge, uint32_t number)
{
    if (judge->active[number] == SIZE_MAX) {
        return true;
    }
    gather(judge, number);
    bool good = true;
    for (size_t n = 0; good && n < judge->sign_count; n++) {
        const struct sign *sign = &judge->signs[n];
        bool first = sign->starts;
        for (size_t before = 0; first && before < n; before++) {
            const struct sign *other = &judge->signs[before];
            first = !other->starts || other->key != sign->key || other->time != sign->time;
        }
        if (first && !is_crowded(judge, sign->key)) {
            good = judge_start(judge, number, sign);
        }
    }
    return good;
}

/* --- the whole --- */

static int compare_places(const struct heard_note *a, const struct heard_note *b)
{
    if (a->place.ordinal != b->place.ordinal) {
        return a->place.ordinal < b->place.ordinal ? -1 : 1;
    }
    return (a->place.partition > b->place.partition) - (a->place.partition < b->place.partition);
}

/* Both lists are in the order of their pulses and partitions. */
static void join_notes(struct judge *judge)
{
    struct expected_timeouts *expected = judge->expected;
    size_t capacity = expected->note_count + judge->told_count + 1;
    struct heard_note *joined = malloc(capacity * sizeof(*joined));
    CHECK(joined != NULL);
    size_t count = 0;
    size_t own = 0;
    for (size_t n = 0; n < judge->told_count; n++) {
        if (judge->told[n].rule == 0) {
            continue;
        }
        while (own < expected->note_count &&
               compare_places(&expected->notes[own], &judge->told[n]) <= 0) {
            joined[count++] = expected->notes[own++];
        }
        joined[count++] = judge->told[n];
    }
    while (own < expected->note_count) {
        joined[count++] = expected->notes[own++];
    }
    free(expected->notes);
    expected->notes = joined;
    expected->note_count = count;
    expected->note_capacity = capacity;
}

static bool prepare(struct judge *judge)
{
    size_t events = judge->history->universe_count + 1;
    judge->judged = calloc(judge->told_count + 1, sizeof(*judge->judged));
    judge->seen = calloc(events, sizeof(*judge->seen));
    judge->active = calloc(judge->history->rule_count + 1, sizeof(*judge->active));
    judge->events = calloc(events, sizeof(*judge->events));
    judge->late = calloc(events, sizeof(*judge->late));
    judge->pulse_of = calloc(events, sizeof(*judge->pulse_of));
    judge->signs = calloc(events, sizeof(*judge->signs));
    if (judge->judged == NULL || judge->seen == NULL || judge->active == NULL ||
        judge->events == NULL || judge->late == NULL || judge->pulse_of == NULL ||
        judge->signs == NULL) {
        return finding_say(judge->reader.finding, "no memory to judge");
    }
    for (uint32_t n = 0; n < judge->history->rule_count; n++) {
        judge->active[n] = SIZE_MAX;
    }
    return universe_index_init(&judge->index, judge->history, judge->reader.finding);
}

static void judge_free(struct judge *judge)
{
    free(judge->judged);
    free(judge->seen);
    free(judge->active);
    free(judge->events);
    free(judge->late);
    free(judge->pulse_of);
    free(judge->signs);
    free(judge->pulses);
    universe_index_free(&judge->index);
    log_reader_free(&judge->reader);
}

static bool judge_rest(struct judge *judge)
{
    for (size_t n = 0; n < judge->told_count; n++) {
        const struct heard_note *note = &judge->told[n];
        if (note->rule > judge->history->rule_count) {
            return finding_say(judge->reader.finding, "a note of a rule that nobody defined");
        }
        const struct sign sign = {.key = note->key, .time = note->started, .pulse = SIZE_MAX};
        bool ended_late = note->rule > 0 && judge->history->rules[note->rule - 1].silence &&
                          note->kind != NOTE_TIMEOUT_FIRED;
        bool known = note->rule == 0 || judge->judged[n] || ended_late;
        if (!known && !is_crowded(judge, note->key)) {
            return wrong(judge, "a note about nothing", note->rule - 1, &sign);
        }
    }
    return true;
}

bool oracle_rules_hold(const struct history *history,
                       const struct heard_note *told,
                       size_t told_count,
                       struct expected_timeouts *expected,
                       struct finding *finding)
{
    if (history->rule_count == 0) {
        return true;
    }
    struct judge judge = {
        .history = history, .expected = expected, .told = told, .told_count = told_count};
    bool good =
        log_reader_init(&judge.reader, history, finding) && prepare(&judge) && follow(&judge);
    for (uint32_t n = 0; good && n < history->rule_count; n++) {
        good = judge_rule(&judge, n);
    }
    good = good && judge_rest(&judge);
    if (good) {
        join_notes(&judge);
    }
    judge_free(&judge);
    return good;
}
