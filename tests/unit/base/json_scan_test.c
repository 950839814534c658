#include "support.h"

#include "base/json.h"

/* The whole text is one value and nothing else. */
static enum err scan(struct bytes text, struct json_value *value)
{
    struct json_scanner s = json_scanner_of(text);
    enum err err = json_value(&s, value);
    return err != OK ? err : json_end(&s);
}

/* Scans from memory that ends with the text, so that the sanitizer sees a read too far. */
static enum err scan_exact(struct bytes text)
{
    uint8_t *copy = test_malloc(text.len + 1);
    memcpy(copy + 1, text.data, text.len);
    struct json_value value;
    enum err err = scan(bytes_of(copy + 1, text.len), &value);
    test_free(copy);
    return err;
}

static void assert_scans(const char *text, enum err expected)
{
    enum err err = scan_exact(bytes_of_string(text));
    if (err != expected) {
        fail_msg("%s for %s instead of %s", err_name(err), text, err_name(expected));
    }
}

static void valid_texts_are_accepted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        " \t\r\n0 ",
        "-0",
        "12",
        "1.5",
        "-1.25e+10",
        "1E5",
        "1e-400",
        "0e0",
        "\"\"",
        "\"a\"",
        "\"0123456789abcdef0123456789abcdef\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1,2]",
        "[ 1 , [ ] , { } ]",
        "{\"a\":1}",
        "{ \"a\" : { \"b\" : [ 1 , { } ] } , \"c\" : null }",
        "{\"\":\"\"}",
        "{\"a\":1,\"a\":2}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uFfFf\"",
        "\"\\ud83d\\ude00\"",
        "\"\\uD800\\uDC00 \\uDBFF\\uDFFF\"",
        "\"\x7f\"",
        "\"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf\"",
        "\"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_scans(texts[i], OK);
    }
}

static void broken_grammar_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "tru",
        "fals",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "1 2",
        "0x10",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"",
        "\"abc",
        "\"\\\"",
        "\"\\",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u123",
        "\"\\u123g\"",
        "\"\\u 123\"",
        "\"\\ud83d\\u12\"",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"0123456789abcdef\x1f\"",
        "'a'",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[,]",
        "[1 2]",
        "[1}",
        "]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{\"a\",1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "[{\"a\":1],2}",
        "{}{}",
        "[] ]",
        "// comment\n1",
        "[1/**/]",
        "\xef\xbb\xbf{}",
        "\v1",
        "\f1",
        "\xc2\xa0 1",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_scans(texts[i], ERR_JSON);
    }
    assert_int_equal(scan_exact(BYTES("\"a\0b\"")), ERR_JSON);
    assert_int_equal(scan_exact(BYTES("1\0")), ERR_JSON);
}

static void broken_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"\x80\"",
        "\"\xbf\"",
        "\"\xc0\x80\"",
        "\"\xc1\xbf\"",
        "\"\xc2\"",
        "\"\xc2 \"",
        "\"\xe0\x80\x80\"",
        "\"\xe0\x9f\xbf\"",
        "\"\xe2\x82\"",
        "\"\xed\xa0\x80\"",
        "\"\xed\xbf\xbf\"",
        "\"\xf0\x80\x80\x80\"",
        "\"\xf0\x90\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\xff\"",
        "\"\xfe\"",
        "\"\xc2",
        "{\"\xff\":1}",
        "[\"\xf0\x9f\x98",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_scans(texts[i], ERR_UTF8);
    }
}

static void lone_surrogates_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\udfff\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\n\"",
        "\"\\ud83d\\ud83d\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ude00\\ud83d\"",
        "{\"\\uDBFF\":1}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_scans(texts[i], ERR_UTF8);
    }
}

/* `depth` times open, then inner, then `depth` times close, as a string. */
static void nest(char *text, size_t depth, const char *open, const char *inner, const char *close)
{
    struct buf out = buf_of(text, 1023);
    for (size_t i = 0; i < depth; i++) {
        buf_put_text(&out, open);
    }
    buf_put_text(&out, inner);
    for (size_t i = 0; i < depth; i++) {
        buf_put_text(&out, close);
    }
    assert_false(out.overflow);
    text[out.len] = '\0';
}

