/* /v1/sources and /v1/watermark: who speaks, and how far time has come. */
#pragma once

#include "api/call.h"

void sources_list(struct call *call);
void sources_get(struct call *call);
void sources_put(struct call *call);
void sources_delete(struct call *call);
void sources_watermark(struct call *call);
void sources_overall(struct call *call);
