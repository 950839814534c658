/* The oracle of windows: a metric counted out by hand.
 *
 *  1. A metric counts from the last definition of its name on, and is gone when that was dropped.
 *  2. An event is new when the log, from its very beginning, has no copy of it before: also one before
 *     the metric was defined makes the later ones repetitions, which count nowhere.
 *  3. A new event that WHERE does not pass is filtered. Else, if its source's lane is final, it is
 *     dropped. Else it is judged by the watermark W:
 *
 *         W < end                     counted
 *         end <= W < end + lateness   counted late: the row's revision rises
 *         end + lateness <= W         dropped
 *
 *     W is that over all lanes just before the event; for a metric on chosen sources, the least of
 *     their lanes as of the last pulse (or of its definition).
 *  4. A row's window is closed once W >= end and final once W >= end + lateness, by the W of the last
 *     pulse, which is also the last one to show what was counted.
 *  5. A pulse with a W that is final closes for ever, and finally, all windows that begin up to the
 *     latest time of the metric's lanes: no event counts in them any more, whatever is reopened.
 *
 * Open, so that such an event is only expected perhaps (`maybe`, `open`):
 *  - an event behind the last pulse: counted, but not yet to be seen;
 *  - an event further behind the highest W so far than repetitions are remembered: it counts as late,
 *    and so does each repetition of it;
 *  - for chosen sources: where told_lanes.h leaves the watermark open;
 *  - an event of a window so old that `retain` may have let it go while lateness would still take it. */
#include "sim/oracle_windows.h"

#include "api/sort.h"
#include "host/result.h"
#include "model/definition.h"
#include "sim/log_reader.h"
#include "sim/told_lanes.h"

#include <stdio.h>
#include <stdlib.h>

#define DEDUP_HORIZON_DEFAULT_US US_PER_DAY

enum verdict {
    ON_TIME,
    LATE_CORRECTED,
    LATE_DROPPED,
};

/* An event that may stand in a row. */
struct entry {
    struct expected_row key; /* its window and group only */
    const struct planned_event *event;
    bool late;
    bool maybe;
};

struct counter {
    const struct history *history;
    const struct recipe *recipe;
    struct expected_metric *expected;
    struct finding *finding;
    struct log_reader reader;
    struct universe_index universe;
    struct told_lanes told;
    bool *seen; /* by number in the universe */
    struct entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    size_t pulses_left;       /* behind the record that is read */
    struct time_range w;      /* of this metric: chosen sources, or all lanes as last told */
    struct time_range sealed; /* windows that begin at or before this are final for ever */
    int64_t latest;           /* time of its lanes, as told since it was defined */
    int64_t w_of_pulse;       /* over all lanes, the last one */
    int64_t highest_w;        /* over all lanes, ever; but not the final one */
    int64_t newest;           /* the highest finite watermark or event time: retain may go by it */
};

static const struct time_range nothing = {WATERMARK_NONE, WATERMARK_NONE};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* --- the metric's time --- */

static void all_lanes_told(struct counter *counter, int64_t w)
{
    if (w != WATERMARK_FINAL) {
        counter->highest_w = later(counter->highest_w, w);
        counter->newest = later(counter->newest, w);
    }
    if (counter->recipe->source_count == 0) {
        counter->w = (struct time_range){w, w};
    }
}

static uint32_t chosen_lane(const struct counter *counter, uint32_t chosen)
{
    char name[16];
    unsigned number = counter->recipe->sources[chosen];
    int len = snprintf(name, sizeof(name), "s%u", number);
    return told_lanes_of(&counter->told, bytes_of(name, (size_t)len));
}

/* The watermark of the chosen sources' lanes, as pulses told it. */
static struct time_range chosen_watermark(const struct counter *counter, struct time_range before)
{
    uint32_t lanes[RECIPE_SOURCES_MAX];
    for (uint32_t i = 0; i < counter->recipe->source_count; i++) {
        lanes[i] = chosen_lane(counter, i);
    }
    return told_lanes_watermark(&counter->told, lanes, counter->recipe->source_count, before);
}

static int64_t latest_of(const struct counter *counter)
{
    const struct told_lanes *told = &counter->told;
    int64_t latest = WATERMARK_NONE;
    for (uint32_t i = 0; i < counter->recipe->source_count; i++) {
        latest = later(latest, told->lanes[chosen_lane(counter, i)].state.max_time);
    }
    for (uint32_t lane = 0; counter->recipe->source_count == 0 && lane < told->end; lane++) {
        bool exists = told->lanes[lane].exists;
        latest = exists ? later(latest, told->lanes[lane].state.max_time) : latest;
    }
    return latest;
}

