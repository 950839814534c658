/* The JSON scanner: one pass, no memory, every rule of RFC 8259 checked.
 *
 * Whole containers are walked by one loop, not by recursion. It remembers the kinds of the open
 * containers as a stack of bits (1 = object), which is why the depth limit is 64:
 *
 *             +---------------------- , -----------------------+
 *             v                                                |
 *     [name :] value ---scalar or empty---> after a value -----+
 *             |  ^                             |     ^
 *             +--+ '{' '[' pushes              +-----+ '}' ']' pops; none left: done
 *
 * Invariants:
 *  1. No byte is read at or behind `end`.
 *  2. begin <= at <= end; after an error `at` is where it was found.
 *  3. Accepted text is valid UTF-8 and its \u escapes name characters: no lone surrogates.
 *  4. depth <= JSON_DEPTH_MAX.
 *
 * Every step takes and returns plain pointers in registers; that, and 16 bytes at a time inside of
 * strings, is what makes it fast. */
#include "base/json.h"

#include "base/check.h"
#include "base/json_escape.h"
#include "base/simd.h"
#include "base/utf8.h"

#define LIKELY(condition) __builtin_expect((condition), 1)

/* Where a step ended, and how. Fits into two registers. */
struct step {
    const uint8_t *at; /* behind what was read, or at the error */
    enum err err;
    bool escaped; /* a string with a backslash in it */
};

static struct step step_ok(const uint8_t *at)
{
    return (struct step){.at = at, .err = OK};
}

static struct step step_bad(const uint8_t *at, enum err err)
{
    return (struct step){.at = at, .err = err};
}

static const uint8_t *space_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
    }
    return at;
}

/* White space is rare in what machines write: look once, then loop. */
static inline const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    return LIKELY(at<end && * at> ' ') ? at : space_end(at, end);
}

/* The four digits behind "\u" at `at`, or -1. */
static int32_t escaped_unit(const uint8_t *at, const uint8_t *end)
{
    return end - at >= 6 ? hex4_value(at + 2) : -1;
}

static struct step unicode_walk(const uint8_t *at, const uint8_t *end)
{
    int32_t unit = escaped_unit(at, end);
    if (unit < 0) {
        return step_bad(at, ERR_JSON);
    }
    if (unit < HIGH_SURROGATE || unit >= SURROGATE_END) {
        return step_ok(at + 6);
    }
    const uint8_t *second = at + 6;
    if (unit >= LOW_SURROGATE || end - second < 2 || second[0] != '\\' || second[1] != 'u') {
        return step_bad(at, ERR_UTF8);
    }
    int32_t low = escaped_unit(second, end);
    if (low < 0) {
        return step_bad(second, ERR_JSON);
    }
    bool paired = low >= LOW_SURROGATE && low < SURROGATE_END;
    return paired ? step_ok(second + 6) : step_bad(at, ERR_UTF8);
}

static struct step escape_walk(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2) {
        return step_bad(at, ERR_JSON);
    }
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return step_ok(at + 2);
    case 'u':
        return unicode_walk(at, end);
    default:
        return step_bad(at, ERR_JSON);
    }
}

/* One special byte inside of a string: an escape, or a character of several bytes. */
static struct step special_walk(const uint8_t *at, const uint8_t *end)
{
    if (*at == '\\') {
        return escape_walk(at, end);
    }
    if (*at < 0x20) {
        return step_bad(at, ERR_JSON);
    }
    while (at < end && *at >= 0x80) {
        size_t len = utf8_char_len(at, end);
        if (len == 0) {
            return step_bad(at, ERR_UTF8);
        }
        at += len;
    }
    return step_ok(at);
}

/* Goes on behind the first plain run of a string, which ended with something else than a quote. */
__attribute__((noinline)) static struct step string_rest(const uint8_t *at, const uint8_t *end)
{
    bool escaped = false;
    while (at < end && *at != '"') {
        escaped = escaped || *at == '\\';
        struct step special = special_walk(at, end);
        if (special.err != OK) {
            return special;
        }
        at = plain_end(special.at, end);
    }
    if (at == end) {
        return step_bad(at, ERR_JSON);
    }
    return (struct step){.at = at + 1, .err = OK, .escaped = escaped};
}

/* A string whose opening quote is at `at`. */
static inline struct step string_walk(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *stop = plain_end(at + 1, end);
    if (LIKELY(stop < end && *stop == '"')) {
        return step_ok(stop + 1);
    }
    return string_rest(stop, end);
}

static inline bool is_digit(const uint8_t *at, const uint8_t *end)
{
    return at < end && (uint8_t)(*at - '0') <= 9;
}

/* One or more digits. */
static struct step digits_walk(const uint8_t *at, const uint8_t *end)
{
    if (!is_digit(at, end)) {
        return step_bad(at, ERR_JSON);
    }
    do {
        at++;
    } while (is_digit(at, end));
    return step_ok(at);
}

