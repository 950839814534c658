/* URLs: see http_url.h. */
#include "adapters/http_client/http_url.h"

#include "base/text.h"

#include <stdio.h>

#define SCHEME "http://"

static enum err refuse(struct error *error, const char *text, const char *why)
{
    *error = (struct error){.code = ERR_MALFORMED};
    (void)snprintf(error->text, sizeof(error->text), "\"%.80s\" is no URL here: %s", text, why);
    return ERR_MALFORMED;
}

static bool host_char(uint8_t c, bool bracketed)
{
    bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    bool digit = c >= '0' && c <= '9';
    return letter || digit || c == '-' || c == '.' || (bracketed ? c == ':' : c == '_');
}

/* Splits "host:port" or "[v6]:port"; the port may be missing. */
static bool authority_split(struct bytes text, struct bytes *host, struct bytes *port)
{
    bool bracketed = text.len > 0 && text.data[0] == '[';
    const uint8_t *end = text.len == 0 ? NULL : memchr(text.data, bracketed ? ']' : ':', text.len);
    size_t host_len = end == NULL ? text.len : (size_t)(end - text.data);
    if (bracketed && end == NULL) {
        return false;
    }
    size_t begin = bracketed ? 1 : 0;
    *host = bytes_slice(text, begin, host_len - begin);
    size_t next = bracketed ? host_len + 1 : host_len;
    struct bytes rest = bytes_slice(text, next, text.len - next);
    for (size_t i = 0; i < host->len; i++) {
        if (!host_char(host->data[i], bracketed)) {
            return false;
        }
    }
    if (rest.len == 0) {
        *port = BYTES("80");
        return host->len > 0;
    }
    uint64_t number = 0;
    *port = bytes_slice(rest, 1, rest.len - 1);
    return rest.data[0] == ':' && host->len > 0 && u64_parse(*port, &number) && number > 0 &&
           number <= 65535 && port->len <= 5;
}

enum err http_url_parse(const char *text, struct http_url *url, struct error *error)
{
    struct bytes rest = bytes_of_string(text);
    struct bytes host;
    struct bytes port;
    size_t scheme_len = sizeof(SCHEME) - 1;
    if (rest.len >= 8 && memcmp(rest.data, "https://", 8) == 0) {
        return refuse(error, text, "only http:// is spoken");
    }
    if (rest.len >= scheme_len && memcmp(rest.data, SCHEME, scheme_len) == 0) {
        rest = bytes_slice(rest, scheme_len, rest.len - scheme_len);
    }
    if (rest.len > 0 && rest.data[rest.len - 1] == '/') {
        rest.len--;
    }
    if (rest.len > HTTP_URL_HOST_MAX || !authority_split(rest, &host, &port)) {
        return refuse(error, text, "it must be http://HOST:PORT");
    }
    bool bracketed = rest.data[0] == '[';
    (void)snprintf(url->host, sizeof(url->host), "%.*s", (int)host.len, (const char *)host.data);
    (void)snprintf(url->port, sizeof(url->port), "%.*s", (int)port.len, (const char *)port.data);
    (void)snprintf(url->authority,
                   sizeof(url->authority),
                   "%s%.*s%s:%.*s",
                   bracketed ? "[" : "",
                   (int)host.len,
                   (const char *)host.data,
                   bracketed ? "]" : "",
                   (int)port.len,
                   (const char *)port.data);
    return OK;
}

void http_put_encoded(struct buf *out, struct bytes text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool plain = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            buf_put_u8(out, c);
        } else {
            buf_put_u8(out, '%');
            buf_put_u8(out, (uint8_t)hex[c >> 4]);
            buf_put_u8(out, (uint8_t)hex[c & 15]);
        }
    }
}
