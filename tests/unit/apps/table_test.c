#include "apps/table.h"

#include "apps/rows.h"
#include "apps/say.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <unistd.h>

static char printed[65536];

/* What `print` says to standard output. */
static const char *output_of(void (*print)(const struct table *table), const struct table *table)
{
    char path[] = "/tmp/table_test.XXXXXX";
    (void)fflush(stdout);
    int fd = mkstemp(path);
    int kept = dup(STDOUT_FILENO);
    assert_true(fd >= 0 && kept >= 0);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    print(table);
    assert_true(say_finish());
    assert_int_equal(dup2(kept, STDOUT_FILENO), STDOUT_FILENO);
    ssize_t len = pread(fd, printed, sizeof(printed) - 1, 0);
    assert_true(len >= 0);
    printed[len] = '\0';
    (void)close(fd);
    (void)close(kept);
    (void)unlink(path);
    return printed;
}

static void print_plain(const struct table *table)
{
    const struct table_style style = {.colours = false};
    (void)table_print(table, &style);
}

static void print_narrow(const struct table *table)
{
    const struct table_style style = {.width = 20};
    (void)table_print(table, &style);
}

static void print_one_row(const struct table *table)
{
    const struct table_style style = {.rows_max = 1};
    assert_int_equal(table_print(table, &style), 3);
}

static struct table two_rows(void)
{
    struct table table = {0};
    table_head(&table, BYTES("name"));
    table_head(&table, BYTES("n"));
    table_cell(&table, CELL_TEXT, BYTES("a"));
    table_cell(&table, CELL_NUMBER, BYTES("7"));
    table_cell(&table, CELL_TEXT, BYTES("longer"));
    table_cell(&table, CELL_NUMBER, BYTES("1234"));
    return table;
}

static void numbers_stand_right_and_texts_left(void **state)
{
    struct table table = two_rows();
    (void)state;
    assert_string_equal(output_of(print_plain, &table),
                        "name       n\n"
                        "────────────\n"
                        "a          7\n"
                        "longer  1234\n");
    table_free(&table);
}

static void a_null_among_numbers_keeps_them_right(void **state)
{
    struct table table = {0};
    (void)state;
    table_head(&table, BYTES("n"));
    table_cell(&table, CELL_NUMBER, BYTES("12345"));
    table_cell(&table, CELL_NULL, BYTES("NULL"));
    assert_string_equal(output_of(print_plain, &table), "    n\n─────\n12345\n NULL\n");
    table_free(&table);
}

static void rows_beyond_the_height_are_left_out(void **state)
{
    struct table table = two_rows();
    (void)state;
    assert_string_equal(output_of(print_one_row, &table), "name  n\n───────\na     7\n");
    table_free(&table);
}

static void what_is_too_wide_is_cut_with_dots(void **state)
{
    struct table table = {0};
    (void)state;
    table_head(&table, BYTES("first"));
    table_head(&table, BYTES("second"));
    table_head(&table, BYTES("third"));
    table_cell(&table, CELL_TEXT, BYTES("ääääääää"));
    table_cell(&table, CELL_TEXT, BYTES("abcdefghijklmnop"));
    table_cell(&table, CELL_TEXT, BYTES("gone"));
    assert_string_equal(output_of(print_narrow, &table),
                        "first     second\n"
                        "────────────────────\n"
                        "ääääääää  abcdefghi…\n");
    table_free(&table);
}

static void nothing_in_a_cell_can_reach_the_terminal(void **state)
{
    struct table table = {0};
    (void)state;
    table_head(&table, BYTES("x"));
    table_cell(&table, CELL_TEXT, BYTES("a\033[2Jb\x7f\xc2\x9b"));
    table_cell(&table, CELL_TEXT, BYTES("two\n  lines"));
    const char *text = output_of(print_plain, &table);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\x7f'));
    assert_null(strstr(text, "\xc2\x9b"));
    assert_non_null(strstr(text, "a\xef\xbf\xbd[2Jb\xef\xbf\xbd\xef\xbf\xbd"));
    assert_non_null(strstr(text, "two lines"));
    table_free(&table);
}

