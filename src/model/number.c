/* Exact decimal arithmetic in 128 bits, and the way from there to doubles and back.
 *
 * Invariants:
 *  1. Every VALUE_NUMBER made here has |nano| <= NUMBER_NANO_MAX < 2^123, so a sum of two never
 *     overflows and no negation does.
 *  2. Every VALUE_DOUBLE made here is finite.
 *  3. A result is exact or it is a double: digits are never dropped from a VALUE_NUMBER, except by
 *     number_round, which was asked to.
 *  4. Doubles and exact numbers are compared by what they are, not after a conversion that rounds,
 *     so the order is transitive over both kinds. */
#include "model/number.h"

#include "base/check.h"

__extension__ typedef unsigned __int128 uint128;

#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1075 /* of a mantissa read as an integer */
#define EXPONENT_MAX  2046

static uint128 magnitude_of(int128 number)
{
    return number < 0 ? (uint128)0 - (uint128)number : (uint128)number;
}

static bool in_range(int128 nano)
{
    return nano >= -NUMBER_NANO_MAX && nano <= NUMBER_NANO_MAX;
}

static uint64_t double_bits(double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof(bits));
    return bits;
}

static double double_of_bits(uint64_t bits)
{
    double real;
    memcpy(&real, &bits, sizeof(real));
    return real;
}

/* 2^exponent, for normal doubles. */
static double power_of_two(int exponent)
{
    CHECK(exponent > -1023 && exponent < 1024);
    return double_of_bits((uint64_t)(exponent + 1023) << MANTISSA_BITS);
}

static int leading_zeros(uint128 number)
{
    CHECK(number != 0);
    uint64_t high = (uint64_t)(number >> 64);
    return high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)number);
}

double number_to_double(int128 nano)
{
    uint128 magnitude = magnitude_of(nano);
    if (magnitude <= (uint128)1 << 53) {
        return (double)(int64_t)nano / (double)NANO_PER_UNIT; /* both exact: one rounding */
    }
    /* Scale up so that the quotient has 97 bits, keep its first 64 and fold the rest into the last
     * of these: the conversion to double then rounds once, as if it saw every digit. */
    int shift = leading_zeros(magnitude);
    uint128 scaled = magnitude << shift;
    uint128 quotient = scaled / NANO_PER_UNIT;
    bool rest = scaled % NANO_PER_UNIT != 0;
    int drop = 64 - leading_zeros(quotient);
    CHECK(drop > 0);
    uint64_t first = (uint64_t)(quotient >> drop);
    rest = rest || (quotient & (((uint128)1 << drop) - 1)) != 0;
    double real = (double)(first | (rest ? 1 : 0)) * power_of_two(drop - shift);
    return nano < 0 ? -real : real;
}

bool number_from_double(double real, struct number_cut *cut)
{
    *cut = (struct number_cut){.exact = true};
    uint64_t bits = double_bits(real);
    int exponent = (int)(bits >> MANTISSA_BITS & 2047);
    uint64_t mantissa = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);
    if (exponent > EXPONENT_MAX) {
        return false; /* infinite or not a number */
    }
    mantissa |= exponent != 0 ? (uint64_t)1 << MANTISSA_BITS : 0;
    exponent = (exponent != 0 ? exponent : 1) - EXPONENT_BIAS;
    uint128 product = (uint128)mantissa * NANO_PER_UNIT; /* < 2^83 */
    if (exponent > 44) {
        return false;
    }
    uint128 magnitude = 0;
    if (exponent >= 0) {
        magnitude = product << exponent;
    } else if (exponent > -127) {
        uint128 mask = ((uint128)1 << -exponent) - 1;
        magnitude = product >> -exponent;
        cut->exact = (product & mask) == 0;
        cut->half_up = (product & mask) >= ((uint128)1 << (-exponent - 1));
    } else {
        cut->exact = product == 0;
    }
    cut->nano = (bits >> 63) != 0 ? -(int128)magnitude : (int128)magnitude;
    return true;
}

