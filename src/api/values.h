/* GET /v1/metrics/{name}/values: the windows of a metric. */
#pragma once

#include "api/call.h"

void values_get(struct call *call);
