/* Looking into the JSON that a server answers. */
#pragma once

#include "base/json.h"

/* The member of an object; false when `text` is no object, or has none of that name. The text must
 * be valid JSON (json_text_valid). */
bool json_member(struct bytes text, const char *name, struct json_value *value);

bool json_text_valid(struct bytes text);

/* A string member, unescaped into out and NUL-terminated, cut to fit; "" when it is missing. */
void json_member_text(struct bytes text, const char *name, char *out, size_t size);

/* A number member that is a whole number; fallback when it is missing or none. */
int64_t json_member_number(struct bytes text, const char *name, int64_t fallback);

/* Walks the items of an array, or the members of an object. */
struct json_walk {
    struct json_scanner scanner;
    bool object;
    bool ended;
};

/* Not a container: a walk without steps. */
struct json_walk json_walk_of(struct bytes text);

/* The next item; of an object `name` too. */
bool json_walk_next(struct json_walk *walk, struct json_value *name, struct json_value *value);
