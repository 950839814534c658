/* JSON of answers: see answer_json.h. */
#include "apps/answer_json.h"

#include "base/text.h"

bool json_text_valid(struct bytes text)
{
    struct json_scanner scanner = json_scanner_of(text);
    struct json_value value;
    return json_value(&scanner, &value) == OK && json_end(&scanner) == OK;
}

bool json_member(struct bytes text, const char *name, struct json_value *value)
{
    const struct json_step step = {.name = bytes_of_string(name)};
    return json_find(text, &step, 1, value);
}

void json_member_text(struct bytes text, const char *name, char *out, size_t size)
{
    struct json_value value;
    out[0] = '\0';
    if (!json_member(text, name, &value) || value.kind != JSON_STRING) {
        return;
    }
    /* What does not fit is not written, so a long text is cut. */
    struct buf unescaped = buf_of(out, size - 1);
    if (value.escaped) {
        json_unescape(value.content, &unescaped);
    } else {
        buf_put(&unescaped,
                value.content.data,
                value.content.len < size ? value.content.len : size - 1);
    }
    out[unescaped.len] = '\0';
}

int64_t json_member_number(struct bytes text, const char *name, int64_t fallback)
{
    struct json_value value;
    int64_t number = 0;
    bool found = json_member(text, name, &value) && value.kind == JSON_NUMBER;
    return found && i64_parse(value.text, &number) ? number : fallback;
}

struct json_walk json_walk_of(struct bytes text)
{
    struct json_walk walk = {.scanner = json_scanner_of(text)};
    enum json_kind kind = JSON_NULL;
    if (json_peek(&walk.scanner, &kind) != OK) {
        walk.ended = true;
    } else if (kind == JSON_OBJECT) {
        walk.object = true;
        walk.ended = json_object_begin(&walk.scanner) != OK;
    } else {
        walk.ended = kind != JSON_ARRAY || json_array_begin(&walk.scanner) != OK;
    }
    return walk;
}

bool json_walk_next(struct json_walk *walk, struct json_value *name, struct json_value *value)
{
    bool more = false;
    if (walk->ended) {
        return false;
    }
    enum err err = walk->object ? json_object_next(&walk->scanner, name, &more)
                                : json_array_next(&walk->scanner, &more);
    if (err == OK && more) {
        err = json_value(&walk->scanner, value);
    }
    walk->ended = err != OK || !more;
    return !walk->ended;
}
