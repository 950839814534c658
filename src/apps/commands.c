/* The table of commands: see commands.h. */
#include "apps/commands.h"

#include "base/check.h"

#include <string.h>

static const struct command_row rows[COMMAND_COUNT] = {
#define COMMAND(id, name, arguments, function, what, more, examples)                               \
    {name, arguments, function, what, more, examples},
#include "apps/commands.def"
#undef COMMAND
};

const struct command_row *command_row(enum command_id id)
{
    CHECK(id < COMMAND_COUNT);
    return &rows[id];
}

enum command_id command_find(const char *name)
{
    unsigned id = 0;
    while (id < COMMAND_COUNT && strcmp(rows[id].name, name) != 0) {
        id++;
    }
    return (enum command_id)id;
}

const char *command_suggest(const char *name)
{
    const char *best = NULL;
    size_t best_distance = 3;
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        size_t len = strlen(name);
        bool prefix = len > 0 && strncmp(rows[i].name, name, len) == 0;
        size_t distance =
            prefix ? 0 : edit_distance(bytes_of_string(rows[i].name), bytes_of_string(name), 3);
        if (distance < best_distance && distance <= (len + 2) / 3) {
            best = rows[i].name;
            best_distance = distance;
        }
    }
    return best;
}
