/* Reading back: the raw log, the events that were too late, and what became of one event. */
#pragma once

#include "api/call.h"

void events_list(struct call *call);
void events_fate(struct call *call);
void events_late(struct call *call);
