/* Expressions by recursive descent, one function per level of precedence:
 *
 *   or          := and (OR and)*
 *   and         := not (AND not)*
 *   not         := NOT not | predicate
 *   predicate   := concat ( comparison concat | IS [NOT] NULL | [NOT] IN (list)
 *                         | [NOT] BETWEEN concat AND concat | [NOT] LIKE concat [ESCAPE 'c'] )*
 *   concat      := additive (|| additive)*
 *   additive    := product ((+ | -) product)*
 *   product     := unary ((* | / | %) unary)*
 *   unary       := (- | +) unary | primary
 *   primary     := literal | CASE ... END | ( or ) | name | data path | call
 *
 * Recursion goes through `not`, `unary` and `primary`, which count their depth; a chain of one
 * level is a list. */
#include "lang/parser.h"

#include "base/check.h"
#include "base/utf8.h"
#include "lang/names.h"
#include "model/literal.h"
#include "model/number.h"

static bool enter(struct parser *p)
{
    if (p->failed) {
        return false;
    }
    if (p->depth == AST_DEPTH_MAX) {
        return parser_fail(p, ERR_LIMIT, "the expression is nested too deep", p->token.text);
    }
    p->depth += 1;
    return true;
}

/* Pairs with enter; passes the node on. */
static struct node *leave(struct parser *p, struct node *node)
{
    CHECK(p->depth > 0);
    p->depth -= 1;
    return p->failed ? NULL : node;
}

/* A node over `left`, beginning where it begins. */
static struct node *over(struct parser *p, enum node_kind kind, struct node *left)
{
    struct node *node = parser_node(p, kind);
    if (node != NULL) {
        node->first = left;
        node->offset = left->offset;
    }
    return node;
}

/* One level of operators that associate to the left. */
struct level {
    struct {
        const char *text;
        enum program_op op;
    } operators[3];
    int count;
    bool words; /* the operators are words */
    struct node *(*operand)(struct parser *p);
};

/* Which of the level's operators is the current token, -1 = none. */
static int operator_here(const struct parser *p, const struct level *level)
{
    for (int i = 0; i < level->count; i++) {
        const char *text = level->operators[i].text;
        if (level->words ? parser_at_word(p, text) : parser_at_symbol(p, text)) {
            return i;
        }
    }
    return -1;
}

/* The operator at the current token and its right side. */
static struct node *parse_term(struct parser *p, const struct level *level, int operator)
{
    struct node *term = parser_node(p, NODE_TERM);
    if (term == NULL || !parser_advance(p)) {
        return NULL;
    }
    term->op = (uint8_t)level->operators[operator].op;
    term->first = level->operand(p);
    return parser_close(p, term);
}

static struct node *parse_chain(struct parser *p, const struct level *level)
{
    struct node *left = level->operand(p);
    if (left == NULL || operator_here(p, level) < 0) {
        return left;
    }
    struct node *chain = over(p, NODE_CHAIN, left);
    if (chain == NULL) {
        return NULL;
    }
    struct node *last = NULL;
    for (int operator; (operator= operator_here(p, level)) >= 0;) {
        struct node *term = parse_term(p, level, operator);
        if (term == NULL) {
            return NULL;
        }
        if (last == NULL) {
            chain->second = term;
        } else {
            last->next = term;
        }
        last = term;
    }
    return parser_close(p, chain);
}

static struct node *parse_unary(struct parser *p);

static struct node *parse_product(struct parser *p)
{
    static const struct level level = {
        .operators = {{"*", OP_MULTIPLY}, {"/", OP_DIVIDE}, {"%", OP_MODULO}},
        .count = 3,
        .operand = parse_unary,
    };
    return parse_chain(p, &level);
}

static struct node *parse_additive(struct parser *p)
{
    static const struct level level = {
        .operators = {{"+", OP_ADD}, {"-", OP_SUBTRACT}},
        .count = 2,
        .operand = parse_product,
    };
    return parse_chain(p, &level);
}

static struct node *parse_concat(struct parser *p)
{
    static const struct level level = {
        .operators = {{"||", OP_CONCAT}},
        .count = 1,
        .operand = parse_additive,
    };
    return parse_chain(p, &level);
}

