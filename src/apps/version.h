#pragma once

#define TIDEMARK_VERSION "0.1.0"
