#include "support.h"

#include "base/json.h"

static const char document[] =
    " {\"a\":{\"b\":[10,{\"c\":\"deep\"},30]},\"x\":1,\"x\":2,\"\":\"empty\","
    "\"caf\\u00e9\":true,\"q\\\"\":null,\"[0]\":[[]]} ";

static struct json_step named(const char *name)
{
    return (struct json_step){.name = bytes_of_string(name)};
}

static struct json_step indexed(uint32_t index)
{
    return (struct json_step){.index = index};
}

static void assert_found(const struct json_step *steps, size_t count, const char *expected)
{
    struct json_value value = {.kind = JSON_NULL};
    bool found = json_find(BYTES(document), steps, count, &value);
    assert_int_equal(found, expected != NULL);
    if (found && expected != NULL) {
        assert_bytes(value.text, expected);
    }
}

static void a_path_of_names_and_indexes_is_followed(void **state)
{
    (void)state;
    assert_found(
        (struct json_step[]){named("a"), named("b"), indexed(1), named("c")}, 4, "\"deep\"");
    assert_found((struct json_step[]){named("a"), named("b"), indexed(0)}, 3, "10");
    assert_found((struct json_step[]){named("a"), named("b"), indexed(2)}, 3, "30");
    assert_found((struct json_step[]){named("[0]"), indexed(0)}, 2, "[]");
}

static void the_empty_path_is_the_whole_value(void **state)
{
    (void)state;
    struct json_value value;
    assert_true(json_find(BYTES(" [1] "), NULL, 0, &value));
    assert_bytes(value.text, "[1]");
}

static void of_equal_names_the_last_counts(void **state)
{
    (void)state;
    assert_found((struct json_step[]){named("x")}, 1, "2");
}

static void names_are_compared_without_their_escapes(void **state)
{
    (void)state;
    assert_found((struct json_step[]){named("caf\xc3\xa9")}, 1, "true");
    assert_found((struct json_step[]){named("q\"")}, 1, "null");
    assert_found((struct json_step[]){named("")}, 1, "\"empty\"");
    assert_found((struct json_step[]){named("caf\\u00e9")}, 1, NULL);
    assert_found((struct json_step[]){named("caf")}, 1, NULL);
    assert_found((struct json_step[]){named("caf\xc3\xa9s")}, 1, NULL);
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    assert_found((struct json_step[]){named("nothing")}, 1, NULL);
    assert_found((struct json_step[]){indexed(0)}, 1, NULL);
    assert_found((struct json_step[]){named("a"), named("b"), indexed(3)}, 3, NULL);
    assert_found((struct json_step[]){named("a"), named("b"), named("c")}, 3, NULL);
    assert_found((struct json_step[]){named("x"), named("y")}, 2, NULL);
    assert_found((struct json_step[]){named("[0]"), indexed(0), indexed(0)}, 3, NULL);
}

static void broken_text_finds_nothing(void **state)
{
    (void)state;
    struct json_value value;
    struct json_step step = named("a");
    assert_false(json_find(BYTES("{\"a\":1,"), &step, 1, &value));
    assert_false(json_find(BYTES("{\"a\":"), &step, 1, &value));
    assert_false(json_find((struct bytes){0}, &step, 1, &value));
    assert_false(json_find((struct bytes){0}, NULL, 0, &value));
    step = indexed(1);
    assert_false(json_find(BYTES("[1,"), &step, 1, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_of_names_and_indexes_is_followed),
        cmocka_unit_test(the_empty_path_is_the_whole_value),
        cmocka_unit_test(of_equal_names_the_last_counts),
        cmocka_unit_test(names_are_compared_without_their_escapes),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(broken_text_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
