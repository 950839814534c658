/* The machine's clocks behind ports/clock.h. */
#pragma once

#include "ports/clock.h"

struct clock_port clock_system_port(void);