/* At a pulse, and when the metric begins. */
static void move_metric(struct counter *counter)
{
    struct time_range w = {counter->w_of_pulse, counter->w_of_pulse};
    if (counter->recipe->source_count > 0) {
        counter->w = chosen_watermark(counter, counter->w);
        w = counter->w;
    }
    counter->latest = later(counter->latest, latest_of(counter));
    if (w.low == WATERMARK_FINAL) {
        counter->sealed.low = counter->latest;
    }
    if (w.high == WATERMARK_FINAL) {
        counter->sealed.high = counter->latest;
    }
}

static bool follow_pulse(struct counter *counter)
{
    struct pulse pulse;
    if (!pulse_read(counter->reader.record.body, &pulse) ||
        !told_lanes_pulse(&counter->told, &pulse, counter->finding)) {
        return finding_say(counter->finding, "a pulse that can't be followed");
    }
    counter->pulses_left--;
    counter->w_of_pulse = pulse.watermark;
    all_lanes_told(counter, pulse.watermark);
    move_metric(counter);
    return true;
}

static bool follow_source(struct counter *counter)
{
    struct source source;
    bool renewed = false;
    return (source_read(counter->reader.record.body, &source) &&
            told_lanes_source(&counter->told, &source, &renewed, counter->finding)) ||
           finding_say(counter->finding, "a source that can't be followed");
}

static bool follow_forget(struct counter *counter)
{
    uint32_t lane = 0;
    return (forget_read(counter->reader.record.body, &lane) &&
            told_lanes_forget(&counter->told, lane, counter->finding)) ||
           finding_say(counter->finding, "a forget that can't be followed");
}

static bool follow_lane_command(struct counter *counter)
{
    struct lane_command command;
    return (lane_command_read(counter->reader.record.body, &command) &&
            told_lanes_command(&counter->told, &command, counter->finding)) ||
           finding_say(counter->finding, "a lane command that can't be followed");
}

/* --- definitions --- */

static bool follow_define(struct counter *counter)
{
    struct define define;
    struct definition definition;
    if (!define_read(counter->reader.record.body, &define) ||
        !definition_read(define.definition, &definition)) {
        return finding_say(counter->finding, "a definition that can't be followed");
    }
    if (!bytes_equal(definition.name, bytes_of_string(counter->recipe->name))) {
        return true;
    }
    *counter->expected = (struct expected_metric){.exists = true, .id = define.metric};
    counter->entry_count = 0;
    if (counter->recipe->source_count > 0) {
        counter->w = nothing;
    }
    counter->sealed = nothing;
    counter->latest = WATERMARK_NONE;
    move_metric(counter);
    return true;
}

static bool follow_drop(struct counter *counter)
{
    uint32_t id = 0;
    if (!drop_read(counter->reader.record.body, &id)) {
        return finding_say(counter->finding, "a drop that can't be followed");
    }
    if (counter->expected->exists && counter->expected->id == id) {
        *counter->expected = (struct expected_metric){.id = id};
        counter->entry_count = 0;
    }
    return true;
}

/* --- events --- */

/* `sealed` WATERMARK_NONE: nothing is. */
static enum verdict
verdict_at(const struct recipe *recipe, int64_t start, int64_t w, int64_t sealed)
{
    int64_t end = time_add(start, recipe->window_us);
    if (sealed != WATERMARK_NONE && start <= sealed) {
        return LATE_DROPPED;
    }
    if (w < end) {
        return ON_TIME;
    }
    return w < time_add(end, recipe->lateness_us) ? LATE_CORRECTED : LATE_DROPPED;
}

static struct expected_row group_of(const struct recipe *recipe, const struct planned_event *event)
{
    struct expected_row key = {.window_start = time_floor(event->time.us, recipe->window_us)};
    switch (recipe->group) {
    case BY_NOTHING:
        break;
    case BY_TYPE:
        key.type = event->type;
        break;
    case BY_SOURCE:
        key.source = event->source;
        break;
    case BY_SUBJECT:
        key.subject = event->subject;
        break;
    case BY_SOURCE_AND_TYPE:
        key.source = event->source;
        key.type = event->type;
        break;
    }
    return key;
}

static bool put_entry(struct counter *counter, struct entry entry)
{
    if (counter->entry_count == counter->entry_capacity) {
        size_t capacity = counter->entry_capacity == 0 ? 1024 : 2 * counter->entry_capacity;
        struct entry *entries = realloc(counter->entries, capacity * sizeof(*entries));
        if (entries == NULL) {
            return finding_say(counter->finding, "no memory to judge");
        }
        counter->entries = entries;
        counter->entry_capacity = capacity;
    }
    counter->entries[counter->entry_count++] = entry;
    return true;
}

