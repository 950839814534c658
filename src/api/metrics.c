/* Metrics as resources: listed, shown, put, dropped.
 *
 *   GET  inspect (definitions) ─► ask the runners (counters) ─► answer
 *   PUT  parse ─► propose ─► inspect ─► ask the runners ─► answer with the object as it is now */
#include "api/metrics.h"

#include "api/config.h"
#include "api/cursor.h"
#include "api/metric_text.h"
#include "api/problem.h"
#include "api/statements.h"
#include "api/stats.h"
#include "base/check.h"

/* One page of the list. */
static void
put_page(struct call *call, const struct metric_list *list, uint64_t offset, uint32_t limit)
{
    struct out *out = &call->api->out;
    out_clear(out);
    out_text(out, "{\"items\":[");
    size_t at = offset < list->count ? (size_t)offset : list->count;
    size_t end = limit < list->count - at ? at + limit : list->count;
    for (size_t i = at; i < end; i++) {
        out_comma(out);
        metric_put(out, list->items[i], call->query);
    }
    cursor_end_at(call, end, list->count);
}

static void list_answer(struct call *call)
{
    struct metric_list list;
    uint64_t offset = 0;
    uint32_t limit = 0;
    const char *detail = NULL;
    enum err err = query_err(call->query, &detail);
    if (err != OK) {
        call_fail(call, err, detail);
        return;
    }
    if (!cursor_limit(call, &limit) || !cursor_read(call, &offset, 1) ||
        !metric_list_make(call, call->inspection, &list)) {
        return;
    }
    put_page(call, &list, offset, limit);
    call_answer_json(call);
}

static struct query *stats_query(struct call *call)
{
    if (call->inspection->err != OK) {
        call_fail(call, call->inspection->err, NULL);
        return NULL;
    }
    struct query *query = call_query(call, QUERY_STATS);
    if (query != NULL) {
        query->metric = call->name;
        query->deadline.us = gateway_now(call->api->gateway).us + 10 * US_PER_SECOND;
    }
    return query;
}

static void list_stats(struct call *call)
{
    if (stats_query(call) != NULL) {
        call_ask_runners(call, list_answer);
    }
}

void metrics_list(struct call *call)
{
    uint64_t offset = 0;
    uint32_t limit = 0;
    if (!cursor_limit(call, &limit)) {
        return;
    }
    if (cursor_read(call, &offset, 1) && call_inspection(call, INSPECT_METRICS) != NULL) {
        call_inspect(call, list_stats);
    }
}

/* The object itself; after a PUT with what the proposal says about it. */
static void put_one(struct call *call, const struct query *figures)
{
    struct metric_list list;
    const struct proposal *proposal = call->proposal;
    if (!metric_list_make(call, call->inspection, &list)) {
        return;
    }
    CHECK(list.count >= 1);
    struct answer answer;
    answer_init(&answer, proposal != NULL && proposal->created ? 201 : 200, "application/json");
    answer_version_tag(&answer, list.items[0]->info->version);
    if (proposal != NULL) {
        answer_as_of(&answer, proposal->as_of);
    }
    out_clear(&call->api->out);
    metric_put(&call->api->out, list.items[0], figures);
    call_answer(call, &answer);
}

static void one_answer(struct call *call)
{
    const char *detail = NULL;
    bool counted = query_err(call->query, &detail) == OK;
    put_one(call, counted ? call->query : NULL);
}

static void one_stats(struct call *call)
{
    if (call->inspection->err == OK && call->inspection->metric_count == 0) {
        call_fail(call, ERR_UNKNOWN_METRIC, NULL);
        return;
    }
    if (stats_query(call) == NULL) {
        return;
    }
    enum err err = call_try_runners(call, one_answer);
    if (err != OK && !call->decided) {
        call_fail(call, err, NULL);
    } else if (err != OK) {
        put_one(call, NULL); /* a PUT that was done is told so, if without its figures */
    }
}

static void one_inspect(struct call *call)
{
    struct inspection *inspection = call_inspection(call, INSPECT_METRICS);
    if (inspection != NULL) {
        inspection->name = call->name;
        call_inspect(call, one_stats);
    }
}

void metrics_get(struct call *call)
{
    one_inspect(call);
}

static void put_back(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    if (proposal->err != OK) {
        call_fail(call, proposal->err, proposal->detail);
        return;
    }
    one_inspect(call);
}

/* The body: a SELECT, or a CREATE METRIC of the path's name. NULL: answered. */
static struct statement *put_statement(struct call *call)
{
    struct statement *statement = statement_of_body(call);
    if (statement == NULL) {
        return NULL;
    }
    if (statement->kind == STATEMENT_SELECT) {
        statement->definition.name = call->name;
        return statement;
    }
    if (statement->kind != STATEMENT_CREATE_METRIC) {
        call_fail(call, ERR_SQL_MEANING, "send a SELECT, or a CREATE METRIC of this name");
        return NULL;
    }
    if (!bytes_equal(statement->name, call->name)) {
        call_fail(call, ERR_SQL_MEANING, "the statement names another metric than the path");
        return NULL;
    }
    return statement;
}

static void put_propose(struct call *call, const struct definition *definition)
{
    struct bytes encoded;
    if (definition_encode(call, definition, &encoded)) {
        config_define(call, PROPOSE_DEFINE, encoded, put_back);
    }
}

static void put_dry(struct call *call, const struct definition *definition)
{
    struct out *out = &call->api->out;
    out_clear(out);
    out_text(out, "{\"name\":");
    out_string(out, definition->name);
    out_member(out, "sql");
    out_string(out, definition->text);
    out_text(out, ",\"dry_run\":true}");
    call_answer_json(call);
}

void metrics_put(struct call *call)
{
    bool dry_run = false;
    if (!config_dry_run(call, &dry_run)) {
        return;
    }
    if (!definition_name_valid(call->name)) {
        call_fail_member(call,
                         ERR_UNPROCESSABLE,
                         BYTES("name"),
                         "a metric's name is [a-z_][a-z0-9_]*, at most 64 bytes");
        return;
    }
    struct statement *statement = put_statement(call);
    if (statement == NULL) {
        return;
    }
    if (!definition_valid(&statement->definition)) {
        call_fail(call, ERR_SQL_MEANING, "the definition is outside of the limits");
        return;
    }
    (dry_run ? put_dry : put_propose)(call, &statement->definition);
}

void metrics_delete(struct call *call)
{
    config_drop(call, PROPOSE_DROP);
}
