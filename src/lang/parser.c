/* The parser's hands: tokens, nodes, failures. */
#include "lang/parser.h"

#include "base/check.h"

static bool note_bad_token(struct parser *p)
{
    if (p->token.kind != TOKEN_BAD) {
        return true;
    }
    (void)parser_fail(p, ERR_SQL, p->token.problem, p->token.text);
    if (p->token.advice != NULL) {
        (void)diagnosis_hint(&p->diagnosis, p->token.advice, p->token.text);
    }
    return false;
}

bool parser_init(struct parser *p, struct bytes text, struct arena *arena, struct error *error)
{
    *p = (struct parser){
        .diagnosis = {.text = text, .error = error},
        .lexer = {.text = text},
        .arena = arena,
    };
    memset(error, 0, sizeof(*error));
    p->token = lexer_next(&p->lexer);
    p->next = p->token;
    if (p->token.kind != TOKEN_END && p->token.kind != TOKEN_BAD) {
        p->next = lexer_next(&p->lexer);
    }
    return note_bad_token(p);
}

bool parser_fail(struct parser *p, enum err code, const char *sentence, struct bytes detail)
{
    p->failed = true;
    return diagnosis_fail(&p->diagnosis, code, p->token.offset, sentence, detail);
}

bool parser_expected(struct parser *p, const char *what, const char *const *candidates)
{
    uint8_t room[160];
    struct buf sentence = buf_of(room, sizeof(room) - 1);
    buf_put_text(&sentence, "expected ");
    buf_put_text(&sentence, what);
    buf_put_text(&sentence,
                 p->token.kind == TOKEN_END ? ", but the statement ends here" : ", found %");
    CHECK(!sentence.overflow);
    room[sentence.len] = '\0';
    (void)parser_fail(p, ERR_SQL, (const char *)room, p->token.text);
    if (candidates != NULL && p->token.kind == TOKEN_WORD) {
        (void)diagnosis_suggest(&p->diagnosis, p->token.text, candidates);
    }
    return false;
}

bool parser_advance(struct parser *p)
{
    CHECK(!p->failed);
    if (p->token.kind == TOKEN_END) {
        return true;
    }
    p->last_end = p->token.offset + p->token.text.len;
    p->token = p->next;
    if (p->token.kind != TOKEN_END && p->token.kind != TOKEN_BAD) {
        p->next = lexer_next(&p->lexer);
    }
    return note_bad_token(p);
}

bool parser_advance_two(struct parser *p)
{
    bool first = parser_advance(p);
    return first && parser_advance(p);
}

bool parser_at_word(const struct parser *p, const char *word)
{
    return token_is_word(&p->token, word);
}

bool parser_at_symbol(const struct parser *p, const char *symbol)
{
    return token_is_symbol(&p->token, symbol);
}

bool parser_take_word(struct parser *p, const char *word)
{
    return !p->failed && parser_at_word(p, word) && parser_advance(p);
}

bool parser_take_symbol(struct parser *p, const char *symbol)
{
    return !p->failed && parser_at_symbol(p, symbol) && parser_advance(p);
}

bool parser_need_word(struct parser *p, const char *word)
{
    if (p->failed) {
        return false;
    }
    const char *const candidates[] = {word, NULL};
    return parser_at_word(p, word) ? parser_advance(p) : parser_expected(p, word, candidates);
}

bool parser_need_symbol(struct parser *p, const char *symbol)
{
    if (p->failed) {
        return false;
    }
    return parser_at_symbol(p, symbol) ? parser_advance(p) : parser_expected(p, symbol, NULL);
}

struct node *parser_node(struct parser *p, enum node_kind kind)
{
    if (p->failed) {
        return NULL;
    }
    struct node *node = NULL;
    if (p->node_count < AST_NODES_MAX) {
        node = arena_alloc(p->arena, sizeof(*node));
    }
    if (node == NULL) {
        (void)parser_fail(p, ERR_LIMIT, "the statement has too many parts", p->token.text);
        return NULL;
    }
    p->node_count += 1;
    memset(node, 0, sizeof(*node));
    node->kind = kind;
    node->offset = (uint32_t)p->token.offset;
    return node;
}

static uint8_t deeper(uint8_t depth, const struct node *list)
{
    for (; list != NULL; list = list->next) {
        depth = list->depth > depth ? list->depth : depth;
    }
    return depth;
}

struct node *parser_close(struct parser *p, struct node *node)
{
    if (p->failed || node == NULL) {
        return NULL;
    }
    node->depth = (uint8_t)(1 + deeper(deeper(0, node->first), node->second));
    node->end = (uint32_t)p->last_end;
    if (node->depth > AST_DEPTH_MAX) {
        (void)parser_fail(p, ERR_LIMIT, "the expression is nested too deep", p->token.text);
        return NULL;
    }
    return node;
}

static bool has_byte(struct bytes text, uint8_t byte)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == byte) {
            return true;
        }
    }
    return false;
}

bool parser_unquote(struct parser *p, const struct token *token, struct bytes *content)
{
    CHECK(token->kind == TOKEN_STRING || token->kind == TOKEN_QUOTED);
    *content = token->content;
    uint8_t quote = token->text.data[0];
    if (!has_byte(token->content, quote)) {
        return true;
    }
    uint8_t *to = arena_alloc(p->arena, token->content.len);
    if (to == NULL) {
        return parser_fail(p, ERR_LIMIT, "the statement is too long", token->text);
    }
    size_t len = 0;
    for (size_t i = 0; i < token->content.len; i++) {
        to[len++] = token->content.data[i];
        if (token->content.data[i] == quote) {
            i += 1; /* its double */
        }
    }
    *content = bytes_of(to, len);
    return true;
}

bool parser_at_reserved(const struct parser *p)
{
    static const char *const reserved[] = {
        "allow", "and",    "as",    "between", "by",    "case",   "cast",  "else", "emit",
        "end",   "exists", "false", "from",    "group", "having", "in",    "is",   "join",
        "like",  "limit",  "not",   "null",    "on",    "or",     "order", "over", "select",
        "then",  "true",   "union", "when",    "where", "with",
    };
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (parser_at_word(p, reserved[i])) {
            return true;
        }
    }
    return false;
}

bool parser_whole_number(const struct token *token, uint32_t max, uint32_t *number)
{
    uint64_t value;
    if (token->kind != TOKEN_NUMBER || !u64_parse(token->text, &value) || value > max) {
        return false;
    }
    *number = (uint32_t)value;
    return true;
}
