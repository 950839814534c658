/* tidemark timeouts: choosing the subcommand; list and count; and what the others share.
 *
 *     key         state     deadline              due
 *     ────────────────────────────────────────────────────────────
 *     order-17    pending   2026-11-22 08:05:10   in 14 min 59 s
 *     order-18    fired     2026-11-22 07:49:02   fired 1 min 8 s ago
 *     UA1545      pending   2013-01-01 13:30      in 2 h 10 min of event time
 *
 * How long until a timeout by events is due is told by the watermark: that is the clock it waits for. */
#include "apps/timeouts.h"

#include "apps/answer_json.h"
#include "apps/rows.h"
#include "apps/say.h"
#include "apps/terminal.h"
#include "apps/timeouts_text.h"
#include "apps/units.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

#define US_PER_MS     1000
#define TARGET_MAX    8000
#define PAGE_ROWS     1000
#define CURSOR_BYTES  256
#define KEY_TEXT_MAX  257
#define REFUSAL_BYTES 1200

/* --- What the others share --- */

/* When what is there ended, or is due by the server's clock. */
static void when_put(struct buf *out, struct bytes current, int64_t now_us)
{
    int64_t us = 0;
    if (timeouts_time(current, "fired_at", &us) || timeouts_time(current, "ended", &us)) {
        moment_put(out, us, now_us);
    } else if (timeouts_time(current, "deadline", &us) && !timeouts_by_events(current)) {
        buf_put_text(out, "due ");
        moment_put(out, us, now_us);
    }
    buf_put_u8(out, 0);
}

int timeouts_refused(const struct timeouts_call *call, const struct http_client_response *response)
{
    char type[120];
    char state[32];
    char when[80];
    char text[REFUSAL_BYTES];
    struct json_value current = {.text = BYTES("{}")};
    struct buf when_out = buf_of(when, sizeof(when));
    struct buf out = buf_of(text, sizeof(text));
    int code = problem_exit_code(response->status);
    if (!json_text_valid(response->body)) {
        return problem_complain(response, (struct bytes){0});
    }
    (void)json_member(response->body, "current", &current);
    json_member_text(response->body, "type", type, sizeof(type));
    json_member_text(current.text, "state", state, sizeof(state));
    when_put(&when_out, current.text, call->now_us);
    const struct timeout_refusal refusal = {
        .type = type,
        .key = call->key != NULL ? call->key : "",
        .rule = setting_text(call->settings, OPTION_RULE),
        .state = state,
        .generation = json_member_number(current.text, "generation", 0),
        .when = when,
    };
    if (!refusal_put(&out, &refusal)) {
        return problem_complain(response, (struct bytes){0});
    }
    complain("%.*s", (int)out.len, text);
    return code;
}

int timeouts_fetch(const struct timeouts_call *call,
                   const char *target,
                   struct http_client_response *response)
{
    const struct http_client_request request = {.method = "GET", .target = target};
    int code = server_ask(call->server, &request, response);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (response->status != 200) {
        return timeouts_refused(call, response);
    }
    if (!json_text_valid(response->body)) {
        complain("the server answered with something that is not JSON");
        return EXIT_CODE_UNREACHABLE;
    }
    return EXIT_CODE_OK;
}

void timeouts_parameter(struct buf *target, const char *name, const char *value)
{
    if (value[0] == '\0') {
        return;
    }
    bool first = memchr(target->data, '?', target->len) == NULL;
    buf_put_text(target, first ? "?" : "&");
    buf_put_text(target, name);
    buf_put_text(target, "=");
    http_put_encoded(target, bytes_of_string(value));
}

void timeouts_key_path(struct buf *target, const char *key)
{
    buf_put_text(target, "/v1/timeouts/");
    http_put_encoded(target, bytes_of_string(key));
}

int timeouts_watermark(const struct timeouts_call *call, struct timeouts_clock *clock)
{
    struct http_client_response response;
    *clock = (struct timeouts_clock){.known = false};
    int code = timeouts_fetch(call, "/v1/watermark", &response);
    if (code == EXIT_CODE_OK) {
        clock->known = timeouts_time(response.body, "watermark", &clock->us);
    }
    return code;
}

