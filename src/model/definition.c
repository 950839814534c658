/* Definitions as bytes: docs/formats/definition.md, version 1.
 *
 *   u8 version | name | text | filter | varint window, origin, lateness, retain (us)
 *   | u8 emit | varint emit_every (us) | u32 groups_max | u8 groups, aggregates, columns, sources
 *   | groups: program | aggregates: u8 kind, argument, filter | columns: name, u8 is_group, u8
 * index | sources: name
 *
 * where a name, a text and a program are a varint length and their bytes. What is read is as good
 * as what was checked when it was made: definition_read refuses all that definition_valid refuses.
 */
#include "model/definition.h"

#include "base/check.h"
#include "model/program.h"

#define DEFINITION_VERSION 1
#define VARINT_BYTES_MAX   10
#define FIXED_BYTES_MAX    (9 * VARINT_BYTES_MAX + 16) /* what is not a string of a definition */

static void put_programs(struct buf *out, const struct definition *definition)
{
    for (int i = 0; i < definition->group_count; i++) {
        buf_put_string(out, definition->groups[i]);
    }
    for (int i = 0; i < definition->aggregate_count; i++) {
        const struct aggregate *aggregate = &definition->aggregates[i];
        buf_put_u8(out, (uint8_t)aggregate->kind);
        buf_put_string(out, aggregate->argument);
        buf_put_string(out, aggregate->filter);
    }
}

void definition_put(struct buf *out, const struct definition *definition)
{
    CHECK(definition_valid(definition));
    buf_put_u8(out, DEFINITION_VERSION);
    buf_put_string(out, definition->name);
    buf_put_string(out, definition->text);
    buf_put_string(out, definition->filter);
    buf_put_varint(out, (uint64_t)definition->window_us);
    buf_put_varint(out, (uint64_t)definition->origin_us);
    buf_put_varint(out, (uint64_t)definition->lateness_us);
    buf_put_varint(out, (uint64_t)definition->retain_us);
    buf_put_u8(out, (uint8_t)definition->emit);
    buf_put_varint(out, (uint64_t)definition->emit_every_us);
    buf_put_u32(out, definition->groups_max);
    buf_put_u8(out, definition->group_count);
    buf_put_u8(out, definition->aggregate_count);
    buf_put_u8(out, definition->column_count);
    buf_put_u8(out, definition->source_count);
    put_programs(out, definition);
    for (int i = 0; i < definition->column_count; i++) {
        const struct output_column *column = &definition->columns[i];
        buf_put_string(out, column->name);
        buf_put_u8(out, column->is_group ? 1 : 0);
        buf_put_u8(out, column->index);
    }
    for (int i = 0; i < definition->source_count; i++) {
        buf_put_string(out, definition->sources[i]);
    }
}

/* A time span: whatever does not fit becomes -1, which no field allows. */
static int64_t read_span(struct reader *in)
{
    uint64_t span = read_varint(in);
    return span <= INT64_MAX ? (int64_t)span : -1;
}

static bool read_head(struct reader *in, struct definition *definition)
{
    if (read_u8(in) != DEFINITION_VERSION) {
        return false;
    }
    definition->name = read_string(in);
    definition->text = read_string(in);
    definition->filter = read_string(in);
    definition->window_us = read_span(in);
    definition->origin_us = read_span(in);
    definition->lateness_us = read_span(in);
    definition->retain_us = read_span(in);
    uint8_t emit = read_u8(in);
    definition->emit = (enum emit_kind)emit;
    definition->emit_every_us = read_span(in);
    definition->groups_max = read_u32(in);
    definition->group_count = read_u8(in);
    definition->aggregate_count = read_u8(in);
    definition->column_count = read_u8(in);
    definition->source_count = read_u8(in);
    return !in->bad && definition->group_count <= DEFINITION_COLUMNS_MAX &&
           definition->aggregate_count <= DEFINITION_COLUMNS_MAX &&
           definition->column_count <= DEFINITION_COLUMNS_MAX &&
           definition->source_count <= DEFINITION_SOURCES_MAX;
}

static bool read_lists(struct reader *in, struct definition *definition)
{
    for (int i = 0; i < definition->group_count; i++) {
        definition->groups[i] = read_string(in);
    }
    for (int i = 0; i < definition->aggregate_count; i++) {
        struct aggregate *aggregate = &definition->aggregates[i];
        uint8_t kind = read_u8(in);
        aggregate->kind = (enum aggregate_kind)kind;
        aggregate->argument = read_string(in);
        aggregate->filter = read_string(in);
    }
    bool flags_valid = true;
    for (int i = 0; i < definition->column_count; i++) {
        struct output_column *column = &definition->columns[i];
        column->name = read_string(in);
        uint8_t is_group = read_u8(in);
        flags_valid = flags_valid && is_group <= 1;
        column->is_group = is_group == 1;
        column->index = read_u8(in);
    }
    for (int i = 0; i < definition->source_count; i++) {
        definition->sources[i] = read_string(in);
    }
    return flags_valid && !in->bad && reader_left(in) == 0;
}

