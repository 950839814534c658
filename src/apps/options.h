/* Options: from config.def to values.
 *
 * An option's value is that of the command line, else of its environment variable, else of the
 * configuration file, else its default. */
#pragma once

#include "base/err.h"

enum command_id {
#define COMMAND(id, name, arguments, function, what, more, examples) COMMAND_##id,
#include "apps/commands.def"
#undef COMMAND
    COMMAND_COUNT
};

#define FOR(command) (1u << COMMAND_##command)
#define FOR_ALL      ((1u << COMMAND_COUNT) - 1)

enum option_id {
#define OPTION(id, name, type, fallback, min, max, value, commands, doc) OPTION_##id,
#include "apps/config.def"
#undef OPTION
    OPTION_COUNT
};

enum option_type {
    OPTION_TYPE_TEXT,
    OPTION_TYPE_TEXTS, /* may be given several times */
    OPTION_TYPE_LIST,  /* the same, and each is split at commas */
    OPTION_TYPE_COUNT,
    OPTION_TYPE_BYTES,
    OPTION_TYPE_DURATION,
    OPTION_TYPE_RATE,
    OPTION_TYPE_FACTOR,
    OPTION_TYPE_FLAG,
};

struct option_row {
    const char *name;
    enum option_type type;
    const char *fallback; /* as text; "" = none */
    int64_t min;
    int64_t max; /* 0: none */
    const char *value;
    uint32_t commands; /* bit per command */
    const char *doc;
};

const struct option_row *option_row(enum option_id id);

enum origin {
    ORIGIN_DEFAULT,
    ORIGIN_FILE,
    ORIGIN_ENVIRONMENT,
    ORIGIN_COMMAND_LINE,
};

#define OPTION_TEXTS_MAX 64
#define ARGUMENTS_MAX    16

struct setting {
    enum origin origin;
    const char *text; /* as given */
    int64_t number;   /* COUNT, BYTES, DURATION */
    double real;      /* RATE, FACTOR */
    bool flag;
};

struct setting_texts {
    const char *items[OPTION_TEXTS_MAX];
    size_t count;
};

struct settings {
    enum command_id command;
    bool help_wanted; /* --help was given: nothing else counts */
    struct setting values[OPTION_COUNT];
    struct setting_texts texts[OPTION_COUNT];
    const char *arguments[ARGUMENTS_MAX];
    size_t argument_count;
    char *owned[OPTION_COUNT * 4]; /* copies that items point into */
    size_t owned_count;
};

/* Reads the words behind the command's name, the environment and the configuration file. Returns 0,
 * or the exit code: 2 for the command line, 78 for the rest; error->text says why in a sentence.
 * `words` must outlive the settings. */
int settings_read(struct settings *settings,
                  enum command_id command,
                  const char *const *words,
                  size_t count,
                  struct error *error) MUST_CHECK;
void settings_free(struct settings *settings);

/* The option of that name (dashes or underscores) that the command has; OPTION_COUNT: none. */
enum option_id option_find(enum command_id command, struct bytes name);

/* The name that is most like this one among the command's options; NULL when none is near. */
const char *option_suggest(enum command_id command, struct bytes name);

/* How many letters must change to make one the other; for suggestions. At most `limit` + 1. */
size_t edit_distance(struct bytes a, struct bytes b, size_t limit);

static inline const struct setting *setting(const struct settings *settings, enum option_id id)
{
    return &settings->values[id];
}

static inline bool setting_given(const struct settings *settings, enum option_id id)
{
    return settings->values[id].origin != ORIGIN_DEFAULT;
}

static inline bool setting_flag(const struct settings *settings, enum option_id id)
{
    return settings->values[id].flag;
}

static inline int64_t setting_number(const struct settings *settings, enum option_id id)
{
    return settings->values[id].number;
}

static inline const char *setting_text(const struct settings *settings, enum option_id id)
{
    return settings->values[id].text;
}
