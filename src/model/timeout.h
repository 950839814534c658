/* Timeouts on their way: what a client asks of explicit ones (create, complete, cancel, heartbeat), or of
 * those that a rule over the stream began (all but create), as one record of the log, and what became of
 * each.
 *
 *   RECORD_TIMEOUTS body:  0       8           16      20
 *                          | clock | watermark | count | commands ... |
 *                          | i64   | i64       | u32   |
 *
 *   command:  varint length of the rest, u8 partition, u8 op (+ 128: of a rule), u8 flags, string key,
 *             [varint rule], then as the flags say: varint generation, varint version, i64 deadline,
 *             zigzag within (create) or extend (heartbeat), i64 event time, string data
 *
 * The clock is written by the one that orders the log, so "within PT15M" counts from the moment that
 * the log gives the command, live and in every replay; and so is the watermark over all lanes, by which
 * one by events is born late. The partition is a function of the key, its rule and the
 * directory's seed; it is stored, so that a thread skips the commands of other threads' partitions. */
#pragma once

#include "model/clock.h"
#include "model/record.h"

#define TIMEOUT_KEY_MAX       256
#define TIMEOUT_RULE_KEY_MAX  1024 /* of a rule's key, the text of its PER */
#define TIMEOUT_DATA_MAX      (64 * 1024)
#define TIMEOUT_COMMANDS_MAX  10000                /* of one batch */
#define TIMEOUT_WITHIN_MAX_US (36525 * US_PER_DAY) /* a hundred years */
#define TIMEOUT_HEADER_BYTES  20

enum timeout_op {
    TIMEOUT_CREATE = 1,
    TIMEOUT_COMPLETE = 2,
    TIMEOUT_CANCEL = 3,
    TIMEOUT_HEARTBEAT = 4,
};

enum timeout_clock {
    TIMEOUT_BY_PROCESSING = 0, /* the engine's clock, as pulses tell it */
    TIMEOUT_BY_EVENTS = 1,     /* the watermark over all lanes */
};

/* What a create does when the key is there already with other parameters, or ended. */
enum timeout_on_exists {
    TIMEOUT_REJECT = 0,
    TIMEOUT_RETURN = 1,  /* nothing; the answer is what is there */
    TIMEOUT_REPLACE = 2, /* a new generation in its place */
};

enum timeout_state {
    TIMEOUT_ABSENT = 0,
    TIMEOUT_PENDING = 1,
    TIMEOUT_FIRED = 2,
    TIMEOUT_COMPLETED = 3,
    TIMEOUT_CANCELLED = 4,
    TIMEOUT_COMPLETED_EARLY = 5, /* a tombstone: a create that comes later is completed at once */
    TIMEOUT_RETRACTED = 6,       /* of rules only */
};

/* As users read them. */
const char *timeout_state_name(enum timeout_state state);

struct timeout_command {
    enum timeout_op op;
    uint32_t rule; /* what this rule began of the key; 0: the explicit timeout */
    struct bytes key;
    uint32_t generation; /* 0: whichever there is; create: always 0 */
    bool has_version;    /* If-Match */
    uint64_t version;    /* 0: only if there is none */
    bool has_deadline;   /* create: else within_us counts */
    int64_t deadline;
    int64_t
        within_us; /* create: > 0 unless has_deadline; heartbeat: 0 = what it was created with */
    bool has_event_time;
    struct event_time event_time;
    enum timeout_clock clock;         /* create */
    enum timeout_on_exists on_exists; /* create */
    struct bytes data; /* create: JSON text without white space around its parts; or empty */
};

/* What one timeout is now. Times are by its own clock but for `created`, `fired` and `ended`, which are
 * the engine's. */
struct timeout_object {
    enum timeout_state state;
    enum timeout_clock clock;
    uint32_t generation; /* 1, 2, 3, ... */
    uint64_t version;    /* counts every change of the key, over all generations; its ETag */
    bool born_late;      /* its deadline had passed when it was created */
    bool held;           /* pending and due, but the engine can't tell yet: shown as "unknown" */
    bool has_within;     /* created with `within` */
    bool has_event_time;
    bool has_data; /* which is asked for by its key */
    int64_t within_us;
    int64_t deadline;
    struct event_time event_time; /* as given */
    struct clock_time created;
    struct clock_time last_seen; /* created, or the last heartbeat */
    struct clock_time ended;     /* fired, completed, cancelled or retracted */
    struct clock_time fired;     /* retracted: when it had fired */
    uint64_t decided_at;         /* log position of the record that changed it last */
};

/* The answer to one command. */
enum timeout_outcome {
    TIMEOUT_UNANSWERED = 0, /* none of this thread's partitions: another's answers */
    TIMEOUT_CREATED,        /* 201; state completed when a tombstone was there */
    TIMEOUT_CHANGED,        /* 200: completed, cancelled or extended */
    TIMEOUT_UNCHANGED, /* 200: it was so already (same create, completed twice, on_exists return) */
    TIMEOUT_EARLY,     /* 202: a tombstone was made, or is there */
    TIMEOUT_UNKNOWN,   /* 404: heartbeat for a key that is not there */
    TIMEOUT_DIFFERS,   /* 409: pending with other parameters */
    TIMEOUT_ENDED,     /* 409: completed or cancelled before */
    TIMEOUT_ALREADY_FIRED,    /* 409 */
    TIMEOUT_OTHER_GENERATION, /* 412 */
    TIMEOUT_OTHER_VERSION,    /* 412 */
    TIMEOUT_NO_ROOM,          /* 507: the budget for timeouts is used up; nothing was changed */
};

struct timeout_result {
    enum timeout_outcome outcome;
    struct timeout_object object; /* what is there now; state TIMEOUT_ABSENT: nothing */
};

/* Which partition owns a key, of explicit timeouts or of a rule. */
uint64_t timeout_hash(struct bytes key, uint64_t seed);
uint64_t timeout_rule_hash(uint32_t rule, struct bytes key, uint64_t seed);
uint32_t timeout_partition(uint64_t hash, uint32_t partitions);

/* Begins a record with `count` commands to come; then timeout_command_put for each, then record_end.
 * The clock is 0 until timeout_stamp. */
size_t timeouts_begin(struct buf *out, uint32_t count);
void timeout_command_put(struct buf *out,
                         const struct timeout_command *command,
                         uint32_t partition);
void timeouts_stamp(struct buf *out, size_t body_start, struct clock_time clock, int64_t watermark);

/* At most so many bytes does a command take. */
size_t timeout_command_bytes_max(const struct timeout_command *command);

/* Bodies back: timeouts_open, then timeouts_next until false (the end, or commands->bad). */
struct timeouts_reader {
    struct reader commands;
    struct clock_time clock;
    int64_t watermark; /* over all lanes, just before the record */
    uint32_t count;
    uint32_t index;     /* of the command returned last */
    uint32_t partition; /* its own */
    struct reader rest; /* of it */
};

bool timeouts_open(struct bytes body, struct timeouts_reader *reader);

/* The next one's partition; timeout_command_read decodes it when it is wanted. */
bool timeouts_next(struct timeouts_reader *reader);
bool timeout_command_read(struct timeouts_reader *reader, struct timeout_command *command);
