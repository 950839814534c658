/* Request heads, strictly.
 *
 *     [CRLF]                              one empty line before it is skipped (RFC 9112
 * section 2.2) method SP target SP version CRLF    single spaces, nothing else between name ":" OWS
 * value OWS CRLF         no space before the colon, no folded lines CRLF
 *
 * A line is judged as a whole when its LF is there, so a head may come in any pieces. What other
 * servers repair (a bare LF, a space before the colon, two lengths) is refused: two parsers that
 * repair differently are how requests get smuggled past each other.
 *
 * Limits: 16 KiB and 64 fields in all, 8 KiB a line, 8 KiB the target. They are enforced on a line
 * that is not complete as they will be when it is, so the outcome is the same for every split. */
#include "adapters/http_server/http_parse.h"

#include "adapters/http_server/http_chars.h"
#include "adapters/http_server/http_target.h"
#include "base/check.h"

#define LENGTH_DIGITS_MAX 19 /* so that a length never overflows 64 bits */
#define VERSION_BYTES     8  /* "HTTP/1.1" */
#define REQUEST_LINE_BYTES_MAX                                                                     \
    (HTTP_URI_BYTES_MAX + HTTP_METHOD_BYTES_MAX + VERSION_BYTES + sizeof(" \r\n"))

_Static_assert(HTTP_HEADER_BYTES_MAX + 4 <= UINT16_MAX, "spans have 16 bits");
_Static_assert(HTTP_FIELDS_MAX <= UINT8_MAX, "field_count has 8 bits");

/* One complete line while it is judged. */
struct line {
    struct bytes text; /* without its CRLF */
    size_t at;         /* of its first byte in the input */
};

static bool refuse(struct http_head *head, enum err refusal, const char *detail)
{
    CHECK(head->refusal == OK);
    head->refusal = refusal;
    head->detail = detail;
    return false;
}

static struct http_span span_of(const struct line *line, struct bytes part)
{
    CHECK(part.data >= line->text.data);
    size_t at = line->at + (size_t)(part.data - line->text.data);
    CHECK(at + part.len <= UINT16_MAX);
    return (struct http_span){.at = (uint16_t)at, .len = (uint16_t)part.len};
}

static bool parse_method(struct http_head *head, struct bytes method)
{
    static const struct {
        struct bytes name;
        enum http_method method;
    } known[] = {
        {{(const uint8_t *)"GET", 3}, HTTP_GET},
        {{(const uint8_t *)"HEAD", 4}, HTTP_HEAD},
        {{(const uint8_t *)"POST", 4}, HTTP_POST},
        {{(const uint8_t *)"PUT", 3}, HTTP_PUT},
        {{(const uint8_t *)"PATCH", 5}, HTTP_PATCH},
        {{(const uint8_t *)"DELETE", 6}, HTTP_DELETE},
        {{(const uint8_t *)"OPTIONS", 7}, HTTP_OPTIONS},
    };
    head->method = HTTP_OTHER;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (bytes_equal(method, known[i].name)) {
            head->method = known[i].method;
            return true;
        }
    }
    if (bytes_equal(method, BYTES("CONNECT")) || bytes_equal(method, BYTES("TRACE"))) {
        return refuse(head, ERR_METHOD, "CONNECT and TRACE are not for this server");
    }
    return true;
}

static bool parse_version(struct http_head *head, struct bytes version)
{
    const uint8_t *at = version.data;
    if (version.len != VERSION_BYTES || memcmp(at, "HTTP/", 5) != 0 || at[6] != '.' ||
        !http_char_is(at[5], HTTP_CHAR_DIGIT) || !http_char_is(at[7], HTTP_CHAR_DIGIT)) {
        return refuse(head, ERR_MALFORMED, "the request line is not method, target, HTTP version");
    }
    if (at[5] != '1' || at[7] > '1') {
        return refuse(head, ERR_HTTP_VERSION, "speak HTTP/1.1 here");
    }
    head->http_1_0 = at[7] == '0';
    return true;
}

static bool parse_target(struct http_head *head, const struct line *line, struct bytes text)
{
    if (text.len > HTTP_URI_BYTES_MAX) {
        return refuse(head, ERR_URI_TOO_LONG, "the target is longer than 8 KiB");
    }
    struct http_target target;
    const char *problem = http_target_parse(text, head->method, &target);
    if (problem != NULL) {
        return refuse(head, ERR_MALFORMED, problem);
    }
    if (target.path_implied) {
        head->path_fixed = target.path;
    } else {
        head->path = span_of(line, target.path);
    }
    head->query = span_of(line, target.query);
    if (target.host.len > 0) {
        head->host = span_of(line, target.host);
    }
    return true;
}

