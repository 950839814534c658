/* Rules as resources: listed, shown, put, dropped.
 *
 *   GET  inspect (definitions) ─► answer
 *   PUT  parse ─► propose ─► inspect ─► answer with the object as it is now */
#include "api/rules.h"

#include "api/config.h"
#include "api/cursor.h"
#include "api/problem.h"
#include "api/rule_text.h"
#include "api/statements.h"
#include "base/check.h"

/* One page of the list. */
static void
put_page(struct call *call, const struct rule_list *list, uint64_t offset, uint32_t limit)
{
    struct out *out = &call->api->out;
    out_clear(out);
    out_text(out, "{\"items\":[");
    size_t at = offset < list->count ? (size_t)offset : list->count;
    size_t end = limit < list->count - at ? at + limit : list->count;
    for (size_t i = at; i < end; i++) {
        out_comma(out);
        rule_show(out, list->items[i]);
    }
    cursor_end_at(call, end, list->count);
}

/* False: answered. */
static bool read_page(struct call *call, uint64_t *offset, uint32_t *limit)
{
    if (!cursor_limit(call, limit)) {
        return false;
    }
    return cursor_read(call, offset, 1);
}

static void list_answer(struct call *call)
{
    struct rule_list list;
    uint64_t offset = 0;
    uint32_t limit = 0;
    if (call->inspection->err != OK) {
        call_fail(call, call->inspection->err, NULL);
        return;
    }
    if (read_page(call, &offset, &limit) &&
        rule_list_make(call, call->inspection, (enum rule_kind)0, &list)) {
        put_page(call, &list, offset, limit);
        call_answer_json(call);
    }
}

void rules_list(struct call *call)
{
    uint64_t offset = 0;
    uint32_t limit = 0;
    if (read_page(call, &offset, &limit) && call_inspection(call, INSPECT_RULES) != NULL) {
        call_inspect(call, list_answer);
    }
}

/* The object itself; after a PUT with what the proposal says about it. */
static void one_answer(struct call *call)
{
    struct rule_list list;
    const struct proposal *proposal = call->proposal;
    if (call->inspection->err != OK) {
        call_fail(call, call->inspection->err, NULL);
        return;
    }
    if (!rule_list_make(call, call->inspection, (enum rule_kind)0, &list)) {
        return;
    }
    CHECK(list.count == 1);
    struct answer answer;
    answer_init(&answer, proposal != NULL && proposal->created ? 201 : 200, "application/json");
    answer_version_tag(&answer, list.items[0]->info->version);
    if (proposal != NULL) {
        answer_as_of(&answer, proposal->as_of);
    }
    out_clear(&call->api->out);
    rule_show(&call->api->out, list.items[0]);
    call_answer(call, &answer);
}

void rules_get(struct call *call)
{
    struct inspection *inspection = call_inspection(call, INSPECT_RULES);
    if (inspection != NULL) {
        inspection->name = call->name;
        call_inspect(call, one_answer);
    }
}

static void put_back(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    if (proposal->err != OK) {
        call_fail(call, proposal->err, proposal->detail);
        return;
    }
    rules_get(call);
}

/* The body: what stands behind AS, or a CREATE of the path's name. NULL: answered. */
static struct statement *put_statement(struct call *call)
{
    struct statement *statement = statement_of_body(call);
    if (statement == NULL) {
        return NULL;
    }
    if (statement->kind == STATEMENT_RULE) {
        statement->rule.name = call->name;
        return statement;
    }
    if (statement->kind != STATEMENT_CREATE_RULE) {
        call_fail(
            call,
            ERR_SQL_MEANING,
            "send AFTER ... or EXPECT ..., or a CREATE TIMEOUT or CREATE SILENCE of this name");
        return NULL;
    }
    if (!bytes_equal(statement->name, call->name)) {
        call_fail(call, ERR_SQL_MEANING, "the statement names another rule than the path");
        return NULL;
    }
    return statement;
}

static void put_propose(struct call *call, const struct rule *rule)
{
    struct bytes encoded;
    if (rule_encode(call, rule, &encoded)) {
        config_define(call, PROPOSE_RULE_DEFINE, encoded, put_back);
    }
}

static void put_dry(struct call *call, const struct rule *rule)
{
    struct out *out = &call->api->out;
    out_clear(out);
    out_text(out, "{\"name\":");
    out_string(out, rule->name);
    out_member(out, "kind");
    out_string_text(out, rule->kind == RULE_TIMEOUT ? "timeout" : "silence");
    out_member(out, "sql");
    out_string(out, rule->text);
    out_text(out, ",\"dry_run\":true}");
    call_answer_json(call);
}

void rules_put(struct call *call)
{
    bool dry_run = false;
    if (!config_dry_run(call, &dry_run)) {
        return;
    }
    if (!definition_name_valid(call->name)) {
        call_fail_member(call,
                         ERR_UNPROCESSABLE,
                         BYTES("name"),
                         "a rule's name is [a-z_][a-z0-9_]*, at most 64 bytes");
        return;
    }
    const struct statement *statement = put_statement(call);
    if (statement != NULL) {
        CHECK(rule_valid(&statement->rule)); /* lang leaves room for any name */
        (dry_run ? put_dry : put_propose)(call, &statement->rule);
    }
}

void rules_delete(struct call *call)
{
    config_drop(call, PROPOSE_RULE_DROP);
}
