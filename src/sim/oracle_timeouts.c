/* The judge of timeouts: the log, walked record by record.
 *
 *     command   decided at once (timer_model.h)
 *     pulse     by the clock: deadline <= clock fires; by events: deadline < W, unless it says HOLD
 *
 * What is claimed:
 *  1. Every record of commands was sent, no more often than it was sent and not refused; clocks don't
 *     fall; each key stands in its partition.
 *  2. Who was answered: the record is in the frame that the answer names, and each result is what the
 *     log before it makes of the command.
 *  3. Each timeout fires at the first pulse at which it is due, once per generation, unless a command
 *     before that pulse ended or extended it.
 *
 * Left open, because the contract does: which of several equal deadlines fire first where a pulse
 * leaves some to the next (then the feed says it); the order of notes of one pulse and partition. */
#include "sim/oracle_timeouts.h"

#include "api/sort.h"
#include "base/check.h"
#include "base/hash.h"
#include "core/timeouts.h"
#include "sim/log_reader.h"
#include "sim/oracle_lagging.h"
#include "sim/timer_model.h"

#include <stdlib.h>
#include <string.h>

#define STAMP_BYTES 16

struct judge {
    const struct history *history;
    struct log_reader reader;
    struct timer_model model;
    struct lagging_model lagging;
    const struct heard_note *told;
    size_t told_count;
    size_t told_at;
    size_t *by_content; /* askings, by hash of their bodies */
    uint64_t *hashes;   /* of the askings */
    bool *matched;
    uint32_t *times_in_log; /* per asking: of its content, at the first of these */
    struct timeout_result results[TIMEOUT_COMMANDS_MAX];
    struct finding mismatch; /* of an answer; it counts if nothing better is found */
};

static bool wrong(struct judge *judge, const char *what, uint64_t number)
{
    return finding_say(judge->reader.finding,
                       "timeouts, position %llu: %s (%llu)",
                       (unsigned long long)judge->model.position,
                       what,
                       (unsigned long long)number);
}

/* --- answers --- */

bool timeout_objects_equal(const struct timeout_object *a, const struct timeout_object *b)
{
    return a->state == b->state && a->clock == b->clock && a->generation == b->generation &&
           a->version == b->version && a->born_late == b->born_late &&
           a->has_within == b->has_within && a->has_event_time == b->has_event_time &&
           a->within_us == b->within_us && a->deadline == b->deadline &&
           (!a->has_event_time || a->event_time.us == b->event_time.us) &&
           a->created.us == b->created.us && a->last_seen.us == b->last_seen.us &&
           a->ended.us == b->ended.us && a->decided_at == b->decided_at;
}

static bool results_equal(struct judge *judge, const struct asking *asking, bool say)
{
    for (uint32_t n = 0; n < asking->count; n++) {
        const struct timeout_result *told = &asking->results[n];
        const struct timeout_result *right = &judge->results[n];
        if (told->outcome == right->outcome && told->object.held == right->object.held &&
            timeout_objects_equal(&told->object, &right->object)) {
            continue;
        }
        if (say) {
            const struct timeout_object *a = &told->object;
            const struct timeout_object *b = &right->object;
            judge->mismatch.text[0] = '\0';
            (void)finding_say(
                &judge->mismatch,
                "timeouts, position %llu, command %u: told outcome %d (state %d gen %u version "
                "%llu deadline %lld ended %lld at %llu), the log says %d (state %d gen %u version "
                "%llu deadline %lld ended %lld at %llu)",
                (unsigned long long)judge->model.position,
                n,
                (int)told->outcome,
                (int)a->state,
                a->generation,
                (unsigned long long)a->version,
                (long long)a->deadline,
                (long long)a->ended.us,
                (unsigned long long)a->decided_at,
                (int)right->outcome,
                (int)b->state,
                b->generation,
                (unsigned long long)b->version,
                (long long)b->deadline,
                (long long)b->ended.us,
                (unsigned long long)b->decided_at);
        }
        return false;
    }
    return true;
}

/* Of all but the clock and the watermark, which the log adds. */
static uint64_t content_hash(struct bytes body)
{
    return hash64(bytes_of(body.data + STAMP_BYTES, body.len - STAMP_BYTES), 0);
}