static bool parse_request_line(struct http_head *head, const struct line *line)
{
    struct bytes text = line->text;
    size_t method_len = http_char_run(text.data, text.len, HTTP_CHAR_TOKEN);
    if (method_len == 0 || method_len > HTTP_METHOD_BYTES_MAX || method_len == text.len ||
        text.data[method_len] != ' ') {
        return refuse(head, ERR_MALFORMED, "the request line does not begin with a method");
    }
    struct bytes rest = bytes_of(text.data + method_len + 1, text.len - method_len - 1);
    const uint8_t *space = memchr(rest.data, ' ', rest.len);
    if (space == NULL) {
        return refuse(head, ERR_MALFORMED, "the request line is not method, target, HTTP version");
    }
    struct bytes target = bytes_of(rest.data, (size_t)(space - rest.data));
    struct bytes version = bytes_of(space + 1, rest.len - target.len - 1);
    head->begun = true;
    return parse_version(head, version) && parse_method(head, bytes_of(text.data, method_len)) &&
           parse_target(head, line, target);
}

static bool take_host(struct http_head *head, const struct line *line, struct bytes value)
{
    if (head->host_seen) {
        return refuse(head, ERR_MALFORMED, "Host is given twice");
    }
    head->host_seen = true;
    if (!http_host_valid(value)) {
        return refuse(head, ERR_MALFORMED, "Host is not valid");
    }
    if (head->host.len == 0) {
        head->host = span_of(line, value);
    }
    return true;
}

static bool take_length(struct http_head *head, struct bytes value)
{
    if (head->has_length) {
        return refuse(head, ERR_MALFORMED, "Content-Length is given twice");
    }
    if (value.len == 0 || value.len > LENGTH_DIGITS_MAX) {
        return refuse(head, ERR_MALFORMED, "Content-Length is not a number of 1 to 19 digits");
    }
    for (size_t i = 0; i < value.len; i++) {
        if (!http_char_is(value.data[i], HTTP_CHAR_DIGIT)) {
            return refuse(head, ERR_MALFORMED, "Content-Length is not a number of 1 to 19 digits");
        }
        head->content_length = head->content_length * 10 + (uint64_t)(value.data[i] - '0');
    }
    head->has_length = true;
    return true;
}

static bool take_coding(struct http_head *head, struct bytes value)
{
    if (head->chunked || !http_name_equal(value, BYTES("chunked"))) {
        return refuse(head, ERR_MALFORMED, "Transfer-Encoding may only be chunked, once");
    }
    head->chunked = true;
    return true;
}

/* A comma-separated list; only close and keep-alive mean something here. */
static bool take_connection(struct http_head *head, struct bytes value)
{
    size_t at = 0;
    while (at < value.len) {
        if (value.data[at] == ',' || value.data[at] == ' ' || value.data[at] == '\t') {
            at++;
            continue;
        }
        size_t len = http_char_run(value.data + at, value.len - at, HTTP_CHAR_TOKEN);
        if (len == 0) {
            return refuse(head, ERR_MALFORMED, "Connection is not a list of tokens");
        }
        struct bytes option = bytes_of(value.data + at, len);
        head->close = head->close || http_name_equal(option, BYTES("close"));
        head->keep_alive = head->keep_alive || http_name_equal(option, BYTES("keep-alive"));
        at += len;
    }
    return true;
}

static bool take_expect(struct http_head *head, struct bytes value)
{
    if (!http_name_equal(value, BYTES("100-continue"))) {
        return refuse(head, ERR_EXPECTATION, "only Expect: 100-continue is understood");
    }
    head->expect_continue = true;
    return true;
}

/* The fields that frame the message; all others are the handler's. */
static bool
take_framing(struct http_head *head, const struct line *line, struct bytes name, struct bytes value)
{
    switch (name.len) {
    case 4:
        return !http_name_equal(name, BYTES("Host")) || take_host(head, line, value);
    case 6:
        return !http_name_equal(name, BYTES("Expect")) || take_expect(head, value);
    case 10:
        return !http_name_equal(name, BYTES("Connection")) || take_connection(head, value);
    case 14:
        return !http_name_equal(name, BYTES("Content-Length")) || take_length(head, value);
    case 17:
        return !http_name_equal(name, BYTES("Transfer-Encoding")) || take_coding(head, value);
    default:
        return true;
    }
}

