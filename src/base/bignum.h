/* Whole numbers of up to 4096 bits: just enough to convert between decimal and binary exactly.
 *
 * Invariants:
 *  1. limb[0] is the lowest; limb[count - 1] != 0; zero has count 0.
 *  2. A result that would not fit is a bug: callers know their bounds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BIGNUM_LIMBS 64

struct bignum {
    uint32_t count;
    uint64_t limb[BIGNUM_LIMBS]; /* above count: undefined */
};

void bignum_set(struct bignum *n, uint64_t value);

/* n = n * factor + addend */
void bignum_multiply(struct bignum *n, uint64_t factor, uint64_t addend);

/* n = n * 10^power */
void bignum_multiply_pow10(struct bignum *n, uint32_t power);

/* n = n * 2^bits */
void bignum_shift_left(struct bignum *n, uint32_t bits);

/* a = a + b */
void bignum_add(struct bignum *a, const struct bignum *b);

/* a = a - b; a >= b. */
void bignum_subtract(struct bignum *a, const struct bignum *b);

/* < 0, 0, > 0 as a < b, a = b, a > b */
int bignum_compare(const struct bignum *a, const struct bignum *b);

/* The position of the highest bit, 1-based; 0 for zero. */
uint32_t bignum_bits(const struct bignum *n);

static inline bool bignum_is_zero(const struct bignum *n)
{
    return n->count == 0;
}
