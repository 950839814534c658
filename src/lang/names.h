/* The names that expressions know. Private to lang. */
#pragma once

#include "lang/parser.h"

/* Built-in columns, then the windows' bounds; ends with NULL. */
extern const char *const column_words[];

/* A column, a data path or an extension attribute. The current token is a word or a quoted name. */
struct node *parse_name(struct parser *p);

/* [a-z0-9]{1,20}: what CloudEvents allows as an attribute's name (3.1). */
bool attribute_name_valid(struct bytes name);
