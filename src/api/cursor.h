/* Cursors of lists: opaque to clients, and good for the list they came from alone.
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