static struct bytes trimmed(struct bytes text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = bytes_of(text.data + 1, text.len - 1);
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static bool parse_field(struct http_head *head, const struct line *line)
{
    struct bytes text = line->text;
    size_t name_len = http_char_run(text.data, text.len, HTTP_CHAR_TOKEN);
    if (name_len == 0 || name_len == text.len || text.data[name_len] != ':') {
        return refuse(head, ERR_MALFORMED, "a field line is not name, colon, value");
    }
    struct bytes value = bytes_of(text.data + name_len + 1, text.len - name_len - 1);
    if (http_char_run(value.data, value.len, HTTP_CHAR_VALUE) != value.len) {
        return refuse(head, ERR_MALFORMED, "a field's value has a control character");
    }
    if (head->field_count == HTTP_FIELDS_MAX) {
        return refuse(head, ERR_HEADERS_TOO_LARGE, "there are more than 64 fields");
    }
    struct bytes name = bytes_of(text.data, name_len);
    value = trimmed(value);
    head->fields[head->field_count].name = span_of(line, name);
    head->fields[head->field_count].value = span_of(line, value);
    head->field_count++;
    return take_framing(head, line, name, value);
}

/* The rules that need the whole head. */
static bool judge_whole(struct http_head *head)
{
    if (!head->http_1_0 && !head->host_seen) {
        return refuse(head, ERR_MALFORMED, "Host is missing");
    }
    if (head->chunked && head->has_length) {
        return refuse(
            head, ERR_MALFORMED, "Transfer-Encoding and Content-Length exclude each other");
    }
    if (head->chunked && head->http_1_0) {
        return refuse(head, ERR_MALFORMED, "HTTP/1.0 has no Transfer-Encoding");
    }
    return true;
}

/* How long the line at line_start may be, its CRLF included. */
static size_t line_bytes_max(const struct http_head *head)
{
    size_t left = HTTP_HEADER_BYTES_MAX - head->line_start;
    size_t limit = head->begun ? HTTP_LINE_BYTES_MAX : REQUEST_LINE_BYTES_MAX;
    return left < limit ? left : limit;
}

static bool refuse_long(struct http_head *head)
{
    return head->begun ? refuse(head, ERR_HEADERS_TOO_LARGE, "a field line or the head is too long")
                       : refuse(head, ERR_URI_TOO_LONG, "the request line is too long");
}

/* Judges the line that ends with the LF before `end`. True: go on with the next. */
static bool parse_line(struct http_head *head, struct bytes input, size_t end, bool *done)
{
    size_t start = head->line_start;
    CHECK(end > start);
    if (end - start > line_bytes_max(head)) {
        return refuse_long(head);
    }
    if (end - start < 2 || input.data[end - 2] != '\r') {
        return refuse(head, ERR_MALFORMED, "a line does not end with CR LF");
    }
    struct line line = {.text = bytes_of(input.data + start, end - start - 2), .at = start};
    head->line_start = (uint32_t)end;
    if (line.text.len > 0) {
        return head->begun ? parse_field(head, &line) : parse_request_line(head, &line);
    }
    if (!head->begun) {
        bool first = !head->empty_line_skipped;
        head->empty_line_skipped = true;
        return first || refuse(head, ERR_MALFORMED, "empty lines stand before the request");
    }
    *done = judge_whole(head);
    return *done;
}

void http_head_init(struct http_head *head)
{
    /* All but the spans of the fields, which field_count guards. */
    memset(head, 0, offsetof(struct http_head, fields));
}

/* What begins like no method (a TLS handshake, for one) is not waited for. */
static bool judge_first_byte(struct http_head *head, struct bytes input)
{
    if (head->begun || input.len == head->line_start) {
        return true;
    }
    uint8_t first = input.data[head->line_start];
    return first == '\r' || http_char_is(first, HTTP_CHAR_TOKEN) ||
           refuse(head, ERR_MALFORMED, "the request line does not begin with a method");
}

enum http_parse http_head_parse(struct http_head *head, struct bytes input)
{
    CHECK(head->refusal == OK);
    CHECK(head->line_start <= head->scanned);
    CHECK(head->scanned <= input.len);
    bool done = false;
    while (!done) {
        if (!judge_first_byte(head, input)) {
            return HTTP_PARSE_REFUSED;
        }
        const uint8_t *from = input.data + head->scanned;
        const uint8_t *feed = memchr(from, '\n', input.len - head->scanned);
        if (feed == NULL) {
            break;
        }
        size_t end = (size_t)(feed - input.data) + 1;
        if (!parse_line(head, input, end, &done)) {
            return HTTP_PARSE_REFUSED;
        }
        head->scanned = (uint32_t)end;
    }
    if (done) {
        return HTTP_PARSE_DONE;
    }
    head->scanned = (uint32_t)input.len;
    if (input.len - head->line_start >= line_bytes_max(head)) {
        (void)refuse_long(head);
        return HTTP_PARSE_REFUSED;
    }
    return HTTP_PARSE_MORE;
}

static struct bytes slice_of(const uint8_t *base, struct http_span span)
{
    return bytes_of(base + span.at, span.len);
}

void http_head_request(const struct http_head *head,
                       const uint8_t *base,
                       struct http_request *request,
                       struct http_field *fields)
{
    CHECK(head->begun);
    CHECK(head->refusal == OK);
    for (size_t i = 0; i < head->field_count; i++) {
        fields[i].name = slice_of(base, head->fields[i].name);
        fields[i].value = slice_of(base, head->fields[i].value);
    }
    *request = (struct http_request){
        .method = head->method,
        .path = head->path.len > 0 ? slice_of(base, head->path) : head->path_fixed,
        .query = slice_of(base, head->query),
        .host = slice_of(base, head->host),
        .fields = fields,
        .field_count = head->field_count,
        .has_body = head->chunked || head->content_length > 0,
        .length_known = !head->chunked,
        .content_length = head->content_length,
    };
    CHECK(request->path.len > 0);
}

bool http_head_keep_alive(const struct http_head *head)
{
    return !head->close && (!head->http_1_0 || head->keep_alive);
}
