/* The log's oracle. What must hold of every log that clients, faults and crashes bring about:
 *
 *  1. Frames follow each other: each ends above its position, and none begins before the end of the
 *     one before it. Gaps are allowed: the log's own frames lie there.
 *  2. A frame holds as many records as it says; each decodes to its last byte.
 *  3. GENESIS, when the log shows it, is its very first record, and says what the history says.
 *  4. Pulses are numbered 1, 2, 3, ...; their clocks never fall; each is the last of its frame.
 *  5. A metric's id is defined once, for ever, its definition is valid, and no two metrics that
 *     exist at the same time have one name. What is dropped, exists.
 *  6. Each event in the log is of the universe: time, type, subject, data are what its (source, id)
 *     stands for, nothing was added, and it lies in the partition that its identity says.
 *  7. A sending enters the log at most once, and not at all when it was refused: no event has more
 *     copies in the log than it has sendings that were acknowledged or never answered.
 *  8. What was acknowledged is in the log, duplicates as well: the nth copy of an event ends at or
 *     below the nth lowest as_of that was promised for it. */
#include "sim/oracle_log.h"

#include "api/sort.h"
#include "base/text.h"
#include "model/definition.h"
#include "model/timeout.h"
#include "sim/log_reader.h"

#include <stdlib.h>

#define DATA_BYTES_MAX 64

struct defined_metric {
    uint32_t id;
    bool exists;
    struct bytes name;
};

/* An event in the log, or a promise that it is there. */
struct place {
    size_t event;
    uint64_t position; /* of the frame's end; of the promise: as_of */
};

/* Many places, to be sorted by event and position. */
struct places {
    struct place *items;
    size_t count;
    size_t capacity;
};

struct judge {
    const struct history *history;
    struct finding *finding;
    struct log_reader reader;
    struct universe_index universe;
    uint64_t records; /* in the whole log */
    uint64_t pulses;
    struct clock_time clock;
    struct defined_metric *metrics;
    size_t metric_count;
    size_t metric_capacity;
    struct places copies;
    struct places promises;
};

static bool put_place(struct judge *judge, struct places *places, struct place place)
{
    if (places->count == places->capacity) {
        size_t capacity = places->capacity == 0 ? 1024 : 2 * places->capacity;
        struct place *items = realloc(places->items, capacity * sizeof(*items));
        if (items == NULL) {
            return finding_say(judge->finding, "no memory to judge");
        }
        places->items = items;
        places->capacity = capacity;
    }
    places->items[places->count++] = place;
    return true;
}

static bool frames_follow(struct judge *judge)
{
    uint64_t end = 0;
    for (size_t i = 0; i < judge->history->frame_count; i++) {
        const struct history_frame *frame = &judge->history->frames[i];
        if (frame->position < end || frame->end <= frame->position) {
            return finding_say(judge->finding,
                               "frame %zu from %llu to %llu comes after one that ends at %llu",
                               i,
                               (unsigned long long)frame->position,
                               (unsigned long long)frame->end,
                               (unsigned long long)end);
        }
        end = frame->end;
    }
    return true;
}

/* A finding about the record that was read last. */
static bool wrong(struct judge *judge, const char *what, uint64_t number)
{
    return finding_say(judge->finding,
                       "frame %llu, record %u: %s (%llu)",
                       (unsigned long long)judge->reader.frame->position,
                       (unsigned)judge->reader.record_in_frame,
                       what,
                       (unsigned long long)number);
}

static bool judge_genesis(struct judge *judge)
{
    struct genesis genesis;
    if (!genesis_read(judge->reader.record.body, &genesis)) {
        return wrong(judge, "a genesis that can't be read", 0);
    }
    if (judge->records != 1) {
        return wrong(judge, "a genesis that is not the first record", judge->records);
    }
    if (genesis.seed != judge->history->hash_seed) {
        return wrong(judge, "another seed in the genesis", genesis.seed);
    }
    return genesis.partitions == judge->history->partitions ||
           wrong(judge, "another number of partitions in the genesis", genesis.partitions);
}

