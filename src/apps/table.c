/* Tables: see table.h.
 *
 * Invariants:
 *  1. cells[r * column_count + c] is the cell of row r and column c.
 *  2. No byte below 0x20 and no 0x7f is ever in a cell's text: what a server sends can't move the
 *     cursor or change the terminal. */
#include "apps/table.h"

#include "apps/say.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define CELL_WIDTH_MAX 60
#define GAP            2
#define DIM            "\033[2m"
#define BOLD           "\033[1m"
#define MARK           "\033[1;33m"
#define PLAIN          "\033[0m"
#define LINE           "─"
#define MORE           "…"

void table_free(struct table *table)
{
    free(table->cells);
    free(table->text);
    *table = (struct table){0};
}

void table_clear(struct table *table)
{
    table->column_count = 0;
    table->cell_count = 0;
    table->text_len = 0;
}

static bool grow(void **memory, size_t *cap, size_t need, size_t item)
{
    if (need <= *cap) {
        return true;
    }
    size_t more = *cap == 0 ? 256 : *cap * 2;
    more = more < need ? need : more;
    void *grown = realloc(*memory, more * item);
    if (grown == NULL) {
        return false;
    }
    *memory = grown;
    *cap = more;
    return true;
}

/* Text of which no byte can do anything but be seen. Runs of white space with a line end or a tab
 * in them become one space. */
static void text_add(struct table *table, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool c1 = c == 0xc2 && i + 1 < text.len && text.data[i + 1] < 0xa0;
        if (c == '\n' || c == '\r' || c == '\t') {
            while (i + 1 < text.len && strchr(" \n\r\t", text.data[i + 1]) != NULL &&
                   text.data[i + 1] != '\0') {
                i++;
            }
            table->text[table->text_len++] = ' ';
        } else if (c < 0x20 || c == 0x7f || c1) {
            memcpy(table->text + table->text_len, "\xef\xbf\xbd", 3); /* U+FFFD */
            table->text_len += 3;
            i += c1 ? 1 : 0;
        } else {
            table->text[table->text_len++] = c;
        }
    }
}

static struct cell cell_make(struct table *table, enum cell_kind kind, struct bytes text)
{
    struct cell cell = {.offset = table->text_len, .kind = kind};
    void *memory = table->text;
    if (!grow(&memory, &table->text_cap, table->text_len + 3 * text.len + 1, 1)) {
        table->failed = true;
        return cell;
    }
    table->text = memory;
    text_add(table, text);
    cell.len = table->text_len - cell.offset;
    return cell;
}

void table_head(struct table *table, struct bytes name)
{
    CHECK(table->cell_count == 0);
    if (table->column_count == TABLE_COLUMNS_MAX) {
        table->failed = true;
        return;
    }
    struct cell cell = cell_make(table, CELL_TEXT, name);
    table->heads[table->column_count++] = cell;
}

void table_cell(struct table *table, enum cell_kind kind, struct bytes text)
{
    void *memory = table->cells;
    if (!grow(&memory, &table->cell_cap, table->cell_count + 1, sizeof(*table->cells))) {
        table->failed = true;
        return;
    }
    table->cells = memory;
    struct cell cell = cell_make(table, kind, text);
    table->cells[table->cell_count++] = cell;
}

struct bytes table_text(const struct table *table, const struct cell *cell)
{
    return bytes_of(table->text + cell->offset, cell->len);
}

/* --- Widths --- */

/* The code point at text[*at], moving behind it. Broken UTF-8 counts byte by byte. */
static uint32_t code_point(struct bytes text, size_t *at)
{
    uint8_t lead = text.data[(*at)++];
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    uint32_t code = more == 3 ? lead & 7u : more == 2 ? lead & 15u : more == 1 ? lead & 31u : lead;
    for (; more > 0 && *at < text.len && (text.data[*at] & 0xc0) == 0x80; more--) {
        code = code << 6 | (text.data[(*at)++] & 0x3fu);
    }
    return code;
}

