/* POST /v1/timeouts:batch: many commands, one a line, decided in one go.
 *
 *   body ─► count its lines (more than 10,000: 422, nothing is done)
 *        ─► each line: timeout_read ─► a command of the one record, or a refusal
 *        ─► propose ─► one line of result each, in the order of the lines
 *
 *   {"index":0,"op":"create","status":201,"key":"a","generation":1,"state":"pending",...}
 *   {"index":1,"op":"cancel","status":409,"key":"b","type":"urn:...","title":"...","detail":"...",...}
 *
 * Commands of one record are decided in their order, so a batch may create a key and end it.
 *
 * Invariants:
 *  1. commands[i] is that of the i-th good line; its result is results[i].
 *  2. A batch holds bytes_held of the API's budget, from before its memory is asked for. */
#include "api/problem.h"
#include "api/timeout_read.h"
#include "api/timeout_text.h"
#include "api/timeouts.h"
#include "base/check.h"

#include <stdlib.h>

struct batch_line {
    struct refusal refusal; /* OK: it is a command */
    uint32_t command;
};

struct timeout_batch {
    uint32_t line_count;
    uint32_t command_count;
    size_t bytes_held;
    struct batch_line *lines;
    struct timeout_command *commands;
    struct timeout_result *results;
    struct buf record;
};

void timeout_batch_destroy(struct timeout_batch *batch, struct budget *held)
{
    if (batch == NULL) {
        return;
    }
    budget_give(held, batch->bytes_held);
    free(batch->lines);
    free(batch->commands);
    free(batch->results);
    free(batch->record.data);
    free(batch);
}

/* The next line that is not blank; false at the end. */
static bool line_next(struct bytes *text, struct bytes *line)
{
    while (text->len > 0) {
        const uint8_t *end = memchr(text->data, '\n', text->len);
        size_t len = end == NULL ? text->len : (size_t)(end - text->data);
        *line = bytes_slice(*text, 0, len);
        size_t skip = end == NULL ? len : len + 1;
        *text = bytes_slice(*text, skip, text->len - skip);
        for (size_t i = 0; i < len; i++) {
            uint8_t byte = line->data[i];
            if (byte != ' ' && byte != '\t' && byte != '\r') {
                return true;
            }
        }
    }
    return false;
}

static uint32_t lines_count(struct bytes text)
{
    struct bytes line;
    uint32_t count = 0;
    while (count <= TIMEOUT_COMMANDS_MAX && line_next(&text, &line)) {
        count++;
    }
    return count;
}

/* Memory for so many lines. False: answered. */
static bool batch_create(struct call *call, uint32_t lines)
{
    size_t each =
        sizeof(struct batch_line) + sizeof(struct timeout_command) + sizeof(struct timeout_result);
    size_t held = sizeof(struct timeout_batch) + lines * each;
    struct timeout_batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this batch");
        return false;
    }
    call->timeout_batch = batch;
    if (!budget_take(&call->api->held, held)) {
        call_fail(call, ERR_OVERLOADED, BUDGET_REFUSAL);
        return false;
    }
    batch->bytes_held = held;
    batch->lines = calloc(lines, sizeof(*batch->lines));
    batch->commands = calloc(lines, sizeof(*batch->commands));
    batch->results = calloc(lines, sizeof(*batch->results));
    if (batch->lines == NULL || batch->commands == NULL || batch->results == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this batch");
        return false;
    }
    return true;
}

/* False: there was no memory, and the call is answered. */
static bool batch_read(struct call *call, struct bytes text)
{
    struct timeout_batch *batch = call->timeout_batch;
    struct bytes line;
    while (line_next(&text, &line)) {
        struct batch_line *entry = &batch->lines[batch->line_count++];
        struct timeout_command *command = &batch->commands[batch->command_count];
        *command = (struct timeout_command){0};
        if (timeout_read(&call->memory, line, command, &entry->refusal)) {
            entry->command = batch->command_count++;
        } else if (call->memory.exhausted) {
            call_fail(call, ERR_UNAVAILABLE, "there is no memory for this batch");
            return false;
        }
    }
    return true;
}

