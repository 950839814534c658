/* The judge of rules over the stream, while there is only the default lane (so the watermark W never
 * falls and is never final). What an instance is, and what becomes of it: sim/rule_model.h.
 *
 *     log ──► events, pulses ──► lives of rules: from a definition to its drop, or the end
 *     life ──► signs of each key ──► each start ──► the notes that must be there
 *
 * What is claimed of each start that was in time, that is, not behind W when it came, or behind it by
 * less than the grace:
 *  1. It fires at the pulse at which the model says so, and never else, and its note says what it must.
 *  2. Of a timeout that fired by events the first evidence is told, at the next pulse: as a retraction
 *     or as completed late, as the rule says, with the clock at that firing. A heartbeat that takes it back gives it time anew.
 *  3. No note is without an event that it is about, or of a rule that is not there.
 *
 * Left open: what came behind W itself, by more than the grace, also behind a silence; keys with so many
 * instances that the engine may give some up; whether a silence that fired is told to be over; in which
 * order the notes of a pulse come. Notes that hold join the expected ones of the feed. */
#include "api/sort.h"
#include "base/check.h"
#include "model/rule.h"
#include "sim/log_reader.h"
#include "sim/oracle_rules_parts.h"
#include "sim/told_lanes.h"

#include <stdlib.h>
#include <string.h>

#define PER_KEY_MAX 1000
#define LIVES_MAX   4096

/* A rule from its definition on. */
struct life_span {
    uint32_t rule;
    uint32_t id;
    size_t first_event;
    size_t end_event;
    size_t first_pulse;
    size_t end_pulse;
    bool dropped;
};

/* A unique event of the log. */
struct logged_event {
    const struct planned_event *planned;
    int64_t arrival;
    size_t pulse; /* the first one behind it */
};

struct judge {
    const struct history *history;
    struct log_reader reader;
    struct expected_timeouts *expected;
    const struct heard_note *told;
    size_t told_count;
    bool *judged; /* of the told ones */
    struct universe_index index;
    bool *seen; /* of the universe */
    struct logged_event *events;
    size_t event_count;
    struct told_lanes lanes;
    struct time_range chosen_w; /* of the default lane: all that is chosen is in it */
    struct told_pulse *pulses;
    struct told_pulse *chosen; /* the same, with the watermark of chosen sources */
    size_t pulse_count;
    size_t pulse_capacity;
    struct life_span *spans;
    size_t span_count;
    struct sign *signs; /* of the span that is judged */
    size_t sign_count;
    const void **by_key; /* the signs by key, then as in the log */
    const void **by_time;
    const void **scratch;
};

static bool wrong(struct judge *judge,
                  const char *what,
                  uint32_t rule,
                  const struct sign *start,
                  const struct rule_note *right,
                  const struct heard_note *note)
{
    return finding_say(
        judge->reader.finding,
        "rule r%u: %s: key %u, start %lld in %lld us (event %zu of the log); expected "
        "kind %d at pulse %llu, deadline %lld, last seen %lld; told kind %d at pulse "
        "%llu, deadline %lld, last seen %lld",
        (unsigned)rule,
        what,
        (unsigned)start->key,
        (long long)start->time,
        (long long)start->span_us,
        start->order,
        right == NULL ? 0 : (int)right->kind,
        right == NULL ? 0ULL : (unsigned long long)judge->pulses[right->pulse].ordinal,
        right == NULL ? 0LL : (long long)right->deadline,
        right == NULL ? 0LL : (long long)right->last_seen,
        note == NULL ? 0 : (int)note->kind,
        note == NULL ? 0ULL : (unsigned long long)note->place.ordinal,
        note == NULL ? 0LL : (long long)note->deadline,
        note == NULL ? 0LL : (long long)note->last_seen);
}

/* --- the log --- */

static void take_event(struct judge *judge)
{
    size_t number = universe_find(&judge->index, &judge->reader.event);
    if (number == EVENT_UNKNOWN || judge->seen[number]) {
        return;
    }
    judge->seen[number] = true;
    judge->events[judge->event_count++] =
        (struct logged_event){.planned = &judge->history->universe[number],
                              .arrival = judge->reader.batch.arrival.us,
                              .pulse = judge->pulse_count};
}

