/* LIKE: % stands for any run of characters, _ for one character, all else for itself.
 *
 * Greedy matching: each % first takes nothing; when the rest fails, the LAST % takes one character
 * more. An earlier % never has to give back, since whatever it could take, the later one can. So
 * the cost is at most length(text) * length(pattern), and patterns are at most PROGRAM_LIKE_MAX
 * bytes. A text and a pattern that need more than STEPS_MAX nevertheless give NULL: a megabyte of one
 * letter against a pattern of 256 shall not hold up all other events for a second.
 *
 * Literal characters are compared byte by byte, which in UTF-8 is the same as character by
 * character; only _ and % move by whole characters. */
#include "model/program_parts.h"

#include "base/utf8.h"

#define STEPS_MAX (4u << 20) /* four looks at each byte of the largest event */

enum element_kind {
    ELEMENT_BYTE, /* itself */
    ELEMENT_ONE,  /* _ */
    ELEMENT_RUN,  /* % */
};

struct element {
    enum element_kind kind;
    uint8_t byte;
    size_t len; /* pattern bytes */
};

/* The pattern in order, with the escape as bytes. */
struct like {
    struct bytes text;
    struct bytes pattern;
    uint8_t escape[4];
    size_t escape_len; /* 0 = none */
};

static size_t character_len(struct bytes text, size_t at)
{
    size_t len = utf8_char_len(text.data + at, text.data + text.len);
    return len == 0 ? 1 : len;
}

/* True when the escape stands at this place of the pattern. */
static bool escape_at(const struct like *like, size_t at)
{
    return like->escape_len > 0 && like->pattern.len - at >= like->escape_len &&
           memcmp(like->pattern.data + at, like->escape, like->escape_len) == 0;
}

static struct element element_at(const struct like *like, size_t at)
{
    size_t escape = escape_at(like, at) ? like->escape_len : 0;
    uint8_t byte = like->pattern.data[at + escape];
    struct element element = {.kind = ELEMENT_BYTE, .byte = byte, .len = escape + 1};
    if (escape == 0 && byte == '%') {
        element.kind = ELEMENT_RUN;
    } else if (escape == 0 && byte == '_') {
        element.kind = ELEMENT_ONE;
    }
    return element;
}

/* An escape needs a character behind it. */
static bool pattern_complete(const struct like *like)
{
    for (size_t at = 0; at < like->pattern.len;) {
        if (escape_at(like, at) && at + like->escape_len == like->pattern.len) {
            return false;
        }
        at += element_at(like, at).len;
    }
    return true;
}

/* False with *given_up when it takes too long. */
static bool matches(const struct like *like, bool *given_up)
{
    struct bytes text = like->text;
    size_t in_text = 0;
    size_t in_pattern = 0;
    bool run_seen = false;
    size_t run_pattern = 0; /* behind the last % */
    size_t run_text = 0;    /* where that % ends by now */
    for (uint32_t steps = 0; steps < STEPS_MAX; steps++) {
        struct element element = {.kind = ELEMENT_BYTE};
        bool more = in_pattern < like->pattern.len;
        if (more) {
            element = element_at(like, in_pattern);
        }
        if (more && element.kind == ELEMENT_RUN) {
            in_pattern += element.len;
            run_seen = true;
            run_pattern = in_pattern;
            run_text = in_text;
        } else if (!more && in_text == text.len) {
            return true;
        } else if (more && in_text < text.len && element.kind == ELEMENT_ONE) {
            in_pattern += element.len;
            in_text += character_len(text, in_text);
        } else if (more && in_text < text.len && element.byte == text.data[in_text] &&
                   element.kind == ELEMENT_BYTE) {
            in_pattern += element.len;
            in_text += 1;
        } else if (run_seen && run_text < text.len) {
            run_text += character_len(text, run_text);
            in_text = run_text;
            in_pattern = run_pattern;
        } else {
            return false;
        }
        if (run_seen && run_pattern == like->pattern.len) {
            return true; /* a % at the end takes all that is left */
        }
    }
    *given_up = true;
    return false;
}

struct value like_match(struct bytes text, struct bytes pattern, uint32_t escape)
{
    struct like like = {.text = text, .pattern = pattern};
    if (escape != 0) {
        like.escape_len = utf8_encode(escape, like.escape);
    }
    if (pattern.len > PROGRAM_LIKE_MAX || !pattern_complete(&like)) {
        return value_null();
    }
    bool given_up = false;
    bool found = matches(&like, &given_up);
    return given_up ? value_null() : value_of_bool(found);
}
