/* tidemark serve: the engine behind HTTP. */
#pragma once

#include "apps/node.h"

struct serve_options {
    struct node_options node; /* gateways: set by serve_run to network_threads */
    const char *host;
    uint16_t port;
    uint32_t network_threads; /* 0: one per core */
    const char *const *allowed_hosts;
    size_t allowed_host_count;
    int64_t drain_timeout_us; /* 0: 10 s */
};

/* Serves until SIGTERM or SIGINT, then drains. Returns the process's exit code; whatever kept it
 * from starting was said on stderr in a sentence. */
int serve_run(const struct serve_options *options);
