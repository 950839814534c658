/* Decodes cases off standard input and says what each came to, a line each, for a test that knows
 * another decoder of the same format.
 *
 *     case:  u8 kind, u32 length (little endian), the text
 *     line:  "no ERR_NAME", or "ok VALUE"
 *
 *     kind                              VALUE
 *     J  JSON                           n t f, s + the bytes in hex, a number, [a,b], {s61:value}
 *     T  RFC 3339 time                  microseconds since 1970
 *     D  ISO 8601 duration              microseconds
 *     N  number as SQL reads a text     a number
 *     S  time as SQL reads a text       microseconds since 1970
 *
 * A number is #nanos when it is exact, ~bits (of the double, in hex) else, or ^ beyond the doubles.
 * Each text lies in memory of its own length, so that AddressSanitizer sees a read beyond it. */
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "model/literal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_MAX (64u * 1024 * 1024)

static void print_hex(struct bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        putchar(digits[bytes.data[i] >> 4]);
        putchar(digits[bytes.data[i] & 15]);
    }
}

static void print_nano(int128 nano)
{
    char digits[48];
    size_t at = sizeof(digits);
    bool negative = nano < 0;
    int128 rest = negative ? -nano : nano;
    do {
        digits[--at] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0);
    printf("#%s%.*s", negative ? "-" : "", (int)(sizeof(digits) - at), digits + at);
}

static void print_real(double real)
{
    uint64_t bits = 0;
    memcpy(&bits, &real, sizeof(bits));
    printf("~%016llx", (unsigned long long)bits);
}

static void print_number(struct bytes text)
{
    struct decimal decimal;
    if (!decimal_parse(text, &decimal)) {
        putchar('^');
    } else if (decimal.exact) {
        print_nano(decimal.nano);
    } else {
        print_real(decimal.real);
    }
}

static void print_string(const struct json_value *value)
{
    uint8_t *memory = malloc(value->content.len + 1);
    CHECK(memory != NULL);
    struct buf plain = buf_of(memory, value->content.len);
    json_unescape(value->content, &plain);
    CHECK(!plain.overflow);
    putchar('s');
    print_hex(buf_bytes(&plain));
    free(memory);
}

static void print_scalar(const struct json_value *value)
{
    switch (value->kind) {
    case JSON_NULL:
        putchar('n');
        break;
    case JSON_FALSE:
        putchar('f');
        break;
    case JSON_TRUE:
        putchar('t');
        break;
    case JSON_NUMBER:
        print_number(value->text);
        break;
    case JSON_STRING:
        print_string(value);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        CHECK(value->kind != JSON_ARRAY);
        CHECK(value->kind != JSON_OBJECT);
        break;
    }
}

/* Prints a text that is known to be valid. The open containers are kept in `objects`, one each. */
static void print_json(struct bytes text)
{
    struct json_scanner s = json_scanner_of(text);
    bool objects[JSON_DEPTH_MAX];
    bool first = true;
    bool more = true;
    do {
        struct json_value value;
        enum json_kind kind = JSON_NULL;
        if (s.depth > 0) {
            bool object = objects[s.depth - 1];
            enum err err =
                object ? json_object_next(&s, &value, &more) : json_array_next(&s, &more);
            CHECK(err == OK);
            if (!more) {
                putchar(object ? '}' : ']');
                first = false;
                continue;
            }
            fputs(first ? "" : ",", stdout);
            if (object) {
                print_string(&value);
                putchar(':');
            }
        }
        first = false;
        CHECK(json_peek(&s, &kind) == OK);
        if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
            CHECK((kind == JSON_OBJECT ? json_object_begin(&s) : json_array_begin(&s)) == OK);
            objects[s.depth - 1] = kind == JSON_OBJECT;
            putchar(kind == JSON_OBJECT ? '{' : '[');
            first = true;
        } else {
            CHECK(json_value(&s, &value) == OK);
            print_scalar(&value);
        }
    } while (s.depth > 0);
    CHECK(json_end(&s) == OK);
}

static void decode_json(struct bytes text)
{
    struct json_scanner s = json_scanner_of(text);
    struct json_value value;
    enum err err = json_value(&s, &value);
    if (err == OK) {
        err = json_end(&s);
    }
    if (err != OK) {
        printf("no %s", err_name(err));
        return;
    }
    fputs("ok ", stdout);
    print_json(text);
}

static void print_us(bool ok, int64_t us)
{
    if (ok) {
        printf("ok %lld", (long long)us);
    } else {
        fputs("no", stdout);
    }
}

static void decode_number(struct bytes text)
{
    struct value value;
    if (!literal_number(text, &value)) {
        fputs("no", stdout);
        return;
    }
    fputs("ok ", stdout);
    CHECK(value.kind == VALUE_NUMBER || value.kind == VALUE_DOUBLE);
    if (value.kind == VALUE_NUMBER) {
        print_nano(value.nano);
    } else {
        print_real(value.real);
    }
}

static bool decode(int kind, struct bytes text)
{
    int64_t us = 0;
    bool ok = false;
    switch (kind) {
    case 'J':
        decode_json(text);
        return true;
    case 'N':
        decode_number(text);
        return true;
    case 'T':
        ok = timestamp_parse(text, &us) == OK;
        break;
    case 'D':
        ok = duration_parse(text, &us) == OK;
        break;
    case 'S':
        ok = literal_time(text, &us);
        break;
    default:
        return false;
    }
    print_us(ok, us);
    return true;
}

int main(void)
{
    for (int kind = getchar(); kind != EOF; kind = getchar()) {
        uint8_t length[4];
        if (fread(length, 1, sizeof(length), stdin) != sizeof(length)) {
            return 65;
        }
        struct reader in = reader_of(bytes_of(length, sizeof(length)));
        uint32_t len = read_u32(&in);
        uint8_t *text = len <= LENGTH_MAX ? malloc(len == 0 ? 1 : len) : NULL;
        if (text == NULL || fread(text, 1, len, stdin) != len ||
            !decode(kind, bytes_of(text, len))) {
            free(text);
            return 65;
        }
        free(text);
        putchar('\n');
    }
    return fflush(stdout) == 0 ? 0 : 74;
}
