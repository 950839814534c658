/* The entry of a fuzz target, as libFuzzer calls it, and as replay.c does where there is none. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Decodes the input. Returns 0; a wrong result ends in a failed CHECK. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
