/* tidemark log dump. */
#pragma once

#include "apps/commands.h"

int log_dump_run(const struct command *command);
