/* Is a program from outside safe to run?
 *
 * One walk over the ops, keeping the depth of the stack. A jump notes its target and the depth that
 * it arrives with; when the walk comes to that place, the depth it has there must be the same. So
 * every op has one depth, whichever way evaluation took.
 *
 * Invariants:
 *  1. Every op's operands lie inside the program; every jump lands on an op's first byte, or on the
 *     end.
 *  2. At each op the stack holds at least what it takes, and at most PROGRAM_STACK_MAX afterwards.
 *  3. At the end exactly one value is left and no target is open.
 *  4. Behind an OP_JUMP comes a target: there is no code that nothing reaches. */
#include "model/program.h"

#include "base/json.h"
#include "model/number.h"

/* Jump targets ahead. There are few at any one place: each open CASE, AND, OR, IN, COALESCE has at
 * most two. */
struct target {
    const uint8_t *at;
    int depth;
};

struct walk {
    struct reader in;
    int depth;
    bool dead; /* the last op was OP_JUMP */
    int target_count;
    struct target targets[PROGRAM_TARGETS_MAX];
};

bool program_function_arguments(uint8_t function, int *arguments_min, int *arguments_max)
{
    static const struct {
        uint8_t min;
        uint8_t max;
    } arguments[] = {
        [FUNCTION_LOWER] = {1, 1},
        [FUNCTION_UPPER] = {1, 1},
        [FUNCTION_LENGTH] = {1, 1},
        [FUNCTION_SUBSTR] = {2, 3},
        [FUNCTION_ABS] = {1, 1},
        [FUNCTION_ROUND] = {1, 2},
        [FUNCTION_FLOOR] = {1, 1},
        [FUNCTION_CEIL] = {1, 1},
        [FUNCTION_GEO_DISTANCE] = {4, 4},
        [FUNCTION_GEO_WITHIN_BOX] = {6, 6},
        [FUNCTION_GEOHASH] = {2, 3},
    };
    if (function == 0 || function >= sizeof(arguments) / sizeof(arguments[0])) {
        return false;
    }
    *arguments_min = arguments[function].min;
    *arguments_max = arguments[function].max;
    return true;
}

/* Takes and leaves; false when there is not so much or no room. */
static bool move(struct walk *walk, int takes, int leaves)
{
    if (walk->depth < takes) {
        return false;
    }
    walk->depth += leaves - takes;
    return walk->depth <= PROGRAM_STACK_MAX;
}

static bool jump_valid(struct walk *walk, int depth_there)
{
    uint16_t distance = read_u16(&walk->in);
    if (walk->in.bad || depth_there < 0 || distance > reader_left(&walk->in)) {
        return false;
    }
    const uint8_t *at = walk->in.at + distance;
    for (int i = 0; i < walk->target_count; i++) {
        if (walk->targets[i].at == at) {
            return walk->targets[i].depth == depth_there;
        }
    }
    if (walk->target_count == PROGRAM_TARGETS_MAX) {
        return false;
    }
    walk->targets[walk->target_count] = (struct target){.at = at, .depth = depth_there};
    walk->target_count += 1;
    return true;
}

/* Closes the target at this place, if there is one, and refuses one that the walk stepped over. */
static bool arrive(struct walk *walk)
{
    for (int i = 0; i < walk->target_count; i++) {
        if (walk->targets[i].at < walk->in.at) {
            return false;
        }
    }
    for (int i = 0; i < walk->target_count; i++) {
        if (walk->targets[i].at == walk->in.at) {
            bool same = walk->dead || walk->targets[i].depth == walk->depth;
            walk->depth = walk->targets[i].depth;
            walk->dead = false;
            walk->target_count -= 1;
            walk->targets[i] = walk->targets[walk->target_count];
            return same;
        }
    }
    return !walk->dead;
}

static bool path_valid(struct walk *walk)
{
    uint8_t steps = read_u8(&walk->in);
    if (steps > PROGRAM_PATH_MAX) {
        return false;
    }
    for (int i = 0; i < steps; i++) {
        uint8_t kind = read_u8(&walk->in);
        if (kind == 1) {
            (void)read_bytes(&walk->in, read_u16(&walk->in));
        } else if (kind == 2) {
            (void)read_u32(&walk->in);
        } else {
            return false;
        }
    }
    return move(walk, 0, 1);
}

static bool text_valid(struct walk *walk)
{
    struct bytes text = read_bytes(&walk->in, read_u16(&walk->in));
    return !walk->in.bad && utf8_valid(text) && move(walk, 0, 1);
}

