/* What a text says when it is read as a number or a time, in the looser forms that SQL takes. */
#pragma once

#include "model/value.h"

/* Decimal notation: an optional sign, digits with an optional point (".5", "1.", "007"), an
 * optional exponent; blanks around it are skipped. False when it is anything else, beyond the
 * doubles, or longer than 400 bytes. */
bool literal_number(struct bytes text, struct value *number);

/* RFC 3339, or with a space for the T, or without an offset (UTC then), or a date alone (its first
 * moment). */
bool literal_time(struct bytes text, int64_t *us);
