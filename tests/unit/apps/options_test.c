#include "apps/options.h"

#include "apps/exit_codes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <unistd.h>

static struct settings settings;
static struct error error;

#define READ(command, ...)                                                                         \
    settings_read(&settings,                                                                       \
                  command,                                                                         \
                  (const char *const[]){__VA_ARGS__},                                              \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *),               \
                  &error)

static int after(void **state)
{
    (void)state;
    settings_free(&settings);
    (void)unsetenv("TIDEMARK_PARTITIONS");
    (void)unsetenv("TIDEMARK_CONFIG");
    (void)unsetenv("TIDEMARK_ALLOWED_HOST");
    return 0;
}

/* A configuration file that lasts until the next one. */
static const char *file_of(const char *text)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/options_test.%d.conf", (int)getpid());
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void defaults_are_the_ones_of_the_table(void **state)
{
    (void)state;
    assert_int_equal(settings_read(&settings, COMMAND_SERVE, NULL, 0, &error), 0);
    assert_string_equal(setting_text(&settings, OPTION_LISTEN), "127.0.0.1:7070");
    assert_int_equal(setting_number(&settings, OPTION_PARTITIONS), 16);
    assert_int_equal(setting_number(&settings, OPTION_PULSE_EVERY), 20000);
    assert_int_equal(setting_number(&settings, OPTION_DEDUP_HORIZON), 86400000000);
    assert_false(setting_given(&settings, OPTION_PARTITIONS));
}

static void values_stand_behind_a_space_or_an_equals_sign(void **state)
{
    (void)state;
    assert_int_equal(
        READ(COMMAND_SERVE, "--partitions", "8", "--pulse-every=50ms", "--memory=1GiB"), 0);
    assert_int_equal(setting_number(&settings, OPTION_PARTITIONS), 8);
    assert_int_equal(setting_number(&settings, OPTION_PULSE_EVERY), 50000);
    assert_int_equal(setting_number(&settings, OPTION_MEMORY), 1 << 30);
    assert_true(setting_given(&settings, OPTION_MEMORY));
}

static void names_may_have_underscores(void **state)
{
    (void)state;
    assert_int_equal(READ(COMMAND_SERVE, "--pulse_every", "50ms"), 0);
    assert_int_equal(setting_number(&settings, OPTION_PULSE_EVERY), 50000);
}

static void words_that_are_no_options_are_arguments(void **state)
{
    (void)state;
    assert_int_equal(READ(COMMAND_INGEST, "-", "--final", "a", "--", "--final"), 0);
    assert_int_equal(settings.argument_count, 3);
    assert_string_equal(settings.arguments[0], "-");
    assert_string_equal(settings.arguments[1], "a");
    assert_string_equal(settings.arguments[2], "--final");
    assert_true(setting_flag(&settings, OPTION_FINAL));
}

static void flags_can_be_taken_back(void **state)
{
    (void)state;
    assert_int_equal(READ(COMMAND_INGEST, "--final", "--no-final"), 0);
    assert_false(setting_flag(&settings, OPTION_FINAL));
    assert_int_equal(READ(COMMAND_INGEST, "--final=yes"), 0);
    assert_true(setting_flag(&settings, OPTION_FINAL));
    assert_int_equal(READ(COMMAND_INGEST, "--no-batch"), EXIT_CODE_USAGE);
}

static void the_same_name_may_mean_different_things_to_commands(void **state)
{
    (void)state;
    assert_int_equal(READ(COMMAND_VALUES, "--from", "2013-01-01T00:00:00Z"), 0);
    assert_string_equal(setting_text(&settings, OPTION_FROM_TIME), "2013-01-01T00:00:00Z");
    assert_int_equal(READ(COMMAND_LOG, "--from", "4096"), 0);
    assert_int_equal(setting_number(&settings, OPTION_FROM_OFFSET), 4096);
    assert_int_equal(READ(COMMAND_LOG, "--from", "2013-01-01T00:00:00Z"), EXIT_CODE_USAGE);
}

