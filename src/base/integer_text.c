/* Integers as decimal text, both ways: digits only, no locale, no white space, no plus sign. */
#include "base/text.h"

#define U64_DIGITS_MAX 20

void u64_put(struct buf *out, uint64_t value)
{
    uint8_t digits[U64_DIGITS_MAX];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_put(out, digits + at, sizeof(digits) - at);
}

/* The distance from zero; also right for the most negative number. */
static uint64_t magnitude_of(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

void i64_put(struct buf *out, int64_t value)
{
    if (value < 0) {
        buf_put_u8(out, '-');
    }
    u64_put(out, magnitude_of(value));
}

bool u64_parse(struct bytes text, uint64_t *out)
{
    if (text.len == 0) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        if (digit > 9 || value > UINT64_MAX / 10 || value * 10 > UINT64_MAX - digit) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool i64_parse(struct bytes text, int64_t *out)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    struct bytes digits = negative ? bytes_slice(text, 1, text.len - 1) : text;
    uint64_t magnitude = 0;
    if (!u64_parse(digits, &magnitude) || magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}
