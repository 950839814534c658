/* SELECT items FROM TUMBLE(...) [WHERE ...] [GROUP BY ...] [ALLOW LATENESS ...] [EMIT ...]
 *
 * What other dialects would write here and this one does not have yet is recognised, so that the
 * answer is not just a syntax error. */
#include "lang/select.h"

#define ORIGIN_OF_WEEKS_US (4 * US_PER_DAY) /* 1970-01-05, the first Monday */

static const char window_advice[] = "FROM TUMBLE(events, time, INTERVAL '5 minutes')";

static const char *const clause_words[] = {"WHERE", "GROUP", "ALLOW", "EMIT", "AND", "OR", NULL};

/* A column's name behind AS, or straight behind the expression. */
static bool parse_alias(struct parser *p, struct node *item)
{
    static const char *const from_words[] = {"FROM", NULL};
    bool as = parser_take_word(p, "AS");
    bool name =
        p->token.kind == TOKEN_QUOTED || (p->token.kind == TOKEN_WORD && !parser_at_reserved(p));
    if (p->failed || (!as && !name)) {
        return !p->failed;
    }
    if (!name) {
        (void)parser_expected(p, "a name", NULL);
        return diagnosis_hint(
            &p->diagnosis, "a keyword as a name stands in double quotes", p->token.text);
    }
    bool near_from =
        p->token.kind == TOKEN_WORD && !as && nearest_word(p->token.text, from_words, 1) != NULL;
    if (near_from) {
        return parser_expected(p, "a comma or FROM", from_words);
    }
    if (p->token.kind == TOKEN_WORD) {
        item->text = p->token.text;
    } else if (!parser_unquote(p, &p->token, &item->text)) {
        return false;
    }
    if (item->text.len == 0) {
        return parser_fail(p, ERR_SQL, "a column's name can't be empty", p->token.text);
    }
    item->number = (uint32_t)p->token.offset;
    item->flag = true;
    return parser_advance(p);
}

static struct node *parse_item(struct parser *p)
{
    struct node *item = parser_node(p, NODE_ITEM);
    if (item == NULL) {
        return NULL;
    }
    if (parser_at_symbol(p, "*")) {
        (void)parser_fail(p, ERR_SQL_MEANING, "SELECT * is not available", p->token.text);
        (void)diagnosis_hint(
            &p->diagnosis, "name the columns: SELECT type, count(*) ...", p->token.text);
        return NULL;
    }
    item->first = parse_expression(p);
    return !p->failed && parse_alias(p, item) ? parser_close(p, item) : NULL;
}

static bool parse_items(struct parser *p, struct select *select)
{
    if (parser_at_word(p, "DISTINCT")) {
        (void)parser_fail(p, ERR_SQL_MEANING, "DISTINCT is not available", p->token.text);
        return diagnosis_hint(&p->diagnosis, "GROUP BY gives each combination once", p->token.text);
    }
    struct node **tail = &select->items;
    do {
        *tail = parse_item(p);
        if (*tail == NULL) {
            return false;
        }
        tail = &(*tail)->next;
    } while (parser_take_symbol(p, ","));
    return !p->failed;
}

/* An interval within [min, max], its limits being told otherwise. */
static bool
parse_interval_within(struct parser *p, struct span *span, int64_t min_us, const char *limits)
{
    struct token at = p->token;
    if (!parse_interval(p, span)) {
        return false;
    }
    if (span->us < min_us || span->us > DEFINITION_WINDOW_MAX_US) {
        p->token = at;
        return parser_fail(p, ERR_SQL_MEANING, limits, at.text);
    }
    return true;
}

static bool parse_window_size(struct parser *p, struct definition *definition)
{
    struct span span;
    if (!parser_at_word(p, "INTERVAL")) {
        (void)parser_expected(p, "the window's size as INTERVAL '...'", NULL);
        return diagnosis_hint(&p->diagnosis, window_advice, p->token.text);
    }
    if (!parse_interval_within(
            p, &span, DEFINITION_WINDOW_MIN_US, "a window is 1 millisecond to 366 days long")) {
        return false;
    }
    if (parser_at_symbol(p, ",")) {
        return parser_fail(
            p, ERR_SQL_MEANING, "a window's offset is not available yet", p->token.text);
    }
    definition->window_us = span.us;
    /* Less than a Monday's distance from 1970 (half a week): the windows meet it all the same. */
    definition->origin_us = span.weeks ? ORIGIN_OF_WEEKS_US % span.us : 0;
    return true;
}

