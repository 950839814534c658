/* Amounts with units: see units.h.
 *
 *   amount:  number unit      number: digits [. digits], exact in units of 10^-9
 *
 * Invariants:
 *  1. A result is either exact to the unit or refused; nothing wraps around.
 *  2. Units are ASCII letters right behind the number or one space away. */
#include "apps/units.h"

#include "base/check.h"
#include "base/text.h"
#include "model/clock.h"

#include <stdio.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1},
    {"B", 1},
    {"k", 1LL << 10},
    {"K", 1LL << 10},
    {"KiB", 1LL << 10},
    {"kB", 1000},
    {"KB", 1000},
    {"M", 1LL << 20},
    {"MiB", 1LL << 20},
    {"MB", 1000000},
    {"G", 1LL << 30},
    {"GiB", 1LL << 30},
    {"GB", 1000000000},
    {"T", 1LL << 40},
    {"TiB", 1LL << 40},
    {"TB", 1000000000000},
};

static const struct unit duration_units[] = {
    {"us", 1},
    {"ms", 1000},
    {"s", US_PER_SECOND},
    {"m", US_PER_MINUTE},
    {"min", US_PER_MINUTE},
    {"h", US_PER_HOUR},
    {"d", US_PER_DAY},
    {"w", 7 * US_PER_DAY},
};

static const struct unit rate_units[] = {
    {"", 1},
    {"/s", 1},
    {"k", 1000},
    {"k/s", 1000},
    {"M", 1000000},
    {"M/s", 1000000},
};

static const struct unit factor_units[] = {
    {"x", 1},
};

#define UNITS(table) table, sizeof(table) / sizeof((table)[0])

static size_t number_len(struct bytes text)
{
    size_t len = 0;
    bool dot = false;
    while (len < text.len && ((text.data[len] >= '0' && text.data[len] <= '9') ||
                              (text.data[len] == '.' && !dot && len > 0))) {
        dot = dot || text.data[len] == '.';
        len++;
    }
    /* A number doesn't end in its dot, nor begin with a useless zero: "007" is a typing error. */
    if (len > 0 && text.data[len - 1] == '.') {
        return 0;
    }
    return len > 1 && text.data[0] == '0' && text.data[1] != '.' ? 0 : len;
}

/* The amount in units of 10^-9 of the smallest unit. */
static bool amount_parse(struct bytes text, const struct unit *units, size_t count, int128 *nano)
{
    size_t len = number_len(text);
    struct decimal number;
    if (len == 0 || len > 20 || !decimal_parse(bytes_slice(text, 0, len), &number) ||
        !number.exact) {
        return false;
    }
    struct bytes unit = bytes_slice(text, len, text.len - len);
    if (unit.len > 1 && unit.data[0] == ' ') {
        unit = bytes_slice(unit, 1, unit.len - 1);
    }
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(unit, bytes_of_string(units[i].name))) {
            return !__builtin_mul_overflow(number.nano, (int128)units[i].factor, nano);
        }
    }
    return false;
}

static bool whole_parse(int128 nano, int64_t max, int64_t *out)
{
    if (nano % NANO_PER_UNIT != 0 || nano / NANO_PER_UNIT > max) {
        return false;
    }
    *out = (int64_t)(nano / NANO_PER_UNIT);
    return true;
}

bool bytes_amount_parse(struct bytes text, int64_t *bytes)
{
    int128 nano = 0;
    return amount_parse(text, UNITS(byte_units), &nano) && whole_parse(nano, INT64_MAX, bytes);
}

bool duration_amount_parse(struct bytes text, int64_t *us)
{
    int128 nano = 0;
    if (bytes_equal(text, BYTES("0"))) {
        *us = 0;
        return true;
    }
    if (text.len > 0 && text.data[0] == 'P') {
        return duration_parse(text, us) == OK;
    }
    return amount_parse(text, UNITS(duration_units), &nano) &&
           whole_parse(nano, DURATION_AMOUNT_MAX_US, us);
}

bool rate_amount_parse(struct bytes text, double *per_second)
{
    int128 nano = 0;
    if (!amount_parse(text, UNITS(rate_units), &nano) || nano <= 0) {
        return false;
    }
    *per_second = (double)nano / NANO_PER_UNIT;
    return true;
}

bool factor_amount_parse(struct bytes text, double *factor)
{
    int128 nano = 0;
    if (!amount_parse(text, UNITS(factor_units), &nano) || nano <= 0) {
        return false;
    }
    *factor = (double)nano / NANO_PER_UNIT;
    return true;
}

bool flag_amount_parse(struct bytes text, bool *flag)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (bytes_equal(text, bytes_of_string(yes[i]))) {
            *flag = true;
            return true;
        }
        if (bytes_equal(text, bytes_of_string(no[i]))) {
            *flag = false;
            return true;
        }
    }
    return false;
}

static void put_number(struct buf *out, double number, const char *unit)
{
    char text[48];
    int decimals = number < 10 ? 2 : number < 100 ? 1 : 0;
    int len = snprintf(text, sizeof(text), "%.*f", decimals, number);
    CHECK(len > 0 && (size_t)len < sizeof(text));
    while (decimals > 0 && (text[len - 1] == '0' || text[len - 1] == '.')) {
        decimals = text[len - 1] == '.' ? 0 : decimals;
        len--;
    }
    buf_put(out, text, (size_t)len);
    buf_put_text(out, unit);
}

void bytes_amount_put(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    double amount = (double)bytes;
    size_t unit = 0;
    while (amount >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        amount /= 1024;
        unit++;
    }
    put_number(out, amount, units[unit]);
}

void duration_amount_put(struct buf *out, int64_t us)
{
    if (us < 1000) {
        i64_put(out, us);
        buf_put_text(out, " us");
    } else if (us < US_PER_SECOND) {
        put_number(out, (double)us / 1000, " ms");
    } else if (us < 2 * US_PER_MINUTE) {
        put_number(out, (double)us / US_PER_SECOND, " s");
    } else {
        char text[48];
        int64_t s = us / US_PER_SECOND;
        int len = s < 7200 ? snprintf(text, sizeof(text), "%d:%02d", (int)(s / 60), (int)(s % 60))
                           : snprintf(text,
                                      sizeof(text),
                                      "%lld h %02d min",
                                      (long long)(s / 3600),
                                      (int)(s / 60 % 60));
        CHECK(len > 0 && (size_t)len < sizeof(text));
        buf_put(out, text, (size_t)len);
    }
}

void duration_exact_put(struct buf *out, int64_t us)
{
    static const struct unit exact[] = {{"d", US_PER_DAY},
                                        {"h", US_PER_HOUR},
                                        {"m", US_PER_MINUTE},
                                        {"s", US_PER_SECOND},
                                        {"ms", 1000}};
    const char *name = "us";
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        if (us > 0 && us % exact[i].factor == 0) {
            us /= exact[i].factor;
            name = exact[i].name;
            break;
        }
    }
    i64_put(out, us);
    buf_put_text(out, name);
}

void count_amount_put(struct buf *out, uint64_t count)
{
    uint8_t digits[24];
    struct buf text = buf_of(digits, sizeof(digits));
    u64_put(&text, count);
    for (size_t i = 0; i < text.len; i++) {
        if (i > 0 && (text.len - i) % 3 == 0) {
            buf_put_text(out, ",");
        }
        buf_put(out, &digits[i], 1);
    }
}

void short_amount_put(struct buf *out, double amount)
{
    static const char *const units[] = {"", " k", " M", " G"};
    size_t unit = 0;
    while (amount >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        amount /= 1000;
        unit++;
    }
    put_number(out, amount, units[unit]);
}
