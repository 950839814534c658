/* /v1/notifications: the feed, and its consumers. */
#pragma once

#include "api/call.h"

void notifications_get(struct call *call);
void notifications_ack(struct call *call);
void notifications_consumers(struct call *call);
void notifications_forget(struct call *call);
