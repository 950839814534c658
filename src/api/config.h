/* Small JSON objects with known members: configuration and commands. */
#pragma once

#include "api/call.h"

/* What is said of a text that is no such time. */
#define TIME_ADVICE "it must be an RFC 3339 date and time with an offset, within the years 1-9999"

struct config_member {
    const char *name;
    bool is_bool; /* else a string */
    bool given;
    struct bytes text; /* of a string, in the call's memory */
    bool value;
};

/* Reads the call's whole body. Not JSON, or a member twice: 400; no object, a member that is unknown or of
 * the wrong type: 422, the member named. False: the call was answered. */
bool config_read(struct call *call, struct config_member *members, size_t count);

/* An ISO 8601 duration in [0, max_us], if the member was given: else 422, named. */
bool config_duration(struct call *call,
                     const struct config_member *member,
                     int64_t max_us,
                     int64_t *us);

/* An RFC 3339 time, if the member was given: else 422, named. Unlike that of an event, which CloudEvents
 * makes malformed without a right time (400), this text is one that is well-formed but of no use. */
bool config_time(struct call *call, const struct config_member *member, int64_t *us);

/* The same of a query parameter. */
bool config_time_param(struct call *call, const char *name, int64_t *us);

/* What If-Match and If-None-Match say. False: answered (412: nothing here has such a tag; 422). */
bool config_condition(struct call *call, struct condition *condition);

/* The parameter `dry_run` (false when absent). False: answered with 422. */
bool config_dry_run(struct call *call, bool *dry_run);

/* Proposes the definition of what the path names, under its condition; `then` has the outcome. */
void config_define(struct call *call,
                   enum proposal_kind kind,
                   struct bytes definition,
                   void (*then)(struct call *call));

/* Proposes to drop what the path names, under its condition, and answers with 204. */
void config_drop(struct call *call, enum proposal_kind kind);
