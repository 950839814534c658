/* What a SELECT means: its columns, groups and aggregates.
 *
 * Two expressions are the same when their programs are: GROUP BY lower(type) finds the item
 * LOWER( type ). A name in GROUP BY means the item of that name first, then a column of the events.
 *
 * Invariants of the definition that comes out:
 *  1. No two groups and no two aggregates are equal; columns share them by index.
 *  2. Every column that is no aggregate is a group. */
#include "base/check.h"
#include "lang/compile.h"
#include "lang/select.h"

struct check {
    struct compiler compiler;
    struct select *select;
    struct definition *definition;
};

static bool
fail(struct check *check, const struct node *node, const char *sentence, struct bytes detail)
{
    return diagnosis_fail(
        check->compiler.diagnosis, ERR_SQL_MEANING, node->offset, sentence, detail);
}

static bool hint(struct check *check, const char *sentence, struct bytes detail)
{
    return diagnosis_hint(check->compiler.diagnosis, sentence, detail);
}

static struct bytes source_text(const struct check *check, const struct node *node)
{
    return bytes_slice(check->compiler.diagnosis->text, node->offset, node->end - node->offset);
}

static struct bytes last_member(const struct node *data)
{
    struct bytes name = BYTES("data");
    for (const struct node *step = data->first; step != NULL; step = step->next) {
        if (!step->flag) {
            name = step->text;
        }
    }
    return name;
}

/* The name of a column that was given none; empty when it has no natural one. */
static struct bytes natural_name(const struct node *node)
{
    while (node->kind == NODE_CAST) {
        node = node->first;
    }
    switch (node->kind) {
    case NODE_COLUMN:
    case NODE_EXTENSION:
    case NODE_WINDOW:
    case NODE_CALL:
    case NODE_COALESCE:
    case NODE_DATE_TRUNC:
    case NODE_AGGREGATE:
        return node->text;
    case NODE_DATA:
        return last_member(node);
    case NODE_CONSTANT:
    case NODE_STEP:
    case NODE_CHAIN:
    case NODE_TERM:
    case NODE_UNARY:
    case NODE_COMPARE:
    case NODE_IN:
    case NODE_BETWEEN:
    case NODE_LIKE:
    case NODE_CASE:
    case NODE_WHEN:
    case NODE_ELSE:
    case NODE_CAST:
    case NODE_ITEM:
        break;
    }
    return (struct bytes){.data = NULL};
}

static bool is_reserved(struct bytes name)
{
    static const char *const reserved[] = {"from",
                                           "to",
                                           "window",
                                           "order_by",
                                           "limit",
                                           "cursor",
                                           "final",
                                           "min_as_of",
                                           "window_start",
                                           "window_end",
                                           "closed",
                                           "revision",
                                           NULL};
    for (const char *const *word = reserved; *word != NULL; word++) {
        if (bytes_equal(name, bytes_of_string(*word))) {
            return true;
        }
    }
    return false;
}