static void reserve_pulse(struct judge *judge)
{
    if (judge->pulse_count == judge->pulse_capacity) {
        judge->pulse_capacity = judge->pulse_capacity == 0 ? 1024 : 2 * judge->pulse_capacity;
        size_t size = judge->pulse_capacity * sizeof(*judge->pulses);
        judge->pulses = realloc(judge->pulses, size);
        judge->chosen = realloc(judge->chosen, size);
        CHECK(judge->pulses != NULL && judge->chosen != NULL);
    }
}

static bool take_pulse(struct judge *judge)
{
    struct pulse pulse;
    if (!pulse_read(judge->reader.record.body, &pulse)) {
        return finding_say(judge->reader.finding, "rules: a pulse can't be read");
    }
    const uint32_t lane = LANE_DEFAULT;
    if (!told_lanes_pulse(&judge->lanes, &pulse, judge->reader.finding)) {
        return false;
    }
    judge->chosen_w = told_lanes_watermark(&judge->lanes, &lane, 1, judge->chosen_w);
    reserve_pulse(judge);
    struct told_pulse *told = &judge->pulses[judge->pulse_count];
    *told =
        (struct told_pulse){.ordinal = pulse.ordinal,
                            .position = judge->reader.frame->position + judge->reader.record.offset,
                            .watermark = pulse.watermark,
                            .clock = pulse.clock.us,
                            .hold = (pulse.flags & PULSE_HOLD) != 0};
    judge->chosen[judge->pulse_count] = *told;
    judge->chosen[judge->pulse_count++].watermark = judge->chosen_w.low;
    return true;
}

static struct life_span *find_alive(struct judge *judge, uint32_t number, uint32_t id)
{
    for (size_t n = 0; n < judge->span_count; n++) {
        struct life_span *span = &judge->spans[n];
        if (!span->dropped && (span->rule == number || span->id == id)) {
            return span;
        }
    }
    return NULL;
}

static bool take_rule(struct judge *judge)
{
    struct define define;
    struct rule rule;
    uint32_t number = 0;
    if (!define_read(judge->reader.record.body, &define) || !rule_read(define.definition, &rule) ||
        !text_number(rule.name, 'r', &number) || number >= judge->history->rule_count ||
        find_alive(judge, number, define.metric) != NULL || judge->span_count == LIVES_MAX) {
        return finding_say(judge->reader.finding, "a rule that nobody defined, or twice");
    }
    judge->spans[judge->span_count++] = (struct life_span){.rule = number,
                                                           .id = define.metric,
                                                           .first_event = judge->event_count,
                                                           .end_event = SIZE_MAX,
                                                           .first_pulse = judge->pulse_count,
                                                           .end_pulse = SIZE_MAX};
    return true;
}

static bool take_drop(struct judge *judge)
{
    uint32_t id = 0;
    struct life_span *span = NULL;
    if (drop_read(judge->reader.record.body, &id)) {
        span = find_alive(judge, UINT32_MAX, id);
    }
    if (span == NULL || !judge->history->rules[span->rule].droppable) {
        return finding_say(judge->reader.finding, "a drop of a rule that nobody asked for");
    }
    span->dropped = true;
    span->end_event = judge->event_count;
    span->end_pulse = judge->pulse_count;
    return true;
}

static bool take_record(struct judge *judge)
{
    switch (judge->reader.record.kind) {
    case RECORD_PULSE:
        return take_pulse(judge);
    case RECORD_RULE:
        return take_rule(judge);
    case RECORD_RULE_DROP:
        return take_drop(judge);
    case RECORD_EVENTS:
        while (log_next_event(&judge->reader)) {
            take_event(judge);
        }
        return true;
    case RECORD_GENESIS:
    case RECORD_DEFINE:
    case RECORD_DROP:
    case RECORD_SOURCE:
    case RECORD_FORGET:
    case RECORD_LANE:
    case RECORD_TIMEOUTS:
    case RECORD_CONSUMER:
    case RECORD_ANSWER:
        return true;
    }
    return true;
}

