/* A fully validating JSON scanner (RFC 8259).
 *
 * It builds nothing: it walks the text once, checks every rule (grammar, UTF-8 as of RFC 3629 with
 * no surrogates or overlong forms, paired \u escapes, control characters, numbers, depth) and hands
 * out slices of the input. It accepts exactly what RFC 8259 allows; a BOM and anything after the
 * value are refused.
 *
 * The walk is pull style:
 *
 *     struct json_scanner s = json_scanner_of(text);
 *     struct json_value value;
 *     err = json_value(&s, &value);        // value of any kind; containers are walked WHOLE
 *
 * or, to look inside of an object:
 *
 *     err = json_object_begin(&s);
 *     while ((err = json_object_next(&s, &member, &more)) == OK && more) { ... json_value(...) ...
 * }
 */
#pragma once

#include "base/err.h"

#define JSON_DEPTH_MAX 64

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_value {
    enum json_kind kind;
    struct bytes text; /* the whole value as it stands in the input, quotes and braces included */
    struct bytes content; /* of a string: what is between the quotes, still escaped */
    bool escaped;         /* of a string: contains a backslash, so json_unescape is needed */
};

struct json_scanner {
    const uint8_t *begin;
    const uint8_t *at;
    const uint8_t *end;
    int depth;     /* open containers */
    int depth_max; /* JSON_DEPTH_MAX, or one more for an outer array that does not count */
    bool first;    /* no member or item of the open container was read yet */
};

static inline struct json_scanner json_scanner_of(struct bytes text)
{
    /* An empty slice may have no data, and not even 0 may be added to NULL. */
    const uint8_t *end = text.len == 0 ? text.data : text.data + text.len;
    return (struct json_scanner){
        .begin = text.data, .at = text.data, .end = end, .depth_max = JSON_DEPTH_MAX};
}

/* Reads one value of any kind, white space before it included, validating all of it. On an error
 * s->at is where it was found. */
enum err json_value(struct json_scanner *s, struct json_value *value) MUST_CHECK;

/* Enters an object or array: OK, or ERR_WRONG_TYPE when the next value is of another kind (nothing
 * is consumed then but white space), or ERR_JSON, ERR_DEPTH. */
enum err json_object_begin(struct json_scanner *s) MUST_CHECK;
enum err json_array_begin(struct json_scanner *s) MUST_CHECK;

/* The next member's name (a string value) up to and including the colon; *more is false when the
 * closing brace was consumed instead. */
enum err json_object_next(struct json_scanner *s, struct json_value *name, bool *more) MUST_CHECK;

/* Positions before the next item; *more is false when the closing bracket was consumed instead. */
enum err json_array_next(struct json_scanner *s, bool *more) MUST_CHECK;

/* What the next value is, without consuming it (white space is skipped); ERR_JSON at the end. */
enum err json_peek(struct json_scanner *s, enum json_kind *kind) MUST_CHECK;

/* Only white space is left. */
enum err json_end(struct json_scanner *s) MUST_CHECK;

/* One value of any kind and nothing behind it: what a whole text must be. */
enum err json_whole(struct json_scanner *s, struct json_value *value) MUST_CHECK;

/* Resolves the escapes of a validated string content into out: at most content.len bytes. */
void json_unescape(struct bytes content, struct buf *out);

/* Writes text as a JSON string, quotes included, escaping what must be: at most 6 * len + 2 bytes.
 * `text` must be valid UTF-8. */
void json_put_string(struct buf *out, struct bytes text);

/* Appends a validated text without the white space between its tokens: at most text.len bytes. */
void json_put_compact(struct buf *out, struct bytes text);

/* True when the bytes are valid UTF-8 (RFC 3629). */
bool utf8_valid(struct bytes text);

/* Finds the value at a path of an already validated text: steps are member names (compared after
 * unescaping; the last of equal names counts) or array indexes. Never fails on valid JSON. */
struct json_step {
    struct bytes name; /* name.data == NULL: an index */
    uint32_t index;
};
bool json_find(struct bytes text,
               const struct json_step *steps,
               size_t count,
               struct json_value *value);
