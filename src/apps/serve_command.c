/* tidemark serve, from its options. */
#include "apps/commands.h"
#include "apps/serve.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES_MAX 256

/* "127.0.0.1:7070" or "[::1]:7070" into its parts. */
static bool split_listen(const char *listen, char *host, uint16_t *port)
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || colon == listen || colon - listen >= HOST_BYTES_MAX) {
        return false;
    }
    uint64_t number;
    if (!u64_parse(bytes_of_string(colon + 1), &number) || number > UINT16_MAX) {
        return false;
    }
    memcpy(host, listen, (size_t)(colon - listen));
    host[colon - listen] = '\0';
    *port = (uint16_t)number;
    return true;
}

int serve_command(const struct command *command)
{
    const struct settings *settings = command->settings;
    char host[HOST_BYTES_MAX];
    uint16_t port;
    if (command->argument_count > 0) {
        (void)fprintf(stderr, "tidemark: serve takes no argument: %s\n", command->arguments[0]);
        return EXIT_CODE_USAGE;
    }
    if (!split_listen(setting_text(settings, OPTION_LISTEN), host, &port)) {
        (void)fprintf(stderr,
                      "tidemark: --listen %s is not HOST:PORT, as in 127.0.0.1:7070\n",
                      setting_text(settings, OPTION_LISTEN));
        return EXIT_CODE_USAGE;
    }
    uint32_t threads = (uint32_t)setting_number(settings, OPTION_THREADS);
    const struct setting_texts *hosts = &settings->texts[OPTION_ALLOWED_HOST];
    struct serve_options options = {
        .node =
            {
                .directory = setting_text(settings, OPTION_SERVE_DATA),
                .partitions = (uint32_t)setting_number(settings, OPTION_PARTITIONS),
                .runners = threads,
                .memory_bytes = (uint64_t)setting_number(settings, OPTION_MEMORY),
                .pulse_every_us = setting_number(settings, OPTION_PULSE_EVERY),
                .dedup_horizon_us = setting_number(settings, OPTION_DEDUP_HORIZON),
                .dedup_bytes = (uint64_t)setting_number(settings, OPTION_DEDUP_MEMORY),
                .retain_events_us = setting_number(settings, OPTION_RETAIN_EVENTS),
                .retain_events_bytes =
                    (uint64_t)setting_number(settings, OPTION_RETAIN_EVENTS_BYTES),
                .snapshot_every_bytes = (uint64_t)setting_number(settings, OPTION_SNAPSHOT_EVERY),
            },
        .host = host,
        .port = port,
        .network_threads = threads,
        .allowed_hosts = hosts->items,
        .allowed_host_count = hosts->count,
        .drain_timeout_us = setting_number(settings, OPTION_DRAIN_TIMEOUT),
    };
    return serve_run(&options);
}
