/* RFC 3339 date-times and the civil calendar, without libc: no zone files, no locale, no struct tm.
 *
 *     0    4  7  10 13 16 19
 *     2013-01-01T06:00:00[.1-9 digits](Z | +hh:mm | -hh:mm)
 *
 * Invariants:
 *  1. What timestamp_parse accepts lies in [TIMESTAMP_MIN_US, TIMESTAMP_END_US): the instant
 * decides, not the year as it is written in its own offset.
 *  2. parse(put(t)) = t for every t of that range.
 *  3. days_from_civil and civil_from_days undo each other; days count from 1970-01-01, year 0 is
 * the year before year 1 and leap (proleptic Gregorian calendar). */
#include "base/text.h"

#include "base/check.h"

#define US_PER_SECOND     1000000
#define SECONDS_PER_DAY   86400
#define DAYS_PER_400Y     146097
#define DAYS_PER_100Y     36524
#define DAYS_PER_4Y       1461
#define DAYS_BEFORE_1970  719162 /* from 0001-01-01 */
#define PLACES_MAX        9      /* fractional digits that are read */
#define DATE_TIME_LEN     19
#define TIMESTAMP_LEN_MIN (DATE_TIME_LEN + 1)
#define TIMESTAMP_LEN_MAX (DATE_TIME_LEN + 1 + PLACES_MAX + 6)

/* Days of the year before each month; [1] with February 29. */
static const int16_t days_before_month[2][13] = {
    {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365},
    {0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366},
};

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int64_t year, int month)
{
    const int16_t *before = days_before_month[is_leap(year)];
    return before[month] - before[month - 1];
}

int64_t days_from_civil(int64_t year, int month, int day)
{
    CHECK(month >= 1 && month <= 12);
    CHECK(day >= 1 && day <= 31);
    CHECK(year > -1000000000 && year < 1000000000);
    /* Moves the year into 1-400, where division is plain, and the cycles of 400 years aside. */
    int64_t cycle = (year - 1) / 400 - ((year - 1) % 400 < 0);
    int64_t passed = year - 1 - cycle * 400;
    int64_t days = passed * 365 + passed / 4 - passed / 100;
    return cycle * DAYS_PER_400Y + days + days_before_month[is_leap(passed + 1)][month - 1] + day -
           1 - DAYS_BEFORE_1970;
}

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    CHECK(days > -400000000000 && days < 400000000000);
    int64_t rest = days + DAYS_BEFORE_1970;
    int64_t cycle = rest / DAYS_PER_400Y - (rest % DAYS_PER_400Y < 0);
    rest -= cycle * DAYS_PER_400Y;
    /* The last century of a cycle and the last year of four are a day longer. */
    int64_t centuries = min_i64(rest / DAYS_PER_100Y, 3);
    rest -= centuries * DAYS_PER_100Y;
    int64_t fours = rest / DAYS_PER_4Y;
    rest -= fours * DAYS_PER_4Y;
    int64_t years = min_i64(rest / 365, 3);
    rest -= years * 365;
    *year = cycle * 400 + centuries * 100 + fours * 4 + years + 1;
    const int16_t *before = days_before_month[is_leap(*year)];
    int index = (int)(rest / 31); /* never too far, at most one month short */
    index += rest >= before[index + 1];
    *month = index + 1;
    *day = (int)rest - before[index] + 1;
}

/* The value of `count` digits; *bad is raised when one is none. */
static inline uint32_t digits_value(const uint8_t *at, int count, uint32_t *bad)
{
    uint32_t value = 0;
    for (int i = 0; i < count; i++) {
        uint32_t digit = (uint32_t)at[i] - '0';
        *bad |= digit > 9;
        value = value * 10 + digit;
    }
    return value;
}

/* "YYYY-MM-DDThh:mm:ss" as seconds since the epoch, zone aside. */
static inline bool date_time_parse(const uint8_t *at, int64_t *seconds)
{
    uint32_t bad = 0;
    uint32_t year = digits_value(at, 4, &bad);
    uint32_t month = digits_value(at + 5, 2, &bad);
    uint32_t day = digits_value(at + 8, 2, &bad);
    uint32_t hour = digits_value(at + 11, 2, &bad);
    uint32_t minute = digits_value(at + 14, 2, &bad);
    uint32_t second = digits_value(at + 17, 2, &bad);
    bad |= (at[4] != '-') | (at[7] != '-') | ((at[10] | 0x20) != 't') | (at[13] != ':') |
           (at[16] != ':');
    /* 60 is a leap second (section 5.7); it lands on the next second by itself. */
    bad |= (month - 1 > 11) | (hour > 23) | (minute > 59) | (second > 60);
    if (bad != 0 || day < 1 || day > (uint32_t)days_in_month(year, (int)month)) {
        return false;
    }
    int64_t days = days_from_civil(year, (int)month, (int)day);
    uint32_t of_day = hour * 3600 + minute * 60 + second;
    *seconds = days * SECONDS_PER_DAY + of_day;
    return true;
}