bool timeouts_time(struct bytes object, const char *name, int64_t *us)
{
    struct json_value value;
    return json_member(object, name, &value) && value.kind == JSON_STRING &&
           timestamp_parse(value.content, us) == OK;
}

void timeouts_time_put(struct buf *out, int64_t us)
{
    char text[40];
    char shorter[40];
    struct buf full = buf_of(text, sizeof(text));
    timestamp_put(&full, us - us % US_PER_MS);
    buf_put(out, shorter, short_time(buf_bytes(&full), shorter));
}

bool timeouts_by_events(struct bytes object)
{
    char clock[16];
    json_member_text(object, "clock", clock, sizeof(clock));
    return strcmp(clock, "event") == 0;
}

void timeouts_state_put(struct buf *out,
                        struct bytes object,
                        const struct timeouts_call *call,
                        const struct timeouts_clock *watermark)
{
    char state[32];
    int64_t us = 0;
    bool events = timeouts_by_events(object);
    json_member_text(object, "state", state, sizeof(state));
    if (timeouts_time(object, "ended", &us) || timeouts_time(object, "retracted_at", &us) ||
        timeouts_time(object, "fired_at", &us)) {
        buf_put_text(out, state);
        buf_put_text(out, " ");
        moment_put(out, us, call->now_us);
    } else if (!timeouts_time(object, "deadline", &us)) {
        buf_put_text(out, state);
    } else if (!events) {
        moment_put(out, us, call->now_us);
    } else if (watermark->known) {
        moment_put(out, us, watermark->us);
        buf_put_text(out, " of event time");
    } else {
        buf_put_text(out, "by event time");
    }
}

/* --- list --- */

struct list {
    const struct timeouts_call *call;
    struct table table;
    struct timeouts_clock watermark;
    char due_before[40];
    char cursor[CURSOR_BYTES];
};

/* --due-before: a time, or so long from now. */
static bool due_before_read(struct list *list)
{
    const char *text = setting_text(list->call->settings, OPTION_DUE_BEFORE);
    struct buf out = buf_of(list->due_before, sizeof(list->due_before) - 1);
    int64_t us = 0;
    if (text[0] == '\0') {
        return true;
    }
    if (duration_amount_parse(bytes_of_string(text), &us)) {
        us += list->call->now_us;
    } else if (timestamp_parse(bytes_of_string(text), &us) != OK) {
        complain(
            "--due-before: \"%.60s\" is neither a time such as 2026-01-01T00:00:00Z nor a "
            "duration such as 15m",
            text);
        return false;
    }
    timestamp_put(&out, us);
    list->due_before[out.len] = '\0';
    return true;
}

static void list_target(const struct list *list, size_t limit, struct buf *target)
{
    const struct settings *settings = list->call->settings;
    buf_put_text(target, "/v1/timeouts?limit=");
    u64_put(target, limit);
    timeouts_parameter(target, "state", setting_text(settings, OPTION_STATE));
    timeouts_parameter(target, "prefix", setting_text(settings, OPTION_PREFIX));
    timeouts_parameter(target, "due_before", list->due_before);
    timeouts_parameter(target, "rule", setting_text(settings, OPTION_RULE));
    timeouts_parameter(target, "cursor", list->cursor);
    buf_put_u8(target, 0);
}

static void text_cell(struct table *table, struct bytes object, const char *name)
{
    char text[KEY_TEXT_MAX];
    json_member_text(object, name, text, sizeof(text));
    table_cell(table, CELL_TEXT, bytes_of_string(text));
}

static void row_add(struct list *list, struct bytes object)
{
    char text[120];
    struct buf out = buf_of(text, sizeof(text));
    int64_t deadline_us = 0;
    text_cell(&list->table, object, "key");
    text_cell(&list->table, object, "state");
    if (timeouts_time(object, "deadline", &deadline_us)) {
        timeouts_time_put(&out, deadline_us);
        table_cell(&list->table, CELL_TEXT, buf_bytes(&out));
    } else {
        table_cell(&list->table, CELL_NULL, BYTES("none"));
    }
    out.len = 0;
    timeouts_state_put(&out, object, list->call, &list->watermark);
    table_cell(&list->table, CELL_TEXT, buf_bytes(&out));
}

