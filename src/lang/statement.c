/* Statements: CREATE and DROP of a metric, a timeout or a silence, SHOW, and what is bare: a SELECT,
 * or a rule from AFTER or EXPECT on. */
#include "base/check.h"
#include "base/json.h"
#include "lang/lang.h"
#include "lang/rule.h"
#include "lang/select.h"

static const char *const statement_words[] = {
    "CREATE", "DROP", "SHOW", "SELECT", "ALTER", "EXPLAIN", "AFTER", "EXPECT", NULL};

/* What can be created and dropped. */
static const char *const thing_words[] = {"METRIC", "TIMEOUT", "SILENCE", NULL};

static bool parse_thing_name(struct parser *p, struct statement *statement)
{
    bool rule = (int)statement->rule_kind != 0;
    struct bytes *name = &statement->name;
    *name = p->token.text;
    if (p->token.kind == TOKEN_QUOTED) {
        if (!parser_unquote(p, &p->token, name)) {
            return false;
        }
    } else if (p->token.kind != TOKEN_WORD) {
        return parser_expected(p, rule ? "the rule's name" : "the metric's name", NULL);
    }
    if (!definition_name_valid(*name)) {
        (void)parser_fail(p,
                          ERR_SQL_MEANING,
                          rule ? "% can't be the name of a rule"
                               : "% can't be the name of a metric",
                          *name);
        return diagnosis_hint(
            &p->diagnosis, "a-z, 0-9 and _, not beginning with a digit, at most 64", *name);
    }
    return parser_advance(p);
}

static bool parse_body(struct parser *p, struct statement *statement)
{
    struct select select;
    return parse_select(p, &select, &statement->definition) &&
           check_select(&p->diagnosis, p->arena, &select, &statement->definition);
}

static bool parse_rule_body(struct parser *p, struct statement *statement)
{
    statement->rule.kind = statement->rule_kind;
    return parse_rule(p, &statement->rule);
}

static bool not_yet(struct parser *p, const char *sentence)
{
    return parser_fail(p, ERR_SQL_MEANING, sentence, p->token.text);
}

/* METRIC, TIMEOUT or SILENCE, consumed; of a rule its kind is noted. */
static bool parse_thing(struct parser *p, struct statement *statement)
{
    bool timeout = parser_at_word(p, "TIMEOUT");
    if (timeout || parser_at_word(p, "SILENCE")) {
        statement->rule_kind = timeout ? RULE_TIMEOUT : RULE_SILENCE;
    } else if (!parser_at_word(p, "METRIC")) {
        return parser_expected(p, "METRIC, TIMEOUT or SILENCE", thing_words);
    }
    return parser_advance(p);
}

static bool parse_rule_with(struct parser *p, struct statement *statement)
{
    struct definition *definition = &statement->definition; /* only its sources are set */
    if (!parse_rule_options(p, definition)) {
        return false;
    }
    statement->rule.source_count = definition->source_count;
    memcpy(statement->rule.sources, definition->sources, sizeof(definition->sources));
    return true;
}

static bool parse_create(struct parser *p, struct statement *statement)
{
    if (!parser_need_word(p, "CREATE")) {
        return false;
    }
    if (parser_at_word(p, "OR")) {
        (void)not_yet(p, "CREATE OR REPLACE is not available");
        return diagnosis_hint(
            &p->diagnosis, "DROP METRIC first, or CREATE METRIC IF NOT EXISTS", p->token.text);
    }
    if (!parse_thing(p, statement)) {
        return false;
    }
    bool rule = (int)statement->rule_kind != 0;
    statement->kind = rule ? STATEMENT_CREATE_RULE : STATEMENT_CREATE_METRIC;
    if (parser_at_word(p, "IF") && token_is_word(&p->next, "NOT")) {
        statement->if_not_exists = true;
        if (!parser_advance_two(p) || !parser_need_word(p, "EXISTS")) {
            return false;
        }
    }
    if (!parse_thing_name(p, statement)) {
        return false;
    }
    bool with = parser_at_word(p, "WITH");
    if (with &&
        !(rule ? parse_rule_with(p, statement) : parse_options(p, &statement->definition))) {
        return false;
    }
    return parser_need_word(p, "AS") &&
           (rule ? parse_rule_body(p, statement) : parse_body(p, statement));
}

