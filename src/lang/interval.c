/* Time spans: '5 minutes', '1 hour 30 minutes', 'PT5M', and INTERVAL '5' MINUTE. */
#include "lang/parser.h"

#include "base/check.h"
#include "model/literal.h"
#include "model/number.h"

#define SPAN_MAX_US     (36600 * US_PER_DAY)
#define WEEK_US         (7 * US_PER_DAY)
#define NO_FIXED_LENGTH (-1)

static const struct {
    const char *word;
    int64_t us; /* NO_FIXED_LENGTH: a unit of the calendar */
} units[] = {
    {"microsecond", 1},         {"us", 1},
    {"millisecond", 1000},      {"ms", 1000},
    {"second", US_PER_SECOND},  {"sec", US_PER_SECOND},
    {"s", US_PER_SECOND},       {"minute", US_PER_MINUTE},
    {"min", US_PER_MINUTE},     {"m", US_PER_MINUTE},
    {"hour", US_PER_HOUR},      {"h", US_PER_HOUR},
    {"day", US_PER_DAY},        {"d", US_PER_DAY},
    {"week", WEEK_US},          {"w", WEEK_US},
    {"month", NO_FIXED_LENGTH}, {"quarter", NO_FIXED_LENGTH},
    {"year", NO_FIXED_LENGTH},
};

static const char *const unit_words[] = {"microseconds",
                                         "milliseconds",
                                         "seconds",
                                         "minutes",
                                         "hours",
                                         "days",
                                         "weeks",
                                         "second",
                                         "minute",
                                         "hour",
                                         "day",
                                         "week",
                                         NULL};

/* The unit's length, 0 when the word is none. An s at the end is optional. */
static int64_t unit_us(struct bytes word)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct token token = {.kind = TOKEN_WORD, .text = word};
        if (token_is_word(&token, units[i].word)) {
            return units[i].us;
        }
        bool plural = word.len > 3 && (word.data[word.len - 1] | 0x20) == 's';
        token.text.len -= plural ? 1 : 0;
        if (plural && token_is_word(&token, units[i].word)) {
            return units[i].us;
        }
    }
    return 0;
}

static bool fail_unit(struct parser *p, int64_t us, struct bytes word)
{
    if (us == NO_FIXED_LENGTH) {
        return parser_fail(
            p, ERR_SQL_MEANING, "intervals of months and years are not available yet", word);
    }
    (void)parser_fail(p, ERR_SQL, "% is no unit of time", word);
    return diagnosis_suggest(&p->diagnosis, word, unit_words);
}

/* Adds count * unit to the span. */
static bool add_part(struct parser *p, struct value count, struct bytes unit, struct span *span)
{
    int64_t us = unit_us(unit);
    if (us <= 0) {
        return fail_unit(p, us, unit);
    }
    struct value product = number_multiply(count, value_of_nano(us * (int128)NANO_PER_UNIT));
    if (product.kind != VALUE_NUMBER || product.nano % NANO_PER_UNIT != 0 || product.nano < 0) {
        return parser_fail(
            p, ERR_SQL_MEANING, "an interval is a whole number of microseconds", unit);
    }
    int128 sum = product.nano / NANO_PER_UNIT + span->us;
    if (sum > (int128)SPAN_MAX_US) {
        return parser_fail(p, ERR_SQL_MEANING, "this interval is too long", unit);
    }
    span->us = (int64_t)sum;
    span->weeks = span->weeks && us == WEEK_US;
    return true;
}

static bool is_number_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+';
}

static void skip_spaces(struct bytes *rest)
{
    while (rest->len > 0 && rest->data[0] == ' ') {
        *rest = bytes_slice(*rest, 1, rest->len - 1);
    }
}

/* Cuts the digits (or what is none) off the front, and the spaces behind. */
static struct bytes cut(struct bytes *rest, bool numbers)
{
    size_t len = 0;
    while (len < rest->len && rest->data[len] != ' ' &&
           is_number_byte(rest->data[len]) == numbers) {
        len += 1;
    }
    struct bytes part = bytes_slice(*rest, 0, len);
    *rest = bytes_slice(*rest, len, rest->len - len);
    skip_spaces(rest);
    return part;
}

static bool span_of(struct parser *p, struct bytes text, struct span *span)
{
    static const char advice[] = "write it like '5 minutes', '1 hour 30 minutes' or 'PT5M'";
    *span = (struct span){.weeks = true};
    if (text.len > 0 && (text.data[0] | 0x20) == 'p') {
        span->weeks = (text.data[text.len - 1] | 0x20) == 'w';
        if (duration_parse(text, &span->us) == OK) {
            return true;
        }
        (void)parser_fail(p, ERR_SQL, "% is not a duration of fixed length", text);
        return diagnosis_hint(&p->diagnosis, advice, text);
    }
    struct bytes rest = text;
    skip_spaces(&rest);
    bool any = false;
    while (rest.len > 0) {
        struct value count;
        struct bytes digits = cut(&rest, true);
        struct bytes unit = cut(&rest, false);
        if (!literal_number(digits, &count) || unit.len == 0) {
            break;
        }
        if (!add_part(p, count, unit, span)) {
            return false;
        }
        any = rest.len == 0;
    }
    if (!any) {
        (void)parser_fail(p, ERR_SQL, "% is not an interval", text);
        return diagnosis_hint(&p->diagnosis, advice, text);
    }
    return true;
}

bool parse_span_text(struct parser *p, struct span *span)
{
    struct bytes text;
    if (p->failed) {
        return false;
    }
    if (p->token.kind != TOKEN_STRING) {
        (void)parser_expected(p, "an interval in quotes", NULL);
        return diagnosis_hint(&p->diagnosis, "write it like '5 minutes'", p->token.text);
    }
    return parser_unquote(p, &p->token, &text) && span_of(p, text, span) && parser_advance(p);
}

/* '5' with the unit as a word behind it. */
static bool parse_bare_count(struct parser *p, struct span *span)
{
    struct value count;
    bool is_count = literal_number(p->token.content, &count);
    CHECK(is_count);
    *span = (struct span){.weeks = true};
    if (!parser_advance(p)) {
        return false;
    }
    return add_part(p, count, p->token.text, span) && parser_advance(p);
}

bool parse_interval(struct parser *p, struct span *span)
{
    struct value count;
    if (!parser_need_word(p, "INTERVAL")) {
        return false;
    }
    bool bare = p->token.kind == TOKEN_STRING && literal_number(p->token.content, &count);
    if (bare && p->next.kind == TOKEN_WORD) {
        return parse_bare_count(p, span);
    }
    return parse_span_text(p, span);
}
