/* Who may be called from where: the answer to DNS rebinding and to foreign web pages. */
#pragma once

#include "ports/http.h"

struct host_rules {
    const char *const *allowed; /* beside localhost, 127.0.0.1 and [::1]; with or without a port */
    size_t allowed_count;
};

/* The Host header is local or configured, and so is the Origin if there is one. */
bool host_rules_allow(const struct host_rules *rules, const struct http_request *request);
