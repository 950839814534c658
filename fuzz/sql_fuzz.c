/* The metric language from text to values: any text is a statement or an error with a place; the
 * programs of what is accepted are valid, run on an event to their end, and give values that
 * survive their encoding. The same bytes are then taken for a definition, a rule and a program, as if
 * they came from a log. */
#include "fuzz.h"

#include "base/check.h"
#include "lang/lang.h"
#include "model/program.h"

static struct event sample_event(void)
{
    return (struct event){
        .id = BYTES("e-1"),
        .source = BYTES("/carriers/UA"),
        .type = BYTES("flight.departed"),
        .subject = BYTES("UA1545"),
        .extensions = BYTES("\x06tenant\x06\"acme\"\x01n\x01\x37"),
        .data =
            BYTES("{\"a\":1.5,\"b\":\"x\\u00e4y\",\"c\":[1,{\"d\":null}],\"e\":1e300,\"f\":true}"),
        .time = {1357021043456789},
        .arrival = {1357021043956789},
        .flags = EVENT_HAS_SUBJECT | EVENT_HAS_EXTENSIONS | EVENT_HAS_DATA | EVENT_HAS_TIME,
    };
}

/* The program's value reads back from its encoding and prints. */
static void run_program(struct bytes program)
{
    static struct program_scratch scratch;
    static uint8_t encoded[PROGRAM_SCRATCH_BYTES + 64];
    static uint8_t json[6 * PROGRAM_SCRATCH_BYTES + 64];
    struct event event = sample_event();
    struct buf out = buf_of(encoded, sizeof(encoded));
    struct buf text = buf_of(json, sizeof(json));
    struct value back;
    scratch.used = 0;
    struct value value = program_eval(program, &event, &scratch);
    CHECK(scratch.used <= sizeof(scratch.data));
    value_put(&out, value);
    CHECK(!out.overflow);
    struct reader in = reader_of(buf_bytes(&out));
    CHECK(value_read(&in, &back));
    CHECK(reader_left(&in) == 0);
    value_put_json(&text, back);
    CHECK(!text.overflow);
}

static void run_optional(struct bytes program)
{
    if (program.len > 0) {
        CHECK(program_valid(program));
        run_program(program);
    }
}

static void run_definition(const struct definition *definition)
{
    run_optional(definition->filter);
    for (int i = 0; i < definition->group_count; i++) {
        run_optional(definition->groups[i]);
    }
    for (int i = 0; i < definition->aggregate_count; i++) {
        run_optional(definition->aggregates[i].argument);
        run_optional(definition->aggregates[i].filter);
    }
}

static void run_rule(const struct rule *rule)
{
    run_optional(rule->after);
    run_optional(rule->expect);
    run_optional(rule->heartbeat);
    run_optional(rule->cancel);
    run_optional(rule->key);
    run_optional(rule->within);
    CHECK((rule->within.len > 0) == (rule->within_us == 0));
}

static void check_error(struct bytes text, const struct error *error)
{
    CHECK(error->code == ERR_SQL || error->code == ERR_SQL_MEANING || error->code == ERR_LIMIT ||
          error->code == ERR_UTF8);
    CHECK(error->line >= 1 && (size_t)error->line <= text.len + 1);
    CHECK(error->column >= 1 && (size_t)error->column <= text.len + 1);
    CHECK(error->text[0] != '\0');
    CHECK(memchr(error->text, '\0', sizeof(error->text)) != NULL);
    CHECK(memchr(error->hint, '\0', sizeof(error->hint)) != NULL);
}

/* A rule that was accepted is encoded and read back as it was. */
static void run_rule_statement(struct statement *statement)
{
    static uint8_t encoded[RULE_BYTES_MAX];
    static uint8_t again[RULE_BYTES_MAX];
    static struct rule back;
    struct rule *rule = &statement->rule;
    if (statement->kind == STATEMENT_RULE) {
        rule->name = BYTES("a");
    }
    CHECK(rule->kind == statement->rule_kind);
    struct buf out = buf_of(encoded, sizeof(encoded));
    rule_put(&out, rule);
    CHECK(!out.overflow);
    CHECK(rule_read(buf_bytes(&out), &back));
    struct buf second = buf_of(again, sizeof(again));
    rule_put(&second, &back);
    CHECK(bytes_equal(buf_bytes(&out), buf_bytes(&second)));
    run_rule(&back);
}

static void run_text(struct bytes text)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    static uint8_t encoded[DEFINITION_BYTES_MAX];
    static struct statement statement;
    static struct definition back;
    struct arena arena = arena_of(memory, sizeof(memory));
    struct error error;
    if (lang_parse(text, &arena, &statement, &error) != OK) {
        check_error(text, &error);
        return;
    }
    if (statement.kind == STATEMENT_CREATE_RULE || statement.kind == STATEMENT_RULE) {
        run_rule_statement(&statement);
        return;
    }
    struct definition *definition = &statement.definition;
    if (statement.kind == STATEMENT_SELECT) {
        definition->name = BYTES("a");
    } else if (statement.kind != STATEMENT_CREATE_METRIC) {
        return;
    }
    struct buf out = buf_of(encoded, sizeof(encoded));
    definition_put(&out, definition);
    CHECK(!out.overflow);
    CHECK(definition_read(buf_bytes(&out), &back));
    run_definition(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct definition definition;
    static struct rule rule;
    struct bytes input = bytes_of(data, size);
    run_text(input);
    if (definition_read(input, &definition)) {
        run_definition(&definition);
    }
    if (rule_read(input, &rule)) {
        run_rule(&rule);
    }
    if (program_valid(input)) {
        run_program(input);
    }
    return 0;
}
