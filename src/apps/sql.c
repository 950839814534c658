/* tidemark sql: statements to POST /v1/sql, results to tables. */
#include "apps/answer_json.h"
#include "apps/commands.h"
#include "apps/rows.h"
#include "apps/say.h"
#include "apps/server.h"
#include "apps/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SQL_BYTES_MAX ((size_t)1024 * 1024)

/* All of standard input, malloc'ed into *text; 0 or the exit code. */
static int stdin_read(struct bytes *text)
{
    uint8_t *memory = malloc(SQL_BYTES_MAX);
    if (memory == NULL) {
        complain("there is no memory left");
        return EXIT_CODE_NO_MEMORY;
    }
    size_t len = fread(memory, 1, SQL_BYTES_MAX, stdin);
    *text = bytes_of(memory, len);
    if (ferror(stdin) != 0 || len == SQL_BYTES_MAX) {
        complain("standard input is no text of less than 1 MiB");
        return EXIT_CODE_NO_INPUT;
    }
    return EXIT_CODE_OK;
}

/* CREATE and DROP: a sentence. */
static void done_print(struct bytes result, const char *statement)
{
    char name[80];
    struct json_value changed;
    int64_t version = json_member_number(result, "version", 0);
    bool rule = json_member(result, "rule", &changed);
    json_member_text(result, rule ? "rule" : "metric", name, sizeof(name));
    bool drop = strncmp(statement, "DROP", 4) == 0;
    bool same = json_member(result, "changed", &changed) && changed.kind == JSON_FALSE;
    bool dry = json_member(result, "dry_run", &changed) && changed.kind == JSON_TRUE;
    if (dry) {
        say("%s %s: fine, nothing was changed\n", statement, name);
    } else if (same) {
        say("%s %s: %s\n",
            statement,
            name,
            drop ? "there is none" : "it is there already, unchanged");
    } else if (drop) {
        say("%s %s: done\n", statement, name);
    } else {
        say("%s %s: done, version %lld\n", statement, name, (long long)version);
    }
}

/* The columns for people: without the columns of the metric, its text at the end. */
static struct bytes columns_arrange(struct bytes columns, struct buf *out)
{
    struct json_walk walk = json_walk_of(columns);
    struct json_value name;
    struct json_value column;
    bool has_text = false;
    buf_put_u8(out, '[');
    while (json_walk_next(&walk, &name, &column)) {
        bool is_text = bytes_equal(column.content, BYTES("sql"));
        has_text = has_text || is_text;
        if (!is_text && !bytes_equal(column.content, BYTES("columns"))) {
            buf_put_text(out, out->len > 1 ? "," : "");
            buf_put_bytes(out, column.text);
        }
    }
    buf_put_text(out, !has_text ? "]" : out->len > 1 ? ",\"sql\"]" : "\"sql\"]");
    return out->overflow ? columns : buf_bytes(out);
}

static void result_print(struct bytes result, const struct settings *settings)
{
    char statement[64];
    struct json_value items;
    struct json_value columns = {0};
    struct terminal terminal = terminal_look(STDOUT_FILENO);
    json_member_text(result, "statement", statement, sizeof(statement));
    if (!json_member(result, "items", &items)) {
        done_print(result, statement);
        return;
    }
    struct table table = {0};
    bool csv = setting_flag(settings, OPTION_CSV);
    bool named = json_member(result, "columns", &columns) && columns.kind == JSON_ARRAY;
    char arranged[4096];
    struct buf out = buf_of(arranged, sizeof(arranged));
    struct bytes names = !named ? (struct bytes){0}
                         : csv  ? columns.text
                                : columns_arrange(columns.text, &out);
    rows_of_json(&table, items.text, names, !csv);
    const struct table_style style = {.colours = terminal.colours,
                                      .width = terminal.present ? terminal.width : 0};
    if (csv) {
        table_print_csv(&table);
    } else {
        (void)table_print(&table, &style);
        size_t rows = table_rows(&table);
        say("(%zu row%s)\n", rows, rows == 1 ? "" : "s");
    }
    table_free(&table);
}

static void results_print(struct bytes body, const struct settings *settings)
{
    struct json_value results;
    struct json_value name;
    struct json_value value;
    if (!json_member(body, "results", &results)) {
        result_print(body, settings); /* one result: {"columns", "items"} */
        return;
    }
    struct json_walk walk = json_walk_of(results.text);
    while (json_walk_next(&walk, &name, &value)) {
        if (setting_flag(settings, OPTION_JSON)) {
            say_bytes(value.text);
            say("\n");
        } else {
            result_print(value.text, settings);
        }
    }
}

static int sql_send(const struct settings *settings, struct bytes text)
{
    struct server server;
    struct http_client_response response;
    const struct http_client_request request = {
        .method = "POST",
        .target = setting_flag(settings, OPTION_DRY_RUN) ? "/v1/sql?dry_run=true" : "/v1/sql",
        .content_type = "text/plain; charset=utf-8",
        .body = text,
    };
    int code = server_open(&server, settings);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    code = server_ask(&server, &request, &response);
    if (code == EXIT_CODE_OK && response.status >= 300) {
        code = problem_complain(&response, text);
    } else if (code == EXIT_CODE_OK && !json_text_valid(response.body)) {
        complain("the server answered with something that is not JSON");
        code = EXIT_CODE_UNREACHABLE;
    } else if (code == EXIT_CODE_OK) {
        results_print(response.body, settings);
    }
    server_close(&server);
    return code;
}

int sql_command(const struct command *command)
{
    if (command->argument_count > 1) {
        complain("sql takes one text; put it in quotes");
        return EXIT_CODE_USAGE;
    }
    bool from_stdin = command->argument_count == 0 || strcmp(command->arguments[0], "-") == 0;
    if (!from_stdin) {
        return sql_send(command->settings, bytes_of_string(command->arguments[0]));
    }
    struct bytes text = {0};
    int code = stdin_read(&text);
    if (code == EXIT_CODE_OK) {
        code = sql_send(command->settings, text);
    }
    free((void *)(uintptr_t)text.data);
    return code;
}
