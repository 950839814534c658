/* Reading URLs: see params.h. Values follow the form encoding (WHATWG URL, section 5), since that
 * is what clients send: a plus is a space. Only in a time a plus is itself, for offsets such as
 * +02:00.
 *
 * Invariants:
 *  1. Decoded names and values are valid UTF-8 without NUL.
 *  2. No name occurs twice. */
#include "api/params.h"

#include "api/out.h"
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

enum err
percent_decode(struct bytes encoded, bool plus_is_space, struct memory *memory, struct bytes *out)
{
    uint8_t *text = memory_take(memory, encoded.len + 1);
    if (text == NULL) {
        return memory_err(memory);
    }
    size_t len = 0;
    for (size_t i = 0; i < encoded.len; i++) {
        uint8_t c = encoded.data[i];
        if (c == '%') {
            bool whole = encoded.len - i > 2;
            int high = whole ? hex_digit(encoded.data[i + 1]) : -1;
            int low = whole ? hex_digit(encoded.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return ERR_MALFORMED;
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == 0) {
            return ERR_MALFORMED;
        }
        text[len++] = c;
    }
    CHECK(len <= encoded.len);
    *out = bytes_of(text, len);
    return utf8_valid(*out) ? OK : ERR_UTF8;
}

static enum err param_add(struct params *params, struct param param, struct bytes *bad)
{
    *bad = param.name;
    for (size_t i = 0; i < params->count; i++) {
        if (bytes_equal(params->entries[i].name, param.name)) {
            return ERR_DUPLICATE_MEMBER;
        }
    }
    if (params->count == PARAMS_MAX) {
        return ERR_LIMIT;
    }
    params->entries[params->count++] = param;
    return OK;
}

static enum err param_decode(struct bytes pair, struct memory *memory, struct param *param)
{
    const uint8_t *equals = pair.len == 0 ? NULL : memchr(pair.data, '=', pair.len);
    size_t name_len = equals == NULL ? pair.len : (size_t)(equals - pair.data);
    struct bytes value = {0};
    if (equals != NULL) {
        value = bytes_slice(pair, name_len + 1, pair.len - name_len - 1);
    }
    enum err err = percent_decode(bytes_slice(pair, 0, name_len), true, memory, &param->name);
    return err != OK ? err : percent_decode(value, true, memory, &param->value);
}

enum err
params_parse(struct bytes query, struct memory *memory, struct params *params, struct bytes *bad)
{
    params->count = 0;
    *bad = (struct bytes){0};
    while (query.len > 0) {
        const uint8_t *end = memchr(query.data, '&', query.len);
        size_t len = end == NULL ? query.len : (size_t)(end - query.data);
        struct bytes pair = bytes_slice(query, 0, len);
        size_t skip = end == NULL ? len : len + 1;
        query = bytes_slice(query, skip, query.len - skip);
        if (len == 0) {
            continue;
        }
        struct param param = {0};
        enum err err = param_decode(pair, memory, &param);
        if (err == OK) {
            err = param_add(params, param, bad);
        }
        if (err != OK) {
            return err;
        }
    }
    return OK;
}

struct bytes params_find(const struct params *params, const char *name)
{
    struct bytes wanted = bytes_of_string(name);
    for (size_t i = 0; i < params->count; i++) {
        if (bytes_equal(params->entries[i].name, wanted)) {
            return params->entries[i].value;
        }
    }
    return (struct bytes){0};
}

enum err params_time(const struct params *params, const char *name, int64_t *out)
{
    struct bytes text = params_find(params, name);
    uint8_t copy[64];
    if (text.data == NULL) {
        return OK;
    }
    if (text.len > sizeof(copy)) {
        return ERR_TIME;
    }
    for (size_t i = 0; i < text.len; i++) {
        copy[i] = text.data[i] == ' ' ? '+' : text.data[i];
    }
    return timestamp_parse(bytes_of(copy, text.len), out);
}

enum err params_bool(const struct params *params, const char *name, bool *out)
{
    struct bytes text = params_find(params, name);
    if (text.data == NULL) {
        return OK;
    }
    bool yes = bytes_equal(text, BYTES("true"));
    if (!yes && !bytes_equal(text, BYTES("false"))) {
        return ERR_UNPROCESSABLE;
    }
    *out = yes;
    return OK;
}

enum err params_limit(const struct params *params, uint32_t *out)
{
    struct bytes text = params_find(params, "limit");
    uint64_t value = LIST_LIMIT_DEFAULT;
    if (text.data != NULL && (!u64_parse(text, &value) || value < 1 || value > LIST_LIMIT_MAX)) {
        return ERR_UNPROCESSABLE;
    }
    *out = (uint32_t)value;
    return OK;
}

bool hex_parse(struct bytes text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len != HEX64_BYTES) { /* a token that was cut off is none */
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_digit(text.data[i]);
        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint64_t)digit;
    }
    *out = value;
    return true;
}
