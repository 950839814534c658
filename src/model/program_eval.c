/* Runs a program: one loop over its ops, a stack of values.
 *
 * This runs for each event and each metric, so the ops that filters are mostly made of stand in the
 * first switch; the others are found by class. There are no checks of types beforehand: an op that
 * meets a kind it is not made for gives NULL.
 *
 * Invariants, by program_valid:
 *  1. `top` points behind the last value; stack <= top <= stack + PROGRAM_STACK_MAX.
 *  2. `at` only moves forwards and stays within the program.
 *
 * Truth values travel as a small enum and slots are written member by member: copying a whole value
 * just after a part of it was stored costs more than all else here, since the copy has to wait until that
 * store, and all before it, are out in the cache. So results that are mostly texts are not copied. */
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

/* What a condition comes to. */
enum truth {
    TRUTH_FALSE,
    TRUTH_TRUE,
    TRUTH_UNKNOWN,
};

/* A value as a condition: what is no boolean is unknown. */
static inline enum truth truth_of(const struct value *value)
{
    if (value->kind != VALUE_BOOL) {
        return TRUTH_UNKNOWN;
    }
    return value->boolean ? TRUTH_TRUE : TRUTH_FALSE;
}

static inline enum truth truth_of_bool(bool boolean)
{
    return boolean ? TRUTH_TRUE : TRUTH_FALSE;
}

static inline void set_truth(struct value *slot, enum truth truth)
{
    slot->kind = truth == TRUTH_UNKNOWN ? VALUE_NULL : VALUE_BOOL;
    slot->boolean = truth == TRUTH_TRUE;
}

/* The next free slot, taken. */
static inline struct value *take_slot(struct machine *m)
{
    CHECK(m->top < m->limit);
    m->top += 1;
    return m->top - 1;
}

static inline void push(struct machine *m, struct value value)
{
    *take_slot(m) = value;
}

static inline void push_text(struct machine *m, struct bytes text)
{
    struct value *slot = take_slot(m);
    slot->kind = VALUE_TEXT;
    slot->text = text;
}

