/* ISO 8601 durations of fixed length.
 *
 *     P nW                                 weeks stand alone (section 5.5.2)
 *     P [nD] [T [nH] [nM] [nS]]            at least one part, at least one behind T, in this order
 *
 * The last part may have a fraction, behind a point or a comma: PT1.5H, P0,5D, P1DT0.25S. Nothing is
 * rounded: one that is no whole number of microseconds is refused. So are a sign and lower case, which
 * have a second reading elsewhere, and years and months, which have no fixed length.
 *
 * Invariants:
 *  1. 0 <= result <= DURATION_MAX_US, checked before each addition.
 *  2. parse(put(d)) = d for every d of that range. */
#include "base/text.h"

#include "base/check.h"

#define US_PER_SECOND   1000000LL
#define US_PER_MINUTE   (60 * US_PER_SECOND)
#define US_PER_HOUR     (60 * US_PER_MINUTE)
#define US_PER_DAY      (24 * US_PER_HOUR)
#define US_PER_WEEK     (7 * US_PER_DAY)
#define DURATION_MAX_US 10000000000000000LL

#define FRACTION_SCALE_MAX 1000000000000000000LL /* 10^18 */

/* The parts in their order. */
enum part { PART_NONE, PART_DAY, PART_HOUR, PART_MINUTE, PART_SECOND, PART_WEEK };

/* whole + fraction / scale. */
struct part_number {
    int64_t whole;
    int64_t fraction; /* < scale */
    int64_t scale;    /* a power of ten; 1: there is no fraction */
};

static bool digit_at(struct reader *in, uint8_t *digit)
{
    if (in->at == in->end || (uint8_t)(*in->at - '0') > 9) {
        return false;
    }
    *digit = (uint8_t)(*in->at++ - '0');
    return true;
}

/* Behind the scale's digits only zeros may follow. That refuses nothing: whole microseconds need at
 * most 13 digits, since 2^13 is the largest power of two that divides a unit (the day, the week). */
static bool fraction_read(struct reader *in, struct part_number *number)
{
    uint8_t digit = 0;
    int64_t scale = 1;
    bool any = false;
    while (digit_at(in, &digit)) {
        any = true;
        if (scale == FRACTION_SCALE_MAX) {
            if (digit != 0) {
                return false;
            }
            continue;
        }
        scale *= 10;
        number->fraction = number->fraction * 10 + digit;
    }
    number->scale = scale;
    return any;
}

static bool number_read(struct reader *in, struct part_number *number)
{
    *number = (struct part_number){.scale = 1};
    uint8_t digit = 0;
    bool any = false;
    while (digit_at(in, &digit)) {
        any = true;
        number->whole = number->whole * 10 + digit;
        if (number->whole > DURATION_MAX_US) {
            return false;
        }
    }
    if (any && in->at < in->end && (*in->at == '.' || *in->at == ',')) {
        in->at++;
        return fraction_read(in, number);
    }
    return any;
}

static enum part part_of(uint8_t letter, bool in_time)
{
    switch (letter) {
    case 'W':
        return in_time ? PART_NONE : PART_WEEK;
    case 'D':
        return in_time ? PART_NONE : PART_DAY;
    case 'H':
        return in_time ? PART_HOUR : PART_NONE;
    case 'M':
        return in_time ? PART_MINUTE : PART_NONE;
    case 'S':
        return in_time ? PART_SECOND : PART_NONE;
    default:
        return PART_NONE;
    }
}

static int64_t unit_us(enum part part)
{
    switch (part) {
    case PART_NONE:
        break;
    case PART_DAY:
        return US_PER_DAY;
    case PART_HOUR:
        return US_PER_HOUR;
    case PART_MINUTE:
        return US_PER_MINUTE;
    case PART_SECOND:
        return US_PER_SECOND;
    case PART_WEEK:
        return US_PER_WEEK;
    }
    CHECK(part != PART_NONE);
    return 0;
}

/* The fraction of a unit in microseconds; false when they are not whole. */
static bool fraction_us(const struct part_number *number, int64_t unit, int64_t *us)
{
    int128 scaled = (int128)number->fraction * unit;
    CHECK(number->fraction < number->scale);
    *us = (int64_t)(scaled / number->scale); /* < unit */
    return scaled % number->scale == 0;
}

/* Reads "12H" and the like, which must come after `last`, and adds it. */
static bool part_read(struct reader *in, bool in_time, enum part *last, int64_t *total_us)
{
    struct part_number number;
    int64_t rest_us = 0;
    if (!number_read(in, &number) || in->at == in->end) {
        return false;
    }
    enum part part = part_of(*in->at++, in_time);
    if (part <= *last || (part == PART_WEEK && *last != PART_NONE)) {
        return false;
    }
    if (number.scale > 1 && in->at < in->end) { /* only the last part may have a fraction */
        return false;
    }
    int64_t left_us = DURATION_MAX_US - *total_us;
    if (number.whole > left_us / unit_us(part) || !fraction_us(&number, unit_us(part), &rest_us)) {
        return false;
    }
    *total_us += number.whole * unit_us(part) + rest_us;
    *last = part;
    return *total_us <= DURATION_MAX_US;
}

static bool parts_read(struct reader *in, int64_t *total_us)
{
    enum part last = PART_NONE;
    bool in_time = false;
    while (in->at < in->end) {
        if (*in->at == 'T') {
            /* Once, not behind weeks, and never last. */
            if (in_time || last == PART_WEEK || in->end - in->at < 2) {
                return false;
            }
            in_time = true;
            in->at++;
        }
        if (!part_read(in, in_time, &last, total_us)) {
            return false;
        }
    }
    return last != PART_NONE;
}

enum err duration_parse(struct bytes text, int64_t *us)
{
    struct reader in = reader_of(text);
    int64_t total_us = 0;
    if (read_u8(&in) != 'P' || !parts_read(&in, &total_us)) {
        return ERR_DURATION;
    }
    CHECK(total_us >= 0);
    *us = total_us;
    return OK;
}

static void part_put(struct buf *out, uint64_t value, uint8_t letter)
{
    if (value > 0) {
        u64_put(out, value);
        buf_put_u8(out, letter);
    }
}

static void seconds_put(struct buf *out, uint64_t us)
{
    u64_put(out, us / (uint64_t)US_PER_SECOND);
    uint64_t fraction = us % (uint64_t)US_PER_SECOND;
    if (fraction > 0) {
        buf_put_u8(out, '.');
    }
    for (uint64_t weight = (uint64_t)US_PER_SECOND / 10; fraction > 0; weight /= 10) {
        buf_put_u8(out, (uint8_t)('0' + fraction / weight));
        fraction %= weight;
    }
    buf_put_u8(out, 'S');
}

void duration_put(struct buf *out, int64_t us)
{
    uint64_t rest = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    buf_put_text(out, us < 0 ? "-P" : "P");
    part_put(out, rest / (uint64_t)US_PER_DAY, 'D');
    rest %= (uint64_t)US_PER_DAY;
    if (rest == 0 && us != 0) {
        return;
    }
    buf_put_u8(out, 'T');
    part_put(out, rest / (uint64_t)US_PER_HOUR, 'H');
    part_put(out, rest / (uint64_t)US_PER_MINUTE % 60, 'M');
    rest %= (uint64_t)US_PER_MINUTE;
    if (rest > 0 || us == 0) {
        seconds_put(out, rest);
    }
}
