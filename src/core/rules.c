/* The table of rules. As with metrics, a place in it is an index that partitions share.
 *
 * Invariants:
 *  1. Places are taken lowest first, so that the same log gives the same places.
 *  2. A rule's watermark never falls, but when a final lane of its is reopened.
 *  3. horizon <= watermark: what a rule has not heard of may still come in time. */
#include "core/rules.h"

#include "base/check.h"
#include "core/chosen.h"
#include "core/signals.h"

static uint32_t free_place(const struct engine *engine)
{
    for (uint32_t place = 0; place < RULES_MAX; place++) {
        if (engine->rules[place].id == 0) {
            return place;
        }
    }
    UNREACHABLE("a free place: the catalogue refuses the rule beyond RULES_MAX");
}

static void rule_move(const struct engine *engine, struct watch_rule *rule, int64_t latest)
{
    struct chosen chosen =
        chosen_lanes(engine, rule->rule.sources, rule->rule.source_count, latest);
    int64_t before = rule->watermark;
    bool moves = chosen.watermark > before || before == WATERMARK_FINAL;
    rule->watermark = moves ? chosen.watermark : before;
    rule->max_time = chosen.max_time > rule->max_time ? chosen.max_time : rule->max_time;
    rule->horizon = before < rule->watermark ? before : rule->watermark;
    rule->by_clock = chosen.by_clock;
}

void rules_move(struct engine *engine)
{
    int64_t latest = engine->rule_end == 0 ? WATERMARK_NONE : chosen_latest_time(engine);
    for (uint32_t place = 0; place < engine->rule_end; place++) {
        if (engine->rules[place].id != 0) {
            rule_move(engine, &engine->rules[place], latest);
        }
    }
}

bool rules_wait_by_events(const struct engine *engine)
{
    for (uint32_t place = 0; place < engine->rule_end; place++) {
        const struct watch_rule *rule = &engine->rules[place];
        if (rule->id != 0 && rule->rule.clock == TIMEOUT_BY_EVENTS) {
            return true;
        }
    }
    return false;
}

static struct bytes own(struct engine *engine, struct bytes encoded)
{
    uint8_t *copy = heap_alloc(&engine->heap, encoded.len);
    CHECK(copy != NULL);
    memcpy(copy, encoded.data, encoded.len);
    return bytes_of(copy, encoded.len);
}

void rules_define(struct engine *engine, const struct define *define, uint64_t frame_position)
{
    uint32_t place = free_place(engine);
    struct watch_rule *rule = &engine->rules[place];
    *rule = (struct watch_rule){
        .id = define->metric,
        .version = define->version,
        .position = frame_position,
        .created = define->created,
        .encoded = own(engine, define->definition),
        .watermark = WATERMARK_NONE,
        .max_time = WATERMARK_NONE,
        .horizon = WATERMARK_NONE,
    };
    CHECK(rule->id != 0);
    CHECK(rule_read(rule->encoded, &rule->rule));
    engine->rule_end = place >= engine->rule_end ? place + 1 : engine->rule_end;
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        if (engine->partitions[n] != NULL) {
            watch_add_rule(&engine->partitions[n]->watch, place, &rule->rule);
        }
    }
    rule_move(engine, rule, chosen_latest_time(engine));
}

/* Signals of a rule that is dropped, or of another that takes its place, between two pulses: those that
 * wait for the next pulse are let go of there, since they name a rule by its place. */
static void forget_signals(struct engine *engine, uint32_t place)
{
    uint32_t parity = (uint32_t)(engine->pulse_ordinal + 1) & 1;
    for (uint32_t intake = 0; intake < engine->limits.partitions; intake++) {
        for (uint32_t shard = 0; shard < engine->limits.partitions; shard++) {
            struct buf *buf = &engine->deltas[parity][intake][shard].signals;
            struct reader in = reader_of(buf_bytes(buf));
            struct signal signal;
            const uint8_t *begin = in.at;
            size_t kept = 0;
            while (signal_next(&in, &signal)) {
                size_t len = (size_t)(in.at - begin);
                if (signal.rule != place) {
                    memmove(buf->data + kept, begin, len);
                    kept += len;
                }
                begin = in.at;
            }
            CHECK(!in.bad);
            buf->len = kept;
        }
    }
}

void rules_drop(struct engine *engine, uint32_t id)
{
    for (uint32_t place = 0; place < engine->rule_end; place++) {
        struct watch_rule *rule = &engine->rules[place];
        if (rule->id != id) {
            continue;
        }
        forget_signals(engine, place);
        for (uint32_t n = 0; n < engine->limits.partitions; n++) {
            if (engine->partitions[n] != NULL) {
                watch_drop_rule(&engine->partitions[n]->watch, place);
            }
        }
        heap_free(&engine->heap, bytes_owned(rule->encoded), rule->encoded.len);
        *rule = (struct watch_rule){0};
        return;
    }
    UNREACHABLE("a rule that exists: the catalogue refuses others");
}