static void sixty_four_levels_are_fine_and_one_more_is_too_deep(void **state)
{
    (void)state;
    char text[1024];
    nest(text, 64, "[", "", "]");
    assert_scans(text, OK);
    nest(text, 64, "[", "1", "]");
    assert_scans(text, OK);
    nest(text, 65, "[", "", "]");
    assert_scans(text, ERR_DEPTH);
    nest(text, 64, "{\"a\":", "1", "}");
    assert_scans(text, OK);
    nest(text, 65, "{\"a\":", "1", "}");
    assert_scans(text, ERR_DEPTH);
    nest(text, 32, "[{\"a\":", "1", "}]");
    assert_scans(text, OK);
    nest(text, 32, "[{\"a\":", "[]", "}]");
    assert_scans(text, ERR_DEPTH);
    nest(text, 64, "[{\"a\":", "", "");
    assert_scans(text, ERR_DEPTH);
    nest(text, 64, "[", "1", "}");
    assert_scans(text, ERR_JSON);
}

static void the_depth_also_counts_what_was_entered_by_hand(void **state)
{
    (void)state;
    char text[1024];
    for (size_t depth = 64; depth <= 65; depth++) {
        nest(text, depth, "[", "1", "]");
        struct json_scanner s = json_scanner_of(bytes_of_string(text));
        bool more = false;
        for (int i = 0; i < 10; i++) {
            assert_int_equal(json_array_begin(&s), OK);
            assert_int_equal(json_array_next(&s, &more), OK);
            assert_true(more);
        }
        struct json_value value;
        assert_int_equal(json_value(&s, &value), depth == 64 ? OK : ERR_DEPTH);
    }
    nest(text, 65, "[", "1", "]");
    struct json_scanner s = json_scanner_of(bytes_of_string(text));
    for (int i = 0; i < 64; i++) {
        assert_int_equal(json_array_begin(&s), OK);
    }
    assert_int_equal(json_array_begin(&s), ERR_DEPTH);
    assert_int_equal(s.depth, 64);
}

static void a_value_tells_its_kind_its_text_and_its_content(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        enum json_kind kind;
        const char *text;
        const char *content;
        bool escaped;
    } rows[] = {
        {" null ", JSON_NULL, "null", "", false},
        {"true", JSON_TRUE, "true", "", false},
        {"false", JSON_FALSE, "false", "", false},
        {" -1.5e3 ", JSON_NUMBER, "-1.5e3", "", false},
        {" \"ab\" ", JSON_STRING, "\"ab\"", "ab", false},
        {"\"a\\nb\"", JSON_STRING, "\"a\\nb\"", "a\\nb", true},
        {"\"\xc3\xa9\"", JSON_STRING, "\"\xc3\xa9\"", "\xc3\xa9", false},
        {" [1, [2]] ", JSON_ARRAY, "[1, [2]]", "", false},
        {" {\"a\" : [ ]} ", JSON_OBJECT, "{\"a\" : [ ]}", "", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct json_value value;
        assert_int_equal(scan(bytes_of_string(rows[i].input), &value), OK);
        assert_int_equal(value.kind, rows[i].kind);
        assert_bytes(value.text, rows[i].text);
        assert_bytes(value.content, rows[i].content);
        assert_int_equal(value.escaped, rows[i].escaped);
    }
}

static void an_object_is_walked_member_by_member(void **state)
{
    (void)state;
    struct json_scanner s =
        json_scanner_of(BYTES(" { \"a\" : 1 , \"b\\n\":[true,{}],\"c\":{\"d\":null} } "));
    static const char *const names[] = {"a", "b\\n", "c"};
    static const char *const values[] = {"1", "[true,{}]", "{\"d\":null}"};
    struct json_value name;
    struct json_value value;
    bool more = false;
    assert_int_equal(json_object_begin(&s), OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(json_object_next(&s, &name, &more), OK);
        assert_true(more);
        assert_bytes(name.content, names[i]);
        assert_int_equal(json_value(&s, &value), OK);
        assert_bytes(value.text, values[i]);
    }
    assert_int_equal(json_object_next(&s, &name, &more), OK);
    assert_false(more);
    assert_int_equal(s.depth, 0);
    assert_int_equal(json_end(&s), OK);
}