/* The fraction behind the dot at `at`, in microseconds; returns its end, or NULL. */
static const uint8_t *fraction_parse(const uint8_t *at, const uint8_t *end, int64_t *us)
{
    int64_t value = 0;
    int places = 0;
    for (at++; at < end && (uint8_t)(*at - '0') <= 9; at++) {
        if (places < 6) {
            value = value * 10 + (*at - '0');
        }
        places++;
    }
    if (places == 0 || places > PLACES_MAX) {
        return NULL;
    }
    for (int i = places; i < 6; i++) {
        value *= 10;
    }
    *us = value;
    return at;
}

/* "Z" or "+hh:mm", the whole rest of the text, as seconds east of UTC. */
static bool zone_parse(const uint8_t *at, const uint8_t *end, int64_t *east_s)
{
    *east_s = 0;
    if (end - at == 1) {
        return (*at | 0x20) == 'z';
    }
    if (end - at != 6 || (at[0] != '+' && at[0] != '-') || at[3] != ':') {
        return false;
    }
    uint32_t bad = 0;
    uint32_t hours = digits_value(at + 1, 2, &bad);
    uint32_t minutes = digits_value(at + 4, 2, &bad);
    if (bad != 0 || hours > 23 || minutes > 59) {
        return false;
    }
    int64_t offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *east_s = at[0] == '-' ? -offset : offset;
    return true;
}

enum err timestamp_parse(struct bytes text, int64_t *us)
{
    if (text.len < TIMESTAMP_LEN_MIN || text.len > TIMESTAMP_LEN_MAX) {
        return ERR_TIME;
    }
    const uint8_t *at = text.data + DATE_TIME_LEN;
    const uint8_t *end = text.data + text.len;
    int64_t seconds = 0;
    int64_t fraction_us = 0;
    int64_t east_s = 0;
    if (!date_time_parse(text.data, &seconds)) {
        return ERR_TIME;
    }
    if (*at == '.') {
        at = fraction_parse(at, end, &fraction_us);
        if (at == NULL) {
            return ERR_TIME;
        }
    }
    if (!zone_parse(at, end, &east_s)) {
        return ERR_TIME;
    }
    int64_t instant = (seconds - east_s) * US_PER_SECOND + fraction_us;
    if (instant < TIMESTAMP_MIN_US || instant >= TIMESTAMP_END_US) {
        return ERR_TIME;
    }
    *us = instant;
    return OK;
}

/* `count` digits with zeros in front. */
static void digits_put(struct buf *out, int64_t value, size_t count)
{
    CHECK(value >= 0);
    uint8_t *at = buf_reserve(out, count);
    if (at == NULL) {
        return;
    }
    for (size_t i = count; i > 0; i--) {
        at[i - 1] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
    CHECK(value == 0);
}

/* ISO 8601 has a sign and more digits for years that don't fit into four. */
static void year_put(struct buf *out, int64_t year)
{
    if (year >= 0 && year <= 9999) {
        digits_put(out, year, 4);
        return;
    }
    buf_put_u8(out, year < 0 ? '-' : '+');
    digits_put(out, year < 0 ? -year : year, 6);
}

static void fraction_put(struct buf *out, int64_t us)
{
    if (us == 0) {
        return;
    }
    size_t places = 6;
    while (us % 10 == 0) {
        us /= 10;
        places--;
    }
    buf_put_u8(out, '.');
    digits_put(out, us, places);
}

void timestamp_put(struct buf *out, int64_t us)
{
    const int64_t us_per_day = (int64_t)SECONDS_PER_DAY * US_PER_SECOND;
    int64_t days = us / us_per_day - (us % us_per_day < 0);
    int64_t of_day_us = us % us_per_day;
    of_day_us += of_day_us < 0 ? us_per_day : 0;
    int64_t year = 0;
    int month = 0;
    int day = 0;
    civil_from_days(days, &year, &month, &day);
    int64_t second = of_day_us / US_PER_SECOND;
    year_put(out, year);
    buf_put_u8(out, '-');
    digits_put(out, month, 2);
    buf_put_u8(out, '-');
    digits_put(out, day, 2);
    buf_put_u8(out, 'T');
    digits_put(out, second / 3600, 2);
    buf_put_u8(out, ':');
    digits_put(out, second / 60 % 60, 2);
    buf_put_u8(out, ':');
    digits_put(out, second % 60, 2);
    fraction_put(out, of_day_us % US_PER_SECOND);
    buf_put_u8(out, 'Z');
}