bool definition_read(struct bytes encoded, struct definition *definition)
{
    memset(definition, 0, sizeof(*definition));
    struct reader in = reader_of(encoded);
    return encoded.len <= DEFINITION_BYTES_MAX && read_head(&in, definition) &&
           read_lists(&in, definition) && definition_valid(definition);
}

static bool in_range(int64_t value, int64_t min, int64_t max)
{
    return value >= min && value <= max;
}

static bool times_valid(const struct definition *definition)
{
    bool every = definition->emit == EMIT_EVERY;
    return in_range(definition->window_us, DEFINITION_WINDOW_MIN_US, DEFINITION_WINDOW_MAX_US) &&
           in_range(definition->origin_us, 0, definition->window_us - 1) &&
           in_range(definition->lateness_us, 0, DEFINITION_LATENESS_MAX_US) &&
           in_range(definition->retain_us, DEFINITION_RETAIN_MIN_US, DEFINITION_RETAIN_MAX_US) &&
           (int)definition->emit >= EMIT_ON_UPDATE && (int)definition->emit <= EMIT_EVERY &&
           in_range(definition->emit_every_us,
                    every ? DEFINITION_EMIT_EVERY_MIN_US : 0,
                    every ? DEFINITION_EMIT_EVERY_MAX_US : 0) &&
           in_range(definition->groups_max, 1, DEFINITION_GROUPS_MAX);
}

static bool aggregate_valid(const struct aggregate *aggregate)
{
    int kind = (int)aggregate->kind;
    if (kind < AGGREGATE_COUNT_ALL || kind > AGGREGATE_RATE) {
        return false;
    }
    bool bare = kind == AGGREGATE_COUNT_ALL || kind == AGGREGATE_RATE;
    bool argument_valid = bare ? aggregate->argument.len == 0 : program_valid(aggregate->argument);
    return argument_valid && (aggregate->filter.len == 0 || program_valid(aggregate->filter));
}

static bool programs_valid(const struct definition *definition)
{
    if (definition->filter.len != 0 && !program_valid(definition->filter)) {
        return false;
    }
    for (int i = 0; i < definition->group_count; i++) {
        if (!program_valid(definition->groups[i])) {
            return false;
        }
    }
    for (int i = 0; i < definition->aggregate_count; i++) {
        if (!aggregate_valid(&definition->aggregates[i])) {
            return false;
        }
    }
    return true;
}

static bool columns_valid(const struct definition *definition)
{
    for (int i = 0; i < definition->column_count; i++) {
        const struct output_column *column = &definition->columns[i];
        int count = column->is_group ? definition->group_count : definition->aggregate_count;
        if (column->name.len == 0 || column->name.len > DEFINITION_NAME_MAX ||
            column->index >= count) {
            return false;
        }
        for (int earlier = 0; earlier < i; earlier++) {
            if (bytes_equal(definition->columns[earlier].name, column->name)) {
                return false;
            }
        }
    }
    return definition->column_count > 0;
}

/* An upper bound, so that a definition that passes always fits its buffer. */
static size_t encoded_bytes_max(const struct definition *definition)
{
    size_t size =
        FIXED_BYTES_MAX + definition->name.len + definition->text.len + definition->filter.len;
    for (int i = 0; i < definition->group_count; i++) {
        size += VARINT_BYTES_MAX + definition->groups[i].len;
    }
    for (int i = 0; i < definition->aggregate_count; i++) {
        size += 2 * VARINT_BYTES_MAX + 1 + definition->aggregates[i].argument.len +
                definition->aggregates[i].filter.len;
    }
    for (int i = 0; i < definition->column_count; i++) {
        size += VARINT_BYTES_MAX + 2 + definition->columns[i].name.len;
    }
    for (int i = 0; i < definition->source_count; i++) {
        size += VARINT_BYTES_MAX + definition->sources[i].len;
    }
    return size;
}

bool definition_valid(const struct definition *definition)
{
    if (definition->group_count > DEFINITION_COLUMNS_MAX ||
        definition->aggregate_count > DEFINITION_COLUMNS_MAX ||
        definition->column_count > DEFINITION_COLUMNS_MAX ||
        definition->source_count > DEFINITION_SOURCES_MAX) {
        return false;
    }
    for (int i = 0; i < definition->source_count; i++) {
        if (definition->sources[i].len == 0) {
            return false;
        }
    }
    return definition_name_valid(definition->name) && definition->text.len <= DEFINITION_TEXT_MAX &&
           times_valid(definition) && programs_valid(definition) && columns_valid(definition) &&
           encoded_bytes_max(definition) <= DEFINITION_BYTES_MAX;
}

bool definition_name_valid(struct bytes name)
{
    if (name.len == 0 || name.len > DEFINITION_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return true;
}

int64_t definition_window_start(const struct definition *definition, struct event_time time)
{
    CHECK(definition->window_us > 0);
    return time_floor(time.us - definition->origin_us, definition->window_us) +
           definition->origin_us;
}
