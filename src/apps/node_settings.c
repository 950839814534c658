/* See node_settings.h. */
#include "apps/node_settings.h"

struct node_options node_settings(const struct settings *settings)
{
    return (struct node_options){
        .partitions = (uint32_t)setting_number(settings, OPTION_PARTITIONS),
        .runners = (uint32_t)setting_number(settings, OPTION_THREADS),
        .memory_bytes = (uint64_t)setting_number(settings, OPTION_MEMORY),
        .pulse_every_us = setting_number(settings, OPTION_PULSE_EVERY),
        .dedup_horizon_us = setting_number(settings, OPTION_DEDUP_HORIZON),
        .dedup_bytes = (uint64_t)setting_number(settings, OPTION_DEDUP_MEMORY),
        .retain_events_us = setting_number(settings, OPTION_RETAIN_EVENTS),
        .retain_events_bytes = (uint64_t)setting_number(settings, OPTION_RETAIN_EVENTS_BYTES),
        .segment_bytes = (uint64_t)setting_number(settings, OPTION_SEGMENT_BYTES),
        .snapshot_every_bytes = (uint64_t)setting_number(settings, OPTION_SNAPSHOT_EVERY),
    };
}
