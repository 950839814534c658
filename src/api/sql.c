/* Scripts of the metric language.
 *
 *     check all ─► next statement ─► propose or inspect ─► its result ─┐
 *                       ▲                                              │
 *                       └──────────────────────────────────────────────┘ ... ─► answer
 *
 * Invariants:
 *  1. Nothing runs unless every statement of the script can be understood.
 *  2. At most one statement is under way; the first that fails ends the script, and the problem
 * says which it was and what was done before it. */
#include "api/sql.h"

#include "api/config.h"
#include "api/metric_text.h"
#include "api/params.h"
#include "api/problem.h"
#include "api/rule_text.h"
#include "api/statements.h"
#include "base/check.h"

#include <stdlib.h>

#define STATEMENTS_MAX 100

struct script {
    struct bytes text;
    struct bytes rest;
    uint32_t number; /* of the statement under way */
    bool dry_run;
    bool created;
    bool wrote;
    uint64_t as_of;
    struct out results;
    struct statement statement;
    struct arena arena;
};

static void script_next(struct call *call);

void script_destroy(struct script *script)
{
    if (script == NULL) {
        return;
    }
    out_free(&script->results);
    free(script->arena.data);
    free(script);
}

static bool statement_next(struct script *script, struct statement_text *text)
{
    *text = (struct statement_text){.script = script->text};
    if (!lang_next_statement(&script->rest, &text->part)) {
        return false;
    }
    text->number = ++script->number;
    arena_reset(&script->arena);
    return true;
}

/* A statement that failed, with what was done before. */
static void script_fail(struct call *call, enum err err, const char *detail, const char *hint)
{
    struct script *script = call->script;
    struct out extra = {0};
    out_text(&extra, "\"statement\":");
    out_u64(&extra, script->number);
    out_text(&extra, ",\"results\":[");
    out_bytes(&extra, buf_bytes(&script->results.buf));
    out_char(&extra, ']');
    const struct problem problem = {
        .err = err,
        .detail = detail,
        .hint = hint,
        .extra = extra.buf.overflow ? (struct bytes){0} : buf_bytes(&extra.buf),
    };
    call_refuse(call, &problem);
    out_free(&extra);
}

/* Every statement is readable, and of a kind that may stand here. */
static bool script_check(struct call *call)
{
    struct script *script = call->script;
    struct statement_text text;
    while (statement_next(script, &text)) {
        if (script->number > STATEMENTS_MAX) {
            call_fail(call, ERR_LIMIT, "a script has at most 100 statements");
            return false;
        }
        if (!statement_read(call, &text, &script->arena, &script->statement)) {
            return false;
        }
        if (script->statement.kind == STATEMENT_SELECT) {
            script_fail(call,
                        ERR_SQL_MEANING,
                        "a SELECT alone has no name to count under",
                        "CREATE METRIC name AS SELECT ..., or PUT /v1/metrics/{name}");
            return false;
        }
        if (script->statement.kind == STATEMENT_RULE) {
            script_fail(call,
                        ERR_SQL_MEANING,
                        "a rule needs a name",
                        script->statement.rule_kind == RULE_TIMEOUT
                            ? "CREATE TIMEOUT name AS AFTER ..., or PUT /v1/rules/{name}"
                            : "CREATE SILENCE name AS EXPECT ..., or PUT /v1/rules/{name}");
            return false;
        }
    }
    if (script->number == 0) {
        call_fail(call, ERR_SQL, "there is no statement in this text");
        return false;
    }
    script->rest = script->text;
    script->number = 0;
    return true;
}

static void script_answer(struct call *call)
{
    struct script *script = call->script;
    struct out *out = &call->api->out;
    struct answer answer;
    answer_init(&answer, script->created ? 201 : 200, "application/json");
    if (script->wrote) {
        answer_as_of(&answer, script->as_of);
    }
    out_clear(out);
    out->buf.overflow = script->results.buf.overflow;
    out_text(out, "{\"results\":[");
    out_bytes(out, buf_bytes(&script->results.buf));
    out_text(out, "]}");
    call_answer(call, &answer);
}

