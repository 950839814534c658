/* Trees to byte code (model/program.h), with the checks of kinds that need no event.
 *
 * AND, OR, IN, COALESCE and CASE jump over what no longer matters. A jump's distance is known only
 * at its end; until then its operand links to the operand before it that waits for the same end
 * (0 = none), so that any number of jumps needs no memory of its own.
 *
 * Known kinds that can never fit (type = 5, sum(type)) are refused: such an expression would be
 * NULL for every event, which nobody means. */
#include "lang/compile.h"

#include "base/check.h"
#include "model/geo.h"
#include "model/literal.h"

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile(struct compiler *c, const struct node *node);

static void put_op(struct compiler *c, enum program_op op)
{
    buf_put_u8(&c->out, (uint8_t)op);
}

/* Jumps that wait for one end; holds the place of the last one's operand + 1. */
struct jumps {
    size_t last;
};

static void put_jump(struct compiler *c, enum program_op op, struct jumps *jumps)
{
    put_op(c, op);
    size_t at = c->out.len;
    buf_put_u16(&c->out, (uint16_t)jumps->last);
    if (!c->out.overflow) {
        jumps->last = at + 1;
    }
}

/* The jumps end here. */
static void land(struct compiler *c, struct jumps *jumps)
{
    while (jumps->last != 0 && !c->out.overflow) {
        uint8_t *operand = c->out.data + jumps->last - 1;
        size_t distance = c->out.len - (jumps->last - 1 + 2);
        jumps->last = (size_t)(operand[0] | operand[1] << 8);
        operand[0] = (uint8_t)distance;
        operand[1] = (uint8_t)(distance >> 8);
    }
}

static struct bytes source_text(const struct compiler *c, const struct node *node)
{
    return bytes_slice(c->diagnosis->text, node->offset, node->end - node->offset);
}

static bool
fail(struct compiler *c, const struct node *node, const char *sentence, struct bytes detail)
{
    return diagnosis_fail(c->diagnosis, ERR_SQL_MEANING, node->offset, sentence, detail);
}

/* Refuses an operand that is known to be of another kind. */
static bool require(struct compiler *c, const struct node *node, enum known wanted)
{
    enum known known = known_of(node);
    if (known == KNOWN_NOTHING || known == wanted) {
        return true;
    }
    switch (wanted) {
    case KNOWN_BOOL:
        return fail(c,
                    node,
                    "a condition is needed here, but this is %",
                    bytes_of_string(known_name(known)));
    case KNOWN_NUMBER:
        return fail(
            c, node, "a number is needed here, but this is %", bytes_of_string(known_name(known)));
    case KNOWN_TEXT:
        (void)fail(
            c, node, "a text is needed here, but this is %", bytes_of_string(known_name(known)));
        return diagnosis_hint(c->diagnosis, "CAST(% AS TEXT)", source_text(c, node));
    case KNOWN_TIME:
        return fail(
            c, node, "a time is needed here, but this is %", bytes_of_string(known_name(known)));
    case KNOWN_NOTHING:
        break;
    }
    return true;
}

static bool compile_constant(struct compiler *c, struct value value)
{
    switch (value.kind) {
    case VALUE_NULL:
        put_op(c, OP_NULL);
        return true;
    case VALUE_BOOL:
        put_op(c, value.boolean ? OP_TRUE : OP_FALSE);
        return true;
    case VALUE_NUMBER:
        put_op(c, OP_NUMBER);
        buf_put_i128(&c->out, value.nano);
        return true;
    case VALUE_DOUBLE:
        put_op(c, OP_DOUBLE);
        buf_put_f64(&c->out, value.real);
        return true;
    case VALUE_TEXT:
        put_op(c, OP_TEXT);
        buf_put_u16(&c->out, (uint16_t)value.text.len);
        buf_put_bytes(&c->out, value.text);
        return true;
    case VALUE_TIME:
        put_op(c, OP_TIME);
        buf_put_i64(&c->out, value.time_us);
        return true;
    }
    return true;
}

static bool compile_path(struct compiler *c, const struct node *node)
{
    uint8_t count = 0;
    for (const struct node *step = node->first; step != NULL; step = step->next) {
        count += 1;
    }
    CHECK(count <= PROGRAM_PATH_MAX);
    put_op(c, OP_DATA);
    buf_put_u8(&c->out, count);
    for (const struct node *step = node->first; step != NULL; step = step->next) {
        buf_put_u8(&c->out, step->flag ? 2 : 1);
        if (step->flag) {
            buf_put_u32(&c->out, step->number);
        } else {
            buf_put_u16(&c->out, (uint16_t)step->text.len);
            buf_put_bytes(&c->out, step->text);
        }
    }
    return true;
}

