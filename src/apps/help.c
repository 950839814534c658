/* Help texts: see help.h. */
#include "apps/help.h"

#include "apps/commands.h"
#include "apps/say.h"
#include "apps/units.h"
#include "apps/version.h"

#include <string.h>

#define HELP_WIDTH 96

/* Text folded at spaces; every line but the first begins with `indent` spaces. */
static void say_folded(const char *text, size_t at, size_t indent)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " \n");
        if (at + 1 + len > HELP_WIDTH) {
            say("\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            say(" ");
            at++;
        }
        say("%.*s", (int)len, text);
        at += len;
        text += len + strspn(text + len, " \n");
    }
    say("\n");
}

/* Lines of examples, each with four spaces in front. */
static void say_examples(const char *examples)
{
    say("\nExamples:\n");
    while (*examples != '\0') {
        size_t len = strcspn(examples, "\n");
        say("    %.*s\n", (int)len, examples);
        examples += len + (examples[len] == '\n' ? 1 : 0);
    }
}

void help_overview(void)
{
    say("Tidemark %s: windows and timeouts over event time, counted once, on a durable log.\n\n",
        TIDEMARK_VERSION);
    say("Usage: tidemark COMMAND [arguments] [--options]\n\n");
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        const struct command_row *row = command_row((enum command_id)i);
        say("  %-10s %s\n", row->name, row->what);
    }
    say("\n`tidemark help COMMAND` says more; `tidemark --version` tells the version.\n");
    say_examples(
        "tidemark serve &\n"
        "tidemark sql \"CREATE METRIC n AS SELECT type, count(*) AS n\n"
        "    FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY type\"\n"
        "tidemark ingest events.ndjson\n"
        "tidemark values n --watch\n"
        "tidemark timeouts create order-17 --within 15m\n"
        "tidemark tail notifications");
}

static void say_option(const struct option_row *row)
{
    char left[64];
    text_put(left, sizeof(left), "  --%s %s", row->name, row->value);
    say("%-32s", left);
    say_folded(row->doc, 32, 32);
    if (row->fallback[0] != '\0' && row->type != OPTION_TYPE_FLAG &&
        strcmp(row->fallback, "0") != 0) {
        say("%32s(default: %s)\n", "", row->fallback);
    }
}

void help_of_command(enum command_id command)
{
    const struct command_row *row = command_row(command);
    say("tidemark %s: %s\n\n", row->name, row->what);
    say("Usage: tidemark %s %s%s[--options]\n\n",
        row->name,
        row->arguments,
        row->arguments[0] != '\0' ? " " : "");
    if (row->more[0] != '\0') {
        say_folded(row->more, 0, 0);
        say("\n");
    }
    say("Options:\n");
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = option_row((enum option_id)i);
        if ((option->commands >> command & 1) != 0) {
            say_option(option);
        }
    }
    say_examples(row->examples);
}

/* --- Markdown --- */

static const char *type_name(enum option_type type)
{
    switch (type) {
    case OPTION_TYPE_TEXT:
        return "text";
    case OPTION_TYPE_TEXTS:
    case OPTION_TYPE_LIST:
        return "texts";
    case OPTION_TYPE_COUNT:
        return "number";
    case OPTION_TYPE_BYTES:
        return "bytes";
    case OPTION_TYPE_DURATION:
        return "duration";
    case OPTION_TYPE_RATE:
        return "rate";
    case OPTION_TYPE_FACTOR:
        return "factor";
    case OPTION_TYPE_FLAG:
        return "flag";
    }
    return "text";
}

/* A '|' would end a cell. */
static void say_cell(const char *text)
{
    for (; *text != '\0'; text++) {
        say("%s%c", *text == '|' ? "\\" : "", *text);
    }
}

static void say_limit(const struct option_row *row, int64_t limit)
{
    char text[48];
    struct buf out = buf_of(text, sizeof(text));
    if (row->type == OPTION_TYPE_DURATION) {
        duration_exact_put(&out, limit);
    } else if (row->type == OPTION_TYPE_BYTES) {
        bytes_amount_put(&out, (uint64_t)limit);
    } else {
        count_amount_put(&out, (uint64_t)limit);
    }
    say_bytes(buf_bytes(&out));
}

static void say_range(const struct option_row *row)
{
    if (row->max != 0) {
        say_limit(row, row->min);
        say(" to ");
        say_limit(row, row->max);
    } else if (row->min != 0) {
        say("at least ");
        say_limit(row, row->min);
    }
}

static void say_option_row(const struct option_row *row)
{
    say("| `--%s", row->name);
    say("%s", row->value[0] != '\0' ? " " : "");
    say_cell(row->value);
    say("` | %s | ", type_name(row->type));
    if (row->fallback[0] != '\0') {
        say("`%s`", row->fallback);
    }
    say(" | ");
    say_range(row);
    say(" | ");
    say_cell(row->doc);
    say(" |\n");
}

void help_markdown(void)
{
    say("# Configuration\n\n"
        "<!-- Made by `tidemark config --markdown`; change src/apps/config.def instead. -->\n\n"
        "An option's value comes from the command line (`--pulse-every 50ms` or "
        "`--pulse-every=50ms`), "
        "else from the\nenvironment (`TIDEMARK_PULSE_EVERY=50ms`), else from the configuration "
        "file "
        "(`--config FILE` or\n`TIDEMARK_CONFIG`), else it is the default. `tidemark config` shows "
        "what is "
        "in force, and from where.\n\n"
        "The file holds a `name = value` on each line; `#` begins a comment, values may stand in "
        "double "
        "quotes. Names are\nthose of the options, with dashes or underscores. What other commands "
        "know "
        "is passed over, so one file serves all;\na name that no command knows is an error (exit "
        "code "
        "78).\n\n"
        "```\n# /etc/tidemark.conf\nlisten = 127.0.0.1:7070\ndata = /var/lib/tidemark\nmemory = "
        "4G\n"
        "retain_events = 7d\n```\n\n"
        "| type | values |\n|---|---|\n"
        "| bytes | `4096`, `64k`, `64M`, `1GiB`: powers of 1024; `64kB`, `64MB`: powers of 1000 |\n"
        "| duration | `20ms`, `5s`, `10m`, `24h`, `7d`, or ISO 8601: `PT5M` |\n"
        "| flag | `--name` or `--no-name`; elsewhere `true` or `false` |\n"
        "| texts | may be given several times; in the file, by one line each |\n");
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        bool headed = false;
        for (unsigned i = 0; i < OPTION_COUNT; i++) {
            const struct option_row *option = option_row((enum option_id)i);
            if ((option->commands >> c & 1) == 0 || i == OPTION_CONFIG) {
                continue;
            }
            if (!headed) {
                say("\n## tidemark %s\n\n", command_row((enum command_id)c)->name);
                say("| option | type | default | range | |\n|---|---|---|---|---|\n");
                headed = true;
            }
            say_option_row(option);
        }
    }
}
