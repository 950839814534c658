#include "../base/support.h"

#include "base/text.h"
#include "model/definition.h"
#include "model/program.h"

static const uint8_t column_program[] = {OP_COLUMN, COLUMN_TYPE};
static const uint8_t true_program[] = {OP_TRUE};

static struct bytes program_of_column(void)
{
    return bytes_of(column_program, sizeof(column_program));
}

static struct definition *sample(void)
{
    static struct definition definition;
    memset(&definition, 0, sizeof(definition));
    definition.name = BYTES("arrivals");
    definition.text = BYTES("SELECT ...");
    definition.filter = bytes_of(true_program, sizeof(true_program));
    definition.window_us = 7 * US_PER_DAY;
    definition.origin_us = 4 * US_PER_DAY;
    definition.lateness_us = 10 * US_PER_MINUTE;
    definition.retain_us = 30 * US_PER_DAY;
    definition.emit = EMIT_EVERY;
    definition.emit_every_us = US_PER_SECOND;
    definition.groups_max = 1000;
    definition.group_count = 1;
    definition.groups[0] = program_of_column();
    definition.aggregate_count = 2;
    definition.aggregates[0].kind = AGGREGATE_COUNT_ALL;
    definition.aggregates[0].filter = bytes_of(true_program, sizeof(true_program));
    definition.aggregates[1].kind = AGGREGATE_MAX;
    definition.aggregates[1].argument = program_of_column();
    definition.column_count = 3;
    definition.columns[0] = (struct output_column){.name = BYTES("type"), .is_group = true};
    definition.columns[1] = (struct output_column){.name = BYTES("n"), .index = 0};
    definition.columns[2] = (struct output_column){.name = BYTES("last"), .index = 1};
    definition.source_count = 2;
    definition.sources[0] = BYTES("/a");
    definition.sources[1] = BYTES("/b");
    return &definition;
}

static struct bytes encode(const struct definition *definition)
{
    static uint8_t room[DEFINITION_BYTES_MAX];
    struct buf out = buf_of(room, sizeof(room));
    definition_put(&out, definition);
    assert_false(out.overflow);
    return buf_bytes(&out);
}

static void a_definition_reads_back_as_it_was(void **state)
{
    (void)state;
    static struct definition back;
    const struct definition *definition = sample();
    assert_true(definition_valid(definition));
    assert_true(definition_read(encode(definition), &back));
    assert_bytes(back.name, "arrivals");
    assert_bytes(back.text, "SELECT ...");
    assert_true(bytes_equal(back.filter, definition->filter));
    assert_int_equal(back.window_us, definition->window_us);
    assert_int_equal(back.origin_us, definition->origin_us);
    assert_int_equal(back.lateness_us, definition->lateness_us);
    assert_int_equal(back.retain_us, definition->retain_us);
    assert_int_equal(back.emit, EMIT_EVERY);
    assert_int_equal(back.emit_every_us, US_PER_SECOND);
    assert_int_equal(back.groups_max, 1000);
    assert_int_equal(back.group_count, 1);
    assert_true(bytes_equal(back.groups[0], program_of_column()));
    assert_int_equal(back.aggregate_count, 2);
    assert_int_equal(back.aggregates[0].kind, AGGREGATE_COUNT_ALL);
    assert_int_equal(back.aggregates[0].argument.len, 0);
    assert_int_equal(back.aggregates[0].filter.len, 1);
    assert_int_equal(back.aggregates[1].kind, AGGREGATE_MAX);
    assert_int_equal(back.column_count, 3);
    assert_true(back.columns[0].is_group);
    assert_bytes(back.columns[2].name, "last");
    assert_int_equal(back.columns[2].index, 1);
    assert_int_equal(back.source_count, 2);
    assert_bytes(back.sources[1], "/b");
}

