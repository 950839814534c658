/* The oracle of time. It follows the log record by record and knows of every lane where it is. The
 * watermark W over all of them depends on who is idle as well, of which only pulses tell: W is held to
 * a range, from `low` to `high`, and where nothing is open both are the same.
 *
 *  1. No event is further ahead of its arrival than the largest max_future_skew declared so far; no
 *     producer says more than its clock + its skew, nor less than its lane's watermark, nor anything
 *     of a lane that is final.
 *  2. A lane's watermark is the highest that was said of it: by its producer, and if it is bounded by
 *     an event, whose time less the disorder counts. It never falls; to be final and reopened, idle
 *     and back, or declared anew changes nothing about it. A lane's latest time is that of an event
 *     or word of its.
 *  3. A pulse reports just that, final lanes as well. Only of one that is idle and live it reports
 *     the clock less the disorder, or less a longer delay, where that is more.
 *  4. A lane is live when it was last heard within ten minutes of its latest time.
 *  5. A lane becomes idle after idle_after of silence at the earliest.
 *  6. W, where the log tells it (before each event, and in each pulse), is never less than it was, and
 *     never less than the least of all lanes. It is not more than the least of those that can't be
 *     idle, as who speaks in a batch can't be while it lasts; when all may be, no more than the clock
 *     allows for the live ones.
 *  7. In a pulse the flags say who is idle: W is what told_lanes.h says of its lanes.
 *  8. W is final when all lanes are, and only then; the default lane is none until it was heard. W
 *     falls from final only, when a lane is reopened or a new one comes: to what it was before, or,
 *     once a pulse told that it was final, to less.
 *
 * What is open, so that nothing is claimed of it:
 *  - when between two pulses a lane becomes idle: from idle_after on, by the clock of the next pulse;
 *  - what a restart does to idleness: an idle lane may hold W again;
 *  - how long the delay is that the clock is held back by, up to ten minutes;
 *  - how long a lane stays in the minimum though it is silent: the pulse may say HOLD. */
#include "sim/oracle_time.h"

#include "sim/log_reader.h"
#include "sim/told_lanes.h"

#include <stdlib.h>

/* A lane, as the records make it. */
struct lane_facts {
    int64_t watermark;
    int64_t latest; /* event, or word of its producer */
    enum lane_kind kind;
    bool heard; /* ever */
    bool final;
    bool spoke;     /* since the last pulse */
    bool was_idle;  /* at the last pulse */
    uint64_t batch; /* the last one that it spoke in */
    int64_t disorder_us;
    int64_t idle_after_us;
    int64_t least_idle_after_us; /* in force at some time since the last pulse */
    int64_t skew_us;
    int64_t heard_us;
};

