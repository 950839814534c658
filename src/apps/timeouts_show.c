/* tidemark timeouts show and due: one timeout's story, and how many are due when.
 *
 *     order-17: pending, due in 14 min 59 s
 *       created     2026-11-22 07:50:10.120   1 min ago
 *       last seen   2026-11-22 07:51:10.313   312 ms ago
 *       deadline    2026-11-22 08:06:10.313   in 14 min 59 s
 *       generation  1
 *       data        {"customer":4} */
#include "apps/timeouts.h"

#include "apps/answer_json.h"
#include "apps/say.h"
#include "apps/table.h"
#include "apps/terminal.h"
#include "apps/timeouts_text.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

#define TARGET_MAX   2000
#define KEY_TEXT_MAX 257
#define LABEL_WIDTH  12
#define BAR_WIDTH    40
#define SPANS_MAX    1000
#define EDGES        2 /* all before, and all behind */

/* --- show --- */

/* One line of the story: when, and how long ago. */
struct moment {
    const char *name;
    const char *label;
};

static void moment_say(const struct timeouts_call *call,
                       struct bytes object,
                       const struct moment *moment,
                       const struct timeouts_clock *clock)
{
    char text[120];
    struct buf out = buf_of(text, sizeof(text));
    int64_t us = 0;
    if (!timeouts_time(object, moment->name, &us)) {
        return;
    }
    timeouts_time_put(&out, us);
    say("  %-*s%-28.*s", LABEL_WIDTH, moment->label, (int)out.len, text);
    out.len = 0;
    if (clock == NULL) {
        moment_put(&out, us, call->now_us);
    } else if (clock->known) {
        moment_put(&out, us, clock->us);
        buf_put_text(&out, " of event time");
    } else {
        buf_put_text(&out, "by event time");
    }
    say("%.*s\n", (int)out.len, text);
}

static void within_say(struct bytes object)
{
    struct json_value value;
    char text[64];
    struct buf out = buf_of(text, sizeof(text));
    int64_t us = 0;
    if (json_member(object, "within", &value) && value.kind == JSON_STRING &&
        duration_parse(value.content, &us) == OK) {
        span_put(&out, us);
        say("  %-*s%.*s\n", LABEL_WIDTH, "within", (int)out.len, text);
    }
}

/* A member as it is, texts without their quotes. */
static void member_say(struct bytes object, const char *name, const char *label)
{
    struct json_value value;
    if (json_member(object, name, &value)) {
        struct bytes text =
            value.kind == JSON_STRING && !value.escaped ? value.content : value.text;
        say("  %-*s", LABEL_WIDTH, label);
        say_bytes(text);
        say("\n");
    }
}

static void story_say(const struct timeouts_call *call,
                      struct bytes object,
                      const struct timeouts_clock *watermark)
{
    static const struct moment ends[] = {
        {"fired_at", "fired"}, {"retracted_at", "retracted"}, {"ended", "ended"}};
    char key[KEY_TEXT_MAX];
    char text[120];
    char state[32];
    struct buf out = buf_of(text, sizeof(text));
    const struct timeouts_clock *clock = timeouts_by_events(object) ? watermark : NULL;
    bool by_rule = setting_given(call->settings, OPTION_RULE);
    json_member_text(object, "key", key, sizeof(key));
    json_member_text(object, "state", state, sizeof(state));
    timeouts_state_put(&out, object, call, watermark);
    bool open = out.len < 3 || memcmp(text, state, strlen(state)) != 0;
    say("%s: %s%s%.*s\n", key, open ? state : "", open ? ", due " : "", (int)out.len, text);
    member_say(object, "rule", "rule");
    moment_say(call, object, &(struct moment){"started", "started"}, by_rule ? clock : NULL);
    moment_say(call, object, &(struct moment){"event_time", "event time"}, clock);
    moment_say(call, object, &(struct moment){"created", "created"}, NULL);
    moment_say(call, object, &(struct moment){"last_seen", "last seen"}, by_rule ? clock : NULL);
    moment_say(call, object, &(struct moment){"deadline", "deadline"}, clock);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        moment_say(call, object, &ends[i], NULL);
    }
    within_say(object);
    member_say(object, "generation", "generation");
    member_say(object, "born_late", "born late");
    member_say(object, "decided_at", "decided at");
    member_say(object, "data", "data");
}