struct watch_rule *engine_rule(struct engine *engine, struct bytes name)
{
    for (uint32_t place = 0; place < engine->rule_end; place++) {
        struct watch_rule *rule = &engine->rules[place];
        if (rule->id != 0 && bytes_equal(rule->rule.name, name)) {
            return rule;
        }
    }
    return NULL;
}

struct watch_turn rules_now(const struct engine *engine)
{
    return (struct watch_turn){
        .rules = engine->rules,
        .rule_end = engine->rule_end,
        .ordinal = engine->pulse_ordinal,
        .clock = engine->clock,
        .hold = (engine->pulse_flags & PULSE_HOLD) != 0,
    };
}

void rules_pulse(struct engine *engine,
                 struct partition *partition,
                 const struct pulse *pulse,
                 struct engine *const *sources)
{
    if (engine->rule_end > 0) {
        struct watch_turn turn = rules_now(engine);
        turn.position = pulse->position;
        turn.feed = &partition->feed;
        for (uint32_t n = 0; n < engine->limits.partitions; n++) {
            const struct deltas *deltas =
                &sources[n]->deltas[pulse->ordinal & 1][n][partition->number];
            watch_take(&partition->watch, &turn, buf_bytes(&deltas->signals));
        }
        watch_move(&partition->watch, &turn);
    }
    signals_clear(engine, partition->number);
}

void rules_command(const struct engine *engine,
                   struct partition *partition,
                   const struct timeout_command *command,
                   const struct timeouts_moment *moment,
                   struct timeout_result *result)
{
    struct watch_turn turn = rules_now(engine);
    turn.position = moment->position;
    turn.clock = moment->clock.us > turn.clock.us ? moment->clock : turn.clock;
    *result = (struct timeout_result){.outcome = TIMEOUT_UNKNOWN};
    for (uint32_t place = 0; place < engine->rule_end; place++) {
        if (engine->rules[place].id == command->rule) {
            uint64_t hash = signal_hash(engine, command->rule, command->key);
            watch_command(&partition->watch, &turn, place, hash, command, result);
        }
    }
}

void rules_next_due(const struct engine *engine,
                    const struct partition *partition,
                    struct engine_due *due)
{
    struct watch_due own = {due->all_lanes, due->by_clock, due->clock};
    watch_next_due(&partition->watch, engine->rules, engine->rule_end, &own);
    *due = (struct engine_due){own.all_lanes, own.by_clock, own.clock};
}

/* --- saved bytes --- */

void rules_save(const struct engine *engine, struct writer *out)
{
    write_u32(out, engine->rule_end);
    for (uint32_t place = 0; place < engine->rule_end; place++) {
        const struct watch_rule *rule = &engine->rules[place];
        write_u32(out, rule->id);
        if (rule->id == 0) {
            continue;
        }
        write_u32(out, rule->version);
        write_u64(out, rule->position);
        write_i64(out, rule->created.us);
        write_i64(out, rule->watermark);
        write_i64(out, rule->max_time);
        write_i64(out, rule->horizon);
        write_string(out, rule->encoded);
    }
}

static bool load_rule(struct engine *engine, struct watch_rule *rule, struct loader *in)
{
    *rule = (struct watch_rule){.id = load_u32(in)};
    if (rule->id == 0) {
        return !in->bad;
    }
    rule->version = load_u32(in);
    rule->position = load_u64(in);
    rule->created.us = load_i64(in);
    rule->watermark = load_i64(in);
    rule->max_time = load_i64(in);
    rule->horizon = load_i64(in);
    uint32_t len = load_u32(in);
    if (in->bad || len == 0 || len > RULE_BYTES_MAX) {
        return false;
    }
    uint8_t *encoded = heap_alloc(&engine->heap, len);
    if (encoded == NULL) {
        return false;
    }
    load_bytes(in, encoded, len);
    rule->encoded = bytes_of(encoded, len);
    return !in->bad && rule_read(rule->encoded, &rule->rule);
}

bool rules_load(struct engine *engine, struct loader *in)
{
    uint32_t rule_end = load_u32(in);
    if (in->bad || rule_end > RULES_MAX) {
        return false;
    }
    for (uint32_t place = 0; place < rule_end; place++) {
        if (!load_rule(engine, &engine->rules[place], in)) {
            return false;
        }
    }
    engine->rule_end = rule_end;
    return true;
}

void rules_copy(struct engine *engine, const struct engine *other)
{
    CHECK(engine->rule_end == 0);
    engine->rule_end = other->rule_end;
    for (uint32_t place = 0; place < other->rule_end; place++) {
        struct watch_rule *rule = &engine->rules[place];
        *rule = other->rules[place];
        if (rule->id != 0) {
            rule->encoded = own(engine, rule->encoded);
            CHECK(rule_read(rule->encoded, &rule->rule));
        }
    }
}
