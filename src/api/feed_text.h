/* Notes and places of the feed as text. */
#pragma once

#include "api/out.h"
#include "host/gateway.h"

/* A cursor: 16 hexadecimal digits of the instance, then of the ordinal, then of partition and number. */
#define FEED_CURSOR_BYTES 48

void feed_cursor_put(struct out *out, const struct gateway_facts *facts, struct feed_place place);

/* False when it is none of this instance's. */
bool feed_cursor_read(struct bytes text,
                      const struct gateway_facts *facts,
                      struct feed_place *place);

/* The CloudEvents type of a note. */
struct bytes note_type(enum note_kind kind);

/* The note as a structured CloudEvent. Its id is a function of what it tells, so that it is the same
 * after every replay and on every way to a reader. */
void note_put_json(struct out *out, const struct gateway_facts *facts, const struct note *note);
