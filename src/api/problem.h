/* Refusals in one form: application/problem+json (RFC 9457). */
#pragma once

#include "api/call.h"

struct problem {
    enum err err;
    const char *detail;  /* "" or NULL: none */
    struct bytes member; /* which member or parameter is to blame */
    int line;            /* > 0: where, in a text */
    int column;
    const char *hint;   /* "" or NULL: none */
    struct bytes extra; /* more members as JSON text, without braces */
    const char *allow;  /* 405: the methods */
    bool close;
};

/* Appends the body. */
void problem_put(struct out *out, const struct problem *problem);

/* Answers the call with it (once; a call that nobody waits for ignores it). */
void call_refuse(struct call *call, const struct problem *problem);

/* The short forms. detail may be NULL. */
void call_fail(struct call *call, enum err err, const char *detail);
void call_fail_member(struct call *call, enum err err, struct bytes member, const char *detail);
