/* A metric's values, as a frame: what one question to the server gave. */
#pragma once

#include "apps/rows.h"
#include "apps/server.h"

#define VALUES_GROUPS_MAX 32

struct values_frame {
    struct table table;
    char watermark[40]; /* "" when there is none */
    char as_of[40];
    bool more; /* there are more rows than were asked for */
};

/* The path and query of one page, into out; false when it does not fit. `limit`: rows of this page;
 * cursor: "" for the first. */
struct values_page {
    const char *metric;
    size_t limit;
    const char *cursor;
};
bool values_target(const struct settings *settings,
                   const struct values_page *page,
                   struct buf *out);

/* Adds the rows of a page: window, columns, state. Heads come from the first row. */
void values_rows(struct table *table, struct bytes items);

/* Asks for all pages up to --limit (rows_max when that is less; 0: no other bound). 0 or the exit
 * code after the complaint. */
int values_ask(struct server *server,
               const struct command *command,
               size_t rows_max,
               struct values_frame *frame) MUST_CHECK;

/* --watch. */
int values_watch(struct server *server, const struct command *command);
