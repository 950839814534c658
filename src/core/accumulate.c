/* Accumulators: see accumulate.h for the slots.
 *
 * Invariants:
 *  1. Merging is commutative and associative but for the doubles of inexact sums, whose order is
 * the log's (partition, then ordinal), so that they too replay to the bit.
 *  2. A slot of zeros is the empty accumulator. */
#include "core/accumulate.h"

#include "base/check.h"
#include "base/utf8.h"

struct sum_slot {
    uint64_t nano_low;
    int64_t nano_high;
    double real;
    int64_t count;
    int64_t inexact; /* how many of them were doubles */
};

struct extreme_slot {
    uint32_t kind; /* enum value_kind; VALUE_NULL: nothing yet */
    uint32_t text_len;
    union {
        uint64_t words[2];
        double real;
        int64_t time_us;
        uint8_t *text;
        bool boolean;
    } payload;
};

_Static_assert(sizeof(struct sum_slot) == 40 && sizeof(struct extreme_slot) == 24, "as drawn");

static uint16_t slot_bytes(enum aggregate_kind kind)
{
    switch (kind) {
    case AGGREGATE_COUNT_ALL:
    case AGGREGATE_COUNT:
    case AGGREGATE_RATE:
        return sizeof(int64_t);
    case AGGREGATE_SUM:
    case AGGREGATE_AVG:
        return sizeof(struct sum_slot);
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        return sizeof(struct extreme_slot);
    }
    UNREACHABLE("a known aggregate");
}

void accumulate_layout_init(struct accumulate_layout *layout, const struct definition *definition)
{
    *layout = (struct accumulate_layout){.definition = definition};
    CHECK(definition->aggregate_count <= DEFINITION_COLUMNS_MAX);
    for (uint32_t n = 0; n < definition->aggregate_count; n++) {
        enum aggregate_kind kind = definition->aggregates[n].kind;
        layout->offsets[n] = (uint16_t)layout->total_bytes;
        layout->total_bytes += slot_bytes(kind);
        layout->has_text = layout->has_text || kind == AGGREGATE_MIN || kind == AGGREGATE_MAX;
    }
}

static void *slot_at(const struct accumulate_layout *layout, uint8_t *slots, uint32_t aggregate)
{
    return slots + layout->offsets[aggregate];
}

static const void *
slot_of(const struct accumulate_layout *layout, const uint8_t *slots, uint32_t aggregate)
{
    return slots + layout->offsets[aggregate];
}

static int128 sum_nano(const struct sum_slot *sum)
{
    return (int128)(((uint128)(uint64_t)sum->nano_high << 64) | sum->nano_low);
}

static double nano_to_double(int128 nano)
{
    return (double)nano / (double)NANO_PER_UNIT;
}

static void sum_add_nano(struct sum_slot *sum, int128 nano)
{
    int128 total;
    if (__builtin_add_overflow(sum_nano(sum), nano, &total)) {
        sum->real += nano_to_double(nano);
        sum->inexact++;
        return;
    }
    sum->nano_low = (uint64_t)total;
    sum->nano_high = (int64_t)(total >> 64);
}

static void sum_add(struct sum_slot *sum, struct value value)
{
    if (value.kind == VALUE_NUMBER) {
        sum_add_nano(sum, value.nano);
    } else if (value.kind == VALUE_DOUBLE) {
        sum->real += value.real;
        sum->inexact++;
    } else {
        return; /* NULL, or nothing that can be added */
    }
    sum->count++;
}

static struct value extreme_value(const struct extreme_slot *slot)
{
    struct value value = {.kind = (enum value_kind)slot->kind};
    switch (value.kind) {
    case VALUE_NULL:
        break;
    case VALUE_BOOL:
        value.boolean = slot->payload.boolean;
        break;
    case VALUE_NUMBER:
        value.nano = (int128)(((uint128)slot->payload.words[1] << 64) | slot->payload.words[0]);
        break;
    case VALUE_DOUBLE:
        value.real = slot->payload.real;
        break;
    case VALUE_TEXT:
        value.text = bytes_of(slot->payload.text, slot->text_len);
        break;
    case VALUE_TIME:
        value.time_us = slot->payload.time_us;
        break;
    }
    return value;
}

static void extreme_release(struct extreme_slot *slot, struct heap *heap)
{
    if (slot->kind == VALUE_TEXT && slot->text_len > 0) {
        heap_free(heap, slot->payload.text, slot->text_len);
    }
    *slot = (struct extreme_slot){0};
}

