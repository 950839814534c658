/* Arithmetic of values: exact in units of 10^-9 as long as that holds the result, else in doubles.
 *
 * Exact results have |nano| <= NUMBER_NANO_MAX, 28 digits before and 9 behind the point; what has
 * more becomes the nearest double of the two operands' doubles, what has no finite double NULL. */
#pragma once

#include "model/value.h"

#define NUMBER_NANO_MAX ((int128)1000000000000000000LL * (int128)10000000000000000000ULL - 1)

/* The nearest double (ties to even). */
double number_to_double(int128 nano);

/* What a double is in nanos, cut towards zero. */
struct number_cut {
    int128 nano;
    bool exact;   /* nothing was cut off */
    bool half_up; /* what was cut off is at least half a nano */
};

/* False when the double lies beyond what 128 bits of nanos can hold. */
bool number_from_double(double real, struct number_cut *cut);

/* The sign of nano * 10^-9 - real, exactly, for |nano| < 2^126. */
int number_compare_double(int128 nano, double real);

/* NULL when an operand is not a number, when dividing by zero, and beyond the doubles. The sign of
 * modulo is that of its first operand. */
struct value number_add(struct value a, struct value b);
struct value number_subtract(struct value a, struct value b);
struct value number_multiply(struct value a, struct value b);
struct value number_divide(struct value a, struct value b);
struct value number_modulo(struct value a, struct value b);
struct value number_negate(struct value a);

enum number_rounding {
    ROUND_HALF_AWAY, /* to the nearest, halves away from zero */
    ROUND_TO_ZERO,
    ROUND_DOWN,
    ROUND_UP,
};

/* To a multiple of 10^-digits; digits in [-28, 9]. A double too large for nanos stays as it is. */
struct value number_round(struct value a, int digits, enum number_rounding rounding);