int number_compare_double(int128 nano, double real)
{
    struct number_cut cut;
    if (!number_from_double(real, &cut)) {
        return real > 0 ? -1 : 1;
    }
    if (nano != cut.nano) {
        return nano < cut.nano ? -1 : 1;
    }
    if (cut.exact) {
        return 0;
    }
    return real > 0 ? -1 : 1;
}

static bool is_number(struct value a)
{
    return a.kind == VALUE_NUMBER || a.kind == VALUE_DOUBLE;
}

static double real_of(struct value a)
{
    return a.kind == VALUE_NUMBER ? number_to_double(a.nano) : a.real;
}

static bool both_exact(struct value a, struct value b)
{
    return a.kind == VALUE_NUMBER && b.kind == VALUE_NUMBER && in_range(a.nano) && in_range(b.nano);
}

struct value number_add(struct value a, struct value b)
{
    if (both_exact(a, b) && in_range(a.nano + b.nano)) {
        return value_of_nano(a.nano + b.nano);
    }
    if (!is_number(a) || !is_number(b)) {
        return value_null();
    }
    return value_of_real(real_of(a) + real_of(b));
}

struct value number_negate(struct value a)
{
    if (a.kind == VALUE_NUMBER && in_range(a.nano)) {
        return value_of_nano(-a.nano);
    }
    return is_number(a) ? value_of_real(-real_of(a)) : value_null();
}

struct value number_subtract(struct value a, struct value b)
{
    return number_add(a, number_negate(b));
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* a * b / 10^9 when that is a whole number in range. It is whole exactly when b holds what 10^9 has
 * left after sharing factors with a; dividing both first keeps the product small. */
static bool multiply_exact(int128 a, int128 b, int128 *product)
{
    if (a == 0 || b == 0) {
        *product = 0;
        return true;
    }
    uint64_t shared =
        greatest_common_divisor(NANO_PER_UNIT, (uint64_t)(magnitude_of(a) % NANO_PER_UNIT));
    int128 rest = NANO_PER_UNIT / (int64_t)shared;
    if (b % rest != 0) {
        return false;
    }
    int128 first = a / (int128)shared;
    int128 second = b / rest;
    if (magnitude_of(first) > (uint128)NUMBER_NANO_MAX / magnitude_of(second)) {
        return false;
    }
    *product = first * second;
    return true;
}

struct value number_multiply(struct value a, struct value b)
{
    int128 product;
    if (both_exact(a, b) && multiply_exact(a.nano, b.nano, &product)) {
        return value_of_nano(product);
    }
    if (!is_number(a) || !is_number(b)) {
        return value_null();
    }
    return value_of_real(real_of(a) * real_of(b));
}

/* a * 10^9 / b when that is a whole number in range: long division, digit by digit, since
 * a * 10^9 may need more than 128 bits. Ten times a remainder is < 10 * NUMBER_NANO_MAX < 2^127. */
static bool divide_exact(int128 a, int128 b, int128 *quotient)
{
    CHECK(b != 0);
    int128 whole = a / b;
    int128 rest = a % b;
    if (whole > NUMBER_NANO_MAX / NANO_PER_UNIT || whole < -NUMBER_NANO_MAX / NANO_PER_UNIT) {
        return false;
    }
    for (int digit = 0; digit < 9; digit++) {
        whole = whole * 10 + rest * 10 / b;
        rest = rest * 10 % b;
    }
    *quotient = whole;
    return rest == 0 && in_range(whole);
}

static bool is_zero(struct value a)
{
    return a.kind == VALUE_NUMBER ? a.nano == 0 : a.real == 0.0;
}

struct value number_divide(struct value a, struct value b)
{
    if (!is_number(a) || !is_number(b) || is_zero(b)) {
        return value_null();
    }
    int128 quotient;
    if (both_exact(a, b) && divide_exact(a.nano, b.nano, &quotient)) {
        return value_of_nano(quotient);
    }
    return value_of_real(real_of(a) / real_of(b));
}

/* A finite double as mantissa * 2^exponent. */
static uint64_t mantissa_of(double real, int *exponent)
{
    uint64_t bits = double_bits(real);
    int raw = (int)(bits >> MANTISSA_BITS & 2047);
    uint64_t mantissa = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);
    CHECK(raw <= EXPONENT_MAX);
    *exponent = (raw != 0 ? raw : 1) - EXPONENT_BIAS;
    return raw != 0 ? mantissa | (uint64_t)1 << MANTISSA_BITS : mantissa;
}