static bool has_control_character(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < ' ' || name.data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool name_valid(struct check *check, const struct node *item)
{
    struct node at = {.offset = item->flag ? item->number : item->offset};
    if (item->text.len == 0) {
        (void)fail(check, &at, "this column needs a name", item->text);
        return hint(check, "% AS name", source_text(check, item->first));
    }
    if (is_reserved(item->text)) {
        (void)fail(
            check, &at, "% can't be the name of a column, it has a meaning of its own", item->text);
        return hint(check, "give it another name with AS", item->text);
    }
    if (item->text.len > DEFINITION_NAME_MAX) {
        return fail(check, &at, "a column's name has at most 64 bytes", item->text);
    }
    if (has_control_character(item->text)) {
        return fail(check, &at, "a column's name has no control characters", item->text);
    }
    for (const struct node *other = check->select->items; other != item; other = other->next) {
        if (other->first->kind != NODE_WINDOW && bytes_equal(other->text, item->text)) {
            (void)fail(check, &at, "two columns are named %", item->text);
            return hint(check, "give one another name with AS", item->text);
        }
    }
    return true;
}

/* Gives every item its name, so that the other steps find it. The windows' bounds come with every
 * row, so naming them changes nothing, but they keep their names. */
static bool name_items(struct check *check)
{
    for (struct node *item = check->select->items; item != NULL; item = item->next) {
        bool window = item->first->kind == NODE_WINDOW;
        if (!item->flag) {
            item->text = natural_name(item->first);
        }
        if (window && !bytes_equal(item->text, item->first->text)) {
            return fail(check, item, "% keeps its name", item->first->text);
        }
        if (!window && !name_valid(check, item)) {
            return false;
        }
    }
    return true;
}

/* The item that a name or a position in GROUP BY means, or the expression itself. NULL = refused.
 */
static const struct node *
group_meaning(struct check *check, const struct node *group, const struct node **self)
{
    bool name = group->kind == NODE_COLUMN || (group->kind == NODE_EXTENSION && !group->flag);
    bool position = group->kind == NODE_CONSTANT;
    int128 index = 0;
    *self = NULL;
    for (const struct node *item = check->select->items; item != NULL; item = item->next) {
        index += NANO_PER_UNIT;
        bool hidden = group->kind == NODE_COLUMN && item->first->kind == NODE_AGGREGATE;
        bool meant = (name && !hidden && bytes_equal(item->text, group->text)) ||
                     (position && group->value.kind == VALUE_NUMBER && group->value.nano == index);
        if (meant) {
            *self = item;
            return item->first;
        }
    }
    if (position) {
        (void)fail(check,
                   group,
                   "GROUP BY takes expressions, names, or positions from 1",
                   source_text(check, group));
        return NULL;
    }
    return group;
}

/* The group's index, -1 when there is none of that program. */
static int find_group(const struct definition *definition, struct bytes program)
{
    for (int i = 0; i < definition->group_count; i++) {
        if (bytes_equal(definition->groups[i], program)) {
            return i;
        }
    }
    return -1;
}

static bool add_group(struct check *check, const struct node *group)
{
    struct definition *definition = check->definition;
    struct compiler *compiler = &check->compiler;
    const struct node *expression = group_meaning(check, group, &compiler->self);
    if (expression == NULL) {
        return false;
    }
    if (expression->kind == NODE_WINDOW) {
        return true;
    }
    struct bytes program;
    size_t before = compiler->arena->used;
    compiler->place = "GROUP BY";
    if (!compile_program(compiler, expression, &program)) {
        return false;
    }
    if (find_group(definition, program) >= 0) {
        compiler->arena->used = before;
        return true;
    }
    if (definition->group_count == DEFINITION_COLUMNS_MAX) {
        return diagnosis_fail(compiler->diagnosis,
                              ERR_LIMIT,
                              group->offset,
                              "a metric has at most 32 groups",
                              program);
    }
    definition->groups[definition->group_count] = program;
    definition->group_count += 1;
    return true;
}

/* The items' names mean nothing inside of expressions but in GROUP BY: an attribute that is named
 * like one is refused by the compiler, which is told the items. */
static bool check_groups(struct check *check)
{
    for (const struct node *group = check->select->groups; group != NULL; group = group->next) {
        if (!add_group(check, group)) {
            return false;
        }
    }
    return true;
}

static bool argument_fits(struct check *check, const struct node *aggregate)
{
    enum known known = known_of(aggregate->first);
    bool adds = aggregate->op == AGGREGATE_SUM || aggregate->op == AGGREGATE_AVG;
    bool orders = aggregate->op == AGGREGATE_MIN || aggregate->op == AGGREGATE_MAX;
    if (adds && known != KNOWN_NOTHING && known != KNOWN_NUMBER) {
        return fail(check,
                    aggregate->first,
                    "a number is needed here, but this is %",
                    bytes_of_string(known_name(known)));
    }
    if (orders && known == KNOWN_BOOL) {
        return fail(
            check, aggregate->first, "min and max take numbers, texts and times", aggregate->text);
    }
    return true;
}

static bool same_aggregate(const struct aggregate *a, const struct aggregate *b)
{
    return a->kind == b->kind && bytes_equal(a->argument, b->argument) &&
           bytes_equal(a->filter, b->filter);
}

static bool add_aggregate(struct check *check, const struct node *node, uint8_t *index)
{
    struct definition *definition = check->definition;
    struct compiler *compiler = &check->compiler;
    struct aggregate aggregate = {.kind = (enum aggregate_kind)node->op};
    compiler->place = "another one";
    if (node->first != NULL && (!argument_fits(check, node) ||
                                !compile_program(compiler, node->first, &aggregate.argument))) {
        return false;
    }
    compiler->place = "FILTER";
    if (node->second != NULL && !compile_condition(compiler, node->second, &aggregate.filter)) {
        return false;
    }
    for (uint8_t i = 0; i < definition->aggregate_count; i++) {
        if (same_aggregate(&definition->aggregates[i], &aggregate)) {
            *index = i;
            return true;
        }
    }
    CHECK(definition->aggregate_count < DEFINITION_COLUMNS_MAX); /* no more than columns */
    *index = definition->aggregate_count;
    definition->aggregates[*index] = aggregate;
    definition->aggregate_count += 1;
    return true;
}

static bool find_item_group(struct check *check, const struct node *item, uint8_t *index)
{
    struct compiler *compiler = &check->compiler;
    struct bytes program;
    size_t before = compiler->arena->used;
    compiler->place = "an expression";
    if (!compile_program(compiler, item->first, &program)) {
        return false;
    }
    int group = find_group(check->definition, program);
    compiler->arena->used = before;
    if (group < 0) {
        (void)fail(check,
                   item,
                   "% is neither an aggregate nor in GROUP BY",
                   source_text(check, item->first));
        return hint(check,
                    check->select->groups == NULL ? "add GROUP BY %" : "add % to the GROUP BY",
                    source_text(check, item->first));
    }
    *index = (uint8_t)group;
    return true;
}

static bool add_column(struct check *check, const struct node *item)
{
    struct definition *definition = check->definition;
    struct output_column column = {.name = item->text};
    check->compiler.self = item;
    if (definition->column_count == DEFINITION_COLUMNS_MAX) {
        return diagnosis_fail(check->compiler.diagnosis,
                              ERR_LIMIT,
                              item->offset,
                              "a metric has at most 32 columns",
                              item->text);
    }
    column.is_group = item->first->kind != NODE_AGGREGATE;
    if (column.is_group ? !find_item_group(check, item, &column.index)
                        : !add_aggregate(check, item->first, &column.index)) {
        return false;
    }
    definition->columns[definition->column_count] = column;
    definition->column_count += 1;
    return true;
}

bool check_select(struct diagnosis *diagnosis,
                  struct arena *arena,
                  struct select *select,
                  struct definition *definition)
{
    struct check check = {
        .compiler = {.diagnosis = diagnosis, .arena = arena, .items = select->items},
        .select = select,
        .definition = definition,
    };
    const struct node *first = select->items;
    CHECK(first != NULL);
    if (!name_items(&check) || !check_groups(&check)) {
        return false;
    }
    for (const struct node *item = first; item != NULL; item = item->next) {
        if (item->first->kind != NODE_WINDOW && !add_column(&check, item)) {
            return false;
        }
    }
    if (definition->column_count == 0) {
        (void)fail(&check, first, "the metric has no column of its own", first->text);
        return hint(&check, "add an aggregate: count(*)", first->text);
    }
    check.compiler.self = NULL;
    check.compiler.place = "WHERE";
    return select->filter == NULL ||
           compile_condition(&check.compiler, select->filter, &definition->filter);
}
