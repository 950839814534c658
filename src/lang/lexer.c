/* Cuts a statement into tokens.
 *
 *   word     [A-Za-z_][A-Za-z0-9_]*
 *   quoted   " ... " with "" for a quote inside
 *   string   ' ... ' with '' for a quote inside
 *   number   digits with an optional point and exponent, or a point and digits
 *   symbol   ( ) [ ] , ; . * + - / % = <> != < <= > >= ||
 *   skipped  white space, -- to the end of the line, / * ... * / (not nested)
 *
 * Invariant: each call but the one that finds the end or something bad moves `at` forward. */
#include "lang/lexer.h"

#include "base/utf8.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

/* The byte `ahead` of the current one, 0 behind the end. */
static uint8_t peek(const struct lexer *lexer, size_t ahead)
{
    size_t at = lexer->at + ahead;
    return at < lexer->text.len ? lexer->text.data[at] : 0;
}

static struct token bad(struct lexer *lexer, size_t from, const char *problem, const char *advice)
{
    size_t end = lexer->at;
    lexer->at = lexer->text.len;
    return (struct token){
        .kind = TOKEN_BAD,
        .text = bytes_slice(lexer->text, from, end - from),
        .offset = from,
        .problem = problem,
        .advice = advice,
    };
}

static struct token made(const struct lexer *lexer, enum token_kind kind, size_t from)
{
    struct bytes text = bytes_slice(lexer->text, from, lexer->at - from);
    return (struct token){.kind = kind, .text = text, .content = text, .offset = from};
}

/* False at a comment without an end; lexer->at is then at its beginning. */
static bool skip_blanks(struct lexer *lexer)
{
    while (lexer->at < lexer->text.len) {
        if (is_space(peek(lexer, 0))) {
            lexer->at += 1;
        } else if (peek(lexer, 0) == '-' && peek(lexer, 1) == '-') {
            while (lexer->at < lexer->text.len && peek(lexer, 0) != '\n') {
                lexer->at += 1;
            }
        } else if (peek(lexer, 0) == '/' && peek(lexer, 1) == '*') {
            size_t from = lexer->at;
            lexer->at += 2;
            while (lexer->at < lexer->text.len &&
                   (peek(lexer, 0) != '*' || peek(lexer, 1) != '/')) {
                lexer->at += 1;
            }
            if (lexer->at == lexer->text.len) {
                lexer->at = from;
                return false;
            }
            lexer->at += 2;
        } else {
            break;
        }
    }
    return true;
}

static struct token word(struct lexer *lexer)
{
    size_t from = lexer->at;
    while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0))) {
        lexer->at += 1;
    }
    return made(lexer, TOKEN_WORD, from);
}

static struct token quoted(struct lexer *lexer, enum token_kind kind)
{
    size_t from = lexer->at;
    uint8_t quote = peek(lexer, 0);
    lexer->at += 1;
    while (lexer->at < lexer->text.len) {
        if (peek(lexer, 0) != quote) {
            lexer->at += 1;
        } else if (peek(lexer, 1) == quote) {
            lexer->at += 2;
        } else {
            lexer->at += 1;
            struct token token = made(lexer, kind, from);
            token.content = bytes_slice(token.text, 1, token.text.len - 2);
            return token;
        }
    }
    lexer->at = from + 1;
    return bad(lexer,
               from,
               kind == TOKEN_STRING ? "this text has no closing quote"
                                    : "this quoted name has no closing quote",
               "a quote inside is written twice");
}

static void skip_digits(struct lexer *lexer)
{
    while (is_digit(peek(lexer, 0))) {
        lexer->at += 1;
    }
}

static struct token number(struct lexer *lexer)
{
    size_t from = lexer->at;
    skip_digits(lexer);
    if (peek(lexer, 0) == '.') {
        lexer->at += 1;
        skip_digits(lexer);
    }
    size_t sign = peek(lexer, 1) == '-' || peek(lexer, 1) == '+' ? 1 : 0;
    if ((peek(lexer, 0) | 0x20) == 'e' && is_digit(peek(lexer, 1 + sign))) {
        lexer->at += 1 + sign;
        skip_digits(lexer);
    }
    if (is_letter(peek(lexer, 0)) || peek(lexer, 0) == '.') {
        lexer->at += 1;
        return bad(lexer, from, "% is not a number", NULL);
    }
    return made(lexer, TOKEN_NUMBER, from);
}

