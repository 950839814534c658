/* The language's bounds: length, depth, counts, memory; and words in random order. */
#include "support.h"

#define FIVE_MINUTES "FROM TUMBLE(events, time, INTERVAL '5 minutes')"

static void a_statement_longer_than_the_limit_is_refused(void **state)
{
    (void)state;
    static char text[DEFINITION_TEXT_MAX + 2];
    memset(text, ' ', sizeof(text) - 1);
    memcpy(text, "SHOW METRICS", 12);
    assert_int_equal(parse_bytes(bytes_of(text, DEFINITION_TEXT_MAX))->err, OK);
    assert_int_equal(parse_bytes(bytes_of(text, DEFINITION_TEXT_MAX + 1))->err, ERR_LIMIT);
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse("SHOW METRICS -- \xff")->err, ERR_UTF8);
}

/* begin + part * count + end, in a static buffer. */
static const char *repeated(const char *begin, const char *part, int count, const char *end)
{
    static char text[DEFINITION_TEXT_MAX + 1];
    struct buf out = buf_of(text, sizeof(text) - 1);
    buf_put_text(&out, begin);
    for (int i = 0; i < count; i++) {
        buf_put_text(&out, part);
    }
    buf_put_text(&out, end);
    assert_false(out.overflow);
    text[out.len] = '\0';
    return text;
}

static void nesting_is_bounded_but_chains_are_not(void **state)
{
    (void)state;
    static const char begin[] = "SELECT count(*) " FIVE_MINUTES " WHERE ";
    assert_int_equal(parse(repeated(begin, "(", 60, "1 = 1"))->err, ERR_SQL);
    assert_int_equal(parse(repeated(begin, "(", 70, "1 = 1"))->err, ERR_LIMIT);
    assert_int_equal(parse(repeated(begin, "NOT ", 60, "1 = 1"))->err, OK);
    assert_int_equal(parse(repeated(begin, "NOT ", 70, "1 = 1"))->err, ERR_LIMIT);
    assert_int_equal(parse(repeated(begin, "- ", 70, "1 = 1"))->err, ERR_LIMIT);
    assert_int_equal(parse(repeated(begin, "CASE WHEN ", 60, "1 = 1"))->err, ERR_SQL);
    assert_int_equal(parse(repeated(begin, "type = 'a' OR ", 400, "1 = 1"))->err, OK);
    assert_int_equal(parse(repeated(begin, "type = 'a' OR ", 1000, "1 = 1"))->err, ERR_LIMIT);
    assert_int_equal(parse(repeated(begin, "1+", 200, "1 = 1"))->err, OK);
    assert_int_equal(parse(repeated(begin, "1+", 6000, "1 = 1"))->err, ERR_LIMIT);
    assert_int_equal(parse(repeated(begin, "1 IS NULL IS NULL AND ", 40, "1 = 1"))->err, OK);
    assert_int_equal(parse(repeated(begin, "1", 1, " IS NULL"))->err, OK);
}

static void a_stack_that_would_not_do_is_refused(void **state)
{
    (void)state;
    static char text[4096];
    struct buf out = buf_of(text, sizeof(text) - 1);
    buf_put_text(&out, "SELECT count(*) " FIVE_MINUTES " WHERE 1 = ");
    for (int i = 0; i < 40; i++) {
        buf_put_text(&out, "1 + (");
    }
    buf_put_text(&out, "1");
    for (int i = 0; i < 40; i++) {
        buf_put_text(&out, ")");
    }
    text[out.len] = '\0';
    assert_int_equal(parse(text)->err, ERR_LIMIT);
}

