/* tidemark values: a metric's rows, once.
 *
 *   {"window_start","window_end", dest, arrivals, ..., "closed","final","revision"}
 *      └──────── window ───────┘  └──── columns ───┘  └───────── state ─────────┘  */
#include "apps/values.h"

#include "apps/answer_json.h"
#include "apps/say.h"
#include "apps/terminal.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

#define TARGET_MAX   8000
#define PAGE_ROWS    1000
#define CURSOR_BYTES 256

static void put_parameter(struct buf *out, const char *name, const char *value)
{
    buf_put_text(out, "&");
    http_put_encoded(out, bytes_of_string(name));
    buf_put_text(out, "=");
    http_put_encoded(out, bytes_of_string(value));
}

static void put_where(struct buf *out, const char *where)
{
    const char *equals = strchr(where, '=');
    buf_put_text(out, "&");
    http_put_encoded(out, bytes_of(where, (size_t)(equals - where)));
    buf_put_text(out, "=");
    http_put_encoded(out, bytes_of_string(equals + 1));
}

bool values_target(const struct settings *settings, const struct values_page *page, struct buf *out)
{
    buf_put_text(out, "/v1/metrics/");
    http_put_encoded(out, bytes_of_string(page->metric));
    buf_put_text(out, "/values?limit=");
    u64_put(out, page->limit);
    put_parameter(out, "order_by", setting_text(settings, OPTION_ORDER));
    if (setting_given(settings, OPTION_FROM_TIME)) {
        put_parameter(out, "from", setting_text(settings, OPTION_FROM_TIME));
    }
    if (setting_given(settings, OPTION_TO_TIME)) {
        put_parameter(out, "to", setting_text(settings, OPTION_TO_TIME));
    }
    if (setting_flag(settings, OPTION_LATEST)) {
        put_parameter(
            out, "window", setting_flag(settings, OPTION_FINAL_ONLY) ? "latest_final" : "latest");
    } else if (setting_flag(settings, OPTION_FINAL_ONLY)) {
        put_parameter(out, "final", "true");
    }
    const struct setting_texts *wheres = &settings->texts[OPTION_WHERE];
    for (size_t i = 0; i < wheres->count; i++) {
        put_where(out, wheres->items[i]);
    }
    if (page->cursor[0] != '\0') {
        put_parameter(out, "cursor", page->cursor);
    }
    buf_put_u8(out, 0);
    return !out->overflow;
}

/* --- Rows --- */

static bool is_window(struct bytes name)
{
    return bytes_equal(name, BYTES("window_start")) || bytes_equal(name, BYTES("window_end"));
}

static bool is_state(struct bytes name)
{
    return bytes_equal(name, BYTES("closed")) || bytes_equal(name, BYTES("final")) ||
           bytes_equal(name, BYTES("revision")) || bytes_equal(name, BYTES("overflow"));
}

static void heads_make(struct table *table, struct bytes row)
{
    struct json_walk members = json_walk_of(row);
    struct json_value name;
    struct json_value value;
    table_head(table, BYTES("window"));
    while (json_walk_next(&members, &name, &value)) {
        if (!is_window(name.content) && !is_state(name.content)) {
            table_head(table, name.content);
        }
    }
    table_head(table, BYTES("state"));
}

/* "2013-01-01 06:00 – 07:00": the end without its date when that is the same. */
static void window_cell(struct table *table, struct bytes row)
{
    char start[64];
    char end[64];
    char text[160];
    char short_start[64];
    char short_end[64];
    json_member_text(row, "window_start", start, sizeof(start));
    json_member_text(row, "window_end", end, sizeof(end));
    size_t start_len = short_time(bytes_of_string(start), short_start);
    size_t end_len = short_time(bytes_of_string(end), short_end);
    bool same_day = start_len >= 16 && end_len >= 16 && memcmp(start, end, 11) == 0;
    size_t skip = same_day ? 11 : 0;
    text_put(text,
             sizeof(text),
             "%.*s – %.*s",
             (int)start_len,
             short_start,
             (int)(end_len - skip),
             short_end + skip);
    table_cell(table, CELL_TEXT, bytes_of_string(text));
}

static bool member_true(struct bytes row, const char *name)
{
    struct json_value value;
    return json_member(row, name, &value) && value.kind == JSON_TRUE;
}

static void state_cell(struct table *table, struct bytes row)
{
    char text[64];
    int64_t revision = json_member_number(row, "revision", 0);
    const char *state = member_true(row, "final")    ? "final"
                        : member_true(row, "closed") ? "closed"
                                                     : "open";
    if (revision > 0) {
        text_put(text, sizeof(text), "%s, corrected %lld×", state, (long long)revision);
    } else {
        text_put(text, sizeof(text), "%s", state);
    }
    table_cell(table, CELL_TEXT, bytes_of_string(text));
}

