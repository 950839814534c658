#include "../base/support.h"

#include "model/program.h"
#include "model/rule.h"

static const uint8_t column_program[] = {OP_COLUMN, COLUMN_SUBJECT};
static const uint8_t true_program[] = {OP_TRUE};
static const uint8_t null_program[] = {OP_NULL};
static const uint8_t broken_program[] = {OP_ADD};

#define COLUMN_PROGRAM bytes_of(column_program, sizeof(column_program))
#define TRUE_PROGRAM   bytes_of(true_program, sizeof(true_program))
#define NULL_PROGRAM   bytes_of(null_program, sizeof(null_program))
#define BROKEN_PROGRAM bytes_of(broken_program, sizeof(broken_program))

/* A timeout with all that one can have. */
static struct rule *sample(void)
{
    static struct rule rule;
    memset(&rule, 0, sizeof(rule));
    rule.kind = RULE_TIMEOUT;
    rule.name = BYTES("overdue");
    rule.text = BYTES("CREATE ...");
    rule.after = TRUE_PROGRAM;
    rule.expect = NULL_PROGRAM;
    rule.heartbeat = COLUMN_PROGRAM;
    rule.cancel = TRUE_PROGRAM;
    rule.key = COLUMN_PROGRAM;
    rule.within_us = 8 * US_PER_HOUR;
    rule.grace_us = US_PER_MINUTE;
    rule.clock = TIMEOUT_BY_EVENTS;
    rule.late = RULE_LATE_RETRACT;
    rule.source_count = 2;
    rule.sources[0] = BYTES("/a");
    rule.sources[1] = BYTES("/b");
    return &rule;
}

static struct rule *sample_silence(void)
{
    struct rule *rule = sample();
    rule->kind = RULE_SILENCE;
    rule->after = rule->heartbeat = rule->cancel = (struct bytes){0};
    rule->late = RULE_LATE_IGNORE;
    return rule;
}

static struct bytes encode(const struct rule *rule)
{
    static uint8_t room[RULE_BYTES_MAX];
    struct buf out = buf_of(room, sizeof(room));
    rule_put(&out, rule);
    assert_false(out.overflow);
    return buf_bytes(&out);
}

static void a_timeout_reads_back_as_it_was(void **state)
{
    (void)state;
    struct rule back;
    const struct rule *rule = sample();
    assert_true(rule_valid(rule));
    assert_true(rule_read(encode(rule), &back));
    assert_int_equal(back.kind, RULE_TIMEOUT);
    assert_bytes(back.name, "overdue");
    assert_bytes(back.text, "CREATE ...");
    assert_true(bytes_equal(back.after, rule->after));
    assert_true(bytes_equal(back.expect, rule->expect));
    assert_true(bytes_equal(back.heartbeat, rule->heartbeat));
    assert_true(bytes_equal(back.cancel, rule->cancel));
    assert_true(bytes_equal(back.key, rule->key));
    assert_int_equal(back.within.len, 0);
    assert_int_equal(back.within_us, 8 * US_PER_HOUR);
    assert_int_equal(back.grace_us, US_PER_MINUTE);
    assert_int_equal(back.clock, TIMEOUT_BY_EVENTS);
    assert_int_equal(back.late, RULE_LATE_RETRACT);
    assert_int_equal(back.source_count, 2);
    assert_bytes(back.sources[0], "/a");
    assert_bytes(back.sources[1], "/b");
}

static void a_silence_and_a_computed_span_read_back(void **state)
{
    (void)state;
    struct rule back;
    assert_true(rule_read(encode(sample_silence()), &back));
    assert_int_equal(back.kind, RULE_SILENCE);
    assert_int_equal(back.after.len, 0);
    struct rule *rule = sample();
    rule->within = COLUMN_PROGRAM;
    rule->within_us = 0;
    assert_true(rule_read(encode(rule), &back));
    assert_true(bytes_equal(back.within, rule->within));
    assert_int_equal(back.within_us, 0);
}

