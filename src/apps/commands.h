/* The commands: one function each, from commands.def. */
#pragma once

#include "apps/exit_codes.h"
#include "apps/options.h"

/* A command as it was called: its settings, and what stood beside the options. */
struct command {
    enum command_id id;
    const struct settings *settings;
    const char *const *arguments;
    size_t argument_count;
};

/* Each returns the process's exit code. */
#define COMMAND(id, name, arguments, function, what, more, examples)                               \
    int function(const struct command *command);
#include "apps/commands.def"
#undef COMMAND

struct command_row {
    const char *name;
    const char *arguments;
    int (*run)(const struct command *command);
    const char *what;
    const char *more;
    const char *examples;
};

const struct command_row *command_row(enum command_id id);

/* COMMAND_COUNT when there is none of that name. */
enum command_id command_find(const char *name);

/* The command whose name is most like this one; NULL when none is near. */
const char *command_suggest(const char *name);
