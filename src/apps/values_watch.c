/* tidemark values --watch: the same table again and again, drawn over itself.
 *
 *     ask ─► mark what changed since the last frame ─► cursor up, clear below, draw ─► sleep ─► ...
 *
 * Rows are the same from frame to frame when their window and groups are. Without a terminal each
 * frame is printed below the last one. A server that went away is waited for; Ctrl-C gives the
 * cursor back. */
#include "apps/values.h"

#include "apps/answer_json.h"
#include "apps/say.h"
#include "apps/terminal.h"

#include <string.h>
#include <unistd.h>

#define CURSOR_HIDE  "\033[?25l"
#define CURSOR_SHOW  "\033[?25h"
#define CLEAR_BELOW  "\033[J"
#define DIM          "\033[2m"
#define PLAIN        "\033[0m"
#define LINES_AROUND 5

struct watch {
    struct values_frame frames[2]; /* this one and the one before */
    size_t current;
    char groups[VALUES_GROUPS_MAX][72]; /* names of the columns that make a row the same */
    size_t group_count;
    int64_t counted; /* by the metric, so far; -1: unknown */
    int64_t counted_at_us;
    double per_second;
    size_t lines; /* drawn last time */
};

/* What the metric is: its groups, once; its counter, each time. */
static int metric_ask(struct server *server, const char *metric, struct watch *watch)
{
    char target[512];
    struct buf out = buf_of(target, sizeof(target) - 1);
    struct http_client_response response;
    struct json_value counts;
    buf_put_text(&out, "/v1/metrics/");
    http_put_encoded(&out, bytes_of_string(metric));
    target[out.len] = '\0';
    int code = server_get(server, target, &response);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    int64_t now_us = steady_us();
    int64_t counted = -1;
    if (json_member(response.body, "counts", &counts)) {
        counted = json_member_number(counts.text, "counted", -1);
    }
    if (watch->counted >= 0 && counted >= watch->counted && now_us > watch->counted_at_us) {
        watch->per_second =
            (double)(counted - watch->counted) * 1e6 / (double)(now_us - watch->counted_at_us);
    }
    watch->counted = counted;
    watch->counted_at_us = now_us;
    struct json_value columns;
    struct json_value name;
    struct json_value column;
    watch->group_count = 0;
    if (json_member(response.body, "columns", &columns)) {
        struct json_walk walk = json_walk_of(columns.text);
        while (watch->group_count < VALUES_GROUPS_MAX && json_walk_next(&walk, &name, &column)) {
            char kind[32];
            json_member_text(column.text, "kind", kind, sizeof(kind));
            if (strcmp(kind, "group") == 0) {
                json_member_text(column.text, "name", watch->groups[watch->group_count++], 72);
            }
        }
    }
    return EXIT_CODE_OK;
}

static bool is_key(const struct watch *watch, const struct table *table, size_t column)
{
    struct bytes head = table_text(table, &table->heads[column]);
    bool key = column == 0;
    for (size_t i = 0; i < watch->group_count && !key; i++) {
        key = bytes_equal(head, bytes_of_string(watch->groups[i]));
    }
    return key;
}

static bool cells_equal(const struct table *a,
                        const struct cell *left,
                        const struct table *b,
                        const struct cell *right)
{
    return bytes_equal(table_text(a, left), table_text(b, right));
}

/* The row of the frame before with the same window and groups; NULL when it is new. */
static const struct cell *row_before(const struct watch *watch,
                                     const struct table *old,
                                     const struct table *now,
                                     const struct cell *row)
{
    for (size_t r = 0; r < table_rows(old); r++) {
        const struct cell *candidate = &old->cells[r * old->column_count];
        bool same = true;
        for (size_t c = 0; c < now->column_count && same; c++) {
            same = !is_key(watch, now, c) || cells_equal(now, &row[c], old, &candidate[c]);
        }
        if (same) {
            return candidate;
        }
    }
    return NULL;
}

static void changes_mark(const struct watch *watch, const struct table *old, struct table *now)
{
    if (old->column_count != now->column_count || table_rows(old) == 0) {
        return;
    }
    for (size_t r = 0; r < table_rows(now); r++) {
        struct cell *row = &now->cells[r * now->column_count];
        const struct cell *before = row_before(watch, old, now, row);
        for (size_t c = 0; c < now->column_count; c++) {
            row[c].marked = before == NULL ||
                            (!is_key(watch, now, c) && !cells_equal(now, &row[c], old, &before[c]));
        }
    }
}

static void frame_draw(struct watch *watch, const char *metric, const struct terminal *terminal)
{
    const struct values_frame *frame = &watch->frames[watch->current];
    const struct table_style style = {
        .colours = terminal->colours,
        .width = terminal->present ? terminal->width : 0,
        .rows_max = terminal->present ? terminal->height - LINES_AROUND : 0,
    };
    if (terminal->present && watch->lines > 0) {
        say("\033[%zuA", watch->lines);
    }
    say("%s", terminal->present ? "\r" CLEAR_BELOW : "");
    size_t lines = table_print(&frame->table, &style);
    if (lines == 0) {
        say("%s has no rows yet\n", metric);
        lines = 1;
    }
    say("%swatermark %s · as of %s · %s events/s%s%s\n",
        terminal->colours ? DIM : "",
        frame->watermark[0] != '\0' ? frame->watermark : "none",
        frame->as_of,
        amount_short(watch->per_second).text,
        frame->more ? " · more rows" : "",
        terminal->colours ? PLAIN : "");
    watch->lines = lines + 1;
    if (!terminal->present) {
        say("\n");
    }
    (void)say_finish(); /* main looks again at the end */
}

static int frame_make(struct server *server, const struct command *command, struct watch *watch)
{
    struct terminal terminal = terminal_look(STDOUT_FILENO);
    size_t rows_max = terminal.present ? terminal.height - LINES_AROUND : 0;
    int code = metric_ask(server, command->arguments[0], watch);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct values_frame *frame = &watch->frames[1 - watch->current];
    code = values_ask(server, command, rows_max, frame);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    changes_mark(watch, &watch->frames[watch->current].table, &frame->table);
    watch->current = 1 - watch->current;
    frame_draw(watch, command->arguments[0], &terminal);
    return EXIT_CODE_OK;
}

int values_watch(struct server *server, const struct command *command)
{
    int64_t every_us = setting_number(command->settings, OPTION_EVERY);
    int64_t frames_max = setting_number(command->settings, OPTION_FRAMES);
    struct watch watch = {.counted = -1};
    bool drawn = false;
    int code = EXIT_CODE_OK;
    if (setting_flag(command->settings, OPTION_JSON) ||
        setting_flag(command->settings, OPTION_CSV)) {
        complain("--watch draws a table: it goes with neither --json nor --csv");
        return EXIT_CODE_USAGE;
    }
    interrupt_catch();
    if (terminal_look(STDOUT_FILENO).present) {
        say(CURSOR_HIDE);
    }
    for (int64_t n = 1;; n++) {
        code = frame_make(server, command, &watch);
        if (code == EXIT_CODE_UNREACHABLE && drawn && !interrupted()) {
            watch.lines = 0; /* the complaint stays, the next frame comes below */
        } else if (code != EXIT_CODE_OK) {
            break;
        }
        drawn = true;
        if (n == frames_max || ferror(stdout) != 0 || !sleep_us(every_us)) {
            break;
        }
    }
    if (terminal_look(STDOUT_FILENO).present) {
        say(CURSOR_SHOW);
    }
    table_free(&watch.frames[0].table);
    table_free(&watch.frames[1].table);
    return interrupted() ? EXIT_CODE_OK : code;
}
