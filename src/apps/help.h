/* What people are told about commands and options, all from commands.def and config.def. */
#pragma once

#include "apps/options.h"

/* To standard output. */
void help_overview(void);
void help_of_command(enum command_id command);

/* docs/guide/configuration.md, whole. */
void help_markdown(void);
