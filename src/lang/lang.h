/* The language of metrics and rules: text in, checked statement out. docs/guide/language.md is its manual.
 *
 * lang_parse reads one statement (a trailing semicolon is allowed); lang_next_statement cuts a
 * script into statements. Nothing here touches the world; everything that comes out lives in the
 * arena. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "model/definition.h"
#include "model/rule.h"

/* What one lang_parse may take of its arena; with so much, it never fails for lack of memory. */
#define LANG_ARENA_BYTES (768 * 1024)

enum statement_kind {
    STATEMENT_CREATE_METRIC,
    STATEMENT_DROP_METRIC,
    STATEMENT_SHOW_METRICS, /* all */
    STATEMENT_SHOW_METRIC,  /* one, by name */
    STATEMENT_SELECT,       /* a bare SELECT ... FROM TUMBLE(...): what PUT /v1/metrics takes */
    STATEMENT_CREATE_RULE,  /* CREATE TIMEOUT or CREATE SILENCE */
    STATEMENT_DROP_RULE,    /* DROP TIMEOUT or DROP SILENCE */
    STATEMENT_SHOW_RULES,   /* SHOW TIMEOUTS, SHOW SILENCES; SHOW RULES: both */
    STATEMENT_RULE,         /* bare AFTER ... or EXPECT ...: what PUT /v1/rules takes */
};

struct statement {
    enum statement_kind kind;
    bool if_exists;           /* DROP ... IF EXISTS */
    bool if_not_exists;       /* CREATE ... IF NOT EXISTS */
    struct bytes name;        /* of the metric or rule; empty for SHOW METRICS and what is bare */
    enum rule_kind rule_kind; /* of the statements about rules; SHOW RULES: 0 */
    /* CREATE METRIC and SELECT. Of a bare SELECT its name is empty: the caller sets it (checked
     * with definition_name_valid) before the definition is valid. */
    struct definition definition;
    struct rule
        rule; /* CREATE TIMEOUT and SILENCE, and a bare one, whose name is set in the same way */
};

/* OK, or an error with line, column, a sentence and, where one can be guessed, a hint ("did you
 * mean
 * ..."). The arena is used up to LANG_ARENA_BYTES; ERR_LIMIT when it has less and that is needed.
 */
enum err lang_parse(struct bytes text,
                    struct arena *arena,
                    struct statement *statement,
                    struct error *error) MUST_CHECK;

/* Cuts the next statement off the front of *script (quotes and comments respected), without its
 * semicolon; false when only white space and comments are left. */
bool lang_next_statement(struct bytes *script, struct bytes *statement);