static const char *statement_words(const struct statement *statement)
{
    bool timeout = statement->rule_kind == RULE_TIMEOUT;
    bool silence = statement->rule_kind == RULE_SILENCE;
    switch (statement->kind) {
    case STATEMENT_CREATE_METRIC:
        return "CREATE METRIC";
    case STATEMENT_DROP_METRIC:
        return "DROP METRIC";
    case STATEMENT_SHOW_METRICS:
        return "SHOW METRICS";
    case STATEMENT_SHOW_METRIC:
        return "SHOW METRIC";
    case STATEMENT_CREATE_RULE:
        return timeout ? "CREATE TIMEOUT" : "CREATE SILENCE";
    case STATEMENT_DROP_RULE:
        return timeout ? "DROP TIMEOUT" : "DROP SILENCE";
    case STATEMENT_SHOW_RULES:
        return timeout ? "SHOW TIMEOUTS" : silence ? "SHOW SILENCES" : "SHOW RULES";
    case STATEMENT_SELECT:
    case STATEMENT_RULE:
        break;
    }
    UNREACHABLE("script_check lets only these pass");
}

static struct out *result_begin(struct script *script)
{
    struct out *out = &script->results;
    out_comma(out);
    out_text(out, "{\"statement\":");
    out_string_text(out, statement_words(&script->statement));
    return out;
}

/* The same for what names one thing. */
static struct out *result_begin_of(struct script *script)
{
    struct out *out = result_begin(script);
    out_member(out, (int)script->statement.rule_kind != 0 ? "rule" : "metric");
    out_string(out, script->statement.name);
    return out;
}

static void define_back(struct call *call)
{
    struct script *script = call->script;
    const struct proposal *proposal = call->proposal;
    bool drop = proposal->kind == PROPOSE_DROP || proposal->kind == PROPOSE_RULE_DROP;
    bool unknown = proposal->err == ERR_UNKNOWN_METRIC || proposal->err == ERR_UNKNOWN_RULE;
    bool absent = drop && unknown && script->statement.if_exists;
    if (proposal->err != OK && !absent) {
        script_fail(call, proposal->err, proposal->detail, NULL);
        return;
    }
    script->created = script->created || proposal->created;
    if (!absent) {
        script->wrote = true;
        script->as_of = proposal->as_of > script->as_of ? proposal->as_of : script->as_of;
    }
    struct out *out = result_begin_of(script);
    if (!drop) {
        out_member(out, "version");
        out_u64(out, proposal->version);
    }
    out_member(out, "changed");
    out_bool(out, !absent && proposal->changed);
    out_char(out, '}');
    script_next(call);
}

static void show_rules_back(struct call *call)
{
    struct script *script = call->script;
    struct rule_list list;
    if (call->inspection->err != OK) {
        script_fail(call, call->inspection->err, NULL, NULL);
        return;
    }
    struct out *out = result_begin(script);
    out_text(out,
             ",\"columns\":[\"name\",\"kind\",\"version\",\"sql\",\"created\",\"within\","
             "\"every\",\"clock\",\"grace\",\"late\",\"sources\"],\"items\":[");
    if (!rule_list_make(call, call->inspection, script->statement.rule_kind, &list)) {
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        out_comma(out);
        rule_show(out, list.items[i]);
    }
    out_text(out, "]}");
    script_next(call);
}

static void show_back(struct call *call)
{
    struct script *script = call->script;
    const struct inspection *inspection = call->inspection;
    if (inspection->err != OK) {
        script_fail(call, inspection->err, NULL, NULL);
        return;
    }
    struct out *out = result_begin(script);
    out_text(out,
             ",\"columns\":[\"name\",\"version\",\"sql\",\"created\",\"window\",\"lateness\","
             "\"retain\",\"emit\",\"sources\",\"columns\"],\"items\":[");
    struct metric_list list;
    if (!metric_list_make(call, inspection, &list)) {
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        out_comma(out);
        metric_put(out, list.items[i], NULL);
    }
    out_text(out, "]}");
    script_next(call);
}