/* The list of expressions up to the closing parenthesis, which is consumed. */
static struct node *parse_list(struct parser *p)
{
    struct node *list = NULL;
    struct node **tail = &list;
    do {
        *tail = parse_expression(p);
        if (*tail == NULL) {
            return NULL;
        }
        tail = &(*tail)->next;
    } while (parser_take_symbol(p, ","));
    return parser_need_symbol(p, ")") ? list : NULL;
}

static struct node *parse_in(struct parser *p, struct node *left, bool negated)
{
    struct node *node = over(p, NODE_IN, left);
    if (node == NULL || !parser_need_word(p, "IN") || !parser_need_symbol(p, "(")) {
        return NULL;
    }
    if (parser_at_word(p, "SELECT")) {
        (void)parser_fail(p, ERR_SQL_MEANING, "subqueries are not available", p->token.text);
        return NULL;
    }
    node->flag = negated;
    node->second = parse_list(p);
    return parser_close(p, node);
}

static struct node *parse_between(struct parser *p, struct node *left, bool negated)
{
    struct node *node = over(p, NODE_BETWEEN, left);
    if (node == NULL || !parser_need_word(p, "BETWEEN")) {
        return NULL;
    }
    node->flag = negated;
    node->second = parse_concat(p);
    if (node->second == NULL || !parser_need_word(p, "AND")) {
        return NULL;
    }
    node->second->next = parse_concat(p);
    return parser_close(p, node);
}

/* One character in quotes. */
static bool parse_escape(struct parser *p, uint32_t *escape)
{
    struct bytes text;
    if (p->token.kind != TOKEN_STRING) {
        return parser_expected(p, "the escape character in quotes", NULL);
    }
    if (!parser_unquote(p, &p->token, &text)) {
        return false;
    }
    size_t len = text.len == 0 ? 0 : utf8_char_len(text.data, text.data + text.len);
    if (len == 0 || len != text.len || text.data[0] == 0) {
        return parser_fail(p, ERR_SQL, "ESCAPE takes one character", p->token.text);
    }
    uint32_t code = len == 1 ? text.data[0] : text.data[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        code = code << 6 | (text.data[i] & 0x3fU);
    }
    *escape = code;
    return parser_advance(p);
}

static struct node *parse_like(struct parser *p, struct node *left, bool negated)
{
    struct node *node = over(p, NODE_LIKE, left);
    if (node == NULL || !parser_need_word(p, "LIKE")) {
        return NULL;
    }
    node->flag = negated;
    node->second = parse_concat(p);
    if (parser_take_word(p, "ESCAPE") && !parse_escape(p, &node->number)) {
        return NULL;
    }
    return parser_close(p, node);
}

static struct node *parse_is(struct parser *p, struct node *left)
{
    struct node *node = over(p, NODE_UNARY, left);
    if (node == NULL || !parser_need_word(p, "IS")) {
        return NULL;
    }
    node->op = parser_take_word(p, "NOT") ? OP_IS_NOT_NULL : OP_IS_NULL;
    if (!p->failed && !parser_at_word(p, "NULL")) {
        (void)parser_expected(p, "NULL", NULL);
        (void)diagnosis_hint(&p->diagnosis, "compare with =, or write IS NULL", p->token.text);
        return NULL;
    }
    return parser_need_word(p, "NULL") ? parser_close(p, node) : NULL;
}

static const struct {
    const char *text;
    enum program_op op;
} comparisons[] = {
    {"=", OP_EQUAL},
    {"<>", OP_NOT_EQUAL},
    {"!=", OP_NOT_EQUAL},
    {"<", OP_LESS},
    {">", OP_GREATER},
    {"<=", OP_LESS_EQUAL},
    {">=", OP_GREATER_EQUAL},
};

static int comparison_here(const struct parser *p)
{
    for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
        if (parser_at_symbol(p, comparisons[i].text)) {
            return (int)i;
        }
    }
    return -1;
}

static struct node *parse_comparison(struct parser *p, struct node *left, int comparison)
{
    struct node *node = over(p, NODE_COMPARE, left);
    if (node == NULL || !parser_advance(p)) {
        return NULL;
    }
    node->op = (uint8_t)comparisons[comparison].op;
    node->second = parse_concat(p);
    if (!p->failed && comparison_here(p) >= 0) {
        (void)parser_fail(p, ERR_SQL, "comparisons can't be chained", p->token.text);
        (void)diagnosis_hint(&p->diagnosis, "write a < b AND b < c, or use BETWEEN", p->token.text);
        return NULL;
    }
    return parser_close(p, node);
}