/* All commands as one record. False: answered. */
static bool batch_encode(struct call *call)
{
    struct timeout_batch *batch = call->timeout_batch;
    size_t size = RECORD_HEADER_BYTES + TIMEOUT_HEADER_BYTES;
    for (uint32_t i = 0; i < batch->command_count; i++) {
        size += timeout_command_bytes_max(&batch->commands[i]);
    }
    if (!budget_take(&call->api->held, size)) {
        call_fail(call, ERR_OVERLOADED, BUDGET_REFUSAL);
        return false;
    }
    batch->bytes_held += size;
    batch->record = buf_of(malloc(size), size);
    if (batch->record.data == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this batch");
        return false;
    }
    size_t body = timeouts_begin(&batch->record, batch->command_count);
    for (uint32_t i = 0; i < batch->command_count; i++) {
        const struct timeout_command *command = &batch->commands[i];
        timeout_command_put(&batch->record, command, timeouts_partition(call, command->key));
    }
    record_end(&batch->record, body);
    CHECK(!batch->record.overflow);
    return true;
}

static void put_problem_members(struct out *out, const struct problem *problem)
{
    out_member(out, "type");
    out_text(out, "\"urn:tidemark:problem:");
    out_text(out, err_name(problem->err));
    out_text(out, "\"");
    out_member(out, "title");
    out_string_text(out, err_text(problem->err));
    out_member(out, "detail");
    out_string_text(out, problem->detail != NULL ? problem->detail : err_text(problem->err));
    if (problem->member.data != NULL) {
        out_member(out, "member");
        out_string(out, problem->member);
    }
}

static void put_refused(struct out *out, const struct refusal *refusal)
{
    const struct problem problem = {
        .err = refusal->err, .detail = refusal->detail, .member = refusal->member};
    out_member(out, "status");
    out_i64(out, err_status(refusal->err));
    if (refusal->id.data != NULL) {
        out_member(out, "key");
        out_string(out, refusal->id);
    }
    put_problem_members(out, &problem);
}

static void put_decided(struct out *out,
                        const struct timeout_command *command,
                        const struct timeout_result *result)
{
    int status = 0;
    enum err err = timeout_outcome_err(result->outcome, &status);
    out_member(out, "op");
    out_string_text(out, timeout_op_text(command->op));
    out_member(out, "status");
    out_i64(out, err == OK ? status : err_status(err));
    if (err == OK) {
        timeout_put_members(out, command->key, &result->object, (struct bytes){0});
        return;
    }
    const struct problem problem = {.err = err};
    out_member(out, "key");
    out_string(out, command->key);
    put_problem_members(out, &problem);
    timeout_put_problem(out, &(struct timeout_named){.key = command->key}, result);
}

static void batch_answer(struct call *call)
{
    const struct timeout_batch *batch = call->timeout_batch;
    struct out *out = &call->api->out;
    struct answer answer;
    answer_init(&answer, 200, "application/x-ndjson");
    if (batch->command_count > 0) {
        answer_as_of(&answer, call->proposal->as_of);
    }
    out_clear(out);
    for (uint32_t i = 0; i < batch->line_count; i++) {
        const struct batch_line *line = &batch->lines[i];
        out_text(out, "{\"index\":");
        out_u64(out, i);
        if (line->refusal.err != OK) {
            put_refused(out, &line->refusal);
        } else {
            put_decided(out, &batch->commands[line->command], &batch->results[line->command]);
        }
        out_text(out, "}\n");
    }
    call_answer(call, &answer);
}

static void batch_back(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    if (proposal->err != OK) {
        call_fail(call, proposal->err, proposal->detail);
        return;
    }
    batch_answer(call);
}

static void batch_propose(struct call *call)
{
    struct timeout_batch *batch = call->timeout_batch;
    struct proposal *proposal = call_proposal(call, PROPOSE_TIMEOUTS);
    if (proposal == NULL) {
        return;
    }
    proposal->records = buf_bytes(&batch->record);
    proposal->event_count = batch->command_count;
    proposal->results = batch->results;
    call_propose(call, batch_back);
}

void timeouts_batch(struct call *call)
{
    struct bytes text = buf_bytes(&call->body.whole);
    uint32_t lines = lines_count(text);
    if (lines > TIMEOUT_COMMANDS_MAX) {
        call_fail(call, ERR_LIMIT, "a batch has at most 10,000 operations; nothing was done");
        return;
    }
    if (lines == 0) {
        call_fail(call, ERR_UNPROCESSABLE, "the batch has no operations");
        return;
    }
    if (!batch_create(call, lines) || !batch_read(call, text)) {
        return;
    }
    CHECK(call->timeout_batch->line_count == lines);
    if (call->timeout_batch->command_count == 0) {
        batch_answer(call);
    } else if (batch_encode(call)) {
        batch_propose(call);
    }
}