static bool extreme_set(struct extreme_slot *slot, struct heap *heap, struct value value)
{
    struct extreme_slot fresh = {.kind = (uint32_t)value.kind};
    if (value.kind == VALUE_TEXT) {
        size_t len = value.text.len < ACCUMULATE_TEXT_MAX ? value.text.len : ACCUMULATE_TEXT_MAX;
        fresh.text_len = (uint32_t)len;
        fresh.payload.text = len == 0 ? NULL : heap_alloc(heap, len);
        if (fresh.payload.text == NULL && len > 0) {
            return false;
        }
        if (len > 0) {
            memcpy(fresh.payload.text, value.text.data, len);
        }
    } else if (value.kind == VALUE_NUMBER) {
        fresh.payload.words[0] = (uint64_t)value.nano;
        fresh.payload.words[1] = (uint64_t)(value.nano >> 64);
    } else if (value.kind == VALUE_DOUBLE) {
        fresh.payload.real = value.real;
    } else if (value.kind == VALUE_TIME) {
        fresh.payload.time_us = value.time_us;
    } else {
        fresh.payload.boolean = value.boolean;
    }
    extreme_release(slot, heap);
    *slot = fresh;
    return true;
}

/* Values that can't be compared with what is held (text among numbers) are passed over; so the
 * first kind seen wins. To be independent of order, a lower kind beats a higher one. */
static bool
extreme_add(struct extreme_slot *slot, struct heap *heap, bool want_max, struct value value)
{
    if (value.kind == VALUE_NULL) {
        return true;
    }
    struct value held = extreme_value(slot);
    if (held.kind == VALUE_NULL) {
        return extreme_set(slot, heap, value);
    }
    bool comparable = false;
    int order = value_compare(value, held, &comparable);
    bool better = comparable ? (want_max ? order > 0 : order < 0) : value.kind < held.kind;
    return better ? extreme_set(slot, heap, value) : true;
}

bool accumulate_event(const struct accumulate_layout *layout,
                      uint8_t *slots,
                      struct heap *heap,
                      const struct event *event,
                      struct program_scratch *scratch)
{
    bool whole = true;
    for (uint32_t n = 0; n < layout->definition->aggregate_count; n++) {
        const struct aggregate *aggregate = &layout->definition->aggregates[n];
        if (aggregate->filter.len > 0 && !program_passes(aggregate->filter, event, scratch)) {
            continue;
        }
        struct value value = {.kind = VALUE_NULL};
        if (aggregate->argument.len > 0) {
            value = program_eval(aggregate->argument, event, scratch);
        }
        void *slot = slot_at(layout, slots, n);
        switch (aggregate->kind) {
        case AGGREGATE_COUNT_ALL:
        case AGGREGATE_RATE:
            *(int64_t *)slot += 1;
            break;
        case AGGREGATE_COUNT:
            *(int64_t *)slot += value.kind != VALUE_NULL;
            break;
        case AGGREGATE_SUM:
        case AGGREGATE_AVG:
            sum_add(slot, value);
            break;
        case AGGREGATE_MIN:
        case AGGREGATE_MAX:
            whole &= extreme_add(slot, heap, aggregate->kind == AGGREGATE_MAX, value);
            break;
        }
    }
    return whole;
}

size_t accumulate_put_max(const struct accumulate_layout *layout, const uint8_t *slots)
{
    size_t max = (size_t)layout->total_bytes * 2;
    for (uint32_t n = 0; layout->has_text && n < layout->definition->aggregate_count; n++) {
        enum aggregate_kind kind = layout->definition->aggregates[n].kind;
        if (kind == AGGREGATE_MIN || kind == AGGREGATE_MAX) {
            const struct extreme_slot *slot = slot_of(layout, slots, n);
            max += slot->text_len;
        }
    }
    return max;
}

static void sum_put(const struct sum_slot *sum, struct buf *out)
{
    buf_put_varint(out, (uint64_t)sum->count);
    if (sum->count > 0) {
        buf_put_u64(out, sum->nano_low);
        buf_put_i64(out, sum->nano_high);
        buf_put_varint(out, (uint64_t)sum->inexact);
        buf_put_f64(out, sum->real);
    }
}

void accumulate_put(const struct accumulate_layout *layout, const uint8_t *slots, struct buf *out)
{
    for (uint32_t n = 0; n < layout->definition->aggregate_count; n++) {
        const void *slot = slot_of(layout, slots, n);
        switch (layout->definition->aggregates[n].kind) {
        case AGGREGATE_COUNT_ALL:
        case AGGREGATE_COUNT:
        case AGGREGATE_RATE:
            buf_put_varint(out, (uint64_t) * (const int64_t *)slot);
            break;
        case AGGREGATE_SUM:
        case AGGREGATE_AVG:
            sum_put(slot, out);
            break;
        case AGGREGATE_MIN:
        case AGGREGATE_MAX:
            value_put(out, extreme_value(slot));
            break;
        }
    }
}

