/* Runs a program: one loop over its ops, a stack of values.
 *
 * This runs for each event and each metric, so the ops that filters are mostly made of stand in the
 * first switch; the others are found by class. There are no checks of types beforehand: an op that
 * meets a kind it is not made for gives NULL.
 *
 * Invariants, by program_valid:
 *  1. `top` points behind the last value; stack <= top <= stack + PROGRAM_STACK_MAX.
 *  2. `at` only moves forwards and stays within the program. */
#include "model/program_parts.h"

#include "base/check.h"
#include "base/json.h"
#include "model/number.h"

__extension__ typedef unsigned __int128 uint128;

struct machine {
    const uint8_t *at;
    struct value *top;
    const struct value *limit;
    const struct event *event;
    struct program_scratch *scratch;
};

static uint16_t take_u16(struct machine *m)
{
    uint16_t value = (uint16_t)(m->at[0] | m->at[1] << 8);
    m->at += 2;
    return value;
}

static uint32_t take_u32(struct machine *m)
{
    uint32_t low = take_u16(m);
    return low | (uint32_t)take_u16(m) << 16;
}

static uint64_t take_u64(struct machine *m)
{
    uint64_t low = take_u32(m);
    return low | (uint64_t)take_u32(m) << 32;
}

static struct bytes take_text(struct machine *m, size_t len)
{
    struct bytes text = bytes_of(m->at, len);
    m->at += len;
    return text;
}

static inline void push(struct machine *m, struct value value)
{
    CHECK(m->top < m->limit);
    *m->top = value;
    m->top += 1;
}

static inline struct value pop(struct machine *m)
{
    m->top -= 1;
    return *m->top;
}

static bool is_bool(struct value value, bool boolean)
{
    return value.kind == VALUE_BOOL && value.boolean == boolean;
}

/* A column of text; false when the event has none. */
static bool text_column(const struct event *event, uint8_t column, struct bytes *text)
{
    switch (column) {
    case COLUMN_ID:
        *text = event->id;
        return true;
    case COLUMN_SOURCE:
        *text = event->source;
        return true;
    case COLUMN_TYPE:
        *text = event->type;
        return true;
    case COLUMN_SUBJECT:
        *text = event->subject;
        return (event->flags & EVENT_HAS_SUBJECT) != 0;
    default:
        CHECK(column == COLUMN_CONTENT_TYPE);
        *text = event->content_type;
        return (event->flags & EVENT_HAS_CONTENT_TYPE) != 0;
    }
}

static struct value column_value(const struct event *event, uint8_t column)
{
    struct bytes text;
    if (column == COLUMN_TIME) {
        return value_of_time(event->time.us);
    }
    if (column == COLUMN_ARRIVAL_TIME) {
        return value_of_time(event->arrival.us);
    }
    return text_column(event, column, &text) ? value_of_text(text) : value_null();
}

static struct value json_to_value(const struct json_value *json, struct program_scratch *scratch)
{
    struct decimal decimal;
    struct buf room;
    switch (json->kind) {
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        return value_null();
    case JSON_FALSE:
    case JSON_TRUE:
        return value_of_bool(json->kind == JSON_TRUE);
    case JSON_NUMBER:
        if (!decimal_parse(json->text, &decimal)) {
            return value_null();
        }
        return decimal.exact ? value_of_nano(decimal.nano) : value_of_real(decimal.real);
    case JSON_STRING:
        if (!json->escaped) {
            return value_of_text(json->content);
        }
        room = scratch_room(scratch);
        json_unescape(json->content, &room);
        return scratch_keep(scratch, &room);
    }
    return value_null();
}

/* A whole JSON text that is a scalar; false and NULL otherwise. */
static struct value json_text_value(struct bytes text, struct program_scratch *scratch)
{
    struct json_scanner scanner = json_scanner_of(text);
    struct json_value json;
    return json_value(&scanner, &json) == OK ? json_to_value(&json, scratch) : value_null();
}

static struct value extension_value(const struct machine *m, struct bytes name)
{
    if ((m->event->flags & EVENT_HAS_EXTENSIONS) == 0) {
        return value_null();
    }
    struct reader in = reader_of(m->event->extensions);
    while (reader_left(&in) > 0 && !in.bad) {
        struct bytes key = read_string(&in);
        struct bytes text = read_string(&in);
        if (!in.bad && bytes_equal(key, name)) {
            return json_text_value(text, m->scratch);
        }
    }
    return value_null();
}

static struct value data_value(struct machine *m)
{
    struct json_step steps[PROGRAM_PATH_MAX];
    size_t count = *m->at++;
    CHECK(count <= PROGRAM_PATH_MAX);
    for (size_t i = 0; i < count; i++) {
        bool member = *m->at++ == 1;
        steps[i] = (struct json_step){.index = 0};
        if (member) {
            uint16_t len = take_u16(m);
            steps[i].name = take_text(m, len);
        } else {
            steps[i].index = take_u32(m);
        }
    }
    uint8_t flags = m->event->flags;
    if ((flags & EVENT_HAS_DATA) == 0 || (flags & EVENT_DATA_BASE64) != 0) {
        return value_null();
    }
    if (count == 0) {
        return json_text_value(m->event->data, m->scratch);
    }
    struct json_value json;
    bool found = json_find(m->event->data, steps, count, &json);
    return found ? json_to_value(&json, m->scratch) : value_null();
}