static bool judge_pulse(struct judge *judge)
{
    struct pulse pulse;
    if (!pulse_read(judge->reader.record.body, &pulse)) {
        return wrong(judge, "a pulse that can't be read", 0);
    }
    struct reader lanes = reader_of(pulse.lanes);
    struct lane_state lane;
    uint32_t lane_count = 0;
    while (pulse_next_lane(&lanes, &lane)) {
        lane_count++;
    }
    if (lanes.bad || reader_left(&lanes) > 0 || lane_count != pulse.lane_count) {
        return wrong(judge, "a pulse with lanes that can't be read", pulse.ordinal);
    }
    if (pulse.ordinal != judge->pulses + 1) {
        return wrong(judge, "a pulse out of turn", pulse.ordinal);
    }
    if (judge->pulses > 0 && pulse.clock.us < judge->clock.us) {
        return wrong(judge, "the clock fell at a pulse", pulse.ordinal);
    }
    judge->pulses++;
    judge->clock = pulse.clock;
    return judge->reader.record_in_frame == judge->reader.frame->record_count ||
           wrong(judge, "a pulse that is not the last record of its frame", pulse.ordinal);
}

static bool grow_metrics(struct judge *judge)
{
    if (judge->metric_count < judge->metric_capacity) {
        return true;
    }
    size_t capacity = judge->metric_capacity == 0 ? 64 : 2 * judge->metric_capacity;
    struct defined_metric *metrics = realloc(judge->metrics, capacity * sizeof(*metrics));
    if (metrics == NULL) {
        return finding_say(judge->finding, "no memory to judge");
    }
    judge->metrics = metrics;
    judge->metric_capacity = capacity;
    return true;
}

static bool judge_define(struct judge *judge)
{
    struct define define;
    struct definition definition;
    if (!define_read(judge->reader.record.body, &define)) {
        return wrong(judge, "a define that can't be read", 0);
    }
    if (!definition_read(define.definition, &definition) || !definition_valid(&definition)) {
        return wrong(judge, "a definition that is none", define.metric);
    }
    for (size_t i = 0; i < judge->metric_count; i++) {
        const struct defined_metric *metric = &judge->metrics[i];
        if (metric->id == define.metric) {
            return wrong(judge, "a metric's id used again", define.metric);
        }
        if (metric->exists && bytes_equal(metric->name, definition.name)) {
            return wrong(judge, "a name defined while it is taken", define.metric);
        }
    }
    if (!grow_metrics(judge)) {
        return false;
    }
    judge->metrics[judge->metric_count++] =
        (struct defined_metric){.id = define.metric, .exists = true, .name = definition.name};
    return true;
}

static bool judge_drop(struct judge *judge)
{
    uint32_t id = 0;
    if (!drop_read(judge->reader.record.body, &id)) {
        return wrong(judge, "a drop that can't be read", 0);
    }
    for (size_t i = 0; i < judge->metric_count; i++) {
        if (judge->metrics[i].id == id && judge->metrics[i].exists) {
            judge->metrics[i].exists = false;
            return true;
        }
    }
    return wrong(judge, "a metric dropped that does not exist", id);
}

/* Whether the text is `prefix` and the number. */
static bool says(struct bytes text, char prefix, uint32_t number)
{
    uint32_t read = 0;
    return text_number(text, prefix, &read) && read == number;
}

/* Whether the data is {"x":<x>}. */
static bool data_says(struct bytes data, int64_t x)
{
    uint8_t memory[DATA_BYTES_MAX];
    struct buf expected = buf_of(memory, sizeof(memory));
    buf_put_text(&expected, "{\"x\":");
    i64_put(&expected, x);
    buf_put_text(&expected, "}");
    return bytes_equal(data, buf_bytes(&expected));
}

/* What of the event is not as planned; NULL: all is. */
static const char *difference(const struct event *event, const struct planned_event *planned)
{
    bool has_subject = (event->flags & EVENT_HAS_SUBJECT) != 0;
    bool has_data = (event->flags & EVENT_HAS_DATA) != 0;
    if (event->time.us != planned->time.us || (event->flags & EVENT_HAS_TIME) == 0) {
        return "time";
    }
    if (!says(event->type, 't', planned->type)) {
        return "type";
    }
    if (has_subject != (planned->subject != 0) ||
        (has_subject && !says(event->subject, 'k', planned->subject))) {
        return "subject";
    }
    if (has_data != planned->has_x || (has_data && !data_says(event->data, planned->x))) {
        return "data";
    }
    return (event->flags & (EVENT_HAS_EXTENSIONS | EVENT_DATA_BASE64)) != 0 ? "flags" : NULL;
}

