/* Numbers and durations: what was read and is written again reads as the same. */
#include "fuzz.h"

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"

#define TEXT_BYTES_MAX 64

static void check_duration(struct bytes input)
{
    uint8_t text[TEXT_BYTES_MAX];
    struct buf out = buf_of(text, sizeof(text));
    int64_t us = 0;
    int64_t again = 0;
    if (duration_parse(input, &us) != OK) {
        return;
    }
    CHECK(us >= 0);
    duration_put(&out, us);
    CHECK(!out.overflow);
    CHECK(duration_parse(buf_bytes(&out), &again) == OK);
    CHECK(again == us);
}

static void check_integer(struct bytes input)
{
    uint8_t text[TEXT_BYTES_MAX];
    struct buf out = buf_of(text, sizeof(text));
    int64_t value = 0;
    int64_t again = 0;
    if (!i64_parse(input, &value)) {
        return;
    }
    i64_put(&out, value);
    CHECK(i64_parse(buf_bytes(&out), &again));
    CHECK(again == value);
}

static void check_decimal(struct bytes number)
{
    uint8_t text[TEXT_BYTES_MAX];
    struct buf out = buf_of(text, sizeof(text));
    struct decimal value;
    struct decimal again;
    if (!decimal_parse(number, &value)) {
        return;
    }
    if (value.exact) {
        decimal_put(&out, value.nano);
    } else {
        double_put(&out, value.real);
    }
    CHECK(!out.overflow);
    CHECK(decimal_parse(buf_bytes(&out), &again));
    if (value.exact) {
        CHECK(again.exact);
        CHECK(again.nano == value.nano);
    } else if (!again.exact) {
        CHECK(again.real >= value.real);
        CHECK(again.real <= value.real);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct json_scanner s = json_scanner_of(input);
    struct json_value value;
    check_duration(input);
    check_integer(input);
    /* decimal_parse takes validated numbers only, so the scanner goes first. */
    if (json_value(&s, &value) == OK && value.kind == JSON_NUMBER) {
        check_decimal(value.text);
    }
    return 0;
}