static void csv_quotes_what_must_be_quoted(void **state)
{
    struct table table = {0};
    (void)state;
    table_head(&table, BYTES("a,b"));
    table_head(&table, BYTES("c"));
    table_cell(&table, CELL_TEXT, BYTES("say \"hi\""));
    table_cell(&table, CELL_NULL, BYTES("NULL"));
    table_cell(&table, CELL_NUMBER, BYTES("-1.5"));
    table_cell(&table, CELL_TEXT, BYTES("plain"));
    assert_string_equal(output_of(table_print_csv, &table),
                        "\"a,b\",c\r\n\"say \"\"hi\"\"\",\r\n-1.5,plain\r\n");
    table_free(&table);
}

static void a_table_without_columns_prints_nothing(void **state)
{
    struct table table = {0};
    (void)state;
    assert_string_equal(output_of(print_plain, &table), "");
    assert_int_equal(table_rows(&table), 0);
}

static void widths_know_combining_and_wide_characters(void **state)
{
    (void)state;
    assert_int_equal(display_width(BYTES("abc")), 3);
    assert_int_equal(display_width(BYTES("ä–…")), 3);
    assert_int_equal(display_width(BYTES("e\xcc\x81")), 1);
    assert_int_equal(display_width(BYTES("日本")), 4);
    assert_int_equal(display_width(BYTES("\xff\xc3")), 2);
}

static void rows_come_from_json_with_the_columns_of_the_first(void **state)
{
    struct table table = {0};
    (void)state;
    rows_of_json(&table,
                 BYTES("[{\"a\":\"x\\ty\",\"b\":1.123456,\"t\":\"2013-01-01T06:00:00Z\"},"
                       "{\"b\":null,\"c\":1}]"),
                 (struct bytes){0},
                 true);
    assert_int_equal(table.column_count, 3);
    assert_int_equal(table_rows(&table), 2);
    assert_true(bytes_equal(table_text(&table, &table.cells[0]), BYTES("x y")));
    assert_true(bytes_equal(table_text(&table, &table.cells[1]), BYTES("1.1235")));
    assert_true(bytes_equal(table_text(&table, &table.cells[2]), BYTES("2013-01-01 06:00")));
    assert_int_equal(table.cells[3].kind, CELL_NULL);
    assert_int_equal(table.cells[4].kind, CELL_NULL);
    table_free(&table);
}

static void programs_get_numbers_and_times_as_they_are(void **state)
{
    struct table table = {0};
    (void)state;
    rows_of_json(&table,
                 BYTES("[{\"b\":1.123456789,\"t\":\"2013-01-01T06:00:00Z\"}]"),
                 (struct bytes){0},
                 false);
    assert_true(bytes_equal(table_text(&table, &table.cells[0]), BYTES("1.123456789")));
    assert_true(bytes_equal(table_text(&table, &table.cells[1]), BYTES("2013-01-01T06:00:00Z")));
    table_free(&table);
}

static void only_times_are_shortened(void **state)
{
    char out[64];
    (void)state;
    assert_int_equal(short_time(BYTES("2013-01-01T06:00:30Z"), out), 19);
    assert_memory_equal(out, "2013-01-01 06:00:30", 19);
    assert_int_equal(short_time(BYTES("2013-01-01T06:00:00.5Z"), out), 21);
    assert_int_equal(short_time(BYTES("2013-01-01X06:00:00Z"), out), 20);
    assert_int_equal(short_time(BYTES(""), out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stand_right_and_texts_left),
        cmocka_unit_test(a_null_among_numbers_keeps_them_right),
        cmocka_unit_test(rows_beyond_the_height_are_left_out),
        cmocka_unit_test(what_is_too_wide_is_cut_with_dots),
        cmocka_unit_test(nothing_in_a_cell_can_reach_the_terminal),
        cmocka_unit_test(csv_quotes_what_must_be_quoted),
        cmocka_unit_test(a_table_without_columns_prints_nothing),
        cmocka_unit_test(widths_know_combining_and_wide_characters),
        cmocka_unit_test(rows_come_from_json_with_the_columns_of_the_first),
        cmocka_unit_test(programs_get_numbers_and_times_as_they_are),
        cmocka_unit_test(only_times_are_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