static void the_first_version_keeps_its_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        1,
        1,
        'm',
        1,
        't',
        0, /* version, name, text, filter */
        0xe8,
        0x07,
        0,
        0,
        0xc0,
        0x84,
        0x3d, /* 1 ms, origin, lateness, 1 s */
        0,
        0,
        5,
        0,
        0,
        0, /* emit, every, groups_max */
        1,
        1,
        2,
        1, /* counts */
        2,
        OP_COLUMN,
        COLUMN_TYPE, /* the group */
        AGGREGATE_RATE,
        0,
        1,
        OP_TRUE, /* the aggregate */
        1,
        'a',
        1,
        0,
        1,
        'b',
        0,
        0, /* columns */
        2,
        '/',
        's', /* sources */
    };
    struct definition *definition = sample();
    memset(definition, 0, sizeof(*definition));
    definition->name = BYTES("m");
    definition->text = BYTES("t");
    definition->window_us = 1000;
    definition->retain_us = US_PER_SECOND;
    definition->groups_max = 5;
    definition->group_count = 1;
    definition->groups[0] = program_of_column();
    definition->aggregate_count = 1;
    definition->aggregates[0].kind = AGGREGATE_RATE;
    definition->aggregates[0].filter = bytes_of(true_program, sizeof(true_program));
    definition->column_count = 2;
    definition->columns[0] = (struct output_column){.name = BYTES("a"), .is_group = true};
    definition->columns[1] = (struct output_column){.name = BYTES("b")};
    definition->source_count = 1;
    definition->sources[0] = BYTES("/s");
    struct bytes encoded = encode(definition);
    assert_int_equal(encoded.len, sizeof(expected));
    assert_memory_equal(encoded.data, expected, sizeof(expected));
}

static void bytes_cut_short_or_too_long_are_refused(void **state)
{
    (void)state;
    static struct definition back;
    static uint8_t copy[1024];
    struct bytes encoded = encode(sample());
    for (size_t len = 0; len < encoded.len; len++) {
        assert_false(definition_read(bytes_slice(encoded, 0, len), &back));
    }
    memcpy(copy, encoded.data, encoded.len);
    copy[encoded.len] = 0;
    assert_false(definition_read(bytes_of(copy, encoded.len + 1), &back));
    copy[0] = 2; /* another version */
    assert_false(definition_read(bytes_of(copy, encoded.len), &back));
}

/* Any change of a byte is refused, or gives a definition that is valid as well. */
static void changed_bytes_never_give_an_invalid_definition(void **state)
{
    (void)state;
    static struct definition back;
    static uint8_t copy[1024];
    struct bytes encoded = encode(sample());
    for (size_t i = 0; i < encoded.len; i++) {
        for (int value = 0; value < 256; value++) {
            memcpy(copy, encoded.data, encoded.len);
            copy[i] = (uint8_t)value;
            if (definition_read(bytes_of(copy, encoded.len), &back)) {
                assert_true(definition_valid(&back));
            }
        }
    }
}

/* Each breaks one rule of a valid definition. */
static void break_rule(struct definition *d, int rule)
{
    switch (rule) {
    case 0:
        d->name = BYTES("Upper");
        break;
    case 1:
        d->name = BYTES("");
        break;
    case 2:
        d->window_us = 999;
        break;
    case 3:
        d->window_us = DEFINITION_WINDOW_MAX_US + 1;
        break;
    case 4:
        d->origin_us = d->window_us;
        break;
    case 5:
        d->origin_us = -1;
        break;
    case 6:
        d->lateness_us = -1;
        break;
    case 7:
        d->lateness_us = DEFINITION_LATENESS_MAX_US + 1;
        break;
    case 8:
        d->retain_us = 0;
        break;
    case 9:
        d->emit = (enum emit_kind)3;
        break;
    case 10:
        d->emit_every_us = 0;
        break;
    case 11:
        d->emit = EMIT_ON_UPDATE;
        break; /* keeps its interval */
    case 12:
        d->groups_max = 0;
        break;
    case 13:
        d->group_count = DEFINITION_COLUMNS_MAX + 1;
        break;
    case 14:
        d->groups[0] = BYTES("\xff");
        break;
    case 15:
        d->filter = BYTES("\xff");
        break;
    case 16:
        d->aggregates[0].kind = (enum aggregate_kind)0;
        break;
    case 17:
        d->aggregates[0].kind = (enum aggregate_kind)8;
        break;
    case 18:
        d->aggregates[0].argument = program_of_column();
        break;
    case 19:
        d->aggregates[1].argument = BYTES("");
        break;
    case 20:
        d->aggregates[1].filter = BYTES("\xff");
        break;
    case 21:
        d->columns[0].index = 1;
        break;
    case 22:
        d->columns[1].index = 2;
        break;
    case 23:
        d->columns[1].name = d->columns[0].name;
        break;
    case 24:
        d->columns[1].name = BYTES("");
        break;
    case 25:
        d->column_count = 0;
        break;
    case 26:
        d->sources[1] = BYTES("");
        break;
    case 27:
        d->source_count = DEFINITION_SOURCES_MAX + 1;
        break;
    default:
        d->text.len = DEFINITION_TEXT_MAX + 1;
        break;
    }
}

