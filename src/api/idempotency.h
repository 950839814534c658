/* Requests that may be repeated: the Idempotency-Key of a write (draft-ietf-httpapi-idempotency-key-header).
 *
 *   head ─► KEY_ASKED ──claim──► KEY_HELD ──answer──► KEY_STORING ──durable──► KEY_DONE, answered
 *              │                    │                      │
 *              │                    └─ not to be kept ──► KEY_LOOSE ─ given back ─► KEY_DONE
 *              └─ kept before: answered with that; in use, or of another request: refused ─► KEY_DONE
 *
 * Invariants:
 *  1. While a claim is held the call goes on, also when nobody waits for its answer any more: the one
 *     who repeats it is to get it.
 *  2. An answer is sent after it is durable, so whoever has seen it gets the same again, also after a crash.
 *  3. A claim is given back, or ended by its answer, before its call is freed.
 *  4. Requests without the header meet none of this. */
#pragma once

#include "api/call.h"

/* Reads the header of a write, before what depends on whether there is one. False: it can't be a key, and
 * the call was answered. */
bool idempotency_head(struct call *call, const struct http_request *request);

/* Runs the call's route: at once, or when its key has been claimed. */
void idempotency_run(struct call *call);

/* True while the call's answer is wanted for those who will repeat it. */
bool idempotency_owes(const struct call *call);

/* call_answer asks first. True: the answer, with api->out as its body, was taken, is stored, and then
 * sent. */
bool idempotency_keeps(struct call *call, const struct answer *answer);

/* Before the call is freed. True: not yet, a claim has to be given back. */
bool idempotency_lingers(struct call *call);

void idempotency_destroy(struct call *call);
