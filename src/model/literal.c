/* Looser texts are brought into the strict form (a JSON number, an RFC 3339 time) in a small
 * buffer, and the strict parsers of base do the rest. */
#include "model/literal.h"

#include "base/check.h"

#define NUMBER_TEXT_MAX 400
#define TIME_TEXT_MAX   48
#define DATE_BYTES      10 /* 2013-01-01 */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && text.data[0] == ' ') {
        text = bytes_slice(text, 1, text.len - 1);
    }
    while (text.len > 0 && text.data[text.len - 1] == ' ') {
        text = bytes_slice(text, 0, text.len - 1);
    }
    return text;
}

/* Moves the digits at *at to out; how many there were. */
static size_t copy_digits(struct bytes text, size_t *at, struct buf *out)
{
    size_t begin = *at;
    while (*at < text.len && is_digit(text.data[*at])) {
        *at += 1;
    }
    buf_put_bytes(out, bytes_slice(text, begin, *at - begin));
    return *at - begin;
}

/* Digits with an optional point, as JSON wants them: no leading zeros, digits on both sides. */
static bool copy_mantissa(struct bytes text, size_t *at, struct buf *out)
{
    size_t zeros = 0;
    for (; *at < text.len && text.data[*at] == '0'; zeros++) {
        *at += 1;
    }
    size_t digits = copy_digits(text, at, out);
    if (digits == 0) {
        buf_put_u8(out, '0');
    }
    if (*at == text.len || text.data[*at] != '.') {
        return zeros + digits > 0;
    }
    *at += 1;
    buf_put_u8(out, '.');
    size_t fraction = copy_digits(text, at, out);
    if (fraction == 0) {
        buf_put_u8(out, '0');
    }
    return zeros + digits + fraction > 0;
}

static bool copy_exponent(struct bytes text, size_t *at, struct buf *out)
{
    if (*at == text.len || (text.data[*at] | 0x20) != 'e') {
        return true;
    }
    *at += 1;
    buf_put_u8(out, 'e');
    if (*at < text.len && (text.data[*at] == '-' || text.data[*at] == '+')) {
        buf_put_u8(out, text.data[*at]);
        *at += 1;
    }
    return copy_digits(text, at, out) > 0;
}

bool literal_number(struct bytes text, struct value *number)
{
    uint8_t room[NUMBER_TEXT_MAX];
    struct buf json = buf_of(room, sizeof(room));
    struct bytes given = trim(text);
    size_t at = 0;
    if (given.len > 0 && (given.data[0] == '-' || given.data[0] == '+')) {
        at = 1;
        if (given.data[0] == '-') {
            buf_put_u8(&json, '-');
        }
    }
    if (!copy_mantissa(given, &at, &json) || !copy_exponent(given, &at, &json) || at != given.len ||
        json.overflow) {
        return false;
    }
    struct decimal decimal;
    if (!decimal_parse(buf_bytes(&json), &decimal)) {
        return false;
    }
    *number = decimal.exact ? value_of_nano(decimal.nano) : value_of_real(decimal.real);
    return number->kind != VALUE_NULL;
}

/* Whether the part behind the date ends with an offset or Z. */
static bool has_offset(struct bytes clock)
{
    for (size_t i = 0; i < clock.len; i++) {
        uint8_t c = clock.data[i];
        if (c == '+' || c == '-' || (c | 0x20) == 'z') {
            return true;
        }
    }
    return false;
}

bool literal_time(struct bytes text, int64_t *us)
{
    uint8_t room[TIME_TEXT_MAX];
    struct buf strict = buf_of(room, sizeof(room));
    struct bytes given = trim(text);
    if (given.len < DATE_BYTES) {
        return false;
    }
    buf_put_bytes(&strict, bytes_slice(given, 0, DATE_BYTES));
    buf_put_u8(&strict, 'T');
    struct bytes clock = bytes_slice(given, DATE_BYTES, given.len - DATE_BYTES);
    if (clock.len == 0) {
        buf_put_text(&strict, "00:00:00Z");
    } else {
        if (clock.data[0] != ' ' && (clock.data[0] | 0x20) != 't') {
            return false;
        }
        clock = bytes_slice(clock, 1, clock.len - 1);
        buf_put_bytes(&strict, clock);
        if (!has_offset(clock)) {
            buf_put_u8(&strict, 'Z');
        }
    }
    return !strict.overflow && timestamp_parse(buf_bytes(&strict), us) == OK;
}