static bool parse_drop(struct parser *p, struct statement *statement)
{
    if (!parser_need_word(p, "DROP") || !parse_thing(p, statement)) {
        return false;
    }
    bool rule = (int)statement->rule_kind != 0;
    statement->kind = rule ? STATEMENT_DROP_RULE : STATEMENT_DROP_METRIC;
    if (parser_at_word(p, "IF") && token_is_word(&p->next, "EXISTS")) {
        statement->if_exists = true;
        if (!parser_advance_two(p)) {
            return false;
        }
    }
    return parse_thing_name(p, statement);
}

/* TIMEOUTS, SILENCES or RULES. */
static bool parse_show_rules(struct parser *p, struct statement *statement)
{
    statement->kind = STATEMENT_SHOW_RULES;
    if (parser_at_word(p, "TIMEOUTS")) {
        statement->rule_kind = RULE_TIMEOUT;
    } else if (parser_at_word(p, "SILENCES")) {
        statement->rule_kind = RULE_SILENCE;
    }
    return parser_advance(p);
}

static bool parse_show(struct parser *p, struct statement *statement)
{
    static const char *const words[] = {"METRICS", "METRIC", "TIMEOUTS", "SILENCES", "RULES", NULL};
    statement->kind = STATEMENT_SHOW_METRICS;
    if (!parser_need_word(p, "SHOW")) {
        return false;
    }
    if (parser_at_word(p, "HOT")) {
        return not_yet(p, "SHOW HOT KEYS is not available yet");
    }
    for (size_t i = 2; words[i] != NULL; i++) {
        if (parser_at_word(p, words[i])) {
            return parse_show_rules(p, statement);
        }
    }
    if (parser_take_word(p, "METRICS")) {
        return true;
    }
    if (!p->failed && !parser_at_word(p, "METRIC")) {
        return parser_expected(p, "METRICS, METRIC, TIMEOUTS, SILENCES or RULES", words);
    }
    statement->kind = STATEMENT_SHOW_METRIC;
    return parser_need_word(p, "METRIC") && parse_thing_name(p, statement);
}

static bool parse_statement(struct parser *p, struct statement *statement)
{
    if (parser_at_word(p, "CREATE")) {
        return parse_create(p, statement);
    }
    if (parser_at_word(p, "DROP")) {
        return parse_drop(p, statement);
    }
    if (parser_at_word(p, "SHOW")) {
        return parse_show(p, statement);
    }
    if (parser_at_word(p, "SELECT")) {
        statement->kind = STATEMENT_SELECT;
        return parse_body(p, statement);
    }
    if (parser_at_word(p, "AFTER") || parser_at_word(p, "EXPECT")) {
        statement->kind = STATEMENT_RULE;
        statement->rule_kind = parser_at_word(p, "AFTER") ? RULE_TIMEOUT : RULE_SILENCE;
        return parse_rule_body(p, statement);
    }
    if (parser_at_word(p, "ALTER") || parser_at_word(p, "EXPLAIN")) {
        return not_yet(p, "% is not available yet");
    }
    return parser_expected(p, "a statement: CREATE, DROP, SHOW or SELECT", statement_words);
}

static bool parse_end(struct parser *p)
{
    if (!parser_take_symbol(p, ";") && p->failed) {
        return false;
    }
    if (p->token.kind != TOKEN_END) {
        return parser_expected(p, "the end of the statement", NULL);
    }
    return true;
}

/* How many windows may be kept at once: that many that it is a mistake, or worse, are refused. Where
 * nothing was said of `retain`, small windows go sooner. */
