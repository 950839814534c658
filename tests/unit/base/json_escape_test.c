#include "support.h"

#include "base/json.h"

static void assert_unescapes(const char *content, struct bytes expected)
{
    uint8_t data[256];
    struct bytes input = bytes_of_string(content);
    struct buf out = buf_of(data, input.len); /* exactly what the contract promises to be enough */
    json_unescape(input, &out);
    assert_false(out.overflow);
    assert_true(bytes_equal(buf_bytes(&out), expected));
}

static void every_escape_is_resolved(void **state)
{
    (void)state;
    assert_unescapes("", BYTES(""));
    assert_unescapes("plain", BYTES("plain"));
    assert_unescapes("\\\"\\\\\\/\\b\\f\\n\\r\\t", BYTES("\"\\/\b\f\n\r\t"));
    assert_unescapes("\\u0000x", BYTES("\0x"));
    assert_unescapes("a\\u0041\\u00e9\\u00E9\\u20ac\\uffff",
                     BYTES("aA\xc3\xa9\xc3\xa9\xe2\x82\xac\xef\xbf\xbf"));
    assert_unescapes("\\ud83d\\ude00", BYTES("\xf0\x9f\x98\x80"));
    assert_unescapes("\\ud800\\udc00\\udbff\\udfff", BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    assert_unescapes("\xc3\xa9 and a long plain run \\n behind \xe2\x82\xac",
                     BYTES("\xc3\xa9 and a long plain run \n behind \xe2\x82\xac"));
    assert_unescapes("\\\\u0041", BYTES("\\u0041"));
}

static void a_too_small_buffer_overflows(void **state)
{
    (void)state;
    uint8_t data[2];
    struct buf out = buf_of(data, sizeof(data));
    json_unescape(BYTES("ab\\n"), &out);
    assert_true(out.overflow);
}

static void strings_are_written_with_what_must_be_escaped(void **state)
{
    (void)state;
    uint8_t data[256];
    struct buf out = buf_of(data, sizeof(data));
    json_put_string(&out, BYTES("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f \xc3\xa9"));
    assert_bytes(buf_bytes(&out), "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xc3\xa9\"");
    out = buf_of(data, sizeof(data));
    json_put_string(&out, (struct bytes){0});
    assert_bytes(buf_bytes(&out), "\"\"");
}

static size_t random_text(uint64_t *random, uint8_t *out, size_t chars)
{
    static const char *const pieces[] = {"a",
                                         "tidemark",
                                         "\"",
                                         "\\",
                                         "\n",
                                         "\x01",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "/",
                                         " ",
                                         "\x7f"};
    size_t len = 0;
    for (size_t i = 0; i < chars; i++) {
        const char *piece = pieces[random_below(random, sizeof(pieces) / sizeof(pieces[0]))];
        memcpy(out + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return len;
}

static void what_is_written_scans_and_unescapes_to_itself(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("escape");
    for (int i = 0; i < 20000; i++) {
        uint8_t text[512];
        size_t len = random_text(&random, text, random_below(&random, 40));
        uint8_t escaped[6 * 512 + 2];
        struct buf out = buf_of(escaped, 6 * len + 2);
        json_put_string(&out, bytes_of(text, len));
        assert_false(out.overflow);
        struct json_scanner s = json_scanner_of(buf_bytes(&out));
        struct json_value value;
        assert_int_equal(json_value(&s, &value), OK);
        assert_int_equal(json_end(&s), OK);
        uint8_t back[512 * 6];
        struct buf again = buf_of(back, value.content.len);
        json_unescape(value.content, &again);
        assert_false(again.overflow);
        assert_true(bytes_equal(buf_bytes(&again), bytes_of(text, len)));
        assert_int_equal(value.escaped, !bytes_equal(value.content, bytes_of(text, len)));
    }
}

static void unescape_a_lone_surrogate(void)
{
    uint8_t data[16];
    struct buf out = buf_of(data, sizeof(data));
    json_unescape(BYTES("\\ud83d"), &out);
}

static void an_escape_that_was_never_validated_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(unescape_a_lone_surrogate));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_escape_is_resolved),
        cmocka_unit_test(a_too_small_buffer_overflows),
        cmocka_unit_test(strings_are_written_with_what_must_be_escaped),
        cmocka_unit_test(what_is_written_scans_and_unescapes_to_itself),
        cmocka_unit_test(an_escape_that_was_never_validated_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