static bool constant_valid(struct walk *walk, uint8_t op)
{
    int128 nano;
    switch (op) {
    case OP_NULL:
    case OP_TRUE:
    case OP_FALSE:
        return move(walk, 0, 1);
    case OP_NUMBER:
        nano = read_i128(&walk->in);
        return nano >= -NUMBER_NANO_MAX && nano <= NUMBER_NANO_MAX && move(walk, 0, 1);
    case OP_DOUBLE:
        return value_of_real(read_f64(&walk->in)).kind == VALUE_DOUBLE && move(walk, 0, 1);
    case OP_TEXT:
        return text_valid(walk);
    case OP_TIME:
        (void)read_i64(&walk->in);
        return move(walk, 0, 1);
    default:
        return false;
    }
}

static bool source_valid(struct walk *walk, uint8_t op)
{
    uint8_t column;
    switch (op) {
    case OP_COLUMN:
        column = read_u8(&walk->in);
        return column >= COLUMN_ID && column <= COLUMN_ARRIVAL_TIME && move(walk, 0, 1);
    case OP_EXTENSION:
        (void)read_bytes(&walk->in, read_u8(&walk->in));
        return move(walk, 0, 1);
    case OP_DATA:
        return path_valid(walk);
    case OP_COLUMN_EQUALS:
        column = read_u8(&walk->in);
        return column >= COLUMN_ID && column <= COLUMN_CONTENT_TYPE && text_valid(walk);
    default:
        return false;
    }
}

static bool unary_valid(struct walk *walk, uint8_t op)
{
    uint8_t operand;
    switch (op) {
    case OP_CAST:
        operand = read_u8(&walk->in);
        return operand >= TYPE_BIGINT && operand <= TYPE_TIMESTAMP && move(walk, 1, 1);
    case OP_DATE_TRUNC:
        operand = read_u8(&walk->in);
        return operand >= UNIT_MILLISECOND && operand <= UNIT_YEAR && move(walk, 1, 1);
    default:
        return op <= OP_IS_NOT_NULL && move(walk, 1, 1);
    }
}

static bool binary_valid(struct walk *walk, uint8_t op)
{
    if (op == OP_LIKE) {
        uint32_t escape = read_u32(&walk->in);
        if (escape > 0x10ffff || (escape >= 0xd800 && escape <= 0xdfff)) {
            return false;
        }
    }
    return op <= OP_LIKE && move(walk, 2, 1);
}

static bool call_valid(struct walk *walk)
{
    uint8_t function = read_u8(&walk->in);
    uint8_t count = read_u8(&walk->in);
    int min;
    int max;
    return program_function_arguments(function, &min, &max) && count >= min && count <= max &&
           move(walk, count, 1);
}

static bool other_valid(struct walk *walk, uint8_t op)
{
    switch (op) {
    case OP_BETWEEN:
        return move(walk, 3, 1);
    case OP_CALL:
        return call_valid(walk);
    case OP_DUP:
        return move(walk, 1, 2);
    case OP_POP:
        return move(walk, 1, 0);
    case OP_JUMP:
        walk->dead = true;
        return jump_valid(walk, walk->depth);
    case OP_JUMP_UNLESS:
        return move(walk, 1, 0) && jump_valid(walk, walk->depth);
    case OP_JUMP_IF_FALSE:
    case OP_JUMP_IF_TRUE:
    case OP_JUMP_IF_NOT_NULL:
        return move(walk, 1, 1) && jump_valid(walk, walk->depth);
    case OP_IN_NEXT:
        return move(walk, 3, 2) && jump_valid(walk, walk->depth - 1);
    case OP_IN_END:
        return move(walk, 2, 1);
    default:
        return false;
    }
}

/* The ops' numbers are ordered by class, so a range finds the class. */
static bool op_valid(struct walk *walk)
{
    uint8_t op = read_u8(&walk->in);
    bool valid;
    if (op < OP_COLUMN) {
        valid = constant_valid(walk, op);
    } else if (op < OP_NOT) {
        valid = source_valid(walk, op);
    } else if (op < OP_ADD) {
        valid = unary_valid(walk, op);
    } else if (op < OP_BETWEEN) {
        valid = binary_valid(walk, op);
    } else {
        valid = other_valid(walk, op);
    }
    return valid && !walk->in.bad;
}

bool program_valid(struct bytes program)
{
    if (program.len == 0 || program.len > PROGRAM_BYTES_MAX) {
        return false;
    }
    struct walk walk = {.in = reader_of(program)};
    while (reader_left(&walk.in) > 0) {
        if (!arrive(&walk) || !op_valid(&walk)) {
            return false;
        }
    }
    return arrive(&walk) && walk.depth == 1 && walk.target_count == 0;
}
