/* What becomes of one instance of a rule over the stream, as the contract says it: all signs of its key
 * are known, and looked at one by one. The oracle (oracle_rules.c) walks the log and asks it. */
#pragma once

#include "sim/history.h"

/* In the order in which they count at one time. */
enum sign_kind {
    SIGN_START,
    SIGN_HEARTBEAT,
    SIGN_EXPECT,
    SIGN_CANCEL,
    SIGN_KINDS,
};

/* A unique event, as one part of a rule looks at it. */
struct sign {
    enum sign_kind kind;
    uint32_t key;
    int64_t time;    /* by the rule's clock: its own, or that of its arrival */
    int64_t span_us; /* of a start: how long to wait */
    size_t order;    /* in the log */
    size_t pulse;    /* the first one behind it in the log */
};

struct told_pulse {
    uint64_t ordinal;
    uint64_t position;
    int64_t watermark;
    int64_t clock;
    bool hold;
};

/* All signs of a key, while its rule was there. */
struct rule_life {
    const struct rule_recipe *rule;
    const struct told_pulse *pulses;
    size_t pulse_end; /* from there on the rule is gone, or the log ends */
    const struct sign *const *by_order;
    const struct sign *const *by_time; /* then by kind, then by order */
    size_t count;
};

#define RULE_NOTES_MAX 32
#define NO_PULSE       SIZE_MAX

struct rule_note {
    enum note_kind kind;
    size_t pulse;
    size_t fired; /* the pulse of the firing that it is, or is about */
    int64_t deadline;
    int64_t last_seen;
};

/* What became of an instance. */
struct rule_fate {
    enum timeout_state state;
    int64_t deadline;
    int64_t last_seen;
    int64_t end;     /* the time of what met or cancelled it */
    size_t ended_at; /* the pulse by which it was known; NO_PULSE: it is pending */
    bool taken;      /* back, once at least */
    uint32_t extended;
    uint32_t note_count;
    struct rule_note notes[RULE_NOTES_MAX];
    bool open; /* from here on the contract leaves it open: nothing of this is sure */
};

/* Up to the pulse `last` (< pulse_end). By events, what lies at or before W less `slack_us` there has
 * acted; the rest is known and waits. */
void rule_follow(const struct rule_life *life,
                 const struct sign *start,
                 size_t last,
                 int64_t slack_us,
                 struct rule_fate *fate);

/* It came behind W, and what would have met it had acted already and may be forgotten; or a silence's. */
bool rule_start_is_open(const struct rule_life *life, const struct sign *start);
