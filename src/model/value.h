/* What an expression of the metric language can be: a small tagged value.
 *
 * Numbers are exact in units of 10^-9 (so 0.1 + 0.2 = 0.3, integers are exact) and turn into a
 * double only where that can't hold them. Text borrows from the event or the program. A double is
 * always finite. */
#pragma once

#include "base/bytes.h"
#include "base/text.h"

enum value_kind {
    VALUE_NULL = 0,
    VALUE_BOOL = 1,
    VALUE_NUMBER = 2, /* nano */
    VALUE_DOUBLE = 3, /* real */
    VALUE_TEXT = 4,
    VALUE_TIME = 5, /* time_us */
};

struct value {
    enum value_kind kind;
    union {
        bool boolean;
        int128 nano;
        double real;
        int64_t time_us;
        struct bytes text;
    };
};

static inline struct value value_null(void)
{
    return (struct value){.kind = VALUE_NULL};
}

static inline struct value value_of_bool(bool boolean)
{
    return (struct value){.kind = VALUE_BOOL, .boolean = boolean};
}

static inline struct value value_of_nano(int128 nano)
{
    return (struct value){.kind = VALUE_NUMBER, .nano = nano};
}

static inline struct value value_of_text(struct bytes text)
{
    return (struct value){.kind = VALUE_TEXT, .text = text};
}

static inline struct value value_of_time(int64_t time_us)
{
    return (struct value){.kind = VALUE_TIME, .time_us = time_us};
}

/* A double, or NULL when it is not finite. */
struct value value_of_real(double real);

/* Total order of non-NULL values of comparable kinds (numbers with doubles, by their exact values;
 * FALSE before TRUE; texts by their bytes; else the same kind). For kinds that can't be compared,
 * and for NULL, *comparable is false (SQL: the result is NULL). */
int value_compare(struct value a, struct value b, bool *comparable);

/* A canonical encoding, equal exactly for equal values, so it can serve as a group's key: kind
 * byte, then the payload (a double that is a whole number of nanos encodes as VALUE_NUMBER). */
void value_put(struct buf *out, struct value value);

/* False when the bytes are no value. Text borrows from the input. */
bool value_read(struct reader *in, struct value *value);

/* Order of two keys made by value_put of several values each: value by value, NULLs last, kinds
 * that can't be compared by kind. */
int value_key_compare(struct bytes a, struct bytes b);

/* As a JSON value; times as RFC 3339 text. */
void value_put_json(struct buf *out, struct value value);