static bool follow(struct judge *judge)
{
    bool good = true;
    while (good && log_next_record(&judge->reader)) {
        good = take_record(judge);
    }
    for (size_t n = 0; n < judge->span_count; n++) {
        struct life_span *span = &judge->spans[n];
        span->end_event = span->dropped ? span->end_event : judge->event_count;
        span->end_pulse = span->dropped ? span->end_pulse : judge->pulse_count;
    }
    return good && !judge->reader.bad;
}

/* --- signs --- */

/* How long a start waits; 0: it tells no time. */
static int64_t span_of(const struct rule_recipe *rule, const struct planned_event *event)
{
    if (rule->unit_us == 0) {
        return rule->span_us;
    }
    bool usable = event->has_x && event->x > 0 && event->x <= RULE_SPAN_MAX_US / rule->unit_us;
    return usable ? event->x * rule->unit_us : 0;
}

static void add_sign(struct judge *judge,
                     const struct rule_recipe *rule,
                     size_t order,
                     enum sign_kind kind,
                     int64_t span_us)
{
    const struct logged_event *event = &judge->events[order];
    judge->signs[judge->sign_count++] =
        (struct sign){.kind = kind,
                      .key = rule->silence ? event->planned->source : event->planned->subject,
                      .time = rule->by_clock ? event->arrival : event->planned->time.us,
                      .span_us = span_us,
                      .order = order,
                      .pulse = event->pulse};
}

static void gather(struct judge *judge, const struct life_span *span)
{
    const struct rule_recipe *rule = &judge->history->rules[span->rule];
    judge->sign_count = 0;
    for (size_t n = span->first_event; n < span->end_event; n++) {
        const struct planned_event *event = judge->events[n].planned;
        bool starts = event->type == 0;
        bool expected = rule->silence ? starts : event->type == 1;
        if ((!rule->silence && event->subject == 0) || judge->events[n].pulse >= span->end_pulse) {
            continue;
        }
        int64_t span_us = starts ? span_of(rule, event) : 0;
        if (starts && span_us > 0) {
            add_sign(judge, rule, n, SIGN_START, span_us);
        }
        judge->expected->counts.rules_unusable += starts && span_us == 0;
        if (rule->beats && event->type == rule->beat_type) {
            add_sign(judge, rule, n, SIGN_HEARTBEAT, 0);
        }
        if (expected) {
            add_sign(judge, rule, n, SIGN_EXPECT, 0);
        }
        if (rule->cancels && event->type == rule->cancel_type) {
            add_sign(judge, rule, n, SIGN_CANCEL, 0);
        }
    }
}

static int compare_keys(const void *a, const void *b, const void *ctx)
{
    const struct sign *left = a;
    const struct sign *right = b;
    (void)ctx;
    return (left->key > right->key) - (left->key < right->key);
}

static int compare_times(const void *a, const void *b, const void *ctx)
{
    const struct sign *left = a;
    const struct sign *right = b;
    (void)ctx;
    if (left->time != right->time) {
        return left->time < right->time ? -1 : 1;
    }
    return (left->kind > right->kind) - (left->kind < right->kind);
}

const struct sign *rule_next_start(const struct rule_life *life, size_t *at)
{
    const struct sign *before = *at == 0 ? NULL : life->by_time[*at - 1];
    for (; *at < life->count; before = life->by_time[(*at)++]) {
        const struct sign *sign = life->by_time[*at];
        bool again = before != NULL && before->kind == SIGN_START && before->time == sign->time;
        if (sign->kind == SIGN_START && !again) {
            (*at)++;
            return sign;
        }
    }
    return NULL;
}

/* --- notes --- */

/* The next note of an instance, from *at on; NULL: there is none. Takes it for judged. */
static const struct heard_note *
next_note(struct judge *judge, const struct rule_key *key, const struct sign *start, size_t *at)
{
    uint64_t first = judge->pulses[key->first_pulse].ordinal;
    uint64_t last = judge->pulses[key->life.pulse_end - 1].ordinal;
    for (; *at < judge->told_count; (*at)++) {
        const struct heard_note *note = &judge->told[*at];
        if (note->rule == key->rule + 1 && note->key == key->key && note->place.ordinal >= first &&
            note->place.ordinal <= last && (start == NULL || note->started == start->time)) {
            judge->judged[(*at)++] = true;
            return note;
        }
    }
    return NULL;
}

