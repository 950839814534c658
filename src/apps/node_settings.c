/* See node_settings.h. */
#include "apps/node_settings.h"

#include "base/failpoint.h"

struct node_options node_settings(const struct settings *settings)
{
    struct node_options options = {
        .partitions = (uint32_t)setting_number(settings, OPTION_PARTITIONS),
        .runners = (uint32_t)setting_number(settings, OPTION_THREADS),
        .memory_bytes = (uint64_t)setting_number(settings, OPTION_MEMORY),
        .payload_bytes = (uint64_t)setting_number(settings, OPTION_PAYLOAD_MEMORY),
        .pulse_every_us = setting_number(settings, OPTION_PULSE_EVERY),
        .dedup_horizon_us = setting_number(settings, OPTION_DEDUP_HORIZON),
        .dedup_bytes = (uint64_t)setting_number(settings, OPTION_DEDUP_MEMORY),
        .retain_events_us = setting_number(settings, OPTION_RETAIN_EVENTS),
        .retain_events_bytes = (uint64_t)setting_number(settings, OPTION_RETAIN_EVENTS_BYTES),
        .segment_bytes = (uint64_t)setting_number(settings, OPTION_SEGMENT_BYTES),
        .snapshot_every_bytes = (uint64_t)setting_number(settings, OPTION_SNAPSHOT_EVERY),
    };
    options.segment_bytes =
        failpoint_setting("TIDEMARK_HOSTILE_SEGMENT_BYTES", options.segment_bytes);
    options.snapshot_every_bytes =
        failpoint_setting("TIDEMARK_HOSTILE_SNAPSHOT_BYTES", options.snapshot_every_bytes);
    options.retain_events_bytes =
        failpoint_setting("TIDEMARK_HOSTILE_RETAIN_BYTES", options.retain_events_bytes);
    options.snapshot_in_process = failpoint_setting("TIDEMARK_HOSTILE_IN_PROCESS", 0) != 0;
    return options;
}
