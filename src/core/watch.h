/* Watch: what the rules over the stream make of their signals, in one partition. A signal says "this
 * event starts / satisfies / keeps alive / cancels something of this key"; intakes find them
 * (core/signals.h), the shard that owns hash(rule, key) takes them at a pulse.
 *
 *   TIMEOUT, by events:  signals wait, by event time, until the rule's watermark W has passed them; then
 *   they act in that order alone (at equal times START, HEARTBEAT, EXPECT, CANCEL, then their places in
 *   the log), so that the order of arrival shows in nothing:
 *
 *     START ---> PENDING --- EXPECT, CANCEL with start <= t <= deadline ---> COMPLETED, CANCELLED --+
 *                 | ^  \                                                                            |
 *       HEARTBEAT +-+   +--- W > deadline + grace, no HOLD ---> FIRED ---+                          |
 *      t <= deadline: deadline = t + within                      |      |                           v
 *                 ^                                   evidence   |      +------- a day -------> (forgotten)
 *                 +------- HEARTBEAT, LATE RETRACT ----------- RETRACTED ---------------------------^
 *
 *   Evidence is a signal that comes behind what has acted already: t < horizon, the rule's W at the pulse
 *   before. Of an open instance it acts as any other. Of a fired one, when start <= t <= deadline, it
 *   takes the firing back (LATE RETRACT) or is told once as completed late. What has acted is kept until
 *   W has passed it by `grace`, for the instances that a late START opens or a late HEARTBEAT keeps alive.
 *
 *   SILENCE, by events:  a key is a row of runs, in which no two neighbours lie more than EVERY apart:
 *
 *     ----[lo ...... hi]------- > EVERY -------[lo .. hi]---->   event time
 *                      +-- deadline = hi + EVERY
 *
 *   The first run is the current one; it fires when W > deadline + grace and then gives way to the next,
 *   or waits for the next event as FIRED. Runs are a function of the set of event times, so nothing has
 *   to wait. When all lanes are final, only a deadline before the latest event time fires.
 *
 *   By the engine's clock signals act at once, in the order of the log, at their batch's arrival; an
 *   instance fires at the first pulse with clock >= deadline + grace.
 *
 * Invariants (watch_validate):
 *  1. A key is there exactly as long as it has a signal or an instance; instances of a key differ in
 *     their start. Open and ended ones are at most WATCH_PER_KEY_MAX each.
 *  2. Each pending instance is in its rule's `deadlines`, at or before deadline + grace; no other is.
 *  3. Ended instances stand in `ended` in the order in which they ended; counts[state] are exact.
 *  4. bytes = what keys, signals and instances take <= limits.bytes_max. What finds no room is counted
 *     as lost, after the ended ones that are oldest were given up for it. */
#pragma once

#include "core/due.h"
#include "core/feed.h"
#include "core/late.h"
#include "model/rule.h"

#define WATCH_KEY_MAX     TIMEOUT_RULE_KEY_MAX
#define WATCH_PER_KEY_MAX 1024
#define WATCH_SLICE       32768 /* may fire at one pulse, over all partitions */
#define WATCH_ENDED_MAX   10000000u
#define WATCH_ENDED_US    US_PER_DAY
#define WATCH_STATES      7
#define WATCH_PLACE_NONE  UINT32_MAX

/* A rule as an engine runs it. It is decoded once and borrows from `encoded`. */
struct watch_rule {
    uint32_t id; /* 0 = this place is free */
    uint32_t version;
    uint64_t position; /* of the frame that defined it */
    struct clock_time created;
    struct bytes encoded;
    struct rule rule;
    int64_t watermark; /* as of the last pulse, over its lanes, or all */
    int64_t max_time;  /* latest event time over its lanes */
    int64_t
        horizon;   /* the lower of `watermark` at the last two pulses: what is behind it is late */
    bool by_clock; /* its chosen lanes are silent, and the clock speaks for one of them */
};

struct watch_key;
struct watch_slot;
struct watch_signal;
struct watch_instance;