static void every_broken_rule_makes_it_invalid(void **state)
{
    (void)state;
    static uint8_t text[DEFINITION_TEXT_MAX + 1];
    for (int rule = 0; rule <= 28; rule++) {
        struct definition *definition = sample();
        definition->text.data = text;
        assert_true(definition_valid(definition));
        break_rule(definition, rule);
        if (definition_valid(definition)) {
            fail_msg("rule %d", rule);
        }
    }
}

static void a_definition_larger_than_the_limit_is_invalid(void **state)
{
    (void)state;
    static uint8_t program[PROGRAM_BYTES_MAX];
    struct definition *definition = sample();
    memset(program, OP_NOT, sizeof(program));
    program[0] = OP_TRUE;
    definition->group_count = 9;
    for (int i = 0; i < 9; i++) {
        definition->groups[i] = bytes_of(program, sizeof(program) - (size_t)i);
    }
    assert_false(definition_valid(definition));
    definition->group_count = 7;
    assert_true(definition_valid(definition));
    static struct definition back;
    assert_true(definition_read(encode(definition), &back));
}

static void names_are_lower_case_identifiers(void **state)
{
    (void)state;
    assert_true(definition_name_valid(BYTES("a")));
    assert_true(definition_name_valid(BYTES("_a9")));
    assert_true(
        definition_name_valid(BYTES("a23456789012345678901234567890123456789012345678901234"
                                    "567890abcd")));
    assert_false(
        definition_name_valid(BYTES("a23456789012345678901234567890123456789012345678901234"
                                    "567890abcde")));
    assert_false(definition_name_valid(BYTES("")));
    assert_false(definition_name_valid(BYTES("9a")));
    assert_false(definition_name_valid(BYTES("A")));
    assert_false(definition_name_valid(BYTES("a-b")));
}

static void windows_start_at_their_origin(void **state)
{
    (void)state;
    struct definition definition = {.window_us = 60, .origin_us = 0};
    assert_int_equal(definition_window_start(&definition, (struct event_time){0}), 0);
    assert_int_equal(definition_window_start(&definition, (struct event_time){59}), 0);
    assert_int_equal(definition_window_start(&definition, (struct event_time){60}), 60);
    assert_int_equal(definition_window_start(&definition, (struct event_time){-1}), -60);
    definition.origin_us = 10;
    assert_int_equal(definition_window_start(&definition, (struct event_time){9}), -50);
    assert_int_equal(definition_window_start(&definition, (struct event_time){10}), 10);
    assert_int_equal(definition_window_start(&definition, (struct event_time){TIMESTAMP_MIN_US}) <=
                         TIMESTAMP_MIN_US,
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_definition_reads_back_as_it_was),
        cmocka_unit_test(the_first_version_keeps_its_bytes),
        cmocka_unit_test(bytes_cut_short_or_too_long_are_refused),
        cmocka_unit_test(changed_bytes_never_give_an_invalid_definition),
        cmocka_unit_test(every_broken_rule_makes_it_invalid),
        cmocka_unit_test(a_definition_larger_than_the_limit_is_invalid),
        cmocka_unit_test(names_are_lower_case_identifiers),
        cmocka_unit_test(windows_start_at_their_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