static bool need_name(struct parser *p, const char *word, const char *sentence)
{
    if (!p->failed && !parser_at_word(p, word)) {
        (void)parser_fail(p, ERR_SQL_MEANING, sentence, p->token.text);
        return diagnosis_hint(&p->diagnosis, window_advice, p->token.text);
    }
    return parser_need_word(p, word);
}

/* TUMBLE ( events, time, INTERVAL '...' ), also as TABLE events, DESCRIPTOR(time). */
static bool parse_tumble(struct parser *p, struct definition *definition)
{
    if (!parser_need_word(p, "TUMBLE") || !parser_need_symbol(p, "(")) {
        return false;
    }
    (void)parser_take_word(p, "TABLE");
    if (!need_name(p, "events", "windows are cut from events, not from %") ||
        !parser_need_symbol(p, ",")) {
        return false;
    }
    bool descriptor = parser_take_word(p, "DESCRIPTOR");
    if (descriptor && !parser_need_symbol(p, "(")) {
        return false;
    }
    if (!need_name(p, "time", "windows are cut by time, not by %") ||
        (descriptor && !parser_need_symbol(p, ")"))) {
        return false;
    }
    return parser_need_symbol(p, ",") && parse_window_size(p, definition) &&
           parser_need_symbol(p, ")");
}

static bool parse_from(struct parser *p, struct definition *definition)
{
    static const char *const not_yet[] = {"HOP", "SESSION", "CUMULATE", NULL};
    static const char *const words[] = {"TUMBLE", "TABLE", NULL};
    bool table = parser_at_word(p, "TABLE") && token_is_symbol(&p->next, "(");
    if (table && !parser_advance_two(p)) {
        return false;
    }
    for (const char *const *word = not_yet; *word != NULL; word++) {
        if (parser_at_word(p, *word)) {
            (void)parser_fail(p, ERR_SQL_MEANING, "% windows are not available yet", p->token.text);
            return diagnosis_hint(&p->diagnosis, window_advice, p->token.text);
        }
    }
    if (parser_at_word(p, "TUMBLE")) {
        return parse_tumble(p, definition) && (!table || parser_need_symbol(p, ")"));
    }
    bool bare = parser_at_word(p, "events");
    if (bare) {
        (void)parser_fail(p, ERR_SQL_MEANING, "a metric counts in windows", p->token.text);
    } else {
        (void)parser_expected(p, "TUMBLE(events, time, INTERVAL '...')", words);
    }
    if (p->diagnosis.error->hint[0] == '\0') {
        (void)diagnosis_hint(&p->diagnosis, window_advice, p->token.text);
    }
    return false;
}

static bool parse_groups(struct parser *p, struct select *select)
{
    struct node **tail = &select->groups;
    if (!parser_need_word(p, "GROUP") || !parser_need_word(p, "BY")) {
        return false;
    }
    do {
        *tail = parse_expression(p);
        if (*tail == NULL) {
            return false;
        }
        tail = &(*tail)->next;
    } while (parser_take_symbol(p, ","));
    return !p->failed;
}

static bool parse_lateness(struct parser *p, struct definition *definition)
{
    struct span span;
    if (!parser_need_word(p, "ALLOW") || !parser_need_word(p, "LATENESS") ||
        !parse_interval_within(p, &span, 0, "lateness is at most 366 days")) {
        return false;
    }
    definition->lateness_us = span.us;
    return true;
}