/* One object, or a list of them: a rule may have several instances of a key. */
static void stories_say(const struct timeouts_call *call,
                        struct bytes body,
                        const struct timeouts_clock *watermark)
{
    struct json_value items;
    struct json_value name;
    struct json_value item;
    bool json = setting_flag(call->settings, OPTION_JSON);
    if (!json_member(body, "items", &items) && json) {
        say_bytes(body);
        say("\n");
        return;
    }
    if (!json_member(body, "items", &items)) {
        story_say(call, body, watermark);
        return;
    }
    struct json_walk walk = json_walk_of(items.text);
    for (size_t n = 0; json_walk_next(&walk, &name, &item); n++) {
        if (json) {
            say_bytes(item.text);
            say("\n");
        } else {
            say("%s", n > 0 ? "\n" : "");
            story_say(call, item.text, watermark);
        }
    }
}

int timeouts_show(const struct timeouts_call *call)
{
    char target[TARGET_MAX];
    struct buf out = buf_of(target, sizeof(target));
    struct http_client_response response;
    struct timeouts_clock watermark;
    timeouts_key_path(&out, call->key);
    timeouts_parameter(&out, "rule", setting_text(call->settings, OPTION_RULE));
    buf_put_u8(&out, 0);
    if (out.overflow) {
        complain("the key is too long");
        return EXIT_CODE_USAGE;
    }
    int code = timeouts_watermark(call, &watermark);
    if (code == EXIT_CODE_OK) {
        code = timeouts_fetch(call, target, &response);
    }
    if (code == EXIT_CODE_OK) {
        stories_say(call, response.body, &watermark);
    }
    return code;
}

/* --- due --- */

/* The server's first span counts all before as well, its last all behind. For people those two are
 * rows of their own, around what was asked for, and have no bars: they would dwarf the others. */
struct span {
    char from[40];
    uint64_t count;
};

static size_t spans_read(struct bytes body, struct span *spans)
{
    struct json_value items = {.text = BYTES("[]")};
    struct json_value name;
    struct json_value item;
    size_t count = 0;
    (void)json_member(body, "items", &items);
    struct json_walk walk = json_walk_of(items.text);
    while (count < SPANS_MAX && json_walk_next(&walk, &name, &item)) {
        int64_t due = json_member_number(item.text, "count", 0);
        int64_t from_us = 0;
        struct buf out = buf_of(spans[count].from, sizeof(spans[count].from) - 1);
        if (timeouts_time(item.text, "from", &from_us)) {
            timeouts_time_put(&out, from_us);
        }
        spans[count].from[out.len] = '\0';
        spans[count].count = due > 0 ? (uint64_t)due : 0;
        count++;
    }
    return count;
}

static uint64_t count_max(const struct span *spans, size_t count)
{
    uint64_t max = 0;
    for (size_t i = 0; i < count; i++) {
        max = spans[i].count > max ? spans[i].count : max;
    }
    return max;
}

/* Before or behind what was asked for. */
static void edge_say(const char *word, const char *time, uint64_t count)
{
    char label[64];
    text_put(label, sizeof(label), "%s %s", word, time);
    if (count > 0 && terminal_look(STDOUT_FILENO).present) {
        say("%-30s %12s\n", label, amount_count(count).text);
    } else if (count > 0) {
        say("%s\t%llu\n", label, (unsigned long long)count);
    }
}

