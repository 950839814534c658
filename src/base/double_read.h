/* Decimal digits to the nearest double: the inexact half of decimal_parse. */
#pragma once

#include "base/bytes.h"

/* A number other than zero: +-d1d2d3... * 10^exponent, d1 and the last digit not 0. */
struct digits {
    struct bytes text; /* from the first to the last digit; a dot may stand between them */
    int64_t count;     /* of digits, the dot not counted */
    int64_t exponent;  /* the weight of the last digit */
    bool negative;
};

/* The nearest double, ties to even; a too small one becomes a zero of its sign. False when it would
 * be infinite. */
bool double_read(const struct digits *digits, double *out);
