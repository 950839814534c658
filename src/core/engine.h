/* The core as one runner sees it: the state machines of its partitions, and what all of them share.
 *
 *                records of the log, in order
 *                          |
 *        EVENTS            v              PULSE
 *   +--- intakes (one per partition) ---- flush ----> deltas[to shard] --+
 *   |    dedup, filter, panes                                            |  exchange between
 * runners |                                                                    v
 *   +--- shards (one per partition) <---- shard_apply, in the order of partitions, then time moves
 *        windows, revisions, closing
 *
 * The engine is a function of the log: no I/O, clock, randomness, malloc or threads. Any number of
 * engines may share the partitions out among them; each sees every record and keeps its own copy of
 * the small shared part (lanes, definitions, time), so results and digests do not depend on how.
 *
 * Invariants:
 *  1. Panes and signals are empty right after a pulse: a snapshot is taken only there.
 *  2. The clock and every watermark used for closing only move forward.
 *  3. accepted = unique + duplicates; and for each metric, the unique events since its definition =
 *     counted + late_corrected + late_dropped + filtered. */
#pragma once

#include "base/heap.h"
#include "base/stream.h"
#include "core/accumulate.h"
#include "core/dedup.h"
#include "core/engine_limits.h"
#include "core/lagging.h"
#include "core/lane.h"
#include "core/late.h"
#include "core/rows.h"
#include "core/timeouts.h"
#include "core/watch.h"
#include "model/batch.h"
#include "model/record.h"

#define METRICS_MAX 256

/* A metric as an engine runs it. Its definition is decoded once and borrows from `encoded`. */
struct metric {
    uint32_t id; /* 0 = this place is free */
    uint32_t version;
    uint64_t position; /* of the frame that defined it */
    struct clock_time created;
    struct bytes encoded;
    struct definition definition;
    struct accumulate_layout layout;
    int64_t watermark; /* as of the last pulse, over its lanes or all; only a reopening lowers it */
    int64_t max_time;  /* latest event time over its lanes */
    int64_t seal;      /* windows that start at or before this are final for ever */
    bool by_clock;     /* its chosen lanes are silent, and the clock speaks for one of them */
};

/* Fates of the events of one partition, for one metric. */
struct fates {
    uint64_t counted;
    uint64_t filtered;
    uint64_t late_corrected;
    uint64_t late_dropped;
};

struct window {
    int64_t start;
    struct rows rows;
};

/* One partition's half of a metric: panes on the intake side, windows on the shard side. */
struct metric_part {
    struct rows panes; /* key: i64 window start, then the group */
    struct fates fates;
    struct window *windows; /* by rising start */
    uint32_t window_count;
    uint32_t window_cap;
    uint32_t last_window; /* where the last delta went: a good first guess */
    uint64_t overflowed;  /* deltas that went to the overflow row */
    uint64_t lost;        /* deltas that found no memory at all */
};

struct partition {
    uint32_t number;
    struct heap heap;
    struct heap cold; /* with limits.timeouts_cold > 0: keys and data of timeouts */
    struct dedup dedup;
    struct late late;
    struct timeouts timeouts;
    struct feed feed;
    struct watch watch;
    uint64_t unique;
    uint64_t duplicates;
    uint64_t unverifiable;
    struct metric_part *parts[METRICS_MAX]; /* by the metric's place; NULL = free */
};

/* Deltas of one intake for one shard, between two pulses. They live in the engine's shared heap,
 * which the host sizes for the most events that it lets pass between two pulses. */
struct deltas {
    struct heap *heap;
    struct buf buf;
    struct buf signals; /* core/signals.h; in the intake's own heap */
};

