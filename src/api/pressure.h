/* Pressure: when one network thread refuses, so that what it takes is answered soon.
 *
 * What a thread can't serve at once waits in its sockets, where no queue of ours sees it. So each
 * request carries how long it waited since the loop saw it. A long wait now and then is a burst that
 * a queue is there for; waits that stay long, turn after turn, are a queue that only costs:
 *
 *              each turn has a wait > PRESSURE_TARGET, for PRESSURE_PATIENCE on end
 *     CALM ------------------------------------------------------------------------> PRESSED
 *          <------------------------------------------------------------------------
 *                        no such turn for PRESSURE_MEMORY
 *
 * PRESSED, a request that has waited longer than it may is refused at its head: that costs a tenth
 * of serving it, and the client knows at once. How long it may wait grows with its body, since a large
 * one takes as much longer anyway.
 *
 * Invariants:
 *  1. CALM, nothing is refused, however long it waited.
 *  2. The first PRESSURE_TAKEN_MIN requests of a turn are never refused: so few are no overload, be
 *     the machine ever so slow. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PRESSURE_TARGET_US      10000
#define PRESSURE_TAKEN_MIN      32
#define PRESSURE_PATIENCE_US    50000
#define PRESSURE_MEMORY_US      1000000
#define PRESSURE_US_PER_BODY_KB 100 /* 0.1 s for each MiB, about what parsing it takes */

struct pressure {
    int64_t turn_us;       /* when the loop saw the requests of this turn */
    uint32_t turn_taken;   /* of them */
    bool turn_too_long;    /* one of them waited too long, behind enough others */
    int64_t long_since_us; /* since then every turn had a long wait; INT64_MIN: the last had none */
    int64_t pressed_until_us;
};

void pressure_init(struct pressure *pressure);

/* A request begins now, which the loop saw at seen_us (both since boot), with a body of so many bytes.
 * True: it is to be refused. O(1). */
bool pressure_refuses(struct pressure *pressure,
                      int64_t seen_us,
                      int64_t now_us,
                      uint64_t body_bytes);
