/* Tables for people and for programs: cells in, aligned columns or CSV out.
 *
 *     window                      dest   arrivals   delay
 *     ──────────────────────────────────────────────────
 *     2013-01-01 06:00 – 07:00    ATL          12    3.25      */
#pragma once

#include "base/bytes.h"

#define TABLE_COLUMNS_MAX 64

enum cell_kind {
    CELL_TEXT,
    CELL_NUMBER, /* set to the right */
    CELL_NULL,   /* dim */
};

struct cell {
    size_t offset; /* of its text in the table's own */
    size_t len;
    enum cell_kind kind;
    bool marked; /* highlighted: it changed */
};

/* Grows as needed. When there is no memory `failed` is set and what did not fit is missing. */
struct table {
    size_t column_count;
    struct cell heads[TABLE_COLUMNS_MAX];
    struct cell *cells; /* row after row */
    size_t cell_count;
    size_t cell_cap;
    uint8_t *text;
    size_t text_len;
    size_t text_cap;
    bool failed;
};

struct table_style {
    bool colours;
    size_t width;    /* columns of the terminal; 0: as wide as it gets */
    size_t rows_max; /* 0: all */
};

void table_free(struct table *table);

/* Forgets rows and columns, keeps the memory. */
void table_clear(struct table *table);

void table_head(struct table *table, struct bytes name);

/* Cells row by row, column by column. Control characters in text become visible ones. */
void table_cell(struct table *table, enum cell_kind kind, struct bytes text);

static inline size_t table_rows(const struct table *table)
{
    return table->column_count == 0 ? 0 : table->cell_count / table->column_count;
}

struct bytes table_text(const struct table *table, const struct cell *cell);

/* To standard output. Returns the lines that were printed. */
size_t table_print(const struct table *table, const struct table_style *style);

/* RFC 4180, with the heads as its first line. */
void table_print_csv(const struct table *table);

/* One field, quoted when it must be. */
void csv_print_field(struct bytes text);

/* Columns of a terminal that a UTF-8 text takes. */
size_t display_width(struct bytes text);