static void nested_containers_can_be_entered(void **state)
{
    (void)state;
    struct json_scanner s = json_scanner_of(BYTES("[[],{\"a\":[1,2]},3]"));
    struct json_value value;
    enum json_kind kind = JSON_NULL;
    bool more = false;
    assert_int_equal(json_array_begin(&s), OK);
    assert_int_equal(json_array_next(&s, &more), OK);
    assert_int_equal(json_array_begin(&s), OK);
    assert_int_equal(json_array_next(&s, &more), OK);
    assert_false(more);
    assert_int_equal(json_array_next(&s, &more), OK);
    assert_true(more);
    assert_int_equal(json_object_begin(&s), OK);
    assert_int_equal(json_object_next(&s, &value, &more), OK);
    assert_bytes(value.content, "a");
    assert_int_equal(json_array_begin(&s), OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(json_array_next(&s, &more), OK);
        assert_true(more);
        assert_int_equal(json_value(&s, &value), OK);
    }
    assert_int_equal(json_array_next(&s, &more), OK);
    assert_false(more);
    assert_int_equal(json_object_next(&s, &value, &more), OK);
    assert_false(more);
    assert_int_equal(json_array_next(&s, &more), OK);
    assert_true(more);
    assert_int_equal(json_peek(&s, &kind), OK);
    assert_int_equal(kind, JSON_NUMBER);
    assert_int_equal(json_value(&s, &value), OK);
    assert_int_equal(json_array_next(&s, &more), OK);
    assert_false(more);
    assert_int_equal(json_end(&s), OK);
}

/* Walks the top container by hand and gives the first error. */
static enum err walk(const char *text)
{
    struct json_scanner s = json_scanner_of(bytes_of_string(text));
    struct json_value value;
    bool more = true;
    enum err err = *text == '{' ? json_object_begin(&s) : json_array_begin(&s);
    while (err == OK && more) {
        err = *text == '{' ? json_object_next(&s, &value, &more) : json_array_next(&s, &more);
        if (err == OK && more) {
            err = json_value(&s, &value);
        }
    }
    return err != OK ? err : json_end(&s);
}

static void walking_by_hand_refuses_what_walking_whole_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{",           "{\"a\"", "{\"a\":",    "{\"a\":1",  "{\"a\":1,",
        "{\"a\":1,}",  "{,}",    "{,\"a\":1}", "{\"a\" 1}", "{\"a\":1]",
        "{\"a\":1 2}", "{a:1}",  "{1:2}",      "{]",        "{}}",
        "[",           "[1",     "[1,",        "[1,]",      "[,1]",
        "[1 2]",       "[1}",    "[}",         "[]]",       "{\"a\":1,,\"b\":2}",
        "[1,,2]",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (walk(bad[i]) != ERR_JSON) {
            fail_msg("accepted by hand: %s", bad[i]);
        }
        assert_scans(bad[i], ERR_JSON);
    }
    static const char *const good[] = {"{}", "{ }", "[]", "[ ]", "{\"a\":1}", "[1]", "[1,[2],{}]"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(walk(good[i]), OK);
    }
    assert_int_equal(walk("{\"\xff\":1}"), ERR_UTF8);
}

