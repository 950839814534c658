/* Output: see say.h. */
#include "apps/say.h"

#include "apps/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vprintf(format, arguments); /* say_finish looks whether all went well */
    va_end(arguments);
}

void say_bytes(struct bytes text)
{
    if (text.len > 0) {
        (void)fwrite(text.data, 1, text.len, stdout);
    }
}

void complain(const char *format, ...)
{
    va_list arguments;
    (void)fflush(stdout);
    va_start(arguments, format);
    (void)fputs("tidemark: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

void note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
}

bool say_finish(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

void error_say(struct error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
}

void text_put(char *out, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out, size, format, arguments);
    va_end(arguments);
}

struct amount_text amount_bytes(uint64_t bytes)
{
    struct amount_text amount = {{0}};
    struct buf out = buf_of(amount.text, sizeof(amount.text) - 1);
    bytes_amount_put(&out, bytes);
    return amount;
}

struct amount_text amount_count(uint64_t count)
{
    struct amount_text amount = {{0}};
    struct buf out = buf_of(amount.text, sizeof(amount.text) - 1);
    count_amount_put(&out, count);
    return amount;
}

struct amount_text amount_duration(int64_t us)
{
    struct amount_text amount = {{0}};
    struct buf out = buf_of(amount.text, sizeof(amount.text) - 1);
    duration_amount_put(&out, us);
    return amount;
}

struct amount_text amount_short(double number)
{
    struct amount_text amount = {{0}};
    struct buf out = buf_of(amount.text, sizeof(amount.text) - 1);
    short_amount_put(&out, number);
    return amount;
}
