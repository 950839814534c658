/* The functions and casts of expressions. What a function is not made for gives NULL. */
#include "model/program_parts.h"

#include "base/check.h"
#include "model/geo.h"
#include "model/literal.h"
#include "model/number.h"

#define WEEK_US         (7 * US_PER_DAY)
#define FIRST_MONDAY_US (4 * US_PER_DAY) /* 1970-01-05 */

void value_put_text(struct buf *out, struct value value)
{
    switch (value.kind) {
    case VALUE_NULL:
        CHECK(value.kind != VALUE_NULL);
        return;
    case VALUE_BOOL:
        buf_put_text(out, value.boolean ? "true" : "false");
        return;
    case VALUE_NUMBER:
        decimal_put(out, value.nano);
        return;
    case VALUE_DOUBLE:
        double_put(out, value.real);
        return;
    case VALUE_TEXT:
        buf_put_bytes(out, value.text);
        return;
    case VALUE_TIME:
        timestamp_put(out, value.time_us);
        return;
    }
}

/* A number cut to a whole one, if an int64 can hold it. */
static bool whole_of(struct value value, int64_t *whole)
{
    struct value rounded = number_round(value, 0, ROUND_TO_ZERO);
    if (rounded.kind != VALUE_NUMBER) {
        return false;
    }
    int128 units = rounded.nano / NANO_PER_UNIT;
    *whole = (int64_t)units;
    return units >= INT64_MIN && units <= INT64_MAX;
}

static struct value value_of_whole(int64_t whole)
{
    return value_of_nano((int128)whole * NANO_PER_UNIT);
}

static bool is_number(struct value value)
{
    return value.kind == VALUE_NUMBER || value.kind == VALUE_DOUBLE;
}

static struct value cast_to_number(struct value value)
{
    struct value number;
    if (value.kind == VALUE_TEXT) {
        return literal_number(value.text, &number) ? number : value_null();
    }
    if (value.kind == VALUE_BOOL) {
        return value_of_whole(value.boolean ? 1 : 0);
    }
    if (value.kind == VALUE_TIME) {
        return value_of_whole(value.time_us);
    }
    return value;
}

static bool same_word(struct bytes text, const char *word)
{
    struct bytes other = bytes_of_string(word);
    if (text.len != other.len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != other.data[i]) {
            return false;
        }
    }
    return true;
}

static struct value cast_to_bool(struct value value)
{
    if (value.kind == VALUE_BOOL) {
        return value;
    }
    if (value.kind == VALUE_TEXT) {
        bool yes = same_word(value.text, "true") || same_word(value.text, "1");
        bool no = same_word(value.text, "false") || same_word(value.text, "0");
        return yes || no ? value_of_bool(yes) : value_null();
    }
    if (value.kind == VALUE_NUMBER) {
        return value_of_bool(value.nano != 0);
    }
    return value.kind == VALUE_DOUBLE ? value_of_bool(value.real != 0.0) : value_null();
}

static bool time_in_range(int64_t us)
{
    return us >= TIMESTAMP_MIN_US && us < TIMESTAMP_END_US;
}

static struct value cast_to_time(struct value value)
{
    int64_t us;
    if (value.kind == VALUE_TIME) {
        return value;
    }
    if (value.kind == VALUE_TEXT) {
        return literal_time(value.text, &us) ? value_of_time(us) : value_null();
    }
    if (is_number(value) && whole_of(value, &us) && time_in_range(us)) {
        return value_of_time(us);
    }
    return value_null();
}

struct value function_cast(uint8_t type, struct value value, struct program_scratch *scratch)
{
    int64_t whole;
    if (value.kind == VALUE_NULL) {
        return value;
    }
    switch (type) {
    case TYPE_BIGINT:
        value = cast_to_number(value);
        return is_number(value) && whole_of(value, &whole) ? value_of_whole(whole) : value_null();
    case TYPE_DOUBLE:
        return cast_to_number(value);
    case TYPE_BOOLEAN:
        return cast_to_bool(value);
    case TYPE_TIMESTAMP:
        return cast_to_time(value);
    default:
        CHECK(type == TYPE_TEXT);
        break;
    }
    if (value.kind == VALUE_TEXT) {
        return value;
    }
    struct buf room = scratch_room(scratch);
    value_put_text(&room, value);
    return scratch_keep(scratch, &room);
}