static bool note_is(const struct judge *judge,
                    const struct rule_recipe *rule,
                    const struct heard_note *note,
                    const struct rule_note *right)
{
    uint8_t flags = (uint8_t)((rule->by_clock ? 0 : NOTE_BY_EVENTS) |
                              (rule->silence ? NOTE_SILENCE : 0) | (note->flags & NOTE_BORN_LATE));
    bool fires = note->kind == NOTE_TIMEOUT_FIRED;
    return note->kind == right->kind && note->flags == flags &&
           note->fired.us == (fires ? 0 : judge->pulses[right->fired].clock) &&
           note->place.ordinal == judge->pulses[right->pulse].ordinal &&
           note->deadline == right->deadline && note->last_seen == right->last_seen;
}

static bool judge_notes(struct judge *judge,
                        const struct rule_key *key,
                        const struct sign *start,
                        const struct rule_fate *fate)
{
    size_t at = 0;
    const struct heard_note *note = next_note(judge, key, start, &at);
    for (uint32_t n = 0; n < fate->note_count; n++) {
        const struct rule_note *right = &fate->notes[n];
        bool may_lack = key->life.rule->silence && right->kind != NOTE_TIMEOUT_FIRED;
        bool same = note != NULL && note_is(judge, key->life.rule, note, right);
        if (!same && !may_lack) {
            return wrong(judge,
                         note == NULL ? "it is not told" : "it is told otherwise",
                         key->rule,
                         start,
                         right,
                         note);
        }
        note = same ? next_note(judge, key, start, &at) : note;
    }
    return note == NULL || wrong(judge, "too much is told", key->rule, start, NULL, note);
}

static void count_firing(struct timer_counts *counts, const struct rule_recipe *rule)
{
    counts->rules_fired += !rule->silence;
    counts->silences += rule->silence;
    counts->rules_by_clock += !rule->silence && rule->by_clock;
    counts->silences_by_clock += rule->silence && rule->by_clock;
    counts->rules_grace_over += rule->grace_us > 0;
    counts->rules_computed += rule->unit_us > 0;
    counts->rules_chosen += rule->source_count > 0;
}

static void count_fate(struct judge *judge,
                       const struct life_span *span,
                       const struct rule_life *life,
                       const struct rule_fate *fate)
{
    struct timer_counts *counts = &judge->expected->counts;
    const struct rule_recipe *rule = life->rule;
    uint32_t fired = 0;
    for (uint32_t n = 0; n < fate->note_count; n++) {
        bool fires = fate->notes[n].kind == NOTE_TIMEOUT_FIRED;
        fired += fires;
        counts->rules_late += !fires;
        if (fires) {
            count_firing(counts, rule);
        }
    }
    bool ended = fate->state == TIMEOUT_COMPLETED || fate->state == TIMEOUT_CANCELLED;
    counts->rules_met += fate->state == TIMEOUT_COMPLETED && !fate->taken;
    counts->rules_cancelled += fate->state == TIMEOUT_CANCELLED;
    counts->rules_extended += fate->extended > 0;
    counts->rules_reopened += fate->taken && (fate->state == TIMEOUT_PENDING || fired > 1);
    counts->rules_dropped += span->dropped && fate->state == TIMEOUT_PENDING;
    counts->rules_met_by_grace += ended && !rule->by_clock && !fate->taken && fate->ended_at > 0 &&
                                  life->pulses[fate->ended_at - 1].watermark > fate->deadline;
}

/* --- a key, a rule --- */

static bool judge_key(struct judge *judge, const struct life_span *span, struct rule_key *key)
{
    struct rule_life *life = &key->life;
    size_t at = 0;
    bool good = true;
    if (life->count > PER_KEY_MAX) {
        while (next_note(judge, key, NULL, &at) != NULL) {
        }
        return true;
    }
    for (const struct sign *start; good && (start = rule_next_start(life, &at)) != NULL;) {
        struct rule_fate fate;
        rule_follow(life, start, life->pulse_end - 1, 0, &fate);
        if (fate.open || rule_start_is_open(life, start)) {
            size_t notes = 0;
            while (next_note(judge, key, start, &notes) != NULL) {
            }
            judge->expected->counts.rules_open++;
            continue;
        }
        good = judge_notes(judge, key, start, &fate);
        count_fate(judge, span, life, &fate);
    }
    return good &&
           oracle_instances_hold(
               judge->history, key, span->dropped, &judge->expected->counts, judge->reader.finding);
}