/* Whether it may be so far behind that it can't be told from its repetition. */
static bool beyond_horizon(const struct counter *counter, const struct planned_event *event)
{
    int64_t horizon = counter->history->dedup_horizon_us;
    horizon = horizon == 0 ? DEDUP_HORIZON_DEFAULT_US : horizon;
    return time_add(event->time.us, horizon) <= counter->highest_w;
}

static bool passes(const struct recipe *recipe, const struct planned_event *event)
{
    return !recipe->filtered || (event->has_x && event->x > recipe->x_above);
}

static void count_fate(struct expected_fates *fates, enum verdict verdict)
{
    switch (verdict) {
    case ON_TIME:
        fates->counted++;
        return;
    case LATE_CORRECTED:
        fates->late_corrected++;
        return;
    case LATE_DROPPED:
        fates->late_dropped++;
        return;
    }
}

/* An event that the log has for the first time. */
static bool count_new(struct counter *counter, const struct planned_event *event)
{
    const struct recipe *recipe = counter->recipe;
    struct expected_fates *fates = &counter->expected->fates;
    bool unseen = counter->pulses_left == 0;
    bool unverifiable = beyond_horizon(counter, event);
    if (!passes(recipe, event)) {
        *(unseen || unverifiable ? &fates->open : &fates->filtered) += 1;
        return true;
    }
    struct entry entry = {.key = group_of(recipe, event), .event = event};
    int64_t end = time_add(entry.key.window_start, recipe->window_us);
    int64_t start = entry.key.window_start;
    enum verdict verdict = verdict_at(recipe, start, counter->w.low, counter->sealed.low);
    enum verdict latest = verdict_at(recipe, start, counter->w.high, counter->sealed.high);
    if (counter->told.lanes[told_lanes_of(&counter->told, counter->reader.event.source)].final) {
        verdict = LATE_DROPPED;
    }
    if (verdict == LATE_DROPPED) {
        *(unseen ? &fates->open : &fates->late_dropped) += 1;
        return true;
    }
    bool gone = time_add(end, DEFINITION_RETAIN_DEFAULT_US) <= counter->w.high;
    entry.late = verdict == LATE_CORRECTED;
    entry.maybe = unseen || unverifiable || gone || verdict != latest;
    if (entry.maybe) {
        fates->open++;
    } else {
        count_fate(fates, verdict);
    }
    return put_entry(counter, entry);
}

static bool follow_event(struct counter *counter)
{
    all_lanes_told(counter, counter->reader.cursor.watermark);
    size_t number = universe_find(&counter->universe, &counter->reader.event);
    if (number == EVENT_UNKNOWN) {
        return finding_say(counter->finding, "an event in the log that is not of the universe");
    }
    const struct planned_event *event = &counter->history->universe[number];
    bool repeated = counter->seen[number];
    counter->seen[number] = true;
    bool good = true;
    if (counter->expected->exists && !repeated) {
        good = count_new(counter, event);
    } else if (counter->expected->exists && beyond_horizon(counter, event)) {
        counter->expected->fates.open++;
    }
    counter->newest = later(counter->newest, event->time.us);
    return good;
}

static bool follow_record(struct counter *counter)
{
    switch (counter->reader.record.kind) {
    case RECORD_GENESIS:
    case RECORD_TIMEOUTS:
    case RECORD_RULE:
    case RECORD_RULE_DROP:
    case RECORD_CONSUMER:
    case RECORD_ANSWER:
        return true;
    case RECORD_PULSE:
        return follow_pulse(counter);
    case RECORD_DEFINE:
        return follow_define(counter);
    case RECORD_DROP:
        return follow_drop(counter);
    case RECORD_SOURCE:
        return follow_source(counter);
    case RECORD_FORGET:
        return follow_forget(counter);
    case RECORD_LANE:
        return follow_lane_command(counter);
    case RECORD_EVENTS:
        while (log_next_event(&counter->reader)) {
            if (!follow_event(counter)) {
                return false;
            }
        }
        return !counter->reader.bad;
    }
    return finding_say(counter->finding, "a record of no known kind");
}

/* --- rows --- */

int expected_row_compare(const struct expected_row *a, const struct expected_row *b)
{
    if (a->window_start != b->window_start) {
        return a->window_start < b->window_start ? -1 : 1;
    }
    if (a->source != b->source) {
        return a->source < b->source ? -1 : 1;
    }
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    return (a->subject > b->subject) - (a->subject < b->subject);
}

