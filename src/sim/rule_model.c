/* The naive rules: see rule_model.h.
 *
 *     by events      time order alone. From the start on, sign by sign: one that lies behind the
 *                    deadline means that it was missed; a heartbeat sets the deadline anew; an expected
 *                    event or a cancel ends it. At equal times START, HEARTBEAT, EXPECT, CANCEL. It
 *                    fires at the first pulse without HOLD whose W is behind deadline and grace, by what
 *                    stands in the log before. Then evidence that would have ended it or given it more
 *                    time is told once, or takes it back, and all is looked at anew.
 *     by the clock   the order of the log alone, each sign at its arrival; where arrivals and the log
 *                    disagree, a heartbeat takes no time away. It fires at the first pulse whose clock
 *                    has reached deadline and grace; what stands in the log before counts, what follows
 *                    is nothing.
 *     a silence      each event is a start, and what is expected is another one of a later time.
 *
 * Left open, because the contract does: what a heartbeat behind W gives time to, when signs that had
 * acted and might be met then lie behind W by more than the grace: nobody has to remember these. And what
 * becomes of a start behind W that comes together with other evidence behind W: which of them acts first. */
#include "sim/rule_model.h"

#include "base/check.h"

static bool is_hit(const struct rule_life *life, const struct sign *start, const struct sign *sign)
{
    return life->rule->silence ? sign->time > start->time : sign->time >= start->time;
}

static enum timeout_state end_of(const struct sign *sign)
{
    return sign->kind == SIGN_EXPECT ? TIMEOUT_COMPLETED : TIMEOUT_CANCELLED;
}

static void tell(struct rule_fate *fate, enum note_kind kind, size_t pulse)
{
    if (fate->note_count == RULE_NOTES_MAX) {
        fate->open = true;
        return;
    }
    bool fires = kind == NOTE_TIMEOUT_FIRED;
    fate->notes[fate->note_count] =
        (struct rule_note){.kind = kind,
                           .pulse = pulse,
                           .fired = fires ? pulse : fate->notes[fate->note_count - 1].fired,
                           .deadline = fate->deadline,
                           .last_seen = fate->last_seen};
    fate->note_count++;
}

/* --- by events --- */

/* Looks at all that is known at a pulse, in the order of its time. */
static void look_at_all(const struct rule_life *life,
                        const struct sign *start,
                        size_t known,
                        int64_t seen,
                        struct rule_fate *fate)
{
    fate->state = TIMEOUT_PENDING;
    fate->deadline = start->time + start->span_us;
    fate->last_seen = start->time;
    fate->extended = 0;
    for (size_t n = 0; n < life->count; n++) {
        const struct sign *sign = life->by_time[n];
        if (sign->time > fate->deadline || sign->time > seen) {
            return;
        }
        if (sign->kind == SIGN_START || sign->pulse > known || !is_hit(life, start, sign)) {
            continue;
        }
        if (sign->kind != SIGN_HEARTBEAT) {
            fate->state = end_of(sign);
            fate->end = sign->time;
            return;
        }
        fate->deadline = sign->time + start->span_us;
        fate->last_seen = sign->time;
        fate->extended++;
    }
}

/* The first pulse behind `known` before which something comes that concerns it. */
static size_t next_news(const struct rule_life *life,
                        const struct sign *start,
                        size_t known,
                        const struct rule_fate *fate)
{
    for (size_t n = 0; n < life->count; n++) {
        const struct sign *sign = life->by_order[n];
        bool more = sign->kind != SIGN_HEARTBEAT || sign->time + start->span_us > fate->deadline;
        if (sign->pulse > known && sign->kind != SIGN_START && more && is_hit(life, start, sign) &&
            sign->time <= fate->deadline) {
            return sign->pulse;
        }
    }
    return NO_PULSE;
}

static size_t find_due_by_events(const struct rule_life *life, size_t from, int64_t deadline)
{
    for (size_t n = from; n < life->pulse_end; n++) {
        const struct told_pulse *pulse = &life->pulses[n];
        if (!pulse->hold && pulse->watermark > deadline + life->rule->grace_us) {
            return n;
        }
    }
    return NO_PULSE;
}

/* Whether something that concerns an instance from a time on may be forgotten: it was known before this
 * pulse, and the watermark had passed it by the grace. */
static bool may_have_forgotten(const struct rule_life *life, size_t pulse, int64_t from)
{
    if (pulse == 0) {
        return false;
    }
    int64_t kept_from = life->pulses[pulse - 1].watermark - life->rule->grace_us;
    for (size_t n = 0; n < life->count; n++) {
        const struct sign *sign = life->by_time[n];
        if (sign->kind != SIGN_START && sign->time >= from && sign->time <= kept_from &&
            sign->pulse < pulse) {
            return true;
        }
    }
    return false;
}

/* It has fired. Whether it is pending or ended anew, by evidence; *known moves on. */
static bool taken_back(const struct rule_life *life,
                       const struct sign *start,
                       size_t last,
                       size_t *known,
                       struct rule_fate *fate)
{
    size_t news = next_news(life, start, *known, fate);
    if (news > last) {
        return false;
    }
    bool retracts = life->rule->retracts;
    tell(fate, retracts ? NOTE_TIMEOUT_RETRACTED : NOTE_TIMEOUT_COMPLETED_LATE, news);
    if (retracts) {
        *known = news;
        fate->taken = true;
    }
    return retracts;
}

