/* Byte code: which programs are valid, and what valid ones do. What expressions mean is tested with
 * the language. */
#include "../base/support.h"

#include "model/number.h"
#include "model/program.h"

/* A program of byte constants. */
#define PROGRAM(...)                                                                               \
    bytes_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static struct event sample(void)
{
    static uint8_t room[64];
    struct buf extensions = buf_of(room, sizeof(room));
    buf_put_string(&extensions, BYTES("a"));
    buf_put_string(&extensions, BYTES("\"x\\ny\""));
    buf_put_string(&extensions, BYTES("b"));
    buf_put_string(&extensions, BYTES("false"));
    return (struct event){
        .id = BYTES("1"),
        .source = BYTES("/s"),
        .type = BYTES("t"),
        .extensions = buf_bytes(&extensions),
        .data = BYTES("{\"n\":[1,2.5,{\"\":true}]}"),
        .time = {1000000},
        .arrival = {2000000},
        .flags = EVENT_HAS_EXTENSIONS | EVENT_HAS_DATA,
    };
}

static void assert_result(struct bytes program, const char *json)
{
    static struct program_scratch scratch;
    struct event event = sample();
    uint8_t room[64];
    struct buf out = buf_of(room, sizeof(room));
    assert_true(program_valid(program));
    scratch.used = 0;
    value_put_json(&out, program_eval(program, &event, &scratch));
    assert_bytes(buf_bytes(&out), json);
}