struct value function_concat(struct value a, struct value b, struct program_scratch *scratch)
{
    if (a.kind == VALUE_NULL || b.kind == VALUE_NULL) {
        return value_null();
    }
    struct buf room = scratch_room(scratch);
    value_put_text(&room, a);
    value_put_text(&room, b);
    return scratch_keep(scratch, &room);
}

/* The first moment of the month, quarter or year that the day lies in. */
static int64_t calendar_start_us(uint8_t unit, int64_t days)
{
    int64_t year;
    int month;
    int day;
    civil_from_days(days, &year, &month, &day);
    if (unit == UNIT_QUARTER) {
        month -= (month - 1) % 3;
    } else if (unit == UNIT_YEAR) {
        month = 1;
    }
    return days_from_civil(year, month, 1) * US_PER_DAY;
}

struct value function_date_trunc(uint8_t unit, struct value value)
{
    static const int64_t sizes[] = {
        [UNIT_MILLISECOND] = 1000,
        [UNIT_SECOND] = US_PER_SECOND,
        [UNIT_MINUTE] = US_PER_MINUTE,
        [UNIT_HOUR] = US_PER_HOUR,
        [UNIT_DAY] = US_PER_DAY,
    };
    if (value.kind != VALUE_TIME) {
        return value_null();
    }
    int64_t start;
    if (unit <= UNIT_DAY) {
        CHECK(unit >= UNIT_MILLISECOND);
        start = time_floor(value.time_us, sizes[unit]);
    } else if (unit == UNIT_WEEK) {
        start = time_floor(value.time_us - FIRST_MONDAY_US, WEEK_US) + FIRST_MONDAY_US;
    } else {
        start = calendar_start_us(unit, time_floor(value.time_us, US_PER_DAY) / US_PER_DAY);
    }
    return time_in_range(start) ? value_of_time(start) : value_null();
}

/* ASCII letters only: what other letters do depends on the language, and a replay must not. */
static struct value change_case(bool upper, struct bytes text, struct program_scratch *scratch)
{
    struct buf room = scratch_room(scratch);
    uint8_t *out = buf_reserve(&room, text.len);
    if (out == NULL) {
        return value_null();
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool changes = upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
        out[i] = changes ? (uint8_t)(c ^ 0x20) : c;
    }
    return scratch_keep(scratch, &room);
}

static bool starts_character(uint8_t byte)
{
    return (byte & 0xc0) != 0x80;
}

static int64_t character_count(struct bytes text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += starts_character(text.data[i]) ? 1 : 0;
    }
    return count;
}

/* The characters [from, end), the first being 1. */
static struct value substring(struct bytes text, int64_t from, int64_t end)
{
    size_t first = text.len;
    size_t last = text.len;
    int64_t position = 0;
    for (size_t i = 0; i < text.len && last == text.len; i++) {
        if (!starts_character(text.data[i])) {
            continue;
        }
        position += 1;
        if (position >= end) {
            last = i;
        } else if (position >= from && first == text.len) {
            first = i;
        }
    }
    return value_of_text(first < last ? bytes_slice(text, first, last - first)
                                      : bytes_slice(text, 0, 0));
}

static struct value function_substr(const struct value *arguments, int count)
{
    int64_t from;
    int64_t length = INT64_MAX;
    if (arguments[0].kind != VALUE_TEXT || !whole_of(arguments[1], &from)) {
        return value_null();
    }
    if (count == 3 && (!whole_of(arguments[2], &length) || length < 0)) {
        return value_null();
    }
    return substring(arguments[0].text, from, time_add(from, length));
}

