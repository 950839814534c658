/* What the server says about itself. */
#pragma once

#include "api/call.h"

void info_healthz(struct call *call);
void info_readyz(struct call *call);
void info_get(struct call *call);
void info_prometheus(struct call *call);
void info_openapi(struct call *call);