/* The rows of one page; returns how many. */
static size_t rows_take(struct list *list, struct bytes items)
{
    bool json = setting_flag(list->call->settings, OPTION_JSON);
    struct json_walk walk = json_walk_of(items);
    struct json_value name;
    struct json_value item;
    size_t count = 0;
    for (; json_walk_next(&walk, &name, &item); count++) {
        if (json) {
            say_bytes(item.text);
            say("\n");
        } else {
            row_add(list, item.text);
        }
    }
    return count;
}

/* Asks for one page; *count: its rows. */
static int page_ask(struct list *list, size_t limit, size_t *count)
{
    char target[TARGET_MAX];
    struct buf out = buf_of(target, sizeof(target));
    struct http_client_response response;
    struct json_value items = {.text = BYTES("[]")};
    list_target(list, limit, &out);
    if (out.overflow) {
        complain("the question is too long");
        return EXIT_CODE_USAGE;
    }
    int code = timeouts_fetch(list->call, target, &response);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    (void)json_member(response.body, "items", &items);
    *count = rows_take(list, items.text);
    json_member_text(response.body, "next_cursor", list->cursor, sizeof(list->cursor));
    return EXIT_CODE_OK;
}

static void list_print(const struct list *list)
{
    struct terminal terminal = terminal_look(STDOUT_FILENO);
    const struct table_style style = {.colours = terminal.colours,
                                      .width = terminal.present ? terminal.width : 0};
    size_t rows = table_rows(&list->table);
    if (setting_flag(list->call->settings, OPTION_JSON)) {
        return;
    }
    (void)table_print(&list->table, &style);
    say("(%zu timeout%s%s)\n",
        rows,
        rows == 1 ? "" : "s",
        list->cursor[0] != '\0' ? ", more with --limit" : "");
}

static int list_show(const struct timeouts_call *call)
{
    static const char *const heads[] = {"key", "state", "deadline", "due"};
    struct list list = {.call = call};
    size_t left = (size_t)setting_number(call->settings, OPTION_LIMIT);
    int code = EXIT_CODE_OK;
    if (!due_before_read(&list)) {
        return EXIT_CODE_USAGE;
    }
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        table_head(&list.table, bytes_of_string(heads[i]));
    }
    if (!setting_flag(call->settings, OPTION_JSON)) {
        code = timeouts_watermark(call, &list.watermark);
    }
    while (code == EXIT_CODE_OK && left > 0) {
        size_t count = 0;
        code = page_ask(&list, left < PAGE_ROWS ? left : PAGE_ROWS, &count);
        left -= count < left ? count : left;
        left = list.cursor[0] == '\0' ? 0 : left;
    }
    if (code == EXIT_CODE_OK) {
        list_print(&list);
    }
    table_free(&list.table);
    return code;
}

/* --- count --- */

static int counts_show(const struct timeouts_call *call)
{
    struct http_client_response response;
    struct table table = {0};
    char target[TARGET_MAX];
    struct buf out = buf_of(target, sizeof(target));
    buf_put_text(&out, "/v1/timeouts:count");
    timeouts_parameter(&out, "rule", setting_text(call->settings, OPTION_RULE));
    buf_put_u8(&out, 0);
    if (out.overflow) {
        complain("the question is too long");
        return EXIT_CODE_USAGE;
    }
    int code = timeouts_fetch(call, target, &response);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (setting_flag(call->settings, OPTION_JSON)) {
        say_bytes(response.body);
        say("\n");
        return EXIT_CODE_OK;
    }
    table_head(&table, BYTES("state"));
    table_head(&table, BYTES("count"));
    struct json_walk walk = json_walk_of(response.body);
    struct json_value name;
    struct json_value value;
    while (json_walk_next(&walk, &name, &value)) {
        if (value.kind == JSON_NUMBER) {
            table_cell(&table, CELL_TEXT, name.content);
            cell_of_json(&table, &value, true);
        }
    }
    struct terminal terminal = terminal_look(STDOUT_FILENO);
    const struct table_style style = {.colours = terminal.colours,
                                      .width = terminal.present ? terminal.width : 0};
    (void)table_print(&table, &style);
    table_free(&table);
    return EXIT_CODE_OK;
}

