#include "adapters/http_server/http_response.h"

#include "adapters/http_server/http_chars.h"
#include "base/check.h"
#include "base/text.h"

#define SECONDS_PER_DAY  86400
#define OWN_BYTES_MAX    256 /* status line, Date, Content-Length, Connection, empty line */
#define FIELD_BYTES_MORE 4   /* ": " and CR LF */

static void put_two_digits(char *into, int64_t value)
{
    CHECK(value >= 0);
    CHECK(value < 100);
    into[0] = (char)('0' + value / 10);
    into[1] = (char)('0' + value % 10);
}

void http_date_put(char *into, int64_t unix_seconds)
{
    struct bytes form = BYTES("Sun, 06 Nov 1994 08:49:37 GMT");
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t day = unix_seconds / SECONDS_PER_DAY;
    int64_t second = unix_seconds % SECONDS_PER_DAY;
    int64_t year;
    int month;
    int day_of_month;
    CHECK(unix_seconds >= 0);
    civil_from_days(day, &year, &month, &day_of_month);
    CHECK(year <= 9999);
    CHECK(form.len == HTTP_DATE_BYTES);
    memcpy(into, form.data, form.len);
    memcpy(into, days + (day + 4) % 7 * 3, 3); /* 1970-01-01 was a Thursday */
    put_two_digits(into + 5, day_of_month);
    memcpy(into + 8, months + (size_t)(month - 1) * 3, 3);
    put_two_digits(into + 12, year / 100);
    put_two_digits(into + 14, year % 100);
    put_two_digits(into + 17, second / 3600);
    put_two_digits(into + 20, second / 60 % 60);
    put_two_digits(into + 23, second % 60);
}

bool http_status_has_body(int status)
{
    return status != 204 && status != 304;
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return ""; /* legal: RFC 9112 section 4 */
}

size_t http_response_head_bytes_max(const struct http_response *response)
{
    size_t bytes = OWN_BYTES_MAX;
    for (size_t i = 0; i < response->field_count; i++) {
        bytes += response->fields[i].name.len + response->fields[i].value.len + FIELD_BYTES_MORE;
    }
    return bytes;
}

static void put_field(struct buf *out, const struct http_field *field)
{
    struct bytes name = field->name;
    CHECK(name.len > 0);
    CHECK(http_char_run(name.data, name.len, HTTP_CHAR_TOKEN) == name.len);
    buf_put_bytes(out, name);
    buf_put_bytes(out, BYTES(": "));
    uint8_t *at = buf_reserve(out, field->value.len);
    for (size_t i = 0; at != NULL && i < field->value.len; i++) {
        uint8_t byte = field->value.data[i];
        at[i] = http_char_is(byte, HTTP_CHAR_VALUE) ? byte : ' ';
    }
    buf_put_bytes(out, BYTES("\r\n"));
}

void http_response_put_head(struct buf *out,
                            const struct http_response *response,
                            const struct http_framing *framing)
{
    CHECK(response->status >= 200);
    CHECK(response->status <= 599);
    buf_put_bytes(out, BYTES("HTTP/1.1 "));
    u64_put(out, (uint64_t)response->status);
    buf_put_bytes(out, BYTES(" "));
    buf_put_text(out, reason_of(response->status));
    buf_put_bytes(out, BYTES("\r\nDate: "));
    buf_put(out, framing->date, HTTP_DATE_BYTES);
    if (http_status_has_body(response->status) && !framing->endless) {
        buf_put_bytes(out, BYTES("\r\nContent-Length: "));
        u64_put(out, response->body.len);
    }
    buf_put_bytes(out, BYTES("\r\n"));
    for (size_t i = 0; i < response->field_count; i++) {
        put_field(out, &response->fields[i]);
    }
    if (framing->close) {
        buf_put_bytes(out, BYTES("Connection: close\r\n"));
    } else if (framing->keep_alive_told) {
        buf_put_bytes(out, BYTES("Connection: keep-alive\r\n"));
    }
    buf_put_bytes(out, BYTES("\r\n"));
}