static struct step number_walk(const uint8_t *at, const uint8_t *end)
{
    if (*at == '-') {
        at++;
    }
    bool zero = at < end && *at == '0';
    struct step step = digits_walk(at, end);
    if (zero && step.at != at + 1) {
        return step_bad(at + 1, ERR_JSON); /* 01 */
    }
    if (step.err == OK && step.at < end && *step.at == '.') {
        step = digits_walk(step.at + 1, end);
    }
    if (step.err == OK && step.at < end && (*step.at | 0x20) == 'e') {
        const uint8_t *exponent = step.at + 1;
        if (exponent < end && (*exponent == '+' || *exponent == '-')) {
            exponent++;
        }
        step = digits_walk(exponent, end);
    }
    return step;
}

static struct step literal_walk(const uint8_t *at, const uint8_t *end, struct bytes word)
{
    if ((size_t)(end - at) < word.len || memcmp(at, word.data, word.len) != 0) {
        return step_bad(at, ERR_JSON);
    }
    return step_ok(at + word.len);
}

/* Any value but a container; the kind is told by its first byte. */
static inline struct step scalar_walk(const uint8_t *at, const uint8_t *end, enum json_kind *kind)
{
    if (LIKELY(*at == '"')) {
        *kind = JSON_STRING;
        return string_walk(at, end);
    }
    switch (*at) {
    case 't':
        *kind = JSON_TRUE;
        return literal_walk(at, end, BYTES("true"));
    case 'f':
        *kind = JSON_FALSE;
        return literal_walk(at, end, BYTES("false"));
    case 'n':
        *kind = JSON_NULL;
        return literal_walk(at, end, BYTES("null"));
    default:
        *kind = JSON_NUMBER;
        return number_walk(at, end);
    }
}

/* A member's name, its colon, and the white space around. */
static inline struct step name_walk(const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at, end);
    if (at == end || *at != '"') {
        return step_bad(at, ERR_JSON);
    }
    struct step name = string_walk(at, end);
    if (name.err != OK) {
        return name;
    }
    at = skip_space(name.at, end);
    if (at == end || *at != ':') {
        return step_bad(at, ERR_JSON);
    }
    return step_ok(at + 1);
}

/* The open containers of a walk: a stack of bits, the innermost lowest. */
struct nesting {
    uint64_t objects;
    int open;
    int open_max;
};

/* Behind a value: closes containers up to the next comma. `at` ends behind the comma, or behind the
 * last closing bracket when nothing is open any more. */
static inline struct step
closers_walk(const uint8_t *at, const uint8_t *end, struct nesting *nesting)
{
    while (nesting->open > 0) {
        at = skip_space(at, end);
        if (at == end) {
            return step_bad(at, ERR_JSON);
        }
        if (*at == ',') {
            return step_ok(at + 1);
        }
        uint8_t closer = (nesting->objects & 1) != 0 ? '}' : ']';
        if (*at != closer) {
            return step_bad(at, ERR_JSON);
        }
        nesting->objects >>= 1;
        nesting->open--;
        at++;
    }
    return step_ok(at);
}

/* Opens the container at `at`; *empty when its closing bracket follows, which is left to be read.
 */
static inline struct step
opener_walk(const uint8_t *at, const uint8_t *end, struct nesting *nesting, bool *empty)
{
    if (nesting->open == nesting->open_max) {
        return step_bad(at, ERR_DEPTH);
    }
    uint64_t object = *at == '{' ? 1 : 0;
    nesting->objects = nesting->objects << 1 | object;
    nesting->open++;
    at = skip_space(at + 1, end);
    *empty = at < end && *at == (object != 0 ? '}' : ']');
    return step_ok(at);
}

static bool opens(uint8_t byte)
{
    return byte == '{' || byte == '[';
}

/* A whole object or array, with at most open_max containers open at a time. */
static struct step container_walk(const uint8_t *at, const uint8_t *end, int open_max)
{
    struct nesting nesting = {.open_max = open_max};
    struct step step = step_ok(at);
    do {
        bool ended = true; /* a value has ended: a comma or closing brackets follow */
        at = skip_space(step.at, end);
        if (at == end) {
            return step_bad(at, ERR_JSON);
        }
        if (opens(*at)) {
            step = opener_walk(at, end, &nesting, &ended);
        } else {
            enum json_kind kind = JSON_NULL;
            step = scalar_walk(at, end, &kind);
        }
        if (step.err == OK && ended) {
            step = closers_walk(step.at, end, &nesting);
        }
        if (step.err == OK && nesting.open > 0 && (nesting.objects & 1) != 0) {
            step = name_walk(step.at, end);
        }
    } while (step.err == OK && nesting.open > 0);
    return step;
}

