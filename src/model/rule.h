/* A rule over the stream: what lang makes of CREATE TIMEOUT and CREATE SILENCE, what the log keeps,
 * what the core runs.
 *
 *   TIMEOUT: AFTER an event of a key, EXPECT another WITHIN a time, or it fires; HEARTBEATs begin the
 *            time anew, a CANCEL ends it.
 *   SILENCE: EXPECT an event of each key EVERY so often, from its first one on; fires once for each
 *            silence that is longer.
 *
 * Conditions are programs (model/program.h), as a metric's WHERE is. The encoding (rule_put) is
 * docs/formats/definition.md. A decoded rule borrows from the bytes it was decoded from. */
#pragma once

#include "model/definition.h"
#include "model/timeout.h"

#define RULE_BYTES_MAX    DEFINITION_BYTES_MAX
#define RULE_SPAN_MIN_US  1000LL
#define RULE_SPAN_MAX_US  (3660 * US_PER_DAY) /* WITHIN, EVERY */
#define RULE_GRACE_MAX_US (366 * US_PER_DAY)
#define RULES_MAX         256

enum rule_kind {
    RULE_TIMEOUT = 1,
    RULE_SILENCE = 2,
};

enum rule_late {
    RULE_LATE_IGNORE = 0,  /* evidence after the firing is told as completed_late */
    RULE_LATE_RETRACT = 1, /* it takes the firing back */
};

struct rule {
    enum rule_kind kind;
    struct bytes name;
    struct bytes text;      /* the statement, as given */
    struct bytes after;     /* TIMEOUT: program of the start */
    struct bytes expect;    /* program */
    struct bytes heartbeat; /* TIMEOUT; empty: none */
    struct bytes cancel;    /* TIMEOUT; empty: none */
    struct bytes key;       /* program of PER */
    struct bytes
        within; /* TIMEOUT: program over the start, a number of microseconds; empty: within_us */
    int64_t within_us; /* TIMEOUT: WITHIN; SILENCE: EVERY */
    int64_t grace_us;
    enum timeout_clock clock;
    enum rule_late late;
    uint8_t source_count;
    struct bytes sources[DEFINITION_SOURCES_MAX]; /* WITH (sources = ...); none = all lanes */
};

/* Appends the encoding. The rule must be valid. */
void rule_put(struct buf *out, const struct rule *rule);

/* False when the bytes are not a rule of this version. */
bool rule_read(struct bytes encoded, struct rule *rule);

/* Every rule of the fields above holds: ranges, valid programs, what each kind must have and may not
 * have, and the encoding fits RULE_BYTES_MAX. */
bool rule_valid(const struct rule *rule);
