/* Problem bodies: see problem.h. `type` is for programs and never changes; `title` says what the
 * type means, `detail` what happened here; `line`, `column`, `hint` and `member` say where. */
#include "api/problem.h"

#include "base/check.h"

#define RETRY_AFTER_SECONDS "1"
#define RATE_LIMIT_POLICY   "\"engine\";q=1;w=1"
#define RATE_LIMIT          "\"engine\";r=0;t=1"

void problem_put(struct out *out, const struct problem *problem)
{
    CHECK(problem->err != OK);
    out_text(out, "{\"type\":\"urn:tidemark:problem:");
    out_text(out, err_name(problem->err));
    out_text(out, "\",\"title\":");
    out_string_text(out, err_text(problem->err));
    out_text(out, ",\"status\":");
    out_i64(out, err_status(problem->err));
    bool has_detail = problem->detail != NULL && problem->detail[0] != '\0';
    out_member(out, "detail");
    out_string_text(out, has_detail ? problem->detail : err_text(problem->err));
    if (problem->member.data != NULL) {
        out_member(out, "member");
        out_string(out, problem->member);
    }
    if (problem->line > 0) {
        out_member(out, "line");
        out_i64(out, problem->line);
        out_member(out, "column");
        out_i64(out, problem->column);
    }
    if (problem->hint != NULL && problem->hint[0] != '\0') {
        out_member(out, "hint");
        out_string_text(out, problem->hint);
    }
    if (problem->extra.len > 0) {
        out_char(out, ',');
        out_bytes(out, problem->extra);
    }
    out_char(out, '}');
}

void call_refuse(struct call *call, const struct problem *problem)
{
    if (!call_wanted(call)) {
        return;
    }
    struct answer answer;
    answer_init(&answer, err_status(problem->err), "application/problem+json");
    if (answer.status == 429 || answer.status == 503 || answer.status == 507 ||
        problem->err == ERR_KEY_IN_USE) {
        answer_field(&answer, "Retry-After", BYTES(RETRY_AFTER_SECONDS));
    }
    if (answer.status == 429) {
        answer_field(&answer, "RateLimit-Policy", BYTES(RATE_LIMIT_POLICY));
        answer_field(&answer, "RateLimit", BYTES(RATE_LIMIT));
    }
    if (problem->allow != NULL) {
        answer_field(&answer, "Allow", bytes_of_string(problem->allow));
    }
    answer.close = problem->close;
    out_clear(&call->api->out);
    problem_put(&call->api->out, problem);
    call_answer(call, &answer);
}

void call_fail(struct call *call, enum err err, const char *detail)
{
    const struct problem problem = {.err = err, .detail = detail};
    call_refuse(call, &problem);
}

void call_fail_member(struct call *call, enum err err, struct bytes member, const char *detail)
{
    const struct problem problem = {.err = err, .detail = detail, .member = member};
    call_refuse(call, &problem);
}
