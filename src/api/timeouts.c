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
 * With ?rule= a command is for what that rule began of the key: the rule's number is asked for first, and
 * the answer shows an instance, as it is shown by a read (timeout_instances.c).
 *
 * A command's record carries one version that it expects. If-Match: * and lists of tags are broken down
 * to that: the first guess goes into the log, and when it was wrong the result tells the version there is
 * instead, which is tried next if the condition names it, too. A command that found another version has
 * changed nothing, so only the last one counts, and what is answered was true when the log gave it its
 * place. Versions rise, so a list is at its end after one try more than it has tags.
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
#include "model/rule.h"

/* With so many versions a command is tried; then a key that others changed each time is given up. */
#define TRIES_MAX (CONDITION_VERSIONS_MAX + 1)

/* So long a command's answer waits for the data that it shows. */
#define DATA_WAIT_US US_PER_SECOND

/* A command under way, in the call's memory. */
struct timeout_write {
    struct timeout_command command;
    struct bytes rule; /* its name; data NULL: an explicit timeout is meant */
    struct timeout_result result;
    struct condition condition;
    uint32_t tries;
    size_t record_cap;
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
    timeout_put_problem(
        &extra, &(struct timeout_named){write->rule, write->command.key, data}, &write->result);
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
    if (write->rule.data == NULL) {
        answer_version_tag(&answer, object->version);
    }
    answer_as_of(&answer, proposal->as_of);
    if (write->result.outcome == TIMEOUT_UNCHANGED && is_same(&write->command, object)) {
        answer_field(&answer, "Idempotent-Replayed", BYTES("true"));
    }
    out_clear(out);
    out_char(out, '{');
    timeout_put_named(out, &(struct timeout_named){write->rule, write->command.key, data}, object);
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

/* Whether it was refused for its version, and the condition holds for the one that there is. */
static bool version_missed(const struct timeout_write *write)
{
    const struct timeout_object *object = &write->result.object;
    return write->result.outcome == TIMEOUT_OTHER_VERSION && object->state != TIMEOUT_ABSENT &&
           object->version != write->command.version &&
           condition_holds(&write->condition, object->version);
}

static void write_send(struct call *call);

static void write_back(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    struct timeout_write *write = call->timeout_write;
    if (proposal->err != OK) {
        call_fail(call, proposal->err, proposal->detail);
        return;
    }
    if (version_missed(write)) {
        write->command.version = write->result.object.version;
        write_send(call);
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

/* The version that the command is tried with first: of a list the newest, of any the one that a timeout is
 * created with. */
static uint64_t version_guess(const struct condition *condition)
{
    uint64_t newest = condition->kind == CONDITION_PRESENT ? 1 : 0;
    for (uint32_t i = 0; i < condition->count; i++) {
        newest = condition->versions[i] > newest ? condition->versions[i] : newest;
    }
    return newest;
}

/* Proposes the command as it is now. */
static void write_send(struct call *call)
{
    struct timeout_write *write = call->timeout_write;
    const struct timeout_command *command = &write->command;
    const struct gateway_facts *facts = gateway_facts(call->api->gateway);
    uint64_t hash = command->rule == 0
                        ? timeout_hash(command->key, facts->seed)
                        : timeout_rule_hash(command->rule, command->key, facts->seed);
    if (write->tries++ == TRIES_MAX) {
        call_fail(call,
                  ERR_UNAVAILABLE,
                  "the timeout changes too fast for this If-Match; nothing was done");
        return;
    }
    struct proposal *proposal = call_proposal(call, PROPOSE_TIMEOUTS);
    if (proposal == NULL) {
        return;
    }
    write->result = (struct timeout_result){.outcome = TIMEOUT_UNANSWERED};
    struct buf record = buf_of(write->record, write->record_cap);
    size_t body = timeouts_begin(&record, 1);
    timeout_command_put(&record, command, timeout_partition(hash, facts->partitions));
    record_end(&record, body);
    CHECK(!record.overflow);
    proposal->records = buf_bytes(&record);
    proposal->event_count = 1;
    proposal->results = &write->result;
    call_propose(call, write_back);
}

static void rule_back(struct call *call)
{
    const struct inspection *inspection = call->inspection;
    struct rule rule;
    if (inspection->err == ERR_UNKNOWN_RULE) {
        call_fail_member(call, ERR_UNKNOWN_RULE, BYTES("rule"), NULL);
        return;
    }
    if (inspection->err != OK) {
        call_fail(call, inspection->err, NULL);
        return;
    }
    CHECK(inspection->rule_count == 1);
    CHECK(rule_read(inspection->rules[0].definition, &rule)); /* the engine has it */
    if (rule.kind == RULE_SILENCE) {
        call_fail_member(call,
                         ERR_UNPROCESSABLE,
                         BYTES("rule"),
                         "a silence is not ended by commands: its next event begins it anew");
        return;
    }
    call->timeout_write->command.rule = inspection->rules[0].metric;
    write_send(call);
}

/* The rule of that name, for its number. */
static void rule_ask(struct call *call)
{
    const struct timeout_command *command = &call->timeout_write->command;
    if (command->generation > 0 || command->has_version) {
        call_fail_member(call,
                         ERR_UNPROCESSABLE,
                         command->has_version ? BYTES("If-Match") : BYTES("generation"),
                         "what a rule began is told apart by its start alone");
        return;
    }
    struct inspection *inspection = call_inspection(call, INSPECT_RULES);
    if (inspection != NULL) {
        inspection->name = call->timeout_write->rule;
        call_inspect(call, rule_back);
    }
}

/* Keeps the command until it is answered. False: it was answered already. */
static bool write_begin(struct call *call, const struct timeout_command *command, struct bytes rule)
{
    struct condition condition;
    if (!config_condition(call, &condition)) {
        return false;
    }
    size_t cap = RECORD_HEADER_BYTES + TIMEOUT_HEADER_BYTES + timeout_command_bytes_max(command);
    struct timeout_write *write = memory_take(&call->memory, sizeof(*write) + cap);
    if (write == NULL) {
        call_fail(call, memory_err(&call->memory), "there is no memory for this command");
        return false;
    }
    *write = (struct timeout_write){
        .command = *command, .rule = rule, .condition = condition, .record_cap = cap};
    write->command.has_version = condition.kind != CONDITION_NONE;
    write->command.version = version_guess(&condition);
    call->timeout_write = write;
    return true;
}

static bool key_check(struct call *call, struct bytes rule)
{
    const char *detail = NULL;
    bool good = rule.data == NULL ? timeout_key_valid(call->name, &detail)
                                  : call->name.len <= TIMEOUT_RULE_KEY_MAX;
    if (!good) {
        call_fail_member(call,
                         ERR_UNPROCESSABLE,
                         BYTES("key"),
                         rule.data == NULL ? detail : "a rule's key has at most 1024 bytes");
    }
    return good;
}

static void command_run(struct call *call, enum timeout_op op)
{
    struct timeout_command command = {.op = op, .key = call->name};
    struct bytes rule = params_find(&call->params, "rule");
    struct refusal refusal;
    struct bytes text = buf_bytes(&call->body.whole);
    if (op != TIMEOUT_CREATE && !key_check(call, rule)) {
        return;
    }
    text = op != TIMEOUT_CREATE && text.len == 0 ? BYTES("{}") : text;
    if (!timeout_read(&call->memory, text, &command, &refusal)) {
        call_fail_member(call, refusal.err, refusal.member, refusal.detail);
        return;
    }
    if (write_begin(call, &command, rule)) {
        (rule.data == NULL ? write_send : rule_ask)(call);
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
    if (!key_check(call, (struct bytes){0})) {
        return;
    }
    struct query *query = call_query(call, QUERY_TIMEOUT);
    if (query != NULL) {
        query->key = call->name;
        query->partition = timeouts_partition(call, call->name);
        call_ask_runners(call, get_back);
    }
}