/* The remainder of two doubles, exactly (it always is a double): the dividend's mantissa is shifted
 * to the divisor's exponent 64 bits at a time, keeping the remainder. */
static double modulo_real(double a, double b)
{
    int exponent_a;
    int exponent_b;
    uint64_t rest = mantissa_of(a, &exponent_a);
    uint64_t divisor = mantissa_of(b, &exponent_b);
    CHECK(divisor != 0);
    if (exponent_a < exponent_b) {
        int shift = exponent_b - exponent_a;
        if (shift > 63 || divisor > UINT64_MAX >> shift) {
            return a; /* |a| < |b| */
        }
        divisor <<= shift;
        exponent_b = exponent_a;
    }
    rest %= divisor;
    for (int left = exponent_a - exponent_b; left > 0;) {
        int shift = left < 64 ? left : 64;
        rest = (uint64_t)(((uint128)rest << shift) % divisor);
        left -= shift;
    }
    double result = (double)rest; /* rest < 2^53 or a multiple that fits: exact */
    int exponent = exponent_b;
    if (exponent < -1000) {
        result *= power_of_two(-1000);
        exponent += 1000;
    }
    result *= power_of_two(exponent);
    return double_bits(a) >> 63 != 0 ? -result : result;
}

struct value number_modulo(struct value a, struct value b)
{
    if (!is_number(a) || !is_number(b) || is_zero(b)) {
        return value_null();
    }
    if (both_exact(a, b)) {
        return value_of_nano(a.nano % b.nano);
    }
    return value_of_real(modulo_real(real_of(a), real_of(b)));
}

/* Whether the cut-off rest moves the magnitude up by one step. */
static bool rounds_up(bool negative, bool any_rest, bool half_up, enum number_rounding rounding)
{
    switch (rounding) {
    case ROUND_HALF_AWAY:
        return half_up;
    case ROUND_TO_ZERO:
        return false;
    case ROUND_DOWN:
        return any_rest && negative;
    case ROUND_UP:
        return any_rest && !negative;
    }
    return false;
}

struct value number_round(struct value a, int digits, enum number_rounding rounding)
{
    CHECK(digits >= -28 && digits <= 9);
    struct number_cut cut = {.exact = true};
    if (a.kind == VALUE_NUMBER) {
        cut.nano = a.nano;
    } else if (a.kind != VALUE_DOUBLE) {
        return value_null();
    } else if (!number_from_double(a.real, &cut) || !in_range(cut.nano)) {
        return a;
    }
    int128 step = 1;
    for (int i = digits; i < 9; i++) {
        step *= 10;
    }
    int128 rest = cut.nano % step;
    int128 rest_size = rest < 0 ? -rest : rest;
    bool half_up = step == 1 ? cut.half_up : rest_size >= step / 2;
    bool negative = a.kind == VALUE_NUMBER ? a.nano < 0 : a.real < 0;
    int128 rounded = cut.nano - rest;
    if (rounds_up(negative, rest != 0 || !cut.exact, half_up, rounding)) {
        rounded += negative ? -step : step;
    }
    return in_range(rounded) ? value_of_nano(rounded) : value_of_real(number_to_double(rounded));
}
