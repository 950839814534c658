/* Amounts as people write them on a command line and in a configuration file. */
#pragma once

#include "base/err.h"

/* "4096", "64k", "64M", "1GiB" (powers of 1024) and "64kB", "64MB" (powers of 1000). A fraction is
 * fine ("1.5G"). False when it is none, or above INT64_MAX. */
bool bytes_amount_parse(struct bytes text, int64_t *bytes);

/* "20ms", "5s", "1.5h", "7d", and ISO 8601: "PT5M". A bare number has no unit, so only "0" is one.
 * False when it is none, or above DURATION_AMOUNT_MAX_US. */
bool duration_amount_parse(struct bytes text, int64_t *us);
#define DURATION_AMOUNT_MAX_US 10000000000000000LL

/* "1000/s", "1000", "2.5k/s", "1M/s": events per second, > 0. */
bool rate_amount_parse(struct bytes text, double *per_second);

/* "60x", "0.5x": a factor, > 0. */
bool factor_amount_parse(struct bytes text, double *factor);

/* "true", "yes", "on", "1" and their opposites. */
bool flag_amount_parse(struct bytes text, bool *flag);

/* The other way round, short and for people: "64 MiB", "1.5 s", "12,345", "1.25 M". */
void bytes_amount_put(struct buf *out, uint64_t bytes);
void duration_amount_put(struct buf *out, int64_t us);
/* In the largest unit that leaves no rest: "366d", "90s". */
void duration_exact_put(struct buf *out, int64_t us);
void count_amount_put(struct buf *out, uint64_t count);
void short_amount_put(struct buf *out, double amount);