/* A bare attribute with the name of another result column is most likely meant to be that column.
 */
static bool check_alias(struct compiler *c, const struct node *node)
{
    for (const struct node *item = c->items; item != NULL; item = item->next) {
        const struct node *meant = item->first;
        bool same = meant->kind == NODE_EXTENSION && bytes_equal(meant->text, node->text);
        if (item != c->self && !same && bytes_equal(item->text, node->text)) {
            (void)fail(c,
                       node,
                       "% is a column of the result; here stands what an event has (an attribute "
                       "of that name is written in double quotes)",
                       node->text);
            return diagnosis_hint(c->diagnosis, "write %", source_text(c, meant));
        }
    }
    return true;
}

static bool compile_extension(struct compiler *c, const struct node *node)
{
    if (!node->flag && !check_alias(c, node)) {
        return false;
    }
    put_op(c, OP_EXTENSION);
    buf_put_u8(&c->out, (uint8_t)node->text.len);
    buf_put_bytes(&c->out, node->text);
    return true;
}

static bool term_fits(struct compiler *c, enum known left, const struct node *term)
{
    enum known right = known_of(term->first);
    bool moves_time = term->op == OP_ADD || term->op == OP_SUBTRACT;
    if (term->op == OP_AND || term->op == OP_OR) {
        return require(c, term->first, KNOWN_BOOL);
    }
    if (term->op == OP_CONCAT) {
        return true;
    }
    if (!moves_time) {
        return require(c, term->first, KNOWN_NUMBER);
    }
    if (left == KNOWN_TIME && right == KNOWN_TIME && term->op == OP_ADD) {
        (void)fail(c, term->first, "two times can't be added", term->text);
        return diagnosis_hint(
            c->diagnosis, "time + INTERVAL '5 minutes', or time - time", term->text);
    }
    if (left == KNOWN_NUMBER && right == KNOWN_TIME && term->op == OP_SUBTRACT) {
        return fail(c, term->first, "a time can't be subtracted from a number", term->text);
    }
    return right == KNOWN_TIME || require(c, term->first, KNOWN_NUMBER);
}

static bool first_fits(struct compiler *c, const struct node *chain)
{
    uint8_t op = chain->second->op;
    if (op == OP_AND || op == OP_OR) {
        return require(c, chain->first, KNOWN_BOOL);
    }
    bool moves_time = op == OP_ADD || op == OP_SUBTRACT;
    if (op == OP_CONCAT || (moves_time && known_of(chain->first) == KNOWN_TIME)) {
        return true;
    }
    return require(c, chain->first, KNOWN_NUMBER);
}