/* Fills in a string value that was read from `begin` to step.at. */
static void string_fill(struct json_value *value, const uint8_t *begin, struct step step)
{
    size_t len = (size_t)(step.at - begin);
    CHECK(len >= 2);
    *value = (struct json_value){.kind = JSON_STRING,
                                 .text = {.data = begin, .len = len},
                                 .content = {.data = begin + 1, .len = len - 2},
                                 .escaped = step.escaped};
}

/* How many more containers may open: at most as many as the stack of bits holds. */
static int depth_left(const struct json_scanner *s)
{
    int left = s->depth_max - s->depth;
    return left < JSON_DEPTH_MAX ? left : JSON_DEPTH_MAX;
}

enum err json_value(struct json_scanner *s, struct json_value *value)
{
    const uint8_t *end = s->end;
    const uint8_t *begin = skip_space(s->at, end);
    s->at = begin;
    if (begin == end) {
        return ERR_JSON;
    }
    enum json_kind kind = *begin == '{' ? JSON_OBJECT : JSON_ARRAY;
    struct step step =
        opens(*begin) ? container_walk(begin, end, depth_left(s)) : scalar_walk(begin, end, &kind);
    s->at = step.at;
    if (step.err != OK) {
        return step.err;
    }
    s->first = false;
    if (kind == JSON_STRING) {
        string_fill(value, begin, step);
    } else {
        *value = (struct json_value){.kind = kind,
                                     .text = {.data = begin, .len = (size_t)(step.at - begin)}};
    }
    return OK;
}

static enum err container_begin(struct json_scanner *s, uint8_t opener)
{
    enum json_kind kind = JSON_NULL;
    enum err err = json_peek(s, &kind);
    if (err != OK) {
        return err;
    }
    if (*s->at != opener) {
        return ERR_WRONG_TYPE;
    }
    CHECK(s->depth >= 0);
    if (s->depth >= s->depth_max) {
        return ERR_DEPTH;
    }
    s->at++;
    s->depth++;
    s->first = true;
    return OK;
}

enum err json_object_begin(struct json_scanner *s)
{
    return container_begin(s, '{');
}

enum err json_array_begin(struct json_scanner *s)
{
    return container_begin(s, '[');
}

/* Between the items of the open container: consumes the comma (there is none before the first), or
 * the closing bracket, and says which. */
static inline enum err item_next(struct json_scanner *s, uint8_t closer, bool *more)
{
    CHECK(s->depth > 0);
    const uint8_t *at = skip_space(s->at, s->end);
    s->at = at;
    if (at == s->end) {
        return ERR_JSON;
    }
    *more = *at != closer;
    if (!*more) {
        s->at = at + 1;
        s->depth--;
    } else if (!s->first) {
        if (*at != ',') {
            return ERR_JSON;
        }
        s->at = at + 1;
    }
    s->first = false;
    return OK;
}

enum err json_object_next(struct json_scanner *s, struct json_value *name, bool *more)
{
    enum err err = item_next(s, '}', more);
    if (err != OK || !*more) {
        return err;
    }
    const uint8_t *begin = skip_space(s->at, s->end);
    s->at = begin;
    if (begin == s->end || *begin != '"') {
        return ERR_JSON;
    }
    struct step step = string_walk(begin, s->end);
    s->at = step.at;
    if (step.err != OK) {
        return step.err;
    }
    string_fill(name, begin, step);
    const uint8_t *colon = skip_space(step.at, s->end);
    s->at = colon;
    if (colon == s->end || *colon != ':') {
        return ERR_JSON;
    }
    s->at = colon + 1;
    return OK;
}

enum err json_array_next(struct json_scanner *s, bool *more)
{
    return item_next(s, ']', more);
}

enum err json_peek(struct json_scanner *s, enum json_kind *kind)
{
    s->at = skip_space(s->at, s->end);
    if (s->at == s->end) {
        return ERR_JSON;
    }
    switch (*s->at) {
    case '"':
        *kind = JSON_STRING;
        return OK;
    case '{':
        *kind = JSON_OBJECT;
        return OK;
    case '[':
        *kind = JSON_ARRAY;
        return OK;
    case 't':
        *kind = JSON_TRUE;
        return OK;
    case 'f':
        *kind = JSON_FALSE;
        return OK;
    case 'n':
        *kind = JSON_NULL;
        return OK;
    default:
        *kind = JSON_NUMBER;
        return *s->at == '-' || is_digit(s->at, s->end) ? OK : ERR_JSON;
    }
}

enum err json_end(struct json_scanner *s)
{
    s->at = skip_space(s->at, s->end);
    return s->at == s->end ? OK : ERR_JSON;
}

enum err json_whole(struct json_scanner *s, struct json_value *value)
{
    enum err err = json_value(s, value);
    return err == OK ? json_end(s) : err;
}
