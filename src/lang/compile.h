/* Expressions to programs. Private to lang. */
#pragma once

#include "base/arena.h"
#include "lang/ast.h"
#include "lang/diagnosis.h"

/* What is known about an expression's values before any event is seen: nothing, or their kind (each
 * may be NULL as well). */
enum known {
    KNOWN_NOTHING,
    KNOWN_BOOL,
    KNOWN_NUMBER,
    KNOWN_TEXT,
    KNOWN_TIME,
};

enum known known_of(const struct node *node);

/* "a condition", "a number", ... */
const char *known_name(enum known known);

struct compiler {
    struct diagnosis *diagnosis;
    struct arena *arena;
    const struct node *items; /* of the SELECT: their aliases are no columns of events */
    const struct node *self;  /* the item that is compiled, whose alias doesn't count; or NULL */
    bool single_event;        /* of a rule: there are no windows and no aggregates */
    const char *place;        /* where the expression stands, for "aggregates can't stand in %" */
    struct buf out;
};

/* The expression as a valid program in the arena; false after an error. */
bool compile_program(struct compiler *c, const struct node *expression, struct bytes *program);

/* The same for a condition: what can't be TRUE or FALSE is refused. */
bool compile_condition(struct compiler *c, const struct node *expression, struct bytes *program);
