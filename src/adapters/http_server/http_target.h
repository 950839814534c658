/* The request target and the host: grammar only (RFC 9112 section 3.2, RFC 3986). */
#pragma once

#include "ports/http.h"

struct http_target {
    struct bytes path;
    bool path_implied;  /* the target has none: path is "/" or "*", not inside of the input */
    struct bytes query; /* empty if none */
    struct bytes host;  /* of the absolute form, with its port; else empty */
};

/* Takes the origin form, the absolute form (http and https) and, for OPTIONS, "*". NULL when it is
 * one of them and well-formed; else what is wrong, in words for the client. */
const char *
http_target_parse(struct bytes text, enum http_method method, struct http_target *target);

/* True when it is uri-host [":" port] without user information: a name of unreserved characters, an
 * IPv4 address or a bracketed IPv6 address; not empty. */
bool http_host_valid(struct bytes host);
