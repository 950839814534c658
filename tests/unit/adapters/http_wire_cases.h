/* Requests as bytes on the wire, and what RFC 9112, 9110, 3986 and 9113 say must come of them. Where a
 * rule leaves a choice, the case says which was made here. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

/* A request from its bytes (which may hold NUL); the head of one to this server. */
#define WIRE(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define GET     "GET / HTTP/1.1\r\n"
#define POST    "POST / HTTP/1.1\r\n"
#define HOST    "Host: localhost:8080\r\n"
#define CHUNKED POST HOST "Transfer-Encoding: chunked\r\n\r\n"
#define SIXTY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* `rule`: the RFC and the section that the case follows from. `status` is that of the last response
 * before the connection waits or ends; `closes`: nothing that follows may be read as a request. */
struct wire_case {
    const char *name;
    const char *rule;
    struct bytes bytes;
    int status;
    bool closes;
};

extern const struct wire_case wire_head_cases[];
extern const size_t wire_head_case_count;
extern const struct wire_case wire_framing_cases[];
extern const size_t wire_framing_case_count;
