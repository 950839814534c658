/* The oracle of time. It follows the log record by record and keeps, for every lane and for the
 * watermark W over all of them, what the rules leave open: from `low` to `high`. Where they leave
 * nothing open both are the same, and what the log says must be just that.
 *
 *  1. No event is further ahead of its arrival than the largest max_future_skew declared so far.
 *  2. A bounded lane's watermark is its latest event time less its disorder, at most clock + skew; an
 *     explicit lane's is what its producer said, and nobody says less than before; a final lane's is
 *     WATERMARK_FINAL until it is reopened; a declared one that heard nothing has none.
 *  3. No lane falls from pulse to pulse, but one that is reopened; none is beyond the pulse's
 *     clock + max_future_skew unless it was there before. A lane that a pulse passes over is where it
 *     was.
 *  4. A lane's latest event time in a pulse is that of its events in the log.
 *  5. A lane becomes idle after idle_after of silence at the earliest. An idle one that is live may
 *     rise to the clock less its disorder; else it stands still.
 *  6. W, where the log tells it (before each event, and in each pulse), is never less than it was, and
 *     never less than the least of all lanes. It is not more than the least of those that can't be
 *     idle; when all may be, no more than the clock allows.
 *  7. In a pulse the flags say who is idle: W is what told_lanes.h says of its lanes.
 *  8. W falls only after a final lane was reopened.
 *
 * What is open, so that nothing is claimed of it:
 *  - when between two pulses a lane becomes idle: from idle_after on, by the clock of the next pulse;
 *  - what a restart does to idleness: an idle lane may hold W again;
 *  - the exact clock between two pulses: the cap at clock + skew may bind, where it could;
 *  - what events do to a lane that is final, and where a reopened one begins;
 *  - whether declaring anew a lane that is final reopens it;
 *  - whether the default lane holds W before anything was heard in it;
 *  - whether a lane is live, and whether its clock runs while the pulse says HOLD. */
#include "sim/oracle_time.h"

#include "sim/log_reader.h"
#include "sim/told_lanes.h"

#include <stdlib.h>

/* What is known of a lane since the last pulse. */
struct bounds {
    struct time_range watermark;
    struct time_range before_final;
    struct time_range max_time; /* of the latest event time, as a pulse may tell it */
    enum lane_kind kind;
    bool final;
    bool final_open;         /* it may be either */
    bool spoke;              /* since the last pulse */
    bool was_idle;           /* at the last pulse */
    bool may_have_been_idle; /* at some time since the last pulse */
    int64_t disorder_us;
    int64_t least_disorder_us; /* in force at some time since the last pulse; and so on */
    int64_t least_idle_after_us;
    int64_t least_skew_us;
    int64_t most_skew_us;
    int64_t idle_after_us;
    int64_t skew_us;
    int64_t heard_us; /* heard at this clock or later */
};