static void follow_events(const struct rule_life *life,
                          const struct sign *start,
                          size_t last,
                          int64_t slack_us,
                          struct rule_fate *fate)
{
    int64_t seen = life->pulses[last].watermark - slack_us;
    size_t known = start->pulse;
    int64_t deadline = start->time + start->span_us;
    look_at_all(life, start, known, INT64_MAX, fate);
    while (fate->state == TIMEOUT_PENDING) {
        size_t due = find_due_by_events(life, known, fate->deadline);
        size_t news = next_news(life, start, known, fate);
        if (news <= due && news <= last) {
            deadline = fate->deadline;
            known = news;
        } else if (due <= last) {
            fate->state = TIMEOUT_FIRED;
            fate->ended_at = due;
            tell(fate, NOTE_TIMEOUT_FIRED, due);
            known = due;
            deadline = fate->deadline;
            if (!taken_back(life, start, last, &known, fate)) {
                return;
            }
        } else {
            /* With what came since and gives no more time than it has: until W has passed the rest. */
            look_at_all(life, start, last, seen, fate);
            return;
        }
        look_at_all(life, start, known, INT64_MAX, fate);
        bool moved = fate->deadline > deadline;
        fate->open = fate->open || (moved && may_have_forgotten(life, known, deadline + 1));
    }
    /* What ended it waits for W; what comes behind that finds it ended. */
    for (fate->ended_at = known;
         known < last && life->pulses[known].watermark - slack_us < fate->end;) {
        known++;
    }
    look_at_all(life, start, known, seen, fate);
}

/* --- by the clock --- */

static size_t find_due_by_clock(const struct rule_life *life, size_t from, int64_t deadline)
{
    for (size_t n = from; n < life->pulse_end; n++) {
        if (life->pulses[n].clock >= deadline + life->rule->grace_us) {
            return n;
        }
    }
    return NO_PULSE;
}

/* It acts on the instance: of a silence also what stands in the log before it and arrived later. */
static bool is_met(const struct rule_life *life, const struct sign *start, const struct sign *sign)
{
    if (life->rule->silence) {
        return is_hit(life, start, sign);
    }
    return sign->order > start->order || (sign->order == start->order && sign->kind > start->kind);
}

static void see(const struct sign *start, int64_t time, struct rule_fate *fate)
{
    fate->last_seen = time > fate->last_seen ? time : fate->last_seen;
    fate->deadline = fate->last_seen + start->span_us;
    fate->extended++;
}

static void follow_clock(const struct rule_life *life,
                         const struct sign *start,
                         size_t last,
                         struct rule_fate *fate)
{
    fate->state = TIMEOUT_PENDING;
    fate->deadline = start->time + start->span_us;
    fate->last_seen = start->time;
    size_t due = find_due_by_clock(life, start->pulse, fate->deadline);
    for (size_t n = 0; n < life->count; n++) {
        const struct sign *sign = life->by_order[n];
        if (sign->kind == SIGN_START || !is_met(life, start, sign)) {
            continue;
        }
        if (sign->pulse > due || sign->pulse > last) {
            break;
        }
        if (sign->kind != SIGN_HEARTBEAT) {
            fate->state = end_of(sign);
            fate->ended_at = sign->pulse;
            return;
        }
        see(start, sign->time, fate);
        due = find_due_by_clock(life, sign->pulse, fate->deadline);
    }
    if (due <= last) {
        fate->state = TIMEOUT_FIRED;
        fate->ended_at = due;
        tell(fate, NOTE_TIMEOUT_FIRED, due);
    }
}

/* --- both --- */

void rule_follow(const struct rule_life *life,
                 const struct sign *start,
                 size_t last,
                 int64_t slack_us,
                 struct rule_fate *fate)
{
    CHECK(last < life->pulse_end && start->pulse <= last);
    *fate = (struct rule_fate){.ended_at = NO_PULSE};
    if (life->rule->by_clock) {
        follow_clock(life, start, last, fate);
    } else {
        follow_events(life, start, last, slack_us, fate);
    }
}

/* Whether the pulse of a start that lies behind W brings other signs behind W that concern it. */
static bool has_late_company(const struct rule_life *life, const struct sign *start)
{
    int64_t passed = life->pulses[start->pulse - 1].watermark;
    for (size_t n = 0; n < life->count; n++) {
        const struct sign *sign = life->by_time[n];
        if (sign->kind != SIGN_START && sign->pulse == start->pulse && sign->time > start->time &&
            sign->time <= passed) {
            return true;
        }
    }
    return false;
}

bool rule_start_is_open(const struct rule_life *life, const struct sign *start)
{
    if (life->rule->by_clock || start->pulse == 0 ||
        start->time > life->pulses[start->pulse - 1].watermark) {
        return false;
    }
    return life->rule->silence || may_have_forgotten(life, start->pulse, start->time) ||
           has_late_company(life, start);
}