static bool judge_event(struct judge *judge)
{
    const struct event *event = &judge->reader.event;
    const struct history *history = judge->history;
    size_t number = universe_find(&judge->universe, event);
    if (number == EVENT_UNKNOWN) {
        return finding_say(judge->finding,
                           "frame %llu: source %.*s, id %.*s is no event that anybody could send",
                           (unsigned long long)judge->reader.frame->position,
                           event->source.len > 64 ? 64 : (int)event->source.len,
                           (const char *)event->source.data,
                           event->id.len > 64 ? 64 : (int)event->id.len,
                           (const char *)event->id.data);
    }
    const char *changed = difference(event, &history->universe[number]);
    if (changed != NULL) {
        return finding_say(judge->finding,
                           "frame %llu: event %zu of the universe has another %s than was sent",
                           (unsigned long long)judge->reader.frame->position,
                           number,
                           changed);
    }
    uint64_t source_hash = event_source_hash(event->source, history->hash_seed);
    uint64_t fingerprint = event_fingerprint(source_hash, event->id, history->hash_seed);
    if (judge->reader.row.partition != event_partition(fingerprint, history->partitions)) {
        return wrong(judge, "an event in the wrong partition", number);
    }
    struct place copy = {.event = number, .position = judge->reader.frame->end};
    return put_place(judge, &judge->copies, copy);
}

/* Records whose fields oracle_time.c judges: here they only must decode. */
static bool judge_command(struct judge *judge)
{
    struct bytes body = judge->reader.record.body;
    struct source source;
    struct lane_command command;
    uint32_t lane = 0;
    bool good = false;
    if (judge->reader.record.kind == RECORD_SOURCE) {
        good = source_read(body, &source);
    } else if (judge->reader.record.kind == RECORD_FORGET) {
        good = forget_read(body, &lane);
    } else {
        good = lane_command_read(body, &command);
    }
    return good || wrong(judge, "a record that can't be read", judge->reader.record.kind);
}

static bool judge_timeouts(struct judge *judge)
{
    struct timeouts_reader reader;
    struct timeout_command command;
    bool good = timeouts_open(judge->reader.record.body, &reader);
    while (good && timeouts_next(&reader)) {
        good = timeout_command_read(&reader, &command);
    }
    good = good && !reader.commands.bad;
    return good || wrong(judge, "a record of timeouts that can't be read", reader.count);
}

static bool judge_record(struct judge *judge)
{
    switch (judge->reader.record.kind) {
    case RECORD_GENESIS:
        return judge_genesis(judge);
    case RECORD_PULSE:
        return judge_pulse(judge);
    case RECORD_DEFINE:
        return judge_define(judge);
    case RECORD_DROP:
        return judge_drop(judge);
    case RECORD_SOURCE:
    case RECORD_FORGET:
    case RECORD_LANE:
        return judge_command(judge);
    case RECORD_TIMEOUTS:
        return judge_timeouts(judge);
    case RECORD_RULE:
    case RECORD_RULE_DROP:
    case RECORD_CONSUMER:
    case RECORD_ANSWER:
        return true;
    case RECORD_EVENTS:
        while (log_next_event(&judge->reader)) {
            if (!judge_event(judge)) {
                return false;
            }
        }
        return !judge->reader.bad;
    }
    return wrong(judge, "a record of no known kind", judge->reader.record.kind);
}

static int compare_places(const void *a, const void *b, const void *ctx)
{
    const struct place *left = a;
    const struct place *right = b;
    (void)ctx;
    int order = (left->event > right->event) - (left->event < right->event);
    return order != 0 ? order
                      : (left->position > right->position) - (left->position < right->position);
}

/* The places in order, as pointers to be freed; NULL on no memory. */
static const void **sorted_places(struct judge *judge, const struct places *places)
{
    const void **sorted = calloc(places->count + 1, sizeof(*sorted));
    const void **scratch = calloc(places->count + 1, sizeof(*scratch));
    if (sorted == NULL || scratch == NULL) {
        (void)finding_say(judge->finding, "no memory to judge");
        free(sorted);
        sorted = NULL;
    }
    for (size_t i = 0; sorted != NULL && i < places->count; i++) {
        sorted[i] = &places->items[i];
    }
    if (sorted != NULL) {
        sort_stable(sorted, scratch, places->count, compare_places, NULL);
    }
    free(scratch);
    return sorted;
}