static void constants_push_themselves(void **state)
{
    (void)state;
    assert_result(PROGRAM(OP_NULL), "null");
    assert_result(PROGRAM(OP_TRUE), "true");
    assert_result(PROGRAM(OP_FALSE), "false");
    assert_result(PROGRAM(OP_NUMBER, 0, 0xca, 0x9a, 0x3b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "1");
    assert_result(PROGRAM(OP_NUMBER,
                          0,
                          0x36,
                          0x65,
                          0xc4,
                          0xff,
                          0xff,
                          0xff,
                          0xff,
                          0xff,
                          0xff,
                          0xff,
                          0xff,
                          0xff,
                          0xff,
                          0xff,
                          0xff),
                  "-1");
    assert_result(PROGRAM(OP_DOUBLE, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f), "0.5");
    assert_result(PROGRAM(OP_TEXT, 2, 0, 'h', 'i'), "\"hi\"");
    assert_result(PROGRAM(OP_TEXT, 0, 0), "\"\"");
    assert_result(PROGRAM(OP_TIME, 0, 0, 0, 0, 0, 0, 0, 0), "\"1970-01-01T00:00:00Z\"");
}

static void the_event_is_reached(void **state)
{
    (void)state;
    assert_result(PROGRAM(OP_COLUMN, COLUMN_ID), "\"1\"");
    assert_result(PROGRAM(OP_COLUMN, COLUMN_SUBJECT), "null");
    assert_result(PROGRAM(OP_COLUMN, COLUMN_ARRIVAL_TIME), "\"1970-01-01T00:00:02Z\"");
    assert_result(PROGRAM(OP_EXTENSION, 1, 'a'), "\"x\\ny\"");
    assert_result(PROGRAM(OP_EXTENSION, 1, 'b'), "false");
    assert_result(PROGRAM(OP_EXTENSION, 1, 'c'), "null");
    assert_result(PROGRAM(OP_DATA, 2, 1, 1, 0, 'n', 2, 1, 0, 0, 0), "2.5");
    assert_result(PROGRAM(OP_DATA, 3, 1, 1, 0, 'n', 2, 2, 0, 0, 0, 1, 0, 0), "true");
    assert_result(PROGRAM(OP_COLUMN_EQUALS, COLUMN_TYPE, 1, 0, 't'), "true");
    assert_result(PROGRAM(OP_COLUMN_EQUALS, COLUMN_TYPE, 1, 0, 'u'), "false");
    assert_result(PROGRAM(OP_COLUMN_EQUALS, COLUMN_SUBJECT, 0, 0), "null");
}

static void jumps_skip_what_no_longer_matters(void **state)
{
    (void)state;
    assert_result(PROGRAM(OP_FALSE, OP_JUMP_IF_FALSE, 2, 0, OP_TRUE, OP_AND), "false");
    assert_result(PROGRAM(OP_NULL, OP_JUMP_IF_FALSE, 2, 0, OP_TRUE, OP_AND), "null");
    assert_result(PROGRAM(OP_TRUE, OP_JUMP_UNLESS, 4, 0, OP_NULL, OP_JUMP, 1, 0, OP_FALSE), "null");
    assert_result(PROGRAM(OP_NULL, OP_JUMP_UNLESS, 4, 0, OP_NULL, OP_JUMP, 1, 0, OP_FALSE),
                  "false");
    assert_result(
        PROGRAM(OP_TRUE, OP_FALSE, OP_TRUE, OP_IN_NEXT, 5, 0, OP_NULL, OP_IN_NEXT, 1, 0, OP_IN_END),
        "true");
    assert_result(
        PROGRAM(
            OP_TRUE, OP_FALSE, OP_FALSE, OP_IN_NEXT, 5, 0, OP_NULL, OP_IN_NEXT, 1, 0, OP_IN_END),
        "null");
}

static void programs_that_could_go_wrong_are_not_valid(void **state)
{
    (void)state;
    const struct bytes bad[] = {
        PROGRAM(0x00), /* no op */
        PROGRAM(0xff),
        PROGRAM(OP_TRUE, OP_TRUE), /* two values left */
        PROGRAM(OP_NOT),           /* nothing to take */
        PROGRAM(OP_TRUE, OP_AND),
        PROGRAM(OP_TRUE, OP_POP), /* nothing left */
        PROGRAM(OP_POP, OP_TRUE, OP_TRUE),
        PROGRAM(OP_NUMBER, 1, 2, 3), /* cut short */
        PROGRAM(OP_TEXT, 3, 0, 'h', 'i'),
        PROGRAM(OP_TEXT, 1, 0, 0xff), /* not UTF-8 */
        PROGRAM(OP_COLUMN, 0),
        PROGRAM(OP_COLUMN, COLUMN_ARRIVAL_TIME + 1),
        PROGRAM(OP_COLUMN_EQUALS, COLUMN_TIME, 0, 0), /* not a text column */
        PROGRAM(OP_DATA, PROGRAM_PATH_MAX + 1),
        PROGRAM(OP_DATA, 1, 3, 0, 0, 0, 0),
        PROGRAM(OP_DATA, 1, 1, 9, 0, 'n'),
        PROGRAM(OP_TRUE, OP_CAST, 0),
        PROGRAM(OP_TRUE, OP_CAST, TYPE_TIMESTAMP + 1),
        PROGRAM(OP_TRUE, OP_DATE_TRUNC, UNIT_YEAR + 1),
        PROGRAM(OP_TRUE, OP_CALL, 0, 1), /* no function */
        PROGRAM(OP_TRUE, OP_CALL, FUNCTION_GEOHASH + 1, 1),
        PROGRAM(OP_TRUE, OP_CALL, FUNCTION_GEOHASH, 1),
        PROGRAM(OP_TRUE, OP_TRUE, OP_CALL, FUNCTION_LOWER, 2),
        PROGRAM(OP_TRUE, OP_CALL, FUNCTION_SUBSTR, 1),
        PROGRAM(OP_TRUE, OP_TRUE, OP_LIKE, 0, 0, 0x11, 0),              /* beyond Unicode */
        PROGRAM(OP_TRUE, OP_TRUE, OP_LIKE, 0, 0xd8, 0, 0),              /* a surrogate */
        PROGRAM(OP_DOUBLE, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f),               /* infinite */
        PROGRAM(OP_TRUE, OP_JUMP_IF_TRUE, 9, 0, OP_NOT),                /* beyond the end */
        PROGRAM(OP_TRUE, OP_JUMP_IF_TRUE, 1, 0, OP_TEXT, 0, 0, OP_POP), /* into an operand */
        PROGRAM(OP_TRUE, OP_JUMP_IF_TRUE, 1, 0, OP_TRUE),               /* depths differ there */
        PROGRAM(OP_TRUE, OP_JUMP, 1, 0, OP_NOT, OP_NOT),                /* unreachable */
        PROGRAM(OP_TRUE, OP_FALSE, OP_IN_NEXT, 0, 0),
        PROGRAM(OP_NUMBER, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80), /* -2^127 */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (program_valid(bad[i])) {
            fail_msg("program %zu", i);
        }
    }
    assert_false(program_valid((struct bytes){.data = NULL}));
}

static void the_stack_has_its_limit(void **state)
{
    (void)state;
    uint8_t program[2 * PROGRAM_STACK_MAX + 2];
    for (size_t depth = PROGRAM_STACK_MAX; depth <= PROGRAM_STACK_MAX + 1; depth++) {
        memset(program, OP_TRUE, depth);
        memset(program + depth, OP_AND, depth - 1);
        assert_int_equal(program_valid(bytes_of(program, 2 * depth - 1)),
                         depth == PROGRAM_STACK_MAX);
    }
    memset(program, OP_TRUE, PROGRAM_STACK_MAX);
    memset(program + PROGRAM_STACK_MAX, OP_AND, PROGRAM_STACK_MAX - 1);
    assert_result(bytes_of(program, 2 * PROGRAM_STACK_MAX - 1), "true");
}

static void a_program_has_its_longest_length(void **state)
{
    (void)state;
    static uint8_t program[PROGRAM_BYTES_MAX + 1];
    memset(program, OP_NOT, sizeof(program));
    program[0] = OP_TRUE;
    assert_true(program_valid(bytes_of(program, PROGRAM_BYTES_MAX)));
    assert_false(program_valid(bytes_of(program, PROGRAM_BYTES_MAX + 1)));
    assert_result(bytes_of(program, PROGRAM_BYTES_MAX), "false");
}

static void a_filter_passes_only_on_true(void **state)
{
    (void)state;
    static struct program_scratch scratch;
    struct event event = sample();
    assert_true(program_passes(PROGRAM(OP_TRUE), &event, &scratch));
    assert_false(program_passes(PROGRAM(OP_FALSE), &event, &scratch));
    assert_false(program_passes(PROGRAM(OP_NULL), &event, &scratch));
    assert_false(program_passes(PROGRAM(OP_TEXT, 0, 0), &event, &scratch));
    assert_true(program_passes((struct bytes){.data = NULL}, &event, &scratch));
}

/* As a value, as a key's bytes, as a text and as a condition a program says the same. */
static void
assert_forms_agree(struct bytes program, const struct event *event, struct program_scratch *scratch)
{
    static uint8_t memory[2][1024];
    struct buf wanted = buf_of(memory[0], sizeof(memory[0]));
    struct buf put = buf_of(memory[1], sizeof(memory[1]));
    struct bytes text = {0};
    scratch->used = 0;
    struct value value = program_eval(program, event, scratch);
    value_put(&wanted, value);
    program_put(program, event, scratch, &put);
    assert_true(bytes_equal(buf_bytes(&put), buf_bytes(&wanted)));
    enum program_text given = program_eval_text(program, event, scratch, &text);
    assert_int_equal(given, value.kind == VALUE_NULL ? PROGRAM_TEXT_NULL : PROGRAM_TEXT_GIVEN);
    assert_true(value.kind != VALUE_TEXT || bytes_equal(text, value.text));
    assert_true(program_passes(program, event, scratch) ==
                (value.kind == VALUE_BOOL && value.boolean));
}

/* Whatever is said to be valid runs to its end. Bytes are drawn so that many are. */
static void random_programs_that_are_valid_run_to_their_end(void **state)
{
    (void)state;
    static const uint8_t ops[] = {OP_NULL,
                                  OP_TRUE,
                                  OP_FALSE,
                                  OP_NOT,
                                  OP_NEGATE,
                                  OP_IS_NULL,
                                  OP_ADD,
                                  OP_SUBTRACT,
                                  OP_MULTIPLY,
                                  OP_DIVIDE,
                                  OP_MODULO,
                                  OP_CONCAT,
                                  OP_EQUAL,
                                  OP_LESS,
                                  OP_AND,
                                  OP_OR,
                                  OP_BETWEEN,
                                  OP_DUP,
                                  OP_POP,
                                  OP_JUMP_UNLESS,
                                  OP_JUMP_IF_TRUE,
                                  OP_JUMP,
                                  OP_IN_NEXT,
                                  OP_IN_END,
                                  OP_COLUMN,
                                  OP_TEXT,
                                  OP_CAST,
                                  OP_CALL,
                                  0,
                                  0,
                                  0,
                                  1,
                                  2,
                                  3};
    static struct program_scratch scratch;
    struct event event = sample();
    uint64_t seed = seed_of_run("random programs");
    int valid = 0;
    for (int round = 0; round < 300000; round++) {
        uint8_t program[16];
        size_t len = 1 + random_below(&seed, sizeof(program));
        for (size_t i = 0; i < len; i++) {
            program[i] = ops[random_below(&seed, sizeof(ops))];
        }
        if (program_valid(bytes_of(program, len))) {
            valid += 1;
            scratch.used = 0;
            assert_forms_agree(bytes_of(program, len), &event, &scratch);
        }
    }
    assert_true(valid > 1000);
}

static void results_are_told_as_texts(void **state)
{
    (void)state;
    static struct program_scratch scratch;
    struct event event = sample();
    struct bytes text;
    assert_int_equal(program_eval_text(PROGRAM(OP_COLUMN, COLUMN_TYPE), &event, &scratch, &text),
                     PROGRAM_TEXT_GIVEN);
    assert_bytes(text, "t");
    assert_int_equal(program_eval_text(PROGRAM(OP_TRUE), &event, &scratch, &text),
                     PROGRAM_TEXT_GIVEN);
    assert_bytes(text, "true");
    assert_int_equal(program_eval_text(PROGRAM(OP_COLUMN, COLUMN_SUBJECT), &event, &scratch, &text),
                     PROGRAM_TEXT_NULL);
    scratch.used = sizeof(scratch.data) - 3; /* "true" does not fit */
    assert_int_equal(program_eval_text(PROGRAM(OP_TRUE), &event, &scratch, &text),
                     PROGRAM_TEXT_TOO_LONG);
    assert_int_equal(text.len, 0);
}

static void functions_know_their_arguments(void **state)
{
    (void)state;
    int min = 0;
    int max = 0;
    assert_true(program_function_arguments(FUNCTION_SUBSTR, &min, &max));
    assert_int_equal(min, 2);
    assert_int_equal(max, 3);
    assert_false(program_function_arguments(0, &min, &max));
    assert_false(program_function_arguments(255, &min, &max));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_push_themselves),
        cmocka_unit_test(the_event_is_reached),
        cmocka_unit_test(jumps_skip_what_no_longer_matters),
        cmocka_unit_test(programs_that_could_go_wrong_are_not_valid),
        cmocka_unit_test(the_stack_has_its_limit),
        cmocka_unit_test(a_program_has_its_longest_length),
        cmocka_unit_test(a_filter_passes_only_on_true),
        cmocka_unit_test(random_programs_that_are_valid_run_to_their_end),
        cmocka_unit_test(results_are_told_as_texts),
        cmocka_unit_test(functions_know_their_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
