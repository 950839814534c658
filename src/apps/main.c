/* tidemark: one binary, a command each for what it can do. */
#include "apps/commands.h"
#include "apps/help.h"
#include "apps/say.h"
#include "apps/version.h"

#include <string.h>

static int unknown_command(const char *name)
{
    const char *near = command_suggest(name);
    complain("there is no command \"%.60s\"%s%s%s",
             name,
             near != NULL ? "; did you mean " : "",
             near != NULL ? near : "",
             near != NULL ? "?" : "");
    note("`tidemark --help` lists them.\n");
    return EXIT_CODE_USAGE;
}

static int command_run(enum command_id id, const char *const *words, size_t count)
{
    static struct settings settings; /* large, and lives as long as the process */
    struct error error;
    int code = settings_read(&settings, id, words, count, &error);
    if (code != EXIT_CODE_OK) {
        complain("%s", error.text);
        if (code == EXIT_CODE_USAGE) {
            note("`tidemark help %s` lists the options.\n", command_row(id)->name);
        }
    } else if (settings.help_wanted) {
        help_of_command(id);
    } else {
        const struct command command = {
            .id = id,
            .settings = &settings,
            .arguments = settings.arguments,
            .argument_count = settings.argument_count,
        };
        code = command_row(id)->run(&command);
    }
    settings_free(&settings);
    return code;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        help_overview();
        return EXIT_CODE_OK;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        help_overview();
        return EXIT_CODE_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        say("tidemark %s\n", TIDEMARK_VERSION);
        return EXIT_CODE_OK;
    }
    enum command_id id = command_find(name);
    if (id == COMMAND_COUNT) {
        return unknown_command(name);
    }
    return command_run(id, (const char *const *)(argv + 2), (size_t)argc - 2);
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);
    if (!say_finish()) {
        complain("the output can't be written");
        return code != EXIT_CODE_OK ? code : EXIT_CODE_IO;
    }
    return code;
}
