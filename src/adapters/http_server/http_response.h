/* Responses as bytes: status line, fields, the server's own fields. */
#pragma once

#include "ports/http.h"

#define HTTP_DATE_BYTES 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* What the server adds to a handler's response. */
struct http_framing {
    const char *date; /* HTTP_DATE_BYTES long */
    bool close;
    bool keep_alive_told; /* HTTP/1.0: staying open must be said */
    bool endless;         /* its length is not known: it lasts until the connection closes */
};

/* The IMF-fixdate (RFC 9110 section 5.6.7) of a time; writes HTTP_DATE_BYTES. Years 1970-9999. */
void http_date_put(char *into, int64_t unix_seconds);

/* False for 204 and 304: these end with their head. */
bool http_status_has_body(int status);

/* An upper bound for http_response_put_head. */
size_t http_response_head_bytes_max(const struct http_response *response);

/* The head with its empty line. Control characters in a value become spaces, so that no value can
 * begin a new line. */
void http_response_put_head(struct buf *out,
                            const struct http_response *response,
                            const struct http_framing *framing);