struct engine {
    struct engine_limits limits;
    struct heap heap; /* of the shared part */
    struct clock_time clock;
    uint64_t pulse_ordinal;
    uint8_t pulse_flags;      /* of the last pulse */
    struct lagging lagging;   /* the episode of HOLD that goes on */
    bool waits_by_events[2];  /* [parity]: its partitions have pending timeouts by events */
    int64_t watermark;        /* over all lanes, as of the last pulse */
    int64_t finite_watermark; /* the same, but not moved by FINAL */
    uint32_t lane_count;
    uint32_t final_lanes; /* how many lanes are final */
    struct lane *lanes;
    struct metric metrics[METRICS_MAX];
    uint32_t metric_end; /* places at or above are free */
    struct watch_rule rules[RULES_MAX];
    uint32_t rule_end;
    struct partition *partitions[PARTITIONS_MAX];            /* NULL: another engine's */
    struct deltas deltas[2][PARTITIONS_MAX][PARTITIONS_MAX]; /* [parity][intake][shard] */
    struct program_scratch scratch;
    struct batch_word words[BATCH_WORDS_MAX];
    uint8_t word_lanes[BATCH_WORDS_MAX]; /* enum word_lane, of the batch at hand */
};

/* Memory: one region for the shared part, one per partition it owns; with limits.timeouts_cold > 0 another one
 * for what is seldom looked at, which the host may take to the disk and back. */
void engine_init(struct engine *engine,
                 const struct engine_limits *limits,
                 void *region,
                 size_t region_bytes);
void engine_own(struct engine *engine, uint32_t partition, void *region, size_t region_bytes);
void engine_own_cold(struct engine *engine, uint32_t partition, void *region, size_t region_bytes);

/* Empty again, in the same memory: what was being loaded broke off. */
void engine_reset(struct engine *engine);

/* What became of the events of one batch in this engine's partitions, and where to write what became
 * of commands: one result per command of the record, those of other engines' are left alone. */
struct applied {
    uint32_t duplicates;
    uint32_t late;
    struct timeout_result *results; /* NULL: nobody waits */
};

/* Takes any record but a pulse, in the order of the log. */
void engine_apply(struct engine *engine,
                  const struct record *record,
                  uint64_t frame_position,
                  struct applied *applied);

/* A pulse, first half: this engine's intakes write their deltas (parity = ordinal & 1). They stay
 * untouched until the pulse after the next. */
void engine_flush(struct engine *engine, const struct pulse *pulse);

/* Second half, when every engine has flushed: sources[p] owns intake p; NULL for who owns no partition and
 * follows only the shared part. */
void engine_pulse(struct engine *engine, const struct pulse *pulse, struct engine *const *sources);

/* The watermark at which the next window of this engine closes or becomes final; INT64_MAX: none.
 * For metrics on all lanes, or for those on chosen lanes that follow the clock now. The same for
 * timeouts: the watermark over all lanes, and the engine's clock, at which the next fires. */
struct engine_due {
    int64_t all_lanes;
    int64_t by_clock;
    int64_t clock;
};

struct engine_due engine_next_due(const struct engine *engine);

/* The hash of a group's key within a metric: chooses its shard and its slot. */
uint64_t group_hash(const struct engine *engine, uint32_t place, struct bytes group);

/* The lane of a source: its own if it was declared, else the default lane. O(lanes). */
const struct lane_state *engine_lane_of(const struct engine *engine, struct bytes source);

/* Makes lanes up to this number known, not declared. */
void engine_reach_lane(struct engine *engine, uint32_t number);

/* Counts the final lanes anew, after any lane's flags changed. */
void engine_count_finals(struct engine *engine);

struct metric *engine_metric(struct engine *engine, struct bytes name);

/* The shared part, and one partition's; each is complete in itself. At a pulse only. */
void engine_save_shared(struct engine *engine, struct writer *out);
void engine_save_partition(struct engine *engine, uint32_t partition, struct writer *out);
bool engine_load_shared(struct engine *engine, struct loader *in);
bool engine_load_partition(struct engine *engine, uint32_t partition, struct loader *in);

/* Gives a fresh engine the shared part of another. */
void engine_copy_shared(struct engine *engine, const struct engine *other);

/* A window's standing for its metric as of the last pulse. */
bool window_is_closed(const struct metric *metric, int64_t start);
bool window_is_final(const struct metric *metric, int64_t start);

/* CHECKs all invariants; slow. */
void engine_validate(const struct engine *engine);
