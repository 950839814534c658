/* Claims: a request that came with an Idempotency-Key asks for the right to be done. The sequencer
 * says: yes (nobody else is then, until the claim is given back or its answer kept), or that it was
 * done before, and how it was answered. Nothing of it enters the log. */
#pragma once

#include <stdatomic.h>

#include "host/letter.h"
#include "model/answer.h"

enum claim_kind {
    CLAIM_TAKE,
    CLAIM_GIVE_BACK, /* what was asked for is not to be kept */
};

struct claim {
    struct letter letter;
    enum claim_kind kind;
    struct bytes key;           /* borrowed until done */
    struct fingerprint request; /* TAKE */

    /* The outcome of TAKE: ERR_KEY_REUSED, ERR_KEY_IN_USE, ERR_UNAVAILABLE (no memory), ERR_OVERLOADED (too
     * many copies on their way); or OK, and the claim is held unless there is an answer: the body of its
     * record. claim_free releases it. */
    enum err err;
    struct bytes answer;
    _Atomic size_t *lent; /* the engine's count of such copies; NULL: there is none */
};

void claim_free(struct claim *claim);
