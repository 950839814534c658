/* tidemark tail: one line for each thing the server tells, and on until Ctrl-C.
 *
 *     GET /v1/notifications?after=CURSOR&wait=PT15S ─► print ─► [acknowledge] ─► CURSOR = next_cursor
 *          ▲                                                                            │
 *          └────────── a server that went away: sleep, ask again ◄──────────────────────┘
 *
 *     2026-11-22 08:05:10.25  timeout.fired  order-17  due 08:05:10.24, started 07:50:10.24
 *     2026-11-22 08:07:01.10  engine.lagging  engine  holds since 08:07:00.09: deaf
 *     2026-11-22 08:07:31.00  engine.lagging  engine  held since 08:07:00.09: deaf
 *
 * The cursor moves only when what lies before it was printed and flushed, so nothing is told twice in a
 * run, and nothing is acknowledged that a reader behind a pipe didn't get. What was printed and not
 * acknowledged, because the server was gone just then, comes again in the next run. */
#include "apps/answer_json.h"
#include "apps/rows.h"
#include "apps/say.h"
#include "apps/server.h"
#include "apps/terminal.h"
#include "apps/timeouts.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define TARGET_MAX   4000
#define CURSOR_BYTES 256
#define KEY_TEXT_MAX 257
#define PAGE_MAX     1000
#define WAIT_MAX_US  30000000
#define PAUSE_US     300000

struct tail {
    struct server server;
    const struct settings *settings;
    const char *consumer; /* "": none */
    char cursor[CURSOR_BYTES];
    uint64_t left; /* UINT64_MAX: no end */
    bool reached;  /* the server has answered once */
    bool gone;     /* and does not now: that was said */
};

/* --- One notification --- */

static void put_time(struct buf *out, struct bytes object, const char *name, const char *words)
{
    int64_t us = 0;
    if (timeouts_time(object, name, &us)) {
        buf_put_text(out, words);
        timeouts_time_put(out, us);
    }
}

static void put_text(struct buf *out, struct bytes object, const char *name, const char *words)
{
    char text[KEY_TEXT_MAX];
    json_member_text(object, name, text, sizeof(text));
    if (text[0] != '\0') {
        buf_put_text(out, words);
        buf_put_text(out, text);
    }
}

/* Whether it still is so is in the verb. */
static void put_holding(struct buf *out, struct bytes data)
{
    struct json_value holding;
    struct json_value why;
    if (!json_member(data, "holding", &holding) || !json_member(data, "why", &why)) {
        return;
    }
    put_time(out, data, "since", holding.kind == JSON_TRUE ? "  holds since " : "  held since ");
    struct json_walk walk = json_walk_of(why.text);
    struct json_value name;
    struct json_value reason;
    const char *words = ": ";
    while (json_walk_next(&walk, &name, &reason)) {
        buf_put_text(out, words);
        buf_put_bytes(out, reason.content);
        words = ", ";
    }
}

/* What is behind the words: the terminal is not at the keys' mercy. */
static void controls_hide(struct buf *line)
{
    for (size_t i = 0; i < line->len; i++) {
        bool control = line->data[i] < 0x20 || line->data[i] == 0x7f;
        line->data[i] = control ? '?' : line->data[i];
    }
}

static void line_say(struct bytes event)
{
    static const char family[] = "tidemark.";
    char line[1600];
    char type[120];
    struct buf out = buf_of(line, sizeof(line));
    struct json_value data = {.text = BYTES("{}")};
    size_t skip = sizeof(family) - 1;
    json_member_text(event, "type", type, sizeof(type));
    (void)json_member(event, "data", &data);
    put_time(&out, event, "time", "");
    buf_put_text(&out, "  ");
    buf_put_text(&out, strncmp(type, family, skip) == 0 ? type + skip : type);
    put_text(&out, event, "subject", "  ");
    put_text(&out, data.text, "rule", "  of ");
    put_time(&out, data.text, "deadline", "  due ");
    put_time(&out, data.text, "started", ", started ");
    put_time(&out, data.text, "last_seen", ", last seen ");
    if (strcmp(type, "tidemark.timeout.fired") != 0) {
        put_time(&out, data.text, "fired_at", ", fired ");
    }
    put_holding(&out, data.text);
    controls_hide(&out);
    say("%.*s\n", (int)out.len, line);
}

