/* Every route of the API, in one table: what is dispatched, refused, and described in
 * /openapi.json. */
#pragma once

#include "api/call.h"

enum body_kind {
    BODY_NONE,
    BODY_JSON,     /* application/json */
    BODY_SQL,      /* text/plain, or application/json {"sql": ...} */
    BODY_COMMAND,  /* application/json, or nothing */
    BODY_COMMANDS, /* application/x-ndjson */
    BODY_EVENTS,   /* CloudEvents in all their forms; streamed */
};

struct route {
    enum http_method method;
    const char *path;               /* one segment may be {name} */
    void (*run)(struct call *call); /* when the body is complete */
    const char *params;             /* names, space separated; a last "*" allows any others */
    enum body_kind body;
    uint64_t body_max;
    bool while_starting; /* answers also when the engine does not */
    const char *summary;
};

extern const struct route routes[];
extern const size_t route_count;

/* What a request's path and method lead to. */
struct route_match {
    const struct route *route; /* NULL: unknown path, or no such method on it */
    struct bytes name;         /* still percent-encoded */
    bool path_known;
    char allow[64]; /* the methods of this path */
};

void route_find(struct bytes path, enum http_method method, struct route_match *match);

/* True when it changes something, and so honours an Idempotency-Key. */
static inline bool route_takes_key(const struct route *route)
{
    return route->method != HTTP_GET;
}

/* True when the route takes a parameter of that name. */
bool route_takes(const struct route *route, struct bytes param);
