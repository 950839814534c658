/* json_put_compact: white space outside of strings goes, nothing else. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void white_space_between_tokens_goes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *compact;
    } rows[] = {
        {"1", "1"},
        {" null ", "null"},
        {"{\"a\":1}", "{\"a\":1}"},
        {" { \"a b\" :\t[ 1 ,\r\n 2 ] } ", "{\"a b\":[1,2]}"},
        {"\"a \\\" b\"", "\"a \\\" b\""},
        {"[ \"\\\\\" , \" \" ]", "[\"\\\\\",\" \"]"},
        {"{ \"\\u0020 \\\\\\\" \" : \"x  y\" }", "{\"\\u0020 \\\\\\\" \":\"x  y\"}"},
        {"[ ]", "[]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t space[64];
        struct bytes text = bytes_of_string(rows[i].text);
        struct buf out = buf_of(space, text.len);
        json_put_compact(&out, text);
        assert_false(out.overflow);
        assert_int_equal(out.len, text_len(rows[i].compact));
        assert_memory_equal(out.data, rows[i].compact, out.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_between_tokens_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