/* Prints at most `left` of them; *all: none had to be left out. */
static void items_say(struct tail *tail, struct bytes items)
{
    struct json_walk walk = json_walk_of(items);
    struct json_value name;
    struct json_value event;
    while (tail->left > 0 && json_walk_next(&walk, &name, &event)) {
        if (setting_flag(tail->settings, OPTION_JSON)) {
            say_bytes(event.text);
            say("\n");
        } else {
            line_say(event.text);
        }
        tail->left -= tail->left == UINT64_MAX ? 0 : 1;
    }
}

/* --- Asking --- */

/* Below --timeout, so that a server with nothing to tell isn't taken for one that hangs. */
static int64_t wait_us(const struct tail *tail)
{
    int64_t half = setting_number(tail->settings, OPTION_TIMEOUT) / 2;
    return half < WAIT_MAX_US ? half : WAIT_MAX_US;
}

static void target_put(const struct tail *tail, struct buf *target)
{
    char wait[64];
    struct buf out = buf_of(wait, sizeof(wait) - 1);
    duration_put(&out, wait_us(tail));
    wait[out.len] = '\0';
    buf_put_text(target, "/v1/notifications?limit=");
    u64_put(target, tail->left < PAGE_MAX ? tail->left : PAGE_MAX);
    timeouts_parameter(target, "wait", wait);
    timeouts_parameter(target, "type", setting_text(tail->settings, OPTION_NOTE_TYPE));
    timeouts_parameter(target, "subject", setting_text(tail->settings, OPTION_NOTE_SUBJECT));
    if (tail->cursor[0] != '\0') {
        timeouts_parameter(target, "after", tail->cursor);
    } else {
        timeouts_parameter(target, "consumer", tail->consumer);
    }
    buf_put_u8(target, 0);
}

static int acknowledge(struct tail *tail)
{
    char text[1200];
    struct buf body = buf_of(text, sizeof(text));
    struct http_client_response response;
    buf_put_text(&body, "{\"consumer\":");
    json_put_string(&body, bytes_of_string(tail->consumer));
    buf_put_text(&body, ",\"cursor\":");
    json_put_string(&body, bytes_of_string(tail->cursor));
    buf_put_text(&body, "}");
    const struct http_client_request request = {
        .method = "POST",
        .target = "/v1/notifications:ack",
        .content_type = "application/json",
        .body = buf_bytes(&body),
    };
    if (body.overflow) {
        complain("--consumer: the name is too long");
        return EXIT_CODE_USAGE;
    }
    if (http_client_exchange(tail->server.client, &request, &response) != OK) {
        return EXIT_CODE_UNREACHABLE;
    }
    bool later = response.status == 429 || response.status == 503;
    return response.status < 300 ? EXIT_CODE_OK
           : later               ? EXIT_CODE_UNREACHABLE
                                 : problem_complain(&response, (struct bytes){0});
}

/* A refusal that an answer of 200 is no more needed for: the place is not kept any more, and where to
 * go on is told. */
static bool skipped_to(struct tail *tail, const struct http_client_response *response)
{
    char cursor[CURSOR_BYTES];
    if (response->status != 410 || !json_text_valid(response->body)) {
        return false;
    }
    json_member_text(response->body, "next_cursor", cursor, sizeof(cursor));
    if (cursor[0] == '\0' || strcmp(cursor, tail->cursor) == 0) {
        return false;
    }
    complain(
        "that place is not kept any more, or none of this server's; going on with the oldest "
        "notification that is kept");
    memcpy(tail->cursor, cursor, sizeof(cursor));
    return true;
}

