/* Reading options: see options.h.
 *
 *     words ───────────┐ (origin 3)
 *     TIDEMARK_NAME ───┼─► setting_take ─► settings    never replaces a value of higher origin
 *     FILE: name=value ┘ (1)
 *
 * Invariants:
 *  1. Every setting of the command holds a valid value before settings_read returns 0.
 *  2. Values of options that may be given several times come from one origin alone. */
#include "apps/options.h"

#include "apps/exit_codes.h"
#include "apps/say.h"
#include "apps/units.h"
#include "base/check.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE_MAX (1024 * 1024)

static const struct option_row rows[OPTION_COUNT] = {
#define OPTION(id, name, type, fallback, min, max, value, commands, doc)                           \
    {name, OPTION_TYPE_##type, fallback, min, max, value, commands, doc},
#include "apps/config.def"
#undef OPTION
};

const struct option_row *option_row(enum option_id id)
{
    CHECK(id < OPTION_COUNT);
    return &rows[id];
}

/* Equal, '_' and '-' taken as the same. */
static bool name_equal(const char *name, struct bytes other)
{
    struct bytes own = bytes_of_string(name);
    if (own.len != other.len) {
        return false;
    }
    for (size_t i = 0; i < own.len; i++) {
        uint8_t c = other.data[i] == '_' ? '-' : other.data[i];
        if (own.data[i] != c) {
            return false;
        }
    }
    return true;
}

static bool belongs(enum option_id id, enum command_id command)
{
    /* `config` shows the server's options, so it reads them as well. */
    uint32_t commands = rows[id].commands;
    return (commands >> command & 1) != 0 ||
           (command == COMMAND_CONFIG && (commands >> COMMAND_SERVE & 1) != 0);
}

enum option_id option_find(enum command_id command, struct bytes name)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (belongs((enum option_id)i, command) && name_equal(rows[i].name, name)) {
            return (enum option_id)i;
        }
    }
    return OPTION_COUNT;
}

#define DISTANCE_TEXT_MAX 40

size_t edit_distance(struct bytes a, struct bytes b, size_t limit)
{
    size_t row[DISTANCE_TEXT_MAX + 1];
    if (a.len > DISTANCE_TEXT_MAX || b.len > DISTANCE_TEXT_MAX) {
        return limit + 1;
    }
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = diagonal + (a.data[i - 1] == b.data[j - 1] ? 0 : 1);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b.len] > limit ? limit + 1 : row[b.len];
}

const char *option_suggest(enum command_id command, struct bytes name)
{
    const char *best = NULL;
    size_t best_distance = 4;
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (!belongs((enum option_id)i, command)) {
            continue;
        }
        struct bytes own = bytes_of_string(rows[i].name);
        bool prefix =
            name.len >= 2 && name.len < own.len && bytes_equal(bytes_slice(own, 0, name.len), name);
        size_t distance = prefix ? 1 : edit_distance(own, name, 3);
        if (distance < best_distance && distance <= (name.len + 2) / 3) {
            best = rows[i].name;
            best_distance = distance;
        }
    }
    return best;
}

/* --- One value --- */

/* Where a value came from, for its error: "--limit", "TIDEMARK_LIMIT", "limit (FILE, line 3)". */
struct place {
    enum origin origin;
    char text[160];
};

static const char *type_words(enum option_type type)
{
    switch (type) {
    case OPTION_TYPE_TEXT:
    case OPTION_TYPE_TEXTS:
    case OPTION_TYPE_LIST:
        return "a text";
    case OPTION_TYPE_COUNT:
        return "a whole number";
    case OPTION_TYPE_BYTES:
        return "an amount of bytes such as 64M or 1GiB";
    case OPTION_TYPE_DURATION:
        return "a duration such as 20ms, 5s, 10m, 24h, 7d or PT5M";
    case OPTION_TYPE_RATE:
        return "a rate such as 1000/s";
    case OPTION_TYPE_FACTOR:
        return "a factor such as 60x";
    case OPTION_TYPE_FLAG:
        return "true or false";
    }
    return "a value";
}