static void the_first_version_keeps_its_bytes(void **state)
{
    (void)state;
    /* clang-format off */
    static const uint8_t expected[] = {
        1, 2,                             /* version, kind */
        1, 'q', 1, 't',                   /* name, text */
        0, 1, OP_TRUE, 0, 0,              /* after, expect, heartbeat, cancel */
        2, OP_COLUMN, COLUMN_SUBJECT, 0,  /* key, within */
        0xe8, 0x07, 5,                    /* 1 ms, grace */
        1, 0, 1,                          /* clock, late, sources */
        2, '/', 'a',
    };
    /* clang-format on */
    const struct rule rule = {
        .kind = RULE_SILENCE,
        .name = BYTES("q"),
        .text = BYTES("t"),
        .expect = TRUE_PROGRAM,
        .key = COLUMN_PROGRAM,
        .within_us = 1000,
        .grace_us = 5,
        .clock = TIMEOUT_BY_EVENTS,
        .source_count = 1,
        .sources = {BYTES("/a")},
    };
    assert_true(bytes_equal(encode(&rule), bytes_of(expected, sizeof(expected))));
}

static void ranges_hold(void **state)
{
    (void)state;
    static const struct {
        int64_t within_us;
        int64_t grace_us;
        bool valid;
    } cases[] = {
        {RULE_SPAN_MIN_US, 0, true},
        {RULE_SPAN_MAX_US, RULE_GRACE_MAX_US, true},
        {RULE_SPAN_MIN_US - 1, 0, false},
        {RULE_SPAN_MAX_US + 1, 0, false},
        {0, 0, false},
        {-1, 0, false},
        {INT64_MIN, 0, false},
        {1000, -1, false},
        {1000, RULE_GRACE_MAX_US + 1, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rule *rule = i % 2 == 0 ? sample() : sample_silence();
        rule->within_us = cases[i].within_us;
        rule->grace_us = cases[i].grace_us;
        assert_int_equal(rule_valid(rule), cases[i].valid);
    }
}

static void what_a_rule_must_have_is_needed(void **state)
{
    (void)state;
    struct rule *rule = sample();
    rule->after = (struct bytes){0};
    assert_false(rule_valid(rule));
    rule = sample();
    rule->expect = (struct bytes){0};
    assert_false(rule_valid(rule));
    rule = sample();
    rule->key = (struct bytes){0};
    assert_false(rule_valid(rule));
    rule = sample();
    rule->name = BYTES("No");
    assert_false(rule_valid(rule));
    rule = sample();
    rule->sources[1] = (struct bytes){0};
    assert_false(rule_valid(rule));
    rule = sample();
    rule->kind = (enum rule_kind)0;
    assert_false(rule_valid(rule));
    rule = sample();
    rule->kind = (enum rule_kind)3;
    assert_false(rule_valid(rule));
    rule = sample();
    rule->late = (enum rule_late)2;
    assert_false(rule_valid(rule));
    rule = sample();
    rule->clock = (enum timeout_clock)2;
    assert_false(rule_valid(rule));
    rule = sample();
    rule->source_count = DEFINITION_SOURCES_MAX + 1;
    assert_false(rule_valid(rule));
    rule = sample();
    rule->within = TRUE_PROGRAM; /* beside within_us */
    assert_false(rule_valid(rule));
}

static void a_silence_has_no_parts_of_a_timeout(void **state)
{
    (void)state;
    assert_true(rule_valid(sample_silence()));
    struct rule *rule = sample_silence();
    rule->after = TRUE_PROGRAM;
    assert_false(rule_valid(rule));
    rule = sample_silence();
    rule->heartbeat = TRUE_PROGRAM;
    assert_false(rule_valid(rule));
    rule = sample_silence();
    rule->cancel = TRUE_PROGRAM;
    assert_false(rule_valid(rule));
    rule = sample_silence();
    rule->within = TRUE_PROGRAM;
    rule->within_us = 0;
    assert_false(rule_valid(rule));
    rule = sample_silence();
    rule->late = RULE_LATE_RETRACT;
    assert_false(rule_valid(rule));
}

static void a_broken_program_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    for (int place = 0; place < 6; place++) {
        struct rule *rule = sample();
        struct bytes *programs[] = {&rule->after,
                                    &rule->expect,
                                    &rule->heartbeat,
                                    &rule->cancel,
                                    &rule->key,
                                    &rule->within};
        rule->within = COLUMN_PROGRAM;
        rule->within_us = 0;
        assert_true(rule_valid(rule));
        *programs[place] = BROKEN_PROGRAM;
        assert_false(rule_valid(rule));
    }
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    static uint8_t large[RULE_BYTES_MAX];
    struct rule back;
    memset(large, 'x', sizeof(large));
    struct rule *rule = sample();
    rule->text = bytes_of(large, DEFINITION_TEXT_MAX);
    assert_true(rule_read(encode(rule), &back));
    rule->text.len += 1;
    assert_false(rule_valid(rule));
    rule = sample();
    for (int i = 0; i < DEFINITION_SOURCES_MAX; i++) {
        rule->sources[i] = bytes_of(large, 1013);
    }
    rule->source_count = DEFINITION_SOURCES_MAX;
    assert_false(rule_valid(rule));
    rule->source_count = DEFINITION_SOURCES_MAX - 1;
    assert_true(rule_read(encode(rule), &back));
    assert_int_equal(back.source_count, DEFINITION_SOURCES_MAX - 1);
}