static bool after_not(const struct parser *p, const char *word)
{
    return parser_at_word(p, word) || (parser_at_word(p, "NOT") && token_is_word(&p->next, word));
}

static struct node *parse_predicate(struct parser *p)
{
    struct node *left = parse_concat(p);
    while (!p->failed) {
        int comparison = comparison_here(p);
        bool in = after_not(p, "IN");
        bool between = after_not(p, "BETWEEN");
        bool like = after_not(p, "LIKE");
        if (comparison >= 0) {
            left = parse_comparison(p, left, comparison);
        } else if (parser_at_word(p, "IS")) {
            left = parse_is(p, left);
        } else if (in || between || like) {
            bool negated = parser_take_word(p, "NOT");
            left = in        ? parse_in(p, left, negated)
                   : between ? parse_between(p, left, negated)
                             : parse_like(p, left, negated);
        } else {
            return left;
        }
    }
    return NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): the depth is checked by enter */
static struct node *parse_not(struct parser *p)
{
    if (p->failed || !parser_at_word(p, "NOT")) {
        return parse_predicate(p);
    }
    struct node *node = parser_node(p, NODE_UNARY);
    if (node == NULL || !parser_advance(p) || !enter(p)) {
        return NULL;
    }
    node->op = OP_NOT;
    node->first = parse_not(p);
    return leave(p, parser_close(p, node));
}

static struct node *parse_and(struct parser *p)
{
    static const struct level level = {
        .operators = {{"AND", OP_AND}},
        .count = 1,
        .words = true,
        .operand = parse_not,
    };
    return parse_chain(p, &level);
}

/* NOLINTNEXTLINE(misc-no-recursion): the depth is checked by enter */
struct node *parse_expression(struct parser *p)
{
    static const struct level level = {
        .operators = {{"OR", OP_OR}},
        .count = 1,
        .words = true,
        .operand = parse_and,
    };
    if (!enter(p)) {
        return NULL;
    }
    return leave(p, parse_chain(p, &level));
}

/* NOLINTNEXTLINE(misc-no-recursion): the depth is checked by enter */
static struct node *parse_sign(struct parser *p)
{
    struct node *node = parser_node(p, NODE_UNARY);
    bool minus = parser_at_symbol(p, "-");
    if (node == NULL || !parser_advance(p) || !enter(p)) {
        return NULL;
    }
    node->op = OP_NEGATE;
    node->first = parse_unary(p);
    if (node->first == NULL || !minus) {
        return leave(p, node->first);
    }
    if (node->first->kind == NODE_CONSTANT) {
        struct value negated = number_negate(node->first->value);
        if (negated.kind != VALUE_NULL) {
            node->first->value = negated;
            node->first->offset = node->offset;
            return leave(p, node->first);
        }
    }
    return leave(p, parser_close(p, node));
}

static struct node *constant(struct parser *p, struct value value)
{
    struct node *node = parser_node(p, NODE_CONSTANT);
    if (node == NULL || !parser_advance(p)) {
        return NULL;
    }
    node->value = value;
    return parser_close(p, node);
}

static struct node *parse_number(struct parser *p)
{
    struct value value;
    if (!literal_number(p->token.text, &value)) {
        (void)parser_fail(p, ERR_SQL, "% is beyond the numbers", p->token.text);
        return NULL;
    }
    return constant(p, value);
}

static struct node *parse_text(struct parser *p)
{
    struct bytes text;
    return parser_unquote(p, &p->token, &text) ? constant(p, value_of_text(text)) : NULL;
}

static struct node *parse_timestamp(struct parser *p)
{
    struct node *node = parser_node(p, NODE_CONSTANT);
    struct bytes text;
    int64_t us;
    if (node == NULL || !parser_advance(p) || !parser_unquote(p, &p->token, &text)) {
        return NULL;
    }
    if (!literal_time(text, &us)) {
        (void)parser_fail(p, ERR_SQL, "% is not a time", p->token.text);
        (void)diagnosis_hint(&p->diagnosis, "write it like TIMESTAMP '2013-01-01T06:00:00Z'", text);
        return NULL;
    }
    node->value = value_of_time(us);
    return parser_advance(p) ? parser_close(p, node) : NULL;
}