/* Bars on a terminal; elsewhere two columns, the time and the number. */
static void bars_say(const struct span *spans, size_t count)
{
    struct terminal terminal = terminal_look(STDOUT_FILENO);
    size_t width = terminal.width > 2 * BAR_WIDTH ? BAR_WIDTH : terminal.width / 4;
    uint64_t max = count_max(spans, count);
    for (size_t i = 0; i < count; i++) {
        char bar[3 * BAR_WIDTH];
        struct buf out = buf_of(bar, sizeof(bar));
        if (!terminal.present) {
            say("%s\t%llu\n", spans[i].from, (unsigned long long)spans[i].count);
            continue;
        }
        bar_put(&out, spans[i].count, max, width);
        say("%-30s %12s%s%.*s\n",
            spans[i].from,
            amount_count(spans[i].count).text,
            out.len > 0 ? " " : "",
            (int)out.len,
            bar);
    }
}

static void spans_say(const struct span *spans, size_t count)
{
    if (count <= EDGES) {
        complain("the server answered with too little");
        return;
    }
    edge_say("before", spans[1].from, spans[0].count);
    bars_say(&spans[1], count - EDGES);
    edge_say("from", spans[count - 1].from, spans[count - 1].count);
}

/* Where the bars begin: --from, else now by the clock that the deadlines go by. */
static int due_from(const struct timeouts_call *call, bool events, int64_t *us)
{
    const char *given = setting_text(call->settings, OPTION_DUE_FROM);
    struct timeouts_clock watermark;
    *us = call->now_us / 1000000 * 1000000;
    if (given[0] != '\0') {
        bool good = timestamp_parse(bytes_of_string(given), us) == OK;
        if (!good) {
            complain("--from: \"%.60s\" is no time such as 2026-01-01T00:00:00Z", given);
        }
        return good ? EXIT_CODE_OK : EXIT_CODE_USAGE;
    }
    if (!events) {
        return EXIT_CODE_OK;
    }
    int code = timeouts_watermark(call, &watermark);
    if (code == EXIT_CODE_OK && !watermark.known) {
        complain("there is no watermark to begin at: say where with --from");
        return EXIT_CODE_USAGE;
    }
    *us = watermark.us;
    return code;
}

static void due_target(const struct timeouts_call *call, int64_t from_us, struct buf *target)
{
    char from[40];
    char span[64];
    char count[24];
    bool json = setting_flag(call->settings, OPTION_JSON);
    int64_t span_us = setting_number(call->settings, OPTION_SPAN);
    struct buf from_out = buf_of(from, sizeof(from) - 1);
    struct buf span_out = buf_of(span, sizeof(span) - 1);
    timestamp_put(&from_out, json ? from_us : from_us - span_us);
    from[from_out.len] = '\0';
    duration_put(&span_out, span_us);
    span[span_out.len] = '\0';
    text_put(count,
             sizeof(count),
             "%lld",
             (long long)setting_number(call->settings, OPTION_SPAN_COUNT) + (json ? 0 : EDGES));
    buf_put_text(target, "/v1/timeouts:due");
    timeouts_parameter(target, "from", from);
    timeouts_parameter(target, "span", span);
    timeouts_parameter(target, "count", count);
    timeouts_parameter(target, "clock", setting_text(call->settings, OPTION_TIMEOUT_CLOCK));
    buf_put_u8(target, 0);
}

int timeouts_bars(const struct timeouts_call *call)
{
    static struct span spans[SPANS_MAX]; /* too large for the stack */
    char target[TARGET_MAX];
    struct buf out = buf_of(target, sizeof(target));
    struct http_client_response response;
    bool events = strcmp(setting_text(call->settings, OPTION_TIMEOUT_CLOCK), "event") == 0;
    int64_t from_us = 0;
    int code = due_from(call, events, &from_us);
    if (code == EXIT_CODE_OK) {
        due_target(call, from_us, &out);
        code = timeouts_fetch(call, target, &response);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (setting_flag(call->settings, OPTION_JSON)) {
        say_bytes(response.body);
        say("\n");
        return EXIT_CODE_OK;
    }
    spans_say(spans, spans_read(response.body, spans));
    return EXIT_CODE_OK;
}
