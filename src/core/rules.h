/* The rules of an engine: coming, going, and where their time stands. */
#pragma once

#include "core/engine.h"

/* Takes a rule on (a RECORD_RULE); it sees events from the next record on. */
void rules_define(struct engine *engine, const struct define *define, uint64_t frame_position);

/* Forgets a rule with all its instances; what it told stays in the feed. */
void rules_drop(struct engine *engine, uint32_t id);

/* After a pulse was read: each rule's watermark, latest time and horizon. */
void rules_move(struct engine *engine);

/* Whether there is a rule by the event clock. */
bool rules_wait_by_events(const struct engine *engine);

/* The rule of that name; NULL: none. */
struct watch_rule *engine_rule(struct engine *engine, struct bytes name);

/* The pulse, for one partition: takes the signals of all intakes, then moves. */
void rules_pulse(struct engine *engine,
                 struct partition *partition,
                 const struct pulse *pulse,
                 struct engine *const *sources);

/* A command on what a rule began, in the partition that owns it. What a rule that is gone began is gone. */
void rules_command(const struct engine *engine,
                   struct partition *partition,
                   const struct timeout_command *command,
                   const struct timeouts_moment *moment,
                   struct timeout_result *result);

/* Reading between pulses: how things stood at the last one. */
struct watch_turn rules_now(const struct engine *engine);

/* Lowers *due to what a partition's rules wait for. */
void rules_next_due(const struct engine *engine,
                    const struct partition *partition,
                    struct engine_due *due);

/* The table as bytes; a fresh engine's from another's. Parts of partitions come by watch_load. */
void rules_save(const struct engine *engine, struct writer *out);
bool rules_load(struct engine *engine, struct loader *in);
void rules_copy(struct engine *engine, const struct engine *other);
