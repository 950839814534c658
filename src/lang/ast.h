/* What the parser makes of an expression or a SELECT: a tree in the arena. */
#pragma once

#include "model/definition.h"
#include "model/program.h"

/* Nothing in a tree is deeper, so walking it by recursion is safe. Chains of operators of one level
 * (a AND b AND c) are lists, not depth. */
#define AST_DEPTH_MAX 64
#define AST_NODES_MAX 4096

enum node_kind {
    NODE_CONSTANT,   /* value */
    NODE_COLUMN,     /* op = enum program_column */
    NODE_EXTENSION,  /* text = name; flag = it was quoted */
    NODE_DATA,       /* first = list of steps */
    NODE_STEP,       /* text = member name; flag = an index instead, number */
    NODE_WINDOW,     /* window_start or window_end */
    NODE_CHAIN,      /* first, then the list second of terms: AND OR || + - * / % */
    NODE_TERM,       /* op, first */
    NODE_UNARY,      /* op, first */
    NODE_COMPARE,    /* op, first, second */
    NODE_IN,         /* first IN list second; flag = NOT */
    NODE_BETWEEN,    /* first BETWEEN list second (low, high); flag = NOT */
    NODE_LIKE,       /* first LIKE second; flag = NOT; number = escape's code point */
    NODE_CASE,       /* CASE first (or NULL), list second of whens, the last maybe an else */
    NODE_WHEN,       /* first = condition or value, second = result */
    NODE_ELSE,       /* first */
    NODE_CAST,       /* op = enum program_type, first */
    NODE_CALL,       /* op = enum program_function, list second, text = its name */
    NODE_COALESCE,   /* list second, text = its name */
    NODE_DATE_TRUNC, /* op = enum program_unit, first, text = its name */
    NODE_AGGREGATE,  /* op = enum aggregate_kind, first = argument or NULL, second = filter or NULL,
                        text = its name */
    NODE_ITEM,       /* of a SELECT: first = expression, text = alias or empty */
};

struct node {
    enum node_kind kind;
    uint8_t op;
    bool flag;
    uint8_t depth;   /* 1 + the deepest child's */
    uint32_t offset; /* where it stands in the statement: [offset, end) */
    uint32_t end;
    uint32_t number;
    struct node *first;
    struct node *second;
    struct node *next; /* in its list */
    union {
        struct value value;
        struct bytes text;
    };
};

/* A SELECT as written; times are in microseconds. The definition's fields for windows, lateness and
 * emission are filled by the parser, the rest by the check. */
struct select {
    struct node *items;  /* NODE_ITEM */
    struct node *filter; /* or NULL */
    struct node *groups; /* list of expressions, or NULL */
};