/* What is known of the chain up to and with this term. */
static enum known known_so_far(enum known left, const struct node *term)
{
    struct node first = {.kind = NODE_CONSTANT};
    first.value.kind = left == KNOWN_TIME     ? VALUE_TIME
                       : left == KNOWN_NUMBER ? VALUE_NUMBER
                                              : VALUE_NULL;
    struct node only = *term;
    only.next = NULL;
    struct node chain = {.kind = NODE_CHAIN, .first = &first, .second = &only};
    return known_of(&chain);
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_chain(struct compiler *c, const struct node *node)
{
    struct jumps decided = {0};
    enum known known = known_of(node->first);
    if (!first_fits(c, node) || !compile(c, node->first)) {
        return false;
    }
    for (const struct node *term = node->second; term != NULL; term = term->next) {
        if (term->op == OP_AND) {
            put_jump(c, OP_JUMP_IF_FALSE, &decided);
        } else if (term->op == OP_OR) {
            put_jump(c, OP_JUMP_IF_TRUE, &decided);
        }
        if (!term_fits(c, known, term) || !compile(c, term->first)) {
            return false;
        }
        put_op(c, (enum program_op)term->op);
        known = known_so_far(known, term);
    }
    land(c, &decided);
    return true;
}

/* A text literal that stands beside a time is read as a time. */
/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_beside(struct compiler *c, const struct node *node, enum known other)
{
    bool literal = node->kind == NODE_CONSTANT && node->value.kind == VALUE_TEXT;
    if (!literal || other != KNOWN_TIME) {
        return compile(c, node);
    }
    int64_t us;
    if (!literal_time(node->value.text, &us)) {
        (void)fail(c, node, "% is not a time", source_text(c, node));
        return diagnosis_hint(
            c->diagnosis, "write it like '2013-01-01T06:00:00Z'", node->value.text);
    }
    return compile_constant(c, value_of_time(us));
}

/* The kinds of both sides can be compared, as far as they are known. */
static bool comparable(struct compiler *c, const struct node *a, const struct node *b)
{
    enum known left = known_of(a);
    enum known right = known_of(b);
    bool literal_left = a->kind == NODE_CONSTANT && left == KNOWN_TEXT && right == KNOWN_TIME;
    bool literal_right = b->kind == NODE_CONSTANT && right == KNOWN_TEXT && left == KNOWN_TIME;
    if (left == KNOWN_NOTHING || right == KNOWN_NOTHING || left == right || literal_left ||
        literal_right) {
        return true;
    }
    uint8_t room[64];
    struct buf both = buf_of(room, sizeof(room));
    buf_put_text(&both, known_name(left));
    buf_put_text(&both, " with ");
    buf_put_text(&both, known_name(right));
    (void)fail(c, b, "this compares %, which is never true", buf_bytes(&both));
    if (right == KNOWN_TEXT && left == KNOWN_NUMBER) {
        return diagnosis_hint(c->diagnosis, "CAST(% AS DOUBLE)", source_text(c, b));
    }
    if (left == KNOWN_TEXT && b->kind == NODE_CONSTANT) {
        return diagnosis_hint(c->diagnosis, "texts stand in single quotes: '%'", source_text(c, b));
    }
    return false;
}

/* column = 'text', the commonest filter, has an op of its own. */
static bool is_column_equals(const struct node *node)
{
    return node->op == OP_EQUAL && node->first->kind == NODE_COLUMN &&
           node->first->op <= COLUMN_CONTENT_TYPE && node->second->kind == NODE_CONSTANT &&
           node->second->value.kind == VALUE_TEXT;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_comparison(struct compiler *c, const struct node *node)
{
    const struct node *a = node->first;
    const struct node *b = node->second;
    if (!comparable(c, a, b)) {
        return false;
    }
    if (is_column_equals(node)) {
        put_op(c, OP_COLUMN_EQUALS);
        buf_put_u8(&c->out, a->op);
        buf_put_u16(&c->out, (uint16_t)b->value.text.len);
        buf_put_bytes(&c->out, b->value.text);
        return true;
    }
    if (!compile_beside(c, a, known_of(b)) || !compile_beside(c, b, known_of(a))) {
        return false;
    }
    put_op(c, (enum program_op)node->op);
    return true;
}

static bool close_negation(struct compiler *c, const struct node *node)
{
    if (node->flag) {
        put_op(c, OP_NOT);
    }
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_in(struct compiler *c, const struct node *node)
{
    struct jumps found = {0};
    if (!compile(c, node->first)) {
        return false;
    }
    put_op(c, OP_FALSE);
    for (const struct node *item = node->second; item != NULL; item = item->next) {
        if (!comparable(c, node->first, item) || !compile_beside(c, item, known_of(node->first))) {
            return false;
        }
        put_jump(c, OP_IN_NEXT, &found);
    }
    put_op(c, OP_IN_END);
    land(c, &found);
    return close_negation(c, node);
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_between(struct compiler *c, const struct node *node)
{
    const struct node *low = node->second;
    const struct node *high = low->next;
    enum known known = known_of(node->first);
    if (!comparable(c, node->first, low) || !comparable(c, node->first, high) ||
        !compile_beside(c, node->first, known_of(low)) || !compile_beside(c, low, known) ||
        !compile_beside(c, high, known)) {
        return false;
    }
    put_op(c, OP_BETWEEN);
    return close_negation(c, node);
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_like(struct compiler *c, const struct node *node)
{
    const struct node *pattern = node->second;
    if (pattern->kind == NODE_CONSTANT && pattern->value.kind == VALUE_TEXT &&
        pattern->value.text.len > PROGRAM_LIKE_MAX) {
        return diagnosis_fail(c->diagnosis,
                              ERR_LIMIT,
                              pattern->offset,
                              "a pattern has at most 256 bytes",
                              pattern->value.text);
    }
    if (!require(c, node->first, KNOWN_TEXT) || !require(c, pattern, KNOWN_TEXT) ||
        !compile(c, node->first) || !compile(c, pattern)) {
        return false;
    }
    put_op(c, OP_LIKE);
    buf_put_u32(&c->out, node->number);
    return close_negation(c, node);
}

/* One WHEN; the value of a simple CASE, if there is one, lies on the stack before and after, but
 * not when the result was chosen. */
/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_when(struct compiler *c,
                         const struct node *node,
                         const struct node *when,
                         struct jumps *end)
{
    struct jumps other = {0};
    bool simple = node->first != NULL;
    if (simple) {
        put_op(c, OP_DUP);
        if (!comparable(c, node->first, when->first) ||
            !compile_beside(c, when->first, known_of(node->first))) {
            return false;
        }
        put_op(c, OP_EQUAL);
    } else if (!require(c, when->first, KNOWN_BOOL) || !compile(c, when->first)) {
        return false;
    }
    put_jump(c, OP_JUMP_UNLESS, &other);
    if (simple) {
        put_op(c, OP_POP);
    }
    if (!compile(c, when->second)) {
        return false;
    }
    put_jump(c, OP_JUMP, end);
    land(c, &other);
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_case(struct compiler *c, const struct node *node)
{
    struct jumps end = {0};
    const struct node *otherwise = NULL;
    if (node->first != NULL && !compile(c, node->first)) {
        return false;
    }
    for (const struct node *when = node->second; when != NULL; when = when->next) {
        if (when->kind == NODE_ELSE) {
            otherwise = when->first;
        } else if (!compile_when(c, node, when, &end)) {
            return false;
        }
    }
    if (node->first != NULL) {
        put_op(c, OP_POP);
    }
    if (otherwise == NULL) {
        put_op(c, OP_NULL);
    } else if (!compile(c, otherwise)) {
        return false;
    }
    land(c, &end);
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_coalesce(struct compiler *c, const struct node *node)
{
    struct jumps found = {0};
    for (const struct node *part = node->second; part != NULL; part = part->next) {
        if (!compile(c, part)) {
            return false;
        }
        if (part->next != NULL) {
            put_jump(c, OP_JUMP_IF_NOT_NULL, &found);
            put_op(c, OP_POP);
        }
    }
    land(c, &found);
    return true;
}

/* A geohash's precision that is written as a number is checked here; others give NULL. */
static bool precision_fits(struct compiler *c, const struct node *node)
{
    bool number = known_of(node) == KNOWN_NUMBER;
    int128 nano = node->value.kind == VALUE_NUMBER ? node->value.nano : 0;
    bool whole = nano % NANO_PER_UNIT == 0;
    bool in_range = nano >= NANO_PER_UNIT && nano <= GEOHASH_CHARACTERS_MAX * (int128)NANO_PER_UNIT;
    if (!number || (whole && in_range)) {
        return true;
    }
    (void)fail(c, node, "a geohash has 1 to 12 characters, not %", source_text(c, node));
    return diagnosis_hint(
        c->diagnosis, "5 makes cells of about 5 km, 9 of about 5 m", source_text(c, node));
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_call(struct compiler *c, const struct node *node)
{
    uint8_t count = 0;
    bool text_first = node->op <= FUNCTION_SUBSTR;
    for (const struct node *part = node->second; part != NULL; part = part->next) {
        enum known wanted = count == 0 && text_first ? KNOWN_TEXT : KNOWN_NUMBER;
        bool precision = node->op == FUNCTION_GEOHASH && count == 2 && part->kind == NODE_CONSTANT;
        if (!require(c, part, wanted) || (precision && !precision_fits(c, part)) ||
            !compile(c, part)) {
            return false;
        }
        count += 1;
    }
    put_op(c, OP_CALL);
    buf_put_u8(&c->out, node->op);
    buf_put_u8(&c->out, count);
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_unary(struct compiler *c, const struct node *node)
{
    bool fits = true;
    if (node->op == OP_NOT) {
        fits = require(c, node->first, KNOWN_BOOL);
    } else if (node->op == OP_NEGATE) {
        fits = require(c, node->first, KNOWN_NUMBER);
    }
    if (!fits || !compile(c, node->first)) {
        return false;
    }
    put_op(c, (enum program_op)node->op);
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_cast(struct compiler *c, const struct node *node)
{
    if (!compile(c, node->first)) {
        return false;
    }
    put_op(c, OP_CAST);
    buf_put_u8(&c->out, node->op);
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile_date_trunc(struct compiler *c, const struct node *node)
{
    bool literal = node->first->kind == NODE_CONSTANT && node->first->value.kind == VALUE_TEXT;
    if ((!literal && !require(c, node->first, KNOWN_TIME)) ||
        !compile_beside(c, node->first, KNOWN_TIME)) {
        return false;
    }
    put_op(c, OP_DATE_TRUNC);
    buf_put_u8(&c->out, node->op);
    return true;
}

static bool fail_window(struct compiler *c, const struct node *node)
{
    if (c->single_event) {
        (void)fail(c, node, "a rule has no windows, so there is no %", node->text);
        return diagnosis_hint(c->diagnosis, "an event's own time is the column time", node->text);
    }
    (void)fail(c, node, "% is a column of the result, it can't be computed with", node->text);
    return diagnosis_hint(c->diagnosis, "an event's own time is the column time", node->text);
}

static bool fail_aggregate(struct compiler *c, const struct node *node)
{
    (void)fail(c, node, "an aggregate can't stand in %", bytes_of_string(c->place));
    if (c->single_event) {
        return diagnosis_hint(
            c->diagnosis, "a rule looks at one event at a time; CREATE METRIC counts", node->text);
    }
    return diagnosis_hint(c->diagnosis,
                          "select % as a column of its own and compute with it when reading",
                          source_text(c, node));
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static bool compile(struct compiler *c, const struct node *node)
{
    switch (node->kind) {
    case NODE_CONSTANT:
        return compile_constant(c, node->value);
    case NODE_COLUMN:
        put_op(c, OP_COLUMN);
        buf_put_u8(&c->out, node->op);
        return true;
    case NODE_EXTENSION:
        return compile_extension(c, node);
    case NODE_DATA:
        return compile_path(c, node);
    case NODE_WINDOW:
        return fail_window(c, node);
    case NODE_CHAIN:
        return compile_chain(c, node);
    case NODE_UNARY:
        return compile_unary(c, node);
    case NODE_COMPARE:
        return compile_comparison(c, node);
    case NODE_IN:
        return compile_in(c, node);
    case NODE_BETWEEN:
        return compile_between(c, node);
    case NODE_LIKE:
        return compile_like(c, node);
    case NODE_CASE:
        return compile_case(c, node);
    case NODE_CAST:
        return compile_cast(c, node);
    case NODE_CALL:
        return compile_call(c, node);
    case NODE_COALESCE:
        return compile_coalesce(c, node);
    case NODE_DATE_TRUNC:
        return compile_date_trunc(c, node);
    case NODE_AGGREGATE:
        return fail_aggregate(c, node);
    case NODE_STEP:
    case NODE_TERM:
    case NODE_WHEN:
    case NODE_ELSE:
    case NODE_ITEM:
        break;
    }
    CHECK(node->kind == NODE_CONSTANT); /* the others are parts, not expressions */
    return false;
}

bool compile_program(struct compiler *c, const struct node *expression, struct bytes *program)
{
    size_t before = c->arena->used;
    uint8_t *memory = arena_alloc(c->arena, PROGRAM_BYTES_MAX);
    if (memory == NULL) {
        return diagnosis_fail(c->diagnosis,
                              ERR_LIMIT,
                              expression->offset,
                              "the statement is too long",
                              source_text(c, expression));
    }
    c->out = buf_of(memory, PROGRAM_BYTES_MAX);
    if (!compile(c, expression)) {
        return false;
    }
    *program = buf_bytes(&c->out);
    if (c->out.overflow) {
        return diagnosis_fail(
            c->diagnosis, ERR_LIMIT, expression->offset, "this expression is too long", *program);
    }
    if (!program_valid(*program)) {
        return diagnosis_fail(c->diagnosis,
                              ERR_LIMIT,
                              expression->offset,
                              "this expression is nested too deep",
                              *program);
    }
    c->arena->used = before; /* give back what was not needed */
    memory = arena_alloc(c->arena, program->len);
    CHECK(memory == program->data);
    return true;
}

bool compile_condition(struct compiler *c, const struct node *expression, struct bytes *program)
{
    enum known known = known_of(expression);
    if (known != KNOWN_NOTHING && known != KNOWN_BOOL) {
        return fail(c,
                    expression,
                    "a condition is needed here, but this is %",
                    bytes_of_string(known_name(known)));
    }
    return compile_program(c, expression, program);
}
