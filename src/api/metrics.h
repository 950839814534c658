/* /v1/metrics: the definitions. */
#pragma once

#include "api/call.h"

void metrics_list(struct call *call);
void metrics_get(struct call *call);
void metrics_put(struct call *call);
void metrics_delete(struct call *call);