struct judge {
    const struct history *history;
    struct finding *finding;
    struct log_reader reader;
    struct told_lanes told;
    struct bounds *lanes; /* LANES_MAX */
    int64_t *pulse_clocks;
    size_t pulse_count;
    size_t pulses_seen;
    struct time_range w;  /* low: it may not fall below; high: it was no higher when last told */
    int64_t clock_us;     /* at least: the clock has come so far */
    int64_t most_skew_us; /* of any lane, ever */
    bool moved;           /* some lane may have moved since W was told last */
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

static bool silent_long_enough(const struct judge *judge, const struct bounds *lane, int64_t clock)
{
    return judge->history->clock_uneven ||
           time_add(lane->heard_us, lane->least_idle_after_us) <= clock;
}

/* --- what records do to lanes --- */

static void take_settings(struct bounds *lane, const struct source *source)
{
    lane->kind = source->kind;
    lane->disorder_us = source->disorder_us;
    lane->idle_after_us = source->idle_after_us;
    lane->skew_us = source->max_future_skew_us;
    lane->least_disorder_us = earlier(lane->least_disorder_us, lane->disorder_us);
    lane->least_idle_after_us = earlier(lane->least_idle_after_us, lane->idle_after_us);
    lane->least_skew_us = earlier(lane->least_skew_us, lane->skew_us);
    lane->most_skew_us = later(lane->most_skew_us, lane->skew_us);
}

static struct bounds fresh_lane(int64_t clock_us)
{
    return (struct bounds){
        .watermark = {WATERMARK_NONE, WATERMARK_NONE},
        .max_time = {WATERMARK_NONE, WATERMARK_NONE},
        .kind = LANE_BOUNDED,
        .disorder_us = DISORDER_DEFAULT_US,
        .idle_after_us = IDLE_AFTER_DEFAULT_US,
        .skew_us = MAX_FUTURE_SKEW_DEFAULT_US,
        .least_disorder_us = INT64_MAX,
        .least_idle_after_us = INT64_MAX,
        .least_skew_us = INT64_MAX,
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
    if (!told_lanes_source(&judge->told, &source, &renewed, judge->finding)) {
        return false;
    }
    struct bounds *lane = &judge->lanes[source.lane];
    if (!renewed) {
        *lane = fresh_lane(judge->clock_us);
    }
    take_settings(lane, &source);
    judge->most_skew_us = later(judge->most_skew_us, source.max_future_skew_us);
    if (lane->final) {
        lane->final = false;
        lane->final_open = true;
    }
    if (!lane->final_open && lane->kind == LANE_BOUNDED && lane->max_time.high != WATERMARK_NONE) {
        int64_t may_rise_to = time_add(lane->max_time.high, -lane->disorder_us);
        lane->watermark.high = later(lane->watermark.high, may_rise_to);
    }
    judge->moved = true;
    return true;
}

static bool judge_forget(struct judge *judge)
{
    uint32_t lane = 0;
    if (!forget_read(judge->reader.record.body, &lane)) {
        return wrong(judge, "a forget that can't be read", 0, 0);
    }
    judge->moved = true;
    return told_lanes_forget(&judge->told, lane, judge->finding);
}

static void finish_lane(struct bounds *lane)
{
    if (!lane->final && !lane->final_open) {
        lane->before_final = lane->watermark;
    }
    lane->final = true;
    lane->final_open = false;
    lane->watermark = (struct time_range){WATERMARK_FINAL, WATERMARK_FINAL};
}

static void reopen_lane(struct judge *judge, struct bounds *lane)
{
    if (!lane->final && !lane->final_open) {
        return;
    }
    int64_t high = lane->before_final.high;
    if (lane->kind == LANE_BOUNDED && lane->max_time.high != WATERMARK_NONE) {
        high = later(high, time_add(lane->max_time.high, -lane->least_disorder_us));
    }
    lane->watermark = (struct time_range){WATERMARK_NONE, high};
    lane->final = false;
    lane->final_open = false;
    judge->w.low = WATERMARK_NONE;
}

static bool
advance_lane(struct judge *judge, struct bounds *lane, const struct lane_command *command)
{
    if (lane->final || lane->final_open) {
        return true;
    }
    if (command->time < lane->watermark.low) {
        return wrong(judge, "a producer went back", command->lane, command->time);
    }
    lane->watermark.high = later(lane->watermark.high, command->time);
    if (lane->kind == LANE_EXPLICIT) {
        int64_t cap = time_add(judge->clock_us, lane->least_skew_us);
        lane->watermark.low = later(lane->watermark.low, earlier(command->time, cap));
    }
    return true;
}

static bool judge_lane_command(struct judge *judge)
{
    struct lane_command command;
    if (!lane_command_read(judge->reader.record.body, &command)) {
        return wrong(judge, "a lane command that can't be read", 0, 0);
    }
    if (!judge->told.lanes[command.lane].exists) {
        return wrong(judge, "a command to a lane that was not declared", command.lane, 0);
    }
    struct bounds *lane = &judge->lanes[command.lane];
    judge->moved = true;
    switch (command.kind) {
    case LANE_ADVANCE:
        return advance_lane(judge, lane, &command);
    case LANE_FINISH:
        finish_lane(lane);
        return true;
    case LANE_REOPEN:
        reopen_lane(judge, lane);
        return true;
    }
    return wrong(judge, "a lane command of no known kind", command.lane, 0);
}

/* --- W before an event --- */

/* Whether the lane is in the minimum for certain. */
static bool surely_holds(const struct judge *judge, uint32_t number, int64_t clock_at_most_us)
{
    const struct bounds *lane = &judge->lanes[number];
    bool never_heard = number == LANE_DEFAULT && lane->max_time.high == WATERMARK_NONE;
    bool may_be_idle =
        (lane->was_idle && !lane->spoke) || silent_long_enough(judge, lane, clock_at_most_us);
    return !never_heard && !may_be_idle;
}

/* Claim 6: from the least of all lanes to the least of those that hold for certain. */
static struct time_range w_before_event(const struct judge *judge)
{
    int64_t clock = clock_at_most(judge);
    int64_t least = WATERMARK_FINAL;
    int64_t least_sure = WATERMARK_FINAL;
    int64_t highest_idle = WATERMARK_NONE;
    bool any_idle = false;
    bool any_final = false;
    for (uint32_t number = 0; number < judge->told.end; number++) {
        const struct bounds *lane = &judge->lanes[number];
        if (!judge->told.lanes[number].exists) {
            continue;
        }
        any_final = any_final || lane->final || lane->final_open;
        if (lane->final) {
            continue;
        }
        least = earlier(least, lane->final_open ? lane->before_final.low : lane->watermark.low);
        if (lane->final_open) {
            continue;
        }
        if (surely_holds(judge, number, clock)) {
            least_sure = earlier(least_sure, lane->watermark.high);
        } else if (number != LANE_DEFAULT || lane->max_time.high != WATERMARK_NONE) {
            any_idle = true;
            int64_t by_clock = time_add(clock, -lane->least_disorder_us);
            highest_idle = later(highest_idle, later(lane->watermark.high, by_clock));
        }
    }
    if (least_sure == WATERMARK_FINAL && any_idle) {
        least_sure = highest_idle;
    } else if (least_sure == WATERMARK_FINAL && !any_final) {
        least_sure = least; /* there is the default lane alone */
    }
    return (struct time_range){later(judge->w.low, least), later(judge->w.high, least_sure)};
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

/* --- events --- */

static void hear(struct judge *judge, struct bounds *lane, int64_t time)
{
    if (silent_long_enough(judge, lane, clock_at_most(judge)) || lane->was_idle) {
        lane->may_have_been_idle = true;
    }
    lane->spoke = true;
    lane->heard_us = later(lane->heard_us, judge->clock_us);
    judge->moved = true;
    if (time <= lane->max_time.high) {
        return;
    }
    lane->max_time.high = time;
    if (lane->final || lane->final_open) {
        return;
    }
    lane->max_time.low = lane->kind == LANE_BOUNDED ? time : lane->max_time.low;
    if (lane->kind == LANE_BOUNDED) {
        int64_t to = time_add(time, -lane->disorder_us);
        int64_t cap = time_add(judge->clock_us, lane->least_skew_us);
        lane->watermark.high = later(lane->watermark.high, to);
        lane->watermark.low = later(lane->watermark.low, earlier(to, cap));
    }
}

static bool judge_event(struct judge *judge)
{
    struct log_reader *reader = &judge->reader;
    int64_t w = reader->cursor.watermark;
    if ((judge->moved || w != judge->w.low) && !w_told(judge, w, w_before_event(judge))) {
        return false;
    }
    const struct event *event = &reader->event;
    uint32_t number = told_lanes_of(&judge->told, event->source);
    if (event->time.us > time_add(event->arrival.us, judge->most_skew_us)) {
        return wrong(judge, "an event from the future", number, event->time.us);
    }
    hear(judge, &judge->lanes[number], event->time.us);
    return true;
}

static bool judge_batch(struct judge *judge)
{
    if (!judge->history->clock_uneven) {
        judge->clock_us = later(judge->clock_us, judge->reader.batch.arrival.us);
    }
    while (log_next_event(&judge->reader)) {
        if (!judge_event(judge)) {
            return false;
        }
    }
    return !judge->reader.bad;
}

/* --- pulses --- */

static bool in_range(int64_t time, struct time_range range)
{
    return range.low <= time && time <= range.high;
}

/* Claims 2, 3 and 5 for a lane that is not final. */
static bool judge_told_watermark(struct judge *judge, uint32_t number, int64_t clock)
{
    const struct bounds *lane = &judge->lanes[number];
    const struct lane_state *told = &judge->told.lanes[number].state;
    struct time_range allowed = lane->watermark;
    if (lane->final_open) {
        allowed = (struct time_range){lane->before_final.low, WATERMARK_FINAL - 1};
    }
    bool idle_live = (told->flags & (LANE_IDLE | LANE_LIVE)) == (LANE_IDLE | LANE_LIVE);
    if (idle_live || lane->may_have_been_idle) {
        allowed.high = later(allowed.high, time_add(clock, -lane->least_disorder_us));
    }
    /* Beyond clock + skew only where it was for certain. */
    int64_t cap = later(time_add(clock, lane->most_skew_us), lane->watermark.low);
    allowed.high = earlier(allowed.high, cap);
    if (!in_range(told->watermark, allowed)) {
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
    const struct bounds *lane = &judge->lanes[number];
    const struct lane_state *told = &judge->told.lanes[number].state;
    bool final = (told->flags & LANE_FINAL) != 0;
    bool idle = (told->flags & LANE_IDLE) != 0;
    if (!lane->final_open && final != lane->final) {
        return wrong(judge, "a pulse is wrong about who is final", number, told->watermark);
    }
    if (final ? told->watermark != WATERMARK_FINAL : !judge_told_watermark(judge, number, clock)) {
        return wrong(judge, "a final lane that has a watermark", number, told->watermark);
    }
    if (!in_range(told->max_time, lane->max_time)) {
        return wrong(judge, "a latest event time that is not the lane's", number, told->max_time);
    }
    if (idle && !final && (lane->spoke || !lane->was_idle) &&
        !silent_long_enough(judge, lane, clock)) {
        return wrong(judge, "a lane that is idle too soon", number, lane->heard_us);
    }
    return true;
}

/* The lane is where the pulse says; from here on all is known again. */
static void settle_lane(struct bounds *lane, const struct lane_state *told)
{
    lane->final = (told->flags & LANE_FINAL) != 0;
    lane->final_open = false;
    lane->watermark = (struct time_range){told->watermark, told->watermark};
    lane->max_time = (struct time_range){told->max_time, told->max_time};
    lane->was_idle = (told->flags & LANE_IDLE) != 0;
    lane->spoke = false;
    lane->may_have_been_idle = false;
    lane->least_disorder_us = lane->disorder_us;
    lane->least_idle_after_us = lane->idle_after_us;
    lane->least_skew_us = lane->skew_us;
    lane->most_skew_us = lane->skew_us;
}

static bool judge_pulse(struct judge *judge)
{
    struct pulse pulse;
    if (!pulse_read(judge->reader.record.body, &pulse)) {
        return wrong(judge, "a pulse that can't be read", 0, 0);
    }
    judge->pulses_seen++;
    judge->clock_us = later(judge->clock_us, pulse.clock.us);
    if (!told_lanes_pulse(&judge->told, &pulse, judge->finding)) {
        return false;
    }
    for (uint32_t lane = 0; lane < judge->told.end; lane++) {
        if (!judge->told.lanes[lane].exists) {
            continue;
        }
        if (!judge_told_lane(judge, lane, pulse.clock.us)) {
            return false;
        }
        settle_lane(&judge->lanes[lane], &judge->told.lanes[lane].state);
    }
    return w_told(judge, pulse.watermark, told_lanes_watermark(&judge->told, NULL, 0, judge->w));
}

static bool judge_record(struct judge *judge)
{
    enum record_kind kind = judge->reader.record.kind;
    if (kind == RECORD_SOURCE || kind == RECORD_FORGET || kind == RECORD_LANE) {
        /* It changes who is in the minimum: what W had come to before stays in force. */
        judge->w = w_before_event(judge);
    }
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
        .clock_us = INT64_MIN,
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
        settle_lane(&judge.lanes[LANE_DEFAULT], &judge.told.lanes[LANE_DEFAULT].state);
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