static bool value_parse(enum option_type type, struct bytes text, struct setting *value)
{
    switch (type) {
    case OPTION_TYPE_TEXT:
    case OPTION_TYPE_TEXTS:
    case OPTION_TYPE_LIST:
        return true;
    case OPTION_TYPE_COUNT:
        return i64_parse(text, &value->number) && value->number >= 0;
    case OPTION_TYPE_BYTES:
        return bytes_amount_parse(text, &value->number);
    case OPTION_TYPE_DURATION:
        return duration_amount_parse(text, &value->number);
    case OPTION_TYPE_RATE:
        return rate_amount_parse(text, &value->real);
    case OPTION_TYPE_FACTOR:
        return factor_amount_parse(text, &value->real);
    case OPTION_TYPE_FLAG:
        return flag_amount_parse(text, &value->flag);
    }
    return false;
}

static void limit_put(struct buf *out, enum option_type type, int64_t limit)
{
    if (type == OPTION_TYPE_DURATION) {
        duration_exact_put(out, limit);
    } else if (type == OPTION_TYPE_BYTES) {
        bytes_amount_put(out, (uint64_t)limit);
    } else {
        count_amount_put(out, (uint64_t)limit);
    }
    buf_put_u8(out, 0);
}

static bool in_range(const struct option_row *row,
                     const struct setting *value,
                     const struct place *place,
                     struct error *error)
{
    bool low = value->number < row->min;
    bool high = row->max != 0 && value->number > row->max;
    char limit[64];
    struct buf out = buf_of(limit, sizeof(limit));
    /* 0 stands for "let the program decide" where that is the default. */
    if ((!low && !high) ||
        (value->number == 0 && bytes_equal(BYTES("0"), bytes_of_string(row->fallback)))) {
        return true;
    }
    limit_put(&out, row->type, low ? row->min : row->max);
    error_say(error,
              "%s: %s is too %s, it must be at %s %s",
              place->text,
              value->text,
              low ? "small" : "large",
              low ? "least" : "most",
              limit);
    return false;
}

static char *own_copy(struct settings *settings, const char *text, size_t len)
{
    char *copy = settings->owned_count < sizeof(settings->owned) / sizeof(settings->owned[0])
                     ? malloc(len + 1)
                     : NULL;
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
        settings->owned[settings->owned_count++] = copy;
    }
    return copy;
}

static bool texts_add(struct setting_texts *texts, const char *text)
{
    if (texts->count == OPTION_TEXTS_MAX) {
        return false;
    }
    texts->items[texts->count++] = text;
    return true;
}

/* LIST: one item for each part between commas. */
static bool list_split(struct settings *settings, struct setting_texts *texts, const char *text)
{
    while (*text != '\0') {
        const char *comma = strchr(text, ',');
        size_t len = comma == NULL ? strlen(text) : (size_t)(comma - text);
        char *item = own_copy(settings, text, len);
        if (len > 0 && (item == NULL || !texts_add(texts, item))) {
            return false;
        }
        text += len + (comma == NULL ? 0 : 1);
    }
    return true;
}

/* False: error says why. */
static bool setting_take(struct settings *settings,
                         enum option_id id,
                         const char *text,
                         const struct place *place,
                         struct error *error)
{
    const struct option_row *row = &rows[id];
    struct setting *old = &settings->values[id];
    struct setting value = {.origin = place->origin, .text = text};
    if (old->origin > place->origin) {
        return true;
    }
    if (!value_parse(row->type, bytes_of_string(text), &value)) {
        error_say(error, "%s: \"%.60s\" is not %s", place->text, text, type_words(row->type));
        return false;
    }
    bool ranged = row->type == OPTION_TYPE_COUNT || row->type == OPTION_TYPE_BYTES ||
                  row->type == OPTION_TYPE_DURATION;
    if (ranged && !in_range(row, &value, place, error)) {
        return false;
    }
    struct setting_texts *texts = &settings->texts[id];
    texts->count = old->origin < place->origin ? 0 : texts->count;
    bool taken = row->type == OPTION_TYPE_TEXTS  ? texts_add(texts, text)
                 : row->type == OPTION_TYPE_LIST ? list_split(settings, texts, text)
                                                 : true;
    if (!taken) {
        error_say(error, "%s: given more than %d times", place->text, OPTION_TEXTS_MAX);
        return false;
    }
    *old = value;
    return true;
}

/* --- The command line --- */

struct words {
    const char *const *at;
    size_t count;
    size_t next;
};

