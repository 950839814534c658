/* Content decoding by zlib (gzip) and libzstd, as ports/codec.h wants it. Stateless: one port may
 * serve all threads, each decoder belongs to the thread that opened it. */
#pragma once

#include "ports/codec.h"

struct codec_port codec_port(void);
