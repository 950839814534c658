/* What the tests of the language share: statements parsed into static memory, a sample event, and
 * an expression's value as JSON text. */
#pragma once

#include "../base/support.h"

#include "lang/lang.h"
#include "model/program.h"

struct parsed {
    enum err err;
    struct statement statement;
    struct error error;
};

/* The result of the last call is overwritten by the next. */
static inline struct parsed *parse_bytes(struct bytes text)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    static struct parsed parsed;
    struct arena arena = arena_of(memory, sizeof(memory));
    memset(&parsed, 0, sizeof(parsed));
    parsed.err = lang_parse(text, &arena, &parsed.statement, &parsed.error);
    return &parsed;
}

static inline struct parsed *parse(const char *text)
{
    return parse_bytes(bytes_of_string(text));
}

/* The statement must be accepted. */
static inline struct statement *parse_good(const char *text)
{
    struct parsed *parsed = parse(text);
    if (parsed->err != OK) {
        fail_msg("%d:%d %s (%s): %s",
                 parsed->error.line,
                 parsed->error.column,
                 parsed->error.text,
                 parsed->error.hint,
                 text);
    }
    return &parsed->statement;
}

/* 2013-01-01T06:17:23.456789Z, a Tuesday; arrived 1.5 seconds later. */
#define SAMPLE_TIME_US 1357021043456789LL

static inline struct event sample_event(void)
{
    static uint8_t room[256];
    struct buf extensions = buf_of(room, sizeof(room));
    buf_put_string(&extensions, BYTES("tenant"));
    buf_put_string(&extensions, BYTES("\"acme\""));
    buf_put_string(&extensions, BYTES("priority"));
    buf_put_string(&extensions, BYTES("7"));
    buf_put_string(&extensions, BYTES("sampled"));
    buf_put_string(&extensions, BYTES("true"));
    return (struct event){
        .id = BYTES("e-1"),
        .source = BYTES("/carriers/UA"),
        .type = BYTES("flight.departed"),
        .subject = BYTES("UA1545"),
        .extensions = buf_bytes(&extensions),
        .data = BYTES("{\"dest\":\"ATL\",\"delay\":12.5,\"seats\":180,\"big\":9007199254740993,"
                      "\"name\":\"Gr\\u00fc\\u00df\",\"ok\":true,\"no\":false,\"none\":null,"
                      "\"list\":[10,{\"deep\":\"yes\"}],\"obj\":{\"a b\":1,\"from\":2},"
                      "\"text_number\":\"42\",\"huge\":1e999,\"tiny\":0.0000000001,"
                      "\"min\":-9223372036854775808,\"max\":9223372036854775807,"
                      "\"when\":\"2013-01-01T06:00:00Z\",\"empty\":\"\","
                      "\"text\":\"a%b_c\",\"lat\":40.64,\"lon\":-73.78}"),
        .time = {SAMPLE_TIME_US},
        .arrival = {SAMPLE_TIME_US + 1500000},
        .flags = EVENT_HAS_SUBJECT | EVENT_HAS_EXTENSIONS | EVENT_HAS_DATA | EVENT_HAS_TIME,
    };
}

/* The expression's value for the event, as JSON. */
static inline const char *value_of(const char *expression, const struct event *event)
{
    static struct program_scratch scratch;
    static char json[4096];
    char text[4096];
    int len = snprintf(text,
                       sizeof(text),
                       "SELECT %s AS x FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY 1",
                       expression);
    assert_true(len > 0 && (size_t)len < sizeof(text));
    struct statement *statement = parse_good(text);
    assert_int_equal(statement->definition.group_count, 1);
    scratch.used = 0;
    struct value value = program_eval(statement->definition.groups[0], event, &scratch);
    struct buf out = buf_of(json, sizeof(json) - 1);
    value_put_json(&out, value);
    assert_false(out.overflow);
    json[out.len] = '\0';
    return json;
}

static inline void assert_value(const char *expression, const char *expected)
{
    struct event event = sample_event();
    const char *actual = value_of(expression, &event);
    if (strcmp(actual, expected) != 0) {
        fail_msg("%s is %s instead of %s", expression, actual, expected);
    }
}
