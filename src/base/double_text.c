/* Doubles as the shortest decimal that reads back to the same double, the nearest of those.
 *
 * Exactly, with big numbers (Steele and White 1990; Dragon4): the double v is the fraction r / s;
 * every real in (v - low, v + high) reads back to v, low and high being half the gaps to its
 * neighbours. Digits of r / s are produced until what is left is smaller than low or larger than 1
 * - high.
 *
 *         v - low          v           v + high
 *     ------(--------------|--------------)-------     the ends belong to it when v's mantissa is
 * even
 *
 * Before that a shortcut: with up to 15 digits there is no more than one decimal per double, so
 * when v * 10^k is, for the smallest k, a whole number n below 10^15 and n / 10^k is v again, n's
 * digits are it. Most values that people write are of this kind.
 *
 * Invariants:
 *  1. 1 <= count <= 17, the first and the last digit are not 0.
 *  2. v = 0.d1d2...dn * 10^point, rounded to nearest. */
#include "base/text.h"

#include "base/bignum.h"
#include "base/check.h"

#define DIGITS_MAX    17
#define PLAIN_MAX     17 /* point: longer whole numbers take an exponent */
#define PLAIN_MIN     (-5)
#define POWER_MAX     20
#define SHORT_END     1e15
#define SHORT_MIN     1e-5
#define MANTISSA_BITS 52
#define EXPONENT_MASK 0x7ffU
#define EXPONENT_BIAS 1075

struct short_digits {
    uint8_t digit[DIGITS_MAX]; /* '0' - '9' */
    int32_t count;
    int32_t point;
};

static const double powers_of_ten[POWER_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,
                                                    1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13,
                                                    1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20};

/* The digits of a whole number, divided by 10^places. */
static void digits_split(uint64_t whole, int32_t places, struct short_digits *out)
{
    uint8_t reversed[20] = {0};
    int32_t total = 0;
    for (; whole > 0; whole /= 10) {
        reversed[total++] = (uint8_t)('0' + whole % 10);
    }
    CHECK(total > 0);
    CHECK(total <= DIGITS_MAX);
    int32_t zeros = 0;
    while (zeros < total && reversed[zeros] == '0') {
        zeros++;
    }
    out->count = total - zeros;
    out->point = total - places;
    for (int32_t i = 0; i < out->count; i++) {
        out->digit[i] = reversed[total - 1 - i];
    }
}

static bool digits_shortcut(double value, struct short_digits *out)
{
    if (value < SHORT_MIN || value >= SHORT_END) {
        return false;
    }
    for (int32_t places = 0; places <= POWER_MAX; places++) {
        double scaled = value * powers_of_ten[places] + 0.5;
        if (scaled >= SHORT_END) {
            return false;
        }
        uint64_t whole = (uint64_t)scaled;
        if (whole > 0 && (double)whole / powers_of_ten[places] == value) {
            digits_split(whole, places, out);
            return true;
        }
    }
    return false;
}

/* The fraction r / s and the halves of the gaps, all over one denominator. */
struct expansion {
    struct bignum r;
    struct bignum s;
    struct bignum low;
    struct bignum high;
    bool even; /* the ends of the interval belong to it */
};

/* value = mantissa * 2^exponent. Everything is doubled once, so that the halves are whole. */
static void expansion_begin(struct expansion *x, uint64_t mantissa, int32_t exponent, bool narrow)
{
    bignum_set(&x->r, mantissa);
    bignum_set(&x->s, 1);
    bignum_set(&x->low, 1);
    uint32_t up = exponent > 0 ? (uint32_t)exponent : 0;
    uint32_t down = exponent < 0 ? (uint32_t)-exponent : 0;
    /* At a power of two the gap below is half as wide: all but `low` doubles once more. */
    uint32_t widen = narrow ? 1 : 0;
    bignum_shift_left(&x->r, up + 1 + widen);
    bignum_shift_left(&x->s, down + 1 + widen);
    bignum_shift_left(&x->low, up);
    x->high = x->low;
    bignum_shift_left(&x->high, widen);
    x->even = (mantissa & 1) == 0;
}

/* Whether r + high reaches s, that is, whether the digit rounds up. */
static bool reaches_end(const struct expansion *x)
{
    struct bignum sum = x->r;
    bignum_add(&sum, &x->high);
    int order = bignum_compare(&sum, &x->s);
    return x->even ? order >= 0 : order > 0;
}

static bool below_low(const struct expansion *x)
{
    int order = bignum_compare(&x->r, &x->low);
    return x->even ? order <= 0 : order < 0;
}

static void expansion_times_ten(struct expansion *x)
{
    bignum_multiply(&x->r, 10, 0);
    bignum_multiply(&x->low, 10, 0);
    bignum_multiply(&x->high, 10, 0);
}