/* Characters that other languages use, or that a word processor puts in. */
static const struct {
    const char *text;
    const char *advice;
} strangers[] = {
    {"\xe2\x80\x98", "texts stand in plain quotes: 'text'"},
    {"\xe2\x80\x99", "texts stand in plain quotes: 'text'"},
    {"\xe2\x80\x9c", "names stand in plain double quotes, texts in single ones: 'text'"},
    {"\xe2\x80\x9d", "names stand in plain double quotes, texts in single ones: 'text'"},
    {"`", "names stand in double quotes: \"name\""},
    {"==", "equal is written ="},
    {"&&", "and is written AND"},
    {"!", "not is written NOT, unequal <>"},
    {"\xe2\x89\xa0", "unequal is written <>"},
    {"\xe2\x89\xa4", "less or equal is written <="},
    {"\xe2\x89\xa5", "greater or equal is written >="},
    {"|", "texts are joined by ||"},
};

static bool stands_here(const struct lexer *lexer, const char *text)
{
    struct bytes wanted = bytes_of_string(text);
    return lexer->text.len - lexer->at >= wanted.len &&
           memcmp(lexer->text.data + lexer->at, wanted.data, wanted.len) == 0;
}

static struct token stranger(struct lexer *lexer)
{
    size_t from = lexer->at;
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        if (stands_here(lexer, strangers[i].text)) {
            lexer->at += bytes_of_string(strangers[i].text).len;
            return bad(lexer, from, "% is not understood here", strangers[i].advice);
        }
    }
    size_t len = utf8_char_len(lexer->text.data + from, lexer->text.data + lexer->text.len);
    lexer->at += len == 0 ? 1 : len;
    return bad(lexer, from, "the character % is not understood here", NULL);
}

static struct token symbol(struct lexer *lexer)
{
    static const char *const symbols[] = {"<>", "!=", "<=", ">=", "||", "(", ")", "[", "]", ",",
                                          ";",  ".",  "*",  "+",  "-",  "/", "%", "=", "<", ">"};
    size_t from = lexer->at;
    if (stands_here(lexer, "==")) {
        return stranger(lexer);
    }
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        if (stands_here(lexer, symbols[i])) {
            lexer->at += bytes_of_string(symbols[i]).len;
            return made(lexer, TOKEN_SYMBOL, from);
        }
    }
    return stranger(lexer);
}

struct token lexer_next(struct lexer *lexer)
{
    if (!skip_blanks(lexer)) {
        size_t from = lexer->at;
        lexer->at += 2;
        return bad(lexer, from, "this comment has no end", "close it with */");
    }
    if (lexer->at == lexer->text.len) {
        return made(lexer, TOKEN_END, lexer->at);
    }
    uint8_t c = peek(lexer, 0);
    if (is_letter(c)) {
        return word(lexer);
    }
    if (c == '\'') {
        return quoted(lexer, TOKEN_STRING);
    }
    if (c == '"') {
        return quoted(lexer, TOKEN_QUOTED);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(lexer, 1)))) {
        return number(lexer);
    }
    return symbol(lexer);
}

bool token_is_word(const struct token *token, const char *word)
{
    struct bytes wanted = bytes_of_string(word);
    if (token->kind != TOKEN_WORD || token->text.len != wanted.len) {
        return false;
    }
    for (size_t i = 0; i < wanted.len; i++) {
        if ((token->text.data[i] | 0x20) != (wanted.data[i] | 0x20)) {
            return false;
        }
    }
    return true;
}

bool token_is_symbol(const struct token *token, const char *symbol)
{
    return token->kind == TOKEN_SYMBOL && bytes_equal(token->text, bytes_of_string(symbol));
}
