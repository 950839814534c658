/* One command on a timeout from JSON: a body of its own, or a line of a batch. A single pass, nothing
 * copied but texts with escapes and data with white space. */
#pragma once

#include "api/event_json.h"
#include "model/timeout.h"

/* Reads the object that the text is. command->op says what it asks for; 0: the member `op` does. The
 * key is a member of a create and of a batch's lines, else it is set already. False: refusal says why
 * not, `id` being the key as far as it was read. Texts borrow from the input or the memory. */
bool timeout_read(struct memory *memory,
                  struct bytes text,
                  struct timeout_command *command,
                  struct refusal *refusal);

/* What a key may be; *detail says what is wrong. The text is valid UTF-8. */
bool timeout_key_valid(struct bytes key, const char **detail);

/* A duration such as a timeout may have; *detail says what is wrong. */
bool timeout_duration(struct bytes text, int64_t *us, const char **detail);

const char *timeout_op_text(enum timeout_op op);