static inline void push_time(struct machine *m, int64_t time_us)
{
    struct value *slot = take_slot(m);
    slot->kind = VALUE_TIME;
    slot->time_us = time_us;
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

static void push_column(struct machine *m)
{
    uint8_t column = *m->at++;
    struct bytes text;
    if (column == COLUMN_TIME) {
        push_time(m, m->event->time.us);
    } else if (column == COLUMN_ARRIVAL_TIME) {
        push_time(m, m->event->arrival.us);
    } else if (text_column(m->event, column, &text)) {
        push_text(m, text);
    } else {
        take_slot(m)->kind = VALUE_NULL;
    }
}

static struct value json_to_value(const struct json_value *json, struct program_scratch *scratch)
{
    struct decimal decimal;
    struct buf room;
    switch (json->kind) {
    case JSON_NULL:
        return value_null();
    case JSON_ARRAY:
    case JSON_OBJECT:
        return value_of_text(json->text); /* there, so not NULL: its JSON text */
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

/* SQL: an unknown operand leaves AND open unless the other is FALSE, OR unless the other is TRUE.
 */
static enum truth logic_and(enum truth a, enum truth b)
{
    if (a == TRUTH_FALSE || b == TRUTH_FALSE) {
        return TRUTH_FALSE;
    }
    return a == TRUTH_TRUE && b == TRUTH_TRUE ? TRUTH_TRUE : TRUTH_UNKNOWN;
}

static enum truth logic_or(enum truth a, enum truth b)
{
    if (a == TRUTH_TRUE || b == TRUTH_TRUE) {
        return TRUTH_TRUE;
    }
    return a == TRUTH_FALSE && b == TRUTH_FALSE ? TRUTH_FALSE : TRUTH_UNKNOWN;
}

static bool order_fits(uint8_t op, int order)
{
    switch (op) {
    case OP_EQUAL:
        return order == 0;
    case OP_NOT_EQUAL:
        return order != 0;
    case OP_LESS:
        return order < 0;
    case OP_LESS_EQUAL:
        return order <= 0;
    case OP_GREATER:
        return order > 0;
    default:
        CHECK(op == OP_GREATER_EQUAL);
        return order >= 0;
    }
}

static enum truth compare(uint8_t op, const struct value *a, const struct value *b)
{
    if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT && op <= OP_NOT_EQUAL) {
        return truth_of_bool(bytes_equal(a->text, b->text) == (op == OP_EQUAL));
    }
    bool comparable;
    int order = value_compare(*a, *b, &comparable);
    return comparable ? truth_of_bool(order_fits(op, order)) : TRUTH_UNKNOWN;
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

static struct value like(struct machine *m, const struct value *a, const struct value *b)
{
    uint32_t escape = take_u32(m);
    if (a->kind != VALUE_TEXT || b->kind != VALUE_TEXT) {
        return value_null();
    }
    return like_match(a->text, b->text, escape);
}

/* x y -- z */
static void binary(struct machine *m, uint8_t op)
{
    m->top -= 1;
    struct value *a = m->top - 1;
    const struct value *b = m->top;
    switch (op) {
    case OP_ADD:
        *a = add(*a, *b);
        return;
    case OP_SUBTRACT:
        *a = subtract(*a, *b);
        return;
    case OP_MULTIPLY:
        *a = number_multiply(*a, *b);
        return;
    case OP_DIVIDE:
        *a = number_divide(*a, *b);
        return;
    case OP_MODULO:
        *a = number_modulo(*a, *b);
        return;
    case OP_CONCAT:
        *a = function_concat(*a, *b, m->scratch);
        return;
    case OP_AND:
        set_truth(a, logic_and(truth_of(a), truth_of(b)));
        return;
    case OP_OR:
        set_truth(a, logic_or(truth_of(a), truth_of(b)));
        return;
    case OP_LIKE:
        *a = like(m, a, b);
        return;
    default:
        set_truth(a, compare(op, a, b));
        return;
    }
}

/* x -- y */
static void unary(struct machine *m, uint8_t op)
{
    struct value *a = m->top - 1;
    switch (op) {
    case OP_NOT:
        set_truth(a, truth_of(a) == TRUTH_UNKNOWN ? TRUTH_UNKNOWN : truth_of_bool(!a->boolean));
        return;
    case OP_NEGATE:
        *a = number_negate(*a);
        return;
    case OP_IS_NULL:
        set_truth(a, truth_of_bool(a->kind == VALUE_NULL));
        return;
    case OP_IS_NOT_NULL:
        set_truth(a, truth_of_bool(a->kind != VALUE_NULL));
        return;
    case OP_CAST:
        *a = function_cast(*m->at++, *a, m->scratch);
        return;
    default:
        CHECK(op == OP_DATE_TRUNC);
        *a = function_date_trunc(*m->at++, *a);
        return;
    }
}

static void number_constant(struct machine *m)
{
    uint64_t low = take_u64(m);
    uint64_t high = take_u64(m);
    struct value *slot = take_slot(m);
    slot->kind = VALUE_NUMBER;
    slot->nano = (int128)((uint128)high << 64 | low);
}

/* -- x */
static void constant(struct machine *m, uint8_t op)
{
    uint64_t bits;
    uint16_t len;
    switch (op) {
    case OP_NULL:
        take_slot(m)->kind = VALUE_NULL;
        return;
    case OP_TRUE:
    case OP_FALSE:
        set_truth(take_slot(m), truth_of_bool(op == OP_TRUE));
        return;
    case OP_NUMBER:
        number_constant(m);
        return;
    case OP_DOUBLE: {
        struct value *slot = take_slot(m);
        bits = take_u64(m);
        memcpy(&slot->real, &bits, sizeof(bits));
        slot->kind = VALUE_DOUBLE;
        return;
    }
    case OP_TEXT:
        len = take_u16(m);
        push_text(m, take_text(m, len));
        return;
    default:
        CHECK(op == OP_TIME);
        push_time(m, (int64_t)take_u64(m));
        return;
    }
}

static void call(struct machine *m)
{
    uint8_t function = *m->at++;
    uint8_t count = *m->at++;
    m->top -= count;
    push(m, function_call(function, m->top, count, m->scratch));
}

/* x seen item -- x seen', or -- TRUE and the jump */
static void in_next(struct machine *m)
{
    uint16_t distance = take_u16(m);
    struct value *x = m->top - 3;
    struct value *seen = m->top - 2;
    enum truth equal = compare(OP_EQUAL, x, m->top - 1);
    if (equal == TRUTH_TRUE) {
        set_truth(x, TRUTH_TRUE);
        m->top -= 2;
        m->at += distance;
    } else {
        set_truth(seen, logic_or(truth_of(seen), equal));
        m->top -= 1;
    }
}

/* x low high -- z */
static void between(struct machine *m)
{
    m->top -= 2;
    struct value *x = m->top - 1;
    enum truth above = compare(OP_GREATER_EQUAL, x, m->top);
    enum truth below = compare(OP_LESS_EQUAL, x, m->top + 1);
    set_truth(x, logic_and(above, below));
}

/* What takes or leaves other numbers of values. */
static void other(struct machine *m, uint8_t op)
{
    switch (op) {
    case OP_BETWEEN:
        between(m);
        return;
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
        m->top -= 1;
        set_truth(m->top - 1, truth_of(m->top));
        return;
    }
}

static void jump(struct machine *m, uint8_t op)
{
    uint16_t distance = take_u16(m);
    bool taken = true;
    if (op == OP_JUMP_UNLESS) {
        m->top -= 1;
        taken = truth_of(m->top) != TRUTH_TRUE;
    } else if (op == OP_JUMP_IF_FALSE) {
        taken = truth_of(m->top - 1) == TRUTH_FALSE;
    } else if (op == OP_JUMP_IF_TRUE) {
        taken = truth_of(m->top - 1) == TRUTH_TRUE;
    } else if (op == OP_JUMP_IF_NOT_NULL) {
        taken = m->top[-1].kind != VALUE_NULL;
    }
    m->at += taken ? distance : 0;
}

static void column_equals(struct machine *m)
{
    uint8_t column = *m->at++;
    uint16_t len = take_u16(m);
    struct bytes wanted = take_text(m, len);
    struct bytes text;
    bool known = text_column(m->event, column, &text);
    set_truth(take_slot(m), known ? truth_of_bool(bytes_equal(text, wanted)) : TRUTH_UNKNOWN);
}

/* -- x */
static void from_event(struct machine *m, uint8_t op)
{
    uint8_t len;
    switch (op) {
    case OP_COLUMN_EQUALS:
        column_equals(m);
        return;
    case OP_COLUMN:
        push_column(m);
        return;
    case OP_EXTENSION:
        len = *m->at++;
        push(m, extension_value(m, take_text(m, len)));
        return;
    default:
        CHECK(op == OP_DATA);
        push(m, data_value(m));
        return;
    }
}

/* The ops' numbers are ordered by class, so a range finds the class. */
static void step(struct machine *m)
{
    uint8_t op = *m->at++;
    if (op < OP_COLUMN) {
        constant(m, op);
    } else if (op < OP_NOT) {
        from_event(m, op);
    } else if (op < OP_ADD) {
        unary(m, op);
    } else if (op < OP_BETWEEN) {
        binary(m, op);
    } else if (op >= OP_JUMP && op <= OP_JUMP_IF_NOT_NULL) {
        jump(m, op);
    } else {
        other(m, op);
    }
}

/* Where the result lies. */
static const struct value *
run(struct bytes program, const struct event *event, struct program_scratch *scratch)
{
    struct machine m = {
        .at = program.data,
        .top = scratch->stack,
        .limit = scratch->stack + PROGRAM_STACK_MAX,
        .event = event,
        .scratch = scratch,
    };
    const uint8_t *end = program.data + program.len;
    while (m.at < end) {
        step(&m);
    }
    CHECK(m.at == end);
    CHECK(m.top == scratch->stack + 1);
    return scratch->stack;
}

struct value
program_eval(struct bytes program, const struct event *event, struct program_scratch *scratch)
{
    return *run(program, event, scratch);
}

enum program_text program_eval_text(struct bytes program,
                                    const struct event *event,
                                    struct program_scratch *scratch,
                                    struct bytes *text)
{
    const struct value *value = run(program, event, scratch);
    if (value->kind == VALUE_NULL) {
        return PROGRAM_TEXT_NULL;
    }
    if (value->kind == VALUE_TEXT) {
        *text = value->text;
        return PROGRAM_TEXT_GIVEN;
    }
    struct value cast = function_cast(TYPE_TEXT, *value, scratch);
    *text = cast.kind == VALUE_TEXT ? cast.text : (struct bytes){0};
    return cast.kind == VALUE_TEXT ? PROGRAM_TEXT_GIVEN : PROGRAM_TEXT_TOO_LONG;
}

void program_put(struct bytes program,
                 const struct event *event,
                 struct program_scratch *scratch,
                 struct buf *out)
{
    const struct value *value = run(program, event, scratch);
    if (value->kind == VALUE_TEXT) { /* nearly always, and not worth a copy: see above */
        buf_put_u8(out, VALUE_TEXT);
        buf_put_string(out, value->text);
    } else {
        value_put(out, *value);
    }
}

bool program_passes(struct bytes program,
                    const struct event *event,
                    struct program_scratch *scratch)
{
    return program.len == 0 || truth_of(run(program, event, scratch)) == TRUTH_TRUE;
}
