/* Reading small objects strictly: see config.h. A typing error must never be a silent default. */
#include "api/config.h"

#include "api/problem.h"
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>

static struct config_member *
member_find(struct config_member *members, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(bytes_of_string(members[i].name), name)) {
            return &members[i];
        }
    }
    return NULL;
}

/* The content without escapes; data is NULL when there is no memory. */
static struct bytes plain_text(struct call *call, const struct json_value *value)
{
    if (!value->escaped) {
        return memory_copy(&call->memory, value->content);
    }
    uint8_t *memory = memory_take(&call->memory, value->content.len);
    if (memory == NULL) {
        return (struct bytes){0};
    }
    struct buf plain = buf_of(memory, value->content.len);
    json_unescape(value->content, &plain);
    return buf_bytes(&plain);
}

static bool has_memory(struct call *call, struct bytes text)
{
    if (text.data == NULL) {
        call_fail(call, memory_err(&call->memory), "there is no memory for these settings");
    }
    return text.data != NULL;
}

static bool take(struct call *call, struct config_member *member, const struct json_value *value)
{
    struct bytes name = bytes_of_string(member->name);
    bool right = member->is_bool ? value->kind == JSON_TRUE || value->kind == JSON_FALSE
                                 : value->kind == JSON_STRING;
    if (member->given) {
        call_fail_member(call, ERR_DUPLICATE_MEMBER, name, NULL);
        return false;
    }
    if (!right) {
        call_fail_member(call,
                         ERR_UNPROCESSABLE,
                         name,
                         member->is_bool ? "it must be true or false" : "it must be a string");
        return false;
    }
    member->given = true;
    member->value = value->kind == JSON_TRUE;
    if (!member->is_bool) {
        member->text = plain_text(call, value);
        return has_memory(call, member->text);
    }
    return true;
}

static void
fail_unknown(struct call *call, struct config_member *members, size_t count, struct bytes name)
{
    char known[160] = "known members: ";
    size_t len = strlen(known);
    for (size_t i = 0; i < count && len < sizeof(known); i++) {
        int more =
            snprintf(known + len, sizeof(known) - len, "%s%s", i == 0 ? "" : ", ", members[i].name);
        len += more > 0 ? (size_t)more : 0;
    }
    call_fail_member(call, ERR_UNKNOWN_MEMBER, name, known);
}

static bool
members_read(struct call *call, struct bytes object, struct config_member *members, size_t count)
{
    struct json_scanner scanner = json_scanner_of(object);
    bool more = true;
    CHECK(json_object_begin(&scanner) == OK);
    while (more) {
        struct json_value name;
        struct json_value value;
        CHECK(json_object_next(&scanner, &name, &more) == OK);
        if (!more) {
            break;
        }
        CHECK(json_value(&scanner, &value) == OK);
        struct bytes text = plain_text(call, &name);
        if (!has_memory(call, text)) {
            return false;
        }
        struct config_member *member = member_find(members, count, text);
        if (member == NULL) {
            fail_unknown(call, members, count, text);
            return false;
        }
        if (!take(call, member, &value)) {
            return false;
        }
    }
    return true;
}

/* The whole text is checked before any member is looked at: that it is not JSON comes first. */
bool config_read(struct call *call, struct config_member *members, size_t count)
{
    struct json_scanner scanner = json_scanner_of(buf_bytes(&call->body.whole));
    struct json_value whole;
    enum err err = json_whole(&scanner, &whole);
    if (err != OK) {
        char detail[80];
        (void)snprintf(detail, sizeof(detail), "at byte %zu", (size_t)(scanner.at - scanner.begin));
        call_fail(call, err, detail);
        return false;
    }
    if (whole.kind != JSON_OBJECT) {
        call_fail(call, ERR_UNPROCESSABLE, "the body must be a JSON object");
        return false;
    }
    return members_read(call, whole.text, members, count);
}

bool config_duration(struct call *call,
                     const struct config_member *member,
                     int64_t max_us,
                     int64_t *us)
{
    if (!member->given) {
        return true;
    }
    if (duration_parse(member->text, us) != OK || *us > max_us) {
        call_fail_member(call,
                         ERR_DURATION,
                         bytes_of_string(member->name),
                         "it must be an ISO 8601 duration such as PT5S, of at most 366 days");
        return false;
    }
    return true;
}

static bool time_good(struct call *call, const char *name, enum err err)
{
    if (err != OK) {
        call_fail_member(call, ERR_UNPROCESSABLE, bytes_of_string(name), TIME_ADVICE);
    }
    return err == OK;
}

bool config_time(struct call *call, const struct config_member *member, int64_t *us)
{
    return !member->given || time_good(call, member->name, timestamp_parse(member->text, us));
}

bool config_time_param(struct call *call, const char *name, int64_t *us)
{
    return time_good(call, name, params_time(&call->params, name, us));
}

bool config_condition(struct call *call, struct condition *condition)
{
    const struct if_match *read = &call->if_match;
    if (read->refusal != NULL) {
        call_fail(call, ERR_UNPROCESSABLE, read->refusal);
        return false;
    }
    if (read->condition.kind == CONDITION_LISTED && read->condition.count == 0) {
        call_fail(call, ERR_PRECONDITION, "no object here has that entity tag");
        return false;
    }
    *condition = read->condition;
    return true;
}

bool config_dry_run(struct call *call, bool *dry_run)
{
    if (params_bool(&call->params, "dry_run", dry_run) != OK) {
        call_fail_member(call, ERR_UNPROCESSABLE, BYTES("dry_run"), "it is true or false");
        return false;
    }
    return true;
}

void config_define(struct call *call,
                   enum proposal_kind kind,
                   struct bytes definition,
                   void (*then)(struct call *call))
{
    struct proposal *proposal = call_proposal(call, kind);
    if (proposal != NULL && config_condition(call, &proposal->condition)) {
        proposal->name = call->name;
        proposal->definition = definition;
        proposal->mode = DEFINE_PUT;
        call_propose(call, then);
    }
}

static void dropped(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    if (proposal->err != OK) {
        call_fail(call, proposal->err, proposal->detail);
        return;
    }
    struct answer answer;
    answer_init(&answer, 204, NULL);
    answer_as_of(&answer, proposal->as_of);
    out_clear(&call->api->out);
    call_answer(call, &answer);
}

void config_drop(struct call *call, enum proposal_kind kind)
{
    struct proposal *proposal = call_proposal(call, kind);
    if (proposal != NULL && config_condition(call, &proposal->condition)) {
        proposal->name = call->name;
        call_propose(call, dropped);
    }
}
