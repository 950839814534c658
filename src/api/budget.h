/* A budget: what the requests of one thread that are under way may hold together, in bytes.
 *
 *     body, decoder      while it comes ────┐
 *     a stream's text    till it is parsed ─┼─► used_bytes <= bytes_max, else ERR_OVERLOADED
 *     chunks of events   till durable ──────┘
 *
 * A client that begins many large bodies and ends none, or that sends faster than the disk takes,
 * would otherwise hold that much memory for each.
 *
 * Invariants:
 *  1. used_bytes <= bytes_max, but for decoders, which say what they took only afterwards.
 *  2. Whoever takes gives the same back, once; when no request is under way, used_bytes is 0. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* What a request is told that gets ERR_OVERLOADED for it. */
#define BUDGET_REFUSAL "the requests that are under way take all memory"

struct budget {
    size_t used_bytes;
    size_t bytes_max;
};

/* False, and nothing changed, when it would be too much. Before the memory is asked for. */
bool budget_take(struct budget *budget, size_t bytes) MUST_CHECK;

/* For memory that is held already. False when it is too much: it counts all the same, until it is
 * given back. */
bool budget_charge(struct budget *budget, size_t bytes) MUST_CHECK;

void budget_give(struct budget *budget, size_t bytes);

/* More than half is used: who can do with less does. */
bool budget_is_tight(const struct budget *budget);
