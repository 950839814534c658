/* What threads say to each other: letters, handed over through mailboxes (host/post.h).
 *
 * A letter belongs to whoever holds it. A question goes to one thread, is answered in place and
 * comes back to the thread it came from, which calls `done`. So memory is allocated and freed by
 * the asking side, and nobody shares anything.
 *
 *     network thread --propose--> sequencer --(frame durable)--> back: done
 *                    --inspect--> sequencer --> back: done
 *                    --claim----> sequencer --> back: done
 *                    --query----> every runner -> back: done (once each)
 *                    --scan-----> librarian --> back: done
 *     sequencer      --frame----> every runner --> back: frame is free
 *     runner         --ready----> every other runner (the pulse barrier) */
#pragma once

#include "base/err.h"
#include "model/clock.h"
#include "model/record.h"

#define RUNNERS_MAX  16
#define DETAIL_BYTES 200

enum letter_kind {
    LETTER_PROPOSAL,
    LETTER_INSPECTION,
    LETTER_CLAIM,
    LETTER_QUERY,
    LETTER_SCAN,
    LETTER_FRAME,
    LETTER_READY,
    LETTER_APPLIED,
    LETTER_SKEWS,
    LETTER_PARK,    /* runner -> sequencer: stands still at a snapshot's pulse */
    LETTER_RELEASE, /* sequencer -> runner: go on */
};

struct letter {
    enum letter_kind kind;
    uint32_t from; /* the asking thread's number at the post; set by post_send */
    void (*done)(struct letter *letter);
    void *user;
};
