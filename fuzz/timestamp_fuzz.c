/* Any bytes as an RFC 3339 date-time, and any instant as text. Checked beside memory safety:
 *
 *  1. A second reader, which compares with a pattern and counts days by Julian day numbers, accepts
 *     the same texts and finds the same instants.
 *  2. What was read, and any instant of the years 1 to 9999, reads back from what is written of it.
 *  3. Written instants of these years are ordered as their texts without the fraction are. */
#include "fuzz.h"

#include "base/check.h"
#include "base/text.h"

#include <string.h>

#define PATTERN     "dddd-dd-ddTdd:dd:dd"
#define PATTERN_LEN (sizeof(PATTERN) - 1)
#define TEXT_MAX    32
#define SECOND_US   1000000

static bool matches(uint8_t byte, char pattern)
{
    if (pattern == 'd') {
        return byte >= '0' && byte <= '9';
    }
    return byte == (uint8_t)pattern || (pattern == 'T' && byte == 't');
}

static bool matches_all(struct bytes text, const char *pattern)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!matches(text.data[i], pattern[i])) {
            return false;
        }
    }
    return true;
}

/* Of digits that are some. */
static int64_t number(struct bytes text, size_t from, size_t count)
{
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value = value * 10 + text.data[from + i] - '0';
    }
    return value;
}

/* The Julian day number of a date from the year 0 on (Fliegel and van Flandern's formula). */
static int64_t julian_day(int64_t year, int64_t month, int64_t day)
{
    int64_t early =
        (14 - month) / 12; /* January and February count as the last of the year before */
    int64_t y = year + 4800 - early;
    int64_t m = month + 12 * early - 3;
    return day + (153 * m + 2) / 5 + 365 * y + y / 4 - y / 100 + y / 400 - 32045;
}

static int64_t month_days(int64_t year, int64_t month)
{
    int64_t next = month == 12 ? julian_day(year + 1, 1, 1) : julian_day(year, month + 1, 1);
    return next - julian_day(year, month, 1);
}

/* What stands behind the seconds: "[.d…](Z|z|±dd:dd)". */
static bool tail_read(struct bytes tail, int64_t *fraction_us, int64_t *east_s)
{
    size_t digits = 0;
    *fraction_us = 0;
    if (tail.len > 0 && tail.data[0] == '.') {
        int64_t weight = SECOND_US;
        while (digits + 1 < tail.len && matches(tail.data[digits + 1], 'd')) {
            weight /= 10;
            *fraction_us += weight * (tail.data[digits + 1] - '0');
            digits++;
        }
        if (digits < 1 || digits > 9) {
            return false;
        }
        tail = bytes_slice(tail, digits + 1, tail.len - digits - 1);
    }
    *east_s = 0;
    if (tail.len == 1) {
        return tail.data[0] == 'Z' || tail.data[0] == 'z';
    }
    if (tail.len != 6 || (tail.data[0] != '+' && tail.data[0] != '-') ||
        !matches_all(bytes_slice(tail, 1, 5), "dd:dd")) {
        return false;
    }
    int64_t minutes = number(tail, 1, 2) * 60 + number(tail, 4, 2);
    *east_s = (tail.data[0] == '+' ? 60 : -60) * minutes;
    return number(tail, 1, 2) <= 23 && number(tail, 4, 2) <= 59;
}

static bool read_naively(struct bytes text, int64_t *us)
{
    if (text.len < PATTERN_LEN || !matches_all(bytes_slice(text, 0, PATTERN_LEN), PATTERN)) {
        return false;
    }
    int64_t year = number(text, 0, 4);
    int64_t month = number(text, 5, 2);
    int64_t day = number(text, 8, 2);
    int64_t hour = number(text, 11, 2);
    int64_t minute = number(text, 14, 2);
    int64_t second = number(text, 17, 2);
    int64_t fraction_us = 0;
    int64_t east_s = 0;
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 ||
        minute > 59 || second > 60 ||
        !tail_read(bytes_slice(text, PATTERN_LEN, text.len - PATTERN_LEN), &fraction_us, &east_s)) {
        return false;
    }
    int64_t days = julian_day(year, month, day) - julian_day(1970, 1, 1);
    int64_t seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - east_s;
    *us = seconds * SECOND_US + fraction_us;
    int64_t first = (julian_day(1, 1, 1) - julian_day(1970, 1, 1)) * 86400;
    int64_t end = (julian_day(10000, 1, 1) - julian_day(1970, 1, 1)) * 86400;
    return seconds >= first && seconds < end;
}

static void try_instant(int64_t us)
{
    uint8_t text[TEXT_MAX];
    struct buf out = buf_of(text, sizeof(text));
    int64_t again = 0;
    timestamp_put(&out, us);
    CHECK(!out.overflow);
    CHECK(out.data[out.len - 1] == 'Z');
    bool inside = us >= TIMESTAMP_MIN_US && us < TIMESTAMP_END_US;
    CHECK(!inside || out.len <= 27);
    CHECK((timestamp_parse(buf_bytes(&out), &again) == OK) == inside);
    CHECK(!inside || again == us);
    CHECK(!inside || read_naively(buf_bytes(&out), &again));
    CHECK(!inside || again == us);
}

static void try_order(int64_t one, int64_t other)
{
    uint8_t texts[2][TEXT_MAX];
    struct buf first = buf_of(texts[0], TEXT_MAX);
    struct buf second = buf_of(texts[1], TEXT_MAX);
    timestamp_put(&first, one);
    timestamp_put(&second, other);
    CHECK(one > other || memcmp(texts[0], texts[1], PATTERN_LEN) <= 0);
    CHECK(one < other || memcmp(texts[0], texts[1], PATTERN_LEN) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    int64_t us = 0;
    int64_t naive_us = 0;
    bool accepted = timestamp_parse(text, &us) == OK;
    CHECK(accepted == read_naively(text, &naive_us));
    if (accepted) {
        CHECK(us == naive_us);
        try_instant(us);
    }
    if (size >= 16) {
        struct reader in = reader_of(text);
        int64_t one = read_i64(&in);
        int64_t other = read_i64(&in);
        const int64_t range = TIMESTAMP_END_US - TIMESTAMP_MIN_US;
        try_instant(one);
        try_instant(one % TIMESTAMP_END_US);
        try_order(TIMESTAMP_MIN_US + (int64_t)((uint64_t)one % (uint64_t)range),
                  TIMESTAMP_MIN_US + (int64_t)((uint64_t)other % (uint64_t)range));
    }
    return 0;
}
