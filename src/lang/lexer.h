/* Words, quoted names, texts, numbers and symbols of a statement. */
#pragma once

#include "base/bytes.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* bare: keyword or name */
    TOKEN_QUOTED, /* "name" */
    TOKEN_STRING, /* 'text' */
    TOKEN_NUMBER,
    TOKEN_SYMBOL,
    TOKEN_BAD, /* `problem` says why; nothing is read behind it */
};

struct token {
    enum token_kind kind;
    struct bytes text;    /* as it stands */
    struct bytes content; /* of quoted ones: without the quotes, doubled ones still doubled */
    size_t offset;
    const char *problem; /* a sentence, may hold a % for the text */
    const char *advice;  /* a hint or NULL */
};

struct lexer {
    struct bytes text;
    size_t at;
};

struct token lexer_next(struct lexer *lexer);

/* The word in any case. */
bool token_is_word(const struct token *token, const char *word);
bool token_is_symbol(const struct token *token, const char *symbol);
