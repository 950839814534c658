/* Cursors: see cursor.h. They are stateless, so they never expire; what they point at may move when
 * rows come or go between two pages. */
#include "api/cursor.h"

#include "api/problem.h"
#include "api/routes.h"
#include "base/check.h"
#include "base/hash.h"

uint64_t cursor_hash(const struct call *call)
{
    uint64_t hash = hash64_pair(bytes_of_string(call->route->path), call->name, 0);
    for (size_t i = 0; i < call->params.count; i++) {
        const struct param *param = &call->params.entries[i];
        if (bytes_equal(param->name, BYTES("limit")) || bytes_equal(param->name, BYTES("cursor"))) {
            continue;
        }
        hash += hash64_pair(param->name, param->value, 1); /* in any order */
    }
    return hash;
}

static void put_number(struct out *out, uint64_t number)
{
    uint8_t digits[HEX64_BYTES];
    hex64_put(digits, number);
    out_bytes(out, bytes_of(digits, sizeof(digits)));
}

void cursor_put(struct out *out, uint64_t hash, const uint64_t *numbers, size_t count)
{
    CHECK(count <= CURSOR_NUMBERS_MAX);
    out_char(out, '"');
    put_number(out, hash);
    for (size_t i = 0; i < count; i++) {
        put_number(out, numbers[i]);
    }
    out_char(out, '"');
}

bool cursor_read(struct call *call, uint64_t *numbers, size_t count)
{
    struct bytes text = params_find(&call->params, "cursor");
    uint64_t read[1 + CURSOR_NUMBERS_MAX] = {0};
    CHECK(count <= CURSOR_NUMBERS_MAX);
    if (text.data == NULL) {
        return true;
    }
    bool good = text.len == HEX64_BYTES * (1 + count);
    for (size_t i = 0; good && i < 1 + count; i++) {
        good = hex_parse(bytes_slice(text, i * HEX64_BYTES, HEX64_BYTES), &read[i]);
    }
    if (!good || read[0] != cursor_hash(call)) {
        call_fail_member(call, ERR_MALFORMED, BYTES("cursor"), "it is not a cursor of this list");
        return false;
    }
    memcpy(numbers, read + 1, count * sizeof(*numbers));
    return true;
}

bool cursor_limit(struct call *call, uint32_t *limit)
{
    if (params_limit(&call->params, limit) != OK) {
        call_fail_member(call, ERR_UNPROCESSABLE, BYTES("limit"), "it is a number from 1 to 1000");
        return false;
    }
    return true;
}

void cursor_end(struct call *call, const uint64_t *next, size_t count)
{
    struct out *out = &call->api->out;
    out_text(out, "],\"next_cursor\":");
    if (next != NULL) {
        cursor_put(out, cursor_hash(call), next, count);
    } else {
        out_text(out, "null");
    }
    out_char(out, '}');
}

void cursor_end_at(struct call *call, size_t end, size_t count)
{
    const uint64_t next = end;
    cursor_end(call, end < count ? &next : NULL, 1);
}
