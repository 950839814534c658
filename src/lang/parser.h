/* Reading tokens and expressions. Private to lang. */
#pragma once

#include "base/arena.h"
#include "lang/ast.h"
#include "lang/diagnosis.h"
#include "lang/lexer.h"

/* After a failure the error is in the diagnosis and `failed` is set; all functions then return NULL
 * or false. */
struct parser {
    struct diagnosis diagnosis;
    struct lexer lexer;
    struct token token; /* the current one */
    struct token next;  /* the one behind */
    size_t last_end;    /* where the token before the current one ended */
    struct arena *arena;
    int depth; /* open recursion */
    int node_count;
    bool failed;
};

bool parser_init(struct parser *p, struct bytes text, struct arena *arena, struct error *error);

/* Notes the error at the current token. Returns false. */
bool parser_fail(struct parser *p, enum err code, const char *sentence, struct bytes detail);

/* "expected X, found Y" at the current token, with a suggestion from the candidates (or NULL). */
bool parser_expected(struct parser *p, const char *what, const char *const *candidates);

bool parser_advance(struct parser *p);
bool parser_advance_two(struct parser *p);

/* Consumes the word or symbol if it is the current token. */
bool parser_take_word(struct parser *p, const char *word);
bool parser_take_symbol(struct parser *p, const char *symbol);

/* The same, but it must be. */
bool parser_need_word(struct parser *p, const char *word);
bool parser_need_symbol(struct parser *p, const char *symbol);

bool parser_at_word(const struct parser *p, const char *word);
bool parser_at_symbol(const struct parser *p, const char *symbol);

/* A new node at the current token, or NULL. */
struct node *parser_node(struct parser *p, enum node_kind kind);

/* Sets the node's end and depth from its children; NULL when it is too deep. */
struct node *parser_close(struct parser *p, struct node *node);

/* The content of a quoted token, doubled quotes made single, in the arena or the statement. */
bool parser_unquote(struct parser *p, const struct token *token, struct bytes *content);

/* A word that can't be a bare name, since the grammar uses it. */
bool parser_at_reserved(const struct parser *p);

/* The unsigned whole number that the token says; false when it is none or above `max`. */
bool parser_whole_number(const struct token *token, uint32_t max, uint32_t *number);

/* expression := or-chain ... (docs/guide/language.md). */
struct node *parse_expression(struct parser *p);

/* Words with parentheses behind them: functions, aggregates, CAST. The current token is the word.
 */
struct node *parse_call(struct parser *p);

/* A time span, `text` as in '5 minutes', 'PT5M', '1 hour 30 minutes'. */
struct span {
    int64_t us;
    bool weeks; /* given in weeks alone: windows of it start on Mondays */
};

/* INTERVAL '...' [UNIT], the current token being INTERVAL. */
bool parse_interval(struct parser *p, struct span *span);

/* The text of the current STRING token as a span, which is consumed. */
bool parse_span_text(struct parser *p, struct span *span);