static void columns_and_sources_are_bounded(void **state)
{
    (void)state;
    static char text[DEFINITION_TEXT_MAX];
    for (int columns = 32; columns <= 33; columns++) {
        struct buf out = buf_of(text, sizeof(text) - 1);
        buf_put_text(&out, "SELECT ");
        for (int i = 0; i < columns; i++) {
            buf_put_text(&out, i == 0 ? "sum(data.a" : ", sum(data.a");
            i64_put(&out, i);
            buf_put_text(&out, ") AS s");
            i64_put(&out, i);
        }
        buf_put_text(&out, " " FIVE_MINUTES);
        text[out.len] = '\0';
        assert_int_equal(parse(text)->err, columns == 32 ? OK : ERR_LIMIT);
    }
    for (int sources = 64; sources <= 65; sources++) {
        struct buf out = buf_of(text, sizeof(text) - 1);
        buf_put_text(&out, "CREATE METRIC a WITH (sources = '/0");
        for (int i = 1; i < sources; i++) {
            buf_put_text(&out, ", /");
            i64_put(&out, i);
        }
        buf_put_text(&out, "') AS SELECT count(*) " FIVE_MINUTES);
        text[out.len] = '\0';
        assert_int_equal(parse(text)->err, sources == 64 ? OK : ERR_LIMIT);
    }
}

static void an_arena_of_any_size_gives_a_statement_or_a_limit(void **state)
{
    (void)state;
    static const char text[] =
        "CREATE METRIC a AS SELECT data.\"a\"\"b\" AS x, count(*) "
        "FILTER (WHERE type = 'it''s') " FIVE_MINUTES " GROUP BY x";
    static uint8_t memory[LANG_ARENA_BYTES];
    static struct statement statement;
    struct error error;
    bool good = false;
    for (size_t size = 0; size < 40000; size += 16) {
        struct arena arena = arena_of(memory, size);
        enum err err = lang_parse(bytes_of_string(text), &arena, &statement, &error);
        assert_true(err == OK || (err == ERR_LIMIT && !good));
        good = err == OK;
    }
    assert_true(good);
}

/* Bytes that resemble statements: never a crash, and what is accepted is a valid definition. */
static void random_words_are_refused_or_good(void **state)
{
    (void)state;
    static const char *const words[] = {"SELECT",
                                        "count(*)",
                                        "sum(",
                                        "data",
                                        ".a",
                                        "[0]",
                                        "(",
                                        ")",
                                        ",",
                                        "FROM",
                                        FIVE_MINUTES,
                                        FIVE_MINUTES,
                                        "WHERE",
                                        "GROUP BY",
                                        "type",
                                        "=",
                                        "'x'",
                                        "1",
                                        "AND",
                                        "OR",
                                        "NOT",
                                        "IN",
                                        "BETWEEN",
                                        "LIKE",
                                        "CASE",
                                        "WHEN",
                                        "THEN",
                                        "ELSE",
                                        "END",
                                        "NULL",
                                        "IS",
                                        "AS",
                                        "n",
                                        "time",
                                        "-",
                                        "+",
                                        "*",
                                        "||",
                                        "CAST(",
                                        "AS TEXT)",
                                        "coalesce(",
                                        "EMIT ON UPDATE",
                                        ";",
                                        "\"q\"",
                                        "INTERVAL '1 day'",
                                        "FILTER (WHERE",
                                        "abs(",
                                        "date_trunc('day',",
                                        "1.5e3",
                                        "<",
                                        ">="};
    uint64_t seed = seed_of_run("random_words");
    int good = 0;
    for (int round = 0; round < 20000; round++) {
        char text[1024];
        struct buf out = buf_of(text, sizeof(text));
        buf_put_text(&out, round % 2 == 0 ? "SELECT count(*) " FIVE_MINUTES " WHERE " : "SELECT ");
        uint64_t count = random_below(&seed, 12);
        for (uint64_t i = 0; i < count; i++) {
            buf_put_text(&out, words[random_below(&seed, sizeof(words) / sizeof(words[0]))]);
            buf_put_text(&out, " ");
        }
        struct parsed *parsed = parse_bytes(buf_bytes(&out));
        if (parsed->err == OK) {
            good += 1;
            parsed->statement.definition.name = BYTES("a");
            assert_true(definition_valid(&parsed->statement.definition));
        }
    }
    assert_true(good > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_longer_than_the_limit_is_refused),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(nesting_is_bounded_but_chains_are_not),
        cmocka_unit_test(a_stack_that_would_not_do_is_refused),
        cmocka_unit_test(columns_and_sources_are_bounded),
        cmocka_unit_test(an_arena_of_any_size_gives_a_statement_or_a_limit),
        cmocka_unit_test(random_words_are_refused_or_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
