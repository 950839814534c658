/* Which record of the log a thread is applying, for whoever has to say so when that ends the process
 * (a failed CHECK, a fault). Written by the thread itself, read on the same thread by the handler of
 * its fatal signal: so a fence for the compiler is enough. */
#pragma once

#include "model/record.h"

#include <stdatomic.h>

struct applying {
    bool active;
    uint64_t position; /* of the frame: what `tidemark log dump --from` takes */
    uint32_t offset;   /* of the record in the frame's body */
    uint32_t kind;     /* enum record_kind */
};

static inline void applying_mark(struct applying *applying, bool active)
{
    applying->active = active;
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void
applying_begin(struct applying *applying, uint64_t position, const struct record *record)
{
    applying->position = position;
    applying->offset = record->offset;
    applying->kind = (uint32_t)record->kind;
    applying_mark(applying, true);
}

static inline void applying_end(struct applying *applying)
{
    applying_mark(applying, false);
}
