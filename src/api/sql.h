/* POST /v1/sql: one statement or a script of them, in order. */
#pragma once

#include "api/call.h"

void sql_run(struct call *call);

/* NULL is ignored. */
void script_destroy(struct script *script);
