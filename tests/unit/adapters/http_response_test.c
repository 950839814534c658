#include "adapters/http_server/http_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";

static void dates_are_imf_fixdates(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[HTTP_DATE_BYTES];
        http_date_put(text, cases[i].seconds);
        assert_memory_equal(text, cases[i].text, HTTP_DATE_BYTES);
    }
}

static void assert_head(const struct http_response *response,
                        const struct http_framing *framing,
                        const char *expected)
{
    uint8_t space[1024];
    struct buf out = buf_of(space, sizeof(space));
    http_response_put_head(&out, response, framing);
    assert_false(out.overflow);
    assert_true(out.len <= http_response_head_bytes_max(response));
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
}

static void heads_say_what_they_must(void **state)
{
    const struct http_field fields[] = {
        {BYTES("Content-Type"), BYTES("application/json")},
        {BYTES("ETag"), BYTES("\"1\"")},
    };
    (void)state;
    assert_head(
        &(struct http_response){
            .status = 201, .fields = fields, .field_count = 2, .body = BYTES("12345")},
        &(struct http_framing){.date = date},
        "HTTP/1.1 201 Created\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Length: 5\r\nContent-Type: application/json\r\nETag: \"1\"\r\n\r\n");
    assert_head(&(struct http_response){.status = 204},
                &(struct http_framing){.date = date, .close = true},
                "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                "Connection: close\r\n\r\n");
    assert_head(&(struct http_response){.status = 304},
                &(struct http_framing){.date = date, .keep_alive_told = true},
                "HTTP/1.1 304 Not Modified\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                "Connection: keep-alive\r\n\r\n");
    assert_head(
        &(struct http_response){.status = 599},
        &(struct http_framing){.date = date},
        "HTTP/1.1 599 \r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
}

static void every_error_of_the_product_has_its_reason(void **state)
{
    (void)state;
    for (int err = OK + 1; err < ERR_COUNT; err++) {
        uint8_t space[1024];
        struct buf out = buf_of(space, sizeof(space));
        struct http_response response = {.status = err_status((enum err)err)};
        http_response_put_head(&out, &response, &(struct http_framing){.date = date});
        assert_int_not_equal(space[sizeof("HTTP/1.1 400 ") - 1], '\r');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_imf_fixdates),
        cmocka_unit_test(heads_say_what_they_must),
        cmocka_unit_test(every_error_of_the_product_has_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
