/* Tide: how far event time has come. Watches the whole order of appends, one event at a time, and
 * says what the watermark is; design: docs/ARCHITECTURE.md, "Time".
 *
 *   lane "*"       max event time - disorder, over every source that was not declared
 *   declared lane  bounded: the same for its own events; explicit: what its producer says
 *   W              the minimum over the lanes that take part; never falls
 *
 * A lane takes part from its first event (a declared one: from its declaration), until it is final,
 * or left out as idle: silent for idle_after while the engine was caught up and refused nothing,
 * and not deaf. When all lanes are idle, W follows the clock for live sources only.
 *
 * Invariants:
 *  1. A lane's watermark never falls; W never falls, but from final, when a lane is reopened or comes
 *     new: to what it was before, at the least.
 *  2. No watermark passes clock + max_future_skew.
 *  3. What tide decides is written into the log (steps and pulses); a replay reads it there. */
#pragma once

#include "base/err.h"
#include "base/stream.h"
#include "host/inspection.h"
#include "model/batch.h"

#define TIDE_DISORDER_US    (5 * US_PER_SECOND)
#define TIDE_IDLE_AFTER_US  (30 * US_PER_SECOND)
#define TIDE_FUTURE_SKEW_US (5 * US_PER_MINUTE)
#define TIDE_LIVE_WITHIN_US (10 * US_PER_MINUTE)
#define TIDE_DEAF_MAX_US    (10 * US_PER_MINUTE)
#define TIDE_LAG_SPAN_US    (5 * US_PER_MINUTE)

struct tide_lane {
    bool used;  /* lane 0 always */
    bool heard; /* ever */
    bool final;
    bool idle;
    bool deaf;
    bool dirty; /* changed since the last pulse */
    uint32_t version;
    struct source source; /* name in own memory */
    int64_t watermark;
    int64_t max_time;
    struct clock_time last_heard;
    int64_t lag_us[2]; /* largest arrival - event time of this and of the last span */
    struct clock_time lag_since;
};

struct tide {
    int64_t watermark; /* W */
    int64_t
        before_final; /* W, when it became final last; not saved: a snapshot's pulse told that W is
                             final, so the seals hold */
    uint32_t holder;  /* a lane at the minimum; LANES_MAX: none */
    uint32_t lane_count;
    struct clock_time started;
    struct clock_time refused; /* when something was refused last */
    int64_t deaf_for_us;       /* after the start */
    struct tide_lane *lanes;   /* LANES_MAX of them, touched as used */
    uint32_t *slots;           /* name hash -> lane + 1 */
    uint64_t seed;             /* of that hash */
    uint8_t *reserved_name;    /* for the next source that is declared; SOURCE_NAME_MAX bytes */
};

/* `seed` is the directory's: nobody outside can choose names that meet in one slot. */
bool tide_init(struct tide *tide, uint64_t seed);
void tide_deinit(struct tide *tide);

/* Memory for the name of a source that is declared next: false when there is none. Live work asks
 * before it writes the record; a replay takes what it needs (host/need.h). */
bool tide_reserve_name(struct tide *tide);

/* A new start at `now`, after being away since the log's last clock: all lanes are deaf. */
void tide_start(struct tide *tide, struct clock_time now, struct clock_time last_alive);

/* Stamps a batch that was just copied to the end of `frame` (record body at body_start) with W, and
 * moves the lanes by it. The frame needs BATCH_STEP_BYTES_MAX per row of room. */
void tide_stamp(struct tide *tide, struct buf *frame, size_t body_start);

/* Takes any record as it was logged: replay. */
void tide_replay(struct tide *tide, const struct record *record);

/* Applies RECORD_SOURCE, _FORGET, _LANE; live and in replay. */
void tide_apply(struct tide *tide, const struct record *record);

/* Lets the clock act: lanes fall idle, W follows the clock where it may. `clear`: caught up, and
 * nothing was refused lately. True when W rose or a lane fell idle. */
bool tide_tick(struct tide *tide, struct clock_time now, bool clear);

/* How far the clock has brought the silent live lanes; WATERMARK_NONE: there is none. */
int64_t tide_reach(const struct tide *tide, struct clock_time now);

/* A lane changed since the last pulse. */
bool tide_has_news(const struct tide *tide);

/* A lane is deaf: a pulse would say HOLD. O(lanes). */
bool tide_is_deaf(const struct tide *tide);

/* Something was refused (a full disk): silence counts from now on only. */
void tide_refused(struct tide *tide, struct clock_time now);

/* Fills a pulse with W and flags, and appends the lanes that changed. */
void tide_pulse(
    struct tide *tide, struct buf *frame, uint64_t ordinal, struct clock_time now, uint8_t flags);

/* Lane of a declared source, LANE_DEFAULT if it was not declared; "*" is LANE_DEFAULT too. */
uint32_t tide_lane_of(const struct tide *tide, struct bytes name);

/* A number for a new lane; LANES_MAX when all are taken. */
uint32_t tide_free_lane(const struct tide *tide);

/* Everything about a lane, for people. Names are borrowed. */
void tide_lane_info(const struct tide *tide, uint32_t lane, struct lane_info *info);

void tide_save(const struct tide *tide, struct writer *out);
bool tide_load(struct tide *tide, struct loader *in);
