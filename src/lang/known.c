/* What kind of value an expression gives, as far as its text says.
 *
 * Members of data and attributes can be anything. NULL fits everywhere. */
#include "lang/compile.h"

#include "base/check.h"

const char *known_name(enum known known)
{
    switch (known) {
    case KNOWN_NOTHING:
        return "unknown";
    case KNOWN_BOOL:
        return "a condition";
    case KNOWN_NUMBER:
        return "a number";
    case KNOWN_TEXT:
        return "a text";
    case KNOWN_TIME:
        return "a time";
    }
    return "";
}

static enum known known_constant(const struct node *node)
{
    switch (node->value.kind) {
    case VALUE_NULL:
        return KNOWN_NOTHING;
    case VALUE_BOOL:
        return KNOWN_BOOL;
    case VALUE_NUMBER:
    case VALUE_DOUBLE:
        return KNOWN_NUMBER;
    case VALUE_TEXT:
        return KNOWN_TEXT;
    case VALUE_TIME:
        return KNOWN_TIME;
    }
    return KNOWN_NOTHING;
}

/* time + seconds is a time, time - time is seconds; what is unknown could be either. */
static enum known known_sum(enum known left, uint8_t op, enum known right)
{
    bool left_time = left == KNOWN_TIME;
    bool right_time = right == KNOWN_TIME;
    if (left == KNOWN_NOTHING || right == KNOWN_NOTHING) {
        return op == OP_ADD && (left_time || right_time) ? KNOWN_TIME : KNOWN_NOTHING;
    }
    if (left_time && right_time) {
        return op == OP_SUBTRACT ? KNOWN_NUMBER : KNOWN_NOTHING; /* the sum will be refused */
    }
    if (right_time) {
        return op == OP_ADD ? KNOWN_TIME : KNOWN_NOTHING; /* so will the difference */
    }
    return left_time ? KNOWN_TIME : KNOWN_NUMBER;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static enum known known_chain(const struct node *node)
{
    enum known known = known_of(node->first);
    for (const struct node *term = node->second; term != NULL; term = term->next) {
        switch (term->op) {
        case OP_AND:
        case OP_OR:
            return KNOWN_BOOL;
        case OP_CONCAT:
            return KNOWN_TEXT;
        case OP_ADD:
        case OP_SUBTRACT:
            known = known_sum(known, term->op, known_of(term->first));
            break;
        default:
            known = KNOWN_NUMBER;
            break;
        }
    }
    return known;
}

static bool is_null_constant(const struct node *node)
{
    return node->kind == NODE_CONSTANT && node->value.kind == VALUE_NULL;
}

/* What all results have in common. */
struct common {
    enum known known;
    bool any;
    bool mixed;
};

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static void join(struct common *common, const struct node *result)
{
    if (is_null_constant(result)) {
        return;
    }
    enum known known = known_of(result);
    common->mixed = common->mixed || (common->any && known != common->known);
    common->known = known;
    common->any = true;
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
static enum known known_results(const struct node *node)
{
    struct common common = {.known = KNOWN_NOTHING};
    for (const struct node *part = node->second; part != NULL; part = part->next) {
        if (node->kind == NODE_COALESCE) {
            join(&common, part);
        } else {
            join(&common, part->kind == NODE_ELSE ? part->first : part->second);
        }
    }
    return common.mixed ? KNOWN_NOTHING : common.known;
}

static enum known known_call(uint8_t function)
{
    switch (function) {
    case FUNCTION_LOWER:
    case FUNCTION_UPPER:
    case FUNCTION_SUBSTR:
    case FUNCTION_GEOHASH:
        return KNOWN_TEXT;
    case FUNCTION_GEO_WITHIN_BOX:
        return KNOWN_BOOL;
    default:
        return KNOWN_NUMBER;
    }
}

static enum known known_cast(uint8_t type)
{
    switch (type) {
    case TYPE_TEXT:
        return KNOWN_TEXT;
    case TYPE_BOOLEAN:
        return KNOWN_BOOL;
    case TYPE_TIMESTAMP:
        return KNOWN_TIME;
    default:
        return KNOWN_NUMBER;
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): trees are at most AST_DEPTH_MAX deep */
enum known known_of(const struct node *node)
{
    CHECK(node != NULL);
    switch (node->kind) {
    case NODE_CONSTANT:
        return known_constant(node);
    case NODE_COLUMN:
        return node->op == COLUMN_TIME || node->op == COLUMN_ARRIVAL_TIME ? KNOWN_TIME : KNOWN_TEXT;
    case NODE_WINDOW:
    case NODE_DATE_TRUNC:
        return KNOWN_TIME;
    case NODE_CHAIN:
        return known_chain(node);
    case NODE_UNARY:
        return node->op == OP_NEGATE ? KNOWN_NUMBER : KNOWN_BOOL;
    case NODE_COMPARE:
    case NODE_IN:
    case NODE_BETWEEN:
    case NODE_LIKE:
        return KNOWN_BOOL;
    case NODE_CASE:
    case NODE_COALESCE:
        return known_results(node);
    case NODE_CAST:
        return known_cast(node->op);
    case NODE_CALL:
        return known_call(node->op);
    case NODE_EXTENSION:
    case NODE_DATA:
    case NODE_STEP:
    case NODE_TERM:
    case NODE_WHEN:
    case NODE_ELSE:
    case NODE_AGGREGATE:
    case NODE_ITEM:
        return KNOWN_NOTHING;
    }
    return KNOWN_NOTHING;
}
