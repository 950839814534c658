/* WITH ( option = value, ... ) of CREATE METRIC, and of rules, which take one option of them. */
#include "base/check.h"
#include "lang/select.h"

#define OPTION_COUNT   6
#define OPTION_SOURCES 1

static const char *const option_words[] = {
    "retain", "sources", "groups_max", "backfill", "timezone", "fill", NULL};

static bool fail_value(struct parser *p, const char *sentence)
{
    return parser_fail(p, ERR_SQL_MEANING, sentence, p->token.text);
}

/* The current token is this word, bare or in quotes. */
static bool value_is(const struct parser *p, const char *word)
{
    struct token token = p->token;
    if (token.kind == TOKEN_STRING) {
        token.kind = TOKEN_WORD;
        token.text = token.content;
    }
    return token_is_word(&token, word);
}

static bool parse_retain(struct parser *p, struct definition *definition)
{
    struct token at = p->token;
    struct span span;
    if (parser_at_word(p, "INTERVAL") ? !parse_interval(p, &span) : !parse_span_text(p, &span)) {
        return false;
    }
    if (span.us < DEFINITION_RETAIN_MIN_US || span.us > DEFINITION_RETAIN_MAX_US) {
        p->token = at;
        return fail_value(p, "retain is 1 second to 3660 days");
    }
    definition->retain_us = span.us;
    return true;
}

static struct bytes trimmed(struct bytes text)
{
    while (text.len > 0 && text.data[0] == ' ') {
        text = bytes_slice(text, 1, text.len - 1);
    }
    while (text.len > 0 && text.data[text.len - 1] == ' ') {
        text = bytes_slice(text, 0, text.len - 1);
    }
    return text;
}

static bool add_source(struct parser *p, struct bytes source, struct definition *definition)
{
    if (source.len == 0) {
        return fail_value(p, "sources holds an empty name");
    }
    for (int i = 0; i < definition->source_count; i++) {
        if (bytes_equal(definition->sources[i], source)) {
            return parser_fail(p, ERR_SQL_MEANING, "sources names % twice", source);
        }
    }
    if (definition->source_count == DEFINITION_SOURCES_MAX) {
        return parser_fail(p, ERR_LIMIT, "at most 64 sources can be named", source);
    }
    definition->sources[definition->source_count] = source;
    definition->source_count += 1;
    return true;
}

/* '/a, /b': names with commas between. */
static bool parse_sources(struct parser *p, struct definition *definition)
{
    struct bytes list;
    if (p->token.kind != TOKEN_STRING) {
        return parser_expected(p, "the sources' names in quotes: '/a, /b'", NULL);
    }
    if (!parser_unquote(p, &p->token, &list)) {
        return false;
    }
    size_t from = 0;
    for (size_t i = 0; i <= list.len; i++) {
        if (i < list.len && list.data[i] != ',') {
            continue;
        }
        if (!add_source(p, trimmed(bytes_slice(list, from, i - from)), definition)) {
            return false;
        }
        from = i + 1;
    }
    return parser_advance(p);
}

static bool parse_groups_max(struct parser *p, struct definition *definition)
{
    uint32_t groups = 0;
    struct token number = p->token;
    if (number.kind == TOKEN_STRING) {
        number.kind = TOKEN_NUMBER;
        number.text = number.content;
    }
    if (!parser_whole_number(&number, DEFINITION_GROUPS_MAX, &groups) || groups == 0) {
        return fail_value(p, "groups_max is a whole number from 1 to 10000000");
    }
    definition->groups_max = groups;
    return parser_advance(p);
}

static bool parse_backfill(struct parser *p)
{
    if (value_is(p, "true")) {
        (void)fail_value(p, "backfill is not available yet; the metric counts from now on");
        return diagnosis_hint(&p->diagnosis, "leave backfill out", p->token.text);
    }
    return value_is(p, "false") ? parser_advance(p) : fail_value(p, "backfill is true or false");
}

/* An option with one value so far. */
static bool parse_only(struct parser *p, const char *value, const char *sentence)
{
    return value_is(p, value) ? parser_advance(p) : fail_value(p, sentence);
}

static bool parse_value(struct parser *p, size_t option, struct definition *definition)
{
    switch (option) {
    case 0:
        return parse_retain(p, definition);
    case OPTION_SOURCES:
        return parse_sources(p, definition);
    case 2:
        return parse_groups_max(p, definition);
    case 3:
        return parse_backfill(p);
    case 4:
        return parse_only(p, "utc", "time zones other than 'UTC' are not available yet");
    default:
        CHECK(option == OPTION_COUNT - 1);
        return parse_only(p, "none", "fill other than 'none' is not available yet");
    }
}

static bool parse_list(struct parser *p, bool rule, struct definition *definition)
{
    bool seen[OPTION_COUNT] = {false};
    if (!parser_need_word(p, "WITH") || !parser_need_symbol(p, "(")) {
        return false;
    }
    do {
        size_t option = 0;
        while (option < OPTION_COUNT && !parser_at_word(p, option_words[option])) {
            option += 1;
        }
        if (option == OPTION_COUNT) {
            (void)parser_fail(p, ERR_SQL_MEANING, "there is no option %", p->token.text);
            return diagnosis_suggest(&p->diagnosis, p->token.text, option_words);
        }
        if (seen[option]) {
            return parser_fail(p, ERR_SQL, "% is given twice", p->token.text);
        }
        if (rule && option != OPTION_SOURCES) {
            (void)parser_fail(p, ERR_SQL_MEANING, "a rule has no option %", p->token.text);
            return diagnosis_hint(&p->diagnosis, "WITH (sources = '/a, /b')", p->token.text);
        }
        seen[option] = true;
        if (!parser_advance(p) || !parser_need_symbol(p, "=") ||
            !parse_value(p, option, definition)) {
            return false;
        }
    } while (parser_take_symbol(p, ","));
    return parser_need_symbol(p, ")");
}

bool parse_options(struct parser *p, struct definition *definition)
{
    return parse_list(p, false, definition);
}

bool parse_rule_options(struct parser *p, struct definition *definition)
{
    return parse_list(p, true, definition);
}
