/* http:// URLs, and the pieces that targets are made of. */
#pragma once

#include "base/err.h"

#define HTTP_URL_HOST_MAX 255

struct http_url {
    char host[HTTP_URL_HOST_MAX + 1]; /* without the brackets of an IPv6 address */
    char port[6];
    char authority[HTTP_URL_HOST_MAX + 10]; /* as the Host field wants it */
};

/* "http://host[:port][/]"; the scheme may be left out. ERR_MALFORMED, and why, when it is none. */
enum err http_url_parse(const char *text, struct http_url *url, struct error *error) MUST_CHECK;

/* Percent-encodes everything but unreserved characters (RFC 3986 2.3): at most 3 * len bytes. */
void http_put_encoded(struct buf *out, struct bytes text);
