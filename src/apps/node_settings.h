/* From settings to an engine's options. */
#pragma once

#include "apps/node.h"
#include "apps/options.h"

/* All but the directory and the gateways. */
struct node_options node_settings(const struct settings *settings);