/* Claim 8: of each event, the nth promise is kept by the nth copy. */
static bool promises_kept(struct judge *judge, const void **promises, const void **copies)
{
    size_t copy = 0;
    for (size_t i = 0; i < judge->promises.count; i++) {
        const struct place *promise = promises[i];
        const struct place *kept = NULL;
        while (copy < judge->copies.count && kept == NULL) {
            const struct place *next = copies[copy];
            if (next->event > promise->event) {
                break;
            }
            kept = next->event == promise->event ? next : NULL;
            copy++;
        }
        if (kept == NULL) {
            return finding_say(judge->finding,
                               "event %zu was acknowledged as of %llu, and the log lacks it or a "
                               "copy of it",
                               promise->event,
                               (unsigned long long)promise->position);
        }
        if (kept->position > promise->position) {
            return finding_say(judge->finding,
                               "event %zu was acknowledged as of %llu, but its frame ends at %llu",
                               promise->event,
                               (unsigned long long)promise->position,
                               (unsigned long long)kept->position);
        }
    }
    return true;
}

/* Claim 7. room[e]: how many sendings of event e may be in the log. */
static bool copies_were_sent(struct judge *judge, uint32_t *room)
{
    const struct history *history = judge->history;
    for (size_t i = 0; i < history->submission_count; i++) {
        room[history->submissions[i].event] +=
            history->submissions[i].outcome == OUTCOME_REFUSED ? 0 : 1;
    }
    for (size_t i = 0; i < judge->copies.count; i++) {
        const struct place *copy = &judge->copies.items[i];
        if (room[copy->event] == 0) {
            return finding_say(judge->finding,
                               "event %zu, in a frame that ends at %llu, is more often in the log "
                               "than it was sent and not refused",
                               copy->event,
                               (unsigned long long)copy->position);
        }
        room[copy->event]--;
    }
    return true;
}

static bool submissions_agree(struct judge *judge)
{
    const struct history *history = judge->history;
    for (size_t i = 0; i < history->submission_count; i++) {
        const struct submission *submission = &history->submissions[i];
        struct place promise = {.event = submission->event, .position = submission->as_of};
        if (submission->event >= history->universe_count) {
            return finding_say(judge->finding, "submission %zu is of no event", i);
        }
        if (submission->outcome == OUTCOME_ACKED && !put_place(judge, &judge->promises, promise)) {
            return false;
        }
    }
    uint32_t *room = calloc(history->universe_count + 1, sizeof(*room));
    const void **promises = sorted_places(judge, &judge->promises);
    const void **copies = sorted_places(judge, &judge->copies);
    bool good = room != NULL && promises != NULL && copies != NULL;
    if (!good) {
        (void)finding_say(judge->finding, "no memory to judge");
    }
    good = good && copies_were_sent(judge, room) && promises_kept(judge, promises, copies);
    free(room);
    free(promises);
    free(copies);
    return good;
}

bool oracle_log_holds(const struct history *history, struct finding *finding)
{
    *finding = (struct finding){0};
    struct judge judge = {.history = history, .finding = finding};
    bool good = log_reader_init(&judge.reader, history, finding) &&
                universe_index_init(&judge.universe, history, finding) && frames_follow(&judge);
    while (good && log_next_record(&judge.reader)) {
        judge.records++;
        good = judge_record(&judge);
    }
    good = good && !judge.reader.bad && submissions_agree(&judge);
    log_reader_free(&judge.reader);
    universe_index_free(&judge.universe);
    free(judge.metrics);
    free(judge.copies.items);
    free(judge.promises.items);
    return good;
}

static bool same_frame(const struct history_frame *a, const struct history_frame *b)
{
    return a->position == b->position && a->end == b->end && a->record_count == b->record_count &&
           bytes_equal(a->body, b->body);
}

bool oracle_log_kept(const struct history *before,
                     const struct history *after,
                     uint64_t durable,
                     struct finding *finding)
{
    *finding = (struct finding){0};
    size_t at = 0;
    for (size_t i = 0; i < before->frame_count; i++) {
        const struct history_frame *frame = &before->frames[i];
        if (frame->end > durable) {
            continue;
        }
        while (at < after->frame_count && after->frames[at].position < frame->position) {
            at++;
        }
        if (at == after->frame_count || !same_frame(frame, &after->frames[at])) {
            return finding_say(finding,
                               "frame %llu to %llu was durable (%llu) and is lost or changed",
                               (unsigned long long)frame->position,
                               (unsigned long long)frame->end,
                               (unsigned long long)durable);
        }
    }
    return true;
}
