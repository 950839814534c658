/* Schoolbook arithmetic on 64-bit limbs. Operands have up to 60 limbs and are used some tens of
 * times per conversion, so nothing cleverer pays. */
#include "base/bignum.h"

#include "base/bytes.h"
#include "base/check.h"

__extension__ typedef unsigned __int128 uint128;

static void push(struct bignum *n, uint64_t limb)
{
    if (limb != 0) {
        CHECK(n->count < BIGNUM_LIMBS);
        n->limb[n->count++] = limb;
    }
}

void bignum_set(struct bignum *n, uint64_t value)
{
    n->count = 0;
    push(n, value);
}

void bignum_multiply(struct bignum *n, uint64_t factor, uint64_t addend)
{
    CHECK(factor != 0);
    uint64_t carry = addend;
    for (uint32_t i = 0; i < n->count; i++) {
        uint128 product = (uint128)n->limb[i] * factor + carry;
        n->limb[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    push(n, carry);
}

void bignum_multiply_pow10(struct bignum *n, uint32_t power)
{
    const uint64_t ten_to_19 = 10000000000000000000U;
    for (; power >= 19; power -= 19) {
        bignum_multiply(n, ten_to_19, 0);
    }
    uint64_t rest = 1;
    for (; power > 0; power--) {
        rest *= 10;
    }
    bignum_multiply(n, rest, 0);
}

void bignum_shift_left(struct bignum *n, uint32_t bits)
{
    if (n->count == 0) {
        return;
    }
    uint32_t limbs = bits / 64;
    CHECK(limbs < BIGNUM_LIMBS - n->count + 1);
    if (limbs > 0) {
        memmove(n->limb + limbs, n->limb, n->count * sizeof(n->limb[0]));
        memset(n->limb, 0, limbs * sizeof(n->limb[0]));
        n->count += limbs;
    }
    if (bits % 64 > 0) {
        bignum_multiply(n, (uint64_t)1 << (bits % 64), 0);
    }
}

void bignum_add(struct bignum *a, const struct bignum *b)
{
    while (a->count < b->count) {
        a->limb[a->count++] = 0;
    }
    uint64_t carry = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        uint128 sum = (uint128)a->limb[i] + (i < b->count ? b->limb[i] : 0) + carry;
        a->limb[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    push(a, carry);
}

void bignum_subtract(struct bignum *a, const struct bignum *b)
{
    CHECK(a->count >= b->count);
    uint64_t borrow = 0;
    for (uint32_t i = 0; i < a->count && (i < b->count || borrow != 0); i++) {
        uint128 taken = (uint128)(i < b->count ? b->limb[i] : 0) + borrow;
        borrow = a->limb[i] < taken ? 1 : 0;
        a->limb[i] -= (uint64_t)taken;
    }
    CHECK(borrow == 0);
    while (a->count > 0 && a->limb[a->count - 1] == 0) {
        a->count--;
    }
}

int bignum_compare(const struct bignum *a, const struct bignum *b)
{
    if (a->count != b->count) {
        return a->count < b->count ? -1 : 1;
    }
    for (uint32_t i = a->count; i > 0; i--) {
        if (a->limb[i - 1] != b->limb[i - 1]) {
            return a->limb[i - 1] < b->limb[i - 1] ? -1 : 1;
        }
    }
    return 0;
}

uint32_t bignum_bits(const struct bignum *n)
{
    if (n->count == 0) {
        return 0;
    }
    uint64_t top = n->limb[n->count - 1];
    return n->count * 64 - (uint32_t)__builtin_clzll(top);
}
