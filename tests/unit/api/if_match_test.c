/* If-Match and If-None-Match by the grammar of RFC 9110. */
#include "api/if_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct http_field field(const char *name, const char *value)
{
    return (struct http_field){bytes_of_string(name), bytes_of_string(value)};
}

static struct if_match read_fields(const struct http_field *fields, size_t count)
{
    const struct http_request request = {.fields = fields, .field_count = count};
    return if_match_read(&request);
}

/* Of one If-Match. */
static struct condition condition_of(const char *value)
{
    const struct http_field fields[] = {field("Accept", "*"), field("if-MATCH", value)};
    struct if_match read = read_fields(fields, 2);
    assert_null(read.refusal);
    return read.condition;
}

static void without_the_headers_everything_holds(void **state)
{
    (void)state;
    const struct http_field fields[] = {field("If-Modified-Since", "\"1\"")};
    struct if_match read = read_fields(fields, 1);
    assert_null(read.refusal);
    assert_int_equal(read.condition.kind, CONDITION_NONE);
    assert_true(condition_holds(&read.condition, 0));
    assert_true(condition_holds(&read.condition, 7));
}

static void a_star_holds_for_what_is_there(void **state)
{
    (void)state;
    struct condition condition = condition_of("*");
    assert_int_equal(condition.kind, CONDITION_PRESENT);
    assert_false(condition_holds(&condition, 0));
    assert_true(condition_holds(&condition, 1));
    assert_true(condition_holds(&condition, UINT64_MAX));
}

static void a_list_holds_for_each_strong_tag_of_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t there[3];
        uint64_t other;
    } rows[] = {
        {"\"1\"", {1}, 2},
        {"\"18446744073709551615\"", {UINT64_MAX}, 1},
        {"\"1\",\"2\"", {1, 2}, 3},
        {" \"1\" \t,\t \"2\" , \"30\" ", {1, 2, 30}, 3},
        {",, \"1\",,\"2\", ", {1, 2}, 12},
        {"\"2\",\"2\",\"2\"", {2}, 1},
        {"\"a,\\\", \"5\", \"\xe4\", \"\", \"0123456789abcdef\"", {5}, 123456789},
        {"W/\"1\", \"2\"", {2}, 1},
        {"\"1\", W/\"2\"", {1}, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct condition condition = condition_of(rows[i].text);
        for (size_t k = 0; k < 3 && rows[i].there[k] != 0; k++) {
            if (!condition_holds(&condition, rows[i].there[k])) {
                fail_msg("%s: not %llu", rows[i].text, (unsigned long long)rows[i].there[k]);
            }
        }
        assert_false(condition_holds(&condition, rows[i].other));
        assert_false(condition_holds(&condition, 0));
    }
}

static void what_names_no_version_never_holds(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ",",
        "\"\"",
        "\"0\"",
        "\"01\"",
        "\"+1\"",
        "\"-1\"",
        "\" 1\"",
        "\"1 \"",
        "\"1.0\"",
        "\"18446744073709551616\"",
        "\"nonsense\"",
        "W/\"1\"",
        /* What follows is no list. */
        "1",
        "'1'",
        "w/\"1\"",
        "W/ \"1\"",
        "W/",
        "W",
        "\"",
        "\"1",
        "1\"",
        "\"1\" \"2\"",
        "\"1\"\"2\"",
        "\"1\";\"2\"",
        "\"1\", 2",
        "\"1\", *",
        "*, \"1\"",
        "**",
        "* ",
        "\"1\", \"a\x7f\"",
        "\"1\", \"2",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct condition condition = condition_of(texts[i]);
        if (condition.kind != CONDITION_LISTED || condition.count != 0 ||
            condition_holds(&condition, 0) || condition_holds(&condition, 1)) {
            fail_msg("%s names a version", texts[i]);
        }
    }
}

static void several_fields_are_one_list(void **state)
{
    (void)state;
    const struct http_field two[] = {field("If-Match", "\"1\""), field("If-Match", "\"2\",\"3\"")};
    struct if_match read = read_fields(two, 2);
    assert_null(read.refusal);
    assert_int_equal(read.condition.count, 3);
    assert_true(condition_holds(&read.condition, 1));
    assert_true(condition_holds(&read.condition, 3));
    const struct http_field broken[] = {field("If-Match", "\"1\""), field("If-Match", "2")};
    assert_int_equal(read_fields(broken, 2).condition.count, 0);
    const struct http_field star[] = {field("If-Match", "\"1\""), field("If-Match", "*")};
    read = read_fields(star, 2);
    assert_int_equal(read.condition.kind, CONDITION_LISTED);
    assert_int_equal(read.condition.count, 0);
}

static void sixteen_versions_are_kept_and_more_are_refused(void **state)
{
    (void)state;
    char text[512];
    size_t len = 0;
    for (unsigned i = 1; i <= CONDITION_VERSIONS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\"%u\", W/\"99\", \"x%u\",", i, i);
    }
    struct condition condition = condition_of(text);
    assert_int_equal(condition.count, CONDITION_VERSIONS_MAX);
    assert_true(condition_holds(&condition, CONDITION_VERSIONS_MAX));
    (void)snprintf(text + len, sizeof(text) - len, "\"1\"");
    assert_int_equal(condition_of(text).count, CONDITION_VERSIONS_MAX);
    (void)snprintf(text + len, sizeof(text) - len, "\"%d\"", CONDITION_VERSIONS_MAX + 1);
    const struct http_field fields[] = {field("If-Match", text)};
    assert_non_null(read_fields(fields, 1).refusal);
}

static void if_none_match_is_a_star_alone(void **state)
{
    (void)state;
    const struct http_field fields[] = {field("If-None-Match", "*"), field("If-Match", "\"1\"")};
    struct if_match read = read_fields(fields, 1);
    assert_null(read.refusal);
    assert_int_equal(read.condition.kind, CONDITION_ABSENT);
    assert_true(condition_holds(&read.condition, 0));
    assert_false(condition_holds(&read.condition, 1));
    assert_non_null(read_fields(fields, 2).refusal);
    static const char *const bad[] = {"", "\"1\"", "*, *", "\"1\", *"};
    for (size_t i = 0; i < 4; i++) {
        const struct http_field one[] = {field("If-None-Match", bad[i])};
        assert_non_null(read_fields(one, 1).refusal);
    }
    const struct http_field two[] = {field("If-None-Match", "*"), field("If-None-Match", "*")};
    assert_non_null(read_fields(two, 2).refusal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_headers_everything_holds),
        cmocka_unit_test(a_star_holds_for_what_is_there),
        cmocka_unit_test(a_list_holds_for_each_strong_tag_of_it),
        cmocka_unit_test(what_names_no_version_never_holds),
        cmocka_unit_test(several_fields_are_one_list),
        cmocka_unit_test(sixteen_versions_are_kept_and_more_are_refused),
        cmocka_unit_test(if_none_match_is_a_star_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