static void mistakes_are_named_with_the_likely_meaning(void **state)
{
    (void)state;
    assert_int_equal(READ(COMMAND_SERVE, "--partitons", "8"), EXIT_CODE_USAGE);
    assert_non_null(strstr(error.text, "did you mean --partitions?"));
    assert_int_equal(READ(COMMAND_SERVE, "--zzzz"), EXIT_CODE_USAGE);
    assert_null(strstr(error.text, "did you mean"));
    assert_int_equal(READ(COMMAND_SERVE, "--partitions"), EXIT_CODE_USAGE);
    assert_non_null(strstr(error.text, "needs a value"));
    assert_int_equal(READ(COMMAND_SERVE, "--partitions", "many"), EXIT_CODE_USAGE);
    assert_non_null(strstr(error.text, "is not a whole number"));
    assert_int_equal(READ(COMMAND_SERVE, "--partitions", "65"), EXIT_CODE_USAGE);
    assert_non_null(strstr(error.text, "at most 64"));
    assert_int_equal(READ(COMMAND_SERVE, "--partitions", "0"), EXIT_CODE_USAGE);
    assert_non_null(strstr(error.text, "at least 1"));
    assert_int_equal(READ(COMMAND_SERVE, "--pulse-every", "50"), EXIT_CODE_USAGE);
    assert_non_null(strstr(error.text, "--pulse-every"));
    assert_int_equal(READ(COMMAND_SERVE, "-v"), EXIT_CODE_USAGE);
}

static void help_wins_over_everything(void **state)
{
    (void)state;
    assert_int_equal(READ(COMMAND_SERVE, "--help"), 0);
    assert_true(settings.help_wanted);
}

static void the_command_line_wins_over_environment_over_file_over_default(void **state)
{
    (void)state;
    const char *path = file_of("partitions = 2\n");
    assert_int_equal(READ(COMMAND_SERVE, "--config", path), 0);
    assert_int_equal(setting_number(&settings, OPTION_PARTITIONS), 2);
    assert_int_equal(setting(&settings, OPTION_PARTITIONS)->origin, ORIGIN_FILE);
    settings_free(&settings);
    assert_int_equal(setenv("TIDEMARK_PARTITIONS", "3", 1), 0);
    assert_int_equal(setenv("TIDEMARK_CONFIG", path, 1), 0);
    assert_int_equal(settings_read(&settings, COMMAND_SERVE, NULL, 0, &error), 0);
    assert_int_equal(setting_number(&settings, OPTION_PARTITIONS), 3);
    settings_free(&settings);
    assert_int_equal(READ(COMMAND_SERVE, "--partitions=4"), 0);
    assert_int_equal(setting_number(&settings, OPTION_PARTITIONS), 4);
}

static void a_bad_environment_or_file_is_a_configuration_error(void **state)
{
    (void)state;
    assert_int_equal(setenv("TIDEMARK_PARTITIONS", "x", 1), 0);
    assert_int_equal(settings_read(&settings, COMMAND_SERVE, NULL, 0, &error),
                     EXIT_CODE_CONFIGURATION);
    assert_non_null(strstr(error.text, "TIDEMARK_PARTITIONS"));
    assert_int_equal(unsetenv("TIDEMARK_PARTITIONS"), 0);
    assert_int_equal(READ(COMMAND_SERVE, "--config", "/nowhere/x.conf"), EXIT_CODE_CONFIGURATION);
    static const char *const bad[] = {
        "partitions 8\n", "partitons = 8\n", "partitions = 0\n", "= 8\n", "config = x\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        settings_free(&settings);
        assert_int_equal(READ(COMMAND_SERVE, "--config", file_of(bad[i])), EXIT_CODE_CONFIGURATION);
        assert_non_null(strstr(error.text, "line 1"));
    }
}

static void a_file_has_comments_quotes_and_options_of_other_commands(void **state)
{
    (void)state;
    const char *path = file_of(
        "# all of it\n\n  retain_events = 3d   # three days\n"
        "data = \"/var/lib/tide mark\"\r\nurl = http://x:1\nbatch=7\n");
    assert_int_equal(READ(COMMAND_SERVE, "--config", path), 0);
    assert_int_equal(setting_number(&settings, OPTION_RETAIN_EVENTS), 3 * 86400000000);
    assert_string_equal(setting_text(&settings, OPTION_SERVE_DATA), "/var/lib/tide mark");
    assert_int_equal(unlink(path), 0);
}

