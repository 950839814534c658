#include "adapters/http_server/http_chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Decodes `text` in pieces of at most `piece` bytes; the result, the body, and what was consumed.
 */
static enum http_chunked_result
decode(struct bytes text, size_t piece, struct buf *body, size_t *used)
{
    struct http_chunked chunked;
    enum http_chunked_result result = HTTP_CHUNKED_MORE;
    http_chunked_init(&chunked);
    *used = 0;
    while (*used < text.len) {
        size_t left = text.len - *used;
        struct bytes part;
        size_t consumed;
        struct bytes input = bytes_of(text.data + *used, left < piece ? left : piece);
        result = http_chunked_next(&chunked, input, &consumed, &part);
        *used += consumed;
        if (result == HTTP_CHUNKED_PART) {
            assert_true(part.len > 0);
            assert_true(part.data >= input.data);
            assert_true(part.data + part.len <= input.data + input.len);
            buf_put_bytes(body, part);
        } else if (result != HTTP_CHUNKED_MORE) {
            break;
        }
        assert_true(consumed > 0);
    }
    return result;
}

static void chunks_are_put_together_for_every_piece_size(void **state)
{
    struct bytes text = BYTES(
        "4\r\nWiki\r\n7;x=\"y\"\r\npedia i\r\nB\r\nn \r\nchunks.\r\n"
        "0;last\r\nX-Trailer: a b\r\nY:\r\n\r\nGET / HTTP/1.1");
    (void)state;
    for (size_t piece = 1; piece <= text.len; piece++) {
        uint8_t space[64];
        struct buf body = buf_of(space, sizeof(space));
        size_t used;
        assert_int_equal(decode(text, piece, &body, &used), HTTP_CHUNKED_DONE);
        assert_int_equal(used, text.len - strlen("GET / HTTP/1.1"));
        assert_true(bytes_equal(buf_bytes(&body), BYTES("Wikipedia in \r\nchunks.")));
    }
}

static void what_is_not_strict_is_refused(void **state)
{
    static const char *bad[] = {
        "0x1\r\na\r\n",   "+1\r\na\r\n",
        " 1\r\na\r\n",    "1 \r\na\r\n",
        "g\r\n",          "\r\n",
        ";x\r\n",         "1\na\r\n",
        "1\r\nab\r\n",    "1\r\na\n",
        "1;\x01\r\n",     "11112222333344445\r\n",
        "0\r\n\n",        "0\r\nHost: a\r\n",
        "0\r\nhost:\r\n", "0\r\nContent-Length: 1\r\n",
        "0\r\n: a\r\n",   "0\r\n X: a\r\n",
        "0\r\nX: a\n",    "0\r\nTransfer-encoding: x\r\n",
        "0\r\nX\r\n",     "0\r\nX: \x7f\r\n",
        "-1\r\n",         "1\r\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t piece = 1; piece <= strlen(bad[i]); piece++) {
            uint8_t space[64];
            struct buf body = buf_of(space, sizeof(space));
            size_t used;
            assert_int_equal(decode(bytes_of_string(bad[i]), piece, &body, &used),
                             HTTP_CHUNKED_REFUSED);
        }
    }
}

static void the_largest_size_is_not_an_overflow(void **state)
{
    struct http_chunked chunked;
    struct bytes part;
    size_t consumed;
    (void)state;
    http_chunked_init(&chunked);
    assert_int_equal(
        http_chunked_next(&chunked, BYTES("ffffffffffffffff\r\nabc"), &consumed, &part),
        HTTP_CHUNKED_PART);
    assert_int_equal(part.len, 3);
    assert_true(chunked.size_left == UINT64_MAX - 3);
}

static void many_small_extensions_are_limited_in_all(void **state)
{
    struct http_chunked chunked;
    uint8_t space[2048];
    struct buf chunk = buf_of(space, sizeof(space));
    size_t total = 0;
    (void)state;
    buf_put_text(&chunk, "1;");
    for (int i = 0; i < HTTP_EXTENSION_BYTES_MAX; i++) {
        buf_put_u8(&chunk, 'e');
    }
    buf_put_text(&chunk, "\r\nx\r\n");
    http_chunked_init(&chunked);
    for (;;) {
        struct bytes rest = buf_bytes(&chunk);
        enum http_chunked_result result = HTTP_CHUNKED_MORE;
        while (rest.len > 0 && result != HTTP_CHUNKED_REFUSED) {
            struct bytes part;
            size_t consumed;
            result = http_chunked_next(&chunked, rest, &consumed, &part);
            rest = bytes_of(rest.data + consumed, rest.len - consumed);
        }
        if (result == HTTP_CHUNKED_REFUSED) {
            break;
        }
        total++;
    }
    assert_int_equal(total, HTTP_EXTENSIONS_BYTES_MAX / HTTP_EXTENSION_BYTES_MAX);
    assert_int_equal(chunked.refusal, ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_put_together_for_every_piece_size),
        cmocka_unit_test(what_is_not_strict_is_refused),
        cmocka_unit_test(the_largest_size_is_not_an_overflow),
        cmocka_unit_test(many_small_extensions_are_limited_in_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
