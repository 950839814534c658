/* Words with parentheses behind them: functions, aggregates, CAST. */
#include "base/check.h"
#include "lang/parser.h"

static const struct {
    const char *word;
    enum program_function function;
} functions[] = {
    {"lower", FUNCTION_LOWER},
    {"upper", FUNCTION_UPPER},
    {"length", FUNCTION_LENGTH},
    {"substr", FUNCTION_SUBSTR},
    {"abs", FUNCTION_ABS},
    {"round", FUNCTION_ROUND},
    {"floor", FUNCTION_FLOOR},
    {"ceil", FUNCTION_CEIL},
    {"geo_distance", FUNCTION_GEO_DISTANCE},
    {"geo_within_box", FUNCTION_GEO_WITHIN_BOX},
    {"geohash", FUNCTION_GEOHASH},
};

static const struct {
    const char *word;
    enum aggregate_kind kind;
} aggregates[] = {
    {"count", AGGREGATE_COUNT},
    {"sum", AGGREGATE_SUM},
    {"min", AGGREGATE_MIN},
    {"max", AGGREGATE_MAX},
    {"avg", AGGREGATE_AVG},
    {"rate", AGGREGATE_RATE},
};

static const char *const call_words[] = {
    "count",          "sum",     "min",    "max",      "avg",        "rate",
    "lower",          "upper",   "length", "substr",   "abs",        "round",
    "floor",          "ceil",    "cast",   "coalesce", "date_trunc", "geo_distance",
    "geo_within_box", "geohash", NULL};

static const char *const not_yet_words[] = {"first",
                                            "last",
                                            "stddev",
                                            "stddev_pop",
                                            "stddev_samp",
                                            "approx_count_distinct",
                                            "approx_percentile",
                                            "approx_top_k",
                                            "collect",
                                            NULL};

static const struct {
    const char *word;
    enum program_unit unit;
} trunc_units[] = {
    {"millisecond", UNIT_MILLISECOND},
    {"second", UNIT_SECOND},
    {"minute", UNIT_MINUTE},
    {"hour", UNIT_HOUR},
    {"day", UNIT_DAY},
    {"week", UNIT_WEEK},
    {"month", UNIT_MONTH},
    {"quarter", UNIT_QUARTER},
    {"year", UNIT_YEAR},
};

static const char *const trunc_words[] = {
    "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year", NULL};

static const struct {
    const char *word;
    enum program_type type;
} types[] = {
    {"bigint", TYPE_BIGINT},
    {"integer", TYPE_BIGINT},
    {"int", TYPE_BIGINT},
    {"double", TYPE_DOUBLE},
    {"text", TYPE_TEXT},
    {"varchar", TYPE_TEXT},
    {"boolean", TYPE_BOOLEAN},
    {"timestamp", TYPE_TIMESTAMP},
};

static const char *const type_words[] = {"BIGINT", "DOUBLE", "TEXT", "BOOLEAN", "TIMESTAMP", NULL};

/* CAST ( expression AS type ) */
static struct node *parse_cast(struct parser *p)
{
    struct node *node = parser_node(p, NODE_CAST);
    if (node == NULL || !parser_advance(p) || !parser_need_symbol(p, "(")) {
        return NULL;
    }
    node->first = parse_expression(p);
    if (!parser_need_word(p, "AS")) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && node->op == 0; i++) {
        node->op = parser_at_word(p, types[i].word) ? (uint8_t)types[i].type : 0;
    }
    if (node->op == 0) {
        (void)parser_expected(p, "BIGINT, DOUBLE, TEXT, BOOLEAN or TIMESTAMP", type_words);
        return NULL;
    }
    bool is_double = node->op == TYPE_DOUBLE;
    if (!parser_advance(p)) {
        return NULL;
    }
    if (is_double) {
        (void)parser_take_word(p, "PRECISION");
    }
    return parser_need_symbol(p, ")") ? parser_close(p, node) : NULL;
}

/* ( a, b, ... ), none allowed as well; the word was consumed. */
static struct node *parse_arguments(struct parser *p, int *count)
{
    struct node *list = NULL;
    struct node **tail = &list;
    *count = 0;
    if (!parser_need_symbol(p, "(") || parser_take_symbol(p, ")")) {
        return NULL;
    }
    do {
        *tail = parse_expression(p);
        if (*tail == NULL) {
            return NULL;
        }
        tail = &(*tail)->next;
        *count += 1;
    } while (parser_take_symbol(p, ","));
    return parser_need_symbol(p, ")") ? list : NULL;
}

static struct node *
fail_at(struct parser *p, const struct node *node, const char *sentence, struct bytes detail)
{
    p->failed = true;
    (void)diagnosis_fail(&p->diagnosis, ERR_SQL_MEANING, node->offset, sentence, detail);
    return NULL;
}

static struct node *
parse_function(struct parser *p, enum program_function function, struct bytes name)
{
    struct node *node = parser_node(p, NODE_CALL);
    struct bytes word = p->token.text;
    int count = 0;
    int min = 0;
    int max = 0;
    if (node == NULL || !parser_advance(p)) {
        return NULL;
    }
    node->op = (uint8_t)function;
    node->text = name;
    node->second = parse_arguments(p, &count);
    if (p->failed) {
        return NULL;
    }
    bool known = program_function_arguments((uint8_t)function, &min, &max);
    CHECK(known);
    if (count >= min && count <= max) {
        return parser_close(p, node);
    }
    static const char *const sentences[] = {
        "% takes one argument",
        "% takes two or three arguments",
        "% takes one or two arguments",
        "% takes 4 arguments: lat1, lon1, lat2, lon2",
        "% takes 6 arguments: lat, lon, south, west, north, east"};
    int sentence = max == 1 ? 0 : max == 3 ? 1 : max == 2 ? 2 : max == 4 ? 3 : 4;
    return fail_at(p, node, sentences[sentence], word);
}

