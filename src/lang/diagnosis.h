/* How errors of the language are made: where, what, and what to write instead. */
#pragma once

#include "base/err.h"

struct diagnosis {
    struct bytes text; /* the statement */
    struct error *error;
};

/* Notes the error: `sentence` with its one % (if it has one) replaced by the detail, which is cut
 * when long. Returns false, so that a parser can end with it. */
bool diagnosis_fail(struct diagnosis *diagnosis,
                    enum err code,
                    size_t offset,
                    const char *sentence,
                    struct bytes detail);

/* Adds a hint to the error just noted, in the same way. Returns false as well. */
bool diagnosis_hint(struct diagnosis *diagnosis, const char *sentence, struct bytes detail);

/* Adds "did you mean X?" when one of the candidates is near; else nothing. Returns false. */
bool diagnosis_suggest(struct diagnosis *diagnosis,
                       struct bytes word,
                       const char *const *candidates);

/* The nearest candidate (case does not count) at most `distance_max` edits away, the earlier one of
 * equals; NULL when none is. The candidates end with NULL. An edit is a letter too much, too few,
 * another one, or two swapped. */
const char *nearest_word(struct bytes word, const char *const *candidates, int distance_max);
