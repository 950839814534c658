/* Rules: reading and checking what stands behind AS. Private to lang. */
#pragma once

#include "lang/parser.h"
#include "model/rule.h"

/* AFTER ... of a timeout or EXPECT ... of a silence, as rule->kind says, with all clauses up to the
 * end of the statement. Fills everything of the rule but its name, its text and its sources. */
bool parse_rule(struct parser *p, struct rule *rule);