void values_rows(struct table *table, struct bytes items)
{
    struct json_walk rows = json_walk_of(items);
    struct json_value name;
    struct json_value row;
    while (!table->failed && json_walk_next(&rows, &name, &row)) {
        if (table->column_count == 0) {
            heads_make(table, row.text);
        }
        window_cell(table, row.text);
        for (size_t i = 1; i + 1 < table->column_count; i++) {
            const struct json_step step = {.name = table_text(table, &table->heads[i])};
            struct json_value value = {.kind = JSON_NULL};
            if (!json_find(row.text, &step, 1, &value)) {
                value.kind = JSON_NULL;
            }
            cell_of_json(table, &value, true);
        }
        state_cell(table, row.text);
    }
}

static void lines_print(struct bytes items)
{
    struct json_walk rows = json_walk_of(items);
    struct json_value name;
    struct json_value row;
    while (json_walk_next(&rows, &name, &row)) {
        say_bytes(row.text);
        say("\n");
    }
}

static void
page_take(const struct settings *settings, struct bytes body, struct values_frame *frame)
{
    struct json_value items = {.text = BYTES("[]")};
    (void)json_member(body, "items", &items);
    json_member_text(body, "watermark", frame->watermark, sizeof(frame->watermark));
    json_member_text(body, "as_of", frame->as_of, sizeof(frame->as_of));
    if (setting_flag(settings, OPTION_JSON)) {
        lines_print(items.text);
    } else if (setting_flag(settings, OPTION_CSV)) {
        if (frame->table.column_count == 0) {
            rows_of_json(&frame->table, items.text, (struct bytes){0}, false);
        } else {
            rows_more_json(&frame->table, items.text, false);
        }
    } else {
        values_rows(&frame->table, items.text);
    }
}

static size_t items_count(struct bytes body)
{
    struct json_value items;
    struct json_value name;
    struct json_value row;
    size_t count = 0;
    if (json_member(body, "items", &items)) {
        struct json_walk rows = json_walk_of(items.text);
        while (json_walk_next(&rows, &name, &row)) {
            count++;
        }
    }
    return count;
}

int values_ask(struct server *server,
               const struct command *command,
               size_t rows_max,
               struct values_frame *frame)
{
    const struct settings *settings = command->settings;
    size_t left = (size_t)setting_number(settings, OPTION_LIMIT);
    char cursor[CURSOR_BYTES] = "";
    left = rows_max > 0 && rows_max < left ? rows_max : left;
    table_clear(&frame->table);
    do {
        char target[TARGET_MAX];
        struct buf out = buf_of(target, sizeof(target));
        const struct values_page page = {.metric = command->arguments[0],
                                         .limit = left < PAGE_ROWS ? left : PAGE_ROWS,
                                         .cursor = cursor};
        struct http_client_response response;
        if (!values_target(settings, &page, &out)) {
            complain("the question is too long");
            return EXIT_CODE_USAGE;
        }
        int code = server_get(server, target, &response);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        page_take(settings, response.body, frame);
        size_t count = items_count(response.body);
        left -= count < left ? count : left;
        json_member_text(response.body, "next_cursor", cursor, sizeof(cursor));
        frame->more = cursor[0] != '\0';
        left = count == 0 ? 0 : left;
    } while (left > 0 && frame->more);
    return EXIT_CODE_OK;
}

static void frame_print(const struct settings *settings, const struct values_frame *frame)
{
    struct terminal terminal = terminal_look(STDOUT_FILENO);
    const struct table_style style = {.colours = terminal.colours,
                                      .width = terminal.present ? terminal.width : 0};
    size_t rows = table_rows(&frame->table);
    if (setting_flag(settings, OPTION_JSON)) {
        return;
    }
    if (setting_flag(settings, OPTION_CSV)) {
        table_print_csv(&frame->table);
        return;
    }
    (void)table_print(&frame->table, &style);
    say("(%zu row%s%s; watermark %s)\n",
        rows,
        rows == 1 ? "" : "s",
        frame->more ? ", more with --limit" : "",
        frame->watermark[0] != '\0' ? frame->watermark : "none");
}

int values_command(const struct command *command)
{
    const struct settings *settings = command->settings;
    const struct setting_texts *wheres = &settings->texts[OPTION_WHERE];
    if (command->argument_count != 1) {
        complain("values needs the name of one metric");
        note("`tidemark sql \"SHOW METRICS\"` lists them.\n");
        return EXIT_CODE_USAGE;
    }
    for (size_t i = 0; i < wheres->count; i++) {
        const char *equals = strchr(wheres->items[i], '=');
        if (equals == NULL || equals == wheres->items[i]) {
            complain("--where: \"%.60s\" is not COLUMN=VALUE", wheres->items[i]);
            return EXIT_CODE_USAGE;
        }
    }
    struct server server;
    int code = server_open(&server, settings);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (setting_flag(settings, OPTION_WATCH)) {
        code = values_watch(&server, command);
    } else {
        struct values_frame frame = {0};
        code = values_ask(&server, command, 0, &frame);
        if (code == EXIT_CODE_OK) {
            frame_print(settings, &frame);
        }
        table_free(&frame.table);
    }
    server_close(&server);
    return code;
}
