/* Expressions as programs for a stack of values: the byte code between lang and core.
 *
 *   program := op*            each op is one byte, followed by its operands (bytes.h encodings)
 *
 * A program is checked when it is made (lang) and again when it is read from outside
 * (program_valid): it ends with exactly one value, never underflows, uses at most PROGRAM_STACK_MAX
 * slots, and jumps only forwards. So evaluation is bounded by the program's length and needs no
 * checks of its own. SQL's three-valued logic: NULL in most operands gives NULL; AND, OR, IS [NOT]
 * NULL, COALESCE and CASE follow SQL. A filter passes only on TRUE. */
#pragma once

#include "model/event.h"
#include "model/value.h"

#define PROGRAM_STACK_MAX     32
#define PROGRAM_BYTES_MAX     8192
#define PROGRAM_PATH_MAX      16  /* steps of a data path */
#define PROGRAM_TARGETS_MAX   64  /* jump targets ahead at any one place */
#define PROGRAM_LIKE_MAX      256 /* bytes of a LIKE pattern; a longer one gives NULL */
#define PROGRAM_SCRATCH_BYTES (64 * 1024)

/* The numbers are part of the log's format: never change one, only add. Stack effects are written
 * before -- after, the top at the right. A jump's operand is a u16: how far behind the operand's
 * end it goes. */
enum program_op {
    /* Constants: -- x */
    OP_NULL = 0x01,
    OP_TRUE = 0x02,
    OP_FALSE = 0x03,
    OP_NUMBER = 0x04, /* i128 nano */
    OP_DOUBLE = 0x05, /* f64 */
    OP_TEXT = 0x06,   /* u16 length, bytes */
    OP_TIME = 0x07,   /* i64 us */
    /* From the event: -- x */
    OP_COLUMN = 0x10,        /* u8 enum program_column */
    OP_EXTENSION = 0x11,     /* u8 length, name */
    OP_DATA = 0x12,          /* u8 steps; per step u8 1, u16 length, name or u8 2, u32 index */
    OP_COLUMN_EQUALS = 0x13, /* u8 text column, u16 length, bytes: column = 'text' in one op */
    /* x -- y */
    OP_NOT = 0x20,
    OP_NEGATE = 0x21,
    OP_IS_NULL = 0x22,
    OP_IS_NOT_NULL = 0x23,
    OP_CAST = 0x24,       /* u8 enum program_type */
    OP_DATE_TRUNC = 0x25, /* u8 enum program_unit */
    /* x y -- z */
    OP_ADD = 0x30,
    OP_SUBTRACT = 0x31,
    OP_MULTIPLY = 0x32,
    OP_DIVIDE = 0x33,
    OP_MODULO = 0x34,
    OP_CONCAT = 0x35,
    OP_EQUAL = 0x36,
    OP_NOT_EQUAL = 0x37,
    OP_LESS = 0x38,
    OP_LESS_EQUAL = 0x39,
    OP_GREATER = 0x3a,
    OP_GREATER_EQUAL = 0x3b,
    OP_AND = 0x3c,
    OP_OR = 0x3d,
    OP_LIKE = 0x3e, /* text pattern -- bool; u32: the escape's code point, 0 = none */
    /* Others */
    OP_BETWEEN = 0x40,          /* x low high -- bool */
    OP_CALL = 0x41,             /* x1 .. xn -- y; u8 enum program_function, u8 n */
    OP_DUP = 0x42,              /* x -- x x */
    OP_POP = 0x43,              /* x -- */
    OP_JUMP = 0x48,             /* -- */
    OP_JUMP_UNLESS = 0x49,      /* x --, jumps when x is not TRUE */
    OP_JUMP_IF_FALSE = 0x4a,    /* x -- x */
    OP_JUMP_IF_TRUE = 0x4b,     /* x -- x */
    OP_JUMP_IF_NOT_NULL = 0x4c, /* x -- x */
    OP_IN_NEXT = 0x4d, /* x seen item -- x seen', or -- TRUE and a jump when x = item is TRUE */
    OP_IN_END = 0x4e,  /* x seen -- seen */
};

enum program_column {
    COLUMN_ID = 1,
    COLUMN_SOURCE = 2,
    COLUMN_TYPE = 3,
    COLUMN_SUBJECT = 4,
    COLUMN_CONTENT_TYPE = 5,
    COLUMN_TIME = 6,
    COLUMN_ARRIVAL_TIME = 7,
};

enum program_type {
    TYPE_BIGINT = 1,
    TYPE_DOUBLE = 2,
    TYPE_TEXT = 3,
    TYPE_BOOLEAN = 4,
    TYPE_TIMESTAMP = 5,
};

enum program_unit {
    UNIT_MILLISECOND = 1,
    UNIT_SECOND = 2,
    UNIT_MINUTE = 3,
    UNIT_HOUR = 4,
    UNIT_DAY = 5,
    UNIT_WEEK = 6, /* Mondays */
    UNIT_MONTH = 7,
    UNIT_QUARTER = 8,
    UNIT_YEAR = 9,
};

enum program_function {
    FUNCTION_LOWER = 1,
    FUNCTION_UPPER = 2,
    FUNCTION_LENGTH = 3,
    FUNCTION_SUBSTR = 4, /* 2 or 3 arguments */
    FUNCTION_ABS = 5,
    FUNCTION_ROUND = 6, /* 1 or 2 */
    FUNCTION_FLOOR = 7,
    FUNCTION_CEIL = 8,
    FUNCTION_GEO_DISTANCE = 9,
    FUNCTION_GEO_WITHIN_BOX = 10,
    FUNCTION_GEOHASH = 11, /* 2 or 3 */
};

/* How many arguments a function takes; false for a number that is no function. */
bool program_function_arguments(uint8_t function, int *arguments_min, int *arguments_max);

/* What evaluation works in: the stack, and memory for texts that it makes (concatenation,
 * unescaping). The caller sets `used` to 0 for each event; values of one event may borrow from it
 * until then. A text that does not fit becomes NULL. 65 KiB: one per thread. */
struct program_scratch {
    size_t used;
    struct value stack[PROGRAM_STACK_MAX];
    uint8_t data[PROGRAM_SCRATCH_BYTES];
};

bool program_valid(struct bytes program);

/* The value of the program for this event. The result may borrow from the event, the program or the
 * scratch. Pure; cost bounded by the program's length and the event's size. */
struct value
program_eval(struct bytes program, const struct event *event, struct program_scratch *scratch);

enum program_text {
    PROGRAM_TEXT_NULL,     /* the value is NULL */
    PROGRAM_TEXT_TOO_LONG, /* it does not fit the scratch */
    PROGRAM_TEXT_GIVEN,
};

/* The program's value as CAST(... AS TEXT) gives it. */
enum program_text program_eval_text(struct bytes program,
                                    const struct event *event,
                                    struct program_scratch *scratch,
                                    struct bytes *text);

/* value_put(out, program_eval(...)). */
void program_put(struct bytes program,
                 const struct event *event,
                 struct program_scratch *scratch,
                 struct buf *out);

/* program_eval(...) is TRUE; an empty program passes. */
bool program_passes(struct bytes program,
                    const struct event *event,
                    struct program_scratch *scratch);
