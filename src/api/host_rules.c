/* The Host allow-list: a web page that made its own name resolve to 127.0.0.1 still sends its own
 * name as Host, and a page of another site sends its Origin. Both are refused, whatever the
 * address.
 *
 * Invariants:
 *  1. Ports don't matter unless a configured entry names one.
 *  2. An empty Host, "null" or an Origin that is not http(s)://host[:port] never matches. */
#include "api/host_rules.h"

/* Without its port: "[::1]:7070" -> "[::1]". */
static struct bytes without_port(struct bytes host)
{
    for (size_t i = host.len; i > 0; i--) {
        uint8_t c = host.data[i - 1];
        if (c == ':') {
            return bytes_slice(host, 0, i - 1);
        }
        if (c < '0' || c > '9') {
            return host;
        }
    }
    return host;
}

static bool host_allowed(const struct host_rules *rules, struct bytes host)
{
    struct bytes name = without_port(host);
    if (name.len == 0) {
        return false;
    }
    if (http_name_equal(name, BYTES("localhost")) || http_name_equal(name, BYTES("127.0.0.1")) ||
        http_name_equal(name, BYTES("[::1]"))) {
        return true;
    }
    for (size_t i = 0; i < rules->allowed_count; i++) {
        struct bytes entry = bytes_of_string(rules->allowed[i]);
        if (http_name_equal(host, entry) || http_name_equal(name, entry)) {
            return true;
        }
    }
    return false;
}

static struct bytes after_scheme(struct bytes origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct bytes scheme = bytes_of_string(schemes[i]);
        if (origin.len > scheme.len &&
            http_name_equal(bytes_slice(origin, 0, scheme.len), scheme)) {
            return bytes_slice(origin, scheme.len, origin.len - scheme.len);
        }
    }
    return (struct bytes){0};
}

bool host_rules_allow(const struct host_rules *rules, const struct http_request *request)
{
    if (!host_allowed(rules, request->host)) {
        return false;
    }
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (http_name_equal(field->name, BYTES("Origin")) &&
            !host_allowed(rules, after_scheme(field->value))) {
            return false;
        }
    }
    return true;
}
