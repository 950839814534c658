/* The runners' answers as one ordered list of rows. */
#pragma once

#include "api/call.h"
#include "host/result.h"
#include "model/definition.h"

struct values_row {
    struct result_row row;
    struct value order; /* the column that is sorted by */
};

struct values_rows {
    struct definition definition;
    const struct values_row **rows; /* malloc'ed pointers into `entries` */
    size_t count;
    struct values_row *entries;
    int64_t watermark; /* the lowest over the runners */
    uint64_t as_of;    /* the lowest */
};

/* Gathers, keeps only the newest window if the query asks for it, and sorts. ERR_INTERNAL when an
 * answer can't be read. */
enum err values_rows_make(const struct query *query, struct values_rows *rows) MUST_CHECK;
void values_rows_free(struct values_rows *rows);

/* One row as an object. */
void values_row_put(struct out *out,
                    const struct definition *definition,
                    const struct result_row *row);