/* The first asking of this content; count: there is none. */
static size_t content_first(const struct judge *judge, uint64_t hash)
{
    size_t low = 0;
    size_t high = judge->history->asking_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (judge->hashes[judge->by_content[middle]] < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Who sent this record, and was told of it: it must be as the results say. */
static bool match_asking(struct judge *judge, uint32_t count)
{
    const struct history *history = judge->history;
    uint64_t hash = content_hash(judge->reader.record.body);
    size_t first = content_first(judge, hash);
    size_t sent = 0;
    bool told = false;
    for (size_t at = first; at < history->asking_count; at++) {
        size_t number = judge->by_content[at];
        const struct asking *asking = &history->askings[number];
        if (judge->hashes[number] != hash || asking->count != count) {
            break;
        }
        sent += asking->outcome != OUTCOME_REFUSED;
        bool candidate = !told && asking->outcome == OUTCOME_ACKED && !judge->matched[number] &&
                         asking->as_of == judge->reader.frame->end;
        if (candidate && results_equal(judge, asking, false)) {
            judge->matched[number] = true;
            told = true;
        } else if (candidate) {
            (void)results_equal(judge, asking, true);
        }
    }
    if (first == history->asking_count || sent == 0) {
        return wrong(judge, "commands that nobody sent, or that were refused", count);
    }
    uint32_t times = ++judge->times_in_log[judge->by_content[first]];
    return times <= sent || wrong(judge, "commands are in the log more often than sent", times);
}

static bool follow_commands(struct judge *judge)
{
    const struct history *history = judge->history;
    struct timeouts_reader reader;
    struct timeout_command command;
    if (!timeouts_open(judge->reader.record.body, &reader)) {
        return wrong(judge, "commands that can't be read", 0);
    }
    if (reader.clock.us < judge->model.clock.us) {
        return wrong(judge, "the clock of commands falls", (uint64_t)reader.clock.us);
    }
    bool finite = judge->model.watermark != WATERMARK_FINAL;
    if (finite && reader.watermark < judge->model.watermark) {
        return wrong(judge, "the watermark of commands falls", (uint64_t)reader.watermark);
    }
    judge->model.clock = reader.clock;
    judge->model.stamped = reader.watermark;
    uint32_t count = 0;
    while (timeouts_next(&reader)) {
        uint32_t key = 0;
        if (!timeout_command_read(&reader, &command) || !text_number(command.key, 't', &key) ||
            key >= history->timer_keys) {
            return wrong(judge, "a command that can't be read", count);
        }
        uint32_t partition =
            timeout_partition(timeout_hash(command.key, history->hash_seed), history->partitions);
        if (partition != reader.partition) {
            return wrong(judge, "a command for another partition than its key's", key);
        }
        judge->model.live[key].partition = partition;
        struct timeout_result *result = &judge->results[count++];
        result->outcome = timer_model_decide(&judge->model, key, &command);
        result->object = judge->model.live[key].object;
        result->object.held = timer_model_holds(&judge->model, &result->object);
        judge->model.expected->counts.races_lost +=
            result->outcome == TIMEOUT_ALREADY_FIRED && command.op != TIMEOUT_CREATE;
    }
    judge->model.expected->counts.commands += count;
    return reader.commands.bad ? wrong(judge, "commands that can't be read", count)
                               : match_asking(judge, count);
}

/* --- pulses --- */

/* The number of its note at this pulse; 0: the feed has none, or forgot it. */
static uint32_t told_number(const struct judge *judge, uint64_t ordinal, uint32_t key)
{
    for (size_t n = judge->told_at; n < judge->told_count; n++) {
        const struct heard_note *note = &judge->told[n];
        if (note->place.ordinal != ordinal) {
            break;
        }
        if (note->rule == 0 && note->key == key) {
            return note->place.number;
        }
    }
    return 0;
}

static int compare_told(const void *a, const void *b, const void *ctx)
{
    const struct pending_entry *left = a;
    const struct pending_entry *right = b;
    (void)ctx;
    return (left->told > right->told) - (left->told < right->told);
}

/* Of one pulse and partition, in the order in which the feed tells them. */
static void sort_due(struct pending_entry *due, size_t count)
{
    const void **sorted = calloc(count, sizeof(*sorted));
    const void **scratch = calloc(count, sizeof(*scratch));
    struct pending_entry *copy = calloc(count, sizeof(*copy));
    CHECK(sorted != NULL && scratch != NULL && copy != NULL);
    memcpy(copy, due, count * sizeof(*copy));
    for (size_t n = 0; n < count; n++) {
        sorted[n] = &copy[n];
    }
    sort_stable(sorted, scratch, count, compare_told, NULL);
    for (size_t n = 0; n < count; n++) {
        due[n] = *(const struct pending_entry *)sorted[n];
    }
    free(sorted);
    free(scratch);
    free(copy);
}

/* Fires what is due in one partition, of each clock the earliest first. More than the slice: as many;
 * the feed says which of equal ones. */
static bool fire_partition(struct judge *judge,
                           const struct pulse *pulse,
                           struct pending_entry *due,
                           size_t count)
{
    uint32_t slice = TIMEOUTS_SLICE / judge->history->partitions;
    for (size_t n = 0; n < count; n++) {
        due[n].told = told_number(judge, pulse->ordinal, due[n].key);
    }
    sort_due(due, count);
    uint32_t fired = 0;
    int64_t latest[2] = {INT64_MIN, INT64_MIN};
    int64_t earliest_left[2] = {INT64_MAX, INT64_MAX};
    for (size_t n = 0; n < count; n++) {
        enum timeout_clock clock = judge->model.live[due[n].key].object.clock;
        int64_t deadline = due[n].deadline;
        if (count > slice && due[n].told == 0) {
            earliest_left[clock] =
                deadline < earliest_left[clock] ? deadline : earliest_left[clock];
            continue;
        }
        if (deadline < latest[clock] && due[n].told != 0) {
            return wrong(judge, "a later one fired before an earlier one", due[n].key);
        }
        latest[clock] = deadline > latest[clock] ? deadline : latest[clock];
        timer_model_fire(&judge->model, due[n].key, pulse);
        fired++;
    }
    judge->model.expected->counts.sliced += count > slice;
    if (count > slice && fired != slice) {
        return wrong(judge, "a pulse fired not as many as it may", fired);
    }
    return (latest[0] <= earliest_left[0] && latest[1] <= earliest_left[1]) ||
           wrong(judge, "a later one fired and an earlier one waits", pulse->ordinal);
}

/* Those of a partition first; how many they are. */
static size_t gather_partition(const struct judge *judge,
                               struct pending_entry *due,
                               size_t count,
                               uint32_t number)
{
    size_t own = 0;
    for (size_t n = 0; n < count; n++) {
        if (judge->model.live[due[n].key].partition == number) {
            struct pending_entry moved = due[n];
            memmove(due + own + 1, due + own, (n - own) * sizeof(*due));
            due[own++] = moved;
        }
    }
    return own;
}

static bool fire_due(struct judge *judge, const struct pulse *pulse)
{
    const struct pending_list *by_clock = &judge->model.lists[TIMEOUT_BY_PROCESSING];
    const struct pending_list *by_events = &judge->model.lists[TIMEOUT_BY_EVENTS];
    size_t clock_due = pending_place(by_clock, judge->model.clock.us);
    size_t events_due = judge->model.watermark == WATERMARK_FINAL ? by_events->count
                        : judge->model.watermark == WATERMARK_NONE
                            ? 0
                            : pending_place(by_events, judge->model.watermark - 1);
    judge->model.expected->counts.held += judge->model.hold && events_due > 0;
    events_due = judge->model.hold ? 0 : events_due;
    size_t count = clock_due + events_due;
    if (count == 0) {
        return true;
    }
    struct pending_entry *due = malloc(count * sizeof(*due));
    CHECK(due != NULL);
    if (clock_due > 0) {
        memcpy(due, by_clock->entries, clock_due * sizeof(*due));
    }
    if (events_due > 0) {
        memcpy(due + clock_due, by_events->entries, events_due * sizeof(*due));
    }
    while (judge->told_at < judge->told_count &&
           judge->told[judge->told_at].place.ordinal < pulse->ordinal) {
        judge->told_at++;
    }
    bool good = true;
    for (uint32_t n = 0, done = 0; good && n < judge->history->partitions; n++) {
        size_t own = gather_partition(judge, due + done, count - done, n);
        good = own == 0 || fire_partition(judge, pulse, due + done, own);
        done += (uint32_t)own;
    }
    free(due);
    return good;
}

static bool follow_pulse(struct judge *judge)
{
    struct pulse pulse;
    if (!pulse_read(judge->reader.record.body, &pulse)) {
        return wrong(judge, "a pulse that can't be read", 0);
    }
    if (pulse.clock.us < judge->model.clock.us) {
        return wrong(judge, "the clock of a pulse falls", (uint64_t)pulse.clock.us);
    }
    judge->model.clock = pulse.clock;
    judge->model.watermark = pulse.watermark;
    judge->model.hold = (pulse.flags & PULSE_HOLD) != 0;
    judge->model.expected->last_ordinal = pulse.ordinal;
    lagging_pulse(&judge->lagging,
                  &pulse,
                  judge->model.position,
                  judge->model.lists[TIMEOUT_BY_EVENTS].count,
                  judge->model.expected);
    bool good = fire_due(judge, &pulse);
    timer_model_expire(&judge->model);
    return good;
}

/* --- the whole --- */

static int compare_hashes(const void *a, const void *b, const void *ctx)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    (void)ctx;
    return (left > right) - (left < right);
}

/* by_content: the askings by the hash of what they ask. */
static bool sort_askings(struct judge *judge)
{
    const struct history *history = judge->history;
    size_t count = history->asking_count;
    const void **sorted = calloc(count + 1, sizeof(*sorted));
    const void **scratch = calloc(count + 1, sizeof(*scratch));
    bool good = sorted != NULL && scratch != NULL;
    for (size_t n = 0; good && n < count; n++) {
        struct bytes body = history->askings[n].body;
        judge->hashes[n] = content_hash(body);
        sorted[n] = &judge->hashes[n];
    }
    if (good) {
        sort_stable(sorted, scratch, count, compare_hashes, NULL);
    }
    for (size_t n = 0; good && n < count; n++) {
        judge->by_content[n] = (size_t)((const uint64_t *)sorted[n] - judge->hashes);
    }
    free(sorted);
    free(scratch);
    return good || finding_say(judge->reader.finding, "no memory to judge");
}

static bool prepare(struct judge *judge)
{
    const struct history *history = judge->history;
    size_t askings = history->asking_count + 1;
    judge->by_content = calloc(askings, sizeof(*judge->by_content));
    judge->hashes = calloc(askings, sizeof(*judge->hashes));
    judge->matched = calloc(askings, sizeof(*judge->matched));
    judge->times_in_log = calloc(askings, sizeof(*judge->times_in_log));
    if (judge->by_content == NULL || judge->hashes == NULL || judge->matched == NULL ||
        judge->times_in_log == NULL ||
        !timer_model_init(&judge->model, history, judge->model.expected)) {
        return finding_say(judge->reader.finding, "no memory to judge");
    }
    return sort_askings(judge);
}

static bool follow_record(struct judge *judge)
{
    enum record_kind kind = judge->reader.record.kind;
    if (kind == RECORD_RULE || kind == RECORD_RULE_DROP) {
        return lagging_rule(&judge->lagging, &judge->reader.record) ||
               wrong(judge, "a rule that can't be read", 0);
    }
    return kind == RECORD_TIMEOUTS ? follow_commands(judge)
           : kind == RECORD_PULSE  ? follow_pulse(judge)
                                   : true;
}

static bool follow(struct judge *judge)
{
    while (log_next_record(&judge->reader)) {
        judge->model.position = judge->reader.frame->position + judge->reader.record.offset;
        if (!follow_record(judge)) {
            return false;
        }
    }
    return !judge->reader.bad;
}

static bool answers_matched(struct judge *judge)
{
    for (size_t n = 0; n < judge->history->asking_count; n++) {
        const struct asking *asking = &judge->history->askings[n];
        if (asking->outcome == OUTCOME_ACKED && !judge->matched[n]) {
            if (judge->mismatch.text[0] != '\0') {
                return finding_say(judge->reader.finding, "%s", judge->mismatch.text);
            }
            return finding_say(judge->reader.finding,
                               "timeouts: %u commands were answered as of %llu, and are not there",
                               asking->count,
                               (unsigned long long)asking->as_of);
        }
    }
    return true;
}

static void sum_up(struct judge *judge)
{
    struct expected_timeouts *expected = judge->model.expected;
    for (uint32_t key = 0; key < expected->timer_count; key++) {
        expected->by_state[judge->model.live[key].object.state]++;
    }
    const struct pending_list *lists = judge->model.lists;
    expected->clock = judge->model.clock;
    expected->due_by_clock = lists[0].count == 0 ? INT64_MAX : lists[0].entries[0].deadline;
    expected->due_by_events = lists[1].count == 0 ? INT64_MAX : lists[1].entries[0].deadline;
}

static void judge_free(struct judge *judge)
{
    timer_model_free(&judge->model);
    free(judge->by_content);
    free(judge->hashes);
    free(judge->matched);
    free(judge->times_in_log);
    log_reader_free(&judge->reader);
    free(judge);
}

bool oracle_timeouts(const struct history *history,
                     const struct heard_note *told,
                     size_t told_count,
                     struct expected_timeouts *expected,
                     struct finding *finding)
{
    *expected = (struct expected_timeouts){0};
    struct judge *judge = calloc(1, sizeof(*judge));
    CHECK(judge != NULL);
    judge->history = history;
    judge->model.history = history;
    judge->model.expected = expected;
    judge->told = told;
    judge->told_count = told_count;
    bool good = log_reader_init(&judge->reader, history, finding) && prepare(judge) &&
                follow(judge) && answers_matched(judge);
    if (good) {
        sum_up(judge);
    }
    judge_free(judge);
    return good;
}

void oracle_timeouts_free(struct expected_timeouts *expected)
{
    for (uint32_t key = 0; expected->timers != NULL && key < expected->timer_count; key++) {
        free(expected->timers[key].changes);
    }
    free(expected->timers);
    free(expected->notes);
    *expected = (struct expected_timeouts){0};
}

const struct expected_change *expected_now(const struct expected_timeouts *expected, uint32_t key)
{
    const struct expected_timer *timer = &expected->timers[key];
    return timer->change_count == 0 ? NULL : &timer->changes[timer->change_count - 1];
}
