/* Signals: what rules over the stream see in one event, on its way from the intake to the shard that
 * owns the key.
 *
 *   signal:  u8 kind, u16 place of the rule, u64 hash of (rule, key), i64 time (of the event, or its
 *            arrival), [START: i64 within], u64 frame, u32 record, u32 row, string key
 *
 * They are written as the events come and taken at the next pulse. The key is a text: that of PER, as
 * CAST(... AS TEXT) writes it; an event without one concerns nobody. */
#pragma once

#include "core/engine.h"

/* In the order in which they act at one time. */
enum signal_kind {
    SIGNAL_START = 1,
    SIGNAL_HEARTBEAT = 2,
    SIGNAL_EXPECT = 3,
    SIGNAL_CANCEL = 4,
};

struct signal {
    enum signal_kind kind;
    uint16_t rule; /* its place */
    uint64_t hash; /* of (rule, key) */
    int64_t time;
    int64_t within_us; /* START */
    struct log_place place;
    struct bytes key;
};

struct arrived {
    const struct event *event;
    const struct log_place *place;
    bool verifiable; /* else it may be a repetition: it starts nothing */
};

/* Runs all rules over a unique event of this partition. Only called when there are rules. */
void signals_match(struct engine *engine,
                   struct partition *partition,
                   const struct arrived *arrived);

/* Empties what this intake wrote for the pulse before the last: everybody has taken it. */
void signals_clear(struct engine *engine, uint32_t partition);

/* The hash of a key of a rule: chooses its shard and its slot. */
uint64_t signal_hash(const struct engine *engine, uint32_t rule_id, struct bytes key);

/* The partition that owns it. */
uint32_t signal_shard(const struct engine *engine, uint64_t hash);

/* The next of a shard's signals; false at the end, or in->bad. */
bool signal_next(struct reader *in, struct signal *signal);

int signal_place_compare(const struct log_place *a, const struct log_place *b);