static void broken_bytes_are_refused(void **state)
{
    (void)state;
    static uint8_t changed[512];
    struct rule back;
    struct bytes good = encode(sample());
    assert_true(good.len + 1 < sizeof(changed));
    for (size_t len = 0; len < good.len; len++) {
        assert_false(rule_read(bytes_slice(good, 0, len), &back));
    }
    memcpy(changed, good.data, good.len);
    changed[good.len] = 0;
    assert_false(rule_read(bytes_of(changed, good.len + 1), &back));
    static const uint8_t versions[] = {0, 2, 255};
    for (size_t i = 0; i < sizeof(versions); i++) {
        changed[0] = versions[i];
        assert_false(rule_read(bytes_of(changed, good.len), &back));
    }
}

/* Whatever is read is valid, and is written as the bytes that it was read from. */
static void every_changed_byte_is_refused_or_read_for_what_it_is(void **state)
{
    (void)state;
    static uint8_t changed[512];
    static uint8_t again[512];
    struct rule back;
    struct bytes good = encode(sample());
    uint32_t accepted = 0;
    memcpy(changed, good.data, good.len);
    for (size_t at = 0; at < good.len; at++) {
        for (uint32_t value = 0; value < 256; value++) {
            changed[at] = (uint8_t)value;
            if (rule_read(bytes_of(changed, good.len), &back)) {
                struct buf out = buf_of(again, sizeof(again));
                rule_put(&out, &back);
                assert_memory_equal(again, changed, good.len);
                accepted++;
            }
        }
        changed[at] = good.data[at];
    }
    assert_true(accepted > good.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_reads_back_as_it_was),
        cmocka_unit_test(a_silence_and_a_computed_span_read_back),
        cmocka_unit_test(the_first_version_keeps_its_bytes),
        cmocka_unit_test(ranges_hold),
        cmocka_unit_test(what_a_rule_must_have_is_needed),
        cmocka_unit_test(a_silence_has_no_parts_of_a_timeout),
        cmocka_unit_test(a_broken_program_is_refused_wherever_it_stands),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(broken_bytes_are_refused),
        cmocka_unit_test(every_changed_byte_is_refused_or_read_for_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
