/* JSON objects of an answer as rows of a table. */
#pragma once

#include "apps/table.h"
#include "base/json.h"

/* One cell from a JSON value: texts as they are, numbers to the right; `for_people`: times and
 * numbers shortened. */
void cell_of_json(struct table *table, const struct json_value *value, bool for_people);

/* All items (an array of objects) with the columns of the first one, in its order. `names`: an
 * array of column names to use instead; data NULL: none. */
void rows_of_json(struct table *table, struct bytes items, struct bytes names, bool for_people);

/* The same, under the heads that are there. */
void rows_more_json(struct table *table, struct bytes items, bool for_people);

/* "2013-01-01T06:00:00Z" as "2013-01-01 06:00"; what is no such time stays as it is. Writes at most
 * text.len bytes; returns how many. */
size_t short_time(struct bytes text, char *out);
