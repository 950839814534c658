/* The engine's side of gateway.h: what the network thread's loop does with it. */
#pragma once

#include "host/gateway.h"
#include "host/post.h"

/* Questions under way from one network thread, so that they leave room for events. Deep: those whose
 * answers may take up to READ_BYTES_MAX of each runner. */
#define GATEWAY_QUERIES_MAX      256
#define GATEWAY_DEEP_QUERIES_MAX 4
#define GATEWAY_DEEP_ROWS        100000 /* to select, skipped ones included */
#define GATEWAY_SCANS_MAX        32

struct gateway_options {
    struct post *post;
    uint32_t thread; /* number of the network thread */
    struct clock_port clock;
    struct gateway_facts facts;
    struct gateway **peers; /* of all network threads, filled in before they start */
    uint32_t peer_count;
    size_t bytes_max; /* of events under way */
    uint32_t letters_max;
};

struct gateway *gateway_create(const struct gateway_options *options);
void gateway_destroy(struct gateway *gateway);

/* Takes what came back and calls the `done`s; false when there was nothing. */
bool gateway_step(struct gateway *gateway);

/* From now on everything is refused with ERR_UNAVAILABLE (drain). */
void gateway_close(struct gateway *gateway);

/* Letters that were sent and are not back. */
uint32_t gateway_under_way(const struct gateway *gateway);
