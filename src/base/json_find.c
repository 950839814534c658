/* json_find: a path of member names and indexes into a validated text.
 *
 * Each step walks one container from its start to its end: of equal member names the last counts,
 * as almost every JSON library has it, so the first match can't be trusted to be the one.
 *
 * Invariants:
 *  1. Nothing is allocated: an escaped name is compared while it is decoded.
 *  2. A text that turns out not to be valid finds nothing. */
#include "base/check.h"
#include "base/json.h"
#include "base/json_escape.h"

/* Whether a member's name, once unescaped, is `name`. */
static bool name_equal(const struct json_value *member, struct bytes name)
{
    if (!member->escaped) {
        return bytes_equal(member->content, name);
    }
    const uint8_t *at = member->content.data;
    const uint8_t *end = at + member->content.len;
    size_t matched = 0;
    while (at < end) {
        uint8_t decoded[4];
        size_t len = 1;
        if (*at == '\\') {
            len = json_escape_decode(&at, end, decoded);
        } else {
            decoded[0] = *at++;
        }
        if (len > name.len - matched || memcmp(decoded, name.data + matched, len) != 0) {
            return false;
        }
        matched += len;
    }
    return matched == name.len;
}

static bool member_find(struct bytes text, struct bytes name, struct json_value *value)
{
    struct json_scanner s = json_scanner_of(text);
    if (json_object_begin(&s) != OK) {
        return false;
    }
    bool found = false;
    bool more = true;
    struct json_value member = {.kind = JSON_NULL};
    struct json_value current = {.kind = JSON_NULL};
    while (json_object_next(&s, &member, &more) == OK && more) {
        if (json_value(&s, &current) != OK) {
            return false;
        }
        if (name_equal(&member, name)) {
            *value = current;
            found = true;
        }
    }
    return found && !more;
}

static bool item_find(struct bytes text, uint32_t index, struct json_value *value)
{
    struct json_scanner s = json_scanner_of(text);
    if (json_array_begin(&s) != OK) {
        return false;
    }
    bool more = true;
    for (uint32_t i = 0; json_array_next(&s, &more) == OK && more; i++) {
        if (json_value(&s, value) != OK) {
            return false;
        }
        if (i == index) {
            return true;
        }
    }
    return false;
}

bool json_find(struct bytes text,
               const struct json_step *steps,
               size_t count,
               struct json_value *value)
{
    CHECK(count == 0 || steps != NULL);
    struct json_scanner s = json_scanner_of(text);
    if (count == 0) {
        return json_value(&s, value) == OK;
    }
    struct json_value found = {.text = text};
    for (size_t i = 0; i < count; i++) {
        struct bytes inner = found.text;
        bool ok = steps[i].name.data != NULL ? member_find(inner, steps[i].name, &found)
                                             : item_find(inner, steps[i].index, &found);
        if (!ok) {
            return false;
        }
    }
    *value = found;
    return true;
}