static struct value function_round(const struct value *arguments, int count)
{
    int64_t digits = 0;
    if (count == 2 && !whole_of(arguments[1], &digits)) {
        return value_null();
    }
    digits = digits > 9 ? 9 : digits;
    if (digits < -28) {
        return is_number(arguments[0]) ? value_of_nano(0) : value_null();
    }
    return number_round(arguments[0], (int)digits, ROUND_HALF_AWAY);
}

static struct value function_abs(struct value value)
{
    bool negative = (value.kind == VALUE_NUMBER && value.nano < 0) ||
                    (value.kind == VALUE_DOUBLE && value.real < 0);
    if (negative) {
        return number_negate(value);
    }
    return is_number(value) ? value : value_null();
}

static bool coordinate(struct value value, double *degrees)
{
    if (value.kind == VALUE_NUMBER) {
        *degrees = number_to_double(value.nano);
        return true;
    }
    *degrees = value.kind == VALUE_DOUBLE ? value.real : 0.0;
    return value.kind == VALUE_DOUBLE;
}

static bool point_of(const struct value *arguments, struct geo_point *point)
{
    return coordinate(arguments[0], &point->latitude) &&
           coordinate(arguments[1], &point->longitude) && geo_point_valid(*point);
}

static struct value function_geo_distance(const struct value *arguments)
{
    struct geo_point a;
    struct geo_point b;
    if (!point_of(arguments, &a) || !point_of(arguments + 2, &b)) {
        return value_null();
    }
    return value_of_real(geo_distance_m(a, b));
}

static struct value function_geo_within_box(const struct value *arguments)
{
    struct geo_point point;
    struct geo_point south_west;
    struct geo_point north_east;
    if (!point_of(arguments, &point) || !point_of(arguments + 2, &south_west) ||
        !point_of(arguments + 4, &north_east)) {
        return value_null();
    }
    return value_of_bool(geo_within_box(point, south_west, north_east));
}

/* How many characters the geohash gets; a number with a fraction says nothing. */
static bool geohash_count(struct value value, int *count)
{
    int64_t whole;
    bool comparable;
    if (!whole_of(value, &whole) || value_compare(value, value_of_whole(whole), &comparable) != 0 ||
        !comparable) {
        return false;
    }
    *count = whole >= 1 && whole <= GEOHASH_CHARACTERS_MAX ? (int)whole : 0;
    return *count != 0;
}

static struct value
function_geohash(const struct value *arguments, int count, struct program_scratch *scratch)
{
    struct geo_point point;
    int characters = GEOHASH_CHARACTERS_DEFAULT;
    if (!point_of(arguments, &point) || !geohash_point_valid(point) ||
        (count == 3 && !geohash_count(arguments[2], &characters))) {
        return value_null();
    }
    struct buf room = scratch_room(scratch);
    uint8_t *out = buf_reserve(&room, (size_t)characters);
    if (out == NULL) {
        return value_null();
    }
    geohash_write(point, characters, out);
    return scratch_keep(scratch, &room);
}

struct value function_call(uint8_t function,
                           const struct value *arguments,
                           int count,
                           struct program_scratch *scratch)
{
    struct value first = arguments[0];
    switch (function) {
    case FUNCTION_LOWER:
    case FUNCTION_UPPER:
        return first.kind == VALUE_TEXT
                   ? change_case(function == FUNCTION_UPPER, first.text, scratch)
                   : value_null();
    case FUNCTION_LENGTH:
        return first.kind == VALUE_TEXT ? value_of_whole(character_count(first.text))
                                        : value_null();
    case FUNCTION_SUBSTR:
        return function_substr(arguments, count);
    case FUNCTION_ABS:
        return function_abs(first);
    case FUNCTION_ROUND:
        return function_round(arguments, count);
    case FUNCTION_FLOOR:
        return number_round(first, 0, ROUND_DOWN);
    case FUNCTION_CEIL:
        return number_round(first, 0, ROUND_UP);
    case FUNCTION_GEO_DISTANCE:
        return function_geo_distance(arguments);
    case FUNCTION_GEO_WITHIN_BOX:
        return function_geo_within_box(arguments);
    default:
        CHECK(function == FUNCTION_GEOHASH);
        return function_geohash(arguments, count, scratch);
    }
}
