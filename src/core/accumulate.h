/* Accumulators: what a metric keeps per group and window, mergeable in any grouping of events.
 *
 *   count(*), count(x), rate():  | count i64 |
 *   sum(x), avg(x):              | nano lo u64 | nano hi i64 | real f64 | count i64 | inexact i64 |
 *   min(x), max(x):              | kind u32 | text bytes u32 | payload, 16 bytes |
 *
 * Sums are exact integers of 10^-9; what does not fit is added to `real` and the result is a
 * double. The text of a min or max lives in the heap and is cut to TEXT_MAX bytes. */
#pragma once

#include "base/heap.h"
#include "model/definition.h"
#include "model/program.h"

#define ACCUMULATE_TEXT_MAX 1024

/* Where each aggregate's slot lies in a row; computed once per definition. */
struct accumulate_layout {
    const struct definition *definition;
    uint32_t total_bytes; /* multiple of 8 */
    uint16_t offsets[DEFINITION_COLUMNS_MAX];
    bool has_text; /* may own heap memory: rows need accumulate_release */
};

void accumulate_layout_init(struct accumulate_layout *layout, const struct definition *definition);

/* Adds one event to the accumulators (zeroed at first). False: no memory was left for a text, which
 * is then not taken into account. */
bool accumulate_event(const struct accumulate_layout *layout,
                      uint8_t *slots,
                      struct heap *heap,
                      const struct event *event,
                      struct program_scratch *scratch);

/* The accumulators as bytes, and added to others: merge(put(a), b) = a + b. */
size_t accumulate_put_max(const struct accumulate_layout *layout, const uint8_t *slots);
void accumulate_put(const struct accumulate_layout *layout, const uint8_t *slots, struct buf *out);
bool accumulate_merge(const struct accumulate_layout *layout,
                      uint8_t *slots,
                      struct heap *heap,
                      struct reader *in);

/* The result of one aggregate. span_us: what rate() divides by (> 0). Text borrows from the row. */
struct value accumulate_result(const struct accumulate_layout *layout,
                               const uint8_t *slots,
                               uint32_t aggregate,
                               int64_t span_us);

/* Gives back the texts of a row that goes away. */
void accumulate_release(const struct accumulate_layout *layout, uint8_t *slots, struct heap *heap);