static bool judge_span(struct judge *judge, const struct life_span *span)
{
    if (span->first_pulse >= span->end_pulse) {
        return true;
    }
    const struct rule_recipe *rule = &judge->history->rules[span->rule];
    gather(judge, span);
    for (size_t n = 0; n < judge->sign_count; n++) {
        judge->by_key[n] = &judge->signs[n];
    }
    sort_stable(judge->by_key, judge->scratch, judge->sign_count, compare_keys, NULL);
    bool good = true;
    for (size_t first = 0, end = 0; good && first < judge->sign_count; first = end) {
        uint32_t number = ((const struct sign *)judge->by_key[first])->key;
        while (end < judge->sign_count &&
               ((const struct sign *)judge->by_key[end])->key == number) {
            judge->by_time[end] = judge->by_key[end];
            end++;
        }
        sort_stable(judge->by_time + first, judge->scratch, end - first, compare_times, NULL);
        struct rule_key key = {
            .rule = span->rule,
            .key = number,
            .first_pulse = span->first_pulse,
            .life = {.rule = rule,
                     .pulses = rule->source_count > 0 ? judge->chosen : judge->pulses,
                     .pulse_end = span->end_pulse,
                     .by_order = (const struct sign *const *)(judge->by_key + first),
                     .by_time = (const struct sign *const *)(judge->by_time + first),
                     .count = end - first}};
        good = judge_key(judge, span, &key);
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
    size_t signs = SIGN_KINDS * events;
    judge->judged = calloc(judge->told_count + 1, sizeof(*judge->judged));
    judge->seen = calloc(events, sizeof(*judge->seen));
    judge->events = calloc(events, sizeof(*judge->events));
    judge->spans = calloc(LIVES_MAX, sizeof(*judge->spans));
    judge->signs = calloc(signs, sizeof(*judge->signs));
    judge->by_key = calloc(signs, sizeof(*judge->by_key));
    judge->by_time = calloc(signs, sizeof(*judge->by_time));
    judge->scratch = calloc(signs, sizeof(*judge->scratch));
    if (judge->judged == NULL || judge->seen == NULL || judge->events == NULL ||
        judge->spans == NULL || judge->signs == NULL || judge->by_key == NULL ||
        judge->by_time == NULL || judge->scratch == NULL) {
        return finding_say(judge->reader.finding, "no memory to judge");
    }
    judge->chosen_w = (struct time_range){WATERMARK_NONE, WATERMARK_NONE};
    return told_lanes_init(&judge->lanes) &&
           universe_index_init(&judge->index, judge->history, judge->reader.finding);
}

static void judge_free(struct judge *judge)
{
    free(judge->judged);
    free(judge->seen);
    free(judge->events);
    free(judge->spans);
    free(judge->signs);
    free(judge->by_key);
    free(judge->by_time);
    free(judge->scratch);
    free(judge->pulses);
    free(judge->chosen);
    told_lanes_free(&judge->lanes);
    universe_index_free(&judge->index);
    log_reader_free(&judge->reader);
}

static bool judge_rest(struct judge *judge)
{
    for (size_t n = 0; n < judge->told_count; n++) {
        const struct heard_note *note = &judge->told[n];
        if (note->rule > 0 && !judge->judged[n]) {
            const struct sign sign = {.key = note->key, .time = note->started};
            return wrong(judge, "a note about nothing", note->rule - 1, &sign, NULL, note);
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
    for (size_t n = 0; good && n < judge.span_count; n++) {
        good = judge_span(&judge, &judge.spans[n]);
    }
    good = good && judge_rest(&judge);
    if (good) {
        join_notes(&judge);
    }
    judge_free(&judge);
    return good;
}
