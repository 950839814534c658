/* Expected failures: one list (errors.def), one enum, one table of what users are told. */
#pragma once

#include "base/bytes.h"

#define MUST_CHECK __attribute__((warn_unused_result))

enum err {
    OK = 0,
#define ERR(name, problem, status, text) name,
#include "base/errors.def"
#undef ERR
    ERR_COUNT
};

/* The problem's stable name, e.g. "invalid-json". */
const char *err_name(enum err err);

/* The HTTP status that goes with it; 200 for OK. */
int err_status(enum err err);

/* One sentence for people. */
const char *err_text(enum err err);

/* A failure with its words, made once, where the context is known (configuration, API, CLI). */
struct error {
    enum err code;
    int line;   /* 1-based position in the text that was read; 0 = none */
    int column; /* in bytes, 1-based */
    char text[200];
    char hint[120]; /* what to do or write instead; "" = none */
};
