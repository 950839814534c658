/* Any bytes as JSON. Checked beside memory safety:
 *
 *  1. What json_value accepts is accepted again as a text of its own, to its last byte.
 *  2. Walking a container by hand accepts exactly what walking it whole accepts.
 *  3. Accepted text is valid UTF-8; unescaped strings are valid UTF-8 and fit into content.len
 * bytes.
 *  4. A string written from an unescaped one scans and unescapes to the same. */
#include "fuzz.h"

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>

static void string_try(const struct json_value *value)
{
    uint8_t *plain = malloc(value->content.len + 1);
    CHECK(plain != NULL);
    struct buf out = buf_of(plain, value->content.len);
    json_unescape(value->content, &out);
    CHECK(!out.overflow);
    CHECK(utf8_valid(buf_bytes(&out)));
    CHECK(value->escaped || bytes_equal(buf_bytes(&out), value->content));

    size_t cap = 6 * out.len + 2;
    uint8_t *written = malloc(cap);
    uint8_t *again = malloc(cap);
    CHECK(written != NULL && again != NULL);
    struct buf text = buf_of(written, cap);
    json_put_string(&text, buf_bytes(&out));
    CHECK(!text.overflow);
    struct json_scanner s = json_scanner_of(buf_bytes(&text));
    struct json_value back;
    CHECK(json_value(&s, &back) == OK);
    CHECK(json_end(&s) == OK);
    struct buf back_plain = buf_of(again, back.content.len);
    json_unescape(back.content, &back_plain);
    CHECK(bytes_equal(buf_bytes(&back_plain), buf_bytes(&out)));
    free(again);
    free(written);
    free(plain);
}

static void number_try(const struct json_value *value)
{
    struct decimal decimal;
    struct decimal back;
    uint8_t text[48];
    struct buf out = buf_of(text, sizeof(text));
    if (!decimal_parse(value->text, &decimal)) {
        return;
    }
    if (decimal.exact) {
        decimal_put(&out, decimal.nano);
    } else {
        double_put(&out, decimal.real);
    }
    CHECK(!out.overflow);
    CHECK(decimal_parse(buf_bytes(&out), &back));
    /* A whole double reads back as an exact number; then only the text is the same. */
    CHECK(decimal.exact ? back.exact && back.nano == decimal.nano
                        : back.exact || back.real == decimal.real);
}

/* Walks one container by hand, one level deep. */
static enum err members_walk(struct bytes text, enum json_kind kind)
{
    struct json_scanner s = json_scanner_of(text);
    struct json_value name;
    struct json_value value;
    bool more = true;
    enum err err = kind == JSON_OBJECT ? json_object_begin(&s) : json_array_begin(&s);
    while (err == OK && more) {
        err = kind == JSON_OBJECT ? json_object_next(&s, &name, &more) : json_array_next(&s, &more);
        if (err == OK && more) {
            if (kind == JSON_OBJECT) {
                string_try(&name);
            }
            err = json_value(&s, &value);
        }
        if (err == OK && more && value.kind == JSON_STRING) {
            string_try(&value);
        }
        if (err == OK && more && value.kind == JSON_NUMBER) {
            number_try(&value);
        }
    }
    CHECK(err != OK || s.depth == 0);
    return err != OK ? err : json_end(&s);
}

static void value_try(struct bytes text)
{
    struct json_scanner s = json_scanner_of(text);
    struct json_value value;
    enum json_kind kind = JSON_NULL;
    if (json_peek(&s, &kind) != OK) {
        CHECK(json_value(&s, &value) == ERR_JSON);
        return;
    }
    enum err err = json_value(&s, &value);
    CHECK(s.at >= s.begin && s.at <= s.end);
    if (err == OK) {
        CHECK(value.kind == kind);
        CHECK(utf8_valid(value.text));
        struct json_scanner again = json_scanner_of(value.text);
        struct json_value same;
        CHECK(json_value(&again, &same) == OK);
        CHECK(same.kind == value.kind);
        CHECK(same.text.data == value.text.data && same.text.len == value.text.len);
        CHECK(json_end(&again) == OK);
        err = json_end(&s);
    }
    if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
        CHECK(members_walk(text, kind) == err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    value_try(text);
    struct json_value found;
    struct json_step steps[] = {{.name = BYTES("a")}, {.index = 1}};
    (void)json_find(text, steps, 2, &found);
    (void)json_find(text, steps + 1, 1, &found);
    return 0;
}
