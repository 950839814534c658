/* The parts of the evaluator, private to model. */
#pragma once

#include "model/program.h"

/* The free end of the scratch, to write a text to; what was written is kept by scratch_keep. */
static inline struct buf scratch_room(struct program_scratch *scratch)
{
    return buf_of(scratch->data + scratch->used, sizeof(scratch->data) - scratch->used);
}

/* The text that was written to scratch_room, or NULL when it did not fit. */
static inline struct value scratch_keep(struct program_scratch *scratch, const struct buf *room)
{
    if (room->overflow) {
        return value_null();
    }
    scratch->used += room->len;
    return value_of_text(buf_bytes(room));
}

/* Any value as CAST(... AS TEXT) writes it. Not for NULL. */
void value_put_text(struct buf *out, struct value value);

struct value function_call(uint8_t function,
                           const struct value *arguments,
                           int count,
                           struct program_scratch *scratch);
struct value function_cast(uint8_t type, struct value value, struct program_scratch *scratch);
struct value function_date_trunc(uint8_t unit, struct value value);
struct value function_concat(struct value a, struct value b, struct program_scratch *scratch);

/* text LIKE pattern: TRUE or FALSE, or NULL when the pattern is longer than PROGRAM_LIKE_MAX or
 * ends in its escape character. `escape` is a code point, 0 = none. */
struct value like_match(struct bytes text, struct bytes pattern, uint32_t escape);