static void entering_another_kind_consumes_only_space(void **state)
{
    (void)state;
    struct json_scanner s = json_scanner_of(BYTES("  [1]"));
    assert_int_equal(json_object_begin(&s), ERR_WRONG_TYPE);
    assert_int_equal(s.at - s.begin, 2);
    assert_int_equal(json_array_begin(&s), OK);
    s = json_scanner_of(BYTES("\"a\""));
    assert_int_equal(json_array_begin(&s), ERR_WRONG_TYPE);
    s = json_scanner_of(BYTES(" "));
    assert_int_equal(json_array_begin(&s), ERR_JSON);
    s = json_scanner_of(BYTES("?"));
    assert_int_equal(json_object_begin(&s), ERR_JSON);
    s = json_scanner_of((struct bytes){0});
    assert_int_equal(json_object_begin(&s), ERR_JSON);
}

static void peek_tells_each_kind(void **state)
{
    (void)state;
    static const char *const texts[] = {"null", "false", "true", "-1", "\"\"", "[", "{"};
    for (int i = 0; i < 7; i++) {
        struct json_scanner s = json_scanner_of(bytes_of_string(texts[i]));
        enum json_kind kind = JSON_NULL;
        assert_int_equal(json_peek(&s, &kind), OK);
        assert_int_equal(kind, i);
        assert_ptr_equal(s.at, s.begin);
    }
}

static void an_error_tells_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        long at;
    } rows[] = {
        {"{\"a\":1,}", 7},
        {"[1,x]", 3},
        {"\"ab\ncd\"", 3},
        {"\"abc", 4},
        {"tru", 0},
        {"{\"a\":01}", 6},
        {"\"a\xff\"", 2},
        {"[1}", 2},
        {"\"a\\q\"", 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct json_scanner s = json_scanner_of(bytes_of_string(rows[i].text));
        struct json_value value;
        assert_true(json_value(&s, &value) != OK);
        assert_int_equal(s.at - s.begin, rows[i].at);
    }
}

static const char event_text[] =
    "{\"specversion\":\"1.0\",\"type\":\"flight.departed\",\"source\":\"/airports/JFK\","
    "\"id\":\"2013-\\u00e9\\ud83d\\ude00\",\"time\":\"2013-01-01T06:00:00Z\","
    "\"data\":{\"carrier\":\"\xc3\x9c\xe2\x82\xac\",\"n\":[-1.5e3,true,null,{}]}}";

static void no_prefix_of_an_object_is_accepted(void **state)
{
    (void)state;
    struct bytes text = BYTES(event_text);
    assert_int_equal(scan_exact(text), OK);
    for (size_t len = 0; len < text.len; len++) {
        assert_int_not_equal(scan_exact(bytes_slice(text, 0, len)), OK);
    }
}

static void a_damaged_byte_never_reads_out_of_bounds(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("damage");
    for (int i = 0; i < 30000; i++) {
        uint8_t text[sizeof(event_text) - 1];
        memcpy(text, event_text, sizeof(text));
        for (uint64_t n = random_below(&random, 3) + 1; n > 0; n--) {
            text[random_below(&random, sizeof(text))] = (uint8_t)random_next(&random);
        }
        struct bytes damaged = bytes_of(text, sizeof(text));
        if (scan_exact(damaged) == OK) {
            assert_true(utf8_valid(damaged));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_accepted),
        cmocka_unit_test(broken_grammar_is_refused),
        cmocka_unit_test(broken_utf8_is_refused),
        cmocka_unit_test(lone_surrogates_are_refused),
        cmocka_unit_test(sixty_four_levels_are_fine_and_one_more_is_too_deep),
        cmocka_unit_test(the_depth_also_counts_what_was_entered_by_hand),
        cmocka_unit_test(a_value_tells_its_kind_its_text_and_its_content),
        cmocka_unit_test(an_object_is_walked_member_by_member),
        cmocka_unit_test(nested_containers_can_be_entered),
        cmocka_unit_test(walking_by_hand_refuses_what_walking_whole_refuses),
        cmocka_unit_test(entering_another_kind_consumes_only_space),
        cmocka_unit_test(peek_tells_each_kind),
        cmocka_unit_test(an_error_tells_its_place),
        cmocka_unit_test(no_prefix_of_an_object_is_accepted),
        cmocka_unit_test(a_damaged_byte_never_reads_out_of_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