static int compare_entries(const void *a, const void *b, const void *ctx)
{
    const struct entry *left = a;
    const struct entry *right = b;
    (void)ctx;
    return expected_row_compare(&left->key, &right->key);
}

static void add_entry(struct expected_row *row, const struct entry *entry)
{
    if (entry->maybe) {
        row->maybe++;
        return;
    }
    row->count++;
    row->late += entry->late ? 1 : 0;
    row->corrected = row->late > 0;
    if (entry->event->has_x) {
        int64_t x = entry->event->x;
        row->x_min = row->x_count == 0 || x < row->x_min ? x : row->x_min;
        row->x_max = row->x_count == 0 || x > row->x_max ? x : row->x_max;
        row->x_sum += x;
        row->x_count++;
    }
}

/* What the last pulse made of a window. */
static void set_time(const struct counter *counter, struct time_range w, struct expected_row *row)
{
    int64_t end = time_add(row->window_start, counter->recipe->window_us);
    int64_t start = row->window_start;
    enum verdict verdict = verdict_at(counter->recipe, start, w.low, counter->sealed.low);
    row->closed = verdict != ON_TIME;
    row->final = verdict == LATE_DROPPED;
    row->time_open = verdict != verdict_at(counter->recipe, start, w.high, counter->sealed.high);
    row->may_be_gone = time_add(end, DEFINITION_RETAIN_DEFAULT_US) <= counter->newest;
}

static bool make_rows(struct counter *counter, struct time_range w)
{
    size_t count = counter->entry_count;
    struct expected_metric *expected = counter->expected;
    const void **sorted = calloc(count + 1, sizeof(*sorted));
    const void **scratch = calloc(count + 1, sizeof(*scratch));
    expected->rows = calloc(count + 1, sizeof(*expected->rows));
    bool good = sorted != NULL && scratch != NULL && expected->rows != NULL;
    if (good) {
        for (size_t i = 0; i < count; i++) {
            sorted[i] = &counter->entries[i];
        }
        sort_stable(sorted, scratch, count, compare_entries, NULL);
    }
    for (size_t i = 0; good && i < count; i++) {
        const struct entry *entry = sorted[i];
        if (i == 0 || compare_entries(sorted[i - 1], entry, NULL) != 0) {
            expected->rows[expected->row_count] = entry->key;
            set_time(counter, w, &expected->rows[expected->row_count++]);
        }
        add_entry(&expected->rows[expected->row_count - 1], entry);
    }
    free(sorted);
    free(scratch);
    return good || finding_say(counter->finding, "no memory to judge");
}

static bool count_pulses(struct counter *counter)
{
    while (log_next_record(&counter->reader)) {
        counter->pulses_left += counter->reader.record.kind == RECORD_PULSE ? 1 : 0;
    }
    bool good = !counter->reader.bad;
    log_reader_free(&counter->reader);
    return good && log_reader_init(&counter->reader, counter->history, counter->finding);
}

bool oracle_windows(const struct history *history,
                    const struct recipe *recipe,
                    struct expected_metric *expected,
                    struct finding *finding)
{
    *finding = (struct finding){0};
    *expected = (struct expected_metric){0};
    struct counter counter = {
        .history = history,
        .recipe = recipe,
        .expected = expected,
        .finding = finding,
        .w = nothing,
        .sealed = nothing,
        .latest = WATERMARK_NONE,
        .w_of_pulse = WATERMARK_NONE,
        .highest_w = WATERMARK_NONE,
        .newest = WATERMARK_NONE,
    };
    struct time_range w_at_pulse = nothing;
    counter.seen = calloc(history->universe_count + 1, sizeof(*counter.seen));
    bool good = counter.seen != NULL && told_lanes_init(&counter.told);
    good = good && log_reader_init(&counter.reader, history, finding) && count_pulses(&counter) &&
           universe_index_init(&counter.universe, history, finding);
    while (good && log_next_record(&counter.reader)) {
        good = follow_record(&counter);
        bool shows = counter.reader.record.kind == RECORD_PULSE ||
                     (counter.reader.record.kind == RECORD_DEFINE && recipe->source_count > 0);
        w_at_pulse = shows ? counter.w : w_at_pulse;
    }
    good = good && !counter.reader.bad && make_rows(&counter, w_at_pulse);
    if (!good) {
        (void)finding_say(finding, "no memory to judge");
        oracle_windows_free(expected);
    }
    log_reader_free(&counter.reader);
    universe_index_free(&counter.universe);
    told_lanes_free(&counter.told);
    free(counter.seen);
    free(counter.entries);
    return good;
}

void oracle_windows_free(struct expected_metric *expected)
{
    free(expected->rows);
    *expected = (struct expected_metric){0};
}
