#include "sim/oracle_lagging.h"

#include "base/check.h"
#include "base/hash.h"

#include <stdlib.h>

bool lagging_rule(struct lagging_model *model, const struct record *record)
{
    struct define define;
    struct rule rule;
    uint32_t gone = 0;
    if (record->kind == RECORD_RULE_DROP) {
        if (!drop_read(record->body, &gone)) {
            return false;
        }
        for (uint32_t n = 0; n < model->rule_count; n++) {
            if (model->rules[n] == gone) {
                model->rules[n] = model->rules[--model->rule_count];
            }
        }
        return true;
    }
    if (!define_read(record->body, &define) || !rule_read(define.definition, &rule) ||
        model->rule_count == RULES_MAX) {
        return false;
    }
    if (rule.clock == TIMEOUT_BY_EVENTS) {
        model->rules[model->rule_count++] = define.metric;
    }
    return true;
}

static void expect(const struct lagging_model *model,
                   const struct pulse *pulse,
                   uint64_t position,
                   struct expected_timeouts *expected)
{
    if (expected->note_count == expected->note_capacity) {
        expected->note_capacity = 2 * expected->note_capacity + 256;
        expected->notes =
            realloc(expected->notes, expected->note_capacity * sizeof(*expected->notes));
        CHECK(expected->notes != NULL);
    }
    expected->notes[expected->note_count++] = (struct heard_note){
        .place = {pulse->ordinal, 0, 0},
        .kind = NOTE_ENGINE_LAGGING,
        .flags = model->open ? NOTE_HOLDING : 0,
        .key = LAGGING_KEY,
        .generation = model->why,
        .clock = pulse->clock,
        .position = position,
        .started = model->since,
        .data_digest = hash64(bytes_of(NULL, 0), 0),
    };
    expected->counts.lagging += model->open;
}

void lagging_pulse(struct lagging_model *model,
                   const struct pulse *pulse,
                   uint64_t position,
                   size_t pending,
                   struct expected_timeouts *expected)
{
    uint32_t reasons = pulse->flags & (uint32_t)PULSE_REASONS;
    bool ends = model->open && reasons == 0;
    model->open = reasons != 0;
    if (ends && model->told) {
        expect(model, pulse, position, expected);
    }
    if (reasons == 0) {
        model->told = false;
        model->why = 0;
        return;
    }
    if (model->why == 0) {
        model->since = pulse->clock.us;
    }
    model->why |= reasons;
    bool long_enough = pulse->clock.us - model->since > US_PER_SECOND ||
                       (model->why & (uint32_t)PULSE_RESUMED) != 0;
    if (!model->told && long_enough && pending + model->rule_count > 0) {
        model->told = true;
        expect(model, pulse, position, expected);
    }
}
