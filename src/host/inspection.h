/* Inspections: what the sequencer knows (metrics, sources, watermark, log), copied out. */
#pragma once

#include "core/feed.h"
#include "host/letter.h"
#include "ports/payloads.h"

enum inspection_kind {
    INSPECT_METRICS, /* all, or the one in `name` (ERR_UNKNOWN_METRIC) */
    INSPECT_LANES,   /* sources and watermark; or the one in `name` (ERR_UNKNOWN_SOURCE) */
    INSPECT_STATUS,
    INSPECT_CONSUMERS, /* of the feed: all, or the one in `name`; none of that name: consumer_count 0 */
    INSPECT_RULES,     /* all, or the one in `name` (ERR_UNKNOWN_RULE) */
};

struct consumer_info {
    struct bytes name;
    struct feed_place place; /* has seen all up to here */
    struct clock_time acked; /* said so then, by the engine's clock */
};

/* Of a metric, or of a rule in the same way. */
struct metric_info {
    uint32_t metric; /* id */
    uint32_t version;
    struct clock_time created;
    uint64_t position;       /* counts from here */
    struct bytes definition; /* encoded */
};

enum hold_reason {
    HOLD_NONE,
    HOLD_NO_EVENT, /* "no event yet" */
    HOLD_SLOW,
    HOLD_EXPLICIT,
    HOLD_DEAF,
};

struct lane_info {
    struct bytes name;
    struct source source; /* as declared; lane 0: the default's settings */
    uint32_t version;
    int64_t watermark; /* or WATERMARK_NONE, WATERMARK_FINAL */
    int64_t max_time;
    struct clock_time last_heard; /* 0: never */
    int64_t recent_lag_us;
    bool heard;
    bool idle;
    bool deaf;
    bool live;
    bool holds;           /* holds the watermark back now */
    enum hold_reason why; /* when it holds */
};

struct inspection {
    struct letter letter;
    enum inspection_kind kind;
    struct bytes name; /* borrowed until done; data NULL = all */
    bool owed;         /* it tells of a change that was done: never refused as one too many */

    /* The answer; texts live in `memory`. inspection_free releases it. */
    enum err err;
    int64_t watermark; /* over all lanes */
    struct metric_info *metrics;
    size_t metric_count;
    struct metric_info *rules;
    size_t rule_count;
    struct lane_info *lanes;
    size_t lane_count;
    struct consumer_info *consumers; /* by name */
    size_t consumer_count;
    uint64_t log_oldest;
    uint64_t log_durable_end;
    uint64_t log_bytes;
    uint64_t log_segments;
    bool log_full;
    uint64_t slow_writes;       /* of the log: they took a second or more */
    uint64_t clock_steps;       /* of the wall clock, seen since the start */
    int64_t clock_ahead_us;     /* the engine's clock - the wall clock */
    uint64_t snapshot_position; /* of the newest; UINT64_MAX: none yet */
    struct clock_time snapshot_taken;
    uint64_t snapshots_damaged; /* found so since the start */
    struct payload_stats payloads;
    uint64_t frames;
    uint64_t pulses;
    uint64_t events;
    uint64_t answers_kept; /* for repeated requests, now */
    uint64_t answers_bytes;
    uint64_t answers_in_use; /* keys whose request is being worked on */
    uint64_t answers_taken;  /* kept, forgotten and told again since the start */
    uint64_t answers_gone;
    uint64_t answers_replays;
    void *memory;
};

void inspection_free(struct inspection *inspection);