/* The answer of a server that is there. */
static int answer_take(struct tail *tail, const struct http_client_response *response)
{
    struct json_value items = {.text = BYTES("[]")};
    if (response->status != 200) {
        return skipped_to(tail, response) ? EXIT_CODE_OK
                                          : problem_complain(response, (struct bytes){0});
    }
    if (!json_text_valid(response->body)) {
        complain("the server answered with something that is not JSON");
        return EXIT_CODE_UNREACHABLE;
    }
    char before[CURSOR_BYTES];
    memcpy(before, tail->cursor, sizeof(before));
    (void)json_member(response->body, "items", &items);
    items_say(tail, items.text);
    if (!say_finish()) {
        return EXIT_CODE_OK; /* main says what happened to standard output */
    }
    json_member_text(response->body, "next_cursor", tail->cursor, sizeof(tail->cursor));
    bool moved = strcmp(before, tail->cursor) != 0;
    return moved && tail->consumer[0] != '\0' ? acknowledge(tail) : EXIT_CODE_OK;
}

/* 0, or the exit code after the complaint. *pause: nothing came of it, so wait a little. */
static int turn(struct tail *tail, bool *pause)
{
    char target[TARGET_MAX];
    struct buf out = buf_of(target, sizeof(target));
    struct http_client_response response;
    target_put(tail, &out);
    if (out.overflow) {
        complain("the question is too long");
        return EXIT_CODE_USAGE;
    }
    const struct http_client_request request = {.method = "GET", .target = target};
    enum err err = http_client_exchange(tail->server.client, &request, &response);
    bool answered = err == OK && response.status != 503 && response.status != 429;
    int code = answered ? answer_take(tail, &response) : EXIT_CODE_UNREACHABLE;
    *pause = code == EXIT_CODE_UNREACHABLE;
    if (!*pause) {
        tail->reached = true;
        tail->gone = false;
        return code;
    }
    if (interrupted()) {
        return EXIT_CODE_OK;
    }
    if (!tail->reached) {
        complain("%s",
                 err != OK ? http_client_error(tail->server.client) : "the server is not ready");
        return code;
    }
    if (!tail->gone) {
        note("The server is away; waiting for it.\n");
        tail->gone = true;
    }
    return EXIT_CODE_OK;
}

static int follow(struct tail *tail)
{
    int code = EXIT_CODE_OK;
    interrupt_catch();
    http_client_interrupt_by(tail->server.client, interrupted);
    while (code == EXIT_CODE_OK && tail->left > 0 && !interrupted() && ferror(stdout) == 0) {
        bool pause = false;
        code = turn(tail, &pause);
        if (pause && code == EXIT_CODE_OK) {
            (void)sleep_us(PAUSE_US);
        }
    }
    if (code == EXIT_CODE_OK && tail->consumer[0] == '\0' && tail->cursor[0] != '\0') {
        note("Go on with --after %s\n", tail->cursor);
    }
    return code;
}

int tail_command(const struct command *command)
{
    const struct settings *settings = command->settings;
    const char *what = command->argument_count == 1 ? command->arguments[0] : "";
    struct tail tail = {.settings = settings,
                        .consumer = setting_text(settings, OPTION_CONSUMER),
                        .left = UINT64_MAX};
    if (what[0] == '\0') {
        complain("tail needs one thing to follow: notifications");
        return EXIT_CODE_USAGE;
    }
    if (strcmp(what, "notifications") != 0) {
        complain(
            "tail of a metric is not available yet; `tidemark values %.80s --watch` shows its "
            "changes",
            what);
        return EXIT_CODE_USAGE;
    }
    if (strlen(setting_text(settings, OPTION_AFTER)) >= sizeof(tail.cursor)) {
        complain("--after: that is no cursor");
        return EXIT_CODE_USAGE;
    }
    if (setting_number(settings, OPTION_TAIL_LIMIT) > 0) {
        tail.left = (uint64_t)setting_number(settings, OPTION_TAIL_LIMIT);
    }
    text_put(tail.cursor, sizeof(tail.cursor), "%s", setting_text(settings, OPTION_AFTER));
    int code = server_open(&tail.server, settings);
    if (code == EXIT_CODE_OK) {
        code = follow(&tail);
        server_close(&tail.server);
    }
    return code;
}
