/* Request targets.
 *
 *     GET /v1/metrics?limit=5 HTTP/1.1                       origin form
 *         '----.----' '--.--'
 *            path      query
 *     GET http://localhost:8080/v1/metrics?limit=5 HTTP/1.1  absolute form
 *                '-----.------'
 *                     host
 *     OPTIONS * HTTP/1.1                                     asterisk form
 *
 * Only syntax is judged: which bytes may stand where, and that each '%' begins an encoded byte.
 * Nothing is decoded or normalised here, so there is exactly one place (the API) that does. */
#include "adapters/http_server/http_target.h"

#include "adapters/http_server/http_chars.h"

#define PORT_DIGITS_MAX 5
#define PORT_MAX        65535

/* The first byte that is not of the class, or an incomplete %xx, or len when all is well. */
static size_t encoded_run(struct bytes text, enum http_char class)
{
    size_t i = 0;
    while (i < text.len && http_char_is(text.data[i], class)) {
        if (text.data[i] != '%') {
            i++;
            continue;
        }
        if (text.len - i < 3 || !http_char_is(text.data[i + 1], HTTP_CHAR_HEX) ||
            !http_char_is(text.data[i + 2], HTTP_CHAR_HEX)) {
            return i;
        }
        i += 3;
    }
    return i;
}

static const char *path_and_query(struct bytes text, struct http_target *target)
{
    size_t path_len = encoded_run(text, HTTP_CHAR_PATH);
    target->path = bytes_of(text.data, path_len);
    if (path_len == text.len) {
        return NULL;
    }
    if (text.data[path_len] != '?') {
        return "the path has a byte that must be percent-encoded, or a broken percent-encoding";
    }
    struct bytes query = bytes_of(text.data + path_len + 1, text.len - path_len - 1);
    if (encoded_run(query, HTTP_CHAR_QUERY) != query.len) {
        return "the query has a byte that must be percent-encoded, or a broken percent-encoding";
    }
    target->query = query;
    return NULL;
}

static bool begins_with_name(struct bytes text, struct bytes name)
{
    return text.len >= name.len && http_name_equal(bytes_of(text.data, name.len), name);
}

static const char *
absolute_form(struct bytes text, enum http_method method, struct http_target *target)
{
    size_t from = begins_with_name(text, BYTES("http://"))    ? BYTES("http://").len
                  : begins_with_name(text, BYTES("https://")) ? BYTES("https://").len
                                                              : 0;
    if (from == 0) {
        return "the target is neither a path nor an http or https URI";
    }
    size_t end = from;
    while (end < text.len && text.data[end] != '/' && text.data[end] != '?') {
        end++;
    }
    target->host = bytes_of(text.data + from, end - from);
    if (!http_host_valid(target->host)) {
        return "the host in the target is not valid";
    }
    const char *problem = path_and_query(bytes_of(text.data + end, text.len - end), target);
    if (target->path.len == 0) {
        bool whole_server = method == HTTP_OPTIONS && end == text.len; /* RFC 9112 section 3.2.4 */
        target->path = bytes_of_string(whole_server ? "*" : "/");
        target->path_implied = true;
    }
    return problem;
}

const char *
http_target_parse(struct bytes text, enum http_method method, struct http_target *target)
{
    *target = (struct http_target){.query = bytes_of(text.data, 0)};
    if (text.len == 0) {
        return "the target is missing";
    }
    if (text.data[0] == '/') {
        return path_and_query(text, target);
    }
    if (text.len == 1 && text.data[0] == '*') {
        target->path = text;
        return method == HTTP_OPTIONS ? NULL : "the target * is for OPTIONS only";
    }
    return absolute_form(text, method, target);
}

static bool port_valid(struct bytes port)
{
    uint32_t value = 0;
    if (port.len > PORT_DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < port.len; i++) {
        if (!http_char_is(port.data[i], HTTP_CHAR_DIGIT)) {
            return false;
        }
        value = value * 10 + (uint32_t)(port.data[i] - '0');
    }
    return value <= PORT_MAX;
}

/* The length of "[...]" with at least "::" inside, or 0. Which groups are legal is left to whoever
 * compares it with its list of hosts. */
static size_t bracketed_run(struct bytes host)
{
    size_t end = 1;
    size_t colons = 0;
    while (end < host.len && (http_char_is(host.data[end], HTTP_CHAR_HEX) ||
                              host.data[end] == ':' || host.data[end] == '.')) {
        colons += host.data[end] == ':';
        end++;
    }
    bool closed = end < host.len && host.data[end] == ']';
    return closed && colons >= 2 ? end + 1 : 0;
}

bool http_host_valid(struct bytes host)
{
    if (host.len == 0) {
        return false;
    }
    size_t name_len = host.data[0] == '[' ? bracketed_run(host)
                                          : http_char_run(host.data, host.len, HTTP_CHAR_HOST);
    if (name_len == 0) {
        return false;
    }
    if (name_len == host.len) {
        return true;
    }
    return host.data[name_len] == ':' &&
           port_valid(bytes_of(host.data + name_len + 1, host.len - name_len - 1));
}
