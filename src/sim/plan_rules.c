/* The rules of a plan: what they say, drawn and as statements. What a rule is at all comes from the
 * stream of timeouts; what it says beside (heartbeats, cancels, grace, its clock, its sources, a time
 * told by the start) and whether it goes now and then, from a stream of its own: so a plain rule stays
 * the rule that a seed stands for. */
#include "sim/plan.h"

#include "base/check.h"
#include "base/text.h"

#define SECOND    US_PER_SECOND
#define LOOKS_MAX 300 /* in a run, about */

static uint32_t pick(struct choice *choice, uint32_t end)
{
    return choose(choice, CHOICE_RULES, end);
}

static bool coin(struct choice *choice)
{
    return pick(choice, 2) == 1;
}

static void draw_sources(const struct plan *plan, struct choice *choice, struct rule_recipe *rule)
{
    rule->source_count = 1 + pick(choice, RULE_SOURCES_MAX);
    for (uint32_t n = 0; n < rule->source_count; n++) {
        rule->sources[n] = pick(choice, plan->source_count);
    }
    if (rule->source_count == 2 && rule->sources[0] == rule->sources[1]) {
        rule->source_count = 1;
    }
}

/* Types 0 and 1 start a timeout and end it well. */
static void draw_signs(struct choice *choice, struct rule_recipe *rule)
{
    static const uint32_t beats[] = {2, 2, 0, 3};
    static const uint32_t cancels[] = {3, 3, 2, 4};
    static const int64_t units_us[] = {SECOND, SECOND / 10, US_PER_MINUTE, US_PER_DAY};
    rule->beats = coin(choice);
    rule->beat_type = beats[pick(choice, 4)];
    rule->cancels = coin(choice);
    rule->cancel_type = cancels[pick(choice, 4)];
    if (pick(choice, 3) == 1) {
        rule->unit_us = units_us[pick(choice, 4)];
    }
}

static void draw_more(const struct plan *plan, struct choice *choice, struct rule_recipe *rule)
{
    rule->by_clock = pick(choice, 4) == 1;
    if (coin(choice)) {
        rule->grace_us = (int64_t)choose_magnitude(choice, CHOICE_RULES, 1, 3600) * SECOND;
    }
    if (pick(choice, 4) == 1) {
        draw_sources(plan, choice, rule);
    }
    rule->droppable = pick(choice, 3) == 1;
    if (!rule->silence) {
        draw_signs(choice, rule);
    }
    rule->retracts = rule->retracts && !rule->silence && !rule->by_clock;
}

void plan_draw_rules(struct plan *plan, struct choice *choice)
{
    const struct process_options *options = &plan->process;
    bool whole = options->feed_whole && options->feed_keep_us >= US_PER_DAY;
    if (plan->lanes || !whole || choose(choice, CHOICE_TIMERS, 4) == 0) {
        return;
    }
    plan->rule_count = 1 + choose(choice, CHOICE_TIMERS, PLAN_RULES_MAX);
    for (uint32_t n = 0; n < plan->rule_count; n++) {
        plan->rules[n] = (struct rule_recipe){
            .silence = choose(choice, CHOICE_TIMERS, 2) == 1,
            .retracts = choose(choice, CHOICE_TIMERS, 2) == 1,
            .span_us = (int64_t)choose_magnitude(choice, CHOICE_TIMERS, 1, 3600) * SECOND};
        draw_more(plan, choice, &plan->rules[n]);
    }
    plan->rules_looked_at = coin(choice);
    uint32_t looks = choose_magnitude(choice, CHOICE_RULES, 10, LOOKS_MAX);
    plan->rules_look_ms = (uint32_t)(plan->length_us / 1000 / looks) + 1;
}

/* --- statements --- */

static void put_seconds(struct buf *out, int64_t time_us)
{
    buf_put_text(out, "INTERVAL '");
    i64_put(out, time_us / SECOND);
    buf_put_text(out, time_us % SECOND == 0 ? "" : ".1");
    buf_put_text(out, " seconds'");
}

static void put_condition(struct buf *out, const char *clause, uint32_t type)
{
    buf_put_text(out, clause);
    buf_put_text(out, " type = 't");
    i64_put(out, type);
    buf_put_text(out, "'");
}

static void put_timeout(struct buf *out, const struct rule_recipe *rule)
{
    put_condition(out, " AS AFTER", 0);
    put_condition(out, " EXPECT", 1);
    if (rule->beats) {
        put_condition(out, " HEARTBEAT", rule->beat_type);
    }
    if (rule->cancels) {
        put_condition(out, " CANCEL", rule->cancel_type);
    }
    buf_put_text(out, " WITHIN ");
    buf_put_text(out, rule->unit_us > 0 ? "data.x * " : "");
    put_seconds(out, rule->unit_us > 0 ? rule->unit_us : rule->span_us);
    buf_put_text(out, " PER subject");
}

struct bytes rule_sql(const struct plan *plan, uint32_t number, char *text, size_t cap)
{
    const struct rule_recipe *rule = &plan->rules[number];
    struct buf out = buf_of(text, cap);
    buf_put_text(&out, rule->silence ? "CREATE SILENCE r" : "CREATE TIMEOUT r");
    i64_put(&out, number);
    for (uint32_t n = 0; n < rule->source_count; n++) {
        buf_put_text(&out, n == 0 ? " WITH (sources = 's" : ", s");
        i64_put(&out, rule->sources[n]);
    }
    buf_put_text(&out, rule->source_count > 0 ? "')" : "");
    if (rule->silence) {
        put_condition(&out, " AS EXPECT", 0);
        buf_put_text(&out, " EVERY ");
        put_seconds(&out, rule->span_us);
        buf_put_text(&out, " PER source");
    } else {
        put_timeout(&out, rule);
    }
    buf_put_text(&out, rule->by_clock ? " CLOCK PROCESSING" : "");
    if (rule->grace_us > 0) {
        buf_put_text(&out, " GRACE ");
        put_seconds(&out, rule->grace_us);
    }
    buf_put_text(&out, rule->retracts ? " LATE RETRACT" : "");
    CHECK(!out.overflow);
    return buf_bytes(&out);
}
