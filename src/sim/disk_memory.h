/* Memory of the simulated disk: there is enough of it, or the simulation ends. */
#pragma once

#include "base/check.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* NULL for no bytes. */
static inline void *sim_copy_of(const void *from, size_t bytes)
{
    if (bytes == 0) {
        return NULL;
    }
    void *to = malloc(bytes);
    CHECK(to != NULL);
    memcpy(to, from, bytes);
    return to;
}

/* `memory` with zeros behind what it held; bytes > bytes_before. */
static inline void *sim_longer(void *memory, size_t bytes_before, size_t bytes)
{
    uint8_t *grown = realloc(memory, bytes);
    CHECK(grown != NULL);
    memset(grown + bytes_before, 0, bytes - bytes_before);
    return grown;
}