static bool windows_fit(struct parser *p, struct definition *definition)
{
    bool small = definition->window_us < DEFINITION_RETAIN_MAX_US / DEFINITION_WINDOWS_MAX;
    int64_t reach_us =
        small ? definition->window_us * DEFINITION_WINDOWS_MAX : DEFINITION_RETAIN_MAX_US;
    if (definition->retain_us == 0) {
        definition->retain_us =
            reach_us < DEFINITION_RETAIN_DEFAULT_US ? reach_us : DEFINITION_RETAIN_DEFAULT_US;
    }
    if (definition->retain_us > reach_us) {
        (void)parser_fail(p,
                          ERR_LIMIT,
                          "retain would keep more than 1.5 million windows",
                          (struct bytes){.data = NULL});
        return diagnosis_hint(
            &p->diagnosis, "choose larger windows, or a shorter retain", (struct bytes){0});
    }
    if (definition->lateness_us > reach_us) {
        return parser_fail(p,
                           ERR_LIMIT,
                           "ALLOW LATENESS would keep more than 1.5 million windows",
                           (struct bytes){.data = NULL});
    }
    return true;
}

#define LONGEST_NAME BYTES("the_longest_name_that_a_caller_may_set_later_has_as_many_letters")

static bool rule_complete(struct parser *p, struct statement *statement)
{
    struct rule *rule = &statement->rule;
    rule->text = p->diagnosis.text;
    rule->name = statement->kind == STATEMENT_RULE ? LONGEST_NAME : statement->name;
    if (!rule_valid(rule)) {
        return parser_fail(p, ERR_LIMIT, "the rule is larger than 64 KiB", rule->text);
    }
    rule->name = statement->name;
    return true;
}

/* The name and the text, and whether all of it fits a record. */
static bool complete(struct parser *p, struct statement *statement)
{
    struct definition *definition = &statement->definition;
    bool bare = statement->kind == STATEMENT_SELECT;
    if (statement->kind == STATEMENT_CREATE_RULE || statement->kind == STATEMENT_RULE) {
        return rule_complete(p, statement);
    }
    if (!bare && statement->kind != STATEMENT_CREATE_METRIC) {
        return true;
    }
    if (!windows_fit(p, definition)) {
        return false;
    }
    definition->text = p->diagnosis.text;
    definition->name = bare ? LONGEST_NAME : statement->name;
    if (!definition_valid(definition)) {
        return parser_fail(p, ERR_LIMIT, "the definition is larger than 64 KiB", definition->text);
    }
    definition->name = statement->name;
    return true;
}

enum err
lang_parse(struct bytes text, struct arena *arena, struct statement *statement, struct error *error)
{
    struct diagnosis early = {.text = text, .error = error};
    memset(statement, 0, sizeof(*statement));
    statement->definition.groups_max = DEFINITION_GROUPS_DEFAULT;
    if (text.len > DEFINITION_TEXT_MAX) {
        (void)diagnosis_fail(&early, ERR_LIMIT, 0, "a statement has at most 16384 bytes", text);
        return error->code;
    }
    struct bytes copy = arena_copy(arena, text);
    if (copy.data == NULL) {
        (void)diagnosis_fail(&early, ERR_LIMIT, 0, "the statement is too long", text);
        return error->code;
    }
    if (!utf8_valid(copy)) {
        (void)diagnosis_fail(
            &early, ERR_UTF8, 0, "the statement is not valid UTF-8", (struct bytes){.data = NULL});
        return error->code;
    }
    struct parser parser;
    bool good = parser_init(&parser, copy, arena, error) && parse_statement(&parser, statement) &&
                parse_end(&parser) && complete(&parser, statement);
    CHECK(good == (error->code == OK));
    return error->code;
}

bool lang_next_statement(struct bytes *script, struct bytes *statement)
{
    struct lexer lexer = {.text = *script};
    struct token token = lexer_next(&lexer);
    while (token_is_symbol(&token, ";")) {
        token = lexer_next(&lexer);
    }
    size_t from = token.offset;
    if (token.kind == TOKEN_END) {
        *script = bytes_slice(*script, script->len, 0);
        return false;
    }
    while (token.kind != TOKEN_END && token.kind != TOKEN_BAD && !token_is_symbol(&token, ";")) {
        token = lexer_next(&lexer);
    }
    bool cut = token_is_symbol(&token, ";");
    size_t end = cut ? token.offset : script->len;
    size_t next = cut ? token.offset + 1 : script->len;
    *statement = bytes_slice(*script, from, end - from);
    *script = bytes_slice(*script, next, script->len - next);
    return true;
}
