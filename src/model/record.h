/* What the log holds: records, each a kind and a body. Everything that can change the engine's
 * state is one of these (docs/formats/records.md).
 *
 *   record:  0        4      5       8
 *            | length | kind | zeros | body ... (length bytes)
 *
 * Decoded records borrow from the bytes that they were read from. */
#pragma once

#include "base/bytes.h"
#include "model/clock.h"

#define RECORD_HEADER_BYTES 8
#define LANE_DEFAULT        0 /* the lane "*": every source that was not declared */
#define LANES_MAX           4096
#define PARTITIONS_MAX      64
#define SOURCE_NAME_MAX     1024
#define CONSUMER_NAME_MAX   64

enum record_kind {
    RECORD_GENESIS = 1,  /* the first one: what never changes in this directory */
    RECORD_EVENTS = 2,   /* a batch of events (model/batch.h) */
    RECORD_PULSE = 3,    /* time, and the barrier between intakes and shards */
    RECORD_DEFINE = 4,   /* a metric begins to count here */
    RECORD_DROP = 5,     /* a metric ends here */
    RECORD_SOURCE = 6,   /* a source is declared, or declared anew */
    RECORD_FORGET = 7,   /* a declared source goes back to the default lane */
    RECORD_LANE = 8,     /* a producer speaks about its own watermark */
    RECORD_TIMEOUTS = 9, /* commands on explicit timeouts (model/timeout.h) */
    RECORD_RULE = 10,    /* a rule over the stream begins here (model/rule.h); as DEFINE */
    RECORD_RULE_DROP = 11,
    RECORD_CONSUMER = 12, /* a reader of the feed says how far it is */
    RECORD_ANSWER = 13,   /* an answer is kept for its Idempotency-Key (model/answer.h) */
};

struct record {
    enum record_kind kind;
    struct bytes body;
    uint32_t offset; /* of the record's header in the frame body */
};

struct genesis {
    uint32_t partitions;
    uint64_t seed; /* of every keyed hash; never shown */
    uint8_t instance[16];
    struct clock_time created;
};

enum pulse_flags {
    PULSE_HOLD = 1,     /* the engine is behind or deaf: nothing may be concluded from silence */
    PULSE_SNAPSHOT = 2, /* a snapshot is taken here; replays ignore it */
    /* Why it says HOLD; a log from before they were told has none of them. */
    PULSE_BEHIND = 4,   /* something has come and waits for its turn */
    PULSE_REFUSING = 8, /* somebody was turned away a moment ago */
    PULSE_FULL = 16,    /* the disk is full, or was a moment ago */
    PULSE_RESUMED = 32, /* the process stood still for seconds until a moment ago */
    PULSE_DEAF = 64,    /* not all sources were heard since the start */
};

#define PULSE_REASONS (PULSE_BEHIND | PULSE_REFUSING | PULSE_FULL | PULSE_RESUMED | PULSE_DEAF)

enum lane_flags {
    LANE_FINAL = 1, /* nothing will come any more */
    LANE_GONE = 2,  /* the source was forgotten */
    LANE_IDLE = 4,  /* silent, and left out of minimums */
    LANE_LIVE = 8,  /* its events come about when they happen: if idle, the clock speaks for it */
};

#define LANE_FLAGS_ALL (LANE_FINAL | LANE_GONE | LANE_IDLE | LANE_LIVE)

/* A lane as a pulse reports it. An idle live one reports what the clock says for it, each time, and
 * its own watermark again once it speaks; a final one reports its own beside the flag. */
struct lane_state {
    uint32_t lane;
    uint8_t flags; /* enum lane_flags */
    int64_t watermark;
    int64_t max_time; /* latest event time seen, or word of its producer; WATERMARK_NONE before */
};

struct pulse {
    uint64_t ordinal; /* 1, 2, 3, ... */
    struct clock_time clock;
    int64_t watermark; /* over all lanes */
    uint8_t flags;     /* enum pulse_flags */
    uint64_t position; /* of the record in the log: not encoded, whoever reads it fills it in */
    uint32_t lane_count;
    struct bytes lanes; /* encoded: read with pulse_next_lane */
};

struct define {
    uint32_t metric; /* or rule: its id, never used twice */
    uint32_t version;
    struct clock_time created;
    struct bytes definition; /* model/definition.h, or model/rule.h */
};

enum lane_kind {
    LANE_BOUNDED = 0,
    LANE_EXPLICIT = 1,
};

struct source {
    uint32_t lane;
    enum lane_kind kind;
    int64_t disorder_us;
    int64_t idle_after_us;
    int64_t max_future_skew_us;
    struct clock_time declared;
    struct bytes name;
};

enum lane_command_kind {
    LANE_ADVANCE = 0,
    LANE_FINISH = 1,
    LANE_REOPEN = 2,
};

struct lane_command {
    uint32_t lane;
    enum lane_command_kind kind;
    int64_t time; /* LANE_ADVANCE */
    struct clock_time clock;
};

/* A named reader of the feed has seen every note up to a place (core/feed.h); ordinal 0: it is forgotten. */
struct consumer {
    struct bytes name; /* 1 to CONSUMER_NAME_MAX of a-z 0-9 _ - */
    uint64_t ordinal;
    uint32_t partition;
    uint32_t number;
    struct clock_time acked; /* when it said so */
};

/* Begins a record and returns where its body starts; record_end sets its length. */
size_t record_begin(struct buf *out, enum record_kind kind);
void record_end(struct buf *out, size_t body_start);

/* The next record of a frame body; false at its end. A frame that is not a sequence of whole
 * records of known kinds sets frame->bad. */
bool record_next(struct reader *frame, const uint8_t *frame_begin, struct record *record);

/* Whole records. */
void genesis_put(struct buf *out, const struct genesis *genesis);
void define_put(struct buf *out, const struct define *define);
void drop_put(struct buf *out, uint32_t metric);
void rule_define_put(struct buf *out, const struct define *define); /* read by define_read */
void rule_drop_put(struct buf *out, uint32_t rule);                 /* read by drop_read */
void source_put(struct buf *out, const struct source *source);
void forget_put(struct buf *out, uint32_t lane);
void lane_command_put(struct buf *out, const struct lane_command *command);
void consumer_put(struct buf *out, const struct consumer *consumer);

/* pulse_begin, then lane_put for each lane that changed, then record_end. */
size_t pulse_begin(struct buf *out, const struct pulse *pulse);
void pulse_put_lane(struct buf *out, const struct lane_state *lane);

/* Bodies back; false when they are not what they should be. */
bool genesis_read(struct bytes body, struct genesis *genesis);
bool pulse_read(struct bytes body, struct pulse *pulse);
bool pulse_next_lane(struct reader *lanes, struct lane_state *lane);
bool define_read(struct bytes body, struct define *define);
bool drop_read(struct bytes body, uint32_t *metric);
bool source_read(struct bytes body, struct source *source);
bool forget_read(struct bytes body, uint32_t *lane);
bool lane_command_read(struct bytes body, struct lane_command *command);
bool consumer_read(struct bytes body, struct consumer *consumer);
bool consumer_name_valid(struct bytes name);