struct judge {
    const struct history *history;
    struct finding *finding;
    struct log_reader reader;
    struct told_lanes told;
    struct lane_facts *lanes; /* LANES_MAX */
    int64_t *pulse_clocks;
    size_t pulse_count;
    size_t pulses_seen;
    uint64_t batches_seen;
    bool in_batch; /* the last one seen; behind it lanes may be idle again */
    struct time_range w;
    bool final;               /* all lanes are; so W is */
    bool final_told;          /* by a pulse */
    struct time_range before; /* W became final */
    int64_t most_skew_us;     /* of any lane, ever */
    bool moved;               /* some lane may have moved since W was told last */
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A finding about the record that was read last. */
static bool wrong(struct judge *judge, const char *what, uint32_t lane, int64_t time)
{
    return finding_say(judge->finding,
                       "frame %llu, record %u: %s (lane %u, %lld)",
                       (unsigned long long)judge->reader.frame->position,
                       (unsigned)judge->reader.record_in_frame,
                       what,
                       (unsigned)lane,
                       (long long)time);
}

/* The clock now is at most that of the next pulse. */
static int64_t clock_at_most(const struct judge *judge)
{
    return judge->pulses_seen < judge->pulse_count ? judge->pulse_clocks[judge->pulses_seen]
                                                   : INT64_MAX;
}

static bool
silent_long_enough(const struct judge *judge, const struct lane_facts *lane, int64_t clock)
{
    return judge->history->clock_uneven ||
           time_add(lane->heard_us, lane->least_idle_after_us) <= clock;
}

static bool is_live(const struct lane_facts *lane)
{
    return lane->latest != WATERMARK_NONE &&
           time_add(lane->latest, LIVE_WITHIN_US) >= lane->heard_us;
}

/* Whether the lane is one of those that W is the least of, if it is not idle. */
static bool counts(const struct judge *judge, uint32_t number)
{
    const struct lane_facts *lane = &judge->lanes[number];
    bool exists = judge->told.lanes[number].exists;
    return exists && (number != LANE_DEFAULT || lane->heard) && !lane->final;
}

/* --- W --- */

static bool may_be_idle(const struct judge *judge, const struct lane_facts *lane, int64_t clock)
{
    bool speaks = judge->in_batch && lane->batch == judge->batches_seen;
    return !speaks && ((lane->was_idle && !lane->spoke) || silent_long_enough(judge, lane, clock));
}

/* How far W can be when every lane is idle that may be, and all may. */
static int64_t highest_when_idle(const struct judge *judge, int64_t clock)
{
    int64_t highest = WATERMARK_NONE;
    int64_t by_clock = WATERMARK_FINAL;
    for (uint32_t number = 0; number < judge->told.end; number++) {
        const struct lane_facts *lane = &judge->lanes[number];
        if (!counts(judge, number)) {
            continue;
        }
        highest = later(highest, lane->watermark);
        if (is_live(lane)) {
            int64_t own = later(lane->watermark, time_add(clock, -lane->disorder_us));
            by_clock = earlier(by_clock, own);
        }
    }
    return by_clock == WATERMARK_FINAL ? highest : later(highest, by_clock);
}

/* Claims 6 and 8: where W is, when the clock has come so far at most. */
static struct time_range w_at(const struct judge *judge, int64_t clock)
{
    int64_t least = WATERMARK_FINAL;
    int64_t least_sure = WATERMARK_FINAL;
    for (uint32_t number = 0; number < judge->told.end; number++) {
        const struct lane_facts *lane = &judge->lanes[number];
        if (!counts(judge, number)) {
            continue;
        }
        least = earlier(least, lane->watermark);
        if (!may_be_idle(judge, lane, clock)) {
            least_sure = earlier(least_sure, lane->watermark);
        }
    }
    if (least == WATERMARK_FINAL) {
        return judge->w; /* there is none, or all are final */
    }
    if (least_sure == WATERMARK_FINAL) {
        least_sure = highest_when_idle(judge, clock);
    }
    return (struct time_range){later(judge->w.low, least), later(judge->w.high, least_sure)};
}

static bool all_final(const struct judge *judge)
{
    bool any = false;
    for (uint32_t number = 0; number < judge->told.end; number++) {
        if (counts(judge, number)) {
            return false;
        }
        any = any || (judge->told.lanes[number].exists && judge->lanes[number].final);
    }
    return any || judge->final; /* when the last of them is forgotten, nobody opens W again */
}

/* Claim 8, whenever lanes come, go, are finished or reopened. */
static void follow_final(struct judge *judge)
{
    bool final = all_final(judge);
    judge->moved = true;
    if (final && !judge->final) {
        judge->before = judge->w;
        judge->final_told = false;
        judge->w = (struct time_range){WATERMARK_FINAL, WATERMARK_FINAL};
    } else if (!final && judge->final) {
        judge->w = judge->before;
        judge->w.low = judge->final_told ? WATERMARK_NONE : judge->w.low;
    }
    judge->final = final;
}

/* The log says what W is at this place. */
static bool w_told(struct judge *judge, int64_t told, struct time_range allowed)
{
    if (told < allowed.low || told > allowed.high) {
        return finding_say(judge->finding,
                           "frame %llu, record %u, row %u: the watermark over all lanes is %lld, "
                           "not from %lld to %lld",
                           (unsigned long long)judge->reader.frame->position,
                           (unsigned)judge->reader.record_in_frame,
                           (unsigned)judge->reader.row.index,
                           (long long)told,
                           (long long)allowed.low,
                           (long long)allowed.high);
    }
    judge->w = (struct time_range){told, told};
    judge->moved = false;
    return true;
}

/* --- what records do to lanes --- */

/* What follows changes who is in the minimum: what W had come to by this clock stays in force. */
static void w_comes_here(struct judge *judge, int64_t clock_us)
{
    judge->w = w_at(judge, earlier(clock_us, clock_at_most(judge)));
}

static void lane_rises(struct lane_facts *lane, int64_t watermark)
{
    lane->watermark = later(lane->watermark, watermark);
}

static void lane_speaks(struct lane_facts *lane, int64_t clock_us)
{
    lane->spoke = true;
    lane->heard_us = clock_us;
}

static struct lane_facts fresh_lane(int64_t clock_us)
{
    return (struct lane_facts){
        .watermark = WATERMARK_NONE,
        .latest = WATERMARK_NONE,
        .kind = LANE_BOUNDED,
        .disorder_us = DISORDER_DEFAULT_US,
        .idle_after_us = IDLE_AFTER_DEFAULT_US,
        .least_idle_after_us = IDLE_AFTER_DEFAULT_US,
        .skew_us = MAX_FUTURE_SKEW_DEFAULT_US,
        .heard_us = clock_us,
    };
}

static bool judge_source(struct judge *judge)
{
    struct source source;
    bool renewed = false;
    if (!source_read(judge->reader.record.body, &source)) {
        return wrong(judge, "a source that can't be read", 0, 0);
    }
    w_comes_here(judge, source.declared.us);
    if (!told_lanes_source(&judge->told, &source, &renewed, judge->finding)) {
        return false;
    }
    struct lane_facts *lane = &judge->lanes[source.lane];
    if (!renewed) {
        *lane = fresh_lane(source.declared.us);
        lane->least_idle_after_us = source.idle_after_us;
    }
    lane->kind = source.kind;
    lane->disorder_us = source.disorder_us;
    lane->idle_after_us = source.idle_after_us;
    lane->skew_us = source.max_future_skew_us;
    lane->least_idle_after_us = earlier(lane->least_idle_after_us, lane->idle_after_us);
    judge->most_skew_us = later(judge->most_skew_us, source.max_future_skew_us);
    if (lane->kind == LANE_BOUNDED && lane->latest != WATERMARK_NONE) {
        lane_rises(lane, time_add(lane->latest, -lane->disorder_us));
    }
    follow_final(judge);
    return true;
}

static bool judge_forget(struct judge *judge)
{
    uint32_t lane = 0;
    if (!forget_read(judge->reader.record.body, &lane)) {
        return wrong(judge, "a forget that can't be read", 0, 0);
    }
    w_comes_here(judge, INT64_MAX);
    bool good = told_lanes_forget(&judge->told, lane, judge->finding);
    follow_final(judge);
    return good;
}

static bool
advance_lane(struct judge *judge, struct lane_facts *lane, const struct lane_command *command)
{
    if (lane->final) {
        return wrong(judge, "a final lane that goes on", command->lane, command->time);
    }
    if (command->time < lane->watermark) {
        return wrong(judge, "a producer went back", command->lane, command->time);
    }
    if (command->time > time_add(command->clock.us, lane->skew_us)) {
        return wrong(judge, "a producer from the future", command->lane, command->time);
    }
    lane->heard = true;
    lane_speaks(lane, command->clock.us);
    lane_rises(lane, command->time);
    lane->latest = later(lane->latest, command->time);
    return true;
}

static bool judge_lane_command(struct judge *judge)
{
    struct lane_command command;
    if (!lane_command_read(judge->reader.record.body, &command)) {
        return wrong(judge, "a lane command that can't be read", 0, 0);
    }
    if (!told_lanes_command(&judge->told, &command, judge->finding)) {
        return false;
    }
    w_comes_here(judge, command.clock.us);
    struct lane_facts *lane = &judge->lanes[command.lane];
    bool good = true;
    switch (command.kind) {
    case LANE_ADVANCE:
        good = advance_lane(judge, lane, &command);
        break;
    case LANE_FINISH:
        lane->final = true;
        break;
    case LANE_REOPEN:
        lane->final = false;
        lane_speaks(lane, command.clock.us);
        break;
    }
    follow_final(judge);
    return good;
}

/* --- events --- */

static bool judge_event(struct judge *judge)
{
    struct log_reader *reader = &judge->reader;
    int64_t w = reader->cursor.watermark;
    if ((judge->moved || w != judge->w.low) &&
        !w_told(judge, w, w_at(judge, clock_at_most(judge)))) {
        return false;
    }
    const struct event *event = &reader->event;
    uint32_t number = told_lanes_of(&judge->told, event->source);
    struct lane_facts *lane = &judge->lanes[number];
    if (event->time.us > time_add(event->arrival.us, judge->most_skew_us)) {
        return wrong(judge, "an event from the future", number, event->time.us);
    }
    lane->latest = later(lane->latest, event->time.us);
    if (lane->kind == LANE_BOUNDED) {
        lane_rises(lane, time_add(event->time.us, -lane->disorder_us));
    }
    judge->moved = true;
    return true;
}

/* All events of a batch arrive at once: who speaks in it holds W from its beginning. */
static bool hear_batch(struct judge *judge)
{
    struct log_reader *reader = &judge->reader;
    judge->w = w_at(judge, clock_at_most(judge));
    judge->batches_seen++;
    judge->in_batch = true;
    while (log_next_event(reader)) {
        uint32_t number = told_lanes_of(&judge->told, reader->event.source);
        lane_speaks(&judge->lanes[number], reader->batch.arrival.us);
        judge->lanes[number].heard = true;
        judge->lanes[number].batch = judge->batches_seen;
    }
    log_rewind_batch(reader);
    follow_final(judge);
    return !reader->bad;
}

static bool judge_batch(struct judge *judge)
{
    if (!hear_batch(judge)) {
        return false;
    }
    while (log_next_event(&judge->reader)) {
        if (!judge_event(judge)) {
            return false;
        }
    }
    judge->in_batch = false;
    return !judge->reader.bad;
}

/* --- pulses --- */

/* Claims 2 and 3. */
static bool judge_told_watermark(struct judge *judge, uint32_t number, int64_t clock)
{
    const struct lane_facts *lane = &judge->lanes[number];
    const struct lane_state *told = &judge->told.lanes[number].state;
    struct time_range allowed = {lane->watermark, lane->watermark};
    bool idle_live = (told->flags & (LANE_IDLE | LANE_LIVE)) == (LANE_IDLE | LANE_LIVE);
    if (idle_live && !lane->final) {
        int64_t most = later(lane->disorder_us, LIVE_WITHIN_US);
        allowed.low = later(allowed.low, time_add(clock, -most));
        allowed.high = later(allowed.high, time_add(clock, -lane->disorder_us));
    }
    if (told->watermark < allowed.low || told->watermark > allowed.high) {
        return finding_say(judge->finding,
                           "frame %llu: pulse: lane %u is at %lld, not from %lld to %lld",
                           (unsigned long long)judge->reader.frame->position,
                           (unsigned)number,
                           (long long)told->watermark,
                           (long long)allowed.low,
                           (long long)allowed.high);
    }
    return true;
}

static bool judge_told_lane(struct judge *judge, uint32_t number, int64_t clock)
{
    const struct lane_facts *lane = &judge->lanes[number];
    const struct told_lane *told = &judge->told.lanes[number];
    bool final = (told->state.flags & LANE_FINAL) != 0;
    bool idle = (told->state.flags & LANE_IDLE) != 0;
    bool live = (told->state.flags & LANE_LIVE) != 0;
    if (final != lane->final) {
        return wrong(judge, "a pulse is wrong about who is final", number, told->state.watermark);
    }
    if (!judge_told_watermark(judge, number, clock)) {
        return false;
    }
    if (told->state.max_time != lane->latest) {
        return wrong(
            judge, "a latest event time that is not the lane's", number, told->state.max_time);
    }
    if (told->in_pulse && live != is_live(lane)) {
        return wrong(judge, "a pulse is wrong about who is live", number, lane->heard_us);
    }
    if (idle && !final && (lane->spoke || !lane->was_idle) &&
        !silent_long_enough(judge, lane, clock)) {
        return wrong(judge, "a lane that is idle too soon", number, lane->heard_us);
    }
    return true;
}

static void settle_lane(struct lane_facts *lane, const struct lane_state *told)
{
    lane->was_idle = (told->flags & LANE_IDLE) != 0;
    lane->spoke = false;
    lane->least_idle_after_us = lane->idle_after_us;
}

/* When all lanes are idle now, one after the other became so: W may have come to where any of those
 * is that were not, before the last one fell silent. */
static int64_t highest_on_the_way(const struct judge *judge)
{
    int64_t highest = WATERMARK_NONE;
    for (uint32_t number = 0; number < judge->told.end; number++) {
        const struct lane_facts *lane = &judge->lanes[number];
        if (!counts(judge, number)) {
            continue;
        }
        if ((judge->told.lanes[number].state.flags & LANE_IDLE) == 0) {
            return WATERMARK_NONE;
        }
        bool fell = lane->spoke || !lane->was_idle;
        highest = fell ? later(highest, lane->watermark) : highest;
    }
    return highest;
}

static bool judge_pulse(struct judge *judge)
{
    struct pulse pulse;
    if (!pulse_read(judge->reader.record.body, &pulse)) {
        return wrong(judge, "a pulse that can't be read", 0, 0);
    }
    judge->pulses_seen++;
    judge->final_told = judge->final_told || judge->final;
    if (!told_lanes_pulse(&judge->told, &pulse, judge->finding)) {
        return false;
    }
    struct time_range before = {w_at(judge, pulse.clock.us).low,
                                later(judge->w.high, highest_on_the_way(judge))};
    before.high = later(before.high, before.low);
    for (uint32_t lane = 0; lane < judge->told.end; lane++) {
        if (!judge->told.lanes[lane].exists) {
            continue;
        }
        if (!judge_told_lane(judge, lane, pulse.clock.us)) {
            return false;
        }
        settle_lane(&judge->lanes[lane], &judge->told.lanes[lane].state);
    }
    return w_told(judge, pulse.watermark, told_lanes_watermark(&judge->told, NULL, 0, before));
}

static bool judge_record(struct judge *judge)
{
    enum record_kind kind = judge->reader.record.kind;
    switch (kind) {
    case RECORD_EVENTS:
        return judge_batch(judge);
    case RECORD_PULSE:
        return judge_pulse(judge);
    case RECORD_SOURCE:
        return judge_source(judge);
    case RECORD_FORGET:
        return judge_forget(judge);
    case RECORD_LANE:
        return judge_lane_command(judge);
    case RECORD_GENESIS:
    case RECORD_DEFINE:
    case RECORD_DROP:
    case RECORD_TIMEOUTS:
    case RECORD_RULE:
    case RECORD_RULE_DROP:
    case RECORD_CONSUMER:
    case RECORD_ANSWER:
        return true;
    }
    return wrong(judge, "a record of no known kind", 0, 0);
}

/* The clocks of all pulses, to know at each place that of the next one. */
static bool read_pulse_clocks(struct judge *judge)
{
    size_t capacity = 0;
    bool good = true;
    while (good && log_next_record(&judge->reader)) {
        struct pulse pulse;
        if (judge->reader.record.kind != RECORD_PULSE) {
            continue;
        }
        if (judge->pulse_count == capacity) {
            capacity = capacity == 0 ? 1024 : 2 * capacity;
            int64_t *clocks = realloc(judge->pulse_clocks, capacity * sizeof(*clocks));
            if (clocks == NULL) {
                return finding_say(judge->finding, "no memory to judge");
            }
            judge->pulse_clocks = clocks;
        }
        good = pulse_read(judge->reader.record.body, &pulse) ||
               wrong(judge, "a pulse that can't be read", 0, 0);
        judge->pulse_clocks[judge->pulse_count++] = pulse.clock.us;
    }
    return good && !judge->reader.bad;
}

bool oracle_time_holds(const struct history *history, struct finding *finding)
{
    *finding = (struct finding){0};
    struct judge judge = {
        .history = history,
        .finding = finding,
        .w = {WATERMARK_NONE, WATERMARK_NONE},
        .most_skew_us = MAX_FUTURE_SKEW_DEFAULT_US,
        .moved = true,
    };
    judge.lanes = calloc(LANES_MAX, sizeof(*judge.lanes));
    bool good = log_reader_init(&judge.reader, history, finding) && read_pulse_clocks(&judge);
    log_reader_free(&judge.reader);
    good = good && log_reader_init(&judge.reader, history, finding);
    if (good && (judge.lanes == NULL || !told_lanes_init(&judge.told))) {
        good = finding_say(finding, "no memory to judge");
    }
    if (good) {
        judge.lanes[LANE_DEFAULT] = fresh_lane(INT64_MIN);
    }
    while (good && log_next_record(&judge.reader)) {
        good = judge_record(&judge);
    }
    good = good && !judge.reader.bad;
    log_reader_free(&judge.reader);
    told_lanes_free(&judge.told);
    free(judge.lanes);
    free(judge.pulse_clocks);
    return good;
}