static void sum_merge(struct sum_slot *sum, struct reader *in)
{
    int64_t count = (int64_t)read_varint(in);
    if (count == 0) {
        return;
    }
    struct sum_slot other = {.nano_low = read_u64(in)};
    other.nano_high = read_i64(in);
    sum->inexact += (int64_t)read_varint(in);
    sum->real += read_f64(in);
    sum->count += count;
    sum_add_nano(sum, sum_nano(&other));
}

bool accumulate_merge(const struct accumulate_layout *layout,
                      uint8_t *slots,
                      struct heap *heap,
                      struct reader *in)
{
    bool whole = true;
    for (uint32_t n = 0; n < layout->definition->aggregate_count; n++) {
        enum aggregate_kind kind = layout->definition->aggregates[n].kind;
        void *slot = slot_at(layout, slots, n);
        switch (kind) {
        case AGGREGATE_COUNT_ALL:
        case AGGREGATE_COUNT:
        case AGGREGATE_RATE:
            *(int64_t *)slot += (int64_t)read_varint(in);
            break;
        case AGGREGATE_SUM:
        case AGGREGATE_AVG:
            sum_merge(slot, in);
            break;
        case AGGREGATE_MIN:
        case AGGREGATE_MAX: {
            struct value value = {.kind = VALUE_NULL};
            if (!value_read(in, &value)) {
                in->bad = true;
                return false;
            }
            whole &= extreme_add(slot, heap, kind == AGGREGATE_MAX, value);
            break;
        }
        }
    }
    return whole;
}

static struct value number(int128 nano)
{
    return (struct value){.kind = VALUE_NUMBER, .nano = nano};
}

/* n / d in nanos when that is exact, else the nearest double. */
static struct value quotient(int128 nano, int64_t divisor)
{
    if (nano % divisor == 0) {
        return number(nano / divisor);
    }
    return value_of_real(nano_to_double(nano) / (double)divisor);
}

static struct value sum_result(const struct sum_slot *sum, bool average)
{
    if (sum->count == 0) {
        return (struct value){.kind = VALUE_NULL};
    }
    int64_t divisor = average ? sum->count : 1;
    if (sum->inexact == 0) {
        return quotient(sum_nano(sum), divisor);
    }
    return value_of_real((nano_to_double(sum_nano(sum)) + sum->real) / (double)divisor);
}

/* A text that was cut may end inside a character: what is shown ends before it. The slot keeps the
 * bytes, so that extremes don't depend on the order in which they came. */
static struct value whole_characters(struct value value)
{
    bool cut = value.kind == VALUE_TEXT && value.text.len == ACCUMULATE_TEXT_MAX;
    const uint8_t *end = cut ? value.text.data + value.text.len : NULL;
    for (size_t back = 1; cut && back <= 3; back++) {
        if (end[-(ptrdiff_t)back] >= 0xc0 && utf8_char_len(end - back, end) == 0) {
            value.text.len -= back;
            break;
        }
    }
    return value;
}

struct value accumulate_result(const struct accumulate_layout *layout,
                               const uint8_t *slots,
                               uint32_t aggregate,
                               int64_t span_us)
{
    CHECK(aggregate < layout->definition->aggregate_count);
    CHECK(span_us > 0);
    const void *slot = slot_of(layout, slots, aggregate);
    enum aggregate_kind kind = layout->definition->aggregates[aggregate].kind;
    switch (kind) {
    case AGGREGATE_COUNT_ALL:
    case AGGREGATE_COUNT:
        return number((int128) * (const int64_t *)slot * NANO_PER_UNIT);
    case AGGREGATE_RATE:
        return quotient((int128) * (const int64_t *)slot * NANO_PER_UNIT * US_PER_SECOND, span_us);
    case AGGREGATE_SUM:
    case AGGREGATE_AVG:
        return sum_result(slot, kind == AGGREGATE_AVG);
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        return whole_characters(extreme_value(slot));
    }
    UNREACHABLE("a known aggregate");
}

void accumulate_release(const struct accumulate_layout *layout, uint8_t *slots, struct heap *heap)
{
    for (uint32_t n = 0; layout->has_text && n < layout->definition->aggregate_count; n++) {
        enum aggregate_kind kind = layout->definition->aggregates[n].kind;
        if (kind == AGGREGATE_MIN || kind == AGGREGATE_MAX) {
            extreme_release(slot_at(layout, slots, n), heap);
        }
    }
}
