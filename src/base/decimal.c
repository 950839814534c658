/* JSON numbers as exact decimals in units of 10^-9, both ways.
 *
 * A number is first reduced to its significant digits, zeros on both ends cut, and the weight of
 * the last one: 0.00120e3 is the digits 12 with weight 10^-1. Whether it is exact can be read off
 * that form:
 *
 *     weight of the last digit >= 10^-9   and   count + exponent <= 28    ->  exact
 *
 * so that 1.50000000000 is exact although it has more than nine places. The common short numbers
 * take a shorter way with the same result.
 *
 * Invariants:
 *  1. |nano| < 10^37, so sums of many values fit into 128 bits.
 *  2. The same number in any spelling gives the same result; -0 is 0. */
#include "base/text.h"

#include "base/check.h"
#include "base/double_read.h"

#define PLACES            9
#define EXACT_MAGNITUDE   28
#define SHORT_LEN_MAX     18
#define EXPONENT_READ_MAX 1000000000000000

__extension__ typedef unsigned __int128 uint128;

static const uint64_t powers_of_ten[PLACES + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

static bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') <= 9;
}

static int128 signed_nano(uint128 magnitude, bool negative)
{
    return negative ? -(int128)magnitude : (int128)magnitude;
}

/* "12", "-0.25": no exponent, so few digits that they fit into 64 bits, at most 9 of them places.
 */
static bool short_parse(const uint8_t *at, const uint8_t *end, bool negative, int128 *nano)
{
    if (end - at > SHORT_LEN_MAX) {
        return false;
    }
    uint64_t value = 0;
    for (; at < end && is_digit(*at); at++) {
        value = value * 10 + (uint64_t)(*at - '0');
    }
    size_t places = 0;
    if (at < end && *at == '.') {
        places = (size_t)(end - at) - 1;
        for (at++; at < end && is_digit(*at); at++) {
            value = value * 10 + (uint64_t)(*at - '0');
        }
    }
    if (at < end || places > PLACES) {
        return false;
    }
    *nano = signed_nano((uint128)value * powers_of_ten[PLACES - places], negative);
    return true;
}

/* "e-12" at `at`. Stops growing where no text is long enough to make up for it. */
static int64_t exponent_parse(const uint8_t *at, const uint8_t *end)
{
    at++;
    bool negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    int64_t value = 0;
    for (; at < end && is_digit(*at); at++) {
        if (value < EXPONENT_READ_MAX) {
            value = value * 10 + (*at - '0');
        }
    }
    return negative ? -value : value;
}

/* The significant digits of [at, end); count is 0 for zero. */
static struct digits digits_of(const uint8_t *at, const uint8_t *end)
{
    struct digits digits = {.count = 0};
    bool in_places = false;
    int64_t weight = 0; /* of the current digit; before the dot it counts up from 0 instead */
    int64_t read = 0;   /* since the first digit that is not 0 */
    int64_t last_weight = 0;
    int64_t whole_digits = 0;
    bool last_in_places = false;
    for (; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            in_places = true;
            whole_digits = weight;
            weight = 0;
            continue;
        }
        weight++;
        read += digits.text.data != NULL || *at != '0';
        if (*at == '0') {
            continue;
        }
        if (digits.text.data == NULL) {
            digits.text.data = at;
        }
        digits.text.len = (size_t)(at - digits.text.data) + 1;
        digits.count = read;
        last_weight = weight;
        last_in_places = in_places;
    }
    whole_digits = in_places ? whole_digits : weight;
    digits.exponent = last_in_places ? -last_weight : whole_digits - last_weight;
    if (at < end) {
        digits.exponent += exponent_parse(at, end);
    }
    return digits;
}

static bool is_exact(const struct digits *digits)
{
    return digits->exponent >= -PLACES && digits->count + digits->exponent <= EXACT_MAGNITUDE;
}

static uint128 nano_of(const struct digits *digits)
{
    uint128 value = 0;
    for (size_t i = 0; i < digits->text.len; i++) {
        if (digits->text.data[i] != '.') {
            uint8_t digit = (uint8_t)(digits->text.data[i] - '0');
            value = value * 10 + digit;
        }
    }
    for (int64_t i = -PLACES; i < digits->exponent; i++) {
        value *= 10;
    }
    return value;
}

bool decimal_parse(struct bytes text, struct decimal *out)
{
    CHECK(text.len > 0);
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.len;
    bool negative = *at == '-';
    at += negative;
    *out = (struct decimal){.exact = true};
    if (short_parse(at, end, negative, &out->nano)) {
        return true;
    }
    struct digits digits = digits_of(at, end);
    digits.negative = negative;
    if (digits.count == 0) {
        return true;
    }
    if (is_exact(&digits)) {
        out->nano = signed_nano(nano_of(&digits), negative);
        return true;
    }
    out->exact = false;
    return double_read(&digits, &out->real);
}

void decimal_put(struct buf *out, int128 nano)
{
    uint128 magnitude = nano < 0 ? 0 - (uint128)nano : (uint128)nano;
    uint8_t text[48];
    size_t at = sizeof(text);
    uint64_t places = (uint64_t)(magnitude % NANO_PER_UNIT);
    uint128 whole = magnitude / NANO_PER_UNIT;
    bool any = false;
    for (int i = 0; i < PLACES; i++) {
        uint8_t digit = (uint8_t)(places % 10);
        places /= 10;
        any = any || digit != 0;
        if (any) {
            text[--at] = (uint8_t)('0' + digit);
        }
    }
    if (any) {
        text[--at] = '.';
    }
    /* 128-bit division is slow: peel off 19 digits, then go on in 64 bits. */
    const uint64_t ten_to_19 = 10000000000000000000U;
    uint64_t low = (uint64_t)(whole % ten_to_19);
    uint64_t high = (uint64_t)(whole / ten_to_19);
    for (int i = 0; low > 0 || (high > 0 && i < 19) || i == 0; i++) {
        text[--at] = (uint8_t)('0' + low % 10);
        low /= 10;
    }
    for (; high > 0; high /= 10) {
        text[--at] = (uint8_t)('0' + high % 10);
    }
    if (nano < 0) {
        text[--at] = '-';
    }
    buf_put(out, text + at, sizeof(text) - at);
}