/* SQL: an unknown operand leaves AND open unless the other is FALSE, OR unless the other is TRUE. A
 * value that is no boolean counts as unknown. */
static struct value logic_and(struct value a, struct value b)
{
    if (is_bool(a, false) || is_bool(b, false)) {
        return value_of_bool(false);
    }
    return is_bool(a, true) && is_bool(b, true) ? value_of_bool(true) : value_null();
}

static struct value logic_or(struct value a, struct value b)
{
    if (is_bool(a, true) || is_bool(b, true)) {
        return value_of_bool(true);
    }
    return is_bool(a, false) && is_bool(b, false) ? value_of_bool(false) : value_null();
}

static struct value compare(uint8_t op, struct value a, struct value b)
{
    if (a.kind == VALUE_TEXT && b.kind == VALUE_TEXT && op <= OP_NOT_EQUAL) {
        return value_of_bool(bytes_equal(a.text, b.text) == (op == OP_EQUAL));
    }
    bool comparable;
    int order = value_compare(a, b, &comparable);
    if (!comparable) {
        return value_null();
    }
    switch (op) {
    case OP_EQUAL:
        return value_of_bool(order == 0);
    case OP_NOT_EQUAL:
        return value_of_bool(order != 0);
    case OP_LESS:
        return value_of_bool(order < 0);
    case OP_LESS_EQUAL:
        return value_of_bool(order <= 0);
    case OP_GREATER:
        return value_of_bool(order > 0);
    default:
        CHECK(op == OP_GREATER_EQUAL);
        return value_of_bool(order >= 0);
    }
}

/* A time moved by a number of seconds, cut to microseconds. */
static struct value time_moved(struct value time, struct value seconds)
{
    struct number_cut cut;
    if (seconds.kind == VALUE_NUMBER) {
        cut.nano = seconds.nano;
    } else if (seconds.kind != VALUE_DOUBLE || !number_from_double(seconds.real, &cut)) {
        return value_null();
    }
    int128 us = (int128)time.time_us + cut.nano / 1000;
    return us >= TIMESTAMP_MIN_US && us < TIMESTAMP_END_US ? value_of_time((int64_t)us)
                                                           : value_null();
}

static struct value add(struct value a, struct value b)
{
    if (a.kind == VALUE_TIME) {
        return time_moved(a, b);
    }
    return b.kind == VALUE_TIME ? time_moved(b, a) : number_add(a, b);
}

static struct value subtract(struct value a, struct value b)
{
    if (a.kind == VALUE_TIME && b.kind == VALUE_TIME) {
        return value_of_nano(((int128)a.time_us - b.time_us) * 1000);
    }
    return a.kind == VALUE_TIME ? time_moved(a, number_negate(b)) : number_subtract(a, b);
}

static struct value binary(struct machine *m, uint8_t op, struct value a, struct value b)
{
    switch (op) {
    case OP_ADD:
        return add(a, b);
    case OP_SUBTRACT:
        return subtract(a, b);
    case OP_MULTIPLY:
        return number_multiply(a, b);
    case OP_DIVIDE:
        return number_divide(a, b);
    case OP_MODULO:
        return number_modulo(a, b);
    case OP_CONCAT:
        return function_concat(a, b, m->scratch);
    case OP_AND:
        return logic_and(a, b);
    case OP_OR:
        return logic_or(a, b);
    case OP_LIKE: {
        uint32_t escape = take_u32(m);
        return a.kind == VALUE_TEXT && b.kind == VALUE_TEXT ? like_match(a.text, b.text, escape)
                                                            : value_null();
    }
    default:
        return compare(op, a, b);
    }
}

static struct value unary(struct machine *m, uint8_t op, struct value a)
{
    switch (op) {
    case OP_NOT:
        return a.kind == VALUE_BOOL ? value_of_bool(!a.boolean) : value_null();
    case OP_NEGATE:
        return number_negate(a);
    case OP_IS_NULL:
        return value_of_bool(a.kind == VALUE_NULL);
    case OP_IS_NOT_NULL:
        return value_of_bool(a.kind != VALUE_NULL);
    case OP_CAST:
        return function_cast(*m->at++, a, m->scratch);
    default:
        CHECK(op == OP_DATE_TRUNC);
        return function_date_trunc(*m->at++, a);
    }
}

