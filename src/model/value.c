/* Values: their order, their canonical bytes, their JSON.
 *
 *   byte 0          kind
 *   VALUE_NULL      nothing
 *   VALUE_BOOL      u8 0 or 1
 *   VALUE_NUMBER    i128 nano
 *   VALUE_DOUBLE    f64; only when no VALUE_NUMBER within NUMBER_NANO_MAX says the same
 *   VALUE_TEXT      varint length, bytes
 *   VALUE_TIME      i64 us
 *
 * Invariant: value_compare gives 0 exactly when both encodings are equal byte by byte. */
#include "model/value.h"

#include "base/json.h"
#include "model/number.h"

struct value value_of_real(double real)
{
    /* Only an infinity and a NaN differ from themselves after subtraction. */
    bool finite = real - real == 0.0;
    return finite ? (struct value){.kind = VALUE_DOUBLE, .real = real} : value_null();
}

static int sign_of(bool less, bool greater)
{
    return less ? -1 : greater ? 1 : 0;
}

static int compare_numbers(struct value a, struct value b)
{
    if (a.kind == VALUE_NUMBER && b.kind == VALUE_NUMBER) {
        return sign_of(a.nano<b.nano, a.nano> b.nano);
    }
    if (a.kind == VALUE_DOUBLE && b.kind == VALUE_DOUBLE) {
        return sign_of(a.real<b.real, a.real> b.real);
    }
    return a.kind == VALUE_NUMBER ? number_compare_double(a.nano, b.real)
                                  : -number_compare_double(b.nano, a.real);
}

int value_compare(struct value a, struct value b, bool *comparable)
{
    bool numbers = (a.kind == VALUE_NUMBER || a.kind == VALUE_DOUBLE) &&
                   (b.kind == VALUE_NUMBER || b.kind == VALUE_DOUBLE);
    *comparable = numbers || (a.kind == b.kind && a.kind != VALUE_NULL);
    if (!*comparable) {
        return 0;
    }
    switch (a.kind) {
    case VALUE_NULL:
        return 0;
    case VALUE_BOOL:
        return (int)a.boolean - (int)b.boolean;
    case VALUE_NUMBER:
    case VALUE_DOUBLE:
        return compare_numbers(a, b);
    case VALUE_TEXT:
        return bytes_compare(a.text, b.text);
    case VALUE_TIME:
        return sign_of(a.time_us<b.time_us, a.time_us> b.time_us);
    }
    return 0;
}

static int key_order(struct value a, struct value b)
{
    if (a.kind == VALUE_NULL || b.kind == VALUE_NULL) {
        return (a.kind == VALUE_NULL) - (b.kind == VALUE_NULL);
    }
    bool comparable = false;
    int order = value_compare(a, b, &comparable);
    return comparable ? order : (int)a.kind - (int)b.kind;
}

int value_key_compare(struct bytes a, struct bytes b)
{
    struct reader left = reader_of(a);
    struct reader right = reader_of(b);
    while (reader_left(&left) > 0 && reader_left(&right) > 0) {
        struct value x;
        struct value y;
        if (!value_read(&left, &x) || !value_read(&right, &y)) {
            return bytes_compare(a, b); /* no keys: any order will do */
        }
        int order = key_order(x, y);
        if (order != 0) {
            return order;
        }
    }
    return (reader_left(&left) > 0) - (reader_left(&right) > 0);
}

/* The one of several equal values that is encoded. */
static struct value canonical(struct value value)
{
    struct number_cut cut;
    if (value.kind == VALUE_DOUBLE && number_from_double(value.real, &cut) && cut.exact &&
        cut.nano <= NUMBER_NANO_MAX && cut.nano >= -NUMBER_NANO_MAX) {
        return value_of_nano(cut.nano);
    }
    return value;
}

void value_put(struct buf *out, struct value value)
{
    struct value encoded = canonical(value);
    buf_put_u8(out, (uint8_t)encoded.kind);
    switch (encoded.kind) {
    case VALUE_NULL:
        return;
    case VALUE_BOOL:
        buf_put_u8(out, encoded.boolean ? 1 : 0);
        return;
    case VALUE_NUMBER:
        buf_put_i128(out, encoded.nano);
        return;
    case VALUE_DOUBLE:
        buf_put_f64(out, encoded.real);
        return;
    case VALUE_TEXT:
        buf_put_string(out, encoded.text);
        return;
    case VALUE_TIME:
        buf_put_i64(out, encoded.time_us);
        return;
    }
}

static bool read_payload(struct reader *in, uint8_t kind, struct value *value)
{
    uint8_t boolean;
    switch (kind) {
    case VALUE_NULL:
        *value = value_null();
        return true;
    case VALUE_BOOL:
        boolean = read_u8(in);
        *value = value_of_bool(boolean == 1);
        return boolean <= 1;
    case VALUE_NUMBER:
        *value = value_of_nano(read_i128(in));
        return true;
    case VALUE_DOUBLE:
        *value = value_of_real(read_f64(in));
        return value->kind == VALUE_DOUBLE && canonical(*value).kind == VALUE_DOUBLE;
    case VALUE_TEXT:
        *value = value_of_text(read_string(in));
        return true;
    case VALUE_TIME:
        *value = value_of_time(read_i64(in));
        return true;
    default: /* a byte from outside, not an enum yet */
        return false;
    }
}

bool value_read(struct reader *in, struct value *value)
{
    uint8_t kind = read_u8(in);
    *value = value_null();
    return !in->bad && read_payload(in, kind, value) && !in->bad;
}

void value_put_json(struct buf *out, struct value value)
{
    switch (value.kind) {
    case VALUE_NULL:
        buf_put_text(out, "null");
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
        json_put_string(out, value.text);
        return;
    case VALUE_TIME:
        buf_put_u8(out, '"');
        timestamp_put(out, value.time_us);
        buf_put_u8(out, '"');
        return;
    }
}