static bool parse_emit(struct parser *p, struct definition *definition)
{
    static const char *const words[] = {"ON", "EVERY", NULL};
    static const char *const on_words[] = {"UPDATE", "WINDOW", NULL};
    struct span span;
    if (!parser_need_word(p, "EMIT")) {
        return false;
    }
    if (parser_take_word(p, "EVERY")) {
        definition->emit = EMIT_EVERY;
        if (!parse_interval_within(p,
                                   &span,
                                   DEFINITION_EMIT_EVERY_MIN_US,
                                   "EMIT EVERY takes 1 millisecond to 366 days")) {
            return false;
        }
        definition->emit_every_us = span.us;
        return true;
    }
    if (!p->failed && !parser_at_word(p, "ON")) {
        return parser_expected(p, "ON UPDATE, ON WINDOW CLOSE or EVERY", words);
    }
    if (!parser_need_word(p, "ON")) {
        return false;
    }
    if (parser_take_word(p, "UPDATE")) {
        definition->emit = EMIT_ON_UPDATE;
        return true;
    }
    if (parser_take_word(p, "WINDOW")) {
        definition->emit = EMIT_ON_WINDOW_CLOSE;
        return parser_need_word(p, "CLOSE");
    }
    return !p->failed && parser_expected(p, "UPDATE or WINDOW CLOSE", on_words);
}

/* What stands behind the clauses that is none. */
static bool fail_clause(struct parser *p)
{
    static const struct {
        const char *word;
        const char *advice;
    } others[] = {
        {"HAVING", "filter when reading the metric's values"},
        {"ORDER", "order when reading: ?order_by=-arrivals"},
        {"LIMIT", "limit when reading: ?limit=10"},
        {"JOIN", "a metric reads one stream: events"},
        {"UNION", "make two metrics"},
    };
    static const char *const late[] = {"WHERE", "GROUP", NULL};
    static const char *const twice[] = {"ALLOW", "EMIT", NULL};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (parser_at_word(p, others[i].word)) {
            (void)parser_fail(p, ERR_SQL_MEANING, "% is not available in a metric", p->token.text);
            return diagnosis_hint(&p->diagnosis, others[i].advice, p->token.text);
        }
    }
    for (const char *const *word = late; *word != NULL; word++) {
        if (parser_at_word(p, *word)) {
            (void)parser_fail(p, ERR_SQL, "% stands here too late", p->token.text);
            return diagnosis_hint(
                &p->diagnosis, "the order is WHERE, GROUP BY, then the rest", p->token.text);
        }
    }
    for (const char *const *word = twice; *word != NULL; word++) {
        if (parser_at_word(p, *word)) {
            return parser_fail(p, ERR_SQL, "% is given twice", p->token.text);
        }
    }
    return parser_expected(p, "WHERE, GROUP BY, ALLOW LATENESS, EMIT or the end", clause_words);
}

/* The clauses behind the groups, in any order, each once. */
static bool parse_tail(struct parser *p, struct definition *definition)
{
    bool lateness = false;
    bool emit = false;
    while (!p->failed && p->token.kind != TOKEN_END && !parser_at_symbol(p, ";")) {
        bool *seen = parser_at_word(p, "ALLOW")  ? &lateness
                     : parser_at_word(p, "EMIT") ? &emit
                                                 : NULL;
        if (seen == NULL || *seen) {
            return fail_clause(p);
        }
        *seen = true;
        if (!(seen == &lateness ? parse_lateness(p, definition) : parse_emit(p, definition))) {
            return false;
        }
    }
    return !p->failed;
}

bool parse_select(struct parser *p, struct select *select, struct definition *definition)
{
    static const char *const from_words[] = {"FROM", NULL};
    *select = (struct select){0};
    if (!parser_need_word(p, "SELECT") || !parse_items(p, select)) {
        return false;
    }
    if (!parser_at_word(p, "FROM")) {
        return parser_expected(p, "a comma or FROM", from_words);
    }
    if (!parser_advance(p) || !parse_from(p, definition)) {
        return false;
    }
    if (parser_take_word(p, "WHERE")) {
        select->filter = parse_expression(p);
    }
    if (!p->failed && parser_at_word(p, "GROUP") && !parse_groups(p, select)) {
        return false;
    }
    return !p->failed && parse_tail(p, definition);
}