static void lists_are_split_and_come_from_one_origin(void **state)
{
    (void)state;
    assert_int_equal(setenv("TIDEMARK_ALLOWED_HOST", "a,b", 1), 0);
    assert_int_equal(settings_read(&settings, COMMAND_SERVE, NULL, 0, &error), 0);
    assert_int_equal(settings.texts[OPTION_ALLOWED_HOST].count, 2);
    assert_string_equal(settings.texts[OPTION_ALLOWED_HOST].items[1], "b");
    settings_free(&settings);
    assert_int_equal(READ(COMMAND_SERVE, "--allowed-host", "c", "--allowed-host", "d,,e"), 0);
    assert_int_equal(settings.texts[OPTION_ALLOWED_HOST].count, 3);
    assert_string_equal(settings.texts[OPTION_ALLOWED_HOST].items[2], "e");
}

static void statements_are_not_split(void **state)
{
    (void)state;
    assert_int_equal(READ(COMMAND_INGEST, "--sql", "SELECT a, b", "--sql", "c"), 0);
    assert_int_equal(settings.texts[OPTION_SQL_FIRST].count, 2);
    assert_string_equal(settings.texts[OPTION_SQL_FIRST].items[0], "SELECT a, b");
}

static void too_many_of_anything_are_refused(void **state)
{
    const char *words[2 * OPTION_TEXTS_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i += 2) {
        words[i] = "--sql";
        words[i + 1] = "x";
    }
    assert_int_equal(
        settings_read(&settings, COMMAND_INGEST, words, sizeof(words) / sizeof(words[0]), &error),
        EXIT_CODE_USAGE);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        words[i] = "x";
    }
    assert_int_equal(
        settings_read(&settings, COMMAND_INGEST, words, sizeof(words) / sizeof(words[0]), &error),
        EXIT_CODE_USAGE);
}

static void every_row_of_the_table_is_sound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = option_row((enum option_id)i);
        assert_true(row->commands != 0);
        assert_true(row->doc[0] != '\0');
        assert_true(row->type == OPTION_TYPE_FLAG || row->value[0] != '\0');
        for (unsigned command = 0; command < COMMAND_COUNT; command++) {
            /* A name means one thing to a command. */
            if ((row->commands >> command & 1) != 0) {
                assert_int_equal(option_find((enum command_id)command, bytes_of_string(row->name)),
                                 i);
            }
        }
    }
}

static void distances_count_changed_letters(void **state)
{
    (void)state;
    assert_int_equal(edit_distance(BYTES("ingest"), BYTES("ingest"), 3), 0);
    assert_int_equal(edit_distance(BYTES("ingest"), BYTES("igest"), 3), 1);
    assert_int_equal(edit_distance(BYTES("ingest"), BYTES("inject"), 3), 2);
    assert_int_equal(edit_distance(BYTES(""), BYTES("abc"), 3), 3);
    assert_int_equal(edit_distance(BYTES("abc"), BYTES("xyz"), 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(defaults_are_the_ones_of_the_table, after),
        cmocka_unit_test_teardown(values_stand_behind_a_space_or_an_equals_sign, after),
        cmocka_unit_test_teardown(names_may_have_underscores, after),
        cmocka_unit_test_teardown(words_that_are_no_options_are_arguments, after),
        cmocka_unit_test_teardown(flags_can_be_taken_back, after),
        cmocka_unit_test_teardown(the_same_name_may_mean_different_things_to_commands, after),
        cmocka_unit_test_teardown(mistakes_are_named_with_the_likely_meaning, after),
        cmocka_unit_test_teardown(help_wins_over_everything, after),
        cmocka_unit_test_teardown(the_command_line_wins_over_environment_over_file_over_default,
                                  after),
        cmocka_unit_test_teardown(a_bad_environment_or_file_is_a_configuration_error, after),
        cmocka_unit_test_teardown(a_file_has_comments_quotes_and_options_of_other_commands, after),
        cmocka_unit_test_teardown(lists_are_split_and_come_from_one_origin, after),
        cmocka_unit_test_teardown(statements_are_not_split, after),
        cmocka_unit_test_teardown(too_many_of_anything_are_refused, after),
        cmocka_unit_test(every_row_of_the_table_is_sound),
        cmocka_unit_test(distances_count_changed_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
