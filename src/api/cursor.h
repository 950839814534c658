/* Pages of lists: how many, from where, and how a page ends. A cursor is opaque to clients, and good for
 * the list it came from alone.
 *
 *   hex digits: 16 of the list's hash, then 16 per number */
#pragma once

#include "api/call.h"

#define CURSOR_NUMBERS_MAX 3

/* What identifies a list: the route, the name in the path and all parameters but limit and cursor.
 */
uint64_t cursor_hash(const struct call *call);

/* Appends the quoted cursor. */
void cursor_put(struct out *out, uint64_t hash, const uint64_t *numbers, size_t count);

/* Reads the parameter `cursor` into numbers (left alone when absent). False: answered with 400. */
bool cursor_read(struct call *call, uint64_t *numbers, size_t count);

/* Reads the parameter `limit` (100 when absent). False: answered with 422. */
bool cursor_limit(struct call *call, uint32_t *limit);

/* Ends a page: closes its items and the object, with the cursor to go on from, or null at the list's end
 * (next NULL). */
void cursor_end(struct call *call, const uint64_t *next, size_t count);

/* The same for the items [.., end) of a list of `count` whose cursor is one number, the next one's. */
void cursor_end_at(struct call *call, size_t end, size_t count);