/* One rule's half in a partition. */
struct watch_part {
    bool silence;         /* its rule is one */
    struct due signals;   /* that wait for W, or to be forgotten */
    struct due deadlines; /* of pending instances */
    uint64_t counts[WATCH_STATES];
    uint64_t fired;     /* ever */
    uint64_t retracted; /* ever */
    uint64_t lost;      /* signals, and late re-openings, that found no room */
    uint64_t unusable;  /* at the intake: a key too long, or WITHIN no span of time */
};

struct watch_limits {
    uint32_t partitions;
    uint32_t ended_max; /* of this partition */
    size_t bytes_max;
};

struct watch_place {
    struct watch_key *key; /* NULL: free */
    uint32_t next_free;
};

struct watch {
    struct heap *heap;
    struct watch_limits limits;
    size_t bytes;
    struct watch_place *places;
    uint32_t place_count;
    uint32_t place_cap;
    uint32_t free_first;      /* WATCH_PLACE_NONE: none */
    struct watch_slot *slots; /* by hash */
    uint32_t slot_count;
    uint32_t key_count;
    struct watch_instance *ended_first;
    struct watch_instance *ended_last;
    uint64_t ended_count;
    bool more_due;                       /* the last pulse left some for the next */
    struct watch_part *parts[RULES_MAX]; /* by the rule's place; NULL = free */
};

void watch_init(struct watch *watch, struct heap *heap, struct watch_limits limits);

/* A rule comes; it goes with all that it knows. */
void watch_add_rule(struct watch *watch, uint32_t place, const struct rule *rule);
void watch_drop_rule(struct watch *watch, uint32_t place);

/* A pulse, as a watch sees it: the rules' watermarks have moved already. */
struct watch_turn {
    const struct watch_rule *rules;
    uint32_t rule_end;
    uint64_t ordinal;
    uint64_t position; /* of the pulse */
    struct clock_time clock;
    bool hold; /* by events nothing fires */
    struct feed *feed;
};

/* Takes the signals that one intake has for this partition (signal_put), in any order of intakes. */
void watch_take(struct watch *watch, const struct watch_turn *turn, struct bytes signals);

/* Then: what W has passed acts, what is due fires into the feed, what ended long ago goes. */
void watch_move(struct watch *watch, const struct watch_turn *turn);

/* A command on what the rule at `place` began of a key, its hash at hand; turn->position and clock are the
 * command's own. It concerns all pending instances, however far W is: commands are decided by the order of
 * the log. The result shows the one that started last. */
void watch_command(struct watch *watch,
                   const struct watch_turn *turn,
                   uint32_t place,
                   uint64_t hash,
                   const struct timeout_command *command,
                   struct timeout_result *result);

/* Lowers what this watch waits for (INT64_MIN: the next pulse, at once): a watermark over all lanes, one
 * over the chosen lanes that follow the clock, or the engine's clock. */
struct watch_due {
    int64_t all_lanes;
    int64_t by_clock;
    int64_t clock;
};

void watch_next_due(const struct watch *watch,
                    const struct watch_rule *rules,
                    uint32_t rule_end,
                    struct watch_due *due);

/* One instance: event_time is its start, last_seen its last sign of life, by the rule's own clock. */
struct watch_view {
    struct timeout_object object;
    struct bytes key;
};

/* The key of a rule; NULL: nothing of it is there. O(1). */
const struct watch_key *
watch_look(const struct watch *watch, uint32_t rule_place, uint64_t hash, struct bytes key);

/* Walks a rule's keys in the order of their places up to `end`: *place is where to begin and to go on. */
const struct watch_key *
watch_next(const struct watch *watch, uint32_t rule_place, uint32_t end, uint32_t *place);
struct bytes watch_text(const struct watch_key *key);

/* Walks the instances of a key, open ones first: *at begins as NULL. False at the end. */
bool watch_view_next(const struct watch_key *key,
                     const struct watch_turn *now,
                     const struct watch_instance **at,
                     struct watch_view *view);

/* The rules must be those of the engine that saved. */
void watch_save(const struct watch *watch, struct writer *out);
bool watch_load(struct watch *watch,
                const struct watch_rule *rules,
                uint32_t rule_end,
                struct loader *in);
void watch_validate(const struct watch *watch, const struct watch_rule *rules, uint32_t rule_end);
