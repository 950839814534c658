#include "adapters/http_server/http_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_text(struct bytes got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.data, expected, got.len);
}

static const char sample[] =
    "POST /v1/x%20y?a=b&c HTTP/1.1\r\n"
    "Host: a.example:8080\r\n"
    "content-LENGTH: 12\r\n"
    "X-Empty:\r\n"
    "X-Spaced: \t a b \t\r\n"
    "Expect: 100-Continue\r\n"
    "Connection: keep-alive\r\n"
    "\r\n"
    "body that follows";

static void a_head_becomes_slices_of_the_bytes(void **state)
{
    struct http_head head;
    struct http_request request;
    struct http_field fields[HTTP_FIELDS_MAX];
    struct bytes input = bytes_of(sample, sizeof(sample) - 1);
    (void)state;
    http_head_init(&head);
    assert_int_equal(http_head_parse(&head, input), HTTP_PARSE_DONE);
    assert_int_equal(http_head_len(&head), input.len - strlen("body that follows"));
    http_head_request(&head, input.data, &request, fields);
    assert_int_equal(request.method, HTTP_POST);
    assert_text(request.path, "/v1/x%20y");
    assert_text(request.query, "a=b&c");
    assert_text(request.host, "a.example:8080");
    assert_int_equal(request.field_count, 6);
    assert_true(request.has_body);
    assert_true(request.length_known);
    assert_int_equal(request.content_length, 12);
    assert_true(head.expect_continue);
    assert_true(http_head_keep_alive(&head));
    assert_text(http_field_find(&request, "Content-Length"), "12");
    assert_text(http_field_find(&request, "x-spaced"), "a b");
    assert_text(http_field_find(&request, "X-EMPTY"), "");
    assert_non_null(http_field_find(&request, "x-empty").data);
    assert_null(http_field_find(&request, "X-Other").data);
    assert_true(request.path.data == input.data + 5);
}

static void the_bytes_may_move_between_calls(void **state)
{
    struct http_head head;
    struct http_request request;
    struct http_field fields[HTTP_FIELDS_MAX];
    uint8_t places[2][sizeof(sample)];
    (void)state;
    http_head_init(&head);
    for (size_t len = 1;; len++) {
        uint8_t *place = places[len % 2];
        memset(places, 0xee, sizeof(places));
        memcpy(place, sample, len);
        enum http_parse result = http_head_parse(&head, bytes_of(place, len));
        if (result == HTTP_PARSE_DONE) {
            http_head_request(&head, place, &request, fields);
            break;
        }
        assert_int_equal(result, HTTP_PARSE_MORE);
    }
    assert_text(request.query, "a=b&c");
    assert_text(http_field_find(&request, "x-spaced"), "a b");
}

static enum err refusal_of(const char *text)
{
    struct http_head head;
    http_head_init(&head);
    enum http_parse result = http_head_parse(&head, bytes_of_string(text));
    if (result != HTTP_PARSE_REFUSED) {
        assert_int_equal(result, HTTP_PARSE_DONE);
        return OK;
    }
    assert_non_null(head.detail);
    return head.refusal;
}

static void each_refusal_has_its_error(void **state)
{
    (void)state;
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), OK);
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\n\r\n"), ERR_MALFORMED);
    assert_int_equal(refusal_of("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_METHOD);
    assert_int_equal(refusal_of("GET / HTTP/3.0\r\nHost: a\r\n\r\n"), ERR_HTTP_VERSION);
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"), ERR_EXPECTATION);
}

static void the_largest_length_fits(void **state)
{
    struct http_head head;
    (void)state;
    http_head_init(&head);
    struct bytes input =
        BYTES("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n");
    assert_int_equal(http_head_parse(&head, input), HTTP_PARSE_DONE);
    assert_true(head.content_length == 9999999999999999999u);
}

static void the_target_names_the_host_before_the_field_does(void **state)
{
    static const struct {
        const char *target;
        const char *host;
        const char *path;
        const char *query;
    } cases[] = {
        {"GET http://t:1/p?q HTTP/1.1", "t:1", "/p", "q"},
        {"GET http://t HTTP/1.1", "t", "/", ""},
        {"GET https://[::1]:1?q HTTP/1.1", "[::1]:1", "/", "q"},
        {"OPTIONS http://t HTTP/1.1", "t", "*", ""},
        {"OPTIONS * HTTP/1.1", "f", "*", ""},
        {"GET /?a?b/c HTTP/1.1", "f", "/", "a?b/c"},
        {"GET //x/../y HTTP/1.1", "f", "//x/../y", ""},
        {"GET /? HTTP/1.1", "f", "/", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t text[256];
        struct buf input = buf_of(text, sizeof(text));
        struct http_head head;
        struct http_request request;
        struct http_field fields[HTTP_FIELDS_MAX];
        buf_put_text(&input, cases[i].target);
        buf_put_text(&input, "\r\nHost: f\r\n\r\n");
        http_head_init(&head);
        assert_int_equal(http_head_parse(&head, buf_bytes(&input)), HTTP_PARSE_DONE);
        http_head_request(&head, input.data, &request, fields);
        assert_text(request.host, cases[i].host);
        assert_text(request.path, cases[i].path);
        assert_text(request.query, cases[i].query);
    }
}

static void names_compare_without_case_and_nothing_else(void **state)
{
    (void)state;
    assert_true(http_name_equal(BYTES("Host"), BYTES("hOST")));
    assert_false(http_name_equal(BYTES("Host"), BYTES("Hos")));
    assert_false(http_name_equal(BYTES("a@"), BYTES("a`"))); /* differ in the same bit as a case */
    assert_false(http_name_equal(BYTES("a["), BYTES("a{")));
    assert_true(http_name_equal(BYTES(""), BYTES("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_becomes_slices_of_the_bytes),
        cmocka_unit_test(the_bytes_may_move_between_calls),
        cmocka_unit_test(each_refusal_has_its_error),
        cmocka_unit_test(the_largest_length_fits),
        cmocka_unit_test(the_target_names_the_host_before_the_field_does),
        cmocka_unit_test(names_compare_without_case_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