/* 0 for combining marks, 2 for what East Asian terminals draw wide; the common ranges. */
static size_t code_width(uint32_t code)
{
    bool combining = (code >= 0x300 && code <= 0x36f) || (code >= 0x200b && code <= 0x200f) ||
                     (code >= 0x20d0 && code <= 0x20ff) || (code >= 0xfe00 && code <= 0xfe0f);
    bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
                (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
                (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
                (code >= 0x1f300 && code <= 0x1faff) || (code >= 0x20000 && code <= 0x3fffd);
    return combining ? 0 : wide ? 2 : 1;
}

size_t display_width(struct bytes text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.len;) {
        width += code_width(code_point(text, &at));
    }
    return width;
}

/* The longest beginning that takes at most `width` columns. */
static size_t cut_len(struct bytes text, size_t width)
{
    size_t used = 0;
    size_t at = 0;
    while (at < text.len) {
        size_t next = at;
        used += code_width(code_point(text, &next));
        if (used > width) {
            break;
        }
        at = next;
    }
    return at;
}

/* --- Printing --- */

struct layout {
    const struct table *table;
    const struct table_style *style;
    size_t widths[TABLE_COLUMNS_MAX];
    bool right[TABLE_COLUMNS_MAX];
    size_t columns; /* that fit */
    size_t rows;
    size_t total;
};

static void column_measure(struct layout *layout, size_t column)
{
    const struct table *table = layout->table;
    size_t width = display_width(table_text(table, &table->heads[column]));
    bool numbers = true;
    bool any = false;
    for (size_t row = 0; row < layout->rows; row++) {
        const struct cell *cell = &table->cells[row * table->column_count + column];
        size_t own = display_width(table_text(table, cell));
        width = own > width ? own : width;
        numbers = numbers && cell->kind != CELL_TEXT;
        any = any || cell->kind == CELL_NUMBER;
    }
    layout->widths[column] =
        layout->style->width > 0 && width > CELL_WIDTH_MAX ? CELL_WIDTH_MAX : width;
    layout->right[column] = numbers && any;
}

/* Columns that don't fit are cut, the last ones left out. */
static void layout_make(struct layout *layout)
{
    const struct table *table = layout->table;
    size_t width = layout->style->width;
    layout->rows = table_rows(table);
    if (layout->style->rows_max > 0 && layout->rows > layout->style->rows_max) {
        layout->rows = layout->style->rows_max;
    }
    for (size_t column = 0; column < table->column_count; column++) {
        column_measure(layout, column);
        size_t gap = column == 0 ? 0 : GAP;
        size_t need = layout->total + gap + layout->widths[column];
        if (width > 0 && need > width) {
            size_t left = width > layout->total + gap ? width - layout->total - gap : 0;
            if (left < 8 && column > 0) {
                return;
            }
            layout->widths[column] = left;
            need = layout->total + gap + left;
        }
        layout->total = need;
        layout->columns = column + 1;
    }
}

static void pad(size_t count)
{
    say("%*s", (int)count, "");
}

static void
cell_print(const struct layout *layout, const struct cell *cell, size_t column, bool head)
{
    bool colours = layout->style->colours;
    struct bytes text = table_text(layout->table, cell);
    size_t width = display_width(text);
    size_t room = layout->widths[column];
    bool cut = width > room;
    size_t shown = cut ? room : width;
    bool last = column + 1 == layout->columns;
    if (layout->right[column]) {
        pad(room - shown);
    }
    const char *on = head ? BOLD : cell->marked ? MARK : cell->kind == CELL_NULL ? DIM : NULL;
    say("%s", colours && on != NULL ? on : "");
    say_bytes(cut && room > 0 ? bytes_slice(text, 0, cut_len(text, room - 1)) : text);
    say("%s%s", cut ? MORE : "", colours && on != NULL ? PLAIN : "");
    if (!layout->right[column] && !last) {
        pad(room - shown);
    }
    if (!last) {
        pad(GAP);
    }
}

size_t table_print(const struct table *table, const struct table_style *style)
{
    struct layout layout = {.table = table, .style = style};
    layout_make(&layout);
    if (layout.columns == 0) {
        return 0;
    }
    for (size_t column = 0; column < layout.columns; column++) {
        cell_print(&layout, &table->heads[column], column, true);
    }
    say("\n%s", style->colours ? DIM : "");
    for (size_t i = 0; i < layout.total; i++) {
        say(LINE);
    }
    say("%s\n", style->colours ? PLAIN : "");
    for (size_t row = 0; row < layout.rows; row++) {
        for (size_t column = 0; column < layout.columns; column++) {
            cell_print(&layout, &table->cells[row * table->column_count + column], column, false);
        }
        say("\n");
    }
    return layout.rows + 2;
}

void csv_print_field(struct bytes text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        quoted = quoted || memchr("\",\r\n", text.data[i], 4) != NULL;
    }
    if (!quoted) {
        say_bytes(text);
        return;
    }
    say("\"");
    for (size_t i = 0; i < text.len; i++) {
        say("%s%c", text.data[i] == '"' ? "\"" : "", text.data[i]);
    }
    say("\"");
}

void table_print_csv(const struct table *table)
{
    for (size_t column = 0; column < table->column_count; column++) {
        say("%s", column > 0 ? "," : "");
        csv_print_field(table_text(table, &table->heads[column]));
    }
    say("\r\n");
    for (size_t i = 0; i < table->cell_count; i++) {
        bool last = (i + 1) % table->column_count == 0;
        if (table->cells[i].kind != CELL_NULL) {
            csv_print_field(table_text(table, &table->cells[i]));
        }
        say("%s", last ? "\r\n" : ",");
    }
}
