/* Which column a name means.
 *
 * A bare name is a built-in column, `data` (with a path), window_start or window_end, or else an
 * extension attribute, which an event may have or not. So a misspelt column would silently be NULL;
 * a bare name one edit away from a built-in column is therefore refused, and such an attribute is
 * written in double quotes: a quoted name always is an attribute. */
#include "lang/names.h"

#include "base/check.h"

const char *const column_words[] = {"id",
                                    "source",
                                    "type",
                                    "subject",
                                    "time",
                                    "arrival_time",
                                    "datacontenttype",
                                    "data",
                                    "window_start",
                                    "window_end",
                                    NULL};

/* A name as short as "id" has too many honest neighbours. */
static const char *const long_column_words[] = {
    "source", "type", "subject", "time", "arrival_time", "datacontenttype", "data", NULL};

static const struct {
    const char *word;
    enum program_column column;
} columns[] = {
    {"id", COLUMN_ID},
    {"source", COLUMN_SOURCE},
    {"type", COLUMN_TYPE},
    {"subject", COLUMN_SUBJECT},
    {"time", COLUMN_TIME},
    {"arrival_time", COLUMN_ARRIVAL_TIME},
    {"datacontenttype", COLUMN_CONTENT_TYPE},
};

bool attribute_name_valid(struct bytes name)
{
    if (name.len == 0 || name.len > 20) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) {
            return false;
        }
    }
    return true;
}

static bool is_exactly(struct bytes name, const char *word)
{
    return bytes_equal(name, bytes_of_string(word));
}

static struct node *parse_index(struct parser *p, struct node *step)
{
    CHECK(step != NULL);
    step->flag = true;
    if (!parser_advance(p)) {
        return NULL;
    }
    if (!parser_whole_number(&p->token, UINT32_MAX, &step->number)) {
        (void)parser_expected(p, "an index, counted from 0", NULL);
        if (p->token.kind == TOKEN_STRING) {
            (void)diagnosis_hint(
                &p->diagnosis, "a member is written data.name or data.\"name\"", p->token.text);
        }
        return NULL;
    }
    return parser_advance(p) && parser_need_symbol(p, "]") ? parser_close(p, step) : NULL;
}

static struct node *parse_member(struct parser *p, struct node *step)
{
    CHECK(step != NULL);
    if (!parser_advance(p)) {
        return NULL;
    }
    step->text = p->token.text;
    if (p->token.kind == TOKEN_QUOTED) {
        if (!parser_unquote(p, &p->token, &step->text)) {
            return NULL;
        }
    } else if (p->token.kind != TOKEN_WORD) {
        (void)parser_expected(p, "a member's name", NULL);
        (void)diagnosis_hint(&p->diagnosis,
                             "names with other characters stand in double quotes: data.\"a-b\"",
                             p->token.text);
        return NULL;
    }
    return parser_advance(p) ? parser_close(p, step) : NULL;
}

static struct node *parse_path(struct parser *p)
{
    struct node *data = parser_node(p, NODE_DATA);
    if (data == NULL || !parser_advance(p)) {
        return NULL;
    }
    struct node **tail = &data->first;
    int count = 0;
    while (parser_at_symbol(p, ".") || parser_at_symbol(p, "[")) {
        struct node *step = parser_node(p, NODE_STEP);
        count += 1;
        if (step != NULL && count > PROGRAM_PATH_MAX) {
            (void)parser_fail(p, ERR_LIMIT, "a path has at most 16 steps", p->token.text);
        }
        if (p->failed) {
            return NULL;
        }
        step = parser_at_symbol(p, ".") ? parse_member(p, step) : parse_index(p, step);
        if (step == NULL) {
            return NULL;
        }
        *tail = step;
        tail = &step->next;
    }
    if (!p->failed && p->token.kind == TOKEN_NUMBER && p->token.text.data[0] == '.') {
        (void)parser_expected(p, "a member's name", NULL);
        (void)diagnosis_hint(
            &p->diagnosis, "an item of an array is written data.items[0]", p->token.text);
        return NULL;
    }
    return parser_close(p, data);
}

static struct node *fail_unknown(struct parser *p, struct bytes name)
{
    (void)parser_fail(p, ERR_SQL_MEANING, "there is no column %", name);
    (void)diagnosis_suggest(&p->diagnosis, name, column_words);
    if (p->diagnosis.error->hint[0] == '\0') {
        (void)diagnosis_hint(&p->diagnosis, "members of the event's data: data.%", name);
    }
    return NULL;
}

static struct node *parse_quoted_attribute(struct parser *p, struct node *node)
{
    if (!parser_unquote(p, &p->token, &node->text)) {
        return NULL;
    }
    node->flag = true;
    if (!attribute_name_valid(node->text)) {
        (void)parser_fail(p, ERR_SQL_MEANING, "% can't be an attribute of an event", p->token.text);
        (void)diagnosis_hint(&p->diagnosis, "a text stands in single quotes: '%'", node->text);
        return NULL;
    }
    return parser_advance(p) ? parser_close(p, node) : NULL;
}

static struct node *parse_bare_attribute(struct parser *p, struct node *node)
{
    node->text = p->token.text;
    if (!attribute_name_valid(node->text)) {
        return fail_unknown(p, node->text);
    }
    const char *near = nearest_word(node->text, long_column_words, 1);
    if (near != NULL) {
        (void)parser_fail(p,
                          ERR_SQL_MEANING,
                          "there is no column % (an attribute of that name is written in double "
                          "quotes)",
                          node->text);
        (void)diagnosis_hint(&p->diagnosis, "did you mean %?", bytes_of_string(near));
        return NULL;
    }
    if (!parser_advance(p)) {
        return NULL;
    }
    if (parser_at_symbol(p, ".") || parser_at_symbol(p, "[")) {
        (void)parser_fail(p, ERR_SQL_MEANING, "only data has members, % has none", node->text);
        (void)diagnosis_hint(&p->diagnosis, "members of the event's data: data.%", node->text);
        return NULL;
    }
    return parser_close(p, node);
}

/* A built-in column that is followed by a path. */
static struct node *close_column(struct parser *p, struct node *node, struct bytes name)
{
    if (!parser_advance(p)) {
        return NULL;
    }
    if (parser_at_symbol(p, ".") || parser_at_symbol(p, "[")) {
        (void)parser_fail(p, ERR_SQL_MEANING, "only data has members, % has none", name);
        return NULL;
    }
    return parser_close(p, node);
}

struct node *parse_name(struct parser *p)
{
    struct bytes name = p->token.text;
    if (p->token.kind == TOKEN_WORD && parser_at_reserved(p)) {
        (void)parser_expected(p, "an expression", NULL);
        return NULL;
    }
    if (p->token.kind == TOKEN_WORD && is_exactly(name, "data")) {
        return parse_path(p);
    }
    struct node *node = parser_node(p, NODE_EXTENSION);
    if (node == NULL) {
        return NULL;
    }
    if (p->token.kind == TOKEN_QUOTED) {
        return parse_quoted_attribute(p, node);
    }
    if (is_exactly(name, "window_start") || is_exactly(name, "window_end")) {
        node->kind = NODE_WINDOW;
        node->text = name;
        return close_column(p, node, name);
    }
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        if (is_exactly(name, columns[i].word)) {
            node->kind = NODE_COLUMN;
            node->op = (uint8_t)columns[i].column;
            node->text = name;
            return close_column(p, node, name);
        }
    }
    return parse_bare_attribute(p, node);
}
