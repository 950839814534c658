/* What commands say: results on standard output, everything else on standard error. */
#pragma once

#include "base/err.h"

#include <stdio.h>

#define LIKE_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Standard output. A reader that went away ends the process quietly; any other failure is said,
 * exit 74 (out_finish). */
void say(const char *format, ...) LIKE_PRINTF(1, 2);
void say_bytes(struct bytes text);

/* Standard error: "tidemark: sentence", on a line of its own. */
void complain(const char *format, ...) LIKE_PRINTF(1, 2);

/* Standard error, as it is. */
void note(const char *format, ...) LIKE_PRINTF(1, 2);

/* Flushes standard output; false when something of it was lost. */
bool say_finish(void);

void error_say(struct error *error, const char *format, ...) LIKE_PRINTF(2, 3);

/* Into a fixed buffer, cut to fit. */
void text_put(char *out, size_t size, const char *format, ...) LIKE_PRINTF(3, 4);

/* Amounts for one printf each: the text lives in `out`. */
struct amount_text {
    char text[48];
};
struct amount_text amount_bytes(uint64_t bytes);
struct amount_text amount_count(uint64_t count);
struct amount_text amount_duration(int64_t us);
struct amount_text amount_short(double number);
