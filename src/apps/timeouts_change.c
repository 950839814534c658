/* tidemark timeouts create, complete, cancel and heartbeat: one command, durable when it returns, and
 * what became of it in a sentence.
 *
 *     create     POST /v1/timeouts                 {"key","within"|"deadline","clock","data",...}
 *     others     POST /v1/timeouts/KEY/VERB        {"extend","event_time","generation"}           */
#include "apps/timeouts.h"

#include "apps/answer_json.h"
#include "apps/say.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define TARGET_MAX    2000
#define BODY_OVERHEAD 4000 /* of all members but data; keys of 256 bytes included */

/* --- The body --- */

static void member(struct buf *body, const char *name)
{
    buf_put_text(body, body->len > 1 ? "," : "");
    json_put_string(body, bytes_of_string(name));
    buf_put_text(body, ":");
}

static void text_member(struct buf *body, const char *name, const char *text)
{
    if (text[0] != '\0') {
        member(body, name);
        json_put_string(body, bytes_of_string(text));
    }
}

static void duration_member(struct buf *body, const char *name, int64_t us)
{
    member(body, name);
    buf_put_text(body, "\"");
    duration_put(body, us);
    buf_put_text(body, "\"");
}

/* --data, from the command line alone: TIDEMARK_DATA is the server's directory. */
static const char *data_given(const struct timeouts_call *call)
{
    const struct setting *data = setting(call->settings, OPTION_TIMEOUT_DATA);
    return data->origin == ORIGIN_COMMAND_LINE ? data->text : "";
}

static void create_members(const struct timeouts_call *call, struct buf *body)
{
    const struct settings *settings = call->settings;
    text_member(body, "key", call->key);
    if (setting_given(settings, OPTION_WITHIN)) {
        duration_member(body, "within", setting_number(settings, OPTION_WITHIN));
    }
    text_member(body, "deadline", setting_text(settings, OPTION_DEADLINE));
    text_member(body, "clock", setting_text(settings, OPTION_TIMEOUT_CLOCK));
    text_member(body, "on_exists", setting_text(settings, OPTION_ON_EXISTS));
    if (data_given(call)[0] != '\0') {
        member(body, "data");
        buf_put_text(body, data_given(call));
    }
}

static void body_put(const struct timeouts_call *call, bool create, struct buf *body)
{
    const struct settings *settings = call->settings;
    buf_put_text(body, "{");
    if (create) {
        create_members(call, body);
    } else if (setting_given(settings, OPTION_EXTEND) && strcmp(call->verb, "heartbeat") == 0) {
        duration_member(body, "extend", setting_number(settings, OPTION_EXTEND));
    }
    text_member(body, "event_time", setting_text(settings, OPTION_EVENT_TIME));
    if (!create && setting_given(settings, OPTION_GENERATION)) {
        member(body, "generation");
        i64_put(body, setting_number(settings, OPTION_GENERATION));
    }
    buf_put_text(body, "}");
}

/* --- The answer --- */

static void deadline_say(const struct timeouts_call *call, struct bytes object, const char *key)
{
    char text[80];
    char moment[120];
    struct buf time = buf_of(text, sizeof(text));
    struct buf out = buf_of(moment, sizeof(moment));
    const struct timeouts_clock unknown = {.known = false};
    int64_t us = 0;
    if (timeouts_time(object, "deadline", &us)) {
        timeouts_time_put(&time, us);
    }
    timeouts_state_put(&out, object, call, &unknown);
    say("%s is due at %.*s, %.*s\n", key, (int)time.len, text, (int)out.len, moment);
}

static void created_say(const struct timeouts_call *call,
                        const struct http_client_response *response,
                        const char *state)
{
    struct json_value late;
    const char *key = call->key;
    bool born_late = json_member(response->body, "born_late", &late) && late.kind == JSON_TRUE;
    if (response->status == 201 && strcmp(state, "completed") == 0) {
        say("%s is completed: its completion had come before\n", key);
    } else if (strcmp(state, "pending") != 0) {
        say("%s was there already: it is %s\n", key, state);
    } else if (born_late) {
        say("%s fires at once: its deadline had passed\n", key);
    } else {
        say("%s", response->status == 200 ? "It was there already: " : "");
        deadline_say(call, response->body, key);
    }
}

static void changed_say(const struct timeouts_call *call,
                        const struct http_client_response *response)
{
    char state[32];
    const char *key = call->key;
    bool again = http_reply_field(&response->head, "Idempotent-Replayed").data != NULL;
    json_member_text(response->body, "state", state, sizeof(state));
    if (strcmp(call->verb, "create") == 0) {
        created_say(call, response, state);
    } else if (response->status == 202) {
        say("%s is not there yet: a create that comes later finds itself completed\n", key);
    } else if (strcmp(state, "pending") == 0) {
        deadline_say(call, response->body, key);
    } else {
        say("%s %s %s\n", key, again ? "was already" : "is", state);
    }
}

static int ask(const struct timeouts_call *call, const char *target, struct bytes body)
{
    struct http_client_response response;
    const struct http_client_request request = {
        .method = "POST",
        .target = target,
        .content_type = "application/json",
        .body = body,
    };
    int code = server_ask(call->server, &request, &response);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (response.status >= 300) {
        return timeouts_refused(call, &response);
    }
    if (!json_text_valid(response.body)) {
        complain("the server answered with something that is not JSON");
        return EXIT_CODE_UNREACHABLE;
    }
    if (setting_flag(call->settings, OPTION_JSON)) {
        say_bytes(response.body);
        say("\n");
    } else {
        changed_say(call, &response);
    }
    return EXIT_CODE_OK;
}

/* What is wrong with the options, told before the server is asked. */
static bool options_good(const struct timeouts_call *call, bool create)
{
    const struct settings *settings = call->settings;
    const char *data = data_given(call);
    bool within = setting_given(settings, OPTION_WITHIN);
    bool deadline = setting_given(settings, OPTION_DEADLINE);
    if (create && within == deadline) {
        complain("timeouts create needs %s --within 15m or --deadline 2026-01-01T00:00:00Z",
                 within ? "only one of" : "either");
        return false;
    }
    if (data[0] != '\0' &&
        (!utf8_valid(bytes_of_string(data)) || !json_text_valid(bytes_of_string(data)))) {
        complain("--data: \"%.60s\" is no JSON; a text needs its double quotes", data);
        return false;
    }
    return true;
}

int timeouts_change(const struct timeouts_call *call)
{
    char target[TARGET_MAX];
    struct buf target_out = buf_of(target, sizeof(target));
    bool create = strcmp(call->verb, "create") == 0;
    if (!options_good(call, create)) {
        return EXIT_CODE_USAGE;
    }
    size_t cap = BODY_OVERHEAD + 6 * strlen(call->key) + strlen(data_given(call));
    char *memory = malloc(cap);
    if (memory == NULL) {
        complain("there is no memory left");
        return EXIT_CODE_NO_MEMORY;
    }
    struct buf body = buf_of(memory, cap);
    body_put(call, create, &body);
    if (create) {
        buf_put_text(&target_out, "/v1/timeouts");
    } else {
        timeouts_key_path(&target_out, call->key);
        buf_put_text(&target_out, "/");
        buf_put_text(&target_out, call->verb);
        timeouts_parameter(&target_out, "rule", setting_text(call->settings, OPTION_RULE));
    }
    buf_put_u8(&target_out, 0);
    int code = EXIT_CODE_USAGE;
    if (body.overflow || target_out.overflow) {
        complain("the key or an option is too long");
    } else {
        code = ask(call, target, buf_bytes(&body));
    }
    free(memory);
    return code;
}
