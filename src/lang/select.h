/* SELECT: reading it, and making a definition of it. Private to lang. */
#pragma once

#include "lang/parser.h"

/* SELECT ... with all its clauses; the current token is SELECT. Fills the tree, and the
 * definition's fields for windows, lateness and emission. */
bool parse_select(struct parser *p, struct select *select, struct definition *definition);

/* WITH ( option = value, ... ), the current token being WITH: retain, sources, groups_max. */
bool parse_options(struct parser *p, struct definition *definition);

/* The same for a rule, which has `sources` alone. */
bool parse_rule_options(struct parser *p, struct definition *definition);

/* Columns, groups, aggregates and the filter of the definition, from the tree. */
bool check_select(struct diagnosis *diagnosis,
                  struct arena *arena,
                  struct select *select,
                  struct definition *definition);