static struct node *parse_interval_constant(struct parser *p)
{
    struct node *node = parser_node(p, NODE_CONSTANT);
    struct span span;
    if (node == NULL || !parse_interval(p, &span)) {
        return NULL;
    }
    node->value = value_of_nano((int128)span.us * 1000); /* seconds */
    return parser_close(p, node);
}

/* One WHEN ... THEN ... */
static struct node *parse_when(struct parser *p)
{
    struct node *when = parser_node(p, NODE_WHEN);
    if (when == NULL || !parser_need_word(p, "WHEN")) {
        return NULL;
    }
    when->first = parse_expression(p);
    if (!parser_need_word(p, "THEN")) {
        return NULL;
    }
    when->second = parse_expression(p);
    return parser_close(p, when);
}

static struct node *parse_case(struct parser *p)
{
    struct node *node = parser_node(p, NODE_CASE);
    if (node == NULL || !parser_need_word(p, "CASE")) {
        return NULL;
    }
    if (!parser_at_word(p, "WHEN")) {
        node->first = parse_expression(p);
    }
    struct node **tail = &node->second;
    do {
        *tail = parse_when(p);
        if (*tail == NULL) {
            return NULL;
        }
        tail = &(*tail)->next;
    } while (parser_at_word(p, "WHEN"));
    if (parser_at_word(p, "ELSE")) {
        struct node *otherwise = parser_node(p, NODE_ELSE);
        if (otherwise == NULL || !parser_advance(p)) {
            return NULL;
        }
        otherwise->first = parse_expression(p);
        *tail = parser_close(p, otherwise);
    }
    return parser_need_word(p, "END") ? parser_close(p, node) : NULL;
}

static struct node *parse_parenthesis(struct parser *p)
{
    if (!parser_advance(p)) {
        return NULL;
    }
    if (parser_at_word(p, "SELECT")) {
        (void)parser_fail(p, ERR_SQL_MEANING, "subqueries are not available", p->token.text);
        return NULL;
    }
    struct node *node = parse_expression(p);
    return parser_need_symbol(p, ")") ? node : NULL;
}

static struct node *parse_word(struct parser *p)
{
    if (parser_at_word(p, "NULL")) {
        return constant(p, value_null());
    }
    if (parser_at_word(p, "TRUE") || parser_at_word(p, "FALSE")) {
        return constant(p, value_of_bool(parser_at_word(p, "TRUE")));
    }
    if (parser_at_word(p, "CASE")) {
        return parse_case(p);
    }
    bool literal_follows = p->next.kind == TOKEN_STRING || p->next.kind == TOKEN_NUMBER;
    if (literal_follows && parser_at_word(p, "INTERVAL")) {
        return parse_interval_constant(p);
    }
    if (p->next.kind == TOKEN_STRING && parser_at_word(p, "TIMESTAMP")) {
        return parse_timestamp(p);
    }
    if (token_is_symbol(&p->next, "(") && (!parser_at_reserved(p) || parser_at_word(p, "CAST"))) {
        return parse_call(p);
    }
    return parse_name(p);
}

static struct node *parse_primary(struct parser *p)
{
    switch (p->token.kind) {
    case TOKEN_NUMBER:
        return parse_number(p);
    case TOKEN_STRING:
        return parse_text(p);
    case TOKEN_WORD:
        return parse_word(p);
    case TOKEN_QUOTED:
        return parse_name(p);
    case TOKEN_SYMBOL:
        if (parser_at_symbol(p, "(")) {
            return parse_parenthesis(p);
        }
        break;
    case TOKEN_END:
    case TOKEN_BAD:
        break;
    }
    (void)parser_expected(p, "an expression", NULL);
    return NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): the depth is checked by enter */
static struct node *parse_unary(struct parser *p)
{
    if (p->failed) {
        return NULL;
    }
    if (parser_at_symbol(p, "-") || parser_at_symbol(p, "+")) {
        return parse_sign(p);
    }
    return parse_primary(p);
}
