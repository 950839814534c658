/* One timeout: commands on it, and reading it.
 *
 *   command  body ─► timeout_read ─► one record of one command ─► propose ─► its result ─► answer
 *                                                                                └► read its data ─┘
 *   read     ask the runners; the key's owner answers
 *
 * A command comes back when it is durable and applied by its owner, so a read that begins after its
 * answer shows it: both are decided by one thread, in the order of the log.
 *
 * Results don't carry data, so where a timeout has some that the command did not bring itself, it is read
 * behind it: when something else has changed the timeout meanwhile, the answer leaves data out, as it is
 * about the version that the command saw.
 *
 * Sending a command twice is safe without any memory of requests: the key says which timeout is meant,
 * and a create with the same parameters, or a second end of the same kind, finds itself done. */
#include "api/timeouts.h"

#include "api/config.h"
#include "api/problem.h"
#include "api/stats.h"
#include "api/timeout_read.h"
#include "api/timeout_text.h"
#include "base/check.h"
#include "host/timeout_rows.h"

/* So long a command's answer waits for the data that it shows. */
#define DATA_WAIT_US US_PER_SECOND

/* A command under way, in the call's memory. */
struct timeout_write {
    struct timeout_command command;
    struct timeout_result result;
    uint8_t record[];
};

bool timeout_query_refused(struct call *call)
{
    const char *detail = NULL;
    enum err err = query_err(call->query, &detail);
    if (err == ERR_UNKNOWN_RULE) {
        call_fail_member(call, err, BYTES("rule"), NULL);
    } else if (err != OK) {
        call_fail(call, err, detail);
    }
    return err != OK;
}

/* Commands reach explicit timeouts alone. False: answered. */
static bool rule_absent(struct call *call)
{
    if (params_find(&call->params, "rule").data == NULL) {
        return true;
    }
    call_fail_member(call,
                     ERR_UNPROCESSABLE,
                     BYTES("rule"),
                     "events end what a rule began, not commands: send one that its EXPECT, "
                     "HEARTBEAT or CANCEL names");
    return false;
}

uint32_t timeouts_partition(const struct call *call, struct bytes key)
{
    const struct gateway_facts *facts = gateway_facts(call->api->gateway);
    return timeout_partition(timeout_hash(key, facts->seed), facts->partitions);
}

/* What to show of the data: what this create sent is what is kept, unless something else was there. */
static struct bytes data_known(const struct timeout_command *command, enum timeout_outcome outcome)
{
    bool ours = command->op == TIMEOUT_CREATE &&
                (outcome == TIMEOUT_CREATED ||
                 (outcome == TIMEOUT_UNCHANGED && command->on_exists != TIMEOUT_RETURN));
    return ours ? command->data : (struct bytes){0};
}

/* Whether what is there is what this command asked for, as far as it shows. */
static bool is_same(const struct timeout_command *command, const struct timeout_object *object)
{
    if (command->op != TIMEOUT_CREATE || command->on_exists != TIMEOUT_RETURN) {
        return true; /* else the engine had said that it differs */
    }
    bool deadline = command->has_deadline
                        ? !object->has_within && command->deadline == object->deadline
                        : object->has_within && command->within_us == object->within_us;
    bool event_time = command->has_event_time == object->has_event_time &&
                      (!command->has_event_time || command->event_time.us == object->event_time.us);
    return deadline && event_time && command->clock == object->clock &&
           object->state == TIMEOUT_PENDING;
}

static void answer_problem(struct call *call, enum err err, struct bytes data)
{
    const struct timeout_write *write = call->timeout_write;
    struct out extra = {0};
    timeout_put_problem(&extra, write->command.key, &write->result, data);
    const struct problem problem = {
        .err = err,
        .extra = extra.buf.overflow ? (struct bytes){0} : buf_bytes(&extra.buf),
    };
    call_refuse(call, &problem);
    out_free(&extra);
}

/* The owner's row; false: nobody has the key. */
static bool row_find(const struct query *query, struct timeout_row *row)
{
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[n].rows));
        if (timeout_row_next(&rows, row) && row->object.state != TIMEOUT_ABSENT) {
            return true;
        }
        CHECK(!rows.bad); /* a runner wrote them */
    }
    return false;
}

/* Answers the command; data NULL: there is none, or it is not known. */
static void write_answer(struct call *call, struct bytes data)
{
    const struct proposal *proposal = call->proposal;
    const struct timeout_write *write = call->timeout_write;
    const struct timeout_object *object = &write->result.object;
    int status = 0;
    enum err err = timeout_outcome_err(write->result.outcome, &status);
    if (err != OK) {
        answer_problem(call, err, data);
        return;
    }
    struct out *out = &call->api->out;
    struct answer answer;
    answer_init(&answer, status, "application/json");
    answer_version_tag(&answer, object->version);
    answer_as_of(&answer, proposal->as_of);
    if (write->result.outcome == TIMEOUT_UNCHANGED && is_same(&write->command, object)) {
        answer_field(&answer, "Idempotent-Replayed", BYTES("true"));
    }
    out_clear(out);
    out_char(out, '{');
    timeout_put_members(out, write->command.key, object, data);
    out_char(out, '}');
    call_answer(call, &answer);
}

static void data_back(struct call *call)
{
    const struct timeout_object *object = &call->timeout_write->result.object;
    const char *detail = NULL;
    struct timeout_row row;
    bool same = query_err(call->query, &detail) == OK && row_find(call->query, &row) &&
                row.object.generation == object->generation &&
                row.object.version == object->version;
    write_answer(call, same ? row.data : (struct bytes){0});
}