/* --- The command --- */

static const struct verb {
    const char *name;
    bool key;
    int (*run)(const struct timeouts_call *call);
} verbs[] = {
    {"list", false, list_show},
    {"count", false, counts_show},
    {"due", false, timeouts_bars},
    {"show", true, timeouts_show},
    {"create", true, timeouts_change},
    {"complete", true, timeouts_change},
    {"cancel", true, timeouts_change},
    {"heartbeat", true, timeouts_change},
};

/* NULL after the complaint. */
static const struct verb *verb_find(const struct command *command)
{
    const char *name = command->argument_count > 0 ? command->arguments[0] : "";
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(name, verbs[i].name) != 0) {
            continue;
        }
        size_t wanted = verbs[i].key ? 2 : 1;
        if (command->argument_count != wanted) {
            complain("timeouts %s takes %s", name, verbs[i].key ? "one KEY" : "no more arguments");
            return NULL;
        }
        if (verbs[i].key && !utf8_valid(bytes_of_string(command->arguments[1]))) {
            complain("the key is not UTF-8");
            return NULL;
        }
        return &verbs[i];
    }
    complain("timeouts needs one of: list, count, due, show, create, complete, cancel, heartbeat");
    note("`tidemark help timeouts` says more.\n");
    return NULL;
}

static bool is_verb(const char *word, size_t len)
{
    bool found = false;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        found = found || (strlen(verbs[i].name) == len && memcmp(verbs[i].name, word, len) == 0);
    }
    return found;
}

/* The text of an option of some subcommands only begins with their names, "list, show: ...", so what
 * the help says and what is refused are one. Returns the names' length; 0: it is for all. */
static size_t option_verbs(const struct option_row *row, const char *verb, bool *meant)
{
    const char *at = row->doc;
    *meant = false;
    for (;;) {
        size_t len = strcspn(at, ",: ");
        if (!is_verb(at, len)) {
            return 0;
        }
        *meant = *meant || (strlen(verb) == len && memcmp(verb, at, len) == 0);
        if (at[len] != ',') {
            return at[len] == ':' ? (size_t)(at - row->doc) + len : 0;
        }
        at += len + strspn(at + len, ", ");
    }
}

/* An option of another subcommand would do nothing, and whoever gave it expects that it does. In the
 * environment and in a file options may stand that are for others. */
static bool options_fit(const struct settings *settings, const char *verb)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = option_row((enum option_id)i);
        bool here = (row->commands >> COMMAND_TIMEOUTS & 1) != 0;
        bool meant = true;
        if (!here || setting(settings, (enum option_id)i)->origin != ORIGIN_COMMAND_LINE) {
            continue;
        }
        size_t len = option_verbs(row, verb, &meant);
        if (len > 0 && !meant) {
            complain(
                "timeouts %s has no --%s: that is for %.*s", verb, row->name, (int)len, row->doc);
            note("`tidemark help timeouts` lists the options.\n");
            return false;
        }
    }
    return true;
}

int timeouts_ask_command(const struct command *command)
{
    const struct verb *verb = verb_find(command);
    struct server server;
    if (verb == NULL || !options_fit(command->settings, verb->name)) {
        return EXIT_CODE_USAGE;
    }
    int code = server_open(&server, command->settings);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const struct timeouts_call call = {
        .server = &server,
        .settings = command->settings,
        .key = verb->key ? command->arguments[1] : NULL,
        .verb = verb->name,
        .now_us = wall_us(),
    };
    code = verb->run(&call);
    server_close(&server);
    return code;
}