static void run_create(struct call *call)
{
    struct script *script = call->script;
    const struct statement *statement = &script->statement;
    bool rule = statement->kind == STATEMENT_CREATE_RULE;
    struct bytes encoded;
    if (!(rule ? rule_encode(call, &statement->rule, &encoded)
               : definition_encode(call, &statement->definition, &encoded))) {
        return;
    }
    struct proposal *proposal = call_proposal(call, rule ? PROPOSE_RULE_DEFINE : PROPOSE_DEFINE);
    if (proposal != NULL) {
        proposal->name = statement->name;
        proposal->definition = encoded;
        proposal->mode = statement->if_not_exists ? DEFINE_IF_NOT_EXISTS : DEFINE_CREATE;
        call_propose(call, define_back);
    }
}

static void run_drop(struct call *call)
{
    const struct statement *statement = &call->script->statement;
    bool rule = statement->kind == STATEMENT_DROP_RULE;
    struct proposal *proposal = call_proposal(call, rule ? PROPOSE_RULE_DROP : PROPOSE_DROP);
    if (proposal != NULL) {
        proposal->name = statement->name;
        proposal->rule_kind = statement->rule_kind;
        call_propose(call, define_back);
    }
}

static void run_show_rules(struct call *call)
{
    if (call_inspection(call, INSPECT_RULES) != NULL) {
        call_inspect(call, show_rules_back);
    }
}

static void run_show(struct call *call)
{
    struct inspection *inspection = call_inspection(call, INSPECT_METRICS);
    if (inspection != NULL) {
        if (call->script->statement.kind == STATEMENT_SHOW_METRIC) {
            inspection->name = call->script->statement.name;
        }
        call_inspect(call, show_back);
    }
}

/* Says what would be done. */
static void run_dry(struct call *call)
{
    struct script *script = call->script;
    struct out *out = result_begin_of(script);
    out_text(out, ",\"dry_run\":true}");
    script_next(call);
}

static void statement_run(struct call *call)
{
    struct script *script = call->script;
    switch (script->statement.kind) {
    case STATEMENT_CREATE_METRIC:
    case STATEMENT_CREATE_RULE:
        (script->dry_run ? run_dry : run_create)(call);
        return;
    case STATEMENT_DROP_METRIC:
    case STATEMENT_DROP_RULE:
        (script->dry_run ? run_dry : run_drop)(call);
        return;
    case STATEMENT_SHOW_METRICS:
    case STATEMENT_SHOW_METRIC:
        run_show(call);
        return;
    case STATEMENT_SHOW_RULES:
        run_show_rules(call);
        return;
    case STATEMENT_SELECT:
    case STATEMENT_RULE:
        break;
    }
    UNREACHABLE("script_check refused it");
}

/* At most STATEMENTS_MAX deep when nothing has to be waited for (a dry run). */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void script_next(struct call *call)
{
    struct script *script = call->script;
    struct statement_text text;
    if (!statement_next(script, &text)) {
        script_answer(call);
        return;
    }
    if (statement_read(call, &text, &script->arena, &script->statement)) {
        statement_run(call);
    }
}

void sql_run(struct call *call)
{
    struct bytes text;
    bool dry_run = false;
    if (!config_dry_run(call, &dry_run)) {
        return;
    }
    if (!sql_body(call, &text)) {
        return;
    }
    struct script *script = calloc(1, sizeof(*script));
    size_t arena_bytes = statement_arena_bytes(text);
    uint8_t *memory = malloc(arena_bytes);
    if (script == NULL || memory == NULL) {
        free(script);
        free(memory);
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this script");
        return;
    }
    script->text = text;
    script->rest = text;
    script->dry_run = dry_run;
    script->arena = arena_of(memory, arena_bytes);
    call->script = script;
    if (script_check(call)) {
        script_next(call);
    }
}