/* What was decided is answered whether or not its data can be had. */
static void data_ask(struct call *call)
{
    struct bytes key = call->timeout_write->command.key;
    struct query *query = call_query(call, QUERY_TIMEOUT);
    if (query == NULL) {
        return;
    }
    query->key = key;
    query->partition = timeouts_partition(call, key);
    query->deadline.us = gateway_now(call->api->gateway).us + DATA_WAIT_US;
    if (call_try_runners(call, data_back) != OK) {
        write_answer(call, (struct bytes){0});
    }
}

static void write_back(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    const struct timeout_write *write = call->timeout_write;
    if (proposal->err != OK) {
        call_fail(call, proposal->err, proposal->detail);
        return;
    }
    struct bytes data = data_known(&write->command, write->result.outcome);
    bool shown =
        write->result.outcome != TIMEOUT_UNANSWERED && write->result.object.state != TIMEOUT_ABSENT;
    if (shown && write->result.object.has_data && data.len == 0) {
        data_ask(call);
    } else {
        write_answer(call, data);
    }
}

/* If-Match and If-None-Match as the command's condition. */
static bool condition_read(struct call *call, struct timeout_command *command)
{
    return config_version(call, &command->has_version, &command->version);
}

static void write_propose(struct call *call, const struct timeout_command *command)
{
    size_t size = RECORD_HEADER_BYTES + TIMEOUT_HEADER_BYTES + timeout_command_bytes_max(command);
    struct timeout_write *write = memory_take(&call->memory, sizeof(*write) + size);
    if (write == NULL) {
        call_fail(call, memory_err(&call->memory), "there is no memory for this command");
        return;
    }
    struct proposal *proposal = call_proposal(call, PROPOSE_TIMEOUTS);
    if (proposal == NULL) {
        return;
    }
    write->command = *command;
    write->result = (struct timeout_result){.outcome = TIMEOUT_UNANSWERED};
    struct buf record = buf_of(write->record, size);
    size_t body = timeouts_begin(&record, 1);
    timeout_command_put(&record, command, timeouts_partition(call, command->key));
    record_end(&record, body);
    CHECK(!record.overflow);
    proposal->records = buf_bytes(&record);
    proposal->event_count = 1;
    proposal->results = &write->result;
    call->timeout_write = write;
    call_propose(call, write_back);
}

static bool key_check(struct call *call)
{
    const char *detail = NULL;
    if (timeout_key_valid(call->name, &detail)) {
        return true;
    }
    call_fail_member(call, ERR_UNPROCESSABLE, BYTES("key"), detail);
    return false;
}

static void command_run(struct call *call, enum timeout_op op)
{
    struct timeout_command command = {.op = op, .key = call->name};
    struct refusal refusal;
    struct bytes text = buf_bytes(&call->body.whole);
    if (op != TIMEOUT_CREATE && (!rule_absent(call) || !key_check(call))) {
        return;
    }
    text = op != TIMEOUT_CREATE && text.len == 0 ? BYTES("{}") : text;
    if (!timeout_read(&call->memory, text, &command, &refusal)) {
        call_fail_member(call, refusal.err, refusal.member, refusal.detail);
        return;
    }
    if (condition_read(call, &command)) {
        write_propose(call, &command);
    }
}

void timeouts_create(struct call *call)
{
    command_run(call, TIMEOUT_CREATE);
}

void timeouts_complete(struct call *call)
{
    command_run(call, TIMEOUT_COMPLETE);
}

void timeouts_cancel(struct call *call)
{
    command_run(call, TIMEOUT_CANCEL);
}

void timeouts_heartbeat(struct call *call)
{
    command_run(call, TIMEOUT_HEARTBEAT);
}

static void get_back(struct call *call)
{
    struct timeout_row row;
    if (timeout_query_refused(call)) {
        return;
    }
    if (!row_find(call->query, &row)) {
        call_fail(call, ERR_UNKNOWN_TIMEOUT, NULL);
        return;
    }
    struct out *out = &call->api->out;
    struct answer answer;
    answer_init(&answer, 200, "application/json");
    answer_version_tag(&answer, row.object.version);
    answer_field(&answer, "Cache-Control", BYTES("no-cache"));
    out_clear(out);
    out_char(out, '{');
    timeout_put_members(out, call->name, &row.object, row.data);
    out_char(out, '}');
    call_answer(call, &answer);
}

void timeouts_get(struct call *call)
{
    struct bytes consistency = params_find(&call->params, "consistency");
    if (consistency.data != NULL && !bytes_equal(consistency, BYTES("eventual")) &&
        !bytes_equal(consistency, BYTES("linearizable"))) {
        call_fail_member(call,
                         ERR_UNPROCESSABLE,
                         BYTES("consistency"),
                         "it is linearizable (the default) or eventual");
        return;
    }
    struct bytes rule = params_find(&call->params, "rule");
    if (rule.data != NULL) {
        timeout_instances_get(call, rule);
        return;
    }
    if (!key_check(call)) {
        return;
    }
    struct query *query = call_query(call, QUERY_TIMEOUT);
    if (query != NULL) {
        query->key = call->name;
        query->partition = timeouts_partition(call, call->name);
        call_ask_runners(call, get_back);
    }
}
