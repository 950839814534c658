/* POST /v1/events: CloudEvents in all their forms, into the log. */
#pragma once

#include "api/call.h"

#define INGEST_BATCH_BYTES_MAX (8ull * 1024 * 1024)
#define INGEST_CHUNKS_MAX      4 /* under way at once, per request */

/* In head, behind idempotency_head: which form it is, and what it may cost; lines with a key don't stream,
 * as their request must be known as a whole. False: the call was answered. */
bool ingest_head(struct call *call, const struct http_request *request);

/* The body is a stream of lines, to be handed to ingest_part as it comes (else: gathered). */
bool ingest_streams(const struct call *call);
void ingest_part(struct call *call, struct bytes part);

/* Of the fields that tell what the body is, in whatever order they came: Content-Type, ce-*. */
uint64_t ingest_fields_hash(const struct http_request *request, uint64_t seed);

/* The body is complete: the route's handler. */
void ingest_run(struct call *call);

/* The peer went away: of a stream, the complete lines still count. */
void ingest_gone(struct call *call);

/* Now and then: sends on what a slow stream has gathered, and what the engine refused to take. */
void ingest_tick(struct call *call);

/* Gives back what it took of the budget. NULL is ignored. */
void ingest_destroy(struct ingest *ingest, struct budget *held);