static bool unknown_option(const struct settings *settings, struct bytes name, struct error *error)
{
    const char *near = option_suggest(settings->command, name);
    error_say(error,
              "there is no option --%.*s here%s%s%s",
              (int)(name.len > 60 ? 60 : name.len),
              (const char *)name.data,
              near != NULL ? "; did you mean --" : "",
              near != NULL ? near : "",
              near != NULL ? "?" : "");
    return false;
}

/* One "--name", "--name=value" or "--name value". */
static bool option_word(struct settings *settings, struct words *words, struct error *error)
{
    const char *word = words->at[words->next++] + 2;
    const char *equals = strchr(word, '=');
    struct bytes name = bytes_of(word, equals == NULL ? strlen(word) : (size_t)(equals - word));
    if (bytes_equal(name, BYTES("help"))) {
        settings->help_wanted = true;
        return true;
    }
    enum option_id id = option_find(settings->command, name);
    bool negated = false;
    if (id == OPTION_COUNT && name.len > 3 && memcmp(name.data, "no-", 3) == 0) {
        id = option_find(settings->command, bytes_slice(name, 3, name.len - 3));
        negated = id != OPTION_COUNT && rows[id].type == OPTION_TYPE_FLAG && equals == NULL;
        id = negated ? id : OPTION_COUNT;
    }
    if (id == OPTION_COUNT) {
        return unknown_option(settings, name, error);
    }
    struct place place = {.origin = ORIGIN_COMMAND_LINE};
    (void)snprintf(place.text, sizeof(place.text), "--%s", rows[id].name);
    const char *value = equals != NULL ? equals + 1 : negated ? "false" : "true";
    if (equals == NULL && rows[id].type != OPTION_TYPE_FLAG) {
        if (words->next == words->count) {
            error_say(
                error, "--%s needs a value: --%s %s", rows[id].name, rows[id].name, rows[id].value);
            return false;
        }
        value = words->at[words->next++];
    }
    return setting_take(settings, id, value, &place, error);
}

static bool words_read(struct settings *settings, struct words *words, struct error *error)
{
    bool only_arguments = false;
    while (words->next < words->count) {
        const char *word = words->at[words->next];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
            words->next++;
        } else if (!only_arguments && strcmp(word, "-h") == 0) {
            settings->help_wanted = true;
            words->next++;
        } else if (!only_arguments && strncmp(word, "--", 2) == 0) {
            if (!option_word(settings, words, error)) {
                return false;
            }
        } else if (!only_arguments && word[0] == '-' && word[1] != '\0') {
            error_say(error, "options have long names here: there is no %.20s", word);
            return false;
        } else if (settings->argument_count == ARGUMENTS_MAX) {
            error_say(error, "too many arguments");
            return false;
        } else {
            settings->arguments[settings->argument_count++] = word;
            words->next++;
        }
    }
    return true;
}

/* --- Environment and file --- */

static void environment_name(const char *name, char *out, size_t size)
{
    int len = snprintf(out, size, "TIDEMARK_%s", name);
    CHECK(len > 0 && (size_t)len < size);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    }
}

static bool environment_read(struct settings *settings, struct error *error)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        struct place place = {.origin = ORIGIN_ENVIRONMENT};
        environment_name(rows[i].name, place.text, sizeof(place.text));
        const char *value =
            belongs((enum option_id)i, settings->command) ? getenv(place.text) : NULL;
        if (value != NULL && !setting_take(settings, (enum option_id)i, value, &place, error)) {
            return false;
        }
    }
    return true;
}

static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && strchr(" \t\r", text.data[0]) != NULL) {
        text = bytes_slice(text, 1, text.len - 1);
    }
    while (text.len > 0 && strchr(" \t\r", text.data[text.len - 1]) != NULL) {
        text.len--;
    }
    return text;
}

/* A '#' at the beginning or behind white space begins a comment. */
static struct bytes without_comment(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++) {
        bool apart = i == 0 || line.data[i - 1] == ' ' || line.data[i - 1] == '\t';
        if (line.data[i] == '#' && apart) {
            return bytes_slice(line, 0, i);
        }
    }
    return line;
}

static bool name_of_any_command(struct bytes name)
{
    for (unsigned command = 0; command < COMMAND_COUNT; command++) {
        if (option_find((enum command_id)command, name) != OPTION_COUNT) {
            return true;
        }
    }
    return false;
}

