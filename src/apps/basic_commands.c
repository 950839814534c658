/* The commands that need neither a server nor a directory: help, config, tail. */
#include "apps/commands.h"
#include "apps/help.h"
#include "apps/say.h"

int help_command(const struct command *command)
{
    if (command->argument_count == 0) {
        help_overview();
        return EXIT_CODE_OK;
    }
    const char *name = command->arguments[0];
    enum command_id id = command_find(name);
    if (id == COMMAND_COUNT) {
        const char *near = command_suggest(name);
        complain("there is no command \"%.60s\"%s%s%s",
                 name,
                 near != NULL ? "; did you mean " : "",
                 near != NULL ? near : "",
                 near != NULL ? "?" : "");
        return EXIT_CODE_USAGE;
    }
    help_of_command(id);
    return EXIT_CODE_OK;
}

static const char *origin_words(enum origin origin)
{
    switch (origin) {
    case ORIGIN_DEFAULT:
        return "default";
    case ORIGIN_FILE:
        return "file";
    case ORIGIN_ENVIRONMENT:
        return "environment";
    case ORIGIN_COMMAND_LINE:
        return "command line";
    }
    return "default";
}

int config_command(const struct command *command)
{
    if (setting_flag(command->settings, OPTION_MARKDOWN)) {
        help_markdown();
        return EXIT_CODE_OK;
    }
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = option_row((enum option_id)i);
        if ((row->commands >> COMMAND_SERVE & 1) == 0 || i == OPTION_CONFIG) {
            continue;
        }
        const struct setting *value = setting(command->settings, (enum option_id)i);
        say("%-20s = %-20s # %s\n", row->name, value->text, origin_words(value->origin));
    }
    return EXIT_CODE_OK;
}
