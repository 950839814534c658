/* If-Match and If-None-Match as a condition on the version of what is written (RFC 9110, sections 13.1.1
 * and 13.1.2). */
#pragma once

#include "host/condition.h"
#include "ports/http.h"

struct if_match {
    struct condition condition;
    const char *refusal; /* why no write takes these headers (422); NULL: it takes them */
};

/* Reads all of the head's fields of these names. */
struct if_match if_match_read(const struct http_request *request);
