/* Numbers, times and durations as text, both ways. Locale never matters. */
#pragma once

#include "base/err.h"

/* An exact number in units of 10^-9, or a double when that can't hold it. */
struct decimal {
    bool exact;
    int128 nano; /* exact: the value times 10^9 */
    double real; /* else */
};

#define NANO_PER_UNIT 1000000000

/* Reads a JSON number (RFC 8259 section 6), already validated. Exact when it has at most 9
 * fractional digits after its exponent is applied and |value| < 10^28; else the nearest double
 * (correctly rounded); false when it is beyond the doubles (1e999). */
bool decimal_parse(struct bytes text, struct decimal *out);

/* Shortest plain text that reads back the same: "12", "-0.5", "0.000000001". At most 48 bytes. */
void decimal_put(struct buf *out, int128 nano);

/* A double as the shortest digits that read back to it (a JSON number; NaN and infinities, which
 * JSON lacks, as null): "0.1", "1.25e+300", "5e-324". At most 32 bytes. Whole values below 1e17
 * print without exponent, negative zero as 0. */
void double_put(struct buf *out, double value);

void i64_put(struct buf *out, int64_t value);
void u64_put(struct buf *out, uint64_t value);

/* Decimal digits only, the whole slice, no sign for u64: false when not a number or too large. */
bool u64_parse(struct bytes text, uint64_t *out);
bool i64_parse(struct bytes text, int64_t *out);

/* RFC 3339 date-time with any offset -> microseconds since the Unix epoch, UTC. Lower-case t and z
 * are taken (section 5.6), a space instead of T is not. Second 60 counts as the next second. Up to
 * 9 fractional digits, cut (not rounded) to 6; more are refused. Years 0001-9999 in UTC. */
enum err timestamp_parse(struct bytes text, int64_t *us) MUST_CHECK;

/* "2013-01-01T06:00:00Z", or with 1-6 fractional digits, trailing zeros cut. At most 27 bytes.
 * Outside of the years 0-9999 the year has a sign and six digits: "+010000-01-01T00:00:00Z", 30
 * bytes. */
void timestamp_put(struct buf *out, int64_t us);

/* Days since 1970-01-01 of a civil date and back (proleptic Gregorian); month 1-12, day 1-31. */
int64_t days_from_civil(int64_t year, int month, int day);
void civil_from_days(int64_t days, int64_t *year, int *month, int *day);

/* The years that event times may lie in: [0001-01-01T00:00:00Z, 10000-01-01T00:00:00Z). */
#define TIMESTAMP_MIN_US (-62135596800000000LL)
#define TIMESTAMP_END_US (253402300800000000LL)

/* ISO 8601 duration: weeks alone, or days, hours, minutes, seconds; the last part may have a
 * fraction, if it makes whole microseconds. Years and months are refused, since they have no fixed
 * length. Not negative; at most 10^16 us. */
enum err duration_parse(struct bytes text, int64_t *us) MUST_CHECK;

/* "PT5M", "P1DT2H", "PT0.5S", "PT0S"; a negative one gets a minus in front. At most 40 bytes. */
void duration_put(struct buf *out, int64_t us);
