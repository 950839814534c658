/* /v1/rules: timeouts and silences over the stream. */
#pragma once

#include "api/call.h"

void rules_list(struct call *call);
void rules_get(struct call *call);
void rules_put(struct call *call);
void rules_delete(struct call *call);