/* One line of the file; what belongs to other commands is passed over. */
static bool
line_read(struct settings *settings, struct bytes line, struct place *place, struct error *error)
{
    line = trim(without_comment(line));
    if (line.len == 0) {
        return true;
    }
    const uint8_t *equals = memchr(line.data, '=', line.len);
    if (equals == NULL) {
        error_say(error, "%s: a line is `name = value`", place->text);
        return false;
    }
    struct bytes name = trim(bytes_of(line.data, (size_t)(equals - line.data)));
    struct bytes value = trim(bytes_of(equals + 1, (size_t)(line.data + line.len - equals - 1)));
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
        value = bytes_slice(value, 1, value.len - 2);
    }
    enum option_id id = option_find(settings->command, name);
    if (id == OPTION_COUNT || id == OPTION_CONFIG) {
        if (id == OPTION_COUNT && name_of_any_command(name)) {
            return true;
        }
        const char *near = option_suggest(COMMAND_SERVE, name);
        error_say(error,
                  "%s: there is no option \"%.*s\"%s%s%s",
                  place->text,
                  (int)(name.len > 40 ? 40 : name.len),
                  (const char *)name.data,
                  near != NULL ? "; did you mean " : "",
                  near != NULL ? near : "",
                  near != NULL ? "?" : "");
        return false;
    }
    char *copy = own_copy(settings, (const char *)value.data, value.len);
    if (copy == NULL) {
        error_say(error, "%s: too many lines", place->text);
        return false;
    }
    return setting_take(settings, id, copy, place, error);
}

static bool
lines_read(struct settings *settings, const char *path, struct bytes text, struct error *error)
{
    int number = 1;
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        struct place place = {.origin = ORIGIN_FILE};
        (void)snprintf(place.text, sizeof(place.text), "%.120s, line %d", path, number);
        if (!line_read(settings, bytes_slice(text, 0, len), &place, error)) {
            error->line = number;
            return false;
        }
        len += end == NULL ? 0 : 1;
        text = bytes_slice(text, len, text.len - len);
        number++;
    }
    return true;
}

static bool file_read(struct settings *settings, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        error_say(
            error, "the configuration file %.100s can't be read: %s", path, strerrordesc_np(errno));
        return false;
    }
    bool good = false;
    char *text = malloc(CONFIG_FILE_MAX);
    size_t len = text == NULL ? 0 : fread(text, 1, CONFIG_FILE_MAX, file);
    if (text == NULL || ferror(file) != 0 || len == CONFIG_FILE_MAX ||
        memchr(text, 0, len) != NULL) {
        error_say(error, "the configuration file %.100s is no text of less than 1 MiB", path);
    } else {
        good = lines_read(settings, path, bytes_of(text, len), error);
    }
    free(text);
    (void)fclose(file);
    return good;
}

static void defaults_set(struct settings *settings)
{
    const struct place place = {.origin = ORIGIN_DEFAULT, .text = "default"};
    struct error error;
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        settings->values[i].text = rows[i].fallback;
        if (rows[i].fallback[0] != '\0') {
            bool valid =
                setting_take(settings, (enum option_id)i, rows[i].fallback, &place, &error);
            CHECK(valid);
        }
    }
}

int settings_read(struct settings *settings,
                  enum command_id command,
                  const char *const *words,
                  size_t count,
                  struct error *error)
{
    *settings = (struct settings){.command = command};
    *error = (struct error){.code = OK};
    defaults_set(settings);
    struct words left = {.at = words, .count = count};
    if (!words_read(settings, &left, error)) {
        return EXIT_CODE_USAGE;
    }
    if (settings->help_wanted) {
        return EXIT_CODE_OK;
    }
    if (!environment_read(settings, error)) {
        return EXIT_CODE_CONFIGURATION;
    }
    const char *file = setting_text(settings, OPTION_CONFIG);
    if (file[0] != '\0' && !file_read(settings, file, error)) {
        return EXIT_CODE_CONFIGURATION;
    }
    return EXIT_CODE_OK;
}

void settings_free(struct settings *settings)
{
    for (size_t i = 0; i < settings->owned_count; i++) {
        free(settings->owned[i]);
    }
    settings->owned_count = 0;
}