/* Scales by 10^-point so that the fraction, rounding included, lies in [1/10, 1). */
static int32_t expansion_scale(struct expansion *x, int32_t bits)
{
    /* log10(2) is a little more than 0.30102, and the error stays below 0.02: the estimate is never
     * too large, and the loop below makes up for what it is too small. */
    int32_t product = bits * 30102;
    int32_t point = product / 100000 - (product % 100000 < 0);
    if (point > 0) {
        bignum_multiply_pow10(&x->s, (uint32_t)point);
    } else {
        bignum_multiply_pow10(&x->r, (uint32_t)-point);
        bignum_multiply_pow10(&x->low, (uint32_t)-point);
        bignum_multiply_pow10(&x->high, (uint32_t)-point);
    }
    while (reaches_end(x)) {
        bignum_multiply(&x->s, 10, 0);
        point++;
    }
    return point;
}

/* r / s as a digit, r becomes the remainder. */
static uint8_t digit_take(struct expansion *x)
{
    uint8_t digit = 0;
    while (bignum_compare(&x->r, &x->s) >= 0) {
        bignum_subtract(&x->r, &x->s);
        digit++;
    }
    CHECK(digit <= 9);
    return digit;
}

static void digits_generate(struct expansion *x, struct short_digits *out)
{
    out->count = 0;
    bool low = false;
    bool high = false;
    while (!low && !high) {
        expansion_times_ten(x);
        CHECK(out->count < DIGITS_MAX);
        uint8_t digit = digit_take(x);
        low = below_low(x);
        high = reaches_end(x);
        if (low && high) {
            bignum_shift_left(&x->r, 1);
            high = bignum_compare(&x->r, &x->s) >= 0; /* the nearer one */
        }
        uint8_t up = high ? 1 : 0;
        CHECK(digit + up <= 9);
        out->digit[out->count++] = (uint8_t)('0' + digit + up);
    }
}

static void digits_exact(uint64_t bits, struct short_digits *out)
{
    uint64_t mantissa = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);
    int32_t exponent = (int32_t)(bits >> MANTISSA_BITS & EXPONENT_MASK);
    bool narrow = mantissa == 0 && exponent > 1;
    if (exponent == 0) {
        exponent = 1; /* subnormal */
    } else {
        mantissa |= (uint64_t)1 << MANTISSA_BITS;
    }
    CHECK(mantissa != 0);
    exponent -= EXPONENT_BIAS;
    struct expansion x;
    expansion_begin(&x, mantissa, exponent, narrow);
    int32_t top_bit = 63 - (int32_t)__builtin_clzll((unsigned long long)mantissa);
    out->point = expansion_scale(&x, top_bit + exponent);
    digits_generate(&x, out);
}

static void zeros_put(struct buf *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        buf_put_u8(out, '0');
    }
}

/* "0.00012", "12.5", "1200" */
static void plain_put(struct buf *out, const struct short_digits *digits)
{
    if (digits->point <= 0) {
        buf_put_text(out, "0.");
        zeros_put(out, -digits->point);
        buf_put(out, digits->digit, (size_t)digits->count);
        return;
    }
    int32_t whole = digits->point < digits->count ? digits->point : digits->count;
    buf_put(out, digits->digit, (size_t)whole);
    zeros_put(out, digits->point - whole);
    if (digits->count > whole) {
        buf_put_u8(out, '.');
        buf_put(out, digits->digit + whole, (size_t)(digits->count - whole));
    }
}

/* "1.25e+300" */
static void scientific_put(struct buf *out, const struct short_digits *digits)
{
    buf_put_u8(out, digits->digit[0]);
    if (digits->count > 1) {
        buf_put_u8(out, '.');
        buf_put(out, digits->digit + 1, (size_t)digits->count - 1);
    }
    int32_t exponent = digits->point - 1;
    buf_put_text(out, exponent < 0 ? "e-" : "e+");
    u64_put(out, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

void double_put(struct buf *out, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    bool negative = bits >> 63 != 0;
    bits &= UINT64_MAX >> 1;
    if ((bits >> MANTISSA_BITS & EXPONENT_MASK) == EXPONENT_MASK) {
        buf_put_text(out, "null");
        return;
    }
    if (bits == 0) {
        buf_put_u8(out, '0');
        return;
    }
    struct short_digits digits = {.count = 0};
    if (!digits_shortcut(negative ? -value : value, &digits)) {
        digits_exact(bits, &digits);
    }
    if (negative) {
        buf_put_u8(out, '-');
    }
    if (digits.point >= PLAIN_MIN && digits.point <= PLAIN_MAX) {
        plain_put(out, &digits);
    } else {
        scientific_put(out, &digits);
    }
}
