/* Engines under test: a script is played to them as the host would do it, as batches, stamps and
 * pulses. Any number of engines share the partitions. */
#pragma once

#include "../base/support.h"

#include "core/engine.h"
#include "lang/lang.h"

#include "oracle.h"

#define RIG_ENGINES_MAX 3

struct rig_options {
    uint32_t partitions;
    uint32_t engine_count;
    uint32_t batch_max;   /* events; batches are 1 to that many */
    uint32_t pulse_every; /* events, about */
    uint64_t random;      /* batches and pulses are cut by this */
    size_t dedup_bytes;
    int64_t dedup_horizon_us;
    size_t partition_bytes;
};

struct rig {
    struct rig_options options;
    uint64_t random;
    struct engine *engines[RIG_ENGINES_MAX];
    struct engine *owners[PARTITIONS_MAX];
    void *regions[RIG_ENGINES_MAX + PARTITIONS_MAX];
    uint32_t region_count;
    uint64_t position;
    uint64_t pulse_ordinal;
    uint32_t since_pulse;
    int64_t watermark;
    int64_t max_time;
    uint64_t duplicates; /* as the engines reported them */
    uint64_t late;
    uint32_t pending_count; /* events of the batch that is gathered */
    uint32_t pending_want;
    uint32_t pending[64];
};

/* Options of a quiet rig: nothing is short. */
struct rig_options rig_options(uint32_t partitions, uint32_t engine_count, uint64_t random);

void rig_init(struct rig *rig, const struct rig_options *options);
void rig_deinit(struct rig *rig);

/* Plays the steps [from, to). */
void rig_play(struct rig *rig, const struct script *script, uint32_t from, uint32_t to);

/* Sends what is gathered, then a pulse. */
void rig_pulse(struct rig *rig, const struct script *script);

/* By hand: one stamped batch (watermarks[n] is in force before event n), a definition, a pulse with
 * the rig's watermark and these lanes. */
void rig_send(struct rig *rig,
              const struct event *events,
              const int64_t *watermarks,
              uint32_t count);
void rig_send_define(struct rig *rig, const struct script_metric *metric);
void rig_send_pulse(struct rig *rig, const struct lane_state *lanes, uint32_t lane_count);

/* Another rig in the same state, by way of the saved bytes. False: they did not load. */
bool rig_copy(const struct rig *rig, uint32_t engine_count, struct rig *copy);

uint64_t rig_digest(const struct rig *rig);

/* The statement that a script's metric stands for, as a record. */
void rig_define(struct buf *out, const struct script_metric *metric);

/* The metric's place, or METRICS_MAX. */
uint32_t rig_place(const struct rig *rig, uint32_t id);

/* A whole frame of records but pulses, to all engines. */
void rig_apply(struct rig *rig, struct bytes frame);

/* How a script's numbers are written. */
void rig_source_text(char text[16], uint32_t source);
void rig_type_text(char text[16], uint32_t type);
void rig_id_text(char text[16], uint32_t id);
void rig_subject_text(char text[16], uint32_t subject);
