/* /v1/timeouts: commands on explicit timeouts, one at a time or as a batch, and what is there. */
#pragma once

#include "api/call.h"
#include "model/timeout.h"

#define TIMEOUT_BODY_BYTES_MAX  ((uint64_t)256 * 1024)
#define TIMEOUT_BATCH_BYTES_MAX ((uint64_t)8 * 1024 * 1024)

void timeouts_create(struct call *call);
void timeouts_complete(struct call *call);
void timeouts_cancel(struct call *call);
void timeouts_heartbeat(struct call *call);
void timeouts_batch(struct call *call);
void timeouts_get(struct call *call);
void timeouts_list(struct call *call);
void timeouts_count(struct call *call);
void timeouts_due(struct call *call);

/* GET /v1/timeouts/{key}?rule=name: a rule's instances of the key. */
void timeout_instances_get(struct call *call, struct bytes rule);

/* Answers what the runners refused, if they did: *err, of a question that may name a rule. */
bool timeout_query_refused(struct call *call);

/* Which partition owns a key. */
uint32_t timeouts_partition(const struct call *call, struct bytes key);

/* NULL is ignored. */
struct timeout_batch;
void timeout_batch_destroy(struct timeout_batch *batch, struct budget *held);
struct timeout_page;
void timeout_page_destroy(struct timeout_page *page);