static struct value constant(struct machine *m, uint8_t op)
{
    struct value value = value_null();
    uint64_t bits;
    switch (op) {
    case OP_NULL:
        return value;
    case OP_TRUE:
    case OP_FALSE:
        return value_of_bool(op == OP_TRUE);
    case OP_DOUBLE:
        bits = take_u64(m);
        memcpy(&value.real, &bits, sizeof(bits));
        value.kind = VALUE_DOUBLE;
        return value;
    default:
        CHECK(op == OP_TIME);
        return value_of_time((int64_t)take_u64(m));
    }
}

static void call(struct machine *m)
{
    uint8_t function = *m->at++;
    uint8_t count = *m->at++;
    m->top -= count;
    push(m, function_call(function, m->top, count, m->scratch));
}

static void in_next(struct machine *m)
{
    uint16_t distance = take_u16(m);
    struct value item = pop(m);
    struct value seen = pop(m);
    struct value equal = compare(OP_EQUAL, m->top[-1], item);
    if (is_bool(equal, true)) {
        m->top[-1] = equal;
        m->at += distance;
    } else {
        push(m, logic_or(seen, equal));
    }
}

/* What takes or leaves other numbers of values. */
static void other(struct machine *m, uint8_t op)
{
    struct value a;
    switch (op) {
    case OP_BETWEEN: {
        struct value high = pop(m);
        struct value low = pop(m);
        a = pop(m);
        push(m, logic_and(compare(OP_GREATER_EQUAL, a, low), compare(OP_LESS_EQUAL, a, high)));
        return;
    }
    case OP_CALL:
        call(m);
        return;
    case OP_DUP:
        push(m, m->top[-1]);
        return;
    case OP_POP:
        m->top -= 1;
        return;
    case OP_IN_NEXT:
        in_next(m);
        return;
    default:
        CHECK(op == OP_IN_END);
        a = pop(m);
        m->top[-1] = a;
        return;
    }
}

static void jump(struct machine *m, uint8_t op)
{
    uint16_t distance = take_u16(m);
    bool taken = true;
    if (op == OP_JUMP_UNLESS) {
        taken = !is_bool(pop(m), true);
    } else if (op == OP_JUMP_IF_FALSE) {
        taken = is_bool(m->top[-1], false);
    } else if (op == OP_JUMP_IF_TRUE) {
        taken = is_bool(m->top[-1], true);
    } else if (op == OP_JUMP_IF_NOT_NULL) {
        taken = m->top[-1].kind != VALUE_NULL;
    }
    m->at += taken ? distance : 0;
}

static struct value column_equals(struct machine *m)
{
    uint8_t column = *m->at++;
    uint16_t len = take_u16(m);
    struct bytes wanted = take_text(m, len);
    struct bytes text;
    return text_column(m->event, column, &text) ? value_of_bool(bytes_equal(text, wanted))
                                                : value_null();
}

static struct value from_event(struct machine *m, uint8_t op)
{
    uint8_t len;
    switch (op) {
    case OP_COLUMN_EQUALS:
        return column_equals(m);
    case OP_COLUMN:
        return column_value(m->event, *m->at++);
    case OP_EXTENSION:
        len = *m->at++;
        return extension_value(m, take_text(m, len));
    default:
        CHECK(op == OP_DATA);
        return data_value(m);
    }
}

static struct value number_constant(struct machine *m)
{
    uint64_t low = take_u64(m);
    uint64_t high = take_u64(m);
    return value_of_nano((int128)((uint128)high << 64 | low));
}

/* The ops' numbers are ordered by class, so a range finds the class. */
static void step(struct machine *m)
{
    uint8_t op = *m->at++;
    if (op == OP_TEXT) {
        uint16_t len = take_u16(m);
        push(m, value_of_text(take_text(m, len)));
    } else if (op == OP_NUMBER) {
        push(m, number_constant(m));
    } else if (op < OP_COLUMN) {
        push(m, constant(m, op));
    } else if (op < OP_NOT) {
        push(m, from_event(m, op));
    } else if (op < OP_ADD) {
        m->top[-1] = unary(m, op, m->top[-1]);
    } else if (op < OP_BETWEEN) {
        struct value b = pop(m);
        m->top[-1] = binary(m, op, m->top[-1], b);
    } else if (op >= OP_JUMP && op <= OP_JUMP_IF_NOT_NULL) {
        jump(m, op);
    } else {
        other(m, op);
    }
}

struct value
program_eval(struct bytes program, const struct event *event, struct program_scratch *scratch)
{
    struct value *stack = scratch->stack;
    struct machine m = {
        .at = program.data,
        .top = stack,
        .limit = stack + PROGRAM_STACK_MAX,
        .event = event,
        .scratch = scratch,
    };
    const uint8_t *end = program.data + program.len;
    while (m.at < end) {
        step(&m);
    }
    CHECK(m.at == end);
    CHECK(m.top == stack + 1);
    return stack[0];
}

bool program_passes(struct bytes program,
                    const struct event *event,
                    struct program_scratch *scratch)
{
    return program.len == 0 || is_bool(program_eval(program, event, scratch), true);
}
