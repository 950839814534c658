/* Response heads: see http_reply.h. A client may be a little less strict than a server, but never
 * about where a body ends: what is ambiguous is malformed. */
#include "adapters/http_client/http_reply.h"

#include "base/text.h"
#include "ports/http.h"

#define STATUS_LINE_MIN 12 /* "HTTP/1.1 200" */

/* The next line of *rest, without its line end; false when there is none. */
static bool line_next(struct bytes *rest, struct bytes *line)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);
    if (end == NULL) {
        return false;
    }
    size_t len = (size_t)(end - rest->data);
    *line = bytes_slice(*rest, 0, len > 0 && rest->data[len - 1] == '\r' ? len - 1 : len);
    *rest = bytes_slice(*rest, len + 1, rest->len - len - 1);
    return true;
}

static bool status_line_parse(struct bytes line, struct http_reply_head *head)
{
    uint64_t status = 0;
    if (line.len < STATUS_LINE_MIN || memcmp(line.data, "HTTP/1.", 7) != 0 || line.data[8] != ' ' ||
        (line.len > STATUS_LINE_MIN && line.data[12] != ' ') ||
        !u64_parse(bytes_slice(line, 9, 3), &status) || status < 100) {
        return false;
    }
    head->status = (int)status;
    head->close = line.data[7] == '0';
    return true;
}

static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = bytes_slice(text, 1, text.len - 1);
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static bool field_split(struct bytes line, struct bytes *name, struct bytes *value)
{
    const uint8_t *colon = line.len == 0 ? NULL : memchr(line.data, ':', line.len);
    if (colon == NULL || colon == line.data) {
        return false;
    }
    size_t len = (size_t)(colon - line.data);
    *name = bytes_slice(line, 0, len);
    *value = trim(bytes_slice(line, len + 1, line.len - len - 1));
    return true;
}

static bool field_take(struct http_reply_head *head, struct bytes name, struct bytes value)
{
    if (http_name_equal(name, BYTES("content-length"))) {
        bool again = head->length_known;
        uint64_t before = head->content_length;
        head->length_known = true;
        return u64_parse(value, &head->content_length) &&
               (!again || before == head->content_length);
    }
    if (http_name_equal(name, BYTES("transfer-encoding"))) {
        head->chunked = true;
        return http_name_equal(value, BYTES("chunked"));
    }
    if (http_name_equal(name, BYTES("connection"))) {
        head->close = head->close || http_name_equal(value, BYTES("close"));
    } else if (http_name_equal(name, BYTES("retry-after"))) {
        uint64_t seconds = 0;
        head->retry_after_s =
            u64_parse(value, &seconds) && seconds <= 86400 ? (int64_t)seconds : -1;
    }
    return true;
}

enum err http_reply_head_parse(struct bytes input, struct http_reply_head *head)
{
    *head = (struct http_reply_head){.retry_after_s = -1};
    struct bytes rest = input;
    struct bytes line;
    if (!line_next(&rest, &line)) {
        return input.len > HTTP_REPLY_HEAD_MAX ? ERR_MALFORMED : ERR_NOT_FOUND;
    }
    if (!status_line_parse(line, head)) {
        return ERR_MALFORMED;
    }
    const uint8_t *fields = rest.data;
    while (line_next(&rest, &line)) {
        struct bytes name;
        struct bytes value;
        if (line.len == 0) {
            head->len = input.len - rest.len;
            head->fields = bytes_of(fields, (size_t)(line.data - fields));
            bool bodyless = head->status < 200 || head->status == 204 || head->status == 304;
            if (bodyless) {
                head->chunked = false;
                head->length_known = true;
                head->content_length = 0;
            }
            return head->chunked && head->length_known ? ERR_MALFORMED : OK;
        }
        if (!field_split(line, &name, &value) || !field_take(head, name, value)) {
            return ERR_MALFORMED;
        }
    }
    return input.len > HTTP_REPLY_HEAD_MAX ? ERR_MALFORMED : ERR_NOT_FOUND;
}

struct bytes http_reply_field(const struct http_reply_head *head, const char *name)
{
    struct bytes rest = head->fields;
    struct bytes line;
    struct bytes found;
    struct bytes value;
    while (line_next(&rest, &line)) {
        if (field_split(line, &found, &value) && http_name_equal(found, bytes_of_string(name))) {
            return value;
        }
    }
    return (struct bytes){0};
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

enum err http_chunk_line_parse(struct bytes input, uint64_t *size, size_t *line_len)
{
    struct bytes rest = input;
    struct bytes line;
    if (!line_next(&rest, &line)) {
        return input.len > 256 ? ERR_MALFORMED : ERR_NOT_FOUND;
    }
    size_t digits = 0;
    *size = 0;
    while (digits < line.len && hex_digit(line.data[digits]) >= 0) {
        *size = *size * 16 + (uint64_t)hex_digit(line.data[digits]);
        digits++;
    }
    bool ends = digits == line.len || line.data[digits] == ';' || line.data[digits] == ' ';
    if (digits == 0 || digits > 12 || !ends) {
        return ERR_MALFORMED;
    }
    *line_len = input.len - rest.len;
    return OK;
}
