/* What the sequencer tells about itself: copies, so that the answer outlives the moment. */
#include "base/check.h"
#include "host/sequencer.h"

#include <stdlib.h>

/* The list's entries, or the one that is asked for; NULL: there is no memory for them. */
static struct metric_info *
copy_list(const struct catalog_list *list, struct inspection *inspection, size_t *count)
{
    size_t text = 0;
    for (uint32_t n = 0; n < list->count; n++) {
        text += list->entries[n].info.definition.len;
    }
    size_t table = list->count * sizeof(struct metric_info);
    uint8_t *memory = malloc(table + text + 1);
    if (memory == NULL) {
        inspection->err = ERR_UNAVAILABLE;
        return NULL;
    }
    inspection->memory = memory;
    struct metric_info *infos = (struct metric_info *)(void *)memory;
    uint8_t *at = memory + table;
    for (uint32_t n = 0; n < list->count; n++) {
        const struct catalog_entry *entry = &list->entries[n];
        if (inspection->name.data != NULL && !bytes_equal(entry->name, inspection->name)) {
            continue;
        }
        struct metric_info *info = &infos[(*count)++];
        *info = entry->info;
        memcpy(at, entry->definition, info->definition.len);
        info->definition.data = at;
        at += info->definition.len;
    }
    return infos;
}

static void inspect_metrics(struct sequencer *sequencer, struct inspection *inspection)
{
    inspection->metrics =
        copy_list(&sequencer->catalog.metrics, inspection, &inspection->metric_count);
    if (inspection->metrics != NULL && inspection->name.data != NULL &&
        inspection->metric_count == 0) {
        inspection->err = ERR_UNKNOWN_METRIC;
    }
}

static void inspect_rules(struct sequencer *sequencer, struct inspection *inspection)
{
    inspection->rules = copy_list(&sequencer->catalog.rules, inspection, &inspection->rule_count);
    if (inspection->rules != NULL && inspection->name.data != NULL && inspection->rule_count == 0) {
        inspection->err = ERR_UNKNOWN_RULE;
    }
}

static void inspect_lanes(struct sequencer *sequencer, struct inspection *inspection)
{
    const struct tide *tide = &sequencer->tide;
    size_t text = 0;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        text += tide->lanes[n].source.name.len;
    }
    size_t table = tide->lane_count * sizeof(struct lane_info);
    uint8_t *memory = malloc(table + text + 1);
    if (memory == NULL) {
        inspection->err = ERR_UNAVAILABLE;
        return;
    }
    inspection->memory = memory;
    inspection->lanes = (struct lane_info *)(void *)memory;
    uint8_t *at = memory + table;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        const struct tide_lane *lane = &tide->lanes[n];
        bool wanted =
            inspection->name.data == NULL || bytes_equal(lane->source.name, inspection->name);
        if (!lane->used || !wanted) {
            continue;
        }
        struct lane_info *info = &inspection->lanes[inspection->lane_count++];
        tide_lane_info(tide, n, info);
        memcpy(at, info->name.data, info->name.len);
        info->name.data = at;
        info->source.name.data = at;
        at += info->name.len;
    }
    if (inspection->name.data != NULL && inspection->lane_count == 0) {
        inspection->err = ERR_UNKNOWN_SOURCE;
    }
}

static void inspect_consumers(struct sequencer *sequencer, struct inspection *inspection)
{
    const struct consumers *consumers = &sequencer->consumers;
    size_t table = consumers->count * sizeof(struct consumer_info);
    uint8_t *memory = malloc(table + (size_t)consumers->count * CONSUMER_NAME_MAX + 1);
    if (memory == NULL) {
        inspection->err = ERR_UNAVAILABLE;
        return;
    }
    inspection->memory = memory;
    inspection->consumers = (struct consumer_info *)(void *)memory;
    uint8_t *at = memory + table;
    for (uint32_t n = 0; n < consumers->count; n++) {
        const struct consumer_entry *entry = &consumers->entries[n];
        struct bytes name = bytes_of(entry->name, entry->info.name.len);
        if (inspection->name.data != NULL && !bytes_equal(name, inspection->name)) {
            continue;
        }
        struct consumer_info *info = &inspection->consumers[inspection->consumer_count++];
        *info = entry->info;
        memcpy(at, name.data, name.len);
        info->name.data = at;
        at += name.len;
    }
}

void sequencer_inspect(struct sequencer *sequencer, struct inspection *inspection)
{
    struct log_status status;
    sequencer->options.log.ops->status(sequencer->options.log.ctx, &status);
    inspection->watermark = sequencer->tide.watermark;
    inspection->log_oldest = status.oldest;
    inspection->log_durable_end = status.durable_end;
    inspection->log_bytes = status.bytes_on_disk;
    inspection->log_segments = status.segment_count;
    inspection->log_full = status.full;
    inspection->slow_writes = sequencer->slow_writes;
    if (sequencer->options.steady != NULL) {
        const struct steady *steady = sequencer->options.steady;
        inspection->clock_steps = atomic_load_explicit(&steady->steps, memory_order_relaxed);
        inspection->clock_ahead_us = steady_ahead_us(steady);
    }
    inspection->snapshot_position = sequencer->attempt.last_position;
    inspection->snapshot_taken = sequencer->attempt.last_taken;
    const struct snapshot_port *snapshots = &sequencer->options.snapshot;
    const struct payload_port *payloads = &sequencer->options.payloads;
    inspection->payloads =
        payloads->stats == NULL ? (struct payload_stats){0} : payloads->stats(payloads->ctx);
    inspection->snapshots_damaged = snapshots->ops->damaged(snapshots->ctx);
    inspection->frames = sequencer->frame_count;
    inspection->pulses = sequencer->pulse_ordinal;
    inspection->events = sequencer->event_count;
    inspection->answers_kept = sequencer->answers.count;
    inspection->answers_bytes = sequencer->answers.bytes;
    inspection->answers_in_use = sequencer->answers.in_use;
    inspection->answers_taken = sequencer->answers.taken;
    inspection->answers_gone = sequencer->answers.gone;
    inspection->answers_replays = sequencer->answers.replays;
    switch (inspection->kind) {
    case INSPECT_METRICS:
        inspect_metrics(sequencer, inspection);
        break;
    case INSPECT_LANES:
        inspect_lanes(sequencer, inspection);
        break;
    case INSPECT_CONSUMERS:
        inspect_consumers(sequencer, inspection);
        break;
    case INSPECT_RULES:
        inspect_rules(sequencer, inspection);
        break;
    case INSPECT_STATUS:
        break;
    }
}
