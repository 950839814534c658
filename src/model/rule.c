/* Rules as bytes: docs/formats/definition.md, version 1.
 *
 *   u8 version, kind | name | text | after | expect | heartbeat | cancel | key | within
 *   | varint within, grace (us) | u8 clock, late, sources | sources: name
 *
 * where a name, a text and a program are a varint length and their bytes.
 *
 * Invariants:
 *  1. What is read is as good as what was checked when it was made: rule_read refuses all that
 *     rule_valid refuses.
 *  2. A rule has one encoding: what is read and written again gives the same bytes. */
#include "model/rule.h"

#include "base/check.h"
#include "model/program.h"

#define RULE_VERSION     1
#define VARINT_BYTES_MAX 10
#define STRINGS_FIXED    8 /* name, text and the six programs */
#define FIXED_BYTES_MAX  ((STRINGS_FIXED + 2) * VARINT_BYTES_MAX + 5)

void rule_put(struct buf *out, const struct rule *rule)
{
    CHECK(rule_valid(rule));
    buf_put_u8(out, RULE_VERSION);
    buf_put_u8(out, (uint8_t)rule->kind);
    buf_put_string(out, rule->name);
    buf_put_string(out, rule->text);
    buf_put_string(out, rule->after);
    buf_put_string(out, rule->expect);
    buf_put_string(out, rule->heartbeat);
    buf_put_string(out, rule->cancel);
    buf_put_string(out, rule->key);
    buf_put_string(out, rule->within);
    buf_put_varint(out, (uint64_t)rule->within_us);
    buf_put_varint(out, (uint64_t)rule->grace_us);
    buf_put_u8(out, (uint8_t)rule->clock);
    buf_put_u8(out, (uint8_t)rule->late);
    buf_put_u8(out, rule->source_count);
    for (int i = 0; i < rule->source_count; i++) {
        buf_put_string(out, rule->sources[i]);
    }
}

/* A time span: whatever does not fit becomes -1, which no field allows. */
static int64_t read_span(struct reader *in)
{
    uint64_t span = read_varint(in);
    return span <= INT64_MAX ? (int64_t)span : -1;
}

static void read_fields(struct reader *in, struct rule *rule)
{
    uint8_t kind = read_u8(in);
    rule->kind = (enum rule_kind)kind;
    rule->name = read_string(in);
    rule->text = read_string(in);
    rule->after = read_string(in);
    rule->expect = read_string(in);
    rule->heartbeat = read_string(in);
    rule->cancel = read_string(in);
    rule->key = read_string(in);
    rule->within = read_string(in);
    rule->within_us = read_span(in);
    rule->grace_us = read_span(in);
    uint8_t clock = read_u8(in);
    rule->clock = (enum timeout_clock)clock;
    uint8_t late = read_u8(in);
    rule->late = (enum rule_late)late;
    rule->source_count = read_u8(in);
}

bool rule_read(struct bytes encoded, struct rule *rule)
{
    memset(rule, 0, sizeof(*rule));
    struct reader in = reader_of(encoded);
    if (encoded.len > RULE_BYTES_MAX || read_u8(&in) != RULE_VERSION) {
        return false;
    }
    read_fields(&in, rule);
    if (in.bad || rule->source_count > DEFINITION_SOURCES_MAX) {
        return false;
    }
    for (int i = 0; i < rule->source_count; i++) {
        rule->sources[i] = read_string(&in);
    }
    return !in.bad && reader_left(&in) == 0 && rule_valid(rule);
}

static bool in_range(int64_t value, int64_t min, int64_t max)
{
    return value >= min && value <= max;
}

static bool optional_valid(struct bytes program)
{
    return program.len == 0 || program_valid(program);
}

/* How long to wait: a span, or a program over the start. */
static bool span_valid(const struct rule *rule)
{
    if (rule->within.len > 0) {
        return program_valid(rule->within) && rule->within_us == 0;
    }
    return in_range(rule->within_us, RULE_SPAN_MIN_US, RULE_SPAN_MAX_US);
}

/* What one kind must have and the other may not have. */
static bool parts_valid(const struct rule *rule)
{
    int kind = (int)rule->kind;
    if (kind == RULE_TIMEOUT) {
        return program_valid(rule->after) && optional_valid(rule->heartbeat) &&
               optional_valid(rule->cancel);
    }
    return kind == RULE_SILENCE && rule->after.len == 0 && rule->heartbeat.len == 0 &&
           rule->cancel.len == 0 && rule->within.len == 0 && (int)rule->late == RULE_LATE_IGNORE;
}

/* An upper bound, so that a rule that passes always fits its buffer. */
static size_t encoded_bytes_max(const struct rule *rule)
{
    size_t size = FIXED_BYTES_MAX + rule->name.len + rule->text.len + rule->after.len +
                  rule->expect.len + rule->heartbeat.len + rule->cancel.len + rule->key.len +
                  rule->within.len;
    for (int i = 0; i < rule->source_count; i++) {
        size += VARINT_BYTES_MAX + rule->sources[i].len;
    }
    return size;
}

bool rule_valid(const struct rule *rule)
{
    if (rule->source_count > DEFINITION_SOURCES_MAX) {
        return false;
    }
    for (int i = 0; i < rule->source_count; i++) {
        if (rule->sources[i].len == 0) {
            return false;
        }
    }
    return definition_name_valid(rule->name) && rule->text.len <= DEFINITION_TEXT_MAX &&
           parts_valid(rule) && program_valid(rule->expect) && program_valid(rule->key) &&
           span_valid(rule) && in_range(rule->grace_us, 0, RULE_GRACE_MAX_US) &&
           in_range((int)rule->clock, TIMEOUT_BY_PROCESSING, TIMEOUT_BY_EVENTS) &&
           in_range((int)rule->late, RULE_LATE_IGNORE, RULE_LATE_RETRACT) &&
           encoded_bytes_max(rule) <= RULE_BYTES_MAX;
}
