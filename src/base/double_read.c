/* Correctly rounded decimal to binary conversion.
 *
 *     d1d2...dn * 10^e  =  N / D        N = digits * 10^max(e, 0),  D = 10^max(-e, 0)
 *
 * N or D is shifted until both have the same number of bits, so that the quotient lies in (1/2, 2);
 * then 64 bits of it are taken by long division, and what remains says whether the rest is zero.
 * Rounding to 53 bits (fewer for subnormal numbers) is then integer arithmetic.
 *
 * Two shortcuts and a cut:
 *  - Up to 15 digits and |e| <= 22: digits and power are exact doubles, so that one multiplication
 * or division rounds once.
 *  - Far too large or small numbers are known by their magnitude.
 *  - Of more than 780 digits the rest only counts as "not zero": no halfway point between two
 * doubles has more than 768. This bounds the numbers below 4096 bits.
 *
 * Invariant: the result is the double nearest to the exact value, the even one of two equally near.
 */
#include "base/double_read.h"

#include "base/bignum.h"
#include "base/check.h"

#define DIGITS_EXACT_MAX     15
#define POWER_EXACT_MAX      22
#define DIGITS_READ_MAX      780
#define MAGNITUDE_MAX        310
#define MAGNITUDE_MIN        (-330)
#define MANTISSA_BITS        53
#define EXPONENT_MIN         (-1074) /* of the lowest bit of a subnormal number */
#define EXPONENT_MAX         971     /* of the lowest bit of the largest number */
#define EXPONENT_BIAS        1075
#define MANTISSA_STORED_BITS 52

static const double powers_of_ten[POWER_EXACT_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static uint64_t digits_small(struct bytes text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '.') {
            value = value * 10 + (text.data[i] - '0');
        }
    }
    return value;
}

static double read_exact(const struct digits *digits)
{
    double value = (double)digits_small(digits->text);
    int64_t power = digits->exponent;
    return power < 0 ? value / powers_of_ten[-power] : value * powers_of_ten[power];
}

/* The first digits as a number, and the exponent of its last one. A digit 1 stands for all the
 * others. */
static int64_t digits_load(const struct digits *digits, struct bignum *n)
{
    bignum_set(n, 0);
    int64_t read = 0;
    for (size_t i = 0; i < digits->text.len && read < DIGITS_READ_MAX; i++) {
        uint8_t c = digits->text.data[i];
        if (c != '.') {
            bignum_multiply(n, 10, (uint64_t)(c - '0'));
            read++;
        }
    }
    if (read == digits->count) {
        return digits->exponent;
    }
    bignum_multiply(n, 10, 1);
    return digits->exponent + digits->count - read - 1;
}

/* A positive number: high * 2^exponent <= value < (high + 1) * 2^exponent. */
struct binary {
    uint64_t high;    /* bit 63 is set */
    int32_t exponent; /* of bit 0 */
    bool inexact;     /* value > high * 2^exponent */
};

/* n / d as a binary number; both are used up. */
static struct binary divide(struct bignum *n, struct bignum *d)
{
    int32_t exponent = (int32_t)bignum_bits(n) - (int32_t)bignum_bits(d);
    if (exponent > 0) {
        bignum_shift_left(d, (uint32_t)exponent);
    } else {
        bignum_shift_left(n, (uint32_t)-exponent);
    }
    if (bignum_compare(n, d) < 0) {
        bignum_shift_left(n, 1);
        exponent--;
    }
    uint64_t high = 0;
    for (int bit = 63; bit >= 0; bit--) {
        if (bignum_compare(n, d) >= 0) {
            bignum_subtract(n, d);
            high |= (uint64_t)1 << bit;
        }
        bignum_shift_left(n, 1);
    }
    CHECK(high >> 63 == 1);
    return (struct binary){.high = high, .exponent = exponent - 63, .inexact = !bignum_is_zero(n)};
}

/* Drops the lowest `drop` bits (1-64), to the nearest, ties to even. */
static uint64_t round_off(struct binary value, int32_t drop)
{
    CHECK(drop >= 1 && drop <= 64);
    uint64_t kept = drop == 64 ? 0 : value.high >> drop;
    uint64_t half = (uint64_t)1 << (drop - 1);
    uint64_t rest = value.high & (half | (half - 1));
    bool up = rest > half || (rest == half && (value.inexact || (kept & 1) != 0));
    return kept + (up ? 1 : 0);
}

/* The bits of the nearest double, without the sign; false when infinite. */
static bool pack(struct binary value, uint64_t *bits)
{
    int32_t drop = 64 - MANTISSA_BITS;
    if (value.exponent + drop < EXPONENT_MIN) {
        drop = EXPONENT_MIN - value.exponent;
    }
    if (drop > 64) {
        *bits = 0; /* below half of the smallest number */
        return true;
    }
    uint64_t mantissa = round_off(value, drop);
    int32_t exponent = value.exponent + drop;
    if (mantissa >> MANTISSA_BITS != 0) {
        mantissa >>= 1; /* rounded up to a power of two */
        exponent++;
    }
    if (exponent > EXPONENT_MAX) {
        return false;
    }
    uint64_t implicit = (uint64_t)1 << MANTISSA_STORED_BITS;
    if (mantissa < implicit) {
        CHECK(exponent == EXPONENT_MIN);
        *bits = mantissa; /* subnormal: the stored exponent is 0 */
        return true;
    }
    *bits = (mantissa - implicit) | (uint64_t)(exponent + EXPONENT_BIAS) << MANTISSA_STORED_BITS;
    return true;
}

static bool read_by_division(const struct digits *digits, uint64_t *bits)
{
    struct bignum n;
    struct bignum d;
    int64_t exponent = digits_load(digits, &n);
    bignum_set(&d, 1);
    CHECK(exponent > -2000 && exponent < 2000);
    if (exponent < 0) {
        bignum_multiply_pow10(&d, (uint32_t)-exponent);
    } else {
        bignum_multiply_pow10(&n, (uint32_t)exponent);
    }
    return pack(divide(&n, &d), bits);
}

bool double_read(const struct digits *digits, double *out)
{
    CHECK(digits->count > 0);
    int64_t magnitude = digits->count + digits->exponent;
    double value = 0;
    if (magnitude > MAGNITUDE_MAX) {
        return false;
    }
    if (digits->count <= DIGITS_EXACT_MAX && digits->exponent >= -POWER_EXACT_MAX &&
        digits->exponent <= POWER_EXACT_MAX) {
        value = read_exact(digits);
    } else if (magnitude >= MAGNITUDE_MIN) {
        uint64_t bits = 0;
        if (!read_by_division(digits, &bits)) {
            return false;
        }
        memcpy(&value, &bits, sizeof(value));
    }
    *out = digits->negative ? -value : value;
    return true;
}