static struct node *parse_coalesce(struct parser *p)
{
    struct node *node = parser_node(p, NODE_COALESCE);
    struct bytes word = p->token.text;
    int count = 0;
    if (node == NULL || !parser_advance(p)) {
        return NULL;
    }
    node->text = BYTES("coalesce");
    node->second = parse_arguments(p, &count);
    if (!p->failed && count == 0) {
        return fail_at(p, node, "% takes at least one argument", word);
    }
    return parser_close(p, node);
}

/* date_trunc('unit', time) */
static struct node *parse_date_trunc(struct parser *p)
{
    struct node *node = parser_node(p, NODE_DATE_TRUNC);
    if (node == NULL || !parser_advance(p) || !parser_need_symbol(p, "(")) {
        return NULL;
    }
    node->text = BYTES("date_trunc");
    struct token unit = p->token;
    unit.kind = TOKEN_WORD;
    unit.text = p->token.content;
    for (size_t i = 0; i < sizeof(trunc_units) / sizeof(trunc_units[0]); i++) {
        if (p->token.kind == TOKEN_STRING && token_is_word(&unit, trunc_units[i].word)) {
            node->op = (uint8_t)trunc_units[i].unit;
        }
    }
    if (node->op == 0) {
        (void)parser_expected(p, "a unit in quotes: 'minute', 'hour', 'day', ...", NULL);
        (void)diagnosis_suggest(&p->diagnosis, unit.text, trunc_words);
        return NULL;
    }
    if (!parser_advance(p) || !parser_need_symbol(p, ",")) {
        return NULL;
    }
    node->first = parse_expression(p);
    return parser_need_symbol(p, ")") ? parser_close(p, node) : NULL;
}

/* FILTER ( WHERE condition ), if it is there. */
static bool parse_filter(struct parser *p, struct node *node)
{
    if (!parser_at_word(p, "FILTER") || !token_is_symbol(&p->next, "(")) {
        return !p->failed;
    }
    if (!parser_advance(p) || !parser_need_symbol(p, "(") || !parser_need_word(p, "WHERE")) {
        return false;
    }
    node->second = parse_expression(p);
    return parser_need_symbol(p, ")");
}

/* What stands in the parentheses: *, nothing, or one expression. */
static bool parse_aggregate_argument(struct parser *p, struct node *node, struct bytes word)
{
    bool rate = node->op == AGGREGATE_RATE;
    if (!rate && parser_at_symbol(p, "*")) {
        if (node->op != AGGREGATE_COUNT) {
            return parser_fail(
                p, ERR_SQL_MEANING, "% needs an expression, only count takes *", word);
        }
        node->op = AGGREGATE_COUNT_ALL;
        return parser_advance(p);
    }
    if (parser_at_word(p, "DISTINCT")) {
        return parser_fail(p, ERR_SQL_MEANING, "DISTINCT is not available yet", word);
    }
    if (rate != parser_at_symbol(p, ")")) {
        (void)parser_fail(
            p, ERR_SQL_MEANING, rate ? "% takes no argument" : "% needs an expression", word);
        return diagnosis_hint(&p->diagnosis,
                              rate ? "rate() FILTER (WHERE ...) takes a part of the events"
                              : node->op == AGGREGATE_COUNT ? "count(*) counts the events"
                                                            : "%(data.value)",
                              word);
    }
    if (rate) {
        return true;
    }
    node->first = parse_expression(p);
    if (parser_at_symbol(p, ",")) {
        return parser_fail(p, ERR_SQL_MEANING, "% takes one argument", word);
    }
    return !p->failed;
}

static struct node *parse_aggregate(struct parser *p, enum aggregate_kind kind, struct bytes name)
{
    struct node *node = parser_node(p, NODE_AGGREGATE);
    struct bytes word = p->token.text;
    if (node == NULL || !parser_advance(p) || !parser_need_symbol(p, "(")) {
        return NULL;
    }
    node->op = (uint8_t)kind;
    node->text = name;
    if (!parse_aggregate_argument(p, node, word) || !parser_need_symbol(p, ")") ||
        !parse_filter(p, node)) {
        return NULL;
    }
    if (parser_at_word(p, "OVER")) {
        (void)parser_fail(
            p, ERR_SQL_MEANING, "window functions (OVER) are not available", p->token.text);
        return NULL;
    }
    return parser_close(p, node);
}

struct node *parse_call(struct parser *p)
{
    for (size_t i = 0; i < sizeof(aggregates) / sizeof(aggregates[0]); i++) {
        if (parser_at_word(p, aggregates[i].word)) {
            return parse_aggregate(p, aggregates[i].kind, bytes_of_string(aggregates[i].word));
        }
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (parser_at_word(p, functions[i].word)) {
            return parse_function(p, functions[i].function, bytes_of_string(functions[i].word));
        }
    }
    if (parser_at_word(p, "cast")) {
        return parse_cast(p);
    }
    if (parser_at_word(p, "coalesce")) {
        return parse_coalesce(p);
    }
    if (parser_at_word(p, "date_trunc")) {
        return parse_date_trunc(p);
    }
    for (const char *const *word = not_yet_words; *word != NULL; word++) {
        if (parser_at_word(p, *word)) {
            (void)parser_fail(p, ERR_SQL_MEANING, "% is not available yet", p->token.text);
            return NULL;
        }
    }
    (void)parser_fail(p, ERR_SQL_MEANING, "there is no function %", p->token.text);
    (void)diagnosis_suggest(&p->diagnosis, p->token.text, call_words);
    return NULL;
}
